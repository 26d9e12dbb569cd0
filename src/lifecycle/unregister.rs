//! `unregister`: removes a slot. The order leaves nothing behind: stop, hide from s6-svscan, end the supervisors, remove.

use std::ffi::OsStr;
use std::time::Duration;

use super::{Live, REFUSED, SUPERVISION, profile, wait_until, with_live};
use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Error, Result};
use crate::s6;
use crate::slot::layout::LOG;
use crate::slot::{ProfileName, probe, staging};
use crate::sys::{Errno, Kind, Name, label, remove};

/// Time that a gateway has to stop before it is killed, as long as `docker stop` waits for a container.
const STOPPING: Duration = Duration::from_secs(10);
/// Longest wait for a killed gateway to be gone.
const KILLED: Duration = Duration::from_secs(5);
/// Time that a logger has to read on after its service has ended.
const DRAINING: Duration = Duration::from_secs(1);

/// Runs the command. Returns its exit code.
pub fn run(options: &Options, console: &Console) -> u8 {
    with_live(options, console, &|live| {
        let profile = profile(options.operands.first().map_or(OsStr::new(""), |name| name))?;
        live.require_writable()?;
        finish_earlier(live, &profile)?;
        match live.scandir.meta(profile.slot()).map(|meta| meta.kind) {
            Err(Errno::NOENT) => return Ok(0),
            Ok(Kind::Directory) => stop(live, &profile)?,
            _ => (),
        }
        let held = live.hold()?;
        // Another one of this name may have gone the same way meanwhile.
        finish_earlier(live, &profile)?;
        if hide(live, &profile)? {
            // Other commands need not wait until the supervisors of a hidden slot are gone.
            drop(held);
            end_hidden(live, &profile)?;
        }
        Ok(0)
    })
}

/// Stops the gateway, and kills one that does not stop.
fn stop(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let slot = live.scandir.passage(profile.slot()).context("open", profile.slot())?;
    if !probe::is_held(&slot).unwrap_or(true) {
        return Ok(());
    }
    let path = live.slot_path(profile);
    s6::svc("-d", &path)?;
    if s6::svwait("-D", STOPPING, &path)? {
        return Ok(());
    }
    live.console.warn(&format_args!("{} does not stop: it is killed", profile.text()));
    s6::svc("-dk", &path)?;
    if s6::svwait("-D", KILLED, &path)? {
        return Ok(());
    }
    Err(Error::new("stop", profile.slot(), "it survived SIGKILL for 5 seconds: try again later")
        .with_code(REFUSED))
}

/// Removes a slot that is down. Absence is no error. The caller holds the lock.
pub(super) fn take_away(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    if hide(live, profile)? { end_hidden(live, profile) } else { Ok(()) }
}

/// Hides a slot from s6-svscan. Returns false if there is none.
fn hide(live: &Live<'_>, profile: &ProfileName) -> Result<bool> {
    let slot = profile.slot();
    match live.scandir.rename_new(slot, &staging::unregistered(profile)) {
        Err(Errno::NOENT) => Ok(false),
        done => done.context("take out of sight", slot).map(|()| true),
    }
}

/// Ends the supervisors of a hidden slot, and removes it.
fn end_hidden(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let gone = staging::unregistered(profile);
    end(live, &gone, &|| {
        // s6-svscan still knows the supervisors under the slot's own name.
        let _ = live.scandir.rename_new(&gone, profile.slot());
    })
}

/// Finishes an interrupted unregistration, if there was one.
pub(super) fn finish_earlier(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let gone = staging::unregistered(profile);
    if live.scandir.meta(&gone) == Err(Errno::NOENT) {
        return Ok(());
    }
    end(live, &gone, &|| ())
}

/// Makes s6-svscan end the supervisors of services that it no longer sees, waits until slot and logger are not supervised, and
/// removes the slot. `on_refusal` is called if s6-svscan does not take the command.
fn end(live: &Live<'_>, gone: &Name, on_refusal: &dyn Fn()) -> Result<()> {
    // Anything but a directory is no service.
    if let Ok(slot) = live.scandir.dir(gone)
        && probe::is_supervised(&slot)
    {
        s6::svscanctl("-an", live.path).inspect_err(|_| on_refusal())?;
        // A process that the gateway has started may keep the logger's pipe open, for which the logger would wait for ever. It
        // ignores SIGTERM (`s6-log -p`); after SIGHUP it writes what it has read.
        let log = s6::path_of(live.path, &label(&[gone.bytes(), LOG.bytes()]));
        for command in ["-xh", "-xk"] {
            if wait_until(DRAINING, &mut || !probe::is_supervised(&slot)) {
                break;
            }
            // A logger that has just ended takes no command. Whether it is gone is checked below.
            let _ = s6::svc(command, &log);
        }
        if !wait_until(SUPERVISION, &mut || !probe::is_supervised(&slot)) {
            let reason = "its supervisors are still there after 10 seconds: call unregister again";
            return Err(Error::new("end", gone, reason).with_code(REFUSED));
        }
    }
    remove::tree(&live.scandir, gone).context("remove", gone)
}
