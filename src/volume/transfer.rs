//! Gives what lies on the volume to the hermes user: what a root shell has left there. Everything is opened first and looked at and
//! changed by its descriptor; no symlink is followed and no other mount is entered, so that the hermes user, who can exchange what is
//! on the volume, gains nothing but files of the volume that he could read before.

use std::path::Path;

use super::state::{self, STATE};
use crate::output::{Context, Error, Result};
use crate::sys::handle::Handle;
use crate::sys::user_namespace::{self, Owner};
use crate::sys::{Dir, Errno, Ids, Kind, Meta, Name, Reason, file};

/// Number of levels of directories that are entered.
const DEPTH: u32 = 100;
/// Number of entries after which the walk is given up: somebody may make files faster than they are given away.
const ENTRIES: u64 = 50_000_000;

/// What a directory of Hermes Agent's has: a profile, the log directories, and the directory of a log, which s6-log makes.
static SIGNS: [&[Name]; 4] = [
    &[Name::fixed(c"SOUL.md")],
    &[Name::fixed(c"container-boot.log")],
    &[Name::fixed(c"gateways")],
    &[Name::fixed(c"current"), Name::fixed(c"lock")],
];

/// What is given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The hermes user.
    pub owner: Ids,
    /// Whether also what he cannot read now.
    pub private_too: bool,
    /// Whether nothing is changed.
    pub is_dry_run: bool,
}

/// What has become of a file that is not the hermes user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is his now; in a dry run, it would be.
    Changed,
    /// It is left as it is.
    Left(Kept),
    /// It could not be looked at or changed.
    Failed(Reason),
}

/// Why a file is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The hermes user cannot read it.
    Private,
    /// It has more than one hard link, so it may also be a file outside of the volume.
    Links,
    /// It is a FIFO, a socket or a device.
    Special,
    /// It is on another mount.
    Mount,
    /// It is below too many directories.
    Depth,
}

impl Kept {
    /// Returns the reason for a message.
    pub fn text(self) -> &'static str {
        match self {
            Kept::Private => "private: the hermes user cannot read it",
            Kept::Links => "it has more than one hard link",
            Kept::Special => "it is neither a file nor a directory nor a symlink",
            Kept::Mount => "another file system is mounted there",
            Kept::Depth => "it is below more than 100 directories",
        }
    }
}

/// What is to be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing: it is the hermes user's.
    Right,
    Give,
    Keep(Kept),
}

/// Decides about a file or a directory. `is_known`: it shows what it is (see [`is_state`] and [`is_directory_of_hermes`]), and is given
/// also if it is private.
fn judge(meta: &Meta, rules: Rules, is_known: impl FnOnce() -> bool) -> Verdict {
    if meta.ids.uid == rules.owner.uid {
        return Verdict::Right;
    }
    match meta.kind {
        Kind::Symlink => return Verdict::Give,
        Kind::Fifo | Kind::Other => return Verdict::Keep(Kept::Special),
        Kind::Regular if meta.links > 1 => return Verdict::Keep(Kept::Links),
        Kind::Regular | Kind::Directory => (),
    }
    let is_open = rules.private_too || meta.is_readable_by(rules.owner);
    if is_open || is_known() { Verdict::Give } else { Verdict::Keep(Kept::Private) }
}

/// A walk over a part of the volume. `report` gets the path, relative to `HERMES_HOME`, of everything that is not the hermes user's.
pub struct Walk<F> {
    rules: Rules,
    report: F,
    /// The mount that is not left.
    mount: u64,
    left: u64,
}

impl<F: FnMut(&Path, Outcome)> Walk<F> {
    /// Gives away a directory and what is below it. Fails if it cannot be looked at.
    pub fn tree(dir: Dir, path: &Path, rules: Rules, report: F) -> Result<()> {
        let handle = Handle::from(dir);
        let mount = handle.mount().context("find the mount of", path)?;
        let mut walk = Walk { rules, report, mount, left: ENTRIES };
        walk.directory(&handle, path, 0);
        walk.end(path)
    }

    /// Gives away an entry of a directory, and what is below it.
    pub fn entry(dir: &Dir, name: &Name, path: &Path, rules: Rules, report: F) -> Result<()> {
        let mount =
            Handle::open(dir, name).context("open", path)?.mount().context("find the mount of", path)?;
        let mut walk = Walk { rules, report, mount, left: ENTRIES };
        walk.any(dir, name, path, 0);
        walk.end(path)
    }

    fn end(&self, path: &Path) -> Result<()> {
        let reason = "it has too many entries, or somebody adds some faster than they are changed";
        if self.left == 0 { Err(Error::new("change all of", path, reason)) } else { Ok(()) }
    }

    fn failed(&mut self, path: &Path, reason: impl Into<Reason>) {
        (self.report)(path, Outcome::Failed(reason.into()));
    }

    fn any(&mut self, dir: &Dir, name: &Name, path: &Path, depth: u32) {
        let opened = Handle::open(dir, name).and_then(|handle| Ok((handle.meta()?, handle)));
        match opened {
            // It has vanished.
            Err(Errno::NOENT) => (),
            Err(errno) => self.failed(path, errno),
            Ok((meta, handle)) if meta.kind == Kind::Directory => self.directory(&handle, path, depth),
            Ok((meta, handle)) => {
                let verdict = judge(&meta, self.rules, || is_state(dir, name, &meta));
                self.carry_out(verdict, &handle, path);
            }
        }
    }

    /// Gives away what is in a directory, and then the directory: until then, the hermes user cannot exchange what is in it.
    fn directory(&mut self, handle: &Handle, path: &Path, depth: u32) {
        let is_elsewhere = match handle.mount() {
            Ok(mount) => mount != self.mount,
            Err(reason) => return self.failed(path, reason),
        };
        if is_elsewhere || depth == DEPTH {
            let kept = if is_elsewhere { Kept::Mount } else { Kept::Depth };
            return (self.report)(path, Outcome::Left(kept));
        }
        let opened = handle.meta().and_then(|meta| Ok((meta, handle.dir()?)));
        let (meta, dir) = match opened {
            Ok(opened) => opened,
            Err(errno) => return self.failed(path, errno),
        };
        let verdict = judge(&meta, self.rules, || is_directory_of_hermes(&dir));
        if matches!(verdict, Verdict::Right | Verdict::Give)
            && let Err(errno) = self.below(&dir, path, depth)
        {
            self.failed(path, errno);
        }
        self.carry_out(verdict, handle, path);
    }

    fn below(&mut self, dir: &Dir, path: &Path, depth: u32) -> std::result::Result<(), Errno> {
        for entry in dir.entries()? {
            let name = entry?.name;
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                break;
            }
            self.any(dir, &name, &path.join(&name), depth + 1);
        }
        Ok(())
    }

    fn carry_out(&mut self, verdict: Verdict, handle: &Handle, path: &Path) {
        let outcome = match verdict {
            Verdict::Right => return,
            Verdict::Keep(kept) => Outcome::Left(kept),
            Verdict::Give if self.rules.is_dry_run => Outcome::Changed,
            Verdict::Give => match handle.give(self.rules.owner.uid) {
                Ok(()) => Outcome::Changed,
                Err(errno) => Outcome::Failed(refused(handle, errno)),
            },
        };
        (self.report)(path, outcome);
    }
}

/// Returns why a file could not be given away. Root has no power over the files of those whom its user namespace does not map.
fn refused(handle: &Handle, errno: Errno) -> Reason {
    let is_unmapped = || handle.meta().is_ok_and(|meta| user_namespace::owner(meta.ids) != Owner::Mapped);
    if errno == Errno::PERM && is_unmapped() {
        let why = "its owner is not in the container's user namespace: change it on the host";
        format!("{}; {why}", Reason::from(errno)).into()
    } else {
        errno.into()
    }
}

/// Returns whether a file says itself that it is a gateway's state.
fn is_state(dir: &Dir, name: &Name, meta: &Meta) -> bool {
    // The name may lead to another file by now.
    let is_it = |(bytes, found): (Vec<u8>, Meta)| found.inode == meta.inode && state::is_one(&bytes);
    *name == STATE && file::read_meta(dir, name, state::CAP).is_ok_and(is_it)
}

/// Returns whether a directory shows that it is one of Hermes Agent's, or is empty: only its owner can have put there what it has.
fn is_directory_of_hermes(dir: &Dir) -> bool {
    let is_empty = || dir.entries().is_ok_and(|mut entries| entries.next().is_none());
    let has_all = |names: &&[Name]| names.iter().all(|name| dir.has(name) == Ok(true));
    SIGNS.iter().any(has_all) || is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_away() {
        use Kept::{Links, Private, Special};
        use Kind::{Directory, Fifo, Other, Regular, Symlink};
        use Verdict::{Give, Keep, Right};
        let owner = Ids { uid: 10_000, gid: 10_000 };
        for (kind, uid, gid, mode, links, verdicts) in [
            // The verdict if it is not known, if it is, and with what is private.
            (Regular, 10_000, 0, 0o600, 2, [Right; 3]),
            (Other, 10_000, 0, 0o600, 1, [Right; 3]),
            (Directory, 10_000, 0, 0o000, 2, [Right; 3]),
            (Regular, 0, 0, 0o644, 1, [Give; 3]),
            (Regular, 0, 10_000, 0o640, 1, [Give; 3]),
            (Regular, 4321, 0, 0o604, 1, [Give; 3]),
            (Regular, 0, 0, 0o644, 2, [Keep(Links); 3]),
            (Regular, 0, 0, 0o640, 1, [Keep(Private), Give, Give]),
            (Regular, 0, 10_000, 0o604, 1, [Keep(Private), Give, Give]),
            (Regular, 0, 0, 0o600, 1, [Keep(Private), Give, Give]),
            (Directory, 0, 0, 0o755, 9, [Give; 3]),
            (Directory, 0, 0, 0o700, 9, [Keep(Private), Give, Give]),
            (Symlink, 0, 0, 0o777, 1, [Give; 3]),
            (Fifo, 0, 0, 0o666, 1, [Keep(Special); 3]),
            (Other, 0, 0, 0o666, 1, [Keep(Special); 3]),
        ] {
            let meta = Meta { kind, mode, ids: Ids { uid, gid }, links, size: 0, inode: 1, modified: 0 };
            let judged = [(false, false), (true, false), (false, true)].map(|(is_known, private_too)| {
                judge(&meta, Rules { owner, private_too, is_dry_run: false }, || is_known)
            });
            assert_eq!(judged, verdicts, "{meta:?}");
        }
    }
}
