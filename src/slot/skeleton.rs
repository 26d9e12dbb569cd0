//! The supervise skeleton: `event`, `supervise`, `supervise/event`, `supervise/control`. s6-supervise takes what is there
//! already as it is (its mkdir and mkfifo are EEXIST-safe), so a skeleton that is there first decides who may command.

use super::layout::{CONTROL, CONTROL_MODE, EVENT, EVENT_MODE, Policy, SUPERVISE};
use crate::error::{Error, Reason, Result};
use crate::sys::keep::{self, Bytes};
use crate::sys::{Chowner, Dir, Errno, Ids, Kind, Name, file};

/// Makes the skeleton in a service directory that nobody else can write yet, where nothing of it is.
pub fn make(service: &Dir, policy: &Policy, chowner: &Chowner) -> std::result::Result<(), Errno> {
    make_event(service, policy, chowner)?;
    service.mkdir(&SUPERVISE, policy.supervise)?;
    let supervise = service.passage(&SUPERVISE)?;
    make_event(&supervise, policy, chowner)?;
    supervise.mkfifo(&CONTROL, CONTROL_MODE)?;
    give(&supervise, &CONTROL, policy.skeleton, chowner)?;
    // Last: from here on it is somebody else's.
    give(service, &SUPERVISE, policy.skeleton, chowner)
}

fn make_event(parent: &Dir, policy: &Policy, chowner: &Chowner) -> std::result::Result<(), Errno> {
    parent.mkdir(&EVENT, EVENT_MODE)?;
    // mkdir takes setgid from the parent alone; and chown first would cost the right to chmod.
    parent.chmod_own(&EVENT, EVENT_MODE)?;
    give(parent, &EVENT, policy.skeleton, chowner)
}

fn give(dir: &Dir, name: &Name, ids: Ids, chowner: &Chowner) -> std::result::Result<(), Errno> {
    if ids == chowner.me() {
        return Ok(());
    }
    chowner.give_own(dir, name, ids)
}

/// How the parts of a skeleton that are there already are treated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Left as they are.
    Keep,
    /// Given the wanted mode and owner.
    Mend,
}

/// Completes the skeleton of a service directory that may be in use and may be another user's: what is missing is made; a
/// wrong type is an error that names it, and the rest is done. `label` is the service directory as messages name it.
/// Returns whether anything changed.
pub fn complete(
    service: &Dir,
    label: &[u8],
    existing: Existing,
    policy: &Policy,
    chowner: &Chowner,
) -> Result<bool> {
    let mut work = Completion { existing, policy, chowner, changed: false, failed: None };
    if let Some(event) = work.open(service, label, &EVENT, EVENT_MODE) {
        work.settle(&event);
    }
    if let Some(supervise) = work.open(service, label, &SUPERVISE, policy.supervise) {
        if let Some(event) = work.open(&supervise.dir, supervise.path, &EVENT, EVENT_MODE) {
            work.settle(&event);
        }
        work.fifo(&supervise.dir, supervise.path);
        // Last: with CAP_CHOWN alone, root can make nothing in a directory that it has given away.
        work.settle(&supervise);
    }
    match work.failed {
        Some(error) => Err(error),
        None => Ok(work.changed),
    }
}

struct Completion<'a> {
    existing: Existing,
    policy: &'a Policy,
    chowner: &'a Chowner,
    changed: bool,
    failed: Option<Error>,
}

/// A directory of the skeleton.
struct Place {
    dir: Dir,
    path: Bytes,
    mode: u32,
    made: bool,
}

impl Completion<'_> {
    fn fail(&mut self, verb: &'static str, path: &[u8], reason: impl Into<Reason>) {
        self.failed.get_or_insert(Error::new(verb, path, reason));
    }

    fn open(&mut self, parent: &Dir, label: &[u8], name: &Name, mode: u32) -> Option<Place> {
        let path = keep::path(&[label, name.bytes()]);
        let made = match parent.mkdir(name, mode) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => {
                self.fail("make", path, errno);
                return None;
            }
        };
        let opened = match parent.dir(name) {
            // `event` shuts out who is neither its owner nor of its group.
            Err(Errno::ACCESS) if !made => parent.passage(name),
            opened => opened,
        };
        match opened {
            Ok(dir) => return Some(Place { dir, path, mode, made }),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = parent.meta(name).map_or(Kind::Other, |meta| meta.kind);
                self.fail("use", path, wrong_type(kind, "a directory"));
            }
            Err(errno) => self.fail("open", path, errno),
        }
        None
    }

    fn settle(&mut self, place: &Place) {
        if !place.made && self.existing == Existing::Keep {
            return;
        }
        match mend(&place.dir, place.mode, self.policy.skeleton, self.chowner) {
            Ok(changed) => self.changed |= changed || place.made,
            Err(errno) => self.fail("set mode and owner of", place.path, errno),
        }
    }

    fn fifo(&mut self, supervise: &Dir, label: &[u8]) {
        let path = keep::path(&[label, CONTROL.bytes()]);
        let made = match supervise.mkfifo(&CONTROL, CONTROL_MODE) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return self.fail("make", path, errno),
        };
        match supervise.meta(&CONTROL) {
            Ok(meta) if meta.kind != Kind::Fifo => self.fail("use", path, wrong_type(meta.kind, "a FIFO")),
            Ok(meta) if made || self.existing == Existing::Mend => {
                match mend_fifo(supervise, meta, self.policy.skeleton, self.chowner) {
                    Ok(changed) => self.changed |= changed || made,
                    Err(reason) => self.fail("set mode and owner of", path, reason),
                }
            }
            Ok(_) => (),
            Err(errno) => self.fail("look at", path, errno),
        }
    }
}

/// s6-supervise dies on it and is started again once a second.
fn wrong_type(kind: Kind, wanted: &str) -> Reason {
    format!("is {}, and s6-supervise needs {wanted}: remove it", kind.text()).into()
}

/// Gives an open directory its mode and owner, in this order; says whether that changed anything.
pub fn mend(dir: &Dir, mode: u32, ids: Ids, chowner: &Chowner) -> std::result::Result<bool, Errno> {
    let found = dir.own_meta()?;
    let mut changed = false;
    if found.mode != mode {
        dir.chmod(mode)?;
        changed = true;
    }
    if !chowner.is_settled(found.ids, ids, dir) {
        chowner.give(dir, ids)?;
        changed = chowner.refused().is_none();
        // chown(2) by root clears setuid and setgid of files, never of directories: the mode stands.
    }
    Ok(changed)
}

/// Gives `control` its mode and owner through the descriptor that was checked.
fn mend_fifo(
    supervise: &Dir,
    seen: crate::sys::Meta,
    ids: Ids,
    chowner: &Chowner,
) -> std::result::Result<bool, Reason> {
    let settled = chowner.is_settled(seen.ids, ids, supervise);
    if settled && seen.mode == CONTROL_MODE {
        return Ok(false);
    }
    let (fifo, meta) = file::open_checked(supervise, &CONTROL)?;
    if meta.kind != Kind::Fifo {
        return Err("was exchanged meanwhile".into());
    }
    if meta.mode != CONTROL_MODE {
        file::chmod(&fifo, CONTROL_MODE)?;
    }
    if !settled {
        chowner.give(&fifo, ids)?;
    }
    Ok(true)
}
