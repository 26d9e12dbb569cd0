//! `unregister`: removes a slot. The order leaves nothing behind: stop, hide from s6-svscan, end the supervisors, remove.

use std::ffi::OsString;
use std::time::Duration;

use super::progress::Down;
use super::supervised::SupervisedGateway;
use super::{INTERVAL, Live, SUPERVISION, control, foreign, hindrance, is_fully_supervised, names, record};
use crate::output::{Console, Context, Error, Result, exit};
use crate::s6::scandir_lock::Held;
use crate::s6::servicedir::LOG;
use crate::s6::slot::staging;
use crate::s6::{ProfileName, commands, supervision};
use crate::settings::Overrides;
use crate::sys::{Dir, Errno, Kind, Name, Ownership, remove, time};

/// Longest wait for a killed gateway to be gone: only one that the kernel cannot end, on a disk that does not answer for example, takes
/// longer.
const KILLED: Duration = Duration::from_secs(5);
/// Time after which supervisors that another process keeps busy are not waited for any longer.
const HINDERED: Duration = Duration::from_secs(3);
/// Time that a logger has to read on after its service has ended.
const READING: Duration = Duration::from_secs(1);

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
    unregister(args, console).unwrap_or_else(|error| console.fatal(&error))
}

fn unregister(args: &Args, console: &Console) -> Result<u8> {
    let profile = &names::profile(&args.profile, &args.overrides, console)?;
    let ownership = Ownership::new();
    let live = &Live::open(&args.overrides, &ownership, console)?;
    live.require_gateway_container(&args.overrides)?;
    live.require_writable()?;
    if let Err(error) = live.require_svscan() {
        // Nothing runs that would have to be ended first, unless a supervisor has outlived its s6-svscan.
        console.failed(&error);
    }
    finish_earlier_unheld(live, profile)?;
    match live.scandir.meta(profile.slot()).map(|meta| meta.kind) {
        Err(Errno::NOENT) => (),
        Ok(Kind::Symlink) => return Err(foreign(profile.slot(), Kind::Symlink)),
        Ok(kind) => {
            if kind == Kind::Directory {
                stop(live, profile, args.wait.unwrap_or(control::WAIT))?;
            }
            remove_slot(live, profile)?;
        }
        Err(errno) => return Err(Error::new("inspect", profile.slot(), errno)),
    }
    match record::forget_variables(live, profile) {
        Err(_) if names::has_remains(&live.settings, profile) == Ok(true) => live.console.note(format_args!(
            "the slot of {} is gone; what is left of its profile has no SOUL.md, and stays as it is",
            profile.text()
        )),
        done => done?,
    }
    live.note_refusal();
    Ok(0)
}

/// Returns the error of an operation on a slot that another command has removed meanwhile.
pub(super) fn done_meanwhile(profile: &ProfileName) -> Error {
    let reason = "another command has unregistered it meanwhile";
    Error::new("use", profile.slot(), reason).with_code(exit::INCOMPLETE)
}

/// Stops the gateway, and kills one that does not stop. Another process may take the slot away meanwhile, which is no error.
fn stop(live: &Live<'_>, profile: &ProfileName, limit: Duration) -> Result<()> {
    match stop_or_kill(live, profile, limit) {
        Err(_) if live.scandir.meta(profile.slot()) == Err(Errno::NOENT) => Ok(()),
        stopped => stopped,
    }
}

fn stop_or_kill(live: &Live<'_>, profile: &ProfileName, limit: Duration) -> Result<()> {
    let slot = live.scandir.open_path(profile.slot()).context("open", profile.slot())?;
    let gateway = SupervisedGateway { live, profile, slot };
    if gateway.bring_down(limit)? != Down::Still {
        return Ok(());
    }
    live.console.warn(format_args!("{} has not stopped in time: killing it", profile.text()));
    if gateway.kill(KILLED)? != Down::Still {
        return Ok(());
    }
    let how = gateway.hindrance().unwrap_or_else(|| "try again later".to_owned());
    let reason = format!("it is still up {} seconds after SIGKILL: {how}", KILLED.as_secs());
    Err(Error::new("stop", profile.slot(), reason).with_code(exit::INCOMPLETE))
}

/// Removes a slot whose gateway is down.
fn remove_slot(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let held = live.hold()?;
    // Another one of this name may have gone the same way meanwhile.
    finish_earlier(live, profile, &held)?;
    let hidden = hide(live, profile, &held)?;
    // Other commands need not wait until the supervisors of a hidden slot are gone.
    drop(held);
    let Some(hidden) = hidden else { return Ok(()) };
    end_hidden(live, profile, &hidden)?;
    remove_ended(live, &hidden, &live.hold()?)
}

/// Removes a slot that is down, without giving the lock back meanwhile. Absence is no error.
pub(super) fn take_away(live: &Live<'_>, profile: &ProfileName, held: &Held) -> Result<()> {
    if let Some(hidden) = hide(live, profile, held)? {
        end_hidden(live, profile, &hidden)?;
    }
    remove_ended(live, &staging::unregistered(profile), held)
}

/// Hides a slot from s6-svscan. Returns the name that it has then; `None` if there is no slot. The lock keeps a registration of the
/// same name away.
fn hide(live: &Live<'_>, profile: &ProfileName, _held: &Held) -> Result<Option<Name>> {
    let hidden = staging::unregistered(profile);
    match live.scandir.rename_new(profile.slot(), &hidden) {
        Err(Errno::NOENT) => Ok(None),
        done => done.context("rename", profile.slot()).map(|()| Some(hidden)),
    }
}

/// Ends the supervisors of a slot that has just been hidden. One whose supervisors s6-svscan does not end gets its name back, under
/// which s6-svscan still knows them.
fn end_hidden(live: &Live<'_>, profile: &ProfileName, hidden: &Name) -> Result<()> {
    match end_supervisors(live, hidden)? {
        End::Over => Ok(()),
        End::Refused(error) => {
            // The refusal is the error to report.
            let _ = live.scandir.rename_new(hidden, profile.slot());
            Err(error)
        }
    }
}

/// Finishes an earlier or a concurrent unregistration of the same name, if there is one.
pub(super) fn finish_earlier(live: &Live<'_>, profile: &ProfileName, held: &Held) -> Result<()> {
    match end_earlier(live, profile)? {
        Some(hidden) => remove_ended(live, &hidden, held),
        None => Ok(()),
    }
}

/// [`finish_earlier`] for a caller that does not hold the lock: it is taken once the supervisors have ended.
fn finish_earlier_unheld(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    match end_earlier(live, profile)? {
        Some(hidden) => remove_ended(live, &hidden, &live.hold()?),
        None => Ok(()),
    }
}

/// Ends the supervisors of a slot that an earlier or a concurrent unregistration has hidden. Returns its name; `None` if there is none.
fn end_earlier(live: &Live<'_>, profile: &ProfileName) -> Result<Option<Name>> {
    let hidden = staging::unregistered(profile);
    if live.scandir.meta(&hidden) == Err(Errno::NOENT) {
        return Ok(None);
    }
    match end_supervisors(live, &hidden)? {
        End::Over => Ok(Some(hidden)),
        End::Refused(error) => Err(error),
    }
}

/// Removes a hidden slot whose supervisors have ended. Without the lock, two processes that remove one tree would be in each other's
/// way.
fn remove_ended(live: &Live<'_>, hidden: &Name, _held: &Held) -> Result<()> {
    if staging::is_supervised(&live.scandir, hidden).context("inspect", hidden)? {
        // Another process has hidden a new one of this name, and ends it.
        return Ok(());
    }
    remove::tree(&live.scandir, hidden).context("remove", hidden)
}

/// What has become of the supervisors of a hidden slot.
enum End {
    /// They have ended, or there were none.
    Over,
    /// They live on: s6-svscan does not run, or does not take the command to end them.
    Refused(Error),
}

/// Makes s6-svscan end the supervisors of services that it no longer sees, and waits until neither slot nor logger is supervised.
fn end_supervisors(live: &Live<'_>, hidden: &Name) -> Result<End> {
    let slot = match live.scandir.dir(hidden) {
        // Anything but a directory is no service.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(End::Over),
        slot => slot.context("open", hidden)?,
    };
    let starting = Some(&slot).filter(|slot| !is_fully_supervised(slot));
    let reaped = match commands::reap(&live.scandir, starting, &live.patience) {
        Ok(true) => Ok(()),
        Ok(false) => live.require_svscan(),
        Err(error) => Err(error),
    };
    if let Err(error) = reaped
        && supervision::is_supervised(&slot)
    {
        return Ok(End::Refused(error));
    }
    // A process that the gateway has started may keep the logger's pipe open, for which the logger would wait for ever. It ignores
    // SIGTERM (`s6-log -p`); after SIGHUP it writes what it has read.
    for command in ["xh", "xk"] {
        if wait_until_ended(&slot, READING) {
            return Ok(End::Over);
        }
        // A logger that has just ended takes no command. Whether it is gone is checked below.
        let _ = slot.open_path(&LOG).map(|log| live.tell_supervisor(command, &log));
    }
    let Err((waited, how)) = await_end(&slot) else { return Ok(End::Over) };
    let reason = format!("they are still running after {} seconds: {how}", waited.as_secs());
    Err(Error::new("end the supervisors of", hidden, reason).with_code(exit::INCOMPLETE))
}

/// Waits until neither slot nor logger is supervised. Fails with the time that was waited and what keeps them: what another process does to
/// them does not end by waiting.
fn await_end(slot: &Dir) -> std::result::Result<(), (Duration, String)> {
    let hindrance = || {
        let of_logger = || hindrance::of(&slot.open_path(&LOG).ok()?, "its logger");
        hindrance::of(slot, "it").or_else(of_logger)
    };
    if wait_until_ended(slot, HINDERED) {
        return Ok(());
    }
    if let Some(how) = hindrance() {
        return Err((HINDERED, how));
    }
    if wait_until_ended(slot, SUPERVISION.saturating_sub(HINDERED)) {
        return Ok(());
    }
    Err((SUPERVISION, hindrance().unwrap_or_else(|| "run unregister again".to_owned())))
}

/// Waits until neither slot nor logger is supervised. Returns false if one still is after `limit`.
fn wait_until_ended(slot: &Dir, limit: Duration) -> bool {
    time::wait_until(limit, INTERVAL, || !supervision::is_supervised(slot))
}
