//! One static service: owner and mode of its event and supervise directories are set through descriptors that were checked, and no
//! symlink is followed.

use std::cell::Cell;
use std::fmt::{Display, Write};
use std::os::fd::{AsFd, BorrowedFd};

use crate::output::escape::FromVolume;
use crate::s6::Policy;
use crate::s6::servicedir::{CONTROL, EVENT, LOG, SEALED_SUPERVISE, SUPERVISE};
use crate::s6::skeleton;
use crate::sys::{Dir, Errno, Ids, Kind, Meta, Name, Ownership, Reason, file, label};

/// Prefixes of s6-overlay's own services. Whoever commands them commands the supervision itself.
const INTERNAL: [&[u8]; 2] = [b"s6rc-", b"s6-linux-"];
/// Number of levels of directories below `supervise` that are entered. s6-supervise makes one.
const DEPTH_MAX: u32 = 32;

/// What was done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is as wanted.
    Done,
    /// It was left as it is, which is no fault.
    Skipped,
    /// Something in it is not what it should be, and was left as it is.
    Refused,
    /// A system call failed.
    Failed,
}

impl Action {
    /// Returns the word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Action::Done => "done",
            Action::Skipped => "skipped",
            Action::Refused => "refused",
            Action::Failed => "failed",
        }
    }
}

/// The result for a service.
pub struct Outcome {
    /// Its name.
    pub service: Name,
    /// What was done.
    pub action: Action,
    /// Why it is not as wanted, with semicolons between.
    pub reasons: String,
    /// Whether anything was, or would be, changed.
    pub changed: bool,
}

impl Outcome {
    fn new(service: &Name) -> Outcome {
        Outcome { service: service.clone(), action: Action::Done, reasons: String::new(), changed: false }
    }

    fn add(&mut self, why: &dyn Display) {
        let between = if self.reasons.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(self.reasons, "{between}{why}");
    }

    /// Notes that something was left as it is.
    fn refuse(&mut self, path: &[u8], why: &dyn Display) {
        self.add(&format_args!("{} {why}", FromVolume(path)));
        if self.action != Action::Failed {
            self.action = Action::Refused;
        }
    }

    fn fail(&mut self, why: &dyn Display) {
        self.add(why);
        self.action = Action::Failed;
    }
}

/// What all services have in common.
pub struct Fix<'a> {
    policy: &'a Policy,
    dry_run: bool,
    ownership: &'a Ownership,
    /// The errno with which the kernel refused something that root may do.
    denied: Cell<Option<Errno>>,
}

/// The mode to set; `None` to leave it.
type Mode = Option<u32>;

/// An open file of a service.
struct Target<'a> {
    fd: BorrowedFd<'a>,
    /// Its attributes when it was opened.
    found: &'a Meta,
    /// Its path below the service directory, for messages.
    path: &'a [u8],
    /// A directory of the same file system.
    near: &'a Dir,
}

impl<'a> Fix<'a> {
    /// Makes the fix for a policy.
    pub fn new(policy: &'a Policy, dry_run: bool, ownership: &'a Ownership) -> Fix<'a> {
        Fix { policy, dry_run, ownership, denied: Cell::new(None) }
    }

    /// Returns the errno with which the kernel refused something that root may do, if it did.
    pub fn denied(&self) -> Option<Errno> {
        self.denied.get()
    }

    /// Handles one entry of the directory of services; `None` if it is no service.
    pub fn service(&self, services: &Dir, name: &Name) -> Option<Outcome> {
        let mut outcome = Outcome::new(name);
        if INTERNAL.iter().any(|prefix| name.bytes().starts_with(prefix)) {
            outcome.action = Action::Skipped;
            outcome.add(&"s6-overlay's own");
            return Some(outcome);
        }
        match services.meta(name).map(|meta| meta.kind) {
            Ok(Kind::Symlink) => outcome.refuse(name.bytes(), &"is a symlink"),
            Ok(Kind::Directory) => match services.dir(name) {
                Ok(service) => {
                    let is_supervised = self.parts(&service, &[], &mut outcome);
                    if !is_supervised && outcome.reasons.is_empty() {
                        outcome.add(&"nobody supervises it");
                    }
                    self.logger(&service, &mut outcome);
                }
                Err(errno) => self.trouble(name.bytes(), errno, &mut outcome),
            },
            // No service; or it has vanished meanwhile.
            Ok(_) | Err(Errno::NOENT) => return None,
            Err(errno) => self.trouble(name.bytes(), errno, &mut outcome),
        }
        if outcome.action == Action::Done && !outcome.reasons.is_empty() {
            outcome.action = Action::Skipped;
        }
        Some(outcome)
    }

    /// Notes a failed system call. A missing permission is tolerated, except in sealed mode, where it leaves something open. An entry
    /// that has vanished is no failure.
    fn trouble(&self, path: &[u8], errno: Errno, outcome: &mut Outcome) {
        let why = format!("{}: {}", FromVolume(path), Reason::from(errno));
        match errno {
            Errno::NOENT => (),
            Errno::PERM | Errno::ACCESS if !self.policy.mode.is_sealed() => {
                self.denied.set(Some(errno));
                outcome.add(&why);
            }
            _ => outcome.fail(&why),
        }
    }

    /// Handles the parts of a service directory. Returns whether there is any.
    fn parts(&self, service: &Dir, path: &[u8], outcome: &mut Outcome) -> bool {
        let has_event = self.event(service, path, outcome);
        let supervise = label(&[path, SUPERVISE.bytes()]);
        let supervise_dir = self.open(service, &SUPERVISE, &supervise, outcome);
        if let Some(dir) = &supervise_dir {
            self.supervise(dir, &supervise, outcome);
        }
        has_event || supervise_dir.is_some()
    }

    /// Handles the `event` directory in a directory. Returns whether there is one.
    fn event(&self, parent: &Dir, path: &[u8], outcome: &mut Outcome) -> bool {
        let path = label(&[path, EVENT.bytes()]);
        let Some(dir) = self.open(parent, &EVENT, &path, outcome) else { return false };
        if !self.policy.mode.is_sealed() || self.dry_run {
            self.directory(&dir, &path, Some(self.policy.event), self.policy.slot_owner, outcome);
            return true;
        }
        match skeleton::seal_event(&dir, &path, self.policy.slot_owner, self.ownership) {
            Ok(changed) => outcome.changed |= changed,
            Err(error) => outcome.fail(&error),
        }
        true
    }

    fn logger(&self, service: &Dir, outcome: &mut Outcome) {
        match service.meta(&LOG).map(|meta| meta.kind) {
            Ok(Kind::Directory) => match service.dir(&LOG) {
                Ok(log) => {
                    self.parts(&log, LOG.bytes(), outcome);
                }
                Err(errno) => self.trouble(LOG.bytes(), errno, outcome),
            },
            Ok(Kind::Symlink) => outcome.refuse(LOG.bytes(), &"is a symlink"),
            // A service may have no logger.
            Ok(_) | Err(Errno::NOENT) => (),
            Err(errno) => self.trouble(LOG.bytes(), errno, outcome),
        }
    }

    fn open(&self, parent: &Dir, name: &Name, path: &[u8], outcome: &mut Outcome) -> Option<Dir> {
        match parent.dir(name) {
            Ok(dir) => return Some(dir),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = parent.meta(name).map_or(Kind::Other, |meta| meta.kind);
                outcome.refuse(path, &format_args!("is {}, not a directory", kind.text()));
            }
            Err(errno) => self.trouble(path, errno, outcome),
        }
        None
    }

    /// Handles a supervise directory: everything in it becomes the owner's. In sealed mode, if it is root's already, only `control`
    /// and `event` are looked at.
    fn supervise(&self, supervise: &Dir, path: &[u8], outcome: &mut Outcome) {
        let (sealed, ids) = (self.policy.mode.is_sealed(), self.policy.supervise_owner);
        let is_ours = |meta: Meta| meta.ids.uid == ids.uid && meta.mode & skeleton::UNFINISHED == 0;
        let is_ours = sealed && supervise.own_meta().is_ok_and(is_ours);
        if sealed && !is_ours {
            // Before its entries: what is checked in it after that stays as it was checked.
            let mode = SEALED_SUPERVISE | skeleton::UNFINISHED;
            self.directory(supervise, path, Some(mode), ids, outcome);
        }
        if is_ours {
            self.event(supervise, path, outcome);
            self.entry(supervise, &CONTROL, path, outcome);
        } else {
            self.tree(supervise, path, 0, outcome);
        }
        // After its entries: root with CAP_CHOWN alone cannot enter a directory of another user.
        self.directory(supervise, path, Some(SEALED_SUPERVISE), ids, outcome);
    }

    fn tree(&self, dir: &Dir, path: &[u8], depth: u32, outcome: &mut Outcome) {
        let names = match dir.names() {
            Ok(names) => names,
            Err(errno) => return self.trouble(path, errno, outcome),
        };
        for name in &names {
            let below = label(&[path, name.bytes()]);
            let is_directory = dir.meta(name).is_ok_and(|meta| meta.kind == Kind::Directory);
            if !is_directory {
                self.entry(dir, name, path, outcome);
            } else if depth == DEPTH_MAX {
                outcome.refuse(&below, &format_args!("is more than {DEPTH_MAX} directories deep"));
            } else if depth == 0 && name == &EVENT {
                self.event(dir, path, outcome);
            } else if let Some(subdirectory) = self.open(dir, name, &below, outcome) {
                self.tree(&subdirectory, &below, depth + 1, outcome);
                self.directory(&subdirectory, &below, None, self.policy.supervise_owner, outcome);
            }
        }
    }

    /// Handles an entry of `supervise` that is not a directory.
    fn entry(&self, dir: &Dir, name: &Name, path: &[u8], outcome: &mut Outcome) {
        let path = label(&[path, name.bytes()]);
        let meta = match dir.meta(name) {
            Ok(meta) => meta,
            Err(errno) => return self.trouble(&path, errno, outcome),
        };
        let is_control = name == &CONTROL;
        match meta.kind {
            Kind::Fifo => (),
            Kind::Regular if !is_control => (),
            kind if is_control => {
                return outcome.refuse(&path, &format_args!("is {}, not a FIFO", kind.text()));
            }
            kind => return outcome.refuse(&path, &format_args!("is {}", kind.text())),
        }
        let (mode, ids) = (is_control.then_some(self.policy.control), self.policy.supervise_owner);
        if meta.links == 1 && self.is_right(&meta, mode, ids, dir) {
            return;
        }
        match file::open_checked(dir, name) {
            Ok((_, opened)) if is_control && opened.kind != Kind::Fifo => {
                outcome.refuse(&path, &"was exchanged for something else");
            }
            Ok((file, found)) => {
                self.set(
                    &Target { fd: file.as_fd(), found: &found, path: &path, near: dir },
                    mode,
                    ids,
                    outcome,
                );
            }
            Err(Reason::Errno(errno)) => self.trouble(&path, errno, outcome),
            Err(reason) => outcome.refuse(&path, &reason),
        }
    }

    fn directory(&self, dir: &Dir, path: &[u8], mode: Mode, ids: Ids, outcome: &mut Outcome) {
        let found = match dir.own_meta() {
            Ok(found) => found,
            Err(errno) => return self.trouble(path, errno, outcome),
        };
        if !self.is_right(&found, mode, ids, dir) {
            self.set(&Target { fd: dir.as_fd(), found: &found, path, near: dir }, mode, ids, outcome);
        }
    }

    fn is_right(&self, meta: &Meta, mode: Mode, ids: Ids, near: &Dir) -> bool {
        mode.is_none_or(|mode| mode == meta.mode) && self.ownership.accepts(meta.ids, ids, near)
    }

    /// Sets the mode and the owner of an open file.
    fn set(&self, target: &Target<'_>, mode: Mode, ids: Ids, outcome: &mut Outcome) {
        if self.dry_run {
            outcome.changed = true;
            return;
        }
        let &Target { fd, found, path, near } = target;
        match skeleton::set(fd, *found, mode, ids, near, self.ownership) {
            Ok(_)
                if self.policy.mode.is_sealed()
                    && found.ids.uid != ids.uid
                    && self.ownership.refused().is_some() =>
            {
                outcome.fail(&format_args!("{}: {}", FromVolume(path), skeleton::stays_open(found.ids)));
            }
            Ok(changed) => outcome.changed |= changed,
            Err(errno) => self.trouble(path, errno, outcome),
        }
    }
}
