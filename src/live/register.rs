//! `register`: makes a slot on a live container as the boot pass makes it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::{
    Live, SUPERVISION, is_fully_supervised, profile, record, require_gateway_container, slot, unregister,
    wait_until, with_live,
};
use crate::output::Console;
use crate::output::{Context, Error, Result, exit};
use crate::s6::control;
use crate::s6::envdir::{self, Variable};
use crate::s6::slot::{SlotState, check};
use crate::s6::slot::{publish, staging};
use crate::s6::{DefaultState, ProfileName, supervision};
use crate::settings::Overrides;
use crate::sys::Dir;

/// Time after which a slot that s6-svscan has not taken gets a new inode.
const MISSED: Duration = Duration::from_secs(2);

/// The arguments of `register`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// The profile's name.
    pub profile: OsString,
    /// Whether its gateway starts.
    pub default_state: DefaultState,
    /// Variables for the gateway, `KEY=VALUE` each.
    pub variables: Vec<OsString>,
}

/// Runs the command. Returns its exit code.
pub fn run(args: &Args, console: &Console) -> u8 {
    let parsed = profile(&args.profile).and_then(|profile| Ok((profile, variables(&args.variables)?)));
    let (profile, variables) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return console.fatal(&error),
    };
    with_live(&args.overrides, console, &|live| {
        require_gateway_container(live, &args.overrides)?;
        if let Err(error) = record::has_profile(live.settings, &profile) {
            console.failed(&error);
        }
        if !make(live, &profile, args.default_state, &variables)? {
            let reason = "it is there already: unregister it first, or start it";
            return Err(Error::new("register", profile.slot(), reason).with_code(exit::INCOMPLETE));
        }
        wait_for_supervision(live, &profile, SUPERVISION)?;
        Ok(0)
    })
}

/// Makes the slot, and makes s6-svscan scan. Without variables, it gets those that an earlier registration has kept. Returns false if
/// there is a slot.
pub(super) fn make(
    live: &Live<'_>,
    profile: &ProfileName,
    want: DefaultState,
    given: &[Variable],
) -> Result<bool> {
    live.require_writable()?;
    let held = live.hold()?;
    if slot(live, profile)?.is_some() {
        return Ok(false);
    }
    // An interrupted unregistration may have left supervisors of the same name, and interrupted registrations their staging.
    unregister::finish_earlier(live, profile, true)?;
    staging::sweep_own(&held, profile);
    // Before the slot: a boot after an interruption has them, too.
    let kept = record::keep_variables(live, profile, given);
    let earlier = if given.is_empty() { record::kept_variables(live, profile) } else { Vec::new() };
    let variables = if given.is_empty() { &earlier } else { given };
    publish::add(&held, profile, want, variables, &live.template)?;
    if let Err(error) = control::svscanctl("a", &live.scandir) {
        unregister::take_away(live, profile)?;
        if !given.is_empty() {
            record::forget_variables(live, profile)?;
        }
        let reason = format!("{error}; is s6-svscan running there, and are its commands yours to give?");
        return Err(Error::new("register", profile.slot(), reason).with_code(exit::INCOMPLETE));
    }
    kept.map(|()| true)
}

/// Makes s6-svscan take a slot that nobody supervises. Returns the slot.
pub(super) fn announce(live: &Live<'_>, profile: &ProfileName) -> Result<Dir> {
    control::svscanctl("a", &live.scandir)?;
    if live.scandir.may_write() && !is_taken(live, profile, MISSED) {
        renew(live, profile)?;
        // A supervisor that was only slow works in the old inode.
        control::svscanctl("an", &live.scandir)?;
    }
    wait_for_supervision(live, profile, SUPERVISION)
}

/// Publishes a slot anew that is as it should be: s6-svscan does not take up a service under an inode for which a scan has failed.
fn renew(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let held = live.hold()?;
    let Some(old) = slot(live, profile)? else { return Ok(()) };
    let want = DefaultState::of(&old).context("look at", profile.slot())?;
    let as_desired = check::inspect(&live.scandir, profile, want, &live.template)? == SlotState::UpToDate;
    if as_desired && !supervision::is_supervised(&old) {
        publish::publish(&held, profile, want, SlotState::Differs, &[], &live.template)?;
    }
    Ok(())
}

fn is_taken(live: &Live<'_>, profile: &ProfileName, limit: Duration) -> bool {
    wait_until(limit, &mut || {
        slot(live, profile).is_ok_and(|slot| slot.as_ref().is_some_and(is_fully_supervised))
    })
}

/// Waits until slot and logger are supervised. Returns the slot.
pub(super) fn wait_for_supervision(live: &Live<'_>, profile: &ProfileName, limit: Duration) -> Result<Dir> {
    let name = profile.slot();
    if is_taken(live, profile, limit)
        && let Some(slot) = slot(live, profile)?
    {
        return Ok(slot);
    }
    let reason = "s6-svscan has not taken it within 10 seconds: is there a dangling symlink beside it, or too many services?";
    Err(Error::new("have a supervisor for", name, reason).with_code(exit::INCOMPLETE))
}

/// Parses the variables of `--env KEY=VALUE`.
fn variables(arguments: &[OsString]) -> Result<Vec<Variable>> {
    let mut variables: Vec<Variable> = Vec::new();
    for argument in arguments {
        let bytes = argument.as_bytes();
        if let Err(why) = envdir::add(&mut variables, bytes) {
            return Err(Error::usage("take the variable", argument, why));
        }
    }
    Ok(variables)
}
