//! Whether a slot is supervised, asked as s6-svok(8) does: s6-supervise keeps the reading end of `supervise/control` open as long
//! as it lives.

use super::layout::{CONTROL, LOG, SUPERVISE};
use crate::sys::{Dir, Errno, Name, file};

/// Returns whether a supervisor works in this service directory.
pub fn is_held(service: &Dir) -> Result<bool, Errno> {
    match service.passage(&SUPERVISE) {
        Ok(supervise) => file::fifo_is_held(&supervise, &CONTROL),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Returns whether a supervisor works in this service directory and has written `supervise/status`: it does so after it has opened
/// `control`, and s6-svstat and s6-svwait fail before. True where this process may not ask.
pub fn is_ready(service: &Dir) -> bool {
    static STATUS: Name = Name::fixed(c"status");
    is_held(service).unwrap_or(true)
        && service.passage(&SUPERVISE).and_then(|supervise| supervise.meta(&STATUS)) != Err(Errno::NOENT)
}

/// Returns whether a supervisor works in the slot or in its logger's service directory. True where this process may not ask: a
/// slot in use must not be replaced.
pub fn is_supervised(slot: &Dir) -> bool {
    let held = |service: &Dir| is_held(service).unwrap_or(true);
    held(slot) || slot.passage(&LOG).is_ok_and(|log| held(&log))
}
