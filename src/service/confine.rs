//! What programs get that are executed here: no descriptor of somebody else's, and in sealed mode no way to gain privileges.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Args;
use crate::output::Console;
use crate::output::{Context, Error, Result};
use crate::s6::servicedir::{EVENT, SEALED_EVENT};
use crate::settings::Lookup;
use crate::sys::process::{self, Environment, Program};
use crate::sys::{Dir, Kind, Ownership, inheritance, present};

/// Where fdclose(1) of execline may be. None of these directories is another user's.
const PLACES: &str = "/command:/usr/bin:/bin:/usr/lib/execline/bin";

/// Prepares a command that executes other programs. To be called before anything else is done. `again` is the argv with which this
/// program is started again by its path: the command's name and what follows it.
pub fn prepare(args: &Args, again: &[OsString], console: &Console) -> Result<()> {
    if Ownership::new().is_root() {
        shed(again, console)?;
    }
    if !args.print && is_sealed(console)? {
        inheritance::forbid_new_privileges().context("set", "no_new_privs")?;
    }
    Ok(())
}

/// Starts this program again without the descriptors above 2 that it has inherited, if there are any: root's programs, and those
/// of the hermes user, would inherit them. fdclose(1) closes them, because safe Rust cannot close by number.
fn shed(again: &[OsString], console: &Console) -> Result<()> {
    let inherited = inheritance::descriptors().context("list", inheritance::PLACE)?;
    if inherited.is_empty() {
        return Ok(());
    }
    let tool = "fdclose";
    let (Some(path), Some(executable)) =
        (process::find_on_path(OsStr::new(tool), OsStr::new(PLACES)), console.executable())
    else {
        let reason = "descriptors above 2 are inherited, and it is not in /command: install execline";
        return Err(Error::new("run", tool, reason));
    };
    let mut argv: Vec<OsString> = Vec::new();
    for number in &inherited {
        argv.push(path.clone().into());
        argv.push(OsStr::from_bytes(number.bytes()).into());
    }
    argv.push(executable.into());
    argv.extend_from_slice(again);
    let program = Program { path, argv, environment: Environment::own() };
    Err(Error::new("run", tool, program.exec()))
}

/// Returns whether the container or this service is sealed: `--sealed` leaves no variable behind, but its modes.
fn is_sealed(console: &Console) -> Result<bool> {
    if Lookup::new()?.sealed(console).is_some_and(|sealed| sealed.value) {
        return Ok(true);
    }
    let here = Dir::at(Path::new(".")).context("open the service", "directory")?;
    let event = present(here.meta(&EVENT)).context("look at", &EVENT)?;
    Ok(event.is_some_and(|event| {
        event.kind == Kind::Directory && event.mode == SEALED_EVENT && event.ids.uid == 0
    }))
}
