//! Owner changes. A refusal (rootless containers, network storage, `--user`) is tolerated and remembered, so that it is reported
//! once.

use std::cell::Cell;
use std::os::fd::AsFd;

use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, Uid};

use super::{Dir, Errno, Name};

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Changes owners until the kernel refuses once.
#[derive(Debug)]
pub struct Ownership {
    process: Ids,
    refused: Cell<Option<Errno>>,
    probed: Cell<bool>,
}

impl Default for Ownership {
    fn default() -> Ownership {
        Ownership::new()
    }
}

impl Ownership {
    /// Starts with the effective ids of this process and no refusal.
    pub fn new() -> Ownership {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        Ownership { process: Ids { uid, gid }, refused: Cell::new(None), probed: Cell::new(false) }
    }

    /// Returns the effective ids of this process: the owner of what it makes.
    pub fn process(&self) -> Ids {
        self.process
    }

    /// Returns whether this process runs as root.
    pub fn is_root(&self) -> bool {
        self.process.uid == 0
    }

    /// Returns the errno with which the kernel refused an owner change, if it did.
    pub fn refused(&self) -> Option<Errno> {
        self.refused.get()
    }

    /// Changes the owner of an open file. EPERM (no permission) and EINVAL (an id that the user namespace does not map) are
    /// remembered and tolerated; after one of them no change is tried again.
    pub fn change(&self, file: impl AsFd, wanted: Ids) -> Result<(), Errno> {
        self.tolerate(|| fs::fchown(file, Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid))))
    }

    /// [`Ownership::change`] by name, without following a symlink: only for a directory that nobody else can write.
    pub fn change_at(&self, dir: &Dir, name: &Name, wanted: Ids) -> Result<(), Errno> {
        self.tolerate(|| {
            let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
            fs::chownat(dir, name.c_str(), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    fn tolerate(&self, chown: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        if self.refused.get().is_some() {
            return Ok(());
        }
        match chown() {
            Err(errno @ (Errno::PERM | Errno::INVAL)) => {
                self.refused.set(Some(errno));
                Ok(())
            }
            done => done,
        }
    }

    /// Returns whether `found` needs no change to `wanted`: it is the same, or it is this process's and the kernel refuses owner
    /// changes. The latter is tried once, on an unnamed file in `dir`, so that a pass without that permission accepts what an
    /// earlier one made.
    pub fn accepts(&self, found: Ids, wanted: Ids, dir: &Dir) -> bool {
        if found == wanted {
            return true;
        }
        if found != self.process {
            return false;
        }
        if self.refused.get().is_none() && !self.probed.replace(true) {
            let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
            if let Ok(unnamed) = fs::openat(dir, c".", flags, Mode::empty()) {
                // The answer is kept in `refused`.
                let _ = self.change(&unnamed, wanted);
            }
        }
        self.refused.get().is_some()
    }
}
