//! Confines the programs that are executed here: they inherit no descriptors, and in sealed mode cannot gain privileges.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use super::{Args, Effect};
use crate::output::{Console, Context, Error, Object, Result};
use crate::s6::servicedir::{EVENT, SEALED_EVENT};
use crate::settings::Lookup;
use crate::sys::{Dir, Kind, Ownership, inheritance, present, process};

/// execline's program that closes a descriptor. Safe Rust cannot close by number.
const FDCLOSE: &str = "fdclose";
/// The directories that it is looked for in, all of them root's.
const PLACES: &str = "/command:/usr/bin:/bin:/usr/lib/execline/bin";

/// Prepares a command that executes other programs. Must be called before anything else. `again` is the argv, after the executable,
/// with which this program starts itself again: the command's name and what follows it.
pub fn prepare(args: &Args, again: &[OsString], console: &Console) -> Result<()> {
    // What is only printed inherits nothing.
    if args.effect == Effect::Print {
        return Ok(());
    }
    if Ownership::new().is_root() {
        close_inherited(again, console)?;
    }
    if is_sealed(console)? {
        inheritance::forbid_new_privileges().context("set", Object::Term("no_new_privs"))?;
    }
    Ok(())
}

/// Starts this program again without inherited descriptors above 2, if there are any, because the programs that it executes would
/// inherit them too.
fn close_inherited(again: &[OsString], console: &Console) -> Result<()> {
    let inherited = inheritance::descriptors().context("list", Path::new(inheritance::PLACE))?;
    if inherited.is_empty() {
        return Ok(());
    }
    let (Some(fdclose), Some(executable)) =
        (process::find_on_path(OsStr::new(FDCLOSE), OsStr::new(PLACES)), console.executable())
    else {
        let reason = "it must close inherited file descriptors above 2, and was not found: install execline";
        return Err(Error::new("run", Object::Term(FDCLOSE), reason));
    };
    // Each fdclose closes one descriptor and executes the rest.
    let closers = inherited.iter().flat_map(|number| [fdclose.as_os_str(), number.as_ref()]);
    let mut command = Command::new(&fdclose);
    command.args(closers.skip(1)).arg(executable).args(again);
    Err(Error::new("run", Object::Term(FDCLOSE), process::exec(command)))
}

/// Returns whether the container or this service is sealed. `--sealed` is not in the environment; it shows in the service's modes.
fn is_sealed(console: &Console) -> Result<bool> {
    if Lookup::new()?.sealed(console).is_some_and(|sealed| sealed.value) {
        return Ok(true);
    }
    let here = Dir::fixed(Path::new(".")).context("open", Object::Term("the service directory"))?;
    let event = present(here.meta(&EVENT)).context("inspect", &EVENT)?;
    Ok(event.is_some_and(|event| {
        event.kind == Kind::Directory && event.mode == SEALED_EVENT && event.ids.uid == 0
    }))
}
