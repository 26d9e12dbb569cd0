//! `register`: a slot on a live container, made as a boot pass makes it.

use std::ffi::CStr;

use super::{
    Live, REFUSED, SUPERVISION, is_fully_supervised, profile, s6, unregister, wait_until, with_live,
};
use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Error, Result, USAGE};
use crate::slot::env::{self, Variable};
use crate::slot::{ProfileName, Want, publish};
use crate::sys::Errno;

/// Runs the command; its exit code.
pub fn run(options: &Options, argv0: &'static CStr, console: &Console) -> u8 {
    with_live(options, argv0, console, &|live| {
        let profile = profile(options.operands.first().unwrap_or(&c""))?;
        let variables = variables(&options.env)?;
        register(live, &profile, Want { down: options.down }, &variables)?;
        Ok(0)
    })
}

/// Makes the slot, has s6-svscan take it, and waits until it is supervised. A slot that is there already is an error.
pub(super) fn register(
    live: &Live<'_>,
    profile: &ProfileName,
    want: Want,
    variables: &[Variable],
) -> Result<()> {
    live.must_be_ours()?;
    let slot = profile.slot();
    let held = live.hold()?;
    if live.scandir.meta(slot) != Err(Errno::NOENT) {
        let reason = "it is there already: unregister it first, or start it";
        return Err(Error::new("register", slot, reason).with_code(REFUSED));
    }
    // Of an unregistration that was interrupted, supervisors of the same name may be left.
    unregister::finish_earlier(live, profile)?;
    publish::add(&live.scandir, profile, want, variables, &live.spec)?;
    if let Err(error) = s6::svscanctl(c"-a", live.path) {
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

/// The variables of `--env KEY=VALUE`; of a key that is given twice, the last.
fn variables(arguments: &[&CStr]) -> Result<Vec<Variable>> {
    let mut variables: Vec<Variable> = Vec::new();
    for argument in arguments {
        let bytes = argument.to_bytes();
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
