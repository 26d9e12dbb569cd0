//! Locks, whose wait is bounded: whoever can read a file can hold its lock for ever, see [`Patience`].

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{self, FlockOperation, Mode, OFlags, fcntl_lock, flock};

use super::meta::meta_of;
use super::{Dir, Errno, Kind, Meta, Name, Patience, file, remove};

/// Time between two attempts.
const INTERVAL: Duration = Duration::from_millis(20);
/// A lock of flock(2), which is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

impl Lock {
    /// Locks a directory. Fails with EAGAIN if somebody else holds the lock for `limit`, or until the patience has run out.
    pub fn directory(dir: Dir, limit: Duration, patience: &Patience) -> Result<Lock, Errno> {
        Lock::hold(dir.into(), limit, patience)
    }

    /// Locks a file that only its owner, this process's user, can open; makes it where it is missing. Fails with EAGAIN if another
    /// process of that user holds the lock for five seconds, which are no other user's to take.
    pub fn private_file(dir: &Dir, name: &Name) -> Result<Lock, Errno> {
        let patience = Patience::new();
        Lock::hold(open_private(dir, name)?, patience.left(), &patience)
    }

    fn hold(file: OwnedFd, limit: Duration, patience: &Patience) -> Result<Lock, Errno> {
        let try_to_lock = || match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN | Errno::INTR) => None,
            done => Some(done),
        };
        let locked = patience.poll(limit, INTERVAL, try_to_lock);
        locked.unwrap_or(Err(Errno::AGAIN))?;
        Ok(Lock { _file: file })
    }
}

/// Makes a new file and locks it, as s6-log locks its directory, for as long as this call takes. Fails with EEXIST if there is one.
pub fn try_new_file(dir: &Dir, name: &Name) -> Result<(), Errno> {
    let file = file::create(dir, name, 0o644, b"")?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
}

/// Opens a file that is closed to other users; makes it where it is missing. Another user who could write the directory earlier may
/// have put something in its place, or have it open: that is replaced.
fn open_private(dir: &Dir, name: &Name) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = || fs::openat(dir, name.c_str(), flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600));
    match open() {
        Ok(file) => {
            if is_private(meta_of(file.as_fd())?, rustix::process::geteuid().as_raw()) {
                return Ok(file);
            }
        }
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => (),
        Err(errno) => return Err(errno),
    }
    remove::tree(dir, name)?;
    open()
}

/// Returns whether only this user can have opened the file.
fn is_private(meta: Meta, uid: u32) -> bool {
    meta.kind == Kind::Regular && meta.ids.uid == uid && meta.mode == 0o600 && meta.links == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Ids;

    #[test]
    fn a_file_that_another_user_may_have_open_is_not_private() {
        let meta = |kind, uid, mode, links| Meta {
            kind,
            mode,
            ids: Ids { uid, gid: 7 },
            links,
            size: 0,
            inode: 1,
            modified: 0,
        };
        assert!(is_private(meta(Kind::Regular, 0, 0o600, 1), 0));
        for other in [
            meta(Kind::Fifo, 0, 0o600, 1),
            meta(Kind::Directory, 0, 0o600, 1),
            meta(Kind::Regular, 1000, 0o600, 1),
            meta(Kind::Regular, 0, 0o640, 1),
            meta(Kind::Regular, 0, 0o644, 1),
            meta(Kind::Regular, 0, 0o600, 2),
        ] {
            assert!(!is_private(other, 0), "{other:?}");
        }
    }
}
