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
pub enum Rule {
    /// A symlink in a directory that somebody other than root can write is followed only to a directory of this user.
    LinksTo(u32),
    /// Every symlink is followed.
    Links,
    /// Every directory, and the program at the end, is root's and nobody else can write it.
    Program,
}

/// Returns whether root alone can change this file or what is in this directory.
fn is_roots(meta: Meta) -> bool {
    meta.ids.uid == 0 && meta.mode & OTHERS == 0
}

/// Opens for passage the directory at a path; with [`Rule::Program`], the directory of the program at the path. If `make`, missing
/// directories are made with mode 0755. Returns whether the last one was missing.
pub fn open(path: &Path, rule: Rule, make: bool) -> Result<(Dir, bool), Reason> {
    let mut walk = Walk { rule, make, has_made: false, why: None };
    match walk.along(path.as_os_str().as_bytes().to_vec()) {
        Ok(dir) => Ok((dir, walk.has_made)),
        Err(errno) => Err(walk.why.unwrap_or(errno.into())),
    }
}

struct Walk {
    rule: Rule,
    make: bool,
    has_made: bool,
    /// Why this program goes no further.
    why: Option<Reason>,
}

impl Walk {
    fn refuse(&mut self, why: impl Into<Reason>) -> Result<Dir, Errno> {
        self.why = Some(why.into());
        Err(Errno::PERM)
    }

    fn along(&mut self, mut rest: Vec<u8>) -> Result<Dir, Errno> {
        let is_program = matches!(self.rule, Rule::Program);
        let (mut dir, mut links) = (Dir::start(is_program || rest.starts_with(b"/"))?, 0);
        loop {
            let is_safe = is_roots(dir.own_meta()?);
            if is_program && !is_safe {
                return self.refuse("others than root can write a directory on its path");
            }
            if rest.is_empty() {
                return Ok(dir);
            }
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let mut after = rest.split_off(rest.len().min(end + 1));
            rest.truncate(end);
            if let Some(name) = Name::new(&rest) {
                let mut below = dir.passage(&name);
                if self.make && matches!(below, Err(Errno::NOENT)) {
                    match dir.mkdir(&name, 0o755) {
                        Ok(()) | Err(Errno::EXIST) => self.has_made = true,
                        Err(errno) => return Err(errno),
                    }
                    below = dir.passage(&name);
                }
                match below {
                    Ok(below) => dir = below,
                    // A symlink that O_DIRECTORY and O_NOFOLLOW refuse, or no directory.
                    Err(Errno::NOTDIR | Errno::LOOP) => {
                        let found = dir.meta(&name)?;
                        if found.kind == Kind::Regular && is_program && after.is_empty() {
                            return if is_roots(found) {
                                Ok(dir)
                            } else {
                                self.refuse("others can write it")
                            };
                        }
                        links += 1;
                        if found.kind != Kind::Symlink || links > LINKS {
                            return Err(if found.kind == Kind::Symlink {
                                Errno::LOOP
                            } else {
                                Errno::NOTDIR
                            });
                        }
                        if is_safe {
                            let mut target = dir.link(&name)?;
                            if target.starts_with(b"/") {
                                dir = Dir::start(true)?;
                            }
                            if !after.is_empty() {
                                target.push(b'/');
                                target.append(&mut after);
                            }
                            after = target;
                        } else {
                            dir = dir.passage_through_link(&name)?;
                            let owner = dir.own_meta()?.ids.uid;
                            if let Rule::LinksTo(user) = self.rule
                                && user != owner
                            {
                                return self.refuse(foreign(owner));
                            }
                        }
                    }
                    Err(errno) => return Err(errno),
                }
            } else if rest == b".." {
                dir = dir.parent()?;
            }
            rest = after;
        }
    }
}

/// Returns why a symlink to a directory of this user is not followed.
pub fn foreign(uid: u32) -> Reason {
    format!("is a symlink to a directory of uid {uid}, who is not the hermes user").into()
}
