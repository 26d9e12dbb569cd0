//! One static service: owner and mode of its event and supervise directories are set through descriptors that were checked, and no
//! symlink is followed.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};

use crate::show::FromVolume;
use crate::slot::layout::{CONTROL, CONTROL_MODE, EVENT, EVENT_MODE, LOG, Policy, SUPERVISE};
use crate::sys::{Dir, Errno, Ids, Kind, Meta, Name, Ownership, Reason, file, label};

/// Prefixes of s6-overlay's own services. Whoever commands them commands the supervision itself.
const INTERNAL: [&[u8]; 2] = [b"s6rc-", b"s6-linux-"];
/// Mode of `supervise`: the group may command and query the service, and cannot list the directory.
const SUPERVISE_MODE: u32 = 0o710;
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
    /// Why it is not as wanted.
    pub reasons: Vec<String>,
    /// Whether anything was, or would be, changed.
    pub changed: bool,
}

impl Outcome {
    fn new(service: &Name) -> Outcome {
        Outcome { service: service.clone(), action: Action::Done, reasons: Vec::new(), changed: false }
    }

    fn skip(mut self, reason: &str) -> Outcome {
        self.action = Action::Skipped;
        self.reasons.push(reason.to_owned());
        self
    }

    /// Notes that something was left as it is.
    fn refuse(&mut self, path: &[u8], why: impl std::fmt::Display) {
        self.reasons.push(format!("{} {why}", FromVolume(path)));
        if self.action != Action::Failed {
            self.action = Action::Refused;
        }
    }

    fn fail(&mut self, path: &[u8], errno: Errno) {
        self.reasons.push(format!("{}: {}", FromVolume(path), Reason::from(errno)));
        self.action = Action::Failed;
    }
}

/// What all services have in common.
pub struct Fix<'a> {
    ids: Ids,
    sealed: bool,
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
    found: Meta,
    /// Its path below the service directory, for messages.
    path: &'a [u8],
    /// A directory of the same file system.
    near: &'a Dir,
}

impl<'a> Fix<'a> {
    /// Makes the fix for a policy.
    pub fn new(policy: &Policy, dry_run: bool, ownership: &'a Ownership) -> Fix<'a> {
        Fix { ids: policy.skeleton, sealed: policy.sealed, dry_run, ownership, denied: Cell::new(None) }
    }

    /// Returns the errno with which the kernel refused something that root may do, if it did.
    pub fn denied(&self) -> Option<Errno> {
        self.denied.get()
    }

    /// Handles one entry of the directory of services; `None` if it is no service.
    pub fn service(&self, services: &Dir, name: &Name) -> Option<Outcome> {
        let mut outcome = Outcome::new(name);
        if INTERNAL.iter().any(|prefix| name.bytes().starts_with(prefix)) {
            return Some(outcome.skip("s6-overlay's own"));
        }
        let kind = services.meta(name).map(|meta| meta.kind);
        match (kind, services.dir(name)) {
            (Ok(Kind::Symlink), _) => outcome.refuse(name.bytes(), "is a symlink"),
            (Ok(Kind::Directory), Ok(service)) => {
                let is_supervised = self.parts(&service, &[], &mut outcome);
                if !is_supervised && outcome.reasons.is_empty() {
                    outcome.reasons.push("nobody supervises it".to_owned());
                }
                self.logger(&service, &mut outcome);
            }
            (Ok(Kind::Directory), Err(errno)) => self.trouble(name.bytes(), errno, &mut outcome),
            // No directory; or it has vanished meanwhile.
            _ => return None,
        }
        if outcome.action == Action::Done && !outcome.reasons.is_empty() {
            outcome.action = Action::Skipped;
        }
        Some(outcome)
    }

    /// Notes a failed system call. A missing permission is tolerated, and an entry that has vanished is none.
    fn trouble(&self, path: &[u8], errno: Errno, outcome: &mut Outcome) {
        match errno {
            Errno::NOENT => (),
            Errno::PERM | Errno::ACCESS => {
                self.denied.set(Some(errno));
                outcome.reasons.push(format!("{}: {}", FromVolume(path), Reason::from(errno)));
            }
            errno => outcome.fail(path, errno),
        }
    }

    /// Handles the parts of a service directory. Returns whether there is any.
    fn parts(&self, service: &Dir, path: &[u8], outcome: &mut Outcome) -> bool {
        let event = label(&[path, EVENT.bytes()]);
        let event_dir = self.open(service, &EVENT, &event, outcome);
        if let Some(dir) = &event_dir {
            self.directory(dir, &event, Some(EVENT_MODE), outcome);
        }
        let supervise = label(&[path, SUPERVISE.bytes()]);
        let supervise_dir = self.open(service, &SUPERVISE, &supervise, outcome);
        if let Some(dir) = &supervise_dir {
            self.supervise(dir, &supervise, outcome);
        }
        event_dir.is_some() || supervise_dir.is_some()
    }

    fn logger(&self, service: &Dir, outcome: &mut Outcome) {
        match service.meta(&LOG).map(|meta| meta.kind) {
            Ok(Kind::Directory) => match service.dir(&LOG) {
                Ok(log) => {
                    self.parts(&log, LOG.bytes(), outcome);
                }
                Err(errno) => self.trouble(LOG.bytes(), errno, outcome),
            },
            Ok(Kind::Symlink) => outcome.refuse(LOG.bytes(), "is a symlink"),
            // A service may have no logger.
            _ => (),
        }
    }

    fn open(&self, parent: &Dir, name: &Name, path: &[u8], outcome: &mut Outcome) -> Option<Dir> {
        match parent.dir(name) {
            Ok(dir) => return Some(dir),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = parent.meta(name).map_or(Kind::Other, |meta| meta.kind);
                outcome.refuse(path, format_args!("is {}, not a directory", kind.text()));
            }
            Err(errno) => self.trouble(path, errno, outcome),
        }
        None
    }

    /// Handles a supervise directory: everything in it becomes the owner's. In sealed mode, if it is root's already, only `control`
    /// is looked at.
    fn supervise(&self, supervise: &Dir, path: &[u8], outcome: &mut Outcome) {
        let is_ours = self.sealed && supervise.own_meta().is_ok_and(|meta| meta.ids.uid == self.ids.uid);
        if self.sealed {
            // Before its entries: what is checked in it after that stays as it was checked.
            self.directory(supervise, path, Some(SUPERVISE_MODE), outcome);
        }
        if is_ours {
            self.entry(supervise, &CONTROL, path, outcome);
        } else {
            self.tree(supervise, path, 0, outcome);
        }
        // After its entries: root with CAP_CHOWN alone cannot enter a directory of another user.
        self.directory(supervise, path, Some(SUPERVISE_MODE), outcome);
    }

    fn tree(&self, dir: &Dir, path: &[u8], depth: u32, outcome: &mut Outcome) {
        let names = match dir.names() {
            Ok(names) => names,
            Err(errno) => return self.trouble(path, errno, outcome),
        };
        for name in names {
            let below = label(&[path, name.bytes()]);
            let is_directory = dir.meta(&name).is_ok_and(|meta| meta.kind == Kind::Directory);
            if !is_directory {
                self.entry(dir, &name, path, outcome);
            } else if depth == DEPTH_MAX {
                outcome.refuse(&below, format_args!("is more than {DEPTH_MAX} directories deep"));
            } else if let Some(subdirectory) = self.open(dir, &name, &below, outcome) {
                self.tree(&subdirectory, &below, depth + 1, outcome);
                self.directory(&subdirectory, &below, None, outcome);
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
                return outcome.refuse(&path, format_args!("is {}, not a FIFO", kind.text()));
            }
            kind => return outcome.refuse(&path, format_args!("is {}", kind.text())),
        }
        let mode = is_control.then_some(CONTROL_MODE);
        if meta.links == 1 && self.is_right(meta, mode, dir) {
            return;
        }
        match file::open_checked(dir, name) {
            Ok((_, opened)) if is_control && opened.kind != Kind::Fifo => {
                outcome.refuse(&path, "was exchanged for something else");
            }
            Ok((file, found)) => {
                self.set(&Target { fd: file.as_fd(), found, path: &path, near: dir }, mode, outcome);
            }
            Err(Reason::Errno(errno)) => self.trouble(&path, errno, outcome),
            Err(reason) => outcome.refuse(&path, reason),
        }
    }

    fn directory(&self, dir: &Dir, path: &[u8], mode: Mode, outcome: &mut Outcome) {
        match dir.own_meta() {
            Ok(meta) if self.is_right(meta, mode, dir) => (),
            Ok(found) => self.set(&Target { fd: dir.as_fd(), found, path, near: dir }, mode, outcome),
            Err(errno) => self.trouble(path, errno, outcome),
        }
    }

    fn is_right(&self, meta: Meta, mode: Mode, near: &Dir) -> bool {
        mode.is_none_or(|mode| mode == meta.mode) && self.ownership.accepts(meta.ids, self.ids, near)
    }

    /// Sets the mode and then the owner of an open file: only its owner may change the mode.
    fn set(&self, target: &Target<'_>, mode: Mode, outcome: &mut Outcome) {
        if self.dry_run {
            outcome.changed = true;
            return;
        }
        let mode = mode.filter(|mode| *mode != target.found.mode);
        let is_foreign = !self.ownership.accepts(target.found.ids, self.ids, target.near);
        let change_owner = || if is_foreign { self.ownership.change(target.fd, self.ids) } else { Ok(()) };
        match mode.map_or(Ok(()), |mode| file::chmod(target.fd, mode)).and_then(|()| change_owner()) {
            Ok(()) => {
                outcome.changed |= mode.is_some() || (is_foreign && self.ownership.refused().is_none());
            }
            Err(errno) => self.trouble(target.path, errno, outcome),
        }
    }
}
