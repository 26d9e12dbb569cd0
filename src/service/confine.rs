//! What programs get that are executed here: no descriptor of somebody else's, and in sealed mode no way to gain privileges.

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
/// Where it may be. None of these directories is another user's.
const PLACES: &str = "/command:/usr/bin:/bin:/usr/lib/execline/bin";

/// Prepares a command that executes other programs. To be called before anything else is done. `again` is what starts this command
/// again after the path of the executable: the command's name and what follows it.
pub fn prepare(args: &Args, again: &[OsString], console: &Console) -> Result<()> {
    if Ownership::new().is_root() {
        close_inherited(again, console)?;
    }
    if args.effect == Effect::Execute && is_sealed(console)? {
        inheritance::forbid_new_privileges().context("set", Object::Term("no_new_privs"))?;
    }
    Ok(())
}

/// Starts this program again without the descriptors above 2 that it has inherited, if there are any: root's programs, and those
/// of the hermes user, would inherit them.
fn close_inherited(again: &[OsString], console: &Console) -> Result<()> {
    let inherited = inheritance::descriptors().context("list", Path::new(inheritance::PLACE))?;
    if inherited.is_empty() {
        return Ok(());
    }
    let (Some(fdclose), Some(executable)) =
        (process::find_on_path(OsStr::new(FDCLOSE), OsStr::new(PLACES)), console.executable())
    else {
        let reason = "descriptors above 2 are inherited, and it is not in /command: install execline";
        return Err(Error::new("run", Object::Term(FDCLOSE), reason));
    };
    // Each closes one, and executes the next.
    let closers = inherited.iter().flat_map(|number| [fdclose.as_os_str(), number.as_ref()]);
    let mut command = Command::new(&fdclose);
    command.args(closers.skip(1)).arg(executable).args(again);
    Err(Error::new("run", Object::Term(FDCLOSE), process::exec(command)))
}

/// Returns whether the container or this service is sealed: `--sealed` leaves no variable behind, but its modes.
fn is_sealed(console: &Console) -> Result<bool> {
    if Lookup::new()?.sealed(console).is_some_and(|sealed| sealed.value) {
        return Ok(true);
    }
    let here = Dir::at(Path::new(".")).context("open the service", Object::Term("directory"))?;
    let event = present(here.meta(&EVENT)).context("look at", &EVENT)?;
    Ok(event.is_some_and(|event| {
        event.kind == Kind::Directory && event.mode == SEALED_EVENT && event.ids.uid == 0
    }))
}
