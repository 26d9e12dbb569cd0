//! Whether anybody supervises a slot, asked as s6-svok does: s6-supervise holds the reading end of `supervise/control` for
//! as long as it lives.

use super::layout::{CONTROL, LOG, SUPERVISE};
use crate::sys::{Dir, Errno, Name, file};

/// Whether a supervisor holds this service directory.
pub fn is_held(service: &Dir) -> Result<bool, Errno> {
    match service.passage(&SUPERVISE) {
        Ok(supervise) => file::fifo_is_held(&supervise, &CONTROL),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether a supervisor holds this service directory and has said so: s6-supervise writes `supervise/status` after it has opened
/// `control`, and s6-svstat and s6-svwait fail on a service without it. Where we may not ask, it is.
pub fn is_ready(service: &Dir) -> bool {
    static STATUS: Name = Name::fixed(c"status");
    is_held(service).unwrap_or(true)
        && service.passage(&SUPERVISE).and_then(|supervise| supervise.meta(&STATUS)) != Err(Errno::NOENT)
}

/// Whether a supervisor holds the slot or its logger. Where we may not ask (another user's service), somebody may:
/// what is in use must not be replaced.
pub fn is_supervised(slot: &Dir) -> bool {
    let held = |service: &Dir| is_held(service).unwrap_or(true);
    held(slot) || slot.passage(&LOG).is_ok_and(|log| held(&log))
}
