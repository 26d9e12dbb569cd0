//! What stat(2) says of a file.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{self, FileType};

use super::name::c_path;
use super::{Errno, Ids};

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket, a device, or unknown.
    Other,
}

impl Kind {
    pub(super) fn of(kind: FileType) -> Kind {
        match kind {
            FileType::RegularFile => Kind::Regular,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            _ => Kind::Other,
        }
    }

    /// Returns the type as a message names it.
    pub fn text(self) -> &'static str {
        match self {
            Kind::Regular => "a regular file",
            Kind::Directory => "a directory",
            Kind::Symlink => "a symlink",
            Kind::Fifo => "a FIFO",
            Kind::Other => "a socket or a device",
        }
    }
}

/// The attributes of a file that are used here, from stat(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The file's type.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: 0..=0o7777.
    pub mode: u32,
    /// Owner and group.
    pub ids: Ids,
    /// Number of hard links.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
    /// Inode number.
    pub inode: u64,
    /// When its content was last changed, in whole seconds since 1970.
    pub modified: i64,
}

impl Meta {
    /// Returns the attributes of the file at a path; symlinks are followed.
    pub fn at(path: &Path) -> Result<Meta, Errno> {
        fs::stat(c_path(path)?).map(|stat| Meta::of(&stat))
    }

    /// Returns whether a user may read the file, by its permission bits alone: an ACL that permits more does not count.
    pub fn is_readable_by(&self, user: Ids) -> bool {
        let bits = match self.ids {
            Ids { uid, .. } if uid == user.uid => 0o400,
            Ids { gid, .. } if gid == user.gid => 0o040,
            _ => 0o004,
        };
        self.mode & bits != 0
    }

    // The C types of stat's fields differ between architectures; on some of them these casts widen nothing.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    pub(super) fn of(stat: &fs::Stat) -> Meta {
        Meta {
            kind: Kind::of(FileType::from_raw_mode(stat.st_mode)),
            mode: u32::from(stat.st_mode) & 0o7777,
            ids: Ids { uid: stat.st_uid, gid: stat.st_gid },
            links: stat.st_nlink as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            inode: stat.st_ino as u64,
            modified: i64::from(stat.st_mtime),
        }
    }
}

/// Returns the attributes of an open file.
pub fn meta_of(fd: impl AsFd) -> Result<Meta, Errno> {
    fs::fstat(fd).map(|stat| Meta::of(&stat))
}

/// Returns the number of the file system of an open file (`st_dev`).
// The type of `st_dev` differs between architectures.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
pub(super) fn device(fd: impl AsFd) -> Result<u64, Errno> {
    fs::fstat(fd).map(|stat| stat.st_dev as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_read_is_decided_by_the_first_class_that_fits() {
        let user = Ids { uid: 7, gid: 8 };
        for (uid, gid, mode, expected) in [
            (7, 0, 0o400, true),
            (7, 8, 0o044, false),
            (0, 8, 0o040, true),
            (0, 8, 0o404, false),
            (0, 0, 0o004, true),
            (0, 0, 0o440, false),
            (8, 7, 0o440, false),
        ] {
            let ids = Ids { uid, gid };
            let meta = Meta { kind: Kind::Regular, mode, ids, links: 1, size: 0, inode: 1, modified: 0 };
            assert_eq!(meta.is_readable_by(user), expected, "{uid}:{gid} {mode:o}");
        }
    }
}
