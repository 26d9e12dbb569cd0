//! What this process may do with a file as its effective user, also where the kernel has no faccessat2(2) (before Linux 5.8: ENOSYS) or a
//! seccomp filter refuses it (ENOSYS, EPERM). EPERM is also what the kernel says of an immutable file.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::{self, Access, AtFlags, Mode, OFlags};
use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};

use super::meta::meta_of;
use super::{Errno, acl};

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Fails if this process may not use an open directory so.
pub(super) fn to_directory(dir: impl AsFd, access: Access) -> Result<(), Errno> {
    match effective(&dir, c".", access) {
        Err(unanswered @ (Errno::NOSYS | Errno::PERM)) => by_opening(&dir, access, unanswered),
        done => done,
    }
}

/// Fails if this process may not execute the program at a path; symlinks are followed.
pub(super) fn to_program(dir: impl AsFd, path: &CStr) -> Result<(), Errno> {
    match effective(&dir, path, Access::EXEC_OK) {
        Err(unanswered @ (Errno::NOSYS | Errno::PERM)) => by_mode(&dir, path, unanswered),
        done => done,
    }
}

/// Asks the kernel. The older faccessat(2) asks for the real user, which is another one while root acts as the hermes user.
fn effective(dir: impl AsFd, path: &CStr, access: Access) -> Result<(), Errno> {
    match fs::accessat(&dir, path, access, AtFlags::EACCESS) {
        Err(Errno::NOSYS | Errno::PERM) if getuid() == geteuid() && getgid() == getegid() => {
            fs::accessat(&dir, path, access, AtFlags::empty())
        }
        done => done,
    }
}

/// Finds out by opening the directory. The kernel permits to make a file in it before it looks whether the file system can make one
/// without a name; one that it makes has none, and is gone when it is closed.
fn by_opening(dir: impl AsFd, access: Access, unanswered: Errno) -> Result<(), Errno> {
    // The look-up of `.` needs the permission to search, whatever it is opened for.
    let reading = if access.contains(Access::READ_OK) { OFlags::RDONLY } else { OFlags::PATH };
    fs::openat(&dir, c".", DIRECTORY | reading, Mode::empty())?;
    if !access.contains(Access::WRITE_OK) {
        return Ok(());
    }
    let unnamed = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match fs::openat(&dir, c".", unnamed, Mode::RUSR | Mode::WUSR) {
        Ok(_) | Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::DQUOT) => Ok(()),
        // Before Linux 3.11.
        Err(Errno::ISDIR | Errno::INVAL) => Err(unanswered),
        Err(errno) => Err(errno),
    }
}

/// Finds out by mode, owner and groups: nothing but execve(2) opens a file in order to execute it. An access control list, which may
/// permit more or less to all but the owner, leaves the question open.
fn by_mode(dir: impl AsFd, path: &CStr, unanswered: Errno) -> Result<(), Errno> {
    let file = fs::openat(&dir, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let meta = meta_of(&file)?;
    let bit = if meta.ids.uid == geteuid().as_raw() {
        0o100
    } else if acl::is_there_at(&file).map_err(|_| unanswered)? {
        return Err(unanswered);
    } else if getegid().as_raw() == meta.ids.gid
        || getgroups()?.iter().any(|gid| gid.as_raw() == meta.ids.gid)
    {
        0o010
    } else {
        0o001
    };
    if meta.mode & bit != 0 { Ok(()) } else { Err(Errno::ACCESS) }
}
