//! Which profiles there are: HERMES_HOME itself, and every directory of `profiles` that has a SOUL.md.

use super::home::{self, Home, Refusal, Trusted};
use crate::error::{Error, Reason, Result};
use crate::slot::ProfileName;
use crate::sys::keep::{self, Bytes};
use crate::sys::{Dir, Errno, Kind, Name};

static PROFILES: Name = Name::fixed(c"profiles");
/// What `hermes profile create` always writes: a directory without it is somebody's backup.
static SOUL: Name = Name::fixed(c"SOUL.md");

/// An entry of `profiles` that is a profile, or was meant to be one.
pub enum Found {
    /// A profile, and its directory, open for passage.
    Profile(ProfileName, Dir),
    /// A profile that can have no slot, and why.
    Skipped(Name, &'static str),
    /// A profile that could not be looked at, and why.
    Failed(Name, Reason),
    /// A directory that is no profile, or no directory.
    Nothing,
    /// A symlink that leads to no directory: a disk that is not there, perhaps.
    Dangling(Reason),
}

/// `profiles`, open.
pub struct Profiles {
    dir: Dir,
    trusted: Trusted,
}

impl Profiles {
    /// Opens `profiles`; `None` where there is none.
    pub fn open(home: &Home, trusted: Trusted) -> Result<Option<Profiles>> {
        match home::open_linkable(&home.dir, &PROFILES, trusted) {
            Err(Refusal::Missing) => Ok(None),
            Err(refusal) => Err(home::refused(&PROFILES, refusal)),
            Ok(dir) => Ok(Some(Profiles { dir, trusted })),
        }
    }

    /// The names in it that may be profiles, in byte order.
    pub fn names(&self) -> Result<Vec<Name>> {
        let list = || {
            let mut names = Vec::new();
            self.dir.readable()?.each(&mut |name, kind| {
                // What is certainly no directory is not asked further; a file system may not know, and say Other.
                if matches!(kind, Kind::Directory | Kind::Symlink | Kind::Other) {
                    names.push(name);
                }
                crate::sys::dir::Go::On
            })?;
            names.sort_unstable();
            Ok(names)
        };
        list().map_err(|errno: Errno| Error::new("list", PROFILES, errno))
    }

    /// What stands under a name.
    pub fn look(&self, name: &Name) -> Found {
        match home::open_linkable(&self.dir, name, self.trusted) {
            Ok(dir) => self.judge(name, dir),
            Err(Refusal::Missing) => Found::Nothing,
            Err(Refusal::Foreign(uid)) => Found::Skipped(*name, home::foreign(uid).text()),
            Err(Refusal::Other(reason)) => match self.dir.meta(name) {
                Ok(meta) if meta.kind == Kind::Symlink => Found::Dangling(reason),
                Ok(meta) if meta.kind == Kind::Directory => Found::Failed(*name, reason),
                _ => Found::Nothing,
            },
        }
    }

    fn judge(&self, name: &Name, dir: Dir) -> Found {
        match dir.meta(&SOUL) {
            Err(Errno::NOENT) => return Found::Nothing,
            Err(errno) => return Found::Failed(*name, errno.into()),
            Ok(_) => (),
        }
        match ProfileName::parse(name.bytes()) {
            Ok(profile) if profile.is_root() => {
                Found::Skipped(*name, "the name is reserved for the profile at HERMES_HOME")
            }
            Ok(profile) => Found::Profile(profile, dir),
            Err(why) => Found::Skipped(*name, why),
        }
    }

    /// What kind of entry a name is, where there is one.
    pub fn kind(&self, name: &Name) -> Option<Kind> {
        self.dir.meta(name).ok().map(|meta| meta.kind)
    }

    /// Opens one profile by name.
    pub fn profile(&self, profile: &ProfileName) -> Found {
        Name::new(profile.text()).map_or(Found::Nothing, |name| self.look(&name))
    }
}

/// The path of a file of a profile below HERMES_HOME, as messages name it.
pub fn label(profile: &ProfileName, file: &Name) -> Bytes {
    if profile.is_root() {
        return file.bytes();
    }
    keep::bytes(&[PROFILES.bytes(), b"/", profile.text().as_bytes(), b"/", file.bytes()])
}

/// The path of an entry of `profiles` below HERMES_HOME, as messages name it.
pub fn label_of(name: &Name) -> Bytes {
    keep::bytes(&[PROFILES.bytes(), b"/", name.bytes()])
}
