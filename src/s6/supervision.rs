//! Whether a slot is supervised, asked as s6-svok(8) does: s6-supervise keeps the reading end of `supervise/control` open as long
//! as it lives.

use super::servicedir::{CONTROL, LOG, SUPERVISE};
use crate::sys::{Dir, Errno, SubPath, file, present};

/// Returns whether a supervisor works in this service directory.
pub fn is_held(service: &Dir) -> Result<bool, Errno> {
    match present(service.open_path(&SUPERVISE))? {
        Some(supervise) => file::fifo_is_held(&supervise, &CONTROL),
        None => Ok(false),
    }
}

/// The state of a service, in `supervise`. Its supervisor writes it after it has opened `control`.
pub static STATUS: SubPath = SubPath::fixed(c"supervise/status", c"supervise", c"status");

fn has_state(service: &Dir) -> bool {
    service.open_path(&SUPERVISE).and_then(|supervise| supervise.meta(&STATUS.name)) != Err(Errno::NOENT)
}

/// Returns whether a supervisor works in this service directory and has written `supervise/status`: s6-svstat and s6-svwait fail
/// before. True where this process may not ask.
pub fn is_ready(service: &Dir) -> bool {
    is_held(service).unwrap_or(true) && has_state(service)
}

/// Returns whether a supervisor works in this service directory and has not written `supervise/status` yet.
pub fn is_starting(service: &Dir) -> bool {
    !has_state(service) && is_held(service) == Ok(true)
}

/// Returns whether a supervisor works in the slot or in its logger's service directory.
pub fn supervision(slot: &Dir) -> Result<bool, Errno> {
    Ok(is_held(slot)? || present(slot.open_path(&LOG))?.map_or(Ok(false), |log| is_held(&log))?)
}

/// [`supervision`]; true where this process cannot find out.
pub fn is_supervised(slot: &Dir) -> bool {
    supervision(slot).unwrap_or(true)
}
