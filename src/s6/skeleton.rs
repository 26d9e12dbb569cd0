//! The supervise skeleton: `event`, `supervise`, `supervise/event`, `supervise/control`. s6-supervise uses existing ones as they
//! are (its mkdir and mkfifo accept EEXIST), so a skeleton that is made first decides who may command the service.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use super::Policy;
use super::servicedir::{CONTROL, EVENT, SEALED_EVENT, SUPERVISE};
use crate::output::{Context, Error, Result};
use crate::sys::{self, Dir, Errno, Ids, Kind, Meta, Name, Ownership, Reason, file, remove};

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
/// of the wrong type is an error that names it; the other parts are completed all the same. `path` is the service directory in
/// messages. Returns whether anything changed.
pub fn complete(
    service: &Dir,
    path: &[u8],
    existing: Existing,
    policy: &Policy,
    ownership: &Ownership,
) -> Result<bool> {
    let mut work = Completion { existing, policy, ownership, changed: false, failed: None };
    if let Some(event) = work.open(service, path, &EVENT, policy.event) {
        work.update(&event, policy.slot_owner);
    }
    if let Some(supervise) = work.open(service, path, &SUPERVISE, policy.supervise) {
        if let Some(event) = work.open(&supervise.dir, &supervise.path, &EVENT, policy.event) {
            work.update(&event, policy.slot_owner);
        }
        work.fifo(&supervise.dir, &supervise.path);
        // Last: with CAP_CHOWN alone, root can make nothing in a directory of another user.
        work.update(&supervise, policy.supervise_owner);
    }
    match work.failed {
        Some(error) => Err(error),
        None => Ok(work.changed),
    }
}

struct Completion<'a> {
    existing: Existing,
    policy: &'a Policy,
    ownership: &'a Ownership,
    changed: bool,
    failed: Option<Error>,
}

/// A directory of the skeleton.
struct Part {
    dir: Dir,
    path: Vec<u8>,
    mode: u32,
    is_new: bool,
}

impl Completion<'_> {
    fn fail(&mut self, verb: &'static str, path: &[u8], reason: impl Into<Reason>) {
        self.failed.get_or_insert(Error::new(verb, path, reason));
    }

    fn open(&mut self, parent: &Dir, path: &[u8], name: &Name, mode: u32) -> Option<Part> {
        let path = sys::label(&[path, name.bytes()]);
        let is_new = match parent.mkdir(name, mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => {
                self.fail("make", &path, errno);
                return None;
            }
        };
        let opened = match parent.dir(name) {
            // `event` cannot be read by other users.
            Err(Errno::ACCESS) if !is_new => parent.open_path(name),
            opened => opened,
        };
        match opened {
            Ok(dir) => return Some(Part { dir, path, mode, is_new }),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = parent.meta(name).map_or(Kind::Other, |meta| meta.kind);
                self.fail("use", &path, wrong_type(kind, "a directory"));
            }
            Err(errno) => self.fail("open", &path, errno),
        }
        None
    }

    fn update(&mut self, part: &Part, ids: Ids) {
        if !part.is_new && self.existing == Existing::Leave && !self.is_unfinished(part) {
            return;
        }
        match set_attributes(&part.dir, part.mode, ids, self.ownership) {
            Ok(changed) => self.changed |= changed || part.is_new,
            Err(errno) => self.fail("set mode and owner of", &part.path, errno),
        }
    }

    /// Returns whether an interrupted run has left a directory: this process's user made it, with the mode of a new one, and nothing
    /// of others is in it.
    fn is_unfinished(&self, part: &Part) -> bool {
        let is_own = part.dir.own_meta().is_ok_and(|meta| self.is_new_ones(meta, part.mode));
        is_own
            && part.dir.names().is_ok_and(|names| names.iter().all(|name| [&EVENT, &CONTROL].contains(&name)))
    }

    fn is_new_ones(&self, meta: Meta, mode: u32) -> bool {
        // mkdir does not set setgid.
        meta.ids.uid == self.ownership.process().uid && (meta.mode ^ mode) & !0o2000 == 0
    }

    fn fifo(&mut self, supervise: &Dir, path: &[u8]) {
        let path = sys::label(&[path, CONTROL.bytes()]);
        let is_new = match supervise.mkfifo(&CONTROL, self.policy.control) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return self.fail("make", &path, errno),
        };
        match supervise.meta(&CONTROL) {
            Ok(meta) if meta.kind != Kind::Fifo => self.fail("use", &path, wrong_type(meta.kind, "a FIFO")),
            Ok(meta)
                if is_new
                    || self.existing == Existing::Update
                    || self.is_new_ones(meta, self.policy.control) =>
            {
                match set_fifo_attributes(supervise, meta, self.policy, self.ownership) {
                    Ok(changed) => self.changed |= changed || is_new,
                    Err(reason) => self.fail("set mode and owner of", &path, reason),
                }
            }
            Ok(_) => (),
            Err(errno) => self.fail("look at", &path, errno),
        }
    }
}

/// Returns why a part of the wrong type is an error: s6-supervise exits, and s6-svscan starts it again once a second.
fn wrong_type(kind: Kind, wanted: &str) -> Reason {
    format!("is {}, and s6-supervise needs {wanted}: remove it", kind.text()).into()
}

/// Sets the mode and the owner of an open directory. Returns whether that changed anything.
pub fn set_attributes(
    dir: &Dir,
    mode: u32,
    ids: Ids,
    ownership: &Ownership,
) -> std::result::Result<bool, Errno> {
    set(dir.as_fd(), dir.own_meta()?, Some(mode), ids, dir, ownership)
}

/// Sets the mode (`None` leaves it) and the owner of an open file with the attributes `found`; `near` is a directory of the same
/// file system. Returns whether that changed anything. Only the owner may change the mode: what is given away gets its mode first,
/// and what is taken from another user its owner.
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
        found = sys::dir::meta_of(fd)?;
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
) -> std::result::Result<bool, Reason> {
    if seen.mode == policy.control && ownership.accepts(seen.ids, policy.supervise_owner, supervise) {
        return Ok(false);
    }
    let (fifo, meta) = file::open_checked(supervise, &CONTROL)?;
    if meta.kind != Kind::Fifo {
        return Err("was exchanged meanwhile".into());
    }
    Ok(set(fifo.as_fd(), meta, Some(policy.control), policy.supervise_owner, supervise, ownership)?)
}

/// Mode bit of a directory that is being sealed: if the pass is killed, the next one sees that it is not done.
pub const UNFINISHED: u32 = 0o1000;

/// Handles an entry of a directory that is being sealed.
pub type Clean<'a> = &'a dyn Fn(&Name, Meta) -> std::result::Result<(), Reason>;

/// Seals a directory of a service, if its owner or mode is not what is wanted: takes it from its owner, has `clean` handle each
/// entry, and then sets the mode. `path` is the directory in messages. Fails if the kernel leaves it to another user. Returns
/// whether anything changed.
pub fn seal(
    dir: &Dir,
    path: &[u8],
    mode: u32,
    ids: Ids,
    ownership: &Ownership,
    clean: Clean<'_>,
) -> Result<bool> {
    take(dir, mode, ids, ownership, clean).context("seal", path)
}

fn take(
    dir: &Dir,
    mode: u32,
    ids: Ids,
    ownership: &Ownership,
    clean: Clean<'_>,
) -> std::result::Result<bool, Reason> {
    let found = dir.own_meta()?;
    if found.mode == mode && ownership.accepts(found.ids, ids, dir) {
        return Ok(false);
    }
    set(dir.as_fd(), found, Some(mode | UNFINISHED), ids, dir, ownership)?;
    if dir.own_meta()?.ids.uid != ids.uid {
        return Err(stays_open(found.ids));
    }
    for name in &dir.names()? {
        if let Some(meta) = sys::present(dir.meta(name))? {
            clean(name, meta)?;
        }
    }
    dir.chmod(mode)?;
    Ok(true)
}

/// Seals an `event` directory. FIFOs of root's own stay: a program of root's may be waiting on them. Anything else may lead
/// s6-supervise to a file of root's.
pub fn seal_event(dir: &Dir, path: &[u8], ids: Ids, ownership: &Ownership) -> Result<bool> {
    seal(dir, path, SEALED_EVENT, ids, ownership, &|name, meta| {
        let is_roots = meta.kind == Kind::Fifo && meta.ids.uid == ids.uid && meta.links == 1;
        if is_roots { Ok(()) } else { Ok(remove::tree(dir, name)?) }
    })
}

/// Returns why a part that the kernel leaves to another user is not sealed.
pub fn stays_open(ids: Ids) -> Reason {
    format!("it stays uid {}'s: this process may not change owners", ids.uid).into()
}
