//! The profiles: `HERMES_HOME` itself, and every directory of `profiles` that has a SOUL.md.

use std::ops::ControlFlow;

use super::home::{self, Home, Refusal, Trusted};
use crate::error::{Error, Result};
use crate::slot::ProfileName;
use crate::sys::{self, Dir, Errno, Kind, Name, Reason, walk};

static PROFILES: Name = Name::fixed(c"profiles");
/// The file that `hermes profile create` always writes. A directory without it is no profile, a backup for example.
static SOUL: Name = Name::fixed(c"SOUL.md");

/// What an entry of `profiles` is.
pub enum Found {
    /// A profile; its directory is open for passage.
    Profile(ProfileName, Dir),
    /// A profile that can have no slot, and why.
    Skipped(Reason),
    /// A profile that could not be looked at, and why.
    Failed(Reason),
    /// A directory without SOUL.md, or no directory.
    NoProfile,
    /// A symlink that points to no directory, perhaps to a disk that is not mounted.
    Dangling(Reason),
}

/// The directory `profiles`, open.
pub struct Profiles {
    dir: Dir,
    trusted: Trusted,
}

impl Profiles {
    /// Opens `profiles`; `None` if there is none.
    pub fn open(home: &Home, trusted: Trusted) -> Result<Option<Profiles>> {
        match home::open_linkable(&home.dir, &PROFILES, trusted) {
            Err(Refusal::Missing) => Ok(None),
            Err(refusal) => Err(home::refused(&PROFILES, refusal)),
            Ok(dir) => Ok(Some(Profiles { dir, trusted })),
        }
    }

    /// Returns the names of the entries that may be profiles, in byte order.
    pub fn names(&self) -> Result<Vec<Name>> {
        let list = || {
            let mut names = Vec::new();
            self.dir.readable()?.each(&mut |name, kind| {
                // Some file systems do not report the type of an entry; it is Other then.
                if matches!(kind, Kind::Directory | Kind::Symlink | Kind::Other) {
                    names.push(name);
                }
                ControlFlow::Continue(())
            })?;
            names.sort_unstable();
            Ok(names)
        };
        list().map_err(|errno: Errno| Error::new("list", &PROFILES, errno))
    }

    /// Looks at an entry.
    pub fn look(&self, name: &Name) -> Found {
        match home::open_linkable(&self.dir, name, self.trusted) {
            Ok(dir) => judge(name, dir),
            Err(Refusal::Missing) => Found::NoProfile,
            Err(Refusal::Foreign(uid)) => Found::Skipped(walk::foreign(uid)),
            Err(Refusal::Other(reason)) => match self.dir.meta(name) {
                Ok(meta) if meta.kind == Kind::Symlink => Found::Dangling(reason),
                Ok(meta) if meta.kind == Kind::Directory => Found::Failed(reason),
                _ => Found::NoProfile,
            },
        }
    }

    /// Returns the type of an entry, if there is one.
    pub fn kind(&self, name: &Name) -> Option<Kind> {
        self.dir.meta(name).ok().map(|meta| meta.kind)
    }

    /// Returns whether anything but a file has a profile's name.
    pub fn has(&self, profile: &ProfileName) -> bool {
        let meta = Name::new(profile.text()).map(|name| self.dir.meta(&name));
        matches!(meta, Some(Ok(meta)) if matches!(meta.kind, Kind::Directory | Kind::Symlink))
    }

    /// Looks at a profile.
    pub fn profile(&self, profile: &ProfileName) -> Found {
        Name::new(profile.text()).map_or(Found::NoProfile, |name| self.look(&name))
    }
}

/// Decides what a directory of `profiles` is.
fn judge(name: &Name, dir: Dir) -> Found {
    match dir.meta(&SOUL) {
        Err(Errno::NOENT) => return Found::NoProfile,
        Err(errno) => return Found::Failed(errno.into()),
        Ok(_) => (),
    }
    match ProfileName::parse(name.bytes()) {
        Ok(profile) if profile.is_root() => {
            Found::Skipped("the name is reserved for the profile at HERMES_HOME".into())
        }
        Ok(profile) => Found::Profile(profile, dir),
        Err(why) => Found::Skipped(why.into()),
    }
}

/// Returns the path of a file of a profile, relative to `HERMES_HOME`, for messages.
pub fn label(profile: &ProfileName, file: &Name) -> Vec<u8> {
    if profile.is_root() {
        return file.bytes().to_vec();
    }
    sys::label(&[PROFILES.bytes(), profile.text().as_bytes(), file.bytes()])
}

/// Returns the path of an entry of `profiles`, relative to `HERMES_HOME`, for messages.
pub fn label_of(name: &Name) -> Vec<u8> {
    sys::label(&[PROFILES.bytes(), name.bytes()])
}
