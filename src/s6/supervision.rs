//! Whether a service is supervised, found as s6-svok(8) does: s6-supervise keeps the reading end of `supervise/control` open as long
//! as it lives. s6-svscan does the same with `.s6-svscan/control` of its scan directory.

use std::path::Path;

use super::scandir::{OVERLAYS, SVSCAN};
use super::servicedir::{CONTROL, LOG, SUPERVISE};
use crate::output::escape::FromVolume;
use crate::sys::{Dir, Errno, Ids, SubPath, fifo, present, proc};

/// The name of s6-svscan's process.
pub(super) const SVSCAN_NAME: &[u8] = b"s6-svscan";

/// Returns whether a service is supervised.
pub fn is_held(service: &Dir) -> Result<bool, Errno> {
    match present(service.open_path(&SUPERVISE))? {
        Some(supervise) => fifo::is_held(&supervise, &CONTROL),
        None => Ok(false),
    }
}

/// Returns whether an s6-svscan runs on a scan directory. Fails if that cannot be found out.
pub fn is_scanned(scandir: &Dir) -> Result<bool, Errno> {
    match scandir.open_path(&SVSCAN) {
        Ok(svscan) => fifo::is_held(&svscan, &CONTROL),
        Err(Errno::NOENT) => Ok(false),
        // s6-svscan follows a symlink here.
        Err(errno) => Err(errno),
    }
}

/// Says that no s6-svscan runs on the scan directory with this path, and why, if that is known.
pub fn no_svscan(scandir: &Path) -> String {
    absence(scandir, "")
}

/// As [`no_svscan`], of a scan directory that does not exist.
pub fn no_scandir(scandir: &Path) -> String {
    absence(scandir, ", which does not exist")
}

fn absence(scandir: &Path, more: &str) -> String {
    let why =
        |name: Vec<u8>| format!(" (process 1 is {}, and s6-overlay must be process 1)", FromVolume(&name));
    let why = other_first(scandir).map(why).unwrap_or_default();
    format!("no s6-svscan runs on {}{more}{why}", FromVolume::path(scandir))
}

/// Returns the name of process 1, if that explains why no s6-svscan runs on a scan directory: it is s6-overlay's, and process 1 is another
/// program than s6-svscan. `None` where that is not known.
pub fn other_first(scandir: &Path) -> Option<Vec<u8>> {
    if scandir != Path::new(OVERLAYS) {
        return None;
    }
    proc::first_name().filter(|name| name != SVSCAN_NAME)
}

/// Returns the owner of a service's `supervise`, who may command its supervisor.
pub fn owner(service: &Dir) -> Result<Ids, Errno> {
    Ok(service.open_path(&SUPERVISE)?.own_meta()?.ids)
}

/// The state of a service, in `supervise`. Its supervisor writes it after it has opened `control`.
pub static STATUS: SubPath = SubPath::fixed(c"supervise/status");

/// Returns whether the supervisor of a service has written `supervise/status`; true where this process is not permitted to look. Fails if
/// that cannot be looked at.
pub fn has_state(service: &Dir) -> Result<bool, Errno> {
    match service.open_path(&SUPERVISE).and_then(|supervise| supervise.meta(&STATUS.name)) {
        Err(Errno::NOENT) => Ok(false),
        Ok(_) | Err(Errno::ACCESS) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Returns whether a service is supervised and its supervisor has written `supervise/status`, before which s6-svstat and s6-svwait
/// fail; true where this process is not permitted to look.
pub fn is_ready(service: &Dir) -> bool {
    is_held(service).unwrap_or(true) && has_state(service).unwrap_or(true)
}

/// Returns whether a service is supervised and its supervisor has not written `supervise/status` yet.
pub fn is_starting(service: &Dir) -> bool {
    has_state(service) == Ok(false) && is_held(service) == Ok(true)
}

/// Returns whether a slot or its logger is supervised.
pub fn is_slot_held(slot: &Dir) -> Result<bool, Errno> {
    Ok(is_held(slot)? || present(slot.open_path(&LOG))?.map_or(Ok(false), |log| is_held(&log))?)
}

/// Returns whether a slot or its logger is supervised; true where this process cannot find out.
pub fn is_supervised(slot: &Dir) -> bool {
    is_slot_held(slot).unwrap_or(true)
}
