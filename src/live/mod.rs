//! The commands for a live container: register, unregister, start, stop, restart, status, health, logs.

pub mod control;
pub mod logs;
mod record;
pub mod register;
pub mod seed;
mod served;
pub mod status;
mod supervised;
pub mod unregister;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::boot::reconcile;
use crate::output::Console;
use crate::output::{Context, Error, Result, exit};
use crate::s6::lock::{self, Held};
use crate::s6::{ProfileName, Template, servicedir, supervision};
use crate::settings::role::ContainerCommand;
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Kind, Name, Ownership, time};

/// Longest wait for a supervisor to start or to exit.
const SUPERVISION: Duration = Duration::from_secs(10);
/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// What the commands work with.
struct Live<'a> {
    settings: &'a Settings,
    /// The scan directory.
    scandir: Dir,
    /// Its path, for messages.
    path: &'a Path,
    template: Template<'a>,
    console: &'a Console,
}

impl Live<'_> {
    fn label(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }

    /// Fails if this user cannot write the scan directory.
    fn require_writable(&self) -> Result<()> {
        if self.scandir.may_write() {
            return Ok(());
        }
        let owner = self.scandir.own_meta().map_or(0, |meta| meta.ids.uid);
        let reason =
            format!("it belongs to uid {owner}: sealed, or not handed over to you; do it as that user");
        Err(Error::new("change", self.label(), reason).with_code(exit::INCOMPLETE))
    }

    /// Locks the scan directory until the result is dropped.
    fn hold(&self) -> Result<Held<'_>> {
        lock::scan_directory(&self.scandir, self.template.policy.mode).context("lock", self.label())
    }
}

/// Opens what a command works with, and calls it. Returns its exit code.
fn with_live(overrides: &Overrides, console: &Console, command: &dyn Fn(&Live<'_>) -> Result<u8>) -> u8 {
    let run = || {
        let settings = Settings::gather(overrides, console)?;
        let ownership = Ownership::new();
        let template = reconcile::template(&settings, console, &ownership)?;
        let path = &settings.scandir.value;
        let label = path.as_os_str().as_bytes();
        let scandir = Dir::at(path).map_err(|errno| match errno {
            Errno::NOENT => {
                Error::new("open", label, "there is no such scan directory: is s6-svscan running?")
            }
            errno => Error::new("open", label, errno),
        })?;
        let live = Live { settings: &settings, scandir, path, template, console };
        let code = command(&live)?;
        console.note_refusal(&ownership);
        Ok(code)
    };
    run().unwrap_or_else(|error| console.fatal(&error))
}

/// Fails in a front end's container: the gateway's container would start the same gateway.
fn require_gateway_container(live: &Live<'_>, overrides: &Overrides) -> Result<()> {
    let role = live.settings.role(overrides, live.console)?;
    let Some(why) = reconcile::frontend(&role, &ContainerCommand::default())? else { return Ok(()) };
    let reason = format!("{why}; do it there (--role gateway overrides this)");
    Err(Error::new("run a gateway in this", "container", reason).with_code(exit::INCOMPLETE))
}

/// Parses a profile's name on the command line.
fn profile(operand: &OsStr) -> Result<ProfileName> {
    ProfileName::parse(operand.as_bytes()).map_err(|why| Error::usage("take the profile", operand, why))
}

/// Opens the slot of a profile for passage; `None` if there is none. What is no directory belongs to something else: a symlink is
/// how s6-rc and others have their services in the scan directory.
fn slot(live: &Live<'_>, profile: &ProfileName) -> Result<Option<Dir>> {
    let name = profile.slot();
    match live.scandir.open_path(name) {
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => (),
        slot => return slot.map(Some).context("open", name),
    }
    let kind = live.scandir.meta(name).context("look at", name)?.kind;
    Err(foreign(name, kind))
}

/// Makes the error for an entry that has the name of a slot and is none.
fn foreign(name: &Name, kind: Kind) -> Error {
    let reason = format!("it is {}, not a slot: leave it to what has made it", kind.text());
    Error::new("use", name, reason).with_code(exit::INCOMPLETE)
}

fn wait_until(limit: Duration, condition: &mut dyn FnMut() -> bool) -> bool {
    time::wait_until(limit, INTERVAL, condition)
}

/// Returns whether slot and logger are both supervised, so that both can be commanded and asked.
fn is_fully_supervised(slot: &Dir) -> bool {
    supervision::is_ready(slot)
        && slot.open_path(&servicedir::LOG).is_ok_and(|log| supervision::is_ready(&log))
}
