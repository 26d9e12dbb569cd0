//! What space a file system has, and which one it is.

use std::os::fd::AsFd;

use rustix::fs;

use super::{Errno, process};

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS: u64 = 0x0102_1994;
/// `OVERLAYFS_SUPER_MAGIC` of statfs(2).
const OVERLAYFS: u64 = 0x794c_7630;

/// The space of a file system for this process's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Number of inodes that are left; `None` if they have no limit.
    pub inodes: Option<u64>,
    /// Number of blocks that are left; `None` if they have no limit.
    pub blocks: Option<u64>,
    /// Number of all inodes.
    pub all_inodes: u64,
    /// Number of all blocks.
    pub all_blocks: u64,
    /// Size of a block, in bytes.
    pub block: u64,
    /// The file system.
    pub kind: FileSystem,
}

/// A file system, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// It is in memory, and limited by the options of its mount.
    Tmpfs,
    /// A container's own one, with docker and podman.
    Overlayfs,
    /// Any other one.
    Other,
}

// The C types of statfs's fields differ between architectures; on some of them these casts change nothing.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion, clippy::cast_sign_loss)]
/// Returns the space of the file system of an open file.
pub fn of(fd: impl AsFd) -> Result<Space, Errno> {
    let found = fs::fstatfs(fd)?;
    // Some file systems keep a reserve for root.
    let blocks = if process::is_root() { found.f_bfree } else { found.f_bavail };
    Ok(Space {
        inodes: (found.f_files > 0).then_some(found.f_ffree as u64),
        blocks: (found.f_blocks > 0).then_some(blocks as u64),
        all_inodes: found.f_files as u64,
        all_blocks: found.f_blocks as u64,
        block: found.f_bsize as u64,
        kind: FileSystem::of(found.f_type as u64),
    })
}

impl FileSystem {
    fn of(magic: u64) -> FileSystem {
        // Of 32 bits on some architectures, with a sign.
        match magic & 0xffff_ffff {
            TMPFS => FileSystem::Tmpfs,
            OVERLAYFS => FileSystem::Overlayfs,
            _ => FileSystem::Other,
        }
    }
}
