//! `HERMES_HOME`: opened, made if it is missing, and the directories on it that may be symlinks.

use std::path::Path;

use crate::output::{Context, Error, Result};
use crate::sys::walk::{self, Rule};
use crate::sys::{Dir, Errno, Ids, Kind, Name, Ownership, Reason, as_user};
use crate::volume::advice;

/// The users who may own the target of a symlink on the volume.
#[derive(Debug, Clone, Copy)]
pub struct Trusted {
    /// The hermes user.
    pub owner: Ids,
    /// This process's user.
    pub me: u32,
}

impl Trusted {
    /// Makes the trust of this process in the hermes user.
    pub fn new(owner: Ids, ownership: &Ownership) -> Trusted {
        Trusted { owner, me: ownership.process().uid }
    }

    /// Returns whether a user is trusted: the hermes user, and this process's user unless that is root. A process without root's
    /// permissions cannot be misled into using them.
    pub fn includes(self, uid: u32) -> bool {
        uid == self.owner.uid || (self.me != 0 && uid == self.me)
    }
}

/// `HERMES_HOME`, open.
pub struct Home {
    /// The directory.
    pub dir: Dir,
    /// Whether it was missing and has been made.
    pub made: bool,
    /// The hermes user, if root is refused here: it lacks a capability, or a file server takes it for nobody.
    user: Option<Ids>,
}

impl Home {
    /// Opens `HERMES_HOME`.
    pub fn open(path: &Path, trusted: Trusted) -> Result<Home> {
        Home::walk(path, trusted, false)
    }

    /// Opens `HERMES_HOME`, or makes it for the owner.
    pub fn open_or_make(path: &Path, ownership: &Ownership, owner: Ids) -> Result<Home> {
        let home = Home::walk(path, Trusted::new(owner, ownership), true)?;
        // Also one that an interrupted pass has made, and a new volume.
        let done = hand_over_new(&home.dir, owner, ownership, &[]);
        done.context("change the owner of", path)?;
        Ok(home)
    }

    /// Calls `work` as the user as whom to work on the volume: the hermes user where root is refused, else this process's. Fails if
    /// this process cannot become that user; `work` is not called then.
    pub fn as_its_user<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.user {
            None => work(),
            Some(ids) => {
                let done = as_user(ids, &[], work);
                done.context("change to the hermes user", format!("{}:{}", ids.uid, ids.gid))?
            }
        }
    }

    fn walk(path: &Path, trusted: Trusted, make: bool) -> Result<Home> {
        let mut home = Home::walk_as_self(path, trusted, make);
        let is_refused = || match &home {
            Ok(home) => home.dir.try_to_use(Path::new(".")) == Err(Errno::ACCESS),
            Err(reason) => *reason == Reason::Errno(Errno::ACCESS),
        };
        // It is the hermes user's volume.
        if trusted.me == 0
            && is_refused()
            && let Ok(Ok(own)) = as_user(trusted.owner, &[], || Home::walk_as_self(path, trusted, make))
        {
            home = Ok(Home { user: Some(trusted.owner), ..own });
        }
        let explained = home.map_err(|reason| match reason {
            Reason::Errno(Errno::ACCESS) => advice::explained(&reason, path, path, trusted.owner.uid).into(),
            reason => reason,
        });
        explained.context("open", path)
    }

    /// Opens the path step by step: it may lead through a directory of the hermes user, who can put a symlink there.
    fn walk_as_self(path: &Path, trusted: Trusted, make: bool) -> std::result::Result<Home, Reason> {
        // A process without root's permissions cannot be misled into using them.
        let follow = |uid| trusted.me != 0 || trusted.includes(uid);
        let opened = walk::open(path, Rule::Links(&follow), make)?;
        Ok(Home { dir: opened.0.readable()?, made: opened.1, user: None })
    }
}

/// Changes the owner of a directory that a pass has just made. The new owner could have exchanged it for another directory of this
/// process's user meanwhile, so only one that holds nothing but what is named is handed over.
pub fn hand_over_new(
    dir: &Dir,
    owner: Ids,
    ownership: &Ownership,
    known: &[&Name],
) -> std::result::Result<(), Errno> {
    let found = dir.own_meta()?.ids;
    if found != owner && found == ownership.process() {
        let dir = dir.readable()?;
        if dir.names()?.iter().all(|name| known.contains(&name)) {
            ownership.change(dir, owner)?;
        }
    }
    Ok(())
}

/// Why a directory on the volume is not used.
pub enum Refusal {
    /// There is none.
    Missing,
    /// A symlink to a directory of this user, who is not trusted.
    Foreign(u32),
    /// Anything else.
    Other(Reason),
}

/// Opens for passage a directory of the volume that may be a symlink to another disk. A symlink is followed only to a directory
/// of a trusted user. The opened directory is checked, not its name.
pub fn open_linkable(parent: &Dir, name: &Name, trusted: Trusted) -> std::result::Result<Dir, Refusal> {
    let other = |errno: Errno| Refusal::Other(errno.into());
    match parent.open_path(name) {
        Ok(dir) => return Ok(dir),
        Err(Errno::NOENT) => return Err(Refusal::Missing),
        // A symlink that O_DIRECTORY and O_NOFOLLOW refuse, or no directory.
        Err(Errno::NOTDIR | Errno::LOOP) => (),
        Err(errno) => return Err(other(errno)),
    }
    let meta = parent.meta(name).map_err(other)?;
    if meta.kind != Kind::Symlink {
        return Err(Refusal::Other(format!("is {}, not a directory", meta.kind.text()).into()));
    }
    let dir = match parent.open_path_following(name) {
        Err(Errno::NOENT | Errno::LOOP | Errno::NAMETOOLONG) => {
            return Err(Refusal::Other("is a symlink that leads nowhere".into()));
        }
        Err(Errno::NOTDIR) => return Err(Refusal::Other("is a symlink, but not to a directory".into())),
        dir => dir.map_err(other)?,
    };
    let owner = dir.own_meta().map_err(other)?.ids.uid;
    if trusted.includes(owner) { Ok(dir) } else { Err(Refusal::Foreign(owner)) }
}

impl Refusal {
    /// Returns the reason for a message.
    pub fn reason(self) -> Reason {
        match self {
            Refusal::Missing => Errno::NOENT.into(),
            Refusal::Foreign(uid) => walk::foreign(uid),
            Refusal::Other(reason) => reason,
        }
    }
}

/// Makes an error for a directory of the volume.
pub fn refused(name: &Name, refusal: Refusal) -> Error {
    Error::new("use", name, refusal.reason())
}
