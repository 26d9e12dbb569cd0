//! `Handle`: a file of any type, opened only to be looked at and to change its owner. It cannot be exchanged between the two.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode, OFlags, Uid};

use super::meta::meta_of;
use super::number::decimal;
use super::{Dir, Errno, Meta, Name, Reason, file};

/// Largest file of /proc about a descriptor that is read, in bytes.
const FDINFO_CAP: u64 = 4096;

/// A file that is open with `O_PATH`: it is neither read nor executed, and a device notices nothing.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl From<Dir> for Handle {
    fn from(dir: Dir) -> Handle {
        Handle(dir.into())
    }
}

impl Handle {
    /// Opens an entry; of a symlink, the symlink itself.
    pub fn open(dir: &Dir, name: &Name) -> Result<Handle, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(dir, name.c_str(), flags, Mode::empty()).map(Handle)
    }

    /// Returns its attributes.
    pub fn meta(&self) -> Result<Meta, Errno> {
        meta_of(&self.0)
    }

    /// Returns the number of the mount that it is on, from /proc: two mounts of one file system have one device number.
    pub fn mount(&self) -> Result<u64, Reason> {
        let path = format!("/proc/self/fdinfo/{}", self.0.as_raw_fd());
        let info = file::read_system(Path::new(&path), FDINFO_CAP)?;
        mount_in(&info).ok_or_else(|| "the kernel does not say on which mount it is".into())
    }

    /// Gives it to a user. Its group stays.
    pub fn give(&self, uid: u32) -> Result<(), Errno> {
        fs::chownat(&self.0, c"", Some(Uid::from_raw(uid)), None, AtFlags::EMPTY_PATH)
    }

    /// Opens it for listing, if it is a directory.
    pub fn dir(&self) -> Result<Dir, Errno> {
        Dir::reopen(&self.0)
    }
}

/// Returns the number of the mount in a /proc/PID/fdinfo/FD.
fn mount_in(info: &[u8]) -> Option<u64> {
    let line = info.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:"))?;
    decimal(line.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_a_line_of_its_own() {
        for (info, mount) in [
            (&b"pos:\t0\nflags:\t012100000\nmnt_id:\t29\nino:\t8\n"[..], Some(29)),
            (b"mnt_id:\t1", Some(1)),
            (b"pos:\t0\nmnt_id:\t\n", None),
            (b"pos:\t0\nx mnt_id:\t29\n", None),
            (b"", None),
        ] {
            assert_eq!(mount_in(info), mount);
        }
    }
}
