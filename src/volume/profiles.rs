//! The profiles: `HERMES_HOME` itself, and every directory of `profiles` that has a SOUL.md.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::ahead::Wanted;
use super::config::{self, Answer};
use super::contents::{Contents, Known};
use super::home::{self, Home, Refusal, Trusted};
use super::parking::PARKED;
use super::state;
use crate::output::escape::FromVolume;
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::sys::{Dir, Entry, Errno, Kind, Name, Reason, dir, present};

/// The directory of the profiles.
pub static PROFILES: Name = Name::fixed(c"profiles");
/// The file that `hermes profile create` always writes. A directory without it, for example a backup, is no profile.
static SOUL: Name = Name::fixed(c"SOUL.md");

/// What an entry of `profiles` is.
pub enum Found {
    /// A profile, and its directory, opened with `O_PATH`.
    Profile(ProfileName, Dir),
    /// A profile that can have no slot, and why.
    Skipped(Reason),
    /// A profile that could not be looked at, and why.
    Failed(Reason),
    /// A directory without SOUL.md, or no directory.
    NoProfile,
    /// What no profile can be because of its name, and what this user may not look into: `lost+found`, for example.
    Closed,
    /// A symlink that points to no directory, perhaps to a disk that is not mounted.
    Dangling(Reason),
}

/// An entry that has been opened and read ahead.
pub struct Ahead(std::result::Result<Option<(Dir, Known)>, Refusal>);

/// Number of entries that are no profiles and are reported one by one.
pub const LISTED: usize = 20;
/// Most memory for the names of a listing, in bytes: some 100,000 short ones.
const NAMES_MAX: usize = 6 << 20;
/// Memory that a name takes beside its bytes.
const NAME_SIZE: usize = 32;
/// Most symlinks that are followed in one listing. One that leads as far as `sys::walk` permits takes a tenth of a millisecond.
const LINKS_MAX: u32 = 10_000;

/// The entries of `profiles`.
#[derive(Default)]
pub struct Listing {
    /// The names, in byte order.
    pub names: Vec<Name>,
    /// The entries whose names would take too much memory.
    pub others: Others,
}

/// Entries that are only counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// Those that can have no slot.
    pub skipped: usize,
    /// Those that were not looked at.
    pub failed: usize,
}

impl Others {
    /// Counts an entry.
    pub fn count(&mut self, found: &Found) {
        match found {
            Found::Failed(_) => self.failed += 1,
            _ => self.skipped += 1,
        }
    }
}

/// The directory `profiles`, open.
pub struct Profiles {
    dir: Dir,
    trusted: Trusted,
    /// The number of symlinks that have been followed.
    followed: AtomicU32,
}

impl Profiles {
    /// Opens `profiles`; `None` if there is none.
    pub fn open(home: &Home, trusted: Trusted) -> Result<Option<Profiles>> {
        match home::open_linkable(&home.dir, &PROFILES, trusted) {
            Err(Refusal::Missing) => Ok(None),
            Err(refusal) => Err(home::refused(&PROFILES, refusal)),
            Ok(dir) => Ok(Some(Profiles { dir, trusted, followed: AtomicU32::new(0) })),
        }
    }

    /// Lists the entries that may be profiles, as far as there is memory for their names. Those that can have no slot because of their
    /// names take at most half of it.
    pub fn names(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut room = NAMES_MAX;
        let dir = self.dir.readable().context("list", &PROFILES)?;
        for entry in dir.entries().context("list", &PROFILES)? {
            let Entry { name, kind } = entry.context("list", &PROFILES)?;
            // Some file systems do not report the type of an entry; it is Other then.
            if !matches!(kind, Kind::Directory | Kind::Symlink | Kind::Other) {
                continue;
            }
            let size = name.bytes().len() + NAME_SIZE;
            let kept = if ProfileName::parse(name.bytes()).is_err() { NAMES_MAX / 2 } else { 0 };
            if room < size + kept {
                listing.others.failed += 1;
            } else {
                room -= size;
                dir::add(&mut listing.names, name).context("list", &PROFILES)?;
            }
        }
        listing.names.sort_unstable();
        Ok(listing)
    }

    /// Returns what an entry is.
    pub fn look(&self, name: &Name) -> Found {
        self.found(name, self.ahead(name, None), None).0
    }

    /// Opens an entry and reads ahead what is wanted of it, unless it is a symlink. Several threads may do so at once.
    pub fn ahead(&self, name: &Name, wanted: Option<Wanted>) -> Ahead {
        let opened = match wanted {
            Some(_) => home::open_unlinked_to_list(&self.dir, name),
            None => home::open_unlinked(&self.dir, name),
        };
        Ahead(opened.map(|opened| opened.map(|dir| with_known(dir, wanted))))
    }

    /// Returns what an entry that has been opened ahead is, and what is known of it.
    pub fn found(&self, name: &Name, ahead: Ahead, wanted: Option<Wanted>) -> (Found, Known) {
        let opened = match ahead.0 {
            Ok(Some(opened)) => Ok(opened),
            Ok(None) => self.follow(name).map(|dir| match wanted {
                Some(_) => with_known(dir.readable().unwrap_or(dir), wanted),
                None => with_known(dir, None),
            }),
            Err(refusal) => Err(refused(name, refusal)),
        };
        match opened {
            Ok((dir, known)) => {
                let has_soul = Contents::new(&dir, &known).has(&SOUL);
                (classify(name, dir, has_soul), known)
            }
            Err(found) => (found, Known::default()),
        }
    }

    /// Opens again the directory of a profile that has been found under its own spelling; `None` if it has vanished meanwhile.
    pub fn reopen(&self, profile: &ProfileName) -> Result<Option<Dir>> {
        let Some(name) = Name::new(profile.text()) else { return Ok(None) };
        match home::open_linkable(&self.dir, &name, self.trusted) {
            Err(Refusal::Missing) => Ok(None),
            opened => {
                opened.map(Some).map_err(|why| Error::new("use the profile", place(profile), why.reason()))
            }
        }
    }

    /// Returns whether a look at a profile may be one at another machine; false also if it cannot be found out.
    pub fn is_remote(&self, home: &Home) -> bool {
        home.is_remote(&self.dir)
    }

    /// Opens the directory to which a symlink in `profiles` leads; if there is none, what the symlink is.
    fn follow(&self, link: &Name) -> std::result::Result<Dir, Found> {
        if self.followed.load(Ordering::Relaxed) == LINKS_MAX {
            let reason = format!("it is a symlink, and in profiles only {LINKS_MAX} are followed");
            return Err(Found::Failed(reason.into()));
        }
        self.followed.fetch_add(1, Ordering::Relaxed);
        home::follow(&self.dir, link, self.trusted).map_err(|refusal| refused(link, refusal))
    }

    /// Returns whether an entry may be a profile that is a sign of the topology: one that is parked or standalone. Most are none, which takes
    /// a call for each of the two files that are not there. Several threads may ask at once.
    pub fn may_be_sign(&self, name: &Name) -> bool {
        let is_none = self.dir.has_below(name, &PARKED) == Ok(false)
            && matches!(
                config::read_standalone_below(&self.dir, name),
                Ok(Answer::Absent | Answer::False { .. })
            );
        !is_none
    }

    /// Returns whether an entry may be a profile whose gateway is to run by its own state. Several threads may ask at once.
    pub fn may_want(&self, name: &Name) -> bool {
        state::starts_below(&self.dir, name) != Ok(false)
    }

    /// Returns whether an entry is a directory, as far as this process can tell.
    pub fn is_directory(&self, name: &Name) -> bool {
        self.dir.meta(name).is_ok_and(|meta| meta.kind == Kind::Directory)
    }

    /// Returns whether a directory or a symlink has a profile's name, as far as this process can tell.
    pub fn has(&self, profile: &ProfileName) -> bool {
        let meta = Name::new(profile.text()).map(|name| self.dir.meta(&name));
        matches!(meta, Some(Ok(meta)) if matches!(meta.kind, Kind::Directory | Kind::Symlink))
    }

    /// Returns what the entry of a profile's name is.
    pub fn profile(&self, profile: &ProfileName) -> Found {
        let Some(name) = Name::new(profile.text()) else { return Found::NoProfile };
        match self.other_spelling(&name) {
            Ok(None) => self.look(&name),
            Ok(Some(own)) => {
                let own = FromVolume(own.bytes());
                let reason = format!(
                    "the name of its directory is {own}, and case does not matter on this file system: rename it, by way of another name"
                );
                Found::Skipped(reason.into())
            }
            Err(errno) => failed(&name, errno.into()),
        }
    }

    /// Returns the name of an entry that is found under `name` and is spelled otherwise: the file system does not tell upper case from
    /// lower case. A boot lists the entries, so it finds no profile of that name.
    fn other_spelling(&self, name: &Name) -> std::result::Result<Option<Name>, Errno> {
        let upper = Name::new(name.bytes().to_ascii_uppercase()).filter(|upper| upper != name);
        let Some(upper) = upper else { return Ok(None) };
        let (Some(found), Some(other)) = (present(self.dir.meta(name))?, present(self.dir.meta(&upper))?)
        else {
            return Ok(None);
        };
        if found.inode != other.inode {
            return Ok(None);
        }
        let mut own = None;
        for entry in self.dir.readable()?.entries()? {
            let entry = entry?.name;
            if entry == *name {
                return Ok(None);
            }
            if entry.bytes().eq_ignore_ascii_case(name.bytes()) {
                own = Some(entry);
            }
        }
        Ok(own)
    }
}

/// What there is under the name of a profile.
pub enum Place {
    /// A profile; its directory.
    Profile(Dir),
    /// A directory without SOUL.md: what is left of a deleted profile, for example.
    Remains,
    /// Nothing that could be a profile.
    Nothing,
}

/// Returns what there is under the name of a profile. Fails if it cannot be looked at, or cannot be used.
pub fn find(home: &Home, trusted: Trusted, profile: &ProfileName) -> Result<Place> {
    let Some(profiles) = Profiles::open(home, trusted)? else { return Ok(Place::Nothing) };
    let reason = match profiles.profile(profile) {
        Found::Profile(_, dir) => return Ok(Place::Profile(dir)),
        Found::Failed(reason) | Found::Skipped(reason) | Found::Dangling(reason) => reason,
        Found::NoProfile if profiles.has(profile) => return Ok(Place::Remains),
        Found::NoProfile | Found::Closed => return Ok(Place::Nothing),
    };
    Err(Error::new("use the profile", place(profile), reason))
}

/// Opens the directory of a named profile; `None` if there is none. Fails if what is there is no usable profile.
pub fn directory(home: &Home, trusted: Trusted, profile: &ProfileName) -> Result<Option<Dir>> {
    match find(home, trusted, profile)? {
        Place::Profile(dir) => Ok(Some(dir)),
        Place::Nothing => Ok(None),
        Place::Remains => Err(Error::new("use the profile", place(profile), NO_SOUL)),
    }
}

/// Why a directory is no profile.
const NO_SOUL: &str = "it has no SOUL.md, so it is not a profile";

/// Returns what a directory of `profiles` is.
fn classify(name: &Name, dir: Dir, has_soul: std::result::Result<bool, Errno>) -> Found {
    match has_soul {
        Ok(false) => return Found::NoProfile,
        Err(errno) => return failed(name, errno.into()),
        Ok(true) => (),
    }
    match ProfileName::parse(name.bytes()) {
        Ok(profile) if profile.is_root() => {
            Found::Skipped("the name is reserved for the profile at HERMES_HOME".into())
        }
        Ok(profile) => Found::Profile(profile, dir),
        Err(why) => Found::Skipped(why.into()),
    }
}

/// Returns what an entry is that is not used.
fn refused(name: &Name, refusal: Refusal) -> Found {
    match refusal {
        Refusal::Missing | Refusal::NotADirectory(_) => Found::NoProfile,
        Refusal::Foreign(_) | Refusal::Unfollowed(_) => Found::Skipped(refusal.reason()),
        Refusal::Dangling(_) => Found::Dangling(refusal.reason()),
        Refusal::Failed(_) => failed(name, refusal.reason()),
    }
}

/// Returns a directory with what is wanted to be known of it.
fn with_known(dir: Dir, wanted: Option<Wanted>) -> (Dir, Known) {
    let Some(wanted) = wanted else { return (dir, Known::default()) };
    let mut known = wanted.of(&dir);
    known.look(&dir, &[&SOUL]);
    (dir, known)
}

/// Returns what an entry is at which a look has failed.
fn failed(name: &Name, reason: Reason) -> Found {
    let is_refused = reason == Reason::Errno(Errno::ACCESS);
    if is_refused && ProfileName::parse(name.bytes()).is_err() {
        Found::Closed
    } else {
        Found::Failed(reason)
    }
}

/// Returns the path of a named profile's directory, relative to `HERMES_HOME`.
pub fn place(profile: &ProfileName) -> PathBuf {
    path(&PROFILES).join(profile.text())
}

/// Returns the path of a file of a profile, relative to `HERMES_HOME`, for messages.
pub fn label(profile: &ProfileName, file: impl AsRef<Path>) -> PathBuf {
    if profile.is_root() { file.as_ref().to_owned() } else { place(profile).join(file) }
}

/// Returns the path of an entry of `profiles`, relative to `HERMES_HOME`, for messages.
pub fn label_of(name: &Name) -> PathBuf {
    path(&PROFILES).join(name)
}

fn path(name: &Name) -> &Path {
    name.as_ref()
}
