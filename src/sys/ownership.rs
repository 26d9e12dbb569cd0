//! Owner changes. A refusal (rootless containers, network storage, `--user`) is tolerated and remembered, and reported once.

use std::cell::RefCell;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, Uid};

use super::{Dir, Errno, Name, meta};

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Changes owners until the kernel refuses, on each file system separately.
#[derive(Debug)]
pub struct Ownership {
    process: Ids,
    /// The file systems (`st_dev`) that refused, and how.
    refused: RefCell<Vec<(u64, Errno)>>,
    /// The file systems on which a change was tried to see whether the kernel refuses it.
    probed: RefCell<Vec<u64>>,
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
        Ownership { process: Ids { uid, gid }, refused: RefCell::default(), probed: RefCell::default() }
    }

    /// Returns the effective ids of this process: the owner of what it makes.
    pub fn process(&self) -> Ids {
        self.process
    }

    /// Returns whether this process runs as root.
    pub fn is_root(&self) -> bool {
        self.process.uid == 0
    }

    /// Returns the errno with which the kernel refused an owner change on some file system, if it did.
    pub fn refused(&self) -> Option<Errno> {
        self.refused.borrow().first().map(|(_, errno)| *errno)
    }

    /// Returns whether the kernel has refused an owner change on the file system of this open file.
    pub fn is_refused_on(&self, file: impl AsFd) -> bool {
        let refused = self.refused.borrow();
        let on = |device| refused.iter().any(|(refusing, _)| *refusing == device);
        !refused.is_empty() && on(device(file.as_fd()))
    }

    /// Changes the owner of an open file. EPERM (no permission) and EINVAL (an id that the user namespace does not map) are
    /// remembered and tolerated; after one of them no change is tried again on that file system.
    pub fn change(&self, file: impl AsFd, wanted: Ids) -> Result<(), Errno> {
        let (file, Ids { uid, gid }) = (file.as_fd(), wanted);
        self.tolerate(file, || fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
    }

    /// [`Ownership::change_at`] for a path of the program's own, in a tree that nobody else can write.
    pub fn change_path(&self, dir: &Dir, path: &'static CStr, wanted: Ids) -> Result<(), Errno> {
        let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        let chown = || fs::chownat(dir, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        self.tolerate(dir.as_fd(), chown)
    }

    /// [`Ownership::change`] by name, without following a symlink: only for a directory that nobody else can write.
    pub fn change_at(&self, dir: &Dir, name: &Name, wanted: Ids) -> Result<(), Errno> {
        let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        let chown = || fs::chownat(dir, name.c_str(), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        self.tolerate(dir.as_fd(), chown)
    }

    /// Calls `chown` for a file on the file system of `near`, unless the kernel has refused one there; remembers a refusal.
    fn tolerate(&self, near: BorrowedFd<'_>, chown: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        if self.is_refused_on(near) {
            return Ok(());
        }
        match chown() {
            Err(errno @ (Errno::PERM | Errno::INVAL)) => {
                self.refused.borrow_mut().push((device(near), errno));
                Ok(())
            }
            done => done,
        }
    }

    /// Returns whether owner `found` needs no change to `wanted`: it is the same, or it is this process's user, with whichever group (a
    /// setgid directory gives its own), and the kernel refuses owner changes on the file system of `dir`. The latter is tried once, on an unnamed file in `dir`, so that a process without
    /// that permission accepts what an earlier one made.
    pub fn accepts(&self, found: Ids, wanted: Ids, dir: &Dir) -> bool {
        if found == wanted {
            return true;
        }
        if found.uid != self.process.uid {
            return false;
        }
        let near = dir.as_fd();
        let device = device(near);
        if !self.probed.borrow().contains(&device) && !self.is_refused_on(near) {
            self.probed.borrow_mut().push(device);
            let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
            if let Ok(unnamed) = fs::openat(near, c".", flags, Mode::empty()) {
                // The answer is kept in `refused`.
                let _ = self.change(&unnamed, wanted);
            }
        }
        self.is_refused_on(near)
    }
}

/// Returns the file system (`st_dev`) of an open file; a number that no file system has if fstat(2) fails.
fn device(file: BorrowedFd<'_>) -> u64 {
    meta::device(file).unwrap_or(u64::MAX)
}
