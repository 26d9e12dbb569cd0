//! HERMES_HOME: opened, made where it is missing, and the directories on it that may be symlinks.

use std::ffi::CStr;

use crate::error::{Context, Error, Reason, Result};
use crate::sys::{Chowner, Dir, Errno, Ids, Name};

/// Who may own a directory to which a symlink on the volume leads.
#[derive(Debug, Clone, Copy)]
pub struct Trusted {
    /// The hermes user.
    pub owner: u32,
    /// This process's user.
    pub me: u32,
}

impl Trusted {
    /// The owner; and, where we are not root, ourselves: without root there is nothing that could be led astray.
    pub fn includes(self, uid: u32) -> bool {
        uid == self.owner || (self.me != 0 && uid == self.me)
    }
}

/// HERMES_HOME, open.
pub struct Home {
    /// The directory.
    pub dir: Dir,
    /// Whether it was made just now.
    pub made: bool,
}

impl Home {
    /// Opens HERMES_HOME at a path of the operator's.
    pub fn open(path: &CStr) -> Result<Home> {
        let dir = Dir::at(path).context("open", path.to_bytes())?;
        Ok(Home { dir, made: false })
    }

    /// Opens HERMES_HOME, or makes it and gives it to the owner.
    pub fn open_or_make(path: &CStr, chowner: &Chowner, owner: Ids) -> Result<Home> {
        let (dir, made) = Dir::make_at(path).context("open", path.to_bytes())?;
        if made {
            give_new(&dir, owner, chowner).context("give away", path.to_bytes())?;
        }
        Ok(Home { dir, made })
    }
}

/// Gives a directory that was made just now to the owner, who could have exchanged it for another one of ours meanwhile: an empty
/// one is no loss to anybody.
pub fn give_new(dir: &Dir, owner: Ids, chowner: &Chowner) -> std::result::Result<(), Errno> {
    let found = dir.own_meta()?.ids;
    if found != owner && found == chowner.me() && dir.names()?.is_empty() {
        chowner.give(dir, owner)?;
    }
    Ok(())
}

/// Why a directory on the volume is not used.
pub enum Refusal {
    /// Nothing is there.
    Missing,
    /// A symlink to a directory of somebody who is not trusted.
    Foreign(u32),
    /// Anything else.
    Other(Reason),
}

/// Opens, for passage, a directory of the volume that people may have linked to another disk: a symlink is followed only where
/// the directory behind it belongs to who is trusted. What is opened is checked, not the name.
pub fn open_linkable(parent: &Dir, name: &Name, trusted: Trusted) -> std::result::Result<Dir, Refusal> {
    let other = |errno: Errno| Refusal::Other(errno.into());
    match parent.passage(name) {
        Ok(dir) => return Ok(dir),
        Err(Errno::NOENT) => return Err(Refusal::Missing),
        // What O_DIRECTORY says to a symlink that it may not follow, and to all else that is no directory.
        Err(Errno::NOTDIR | Errno::LOOP) => (),
        Err(errno) => return Err(other(errno)),
    }
    let meta = parent.meta(name).map_err(other)?;
    if meta.kind != crate::sys::Kind::Symlink {
        return Err(Refusal::Other(format!("is {}, not a directory", meta.kind.text()).into()));
    }
    let dir = match parent.passage_through_link(name) {
        Err(Errno::NOENT) => return Err(Refusal::Other("is a symlink that leads nowhere".into())),
        Err(Errno::NOTDIR) => return Err(Refusal::Other("is a symlink, but not to a directory".into())),
        dir => dir.map_err(other)?,
    };
    let owner = dir.own_meta().map_err(other)?.ids.uid;
    if trusted.includes(owner) { Ok(dir) } else { Err(Refusal::Foreign(owner)) }
}

impl Refusal {
    /// As a reason for a person.
    pub fn reason(self) -> Reason {
        match self {
            Refusal::Missing => Errno::NOENT.into(),
            Refusal::Foreign(uid) => foreign(uid),
            Refusal::Other(reason) => reason,
        }
    }
}

/// What is said of a symlink to somebody else's directory.
pub fn foreign(uid: u32) -> Reason {
    format!("is a symlink to a directory of uid {uid}, who is not the hermes user").into()
}

/// An [`Error`] for a directory of the volume.
pub fn refused(name: &Name, refusal: Refusal) -> Error {
    Error::new("use", name, refusal.reason())
}
