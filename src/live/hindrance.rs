//! What another process does to a service, so that its supervisor does not obey.

use crate::s6::commands::{self, Backlog};
use crate::sys::Dir;

/// Returns what hinders the supervisor of a service, and what helps, if that can be seen.
pub fn of(service: &Dir) -> Option<&'static str> {
    let is_flooded = commands::backlog_of(service) == Backlog::Changing;
    is_flooded.then_some(
        "another process keeps writing to supervise/control, and the supervisor has no time for anything else: end that process first",
    )
}
