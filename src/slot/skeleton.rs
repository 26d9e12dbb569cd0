//! The supervise skeleton: `event`, `supervise`, `supervise/event`, `supervise/control`. s6-supervise uses existing ones as they
//! are (its mkdir and mkfifo accept EEXIST), so a skeleton that is made first decides who may command the service.

use super::layout::{CONTROL, CONTROL_MODE, EVENT, EVENT_MODE, Policy, SUPERVISE};
use crate::error::{Error, Result};
use crate::sys::{self, Dir, Errno, Ids, Kind, Meta, Name, Ownership, Reason, file};

/// Makes the skeleton in a new service directory that nobody else can write yet.
pub fn make(service: &Dir, policy: &Policy, ownership: &Ownership) -> std::result::Result<(), Errno> {
    make_event(service, policy, ownership)?;
    service.mkdir(&SUPERVISE, policy.supervise)?;
    let supervise = service.passage(&SUPERVISE)?;
    make_event(&supervise, policy, ownership)?;
    supervise.mkfifo(&CONTROL, CONTROL_MODE)?;
    hand_over(&supervise, &CONTROL, policy.skeleton, ownership)?;
    // Last: from here on it may belong to another user.
    hand_over(service, &SUPERVISE, policy.skeleton, ownership)
}

fn make_event(parent: &Dir, policy: &Policy, ownership: &Ownership) -> std::result::Result<(), Errno> {
    parent.mkdir(&EVENT, EVENT_MODE)?;
    // mkdir takes setgid from the parent alone. The mode comes before the owner: only the owner may change it.
    parent.chmod_own(&EVENT, EVENT_MODE)?;
    hand_over(parent, &EVENT, policy.skeleton, ownership)
}

fn hand_over(dir: &Dir, name: &Name, ids: Ids, ownership: &Ownership) -> std::result::Result<(), Errno> {
    if ids == ownership.process() {
        return Ok(());
    }
    ownership.change_at(dir, name, ids)
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
    if let Some(event) = work.open(service, path, &EVENT, EVENT_MODE) {
        work.update(&event);
    }
    if let Some(supervise) = work.open(service, path, &SUPERVISE, policy.supervise) {
        if let Some(event) = work.open(&supervise.dir, &supervise.path, &EVENT, EVENT_MODE) {
            work.update(&event);
        }
        work.fifo(&supervise.dir, &supervise.path);
        // Last: with CAP_CHOWN alone, root can make nothing in a directory of another user.
        work.update(&supervise);
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
            Err(Errno::ACCESS) if !is_new => parent.passage(name),
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

    fn update(&mut self, part: &Part) {
        if !part.is_new && self.existing == Existing::Leave && !self.is_unfinished(part) {
            return;
        }
        match set_attributes(&part.dir, part.mode, self.policy.skeleton, self.ownership) {
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
        let is_new = match supervise.mkfifo(&CONTROL, CONTROL_MODE) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return self.fail("make", &path, errno),
        };
        match supervise.meta(&CONTROL) {
            Ok(meta) if meta.kind != Kind::Fifo => self.fail("use", &path, wrong_type(meta.kind, "a FIFO")),
            Ok(meta)
                if is_new || self.existing == Existing::Update || self.is_new_ones(meta, CONTROL_MODE) =>
            {
                match set_fifo_attributes(supervise, meta, self.policy.skeleton, self.ownership) {
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

/// Sets the mode and then the owner of an open directory. Returns whether that changed anything.
pub fn set_attributes(
    dir: &Dir,
    mode: u32,
    ids: Ids,
    ownership: &Ownership,
) -> std::result::Result<bool, Errno> {
    let found = dir.own_meta()?;
    let mut changed = false;
    if found.mode != mode {
        dir.chmod(mode)?;
        changed = true;
    }
    if !ownership.accepts(found.ids, ids, dir) {
        ownership.change(dir, ids)?;
        changed |= !ownership.is_refused_on(dir);
        // chown(2) by root clears setuid and setgid of files, not of directories: the mode stays.
    }
    Ok(changed)
}

/// Sets mode and owner of `control` through the descriptor that was checked.
fn set_fifo_attributes(
    supervise: &Dir,
    seen: Meta,
    ids: Ids,
    ownership: &Ownership,
) -> std::result::Result<bool, Reason> {
    let is_owned = ownership.accepts(seen.ids, ids, supervise);
    if is_owned && seen.mode == CONTROL_MODE {
        return Ok(false);
    }
    let (fifo, meta) = file::open_checked(supervise, &CONTROL)?;
    if meta.kind != Kind::Fifo {
        return Err("was exchanged meanwhile".into());
    }
    if meta.mode != CONTROL_MODE {
        file::chmod(&fifo, CONTROL_MODE)?;
    }
    if !is_owned {
        ownership.change(&fifo, ids)?;
    }
    Ok(true)
}
