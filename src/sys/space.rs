//! What space a file system has, and which one it is.

use std::os::fd::AsFd;

use rustix::fs;

use super::{Errno, process};

/// `TMPFS_MAGIC` of statfs(2).
const TMPFS: u64 = 0x0102_1994;
/// `OVERLAYFS_SUPER_MAGIC` of statfs(2).
const OVERLAYFS: u64 = 0x794c_7630;

/// File systems whose server may be another machine, or another process: the magic numbers of statfs(2), of linux/magic.h and of the file
/// systems' own sources. virtiofs has that of FUSE.
const REMOTE: [u64; 12] = [
    0x6969,      // nfs
    0x517b,      // smb
    0xfe53_4d42, // smb2
    0xff53_4d42, // cifs
    0x6573_5546, // fuse
    0x0102_1997, // 9p
    0x00c3_6400, // ceph
    0x5346_414f, // OpenAFS
    0x6b41_4653, // afs, the kernel's own
    0x0bd0_0bd0, // lustre
    0x786f_4256, // vboxsf
    0xbacb_acbc, // vmhgfs
];

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
    /// Whether no block or no inode is left for a user other than root; false where it does not say how many it has.
    pub is_full: bool,
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
    /// Its server may be another machine, or another process: a look takes as long as an answer.
    Remote,
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
        is_full: (found.f_blocks > 0 && found.f_bavail == 0) || (found.f_files > 0 && found.f_ffree == 0),
        kind: FileSystem::of(found.f_type as u64),
    })
}

impl FileSystem {
    fn of(magic: u64) -> FileSystem {
        // Of 32 bits on some architectures, with a sign.
        match magic & 0xffff_ffff {
            TMPFS => FileSystem::Tmpfs,
            OVERLAYFS => FileSystem::Overlayfs,
            magic if REMOTE.contains(&magic) => FileSystem::Remote,
            _ => FileSystem::Other,
        }
    }
}
