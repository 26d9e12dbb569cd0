//! Whether s6-svscan runs on the scan directory, what is said where none does, and commands to the one that does.

use std::path::Path;

use super::refused;
use crate::output::escape::FromVolume;
use crate::output::{Error, Object, Result, exit};
use crate::s6::{commands, supervision};
use crate::sys::{Dir, Errno, Patience, process};

/// The program in messages.
const SVSCAN: Object = Object::Term("s6-svscan");

/// Returns the error of a scan directory that does not exist.
pub fn no_directory(path: &Path) -> Error {
    Error::new("command", SVSCAN, format!("{}{ELSEWHERE}", supervision::no_scandir(path)))
}

/// Where another s6-svscan may run.
const ELSEWHERE: &str = "; --scandir names another scan directory";

/// Fails if no s6-svscan runs on the scan directory. Where that is not known, the command to it tells.
pub fn require(scandir: &Dir, path: &Path) -> Result<()> {
    if supervision::is_scanned(scandir) != Ok(false) {
        return Ok(());
    }
    let control = path.join(commands::svscan_control());
    let reason = format!(
        "{}: no process reads {}{ELSEWHERE}",
        supervision::no_svscan(path),
        FromVolume::path(&control)
    );
    Err(Error::new("command", SVSCAN, reason).with_code(exit::INCOMPLETE))
}

/// Commands s6-svscan, with s6-svscanctl(8)'s letters.
pub fn tell(commands: &str, scandir: &Dir, path: &Path, patience: &Patience) -> Result<()> {
    require(scandir, path)?;
    commands::svscanctl(commands, scandir, patience).map_err(|error| match scandir.own_meta() {
        Ok(meta) if error.errno() == Some(Errno::ACCESS) && !process::is_root() => {
            refused("command", SVSCAN, meta.ids.uid)
        }
        _ => error,
    })
}
