//! `unregister`: removes a slot. The order leaves nothing behind: stop, hide from s6-svscan, end the supervisors, remove.

use std::ffi::OsString;
use std::time::Duration;

use super::supervised::{Down, Gateway};
use super::{Live, SUPERVISION, foreign, is_fully_supervised, profile, record, wait_until, with_live};
use crate::output::Console;
use crate::output::{Context, Error, Result, exit};
use crate::s6::control;
use crate::s6::servicedir::LOG;
use crate::s6::slot::staging;
use crate::s6::{ProfileName, supervision};
use crate::settings::Overrides;
use crate::sys::{Errno, Kind, Name, remove};

/// Time that a gateway has to stop before it is killed, as long as `docker stop` waits for a container.
const STOPPING: Duration = Duration::from_secs(10);
/// Longest wait for a killed gateway to be gone.
const KILLED: Duration = Duration::from_secs(5);
/// Time that a logger has to read on after its service has ended.
const DRAINING: Duration = Duration::from_secs(1);

/// The arguments of `unregister`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// The profile's name.
    pub profile: OsString,
    /// Time that the gateway has to stop before it is killed; `None` for the default.
    pub wait: Option<Duration>,
}

/// Runs the command. Returns its exit code.
pub fn run(args: &Args, console: &Console) -> u8 {
    let profile = match profile(&args.profile) {
        Ok(profile) => profile,
        Err(error) => return console.fatal(&error),
    };
    with_live(&args.overrides, console, &|live| {
        live.require_writable()?;
        finish_earlier(live, &profile, false)?;
        match live.scandir.meta(profile.slot()).map(|meta| meta.kind) {
            Err(Errno::NOENT) => return record::forget_variables(live, &profile).map(|()| 0),
            Ok(Kind::Directory) => match stop(live, &profile, args.wait.unwrap_or(STOPPING)) {
                // Another process was faster, and took it away.
                Err(_) if live.scandir.meta(profile.slot()) == Err(Errno::NOENT) => (),
                stopped => stopped?,
            },
            Ok(Kind::Symlink) => return Err(foreign(profile.slot(), Kind::Symlink)),
            Ok(_) => (),
            Err(errno) => return Err(Error::new("look at", profile.slot(), errno)),
        }
        let held = live.hold()?;
        // Another one of this name may have gone the same way meanwhile.
        finish_earlier(live, &profile, true)?;
        let hidden = hide(live, &profile)?;
        // Other commands need not wait until the supervisors of a hidden slot are gone.
        drop(held);
        if hidden {
            end_hidden(live, &profile)?;
            let _held = live.hold()?;
            remove_ended(live, &staging::unregistered(&profile))?;
        }
        record::forget_variables(live, &profile).map(|()| 0)
    })
}

/// Stops the gateway, and kills one that does not stop.
fn stop(live: &Live<'_>, profile: &ProfileName, limit: Duration) -> Result<()> {
    let slot = live.scandir.open_path(profile.slot()).context("open", profile.slot())?;
    let gateway = Gateway { live, profile, slot };
    if gateway.bring_down(limit)? != Down::Still {
        return Ok(());
    }
    live.console.warn(format_args!("{} does not stop: it is killed", profile.text()));
    if gateway.kill(KILLED)? != Down::Still {
        return Ok(());
    }
    Err(Error::new("stop", profile.slot(), "it survived SIGKILL for 5 seconds: try again later")
        .with_code(exit::INCOMPLETE))
}

/// Removes a slot that is down. Absence is no error. The caller holds the lock.
pub(super) fn take_away(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    if hide(live, profile)? {
        end_hidden(live, profile)?;
    }
    remove_ended(live, &staging::unregistered(profile))
}

/// Hides a slot from s6-svscan. Returns false if there is none.
fn hide(live: &Live<'_>, profile: &ProfileName) -> Result<bool> {
    let slot = profile.slot();
    match live.scandir.rename_new(slot, &staging::unregistered(profile)) {
        Err(Errno::NOENT) => Ok(false),
        done => done.context("take out of sight", slot).map(|()| true),
    }
}

/// Ends the supervisors of a slot that has just been hidden.
fn end_hidden(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let gone = staging::unregistered(profile);
    end(live, &gone, &|| {
        // s6-svscan still knows the supervisors under the slot's own name.
        let _ = live.scandir.rename_new(&gone, profile.slot());
    })
}

/// Finishes an earlier or a concurrent unregistration of the same name, if there is one. `is_held`: the caller holds the lock.
pub(super) fn finish_earlier(live: &Live<'_>, profile: &ProfileName, is_held: bool) -> Result<()> {
    let gone = staging::unregistered(profile);
    if live.scandir.meta(&gone) == Err(Errno::NOENT) {
        return Ok(());
    }
    end(live, &gone, &|| ())?;
    let _held = if is_held { None } else { Some(live.hold()?) };
    remove_ended(live, &gone)
}

/// Removes a hidden slot whose supervisors have ended. The caller holds the lock, because two processes that remove one tree are in
/// each other's way.
fn remove_ended(live: &Live<'_>, gone: &Name) -> Result<()> {
    if staging::is_supervised(&live.scandir, gone).context("look at", gone)? {
        // Another process has hidden a new one of this name, and ends it.
        return Ok(());
    }
    remove::tree(&live.scandir, gone).context("remove", gone)
}

/// Makes s6-svscan end the supervisors of services that it no longer sees, and waits until slot and logger are not supervised.
/// `on_refusal` is called if there are supervisors and s6-svscan does not take the command.
fn end(live: &Live<'_>, gone: &Name, on_refusal: &dyn Fn()) -> Result<()> {
    let slot = match live.scandir.dir(gone) {
        // Anything but a directory is no service.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        slot => slot.context("open", gone)?,
    };
    let starting = if is_fully_supervised(&slot) { None } else { Some(&slot) };
    if let Err(error) = control::reap(&live.scandir, starting)
        && supervision::is_supervised(&slot)
    {
        on_refusal();
        return Err(error);
    }
    // A process that the gateway has started may keep the logger's pipe open, for which the logger would wait for ever. It ignores
    // SIGTERM (`s6-log -p`); after SIGHUP it writes what it has read.
    for command in ["xh", "xk"] {
        if wait_until(DRAINING, &mut || !supervision::is_supervised(&slot)) {
            return Ok(());
        }
        // A logger that has just ended takes no command. Whether it is gone is checked below.
        let _ = slot.open_path(&LOG).map(|log| control::svc(command, &log));
    }
    if wait_until(SUPERVISION, &mut || !supervision::is_supervised(&slot)) {
        return Ok(());
    }
    let reason = "its supervisors are still there after 10 seconds: call unregister again";
    Err(Error::new("end", gone, reason).with_code(exit::INCOMPLETE))
}
