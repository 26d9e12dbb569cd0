//! The supervise skeleton: `event`, `supervise`, `supervise/event`, `supervise/control`. s6-supervise uses existing ones as they
//! are (its mkdir and mkfifo accept EEXIST), so a skeleton that is made first decides who may command the service.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::Policy;
use super::servicedir::{CONTROL, EVENT, SUPERVISE};
use crate::output::{Context, Error, Result};
use crate::sys::{self, Dir, Errno, Ids, Kind, Meta, Name, Ownership, Reason, file};

/// Makes the skeleton in a new service directory that nobody else can write yet.
pub fn make(service: &Dir, policy: &Policy, ownership: &Ownership) -> std::result::Result<(), Errno> {
    make_event(service, c"event", policy, ownership)?;
    service.mkdir_at(c"supervise", policy.supervise)?;
    make_event(service, c"supervise/event", policy, ownership)?;
    service.mkfifo_at(c"supervise/control", policy.control)?;
    hand_over(service, c"supervise/control", policy.supervise_owner, ownership)?;
    // Last: from here on it may belong to another user.
    hand_over(service, c"supervise", policy.supervise_owner, ownership)
}

fn make_event(
    service: &Dir,
    path: &'static CStr,
    policy: &Policy,
    ownership: &Ownership,
) -> std::result::Result<(), Errno> {
    service.mkdir_at(path, policy.event)?;
    // mkdir takes setgid from the parent alone. The mode comes before the owner: only the owner may change it.
    service.chmod_at(path, policy.event)?;
    hand_over(service, path, policy.slot_owner, ownership)
}

fn hand_over(
    dir: &Dir,
    path: &'static CStr,
    ids: Ids,
    ownership: &Ownership,
) -> std::result::Result<(), Errno> {
    if ids == ownership.process() {
        return Ok(());
    }
    ownership.change_path(dir, path, ids)
}

/// What is done with existing parts of a skeleton.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They stay as they are.
    Leave,
    /// They get the wanted mode and owner.
    Update,
}

/// Completes the skeleton of a service directory that may be in use and may belong to another user: missing parts are made. A part
/// of the wrong type is an error that names it; the other parts are completed all the same, and the first error is returned. `path`
/// is the service directory in messages.
pub fn complete(
    service: &Dir,
    path: &Path,
    existing: Existing,
    policy: &Policy,
    ownership: &Ownership,
) -> Result<()> {
    let completion = Completion { existing, policy, ownership };
    let event = completion.event(service, path);
    let supervise = completion.supervise(service, path);
    event.and(supervise)
}

struct Completion<'a> {
    existing: Existing,
    policy: &'a Policy,
    ownership: &'a Ownership,
}

/// A directory of the skeleton.
struct Part {
    dir: Dir,
    path: PathBuf,
    mode: u32,
    is_new: bool,
}

impl Completion<'_> {
    fn event(&self, parent: &Dir, path: &Path) -> Result<()> {
        let event = Part::open(parent, path, &EVENT, self.policy.event)?;
        self.update(&event, self.policy.slot_owner)
    }

    fn supervise(&self, service: &Dir, path: &Path) -> Result<()> {
        let supervise = Part::open(service, path, &SUPERVISE, self.policy.supervise)?;
        let event = self.event(&supervise.dir, &supervise.path);
        let control = self.control(&supervise.dir, &supervise.path);
        // Last: with CAP_CHOWN alone, root can make nothing in a directory of another user.
        let own = self.update(&supervise, self.policy.supervise_owner);
        event.and(control).and(own)
    }

    fn update(&self, part: &Part, ids: Ids) -> Result<()> {
        if part.is_new || self.existing == Existing::Update || self.is_unfinished(part) {
            let set = set_attributes(&part.dir, part.mode, ids, self.ownership);
            return set.context("set mode and owner of", &part.path);
        }
        Ok(())
    }

    /// Returns whether an interrupted run has left a directory: this process's user made it, with the mode of a new one, and it holds
    /// nothing but parts of a skeleton.
    fn is_unfinished(&self, part: &Part) -> bool {
        let uid = self.ownership.process().uid;
        part.dir.own_meta().is_ok_and(|meta| is_as_made(meta, part.mode, uid))
            && part.dir.names().is_ok_and(|names| holds_only_parts(&names))
    }

    fn control(&self, supervise: &Dir, path: &Path) -> Result<()> {
        let path = &path.join(&CONTROL);
        let is_new = match supervise.mkfifo(&CONTROL, self.policy.control) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(Error::new("create", path, errno)),
        };
        let found = supervise.meta(&CONTROL).context("inspect", path)?;
        if found.kind != Kind::Fifo {
            return Err(Error::new("use", path, wrong_type(found.kind, "a FIFO")));
        }
        if is_new
            || self.existing == Existing::Update
            || is_as_made(found, self.policy.control, self.ownership.process().uid)
        {
            let set = set_fifo_attributes(supervise, found, self.policy, self.ownership);
            return set.context("set mode and owner of", path);
        }
        Ok(())
    }
}

impl Part {
    /// Opens a directory of the skeleton; makes it where it is missing.
    fn open(parent: &Dir, path: &Path, name: &Name, mode: u32) -> Result<Part> {
        let path = path.join(name);
        let is_new = match parent.mkdir(name, mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(Error::new("create", path, errno)),
        };
        let opened = match parent.dir(name) {
            // `event` cannot be read by other users.
            Err(Errno::ACCESS) if !is_new => parent.open_path(name),
            opened => opened,
        };
        match opened {
            Ok(dir) => Ok(Part { dir, path, mode, is_new }),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = parent.meta(name).map_or(Kind::Other, |meta| meta.kind);
                Err(Error::new("use", path, wrong_type(kind, "a directory")))
            }
            Err(errno) => Err(Error::new("open", path, errno)),
        }
    }
}

/// Returns whether a part has the owner and the mode that mkdir(2) or mknod(2) by this user gives it, which do not set setgid.
fn is_as_made(found: Meta, mode: u32, uid: u32) -> bool {
    found.ids.uid == uid && (found.mode ^ mode) & !0o2000 == 0
}

/// Returns whether a directory of the skeleton holds only what an interrupted run may have made in it.
fn holds_only_parts(names: &[Name]) -> bool {
    names.iter().all(|name| [&EVENT, &CONTROL].contains(&name))
}

/// Returns why a part of the wrong type is an error: s6-supervise exits, and s6-svscan starts it again once a second.
fn wrong_type(kind: Kind, wanted: &str) -> Reason {
    format!("is {}, and s6-supervise needs {wanted}: remove it", kind.text()).into()
}

/// Sets the mode and the owner of an open directory.
pub fn set_attributes(
    dir: &Dir,
    mode: u32,
    ids: Ids,
    ownership: &Ownership,
) -> std::result::Result<(), Errno> {
    set(dir.as_fd(), dir.own_meta()?, Some(mode), ids, dir, ownership).map(|_| ())
}

/// Sets the mode (`None` leaves it) and the owner of an open file with the attributes `found`; `near` is a directory of the same
/// file system. Returns whether that changed anything. Only the owner may change the mode: a file that is given away gets its mode
/// first, and one that is taken from another user its owner first.
pub fn set(
    fd: BorrowedFd<'_>,
    mut found: Meta,
    mode: Option<u32>,
    ids: Ids,
    near: &Dir,
    ownership: &Ownership,
) -> std::result::Result<bool, Errno> {
    let is_foreign = !ownership.accepts(found.ids, ids, near);
    let is_taken = is_foreign && ids.uid == ownership.process().uid;
    if is_taken {
        ownership.change(fd, ids)?;
        found = sys::meta::meta_of(fd)?;
    }
    let mode = mode.filter(|mode| *mode != found.mode);
    if let Some(mode) = mode {
        file::chmod(fd, mode)?;
    }
    if is_foreign && !is_taken {
        // chown(2) by root clears setuid and setgid of files, not of directories: the mode stays.
        ownership.change(fd, ids)?;
    }
    Ok(mode.is_some() || is_foreign && !ownership.is_refused_on(near))
}

/// Sets mode and owner of `control` through the descriptor that was checked.
fn set_fifo_attributes(
    supervise: &Dir,
    seen: Meta,
    policy: &Policy,
    ownership: &Ownership,
) -> std::result::Result<(), Reason> {
    if seen.mode == policy.control && ownership.accepts(seen.ids, policy.supervise_owner, supervise) {
        return Ok(());
    }
    let (fifo, meta) = file::open_checked(supervise, &CONTROL)?;
    if meta.kind != Kind::Fifo {
        return Err("was replaced meanwhile".into());
    }
    set(fifo.as_fd(), meta, Some(policy.control), policy.supervise_owner, supervise, ownership)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(kind: Kind, uid: u32, mode: u32, links: u64) -> Meta {
        Meta { kind, mode, ids: Ids { uid, gid: 7 }, links, size: 0, inode: 1, modified: 0 }
    }

    fn name(text: &str) -> Option<Name> {
        Name::new(text)
    }

    #[test]
    fn a_directory_as_an_interrupted_run_leaves_it_is_unfinished() {
        for (uid, mode, wanted, expected) in [
            (0, 0o755, 0o755, true),
            (0, 0o1730, 0o3730, true),
            (0, 0o3730, 0o3730, true),
            (0, 0o730, 0o3730, false),
            (0, 0o710, 0o755, false),
            (1000, 0o755, 0o755, false),
            (1000, 0o1730, 0o3730, false),
        ] {
            let found = meta(Kind::Directory, uid, mode, 2);
            assert_eq!(is_as_made(found, wanted, 0), expected, "{uid} {mode:o} {wanted:o}");
        }
        for (entries, expected) in [
            (&[][..], true),
            (&["event"], true),
            (&["control", "event"], true),
            (&["control", "event", "lock"], false),
            (&["status"], false),
            (&["ftrig1:x"], false),
        ] {
            let names: Vec<Name> = entries.iter().filter_map(|entry| name(entry)).collect();
            assert_eq!(holds_only_parts(&names), expected, "{entries:?}");
        }
    }
}
