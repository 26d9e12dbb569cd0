//! Opens a path component by component. Whoever can write a directory on the way can exchange what is below it, so a symlink there
//! is followed only as far as the caller permits.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Dir, Errno, Kind, Meta, Name, Reason};

/// Number of symlinks after which a path is given up, as in the kernel.
const LINKS: u32 = 40;
/// Permission bits of the group and of others to write.
const OTHERS: u32 = 0o022;

/// What may be on the way.
#[derive(Clone, Copy)]
pub enum Rule<'a> {
    /// A symlink in a directory that somebody other than root can write is followed only to a directory of a user whom this
    /// accepts.
    Links(&'a dyn Fn(u32) -> bool),
    /// Every directory, and the program at the end, is root's and nobody else can write it.
    Program,
}

/// Returns whether root alone can change this file or what is in this directory.
fn is_roots(meta: Meta) -> bool {
    meta.ids.uid == 0 && meta.mode & OTHERS == 0
}

/// Opens for passage the directory at which a path begins.
fn start(path: &[u8]) -> Result<Dir, Errno> {
    Dir::open_path_at(Path::new(if path.starts_with(b"/") { "/" } else { "." }))
}

/// Puts the components of a path before those that are left, of which the next one is the last. `.` is none.
fn add(left: &mut Vec<Vec<u8>>, path: &[u8]) {
    for part in path.rsplit(|byte| *byte == b'/') {
        if !part.is_empty() && part != b"." {
            left.push(part.to_vec());
        }
    }
}

/// Opens for passage the directory at a path; with [`Rule::Program`], the directory of the program at the path. If `make`, missing
/// directories are made with mode 0755. Returns whether the last one was missing.
pub fn open(path: &Path, rule: Rule<'_>, make: bool) -> Result<(Dir, bool), Reason> {
    let path = path.as_os_str().as_bytes();
    let (mut dir, mut is_new, mut links) = (start(path)?, false, 0);
    let mut left = Vec::new();
    add(&mut left, path);
    loop {
        let is_safe = is_roots(dir.own_meta()?);
        if !is_safe && matches!(rule, Rule::Program) {
            return Err("a directory on its path is not root's, or others can write it".into());
        }
        let Some(next) = left.pop() else { return Ok((dir, is_new)) };
        let name = match Name::new(&next) {
            Some(name) => name,
            // `..`, or no name that a file can have.
            None if next == b".." => {
                dir = dir.parent()?;
                continue;
            }
            None => return Err(Errno::INVAL.into()),
        };
        match dir.open_path(&name) {
            Ok(below) => {
                dir = below;
                continue;
            }
            Err(Errno::NOENT) if make => {
                match dir.mkdir(&name, 0o755) {
                    Ok(()) | Err(Errno::EXIST) => is_new = true,
                    Err(errno) => return Err(errno.into()),
                }
                left.push(next);
                continue;
            }
            // A symlink that O_DIRECTORY and O_NOFOLLOW refuse, or no directory.
            Err(Errno::NOTDIR | Errno::LOOP) => links += 1,
            Err(errno) => return Err(errno.into()),
        }
        let found = dir.meta(&name)?;
        match (found.kind, rule) {
            (Kind::Symlink, _) if links > LINKS => return Err(Errno::LOOP.into()),
            (Kind::Symlink, Rule::Links(accepts)) if !is_safe => {
                let target = dir.open_path_following(&name)?;
                let owner = target.own_meta()?.ids.uid;
                if !accepts(owner) {
                    return Err(foreign(owner));
                }
                dir = target;
            }
            (Kind::Symlink, _) => {
                let target = dir.target(&name)?;
                if target.starts_with(b"/") {
                    dir = start(&target)?;
                }
                add(&mut left, &target);
            }
            (Kind::Regular, Rule::Program) if left.is_empty() && is_roots(found) => {
                return Ok((dir, false));
            }
            (Kind::Regular, Rule::Program) => return Err("it is not root's, or others can write it".into()),
            _ => return Err(Errno::NOTDIR.into()),
        }
    }
}

/// Returns why a symlink to a directory of this user is not followed.
pub fn foreign(uid: u32) -> Reason {
    format!("is a symlink to a directory of uid {uid}, who is not the hermes user").into()
}
