//! Opens a path component by component. Whoever can write a directory on the way can exchange what is below it, so a symlink there
//! is followed only as far as the caller permits, and none without limits.
//!
//! A symlink is followed by its text. The links of procfs lead elsewhere than their texts say, into the directories of another process
//! and of its mount namespace, where what has a trusted owner may be a mount of something else: they are refused.

use std::path::{Component, Path};

use super::{Dir, Errno, Kind, Meta, Name, Reason};

/// Most symlinks that are followed on the way to a directory. A link to a disk whose mount point is a link is two.
const LINKS: usize = 8;
/// Most components that the texts of these symlinks may have together. The kernel follows 40 symlinks of 4 KiB, with 80,000 components, in
/// ten milliseconds: too long where there is one for each profile. These take a tenth of a millisecond.
const COMPONENTS: usize = 64;
/// Permission bits of the group and of others to write.
const OTHERS: u32 = 0o022;
/// The sticky bit: a user can rename and remove only what is his own.
const STICKY: u32 = 0o1000;

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
enum Rule<'a> {
    /// Every symlink is followed.
    Any,
    /// A symlink in a directory that somebody other than root can write is followed only to a directory of a user whom this
    /// accepts.
    Links(&'a dyn Fn(u32) -> bool),
    /// Every directory, and the program at the end, is root's and nobody else can write it.
    Program,
}

/// What is still to be done.
enum Step {
    /// To open `..`.
    Parent,
    /// To open an entry of the directory.
    Entry(Name),
    /// To check the owner of the directory: a symlink that somebody other than root could exchange leads to it.
    Owner,
}

/// What symlinks have added to a path.
#[derive(Debug, Default)]
struct Detour {
    links: usize,
    components: usize,
}

impl Detour {
    /// Adds a symlink. Fails beyond the limit.
    fn add_link(&mut self) -> Result<(), Reason> {
        self.links += 1;
        if self.links <= LINKS {
            return Ok(());
        }
        Err(format!("it leads through more than {LINKS} symlinks").into())
    }

    /// Adds a component of a symlink's text. Fails beyond the limit.
    fn add_component(&mut self) -> Result<(), Reason> {
        self.components += 1;
        if self.components <= COMPONENTS {
            return Ok(());
        }
        Err(format!("its symlinks lead through more than {COMPONENTS} directories").into())
    }
}

/// Returns whether only root can change this file, or the entries of this directory.
pub fn is_roots(meta: Meta) -> bool {
    meta.ids.uid == 0 && meta.mode & OTHERS == 0
}

/// Returns whether only root can exchange root's entries of this directory. In a sticky one, others can add their own.
pub fn keeps_roots(meta: Meta) -> bool {
    meta.ids.uid == 0 && (meta.mode & OTHERS == 0 || meta.mode & STICKY != 0)
}

/// Opens with `O_PATH` the directory at which a path begins.
fn start(path: &Path) -> Result<Dir, Errno> {
    match path.as_os_str().as_encoded_bytes() {
        [] => Err(Errno::NOENT),
        [b'/', ..] => Dir::open_path_at(Path::new("/")),
        _ => Dir::open_path_at(Path::new(".")),
    }
}

/// Pushes the components of a path on the stack of what is still to be done, the first one on top. `count` is called for each.
fn push(
    left: &mut Vec<Step>,
    path: &Path,
    mut count: impl FnMut() -> Result<(), Reason>,
) -> Result<(), Reason> {
    for component in path.components().rev() {
        let step = match component {
            Component::Normal(name) => Step::Entry(Name::new(name.as_encoded_bytes()).ok_or(Errno::INVAL)?),
            Component::ParentDir => Step::Parent,
            Component::CurDir | Component::RootDir | Component::Prefix(_) => continue,
        };
        count()?;
        left.push(step);
    }
    Ok(())
}

/// Opens with `O_PATH` the directory at a path. A symlink in a directory that somebody other than root can write is followed only to a
/// directory of a user whom `accepts` accepts.
pub fn open(path: &Path, missing: Missing, accepts: impl Fn(u32) -> bool) -> Result<Opened, Reason> {
    Walk::along(path)?.finish(missing, &Rule::Links(&accepts))
}

/// Opens with `O_PATH` the directory at a path, whoever owns what is on the way.
pub(super) fn reach(path: &Path) -> Result<Dir, Reason> {
    Ok(Walk::along(path)?.finish(Missing::Fail, &Rule::Any)?.dir)
}

/// [`reach`] for a path that begins in a directory.
pub(super) fn reach_from(dir: &Dir, path: &Path) -> Result<Dir, Reason> {
    Ok(Walk::from(dir.again()?, path)?.finish(Missing::Fail, &Rule::Any)?.dir)
}

/// Fails, and says why, if anybody but root can change the program at a path or what the path leads to.
pub fn check_program(path: &Path) -> Result<(), Reason> {
    Walk::along(path)?.finish(Missing::Fail, &Rule::Program).map(|_| ())
}

/// A path of which a part has been opened.
struct Walk {
    /// The directory at the end of that part, opened with `O_PATH`.
    dir: Dir,
    /// The rest, the next step on top.
    left: Vec<Step>,
    detour: Detour,
}

impl Walk {
    /// Begins at the start of a path.
    fn along(path: &Path) -> Result<Walk, Reason> {
        Walk::from(start(path)?, path)
    }

    /// Begins in a directory.
    fn from(dir: Dir, path: &Path) -> Result<Walk, Reason> {
        let mut left = Vec::new();
        push(&mut left, path, || Ok(()))?;
        Ok(Walk { dir, left, detour: Detour::default() })
    }

    /// Opens the rest: the directory at the path; with [`Rule::Program`], the directory of the program at the path.
    fn finish(mut self, missing: Missing, rule: &Rule<'_>) -> Result<Opened, Reason> {
        let mut is_new = false;
        loop {
            if matches!(rule, Rule::Program) && !is_roots(self.dir.own_meta()?) {
                return Err(
                    "a directory on its path does not belong to root, or other users can write to it".into(),
                );
            }
            let name = match self.left.pop() {
                None => return Ok(Opened { dir: self.dir, is_new }),
                Some(Step::Parent) => {
                    self.dir = self.dir.parent()?;
                    continue;
                }
                Some(Step::Owner) => {
                    self.check_owner(rule)?;
                    continue;
                }
                Some(Step::Entry(name)) => name,
            };
            match self.dir.open_path(&name) {
                Ok(below) => self.dir = below,
                Err(Errno::NOENT) if missing == Missing::Make && !self.is_led() => {
                    match self.dir.mkdir(&name, 0o755) {
                        Ok(()) | Err(Errno::EXIST) => is_new = true,
                        Err(errno) => return Err(errno.into()),
                    }
                    self.left.push(Step::Entry(name));
                }
                // A symlink that O_DIRECTORY and O_NOFOLLOW refuse, or no directory.
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let found = self.dir.meta(&name)?;
                    match (found.kind, rule) {
                        (Kind::Symlink, _) => self.follow(&name, rule)?,
                        (Kind::Regular, Rule::Program) if self.left.is_empty() && is_roots(found) => {
                            return Ok(Opened { dir: self.dir, is_new });
                        }
                        (Kind::Regular, Rule::Program) => {
                            return Err("it does not belong to root, or other users can write to it".into());
                        }
                        _ => return Err(Errno::NOTDIR.into()),
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Goes on along the text of a symlink in the directory.
    fn follow(&mut self, link: &Name, rule: &Rule<'_>) -> Result<(), Reason> {
        if self.dir.is_proc()? {
            return Err("it leads through /proc, whose links are not followed".into());
        }
        self.detour.add_link()?;
        let text = self.dir.target(link)?;
        if matches!(rule, Rule::Links(_)) && !self.is_led() && !is_roots(self.dir.own_meta()?) {
            self.left.push(Step::Owner);
        }
        push(&mut self.left, &text, || self.detour.add_component())?;
        if text.is_absolute() {
            self.dir = start(&text)?;
        }
        Ok(())
    }

    /// Returns whether a symlink is being followed that somebody other than root could exchange.
    fn is_led(&self) -> bool {
        self.left.iter().any(|step| matches!(step, Step::Owner))
    }

    /// Fails if a symlink may not lead to the directory.
    fn check_owner(&self, rule: &Rule<'_>) -> Result<(), Reason> {
        let owner = self.dir.own_meta()?.ids.uid;
        match rule {
            Rule::Links(accepts) if !accepts(owner) => Err(foreign(owner)),
            _ => Ok(()),
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
            push(&mut left, Path::new(path), || Ok(())).unwrap_or_default();
        }
        let text = |step: &Step| match step {
            Step::Parent => ".. ".to_owned(),
            Step::Owner => "owner ".to_owned(),
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
        assert_eq!(push(&mut Vec::new(), Path::new("a\0b"), || Ok(())), Err(Errno::INVAL.into()));
    }

    #[test]
    fn symlinks_lead_through_no_more_than_the_limits() {
        for (links, components, expected) in [
            (1, 1, Ok(())),
            (LINKS, COMPONENTS, Ok(())),
            (1, COMPONENTS + 1, Err("its symlinks lead through more than 64 directories".into())),
            (LINKS + 1, LINKS + 1, Err("it leads through more than 8 symlinks".into())),
        ] {
            let mut detour = Detour::default();
            let path = "../".repeat(components.div_ceil(links));
            let added = (0..links).try_for_each(|_| {
                detour.add_link()?;
                push(&mut Vec::new(), Path::new(&path), || detour.add_component())
            });
            assert_eq!(added, expected, "{links} {components}");
        }
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
            modified: 0,
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
