//! Opens a path component by component. Whoever can write a directory on the way can exchange what is below it, so a symlink there
//! is followed only as far as the caller permits.

use std::path::{Component, Path};

use super::{Dir, Errno, Kind, Meta, Name, Reason};

/// Number of symlinks after which a path is given up, as in the kernel.
const LINKS: u32 = 40;
/// Permission bits of the group and of others to write.
const OTHERS: u32 = 0o022;

/// What happens where a directory of the path is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The path cannot be opened: ENOENT.
    Fail,
    /// The directory is made, with mode 0755.
    Make,
}

/// The directory at a path.
#[derive(Debug)]
pub struct Opened {
    /// The directory, opened with `O_PATH`.
    pub dir: Dir,
    /// Whether it was missing and has been made.
    pub is_new: bool,
}

/// What is allowed on the way.
enum Rule<F> {
    /// A symlink in a directory that somebody other than root can write is followed only to a directory of a user whom this
    /// accepts.
    Links(F),
    /// Every directory, and the program at the end, is root's and nobody else can write it.
    Program,
}

/// A component of a path that is still to be opened.
enum Step {
    /// `..`.
    Parent,
    /// An entry of the directory.
    Entry(Name),
}

/// Returns whether only root can change this file, or the entries of this directory.
pub fn is_roots(meta: Meta) -> bool {
    meta.ids.uid == 0 && meta.mode & OTHERS == 0
}

/// Opens with `O_PATH` the directory at which a path begins.
fn start(path: &Path) -> Result<Dir, Errno> {
    Dir::open_path_at(Path::new(if path.is_absolute() { "/" } else { "." }))
}

/// Pushes the components of a path on the stack of those still to open, the first one on top.
fn push(left: &mut Vec<Step>, path: &Path) -> Result<(), Errno> {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => {
                left.push(Step::Entry(Name::new(name.as_encoded_bytes()).ok_or(Errno::INVAL)?));
            }
            Component::ParentDir => left.push(Step::Parent),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => (),
        }
    }
    Ok(())
}

/// Opens with `O_PATH` the directory at a path. A symlink in a directory that somebody other than root can write is followed only to a
/// directory of a user whom `accepts` accepts.
pub fn open(path: &Path, missing: Missing, accepts: impl Fn(u32) -> bool) -> Result<Opened, Reason> {
    walk(path, missing, &Rule::Links(accepts))
}

/// Fails, and says why, if anybody but root can change the program at a path or what the path leads to.
pub fn check_program(path: &Path) -> Result<(), Reason> {
    walk(path, Missing::Fail, &Rule::<fn(u32) -> bool>::Program).map(|_| ())
}

/// Opens with `O_PATH` the directory at a path; with [`Rule::Program`], the directory of the program at the path.
fn walk<F: Fn(u32) -> bool>(path: &Path, missing: Missing, rule: &Rule<F>) -> Result<Opened, Reason> {
    let (mut dir, mut is_new, mut links) = (start(path)?, false, 0);
    let mut left = Vec::new();
    push(&mut left, path)?;
    loop {
        let is_safe = is_roots(dir.own_meta()?);
        if !is_safe && matches!(rule, Rule::Program) {
            return Err(
                "a directory on its path does not belong to root, or other users can write to it".into()
            );
        }
        let name = match left.pop() {
            None => return Ok(Opened { dir, is_new }),
            Some(Step::Parent) => {
                dir = dir.parent()?;
                continue;
            }
            Some(Step::Entry(name)) => name,
        };
        match dir.open_path(&name) {
            Ok(below) => {
                dir = below;
                continue;
            }
            Err(Errno::NOENT) if missing == Missing::Make => {
                match dir.mkdir(&name, 0o755) {
                    Ok(()) | Err(Errno::EXIST) => is_new = true,
                    Err(errno) => return Err(errno.into()),
                }
                left.push(Step::Entry(name));
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
                if target.is_absolute() {
                    dir = start(&target)?;
                }
                push(&mut left, &target)?;
            }
            (Kind::Regular, Rule::Program) if left.is_empty() && is_roots(found) => {
                return Ok(Opened { dir, is_new: false });
            }
            (Kind::Regular, Rule::Program) => {
                return Err("it does not belong to root, or other users can write to it".into());
            }
            _ => return Err(Errno::NOTDIR.into()),
        }
    }
}

/// Returns why a symlink to a directory of this user is not followed.
pub fn foreign(uid: u32) -> Reason {
    format!("is a symlink to a directory of uid {uid}, who is not the hermes user").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the components in the order in which they are opened, with a blank after each.
    fn steps(paths: &[&str]) -> String {
        let mut left = Vec::new();
        for path in paths {
            push(&mut left, Path::new(path)).unwrap_or_default();
        }
        let text = |step: &Step| match step {
            Step::Parent => ".. ".to_owned(),
            Step::Entry(name) => format!("{} ", String::from_utf8_lossy(name.bytes())),
        };
        left.iter().rev().map(text).collect()
    }

    #[test]
    fn components_are_opened_one_after_the_other() {
        for (path, expected) in [
            ("", ""),
            ("/", ""),
            (".", ""),
            ("/opt/data", "opt data "),
            ("//opt/./data//", "opt data "),
            ("./a/../b", "a .. b "),
            ("..", ".. "),
            ("a/...", "a ... "),
        ] {
            assert_eq!(steps(&[path]), expected, "{path:?}");
        }
        // The target of a symlink comes before what is left.
        assert_eq!(steps(&["c/d", "../a"]), ".. a c d ");
        assert_eq!(push(&mut Vec::new(), Path::new("a\0b")), Err(Errno::INVAL));
    }

    #[test]
    fn only_what_root_alone_can_write_is_roots() {
        let meta = |uid, mode| Meta {
            kind: Kind::Directory,
            mode,
            ids: crate::sys::Ids { uid, gid: 0 },
            links: 2,
            size: 0,
            inode: 1,
        };
        for (uid, mode, expected) in [
            (0, 0o755, true),
            (0, 0o700, true),
            (0, 0o4755, true),
            (0, 0o775, false),
            (0, 0o757, false),
            (0, 0o1777, false),
            (1, 0o755, false),
            (10_000, 0o700, false),
        ] {
            assert_eq!(is_roots(meta(uid, mode)), expected, "{uid} {mode:o}");
        }
    }
}
