//! Staging names, which begin with a dot so that s6-svscan does not see them, and the sweep of those that interrupted passes left.

use crate::output::{Context, Error, Result};
use crate::s6::profile_name::PREFIX;
use crate::s6::scandir_lock::Held;
use crate::s6::{ProfileName, servicedir, supervision};
use crate::sys::{Dir, Errno, Kind, Name, present, remove};

/// Number of staging names of a profile. If a leftover cannot be removed, the next name is taken.
const TRIES: u32 = 9;
/// Longest part of an entry's name in a name under which it is removed, in bytes: the dot and the ending must fit into 255, too.
const STEM: usize = 230;

const HIDDEN: &str = ".gateway-";
const ENDING: &[u8] = b".tmp";
/// Ending of the name of a slot that is being replaced, where entries cannot be exchanged.
const OUTGOING: &[u8] = b".out.tmp";

fn hidden(profile: &ProfileName, ending: &str) -> Name {
    static FALLBACK: Name = Name::fixed(c".gateway-.tmp");
    // No part has a slash, so together they are one component.
    Name::new(format!("{HIDDEN}{}{ending}", profile.text())).unwrap_or(FALLBACK.clone())
}

/// Returns the staging names of a profile.
fn names(profile: &ProfileName) -> impl Iterator<Item = Name> {
    let others = (2..=TRIES).map(|number| hidden(profile, &format!(".{number}.tmp")));
    [hidden(profile, ".tmp")].into_iter().chain(others)
}

/// Returns the first staging name of a profile for which `make` does not fail with EEXIST. Fails with EEXIST if there is none.
pub fn free(
    profile: &ProfileName,
    make: impl Fn(&Name) -> std::result::Result<(), Errno>,
) -> std::result::Result<Name, Errno> {
    for name in names(profile) {
        match make(&name) {
            Err(Errno::EXIST) => (),
            done => return done.map(|()| name),
        }
    }
    Err(Errno::EXIST)
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

/// Returns the profile whose slot was being replaced under this name.
fn replaced(name: &Name) -> Option<ProfileName> {
    let stem = name.bytes().strip_suffix(OUTGOING)?.strip_prefix(HIDDEN.as_bytes())?;
    ProfileName::parse(stem).ok()
}

/// What has become of a leftover.
pub enum Swept {
    /// It is gone, or a slot again.
    Gone,
    /// It is still there, and why. A pass goes on without this.
    Remains(Error),
}

impl Swept {
    fn of(removed: Result<()>) -> Swept {
        removed.map_or_else(Swept::Remains, |()| Swept::Gone)
    }
}

/// Removes a leftover. One that s6-svscan can see is renamed first, because an entry that vanishes aborts its scan. A slot that was
/// being replaced and has no successor gets its name back, so that its environment is not lost. One that is supervised is left as it
/// is. Fails if the leftover cannot be looked at, and leaves it too.
pub fn sweep(scandir: &Held<'_>, name: &Name) -> Result<Swept> {
    let look = "inspect the leftover";
    let remains = |reason: &'static str| Ok(Swept::Remains(Error::new("remove the leftover", name, reason)));
    if is_supervised(scandir, name).context(look, name)? {
        return remains(
            "it is supervised: to end its supervisors, unregister the profile or run s6-svscanctl -an",
        );
    }
    let is_visible = !name.bytes().starts_with(b".");
    if is_visible
        && let Some(found) = present(scandir.meta(name)).context(look, name)?
        && found.kind == Kind::Symlink
    {
        return remains(
            "it is a symlink, which hermes-init never creates: leave it to the program that created it",
        );
    }
    if let Some(profile) = replaced(name)
        && is_whole(scandir, name).context(look, name)?
    {
        match scandir.rename_new(name, profile.slot()) {
            // It has a successor.
            Err(Errno::EXIST | Errno::NOTEMPTY) => (),
            done => return Ok(Swept::of(done.context("restore", name))),
        }
    }
    Ok(Swept::of(hide_and_remove(scandir, name).context("remove the leftover", name)))
}

/// Returns whether a service directory of the scan directory, or its logger's, is supervised; false for anything else.
pub fn is_supervised(scandir: &Dir, name: &Name) -> std::result::Result<bool, Errno> {
    present(scandir.dir(name))?.map_or(Ok(false), |slot| supervision::is_slot_held(&slot))
}

/// Removes what interrupted passes and registrations have left of a profile. If something remains, making a slot takes another staging
/// name, and reports it when no name is free.
pub fn sweep_own(scandir: &Held<'_>, profile: &ProfileName) {
    let others = names(profile).filter(|name| scandir.meta(name) != Err(Errno::NOENT));
    for name in others.chain([outgoing(profile)]) {
        let _ = sweep(scandir, &name);
    }
}

/// Returns whether a directory has the parts of a slot.
fn is_whole(scandir: &Dir, name: &Name) -> std::result::Result<bool, Errno> {
    match present(scandir.open_path(name))? {
        Some(slot) => Ok(slot.has(&servicedir::RUN)? && slot.has(&servicedir::SUPERVISE)?),
        None => Ok(false),
    }
}

/// Removes an entry of the scan directory: it gets a name that s6-svscan does not see, and is removed under that name.
pub fn hide_and_remove(scandir: &Held<'_>, name: &Name) -> std::result::Result<(), Errno> {
    if name.bytes().starts_with(b".") {
        return remove::tree(scandir, name);
    }
    for hidden in removal_names(name) {
        match scandir.rename_new(name, &hidden) {
            Err(Errno::EXIST | Errno::NOTEMPTY) => (),
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
            Ok(()) => return remove::tree(scandir, &hidden),
        }
    }
    Err(Errno::EXIST)
}

/// Returns the names under which an entry that s6-svscan can see is removed.
fn removal_names(name: &Name) -> impl Iterator<Item = Name> {
    let stem = name.bytes().get(..STEM).unwrap_or(name.bytes());
    (0..TRIES).filter_map(move |number| Name::new([b".", stem, format!(".{number}.tmp").as_bytes()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(text: &str) -> ProfileName {
        ProfileName::parse(text.as_bytes()).unwrap_or_else(|_| ProfileName::root())
    }

    fn text(name: &Name) -> String {
        String::from_utf8_lossy(name.bytes()).into_owned()
    }

    #[test]
    fn leftovers_are_known_by_their_names() {
        for name in [".gateway-coder.tmp", "gateway-coder.tmp", ".gateway-x.3.tmp", ".gateway-x.out.tmp"] {
            assert!(is_leftover(name.as_bytes()), "{name}");
        }
        for name in [
            "gateway-coder",
            ".gateway-coder",
            "dashboard.tmp",
            ".s6-svscan",
            "..gateway-x.tmp",
            "gateway-.tmpx",
            "",
            ".",
        ] {
            assert!(!is_leftover(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_profile_has_nine_staging_names() {
        let all: Vec<String> = names(&profile("x")).map(|name| text(&name)).collect();
        assert_eq!(all[..2], [".gateway-x.tmp", ".gateway-x.2.tmp"]);
        assert_eq!(all[8], ".gateway-x.9.tmp");
        assert_eq!(all.len(), 9);
    }

    #[test]
    fn the_first_free_name_is_taken() {
        let free = |taken: &[&str], errno| {
            let make = |name: &Name| if taken.contains(&text(name).as_str()) { Err(errno) } else { Ok(()) };
            free(&profile("x"), make).map(|name| text(&name))
        };
        assert_eq!(free(&[], Errno::EXIST), Ok(".gateway-x.tmp".to_owned()));
        let first = [".gateway-x.tmp", ".gateway-x.2.tmp"];
        assert_eq!(free(&first, Errno::EXIST), Ok(".gateway-x.3.tmp".to_owned()));
        assert_eq!(free(&first, Errno::NOSPC), Err(Errno::NOSPC));
        let make = |_: &Name| Err(Errno::EXIST);
        assert_eq!(super::free(&profile("x"), make), Err(Errno::EXIST));
    }

    #[test]
    fn each_purpose_has_a_name_of_its_own() {
        let coder = profile("coder");
        for (name, expected, is_gone, is_replaced) in [
            (outgoing(&coder), ".gateway-coder.out.tmp", false, true),
            (unregistered(&coder), ".gateway-coder.gone.tmp", true, false),
            (file(&coder), ".gateway-coder.file.tmp", false, false),
        ] {
            assert_eq!(text(&name), expected);
            assert!(is_leftover(name.bytes()), "{expected}");
            assert_eq!(is_unregistered(&name), is_gone, "{expected}");
            assert_eq!(replaced(&name), Some(coder.clone()).filter(|_| is_replaced), "{expected}");
        }
    }

    #[test]
    fn only_a_whole_name_leads_back_to_the_profile() {
        for name in
            ["gateway-x.out.tmp", ".gateway-.out.tmp", ".gateway-X.out.tmp", ".gateway-x.2.tmp", ".x.out.tmp"]
        {
            assert_eq!(Name::new(name).and_then(|name| replaced(&name)), None, "{name}");
        }
    }

    #[test]
    fn what_is_removed_is_hidden_first() {
        static DANGLING: Name = Name::fixed(c"gateway-coder");
        let all: Vec<String> = removal_names(&DANGLING).map(|name| text(&name)).collect();
        assert_eq!(all[0], ".gateway-coder.0.tmp");
        assert_eq!(all[8], ".gateway-coder.8.tmp");
        assert_eq!(all.len(), 9);
        let long = Name::new(format!("gateway-{}", "x".repeat(247)));
        let longest = long.iter().flat_map(removal_names).map(|name| name.bytes().len()).max();
        assert!(longest.is_some_and(|length| (230..=255).contains(&length)));
        // If the removal is interrupted, the next pass sweeps it.
        assert!(long.iter().flat_map(removal_names).all(|name| is_leftover(name.bytes())));
    }

    #[test]
    fn the_longest_profile_has_a_staging_name() {
        let profile = profile(&"x".repeat(215));
        for name in names(&profile).chain([outgoing(&profile), unregistered(&profile), file(&profile)]) {
            assert!((200..=255).contains(&name.bytes().len()));
            assert!(is_leftover(name.bytes()));
        }
        assert_eq!(replaced(&outgoing(&profile)), Some(profile));
    }
}
