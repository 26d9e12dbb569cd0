//! `unregister`: a slot's end. The order is what leaves nothing behind: down, out of s6-svscan's sight, reaped, removed.

use std::ffi::CStr;

use super::{Live, REFUSED, SUPERVISION, path_of, profile, s6, wait_until, with_live};
use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Error, Result};
use crate::slot::layout::LOG;
use crate::slot::{ProfileName, probe, staging};
use crate::sys::keep;
use crate::sys::time::Milliseconds;
use crate::sys::{Errno, Kind, Name, remove};

/// How long a gateway may take to end before it is killed: as long as `docker stop` gives a container.
const STOPPING: Milliseconds = 10_000;
/// How long a killed one may take to be gone.
const KILLED: Milliseconds = 5000;

/// How long a logger may read on after its service has ended.
const DRAINING: Milliseconds = 1000;

/// Runs the command; its exit code.
pub fn run(options: &Options, argv0: &'static CStr, console: &Console) -> u8 {
    with_live(options, argv0, console, &|live| {
        let profile = profile(options.operands.first().unwrap_or(&c""))?;
        live.must_be_ours()?;
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
            // Out of sight it is nobody else's business: other commands need not wait until its supervisors are gone.
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
    s6::svc(c"-d", path)?;
    if s6::svwait(c"-D", STOPPING, path)? {
        return Ok(());
    }
    live.console.warn(&format_args!("{} does not stop: it is killed", profile.text()));
    s6::svc(c"-dk", path)?;
    if s6::svwait(c"-D", KILLED, path)? {
        return Ok(());
    }
    Err(Error::new("stop", profile.slot(), "it survived SIGKILL for 5 seconds: try again later")
        .with_code(REFUSED))
}

/// Takes a slot that is down away. Absence is no error. The scan directory is held.
pub(super) fn take_away(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    if hide(live, profile)? { end_hidden(live, profile) } else { Ok(()) }
}

/// Takes a slot out of s6-svscan's sight; false where there is none.
fn hide(live: &Live<'_>, profile: &ProfileName) -> Result<bool> {
    let slot = profile.slot();
    match live.scandir.rename_new(slot, &staging::unregistered(profile)) {
        Err(Errno::NOENT) => Ok(false),
        done => done.context("take out of sight", slot).map(|()| true),
    }
}

/// Has the supervisors of a hidden slot reaped, and removes it.
fn end_hidden(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let gone = staging::unregistered(profile);
    end(live, &gone, &|| {
        // Nobody was told, so nothing has changed: the slot goes back to where its supervisors are known.
        let _ = live.scandir.rename_new(&gone, profile.slot());
    })
}

/// Finishes an unregistration that was interrupted, if there was one.
pub(super) fn finish_earlier(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let gone = staging::unregistered(profile);
    if live.scandir.meta(&gone) == Err(Errno::NOENT) {
        return Ok(());
    }
    end(live, &gone, &|| ())
}

/// Has s6-svscan kill the supervisors of what it no longer sees, waits until nobody holds the slot or its logger, and removes
/// it. `untold` is called when s6-svscan could not be told.
fn end(live: &Live<'_>, gone: &Name, untold: &dyn Fn()) -> Result<()> {
    // What is no directory was never a service: nothing supervises it.
    if let Ok(slot) = live.scandir.dir(gone)
        && probe::is_supervised(&slot)
    {
        s6::svscanctl(c"-an", live.path).inspect_err(|_| untold())?;
        if !wait_until(DRAINING, &mut || !probe::is_supervised(&slot)) {
            // What the gateway started and did not end may have the logger's pipe open: it would wait for ever.
            let log = path_of(live.path, keep::path(&[gone.bytes(), LOG.bytes()]));
            // One that ended just now cannot be told; whether all are gone is asked below.
            let _ = s6::svc(c"-xd", log);
        }
        if !wait_until(SUPERVISION, &mut || !probe::is_supervised(&slot)) {
            let reason = "its supervisors are still there after 10 seconds: call unregister again";
            return Err(Error::new("end", gone, reason).with_code(REFUSED));
        }
    }
    remove::tree(&live.scandir, gone).context("remove", gone)
}
