//! The locks of boot passes and registrations. The wait is bounded: in delegated mode, whoever can read the scan directory can hold
//! its lock for ever. And a trial of the lock that s6-log takes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{self, FlockOperation, Mode, OFlags, fcntl_lock, flock};

use super::dir::meta_of;
use super::time::wait_until;
use super::{Dir, Errno, Kind, Name, file, remove};

/// Time between two attempts.
const INTERVAL: Duration = Duration::from_millis(20);
/// Time after which the wait is given up.
const LIMIT: Duration = Duration::from_secs(5);
/// The lock of a sealed scan directory.
static FILE: Name = Name::fixed(c".hermes-init.lock");

/// Makes a new file and locks it, as s6-log locks its directory, for as long as this call takes. Fails with EEXIST if there is one.
pub fn new_file(dir: &Dir, name: &Name) -> Result<(), Errno> {
    let file = file::create(dir, name, 0o644, b"")?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
}

/// The lock of a scan directory, until it is dropped.
#[derive(Debug)]
pub struct Held {
    _file: OwnedFd,
}

/// Locks a scan directory. Sealed, the lock is a file that only its owner, root, can open; otherwise it is the directory itself,
/// which the hermes user locks too. Fails with EAGAIN if somebody else holds the lock for five seconds.
pub fn scan_directory(scandir: &Dir, sealed: bool) -> Result<Held, Errno> {
    let file = if sealed { own_file(scandir)? } else { scandir.readable()?.into() };
    hold(file.as_fd())?;
    Ok(Held { _file: file })
}

/// Removes the lock file of a scan directory that is handed over.
pub fn abolish(scandir: &Dir) -> Result<(), Errno> {
    remove::tree(scandir, &FILE)
}

/// Locks a directory until its descriptor is closed. Fails with EAGAIN if somebody else holds the lock for five seconds.
pub fn exclusive(dir: &Dir) -> Result<(), Errno> {
    hold(dir.as_fd())
}

fn hold(file: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut done = Ok(());
    wait_until(LIMIT, INTERVAL, &mut || {
        done = flock(file, FlockOperation::NonBlockingLockExclusive);
        !matches!(done, Err(Errno::AGAIN | Errno::INTR))
    });
    done
}

/// Opens the lock file; makes it where it is missing. Another user who could write the directory earlier may have put something
/// in its place, or have it open.
fn own_file(scandir: &Dir) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = || fs::openat(scandir, FILE.c_str(), flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600));
    match open() {
        Ok(file) => {
            let meta = meta_of(&file)?;
            let is_own = meta.ids.uid == rustix::process::geteuid().as_raw();
            if meta.kind == Kind::Regular && is_own && meta.mode == 0o600 && meta.links == 1 {
                return Ok(file);
            }
        }
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => (),
        Err(errno) => return Err(errno),
    }
    abolish(scandir)?;
    open()
}
