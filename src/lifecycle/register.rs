//! `register`: makes a slot on a live container as the boot pass makes it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::{Live, REFUSED, SUPERVISION, is_fully_supervised, profile, unregister, wait_until, with_live};
use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Error, Result, USAGE};
use crate::s6;
use crate::slot::env::{self, Variable};
use crate::slot::{ProfileName, Want, publish};
use crate::sys::Errno;

/// Runs the command. Returns its exit code.
pub fn run(options: &Options, console: &Console) -> u8 {
    with_live(options, console, &|live| {
        let profile = profile(options.operands.first().map_or(OsStr::new(""), |name| name))?;
        let variables = variables(&options.env)?;
        register(live, &profile, Want { down: options.down }, &variables)?;
        Ok(0)
    })
}

/// Makes the slot, makes s6-svscan scan, and waits until the slot is supervised. Fails if there is a slot.
pub(super) fn register(
    live: &Live<'_>,
    profile: &ProfileName,
    want: Want,
    variables: &[Variable],
) -> Result<()> {
    live.require_writable()?;
    let slot = profile.slot();
    let held = live.hold()?;
    if live.scandir.meta(slot) != Err(Errno::NOENT) {
        let reason = "it is there already: unregister it first, or start it";
        return Err(Error::new("register", slot, reason).with_code(REFUSED));
    }
    // An interrupted unregistration may have left supervisors of the same name.
    unregister::finish_earlier(live, profile)?;
    publish::add(&live.scandir, profile, want, variables, &live.spec)?;
    if let Err(error) = s6::svscanctl("-a", live.path) {
        unregister::take_away(live, profile)?;
        let reason = format!("{error}; is s6-svscan running there, and are its commands yours to give?");
        return Err(Error::new("register", slot, reason).with_code(REFUSED));
    }
    drop(held);
    wait_for_supervision(live, profile)
}

/// Waits until slot and logger are supervised.
pub(super) fn wait_for_supervision(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let slot = profile.slot();
    let dir = live.scandir.passage(slot).context("open", slot)?;
    if wait_until(SUPERVISION, &mut || is_fully_supervised(&dir)) {
        return Ok(());
    }
    let reason = "s6-svscan has not taken it within 10 seconds: is there a dangling symlink beside it, or too many services?";
    Err(Error::new("have a supervisor for", slot, reason).with_code(REFUSED))
}

/// Parses the variables of `--env KEY=VALUE`. Of a key that occurs twice, the last one counts.
fn variables(arguments: &[OsString]) -> Result<Vec<Variable>> {
    let mut variables: Vec<Variable> = Vec::new();
    for argument in arguments {
        let bytes = argument.as_bytes();
        let wrong = |why: &'static str| Error::new("take the variable", bytes, why).with_code(USAGE);
        let equals =
            bytes.iter().position(|byte| *byte == b'=').ok_or_else(|| wrong("it is not KEY=VALUE"))?;
        let (key, value) = bytes.split_at(equals);
        let key = env::new_key(key)
            .ok_or_else(|| wrong("the key is not [A-Za-z_][A-Za-z0-9_]*, at most 255 bytes"))?;
        variables.retain(|(present, _)| *present != key);
        variables.push((key, env::encode(value.get(1..).unwrap_or_default())));
    }
    Ok(variables)
}
