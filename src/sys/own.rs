//! Giving files to an owner. Not being allowed to (rootless containers, NAS file systems, `--user`) is tolerated and
//! remembered, so that it can be said once.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};

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

/// Sets owners, until the kernel refuses once.
#[derive(Debug)]
pub struct Chowner {
    me: Ids,
    refused: Cell<Option<Errno>>,
    probed: Cell<bool>,
}

impl Default for Chowner {
    fn default() -> Chowner {
        Chowner::new()
    }
}

impl Chowner {
    /// For this process, with its effective ids.
    pub fn new() -> Chowner {
        let me = Ids { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        Chowner { me, refused: Cell::new(None), probed: Cell::new(false) }
    }

    /// The effective ids of this process: who owns what it makes.
    pub fn me(&self) -> Ids {
        self.me
    }

    /// Whether this process runs as root.
    pub fn is_root(&self) -> bool {
        self.me.uid == 0
    }

    /// The errno with which the kernel refused to change an owner, if it did.
    pub fn refused(&self) -> Option<Errno> {
        self.refused.get()
    }

    /// What is said, once, of that.
    pub fn refusal(&self, errno: Errno) -> String {
        let why = crate::error::Reason::from(errno);
        format!("not allowed to change owners ({why}): what was made belongs to uid {}", self.me.uid)
    }

    /// Gives an open file to `want`. EPERM (no right to) and EINVAL (an id that the user namespace does not map) are
    /// remembered and are no error; after that nothing is tried again.
    pub fn give(&self, file: impl AsFd, want: Ids) -> Result<(), Errno> {
        self.tolerate(|| fs::fchown(file, Some(Uid::from_raw(want.uid)), Some(Gid::from_raw(want.gid))))
    }

    /// [`Chowner::give`] by name, no symlink followed: only in a directory that nobody else can write.
    pub fn give_own(&self, dir: &Dir, name: &Name, want: Ids) -> Result<(), Errno> {
        self.tolerate(|| {
            let (uid, gid) = (Uid::from_raw(want.uid), Gid::from_raw(want.gid));
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

    /// Whether `found` is as good as `want`: the same, or our own where the kernel does not let us give files away.
    /// The latter is found out once, on a nameless file in `dir`, so that a pass that may not give anything away
    /// finds its own earlier work as desired and leaves it alone.
    pub fn is_settled(&self, found: Ids, want: Ids, dir: &Dir) -> bool {
        if found == want {
            return true;
        }
        if found != self.me {
            return false;
        }
        if self.refused.get().is_none() && !self.probed.replace(true) {
            let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
            if let Ok(nameless) = fs::openat(dir, c".", flags, Mode::empty()) {
                let nameless: OwnedFd = nameless;
                // The answer is kept in `refused`.
                let _ = self.give(&nameless, want);
            }
        }
        self.refused.get().is_some()
    }
}
