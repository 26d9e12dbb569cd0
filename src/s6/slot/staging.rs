//! Staging names, which begin with a dot so that s6-svscan does not see them, and the sweep of those that interrupted passes left.

use crate::output::{Context, Error, Result};
use crate::s6::profile_name::PREFIX;
use crate::s6::{ProfileName, servicedir, supervision};
use crate::sys::{Dir, Errno, Kind, Name, present, remove};

/// Number of staging names of a profile. The next one is taken if a leftover cannot be removed.
const TRIES: u32 = 9;
/// Longest part of an entry's name in a staging name, in bytes: `.gateway-` and the ending must fit into 255. A profile's name is
/// shorter; a leftover's may be longer.
const STEM: usize = 230;

const HIDDEN: &str = ".gateway-";
const ENDING: &[u8] = b".tmp";
/// Ending of the name of a slot that is being replaced, where entries cannot be exchanged.
const OUTGOING: &[u8] = b".out.tmp";

fn hidden(profile: &ProfileName, ending: &str) -> Name {
    static FALLBACK: Name = Name::fixed(c".gateway-.tmp");
    let stem = profile.text().as_bytes();
    let stem = stem.get(..STEM).unwrap_or(stem);
    // No part has a slash, so together they are one component.
    Name::new([HIDDEN.as_bytes(), stem, ending.as_bytes()].concat()).unwrap_or(FALLBACK.clone())
}

/// Returns the first staging name of a profile for which `make` does not fail with EEXIST.
pub fn free(
    profile: &ProfileName,
    mut make: impl FnMut(&Name) -> std::result::Result<(), Errno>,
) -> std::result::Result<Name, Errno> {
    let mut last = Errno::EXIST;
    for number in 1..=TRIES {
        let name =
            if number == 1 { hidden(profile, ".tmp") } else { hidden(profile, &format!(".{number}.tmp")) };
        match make(&name) {
            Err(Errno::EXIST) => last = Errno::EXIST,
            Err(errno) => return Err(errno),
            Ok(()) => return Ok(name),
        }
    }
    Err(last)
}

/// Returns the name of a slot that is being replaced.
pub fn outgoing(profile: &ProfileName) -> Name {
    hidden(profile, ".out.tmp")
}

/// Returns the name of a slot that is being unregistered. Its supervisors may still work in it.
pub fn unregistered(profile: &ProfileName) -> Name {
    hidden(profile, ".gone.tmp")
}

/// Returns the name of a new file for a slot in use.
pub fn file(profile: &ProfileName) -> Name {
    hidden(profile, ".file.tmp")
}

/// Returns whether an entry of the scan directory is a leftover of an interrupted pass: `.gateway-*.tmp`, or `gateway-*.tmp` of
/// the original Python.
pub fn is_leftover(name: &[u8]) -> bool {
    let visible = name.strip_prefix(b".").unwrap_or(name);
    visible.starts_with(PREFIX.as_bytes()) && visible.ends_with(ENDING)
}

/// Returns whether an entry is a slot that is being unregistered.
pub fn is_unregistered(name: &Name) -> bool {
    name.bytes().ends_with(b".gone.tmp")
}

/// Removes a leftover. One that s6-svscan can see is renamed first, because an entry that vanishes aborts its scan. A slot that was
/// being replaced and has no successor gets its name back, so that its environment is not lost. One in which supervisors work is
/// left as it is. Fails if it cannot be looked at, and leaves it too; the inner result is that of the removal, without which a pass
/// goes on.
pub fn sweep(scandir: &Dir, name: &Name) -> Result<Result<()>> {
    if is_supervised(scandir, name).context("look at the leftover", name)? {
        let reason = "supervisors live in it: unregister the profile, or run s6-svscanctl -an, to end them";
        return Ok(Err(Error::new("sweep the leftover", name, reason)));
    }
    let is_visible = !name.bytes().starts_with(b".");
    let found =
        if is_visible { present(scandir.meta(name)).context("look at the leftover", name)? } else { None };
    if found.is_some_and(|meta| meta.kind == Kind::Symlink) {
        let reason = "it is a symlink, which no pass makes: leave it to what has made it";
        return Ok(Err(Error::new("sweep the leftover", name, reason)));
    }
    if let Some(profile) =
        name.bytes().strip_suffix(OUTGOING).and_then(|rest| rest.strip_prefix(HIDDEN.as_bytes()))
        && profile.len() < STEM
        && let Ok(profile) = ProfileName::parse(profile)
        && is_whole(scandir, name).context("look at the leftover", name)?
    {
        match scandir.rename_new(name, profile.slot()) {
            // It has a successor.
            Err(Errno::EXIST | Errno::NOTEMPTY) => (),
            done => return Ok(done.context("put back", name)),
        }
    }
    Ok(hide_and_remove(scandir, name).context("sweep the leftover", name))
}

/// Returns whether supervisors work in a directory. Anything else has none.
pub fn is_supervised(scandir: &Dir, name: &Name) -> std::result::Result<bool, Errno> {
    present(scandir.dir(name))?.map_or(Ok(false), |slot| supervision::supervision(&slot))
}

/// Removes what interrupted passes and registrations have left of a profile. What remains is reported when no name is free.
pub fn sweep_own(scandir: &Dir, profile: &ProfileName) {
    let _ = free(profile, |name| {
        if scandir.meta(name) != Err(Errno::NOENT) {
            let _ = sweep(scandir, name);
        }
        Err(Errno::EXIST)
    });
    let _ = sweep(scandir, &outgoing(profile));
}

/// Returns whether a directory has the parts of a slot.
fn is_whole(scandir: &Dir, name: &Name) -> std::result::Result<bool, Errno> {
    match present(scandir.open_path(name))? {
        Some(slot) => Ok(slot.has(&servicedir::RUN)? && slot.has(&servicedir::SUPERVISE)?),
        None => Ok(false),
    }
}

/// Removes an entry of the scan directory: it gets a name that s6-svscan does not see, and is removed under that name.
pub fn hide_and_remove(scandir: &Dir, name: &Name) -> std::result::Result<(), Errno> {
    if name.bytes().starts_with(b".") {
        return remove::tree(scandir, name);
    }
    let base = name.bytes().get(..STEM).unwrap_or(name.bytes());
    for number in 0..TRIES {
        let hidden =
            Name::new([b".", base, format!(".{number}.tmp").as_bytes()].concat()).ok_or(Errno::INVAL)?;
        match scandir.rename_new(name, &hidden) {
            Err(Errno::EXIST | Errno::NOTEMPTY) => (),
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
            Ok(()) => return remove::tree(scandir, &hidden),
        }
    }
    Err(Errno::EXIST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_known_by_their_names() {
        for name in [".gateway-coder.tmp", "gateway-coder.tmp", ".gateway-x.3.tmp", ".gateway-x.out.tmp"] {
            assert!(is_leftover(name.as_bytes()), "{name}");
        }
        for name in ["gateway-coder", ".gateway-coder", "dashboard.tmp", ".s6-svscan", "..gateway-x.tmp"] {
            assert!(!is_leftover(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_longest_profile_has_a_staging_name() {
        let profile = ProfileName::parse("x".repeat(215).as_bytes()).unwrap_or_else(|_| ProfileName::root());
        for name in [hidden(&profile, ".9.tmp"), outgoing(&profile), file(&profile)] {
            assert!((200..=255).contains(&name.bytes().len()));
            assert!(is_leftover(name.bytes()));
        }
    }
}
