//! The commands for a live container: register, unregister, start, stop, restart, status, health, logs, seed.

pub mod control;
pub mod hand_over;
mod hindrance;
mod lapse;
mod log_process;
pub mod logs;
pub mod names;
mod progress;
mod record;
pub mod register;
mod request;
pub mod seed;
mod served;
pub mod status;
mod supervised;
mod svscan;
pub mod unregister;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::output::error::Object;
use crate::output::{Console, Context, Error, Result, exit};
use crate::s6::scandir_lock::{self, Held};
use crate::s6::{ProfileName, Template, commands, servicedir, slot, supervision};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Kind, Name, Ownership, Patience, Reason, process};

/// Longest wait for supervisors to start or to exit. s6-svscan takes milliseconds for a service; a busy machine with many services
/// takes seconds.
const SUPERVISION: Duration = Duration::from_secs(10);
/// Longest wait for the lock of the scan directory where the command does not depend on it. Each of several commands for one gateway keeps
/// it until its order shows.
const SLOT: Duration = Duration::from_secs(2);
/// Time between two looks at a service: short for a person who waits, and long beside the few system calls of a look.
const INTERVAL: Duration = Duration::from_millis(10);

/// What the commands that change something work with.
struct Live<'a> {
    settings: Settings,
    scandir: Dir,
    /// What slots are built from.
    template: Template<'a>,
    console: &'a Console,
    /// What the command still waits for others.
    patience: Patience,
    /// The warnings of which one is enough.
    warnings: RefCell<BTreeSet<String>>,
}

impl<'a> Live<'a> {
    /// Gathers the settings and opens the scan directory.
    fn open(overrides: &Overrides, ownership: &'a Ownership, console: &'a Console) -> Result<Live<'a>> {
        let settings = Settings::gather(overrides, console)?;
        settings.note_mode(console);
        let template = settings.template(console.executable(), ownership)?;
        let path = &settings.scandir.value;
        let scandir = Dir::at(path).map_err(|reason| match reason {
            Reason::Errno(Errno::NOENT) => svscan::no_directory(path),
            reason => Error::new("open", path, reason),
        })?;
        let (patience, warnings) = (Patience::new(), RefCell::default());
        Ok(Live { settings, scandir, template, console, patience, warnings })
    }

    /// Returns the path of the scan directory, for messages.
    fn path(&self) -> &Path {
        &self.settings.scandir.value
    }

    /// Fails if this user cannot write the scan directory.
    fn require_writable(&self) -> Result<()> {
        let Err(errno) = self.scandir.try_to_write() else { return Ok(()) };
        let owner = self.scandir.own_meta().map_or(0, |meta| meta.ids.uid);
        Err(if errno == Errno::ACCESS && owner != self.template.ownership.process().uid {
            refused("change", self.path(), owner)
        } else {
            Error::new("change", self.path(), errno).with_code(exit::INCOMPLETE)
        })
    }

    /// Fails if no s6-svscan runs on the scan directory.
    fn require_svscan(&self) -> Result<()> {
        svscan::require(&self.scandir, self.path())
    }

    /// Commands s6-svscan, with s6-svscanctl(8)'s letters.
    fn tell_svscan(&self, commands: &str) -> Result<()> {
        svscan::tell(commands, &self.scandir, self.path(), &self.patience)
    }

    /// Fails in a front end's container: the gateway's container runs the gateways of the same volume.
    fn require_gateway_container(&self, overrides: &Overrides) -> Result<()> {
        let Some(why) = self.settings.front_end(overrides, self.console)? else { return Ok(()) };
        let reason = format!("{why}; run the command there (--role gateway overrides this)");
        let container = Object::Term("this container");
        Err(Error::new("manage gateways in", container, reason).with_code(exit::INCOMPLETE))
    }

    /// Locks the scan directory until the value is dropped.
    fn hold(&self) -> Result<Held<'_>> {
        self.hold_for(self.patience.left())
    }

    fn hold_for(&self, limit: Duration) -> Result<Held<'_>> {
        scandir_lock::hold(&self.scandir, self.template.policy.mode, limit, &self.patience)
            .context("lock", self.path())
    }

    /// Locks the scan directory for a change of a slot, if this user may change the slot. If another process keeps the lock, the slot stays
    /// as it is, which is reported.
    fn hold_slot(&self, slot: &Dir) -> Option<Held<'_>> {
        slot.try_to_write().ok()?;
        let held = self.hold_for(SLOT);
        held.map_err(|error| self.warn_once(format!("{error}: the files down stay as they are"))).ok()
    }

    /// Opens the slot of a profile with `O_PATH`; `None` if there is none. Fails if the entry is no directory, which belongs to
    /// something else: s6-rc, for example, has symlinks to its services in the scan directory.
    fn slot(&self, profile: &ProfileName) -> Result<Option<Dir>> {
        let name = profile.slot();
        match self.scandir.open_path(name) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => (),
            slot => return slot.map(Some).context("open", name),
        }
        let kind = self.scandir.meta(name).context("inspect", name)?.kind;
        Err(foreign(name, kind))
    }

    /// Reports what may be found several times, once.
    fn warn_once(&self, message: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&message) {
            self.console.warn(format_args!("{message}"));
            warnings.insert(message);
        }
    }

    /// Commands the supervisor of a service, with s6-svc(8)'s letters.
    fn tell_supervisor(&self, commands: &str, service: &Dir) -> Result<()> {
        commands::svc(commands, service, &self.patience)
    }

    /// Reports, if the kernel refused an owner change, whose the files are that were made.
    fn note_refusal(&self) {
        self.console.note_refusal(self.template.ownership);
    }
}

/// Returns the error of what only another user may do: this one, the owner, and root.
fn refused(verb: &'static str, object: impl Into<Object>, owner: u32) -> Error {
    let who = if owner == 0 {
        " and may be sealed: run the command as that user"
    } else {
        ": run the command as that user, or as root"
    };
    Error::new(verb, object, format!("it belongs to uid {owner}{who}")).with_code(exit::INCOMPLETE)
}

/// Returns the error of an operation on a service that this user may not command or query, if that is why it has failed.
fn refusal(
    errno: Errno,
    service: &Dir,
    verb: &'static str,
    object: impl Into<Object>,
    console: &Console,
) -> Option<Error> {
    if errno != Errno::ACCESS || process::is_root() {
        return None;
    }
    let (slot, supervise) = (service.own_meta().ok()?.ids.uid, supervision::owner(service).ok()?.uid);
    if supervise != 0 || slot == 0 {
        return Some(refused(verb, object, supervise));
    }
    // Root commands it as the owner of the slot, who may not.
    let program = console.program();
    let reason =
        format!("its supervise belongs to uid 0, and the slot to uid {slot}; as root: {program} reconcile");
    Some(Error::new(verb, object, reason).with_code(exit::INCOMPLETE))
}

/// Returns the error of an entry that has the name of a slot and is no directory.
fn foreign(name: &Name, kind: Kind) -> Error {
    slot::foreign::not_a_slot(name, kind).with_code(exit::INCOMPLETE)
}

/// Returns whether the slot and its logger are supervised, so that both take orders and have a state to read.
fn is_fully_supervised(slot: &Dir) -> bool {
    supervision::is_ready(slot)
        && slot.open_path(&servicedir::LOG).is_ok_and(|log| supervision::is_ready(&log))
}
