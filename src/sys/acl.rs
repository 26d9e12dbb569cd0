//! Access control lists (acl(5)): permissions beside the mode, which the owner of a file gives to others, and of a directory to what is
//! made in it.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs;

use super::Errno;

/// The list of a file, and the default list of a directory.
const ACCESS: &CStr = c"system.posix_acl_access";
const LISTS: [&CStr; 2] = [ACCESS, c"system.posix_acl_default"];

/// Returns whether an open file has a list; false on a file system that has none.
pub fn is_there(file: impl AsFd) -> Result<bool, Errno> {
    for list in LISTS {
        if has(&file, list)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether what is opened with `O_PATH` has a list. Fails without /proc: only through it can such a descriptor be asked.
pub(super) fn is_there_at(fd: impl AsFd) -> Result<bool, Errno> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    answer(fs::getxattr_query(path, ACCESS))
}

/// Removes the lists of an open file. Returns whether there was one. The permissions of the group are then what the list gave at most:
/// the caller sets the mode. Whoever still owns the file can give it another list.
pub fn remove(file: impl AsFd) -> Result<bool, Errno> {
    let mut was_there = false;
    for list in LISTS {
        if has(&file, list)? {
            match fs::fremovexattr(&file, list) {
                Ok(()) | Err(Errno::NODATA) => was_there = true,
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(was_there)
}

fn has(file: impl AsFd, list: &CStr) -> Result<bool, Errno> {
    answer(fs::fgetxattr_query(file, list))
}

fn answer(size: Result<usize, Errno>) -> Result<bool, Errno> {
    match size {
        Ok(_) => Ok(true),
        // ENOTSUP is the same. A kernel without lists, or a seccomp filter for one, says ENOSYS.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(errno) => Err(errno),
    }
}
