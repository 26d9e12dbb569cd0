//! `HERMES_HOME`: how it and the directories on it that may be symlinks are opened, and as whom this process works there.

use std::cell::OnceCell;
use std::path::Path;

use super::contents::{Contents, Known};
use crate::output::{Context, Error, Result};
use crate::sys::space::{self, FileSystem, Space};
use crate::sys::walk::{self, Missing};
use crate::sys::{Dir, Errno, Ids, Kind, Name, Ownership, Reason, as_user};
use crate::volume::advice;

/// What mkfs(8) makes in a file system that is empty otherwise.
static LOST_AND_FOUND: Name = Name::fixed(c"lost+found");

/// The users who may own the target of a symlink on the volume.
#[derive(Debug, Clone, Copy)]
pub struct Trusted {
    /// The hermes user.
    pub owner: Ids,
    /// This process's user.
    pub me: u32,
}

impl Trusted {
    /// Returns the users whom this process trusts if `owner` is the hermes user.
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
    /// The hermes user, if root is refused here: root lacks a capability, or a file server takes root for nobody.
    user: Option<Ids>,
    /// What is known of it; nothing before it is asked for.
    known: OnceCell<Known>,
    /// The space of its file system; not asked for yet.
    space: OnceCell<std::result::Result<Space, Errno>>,
}

impl Home {
    /// Opens `HERMES_HOME`.
    pub fn open(path: &Path, trusted: Trusted) -> Result<Home> {
        Home::open_as_permitted(path, trusted, Missing::Fail)
    }

    /// Opens `HERMES_HOME`; makes it for the owner if it is missing.
    pub fn open_or_make(path: &Path, ownership: &Ownership, owner: Ids) -> Result<Home> {
        let home = Home::open_as_permitted(path, Trusted::new(owner, ownership), Missing::Make)?;
        // Also one that an interrupted pass has made, and a new volume.
        hand_over_new(&home.dir, owner, ownership, &[&LOST_AND_FOUND])
            .context("change the owner of", path)?;
        Ok(home)
    }

    /// Returns what is in the directory, as far as that was known when this was first asked for.
    pub fn contents(&self) -> Contents<'_> {
        Contents::new(&self.dir, self.known.get_or_init(|| self.list()))
    }

    /// Returns what one listing tells of the directory now, if it is on a remote file system; else nothing.
    pub fn list(&self) -> Known {
        if is_remote(self.space()) { Known::list(&self.dir) } else { Known::default() }
    }

    /// Returns whether a look in a directory may be one at another machine; false also if it cannot be found out.
    pub fn is_remote(&self, dir: &Dir) -> bool {
        is_remote(self.space_of(dir))
    }

    /// Returns the space of the file system that a directory is on. That of `HERMES_HOME` is asked for once.
    pub fn space_of(&self, dir: &Dir) -> std::result::Result<Space, Errno> {
        if dir.device()? == self.dir.device()? { self.space() } else { space::of(dir) }
    }

    fn space(&self) -> std::result::Result<Space, Errno> {
        *self.space.get_or_init(|| space::of(&self.dir))
    }

    /// Calls `work` as the user who may work on the volume: the hermes user where root is refused, else this process's user. Fails if
    /// this process cannot become that user; `work` is not called then.
    pub fn as_its_user<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match self.user {
            None => work(),
            Some(ids) => {
                let done = as_user(ids, &[], work);
                done.context("switch to the hermes user", ids)?
            }
        }
    }

    /// Opens the volume as this process's user; where root is refused, as the hermes user.
    fn open_as_permitted(path: &Path, trusted: Trusted, missing: Missing) -> Result<Home> {
        let home = Home::walk(path, trusted, missing);
        let is_refused = || match &home {
            Ok(home) => home.dir.try_to_use() == Err(Errno::ACCESS),
            Err(reason) => *reason == Reason::Errno(Errno::ACCESS),
        };
        if trusted.me == 0 && is_refused() {
            let as_owner = as_user(trusted.owner, &[], || Home::walk(path, trusted, missing));
            if let Ok(Ok(home)) = as_owner {
                return Ok(Home { user: Some(trusted.owner), ..home });
            }
            // Nobody can work there: neither root nor the hermes user, or root cannot become that user. What root is refused is the
            // error.
        }
        let explained = home.map_err(|reason| match reason {
            Reason::Errno(Errno::ACCESS) => advice::explained(&reason, path, path, trusted.owner.uid).into(),
            reason => reason,
        });
        // What is still missing is what could not be made.
        let is_missing = || Home::walk(path, trusted, Missing::Fail).err() == Some(Errno::NOENT.into());
        explained.map_err(|reason| {
            let verb = if missing == Missing::Make && is_missing() { "make" } else { "open" };
            Error::new(verb, path, reason)
        })
    }

    /// Opens the path component by component: it may lead through a directory of the hermes user, who can put a symlink there.
    fn walk(path: &Path, trusted: Trusted, missing: Missing) -> std::result::Result<Home, Reason> {
        // A process without root's permissions cannot be misled into using them.
        let follow = |uid| trusted.me != 0 || trusted.includes(uid);
        let opened = walk::open(path, missing, follow)?;
        let (dir, made) = (opened.dir.readable()?, opened.is_new);
        Ok(Home { dir, made, user: None, known: OnceCell::new(), space: OnceCell::new() })
    }
}

fn is_remote(space: std::result::Result<Space, Errno>) -> bool {
    space.is_ok_and(|space| space.kind == FileSystem::Remote)
}

/// Calls `make` as the owner, to whom what it makes belongs then. Where that cannot be, or fails, calls it as this process's user, who
/// hands over what it has made.
pub fn make_for<T, E>(
    owner: Ids,
    ownership: &Ownership,
    make: impl Fn() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    match ownership.is_root().then(|| as_user(owner, &[], &make)) {
        Some(Ok(Ok(result))) => Ok(result),
        _ => make(),
    }
}

/// Changes the owner of a directory that a pass has just made. The new owner could have exchanged it for another directory of this
/// process's user meanwhile, so only one that holds nothing but `known` entries is handed over.
pub fn hand_over_new(
    dir: &Dir,
    owner: Ids,
    ownership: &Ownership,
    known: &[&Name],
) -> std::result::Result<(), Errno> {
    let found = dir.own_meta()?.ids;
    if let Some(wanted) = owner_of_new(found, owner, ownership.process()) {
        let dir = dir.readable()?;
        if dir.names()?.iter().all(|name| known.contains(&name)) {
            ownership.change(dir, wanted)?;
        }
    }
    Ok(())
}

/// Returns the ids that a directory with the ids `found` gets if it is the process's and not yet the owner's.
fn owner_of_new(found: Ids, owner: Ids, process: Ids) -> Option<Ids> {
    if found.uid != process.uid || found == owner {
        None
    } else if found.gid == process.gid {
        Some(owner)
    } else {
        (found.uid != owner.uid).then_some(Ids { uid: owner.uid, gid: found.gid })
    }
}

/// Why a directory on the volume is not used.
pub enum Refusal {
    /// There is nothing of this name.
    Missing,
    /// It is a symlink to a directory of this user, who is not trusted.
    Foreign(u32),
    /// It is a symlink, but not to a directory; how, for a message.
    Dangling(&'static str),
    /// It is a symlink that is not followed to its end; why, for a message.
    Unfollowed(Reason),
    /// It is another kind of file.
    NotADirectory(Kind),
    /// It could not be looked at.
    Failed(Errno),
}

/// Opens with `O_PATH` a directory of the volume that may be a symlink to another disk.
pub fn open_linkable(parent: &Dir, name: &Name, trusted: Trusted) -> std::result::Result<Dir, Refusal> {
    open_unlinked(parent, name)?.map_or_else(|| follow(parent, name, trusted), Ok)
}

/// Opens with `O_PATH` a directory of the volume; `None` if it is a symlink.
pub fn open_unlinked(parent: &Dir, name: &Name) -> std::result::Result<Option<Dir>, Refusal> {
    unlinked(parent, name, parent.open_path(name))
}

/// Opens a directory of the volume for reading if that can be, else with `O_PATH`, which asks nothing of its file system; `None` if it is a
/// symlink.
pub fn open_unlinked_to_list(parent: &Dir, name: &Name) -> std::result::Result<Option<Dir>, Refusal> {
    match parent.dir(name) {
        Err(errno) if !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
            open_unlinked(parent, name)
        }
        opened => unlinked(parent, name, opened),
    }
}

fn unlinked(
    parent: &Dir,
    name: &Name,
    opened: std::result::Result<Dir, Errno>,
) -> std::result::Result<Option<Dir>, Refusal> {
    match opened {
        Ok(dir) => return Ok(Some(dir)),
        Err(Errno::NOENT) => return Err(Refusal::Missing),
        // A symlink that O_DIRECTORY and O_NOFOLLOW refuse, or no directory.
        Err(Errno::NOTDIR | Errno::LOOP) => (),
        Err(errno) => return Err(Refusal::Failed(errno)),
    }
    match parent.meta(name).map_err(Refusal::Failed)?.kind {
        Kind::Symlink => Ok(None),
        kind => Err(Refusal::NotADirectory(kind)),
    }
}

/// Opens with `O_PATH` the directory to which a symlink on the volume leads, if it is a trusted user's: the owner of the opened directory
/// is checked, not its name.
pub fn follow(parent: &Dir, link: &Name, trusted: Trusted) -> std::result::Result<Dir, Refusal> {
    let dir = parent.follow(link).map_err(|reason| match reason {
        Reason::Errno(Errno::NOENT | Errno::NAMETOOLONG) => Refusal::Dangling("is a dangling symlink"),
        Reason::Errno(Errno::NOTDIR) => Refusal::Dangling("is a symlink, but not to a directory"),
        Reason::Errno(errno) => Refusal::Failed(errno),
        Reason::Rule(_) | Reason::Unread(_) => Refusal::Unfollowed(reason),
    })?;
    let owner = dir.own_meta().map_err(Refusal::Failed)?.ids.uid;
    if trusted.includes(owner) { Ok(dir) } else { Err(Refusal::Foreign(owner)) }
}

impl Refusal {
    /// Returns the reason for a message.
    pub fn reason(self) -> Reason {
        match self {
            Refusal::Missing => Errno::NOENT.into(),
            Refusal::Foreign(uid) => walk::foreign(uid),
            Refusal::Dangling(how) => how.into(),
            Refusal::Unfollowed(why) => why,
            Refusal::NotADirectory(kind) => format!("is {}, not a directory", kind.text()).into(),
            Refusal::Failed(errno) => errno.into(),
        }
    }
}

/// Returns the error for a directory of the volume that is not used.
pub fn refused(name: &Name, refusal: Refusal) -> Error {
    Error::new("use", name, refusal.reason())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_has_made_is_its_users_whatever_the_group_is() {
        let ids = |(uid, gid)| Ids { uid, gid };
        for (found, owner, process, expected) in [
            ((0, 0), (7, 8), (0, 0), Some((7, 8))),
            // A setgid directory has given its group.
            ((0, 8), (7, 8), (0, 0), Some((7, 8))),
            ((0, 9), (7, 8), (0, 0), Some((7, 9))),
            ((7, 9), (7, 8), (7, 8), None),
            ((7, 9), (7, 8), (0, 0), None),
            ((7, 8), (7, 8), (0, 0), None),
            ((5, 0), (7, 8), (0, 0), None),
            // Neither root.
            ((5, 5), (7, 8), (5, 5), Some((7, 8))),
            ((7, 5), (7, 8), (7, 5), Some((7, 8))),
        ] {
            assert_eq!(owner_of_new(ids(found), ids(owner), ids(process)), expected.map(ids), "{found:?}");
        }
    }
}
