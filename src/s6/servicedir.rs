//! The parts of a service directory: names, paths and modes, as s6-supervise(8) and s6-svscan(8) have them.

use std::ffi::CStr;

use crate::sys::{Name, SubPath};

/// The service type, `longrun`, which s6-rc reads in its own service directories.
pub static TYPE: Name = Name::fixed(c"type");
/// The service program.
pub static RUN: Name = Name::fixed(c"run");
/// The program that s6-supervise runs after it.
pub static FINISH: Name = Name::fixed(c"finish");
/// Its presence keeps the service down when supervision starts; s6-supervise looks at no other time.
pub static DOWN: Name = Name::fixed(c"down");
/// The logger's service directory.
pub static LOG: Name = Name::fixed(c"log");
/// The directory in which subscribers to the service's events make their FIFOs.
pub static EVENT: Name = Name::fixed(c"event");
/// The supervise directory, s6-supervise's own.
pub static SUPERVISE: Name = Name::fixed(c"supervise");
/// The FIFO in the supervise directory that takes commands.
pub static CONTROL: Name = Name::fixed(c"control");
/// The logger's program, from the service directory.
pub static LOG_RUN: SubPath = SubPath::fixed(c"log/run");
/// The parts of a skeleton, from its service directory: `event`, `supervise`, and `control` and `event` in that.
pub static SKELETON: [&CStr; 4] = [c"event", c"supervise", c"supervise/control", c"supervise/event"];
/// Those of the logger, from the slot.
pub static LOG_SKELETON: [&CStr; 4] =
    [c"log/event", c"log/supervise", c"log/supervise/control", c"log/supervise/event"];
/// The environment directory that `gateway-run` loads.
pub static ENV: Name = Name::fixed(c"env");

/// Mode of the slot and of `log`.
pub const DIRECTORY: u32 = 0o755;
/// Mode of data files.
pub const DATA: u32 = 0o644;
/// Mode of programs.
pub const PROGRAM: u32 = 0o755;
/// Mode of `supervise` in sealed mode: the group may command and query the service, and cannot list the directory.
pub const SEALED_SUPERVISE: u32 = 0o710;
/// Mode of `event` directories in sealed mode.
pub const SEALED_EVENT: u32 = 0o700;

/// Prefixes of s6-overlay's own services. Whoever commands them commands the supervision itself.
const INTERNAL: [&[u8]; 2] = [b"s6rc-", b"s6-linux-"];

/// Returns whether a service is one of s6-overlay's own.
pub fn is_internal(name: &Name) -> bool {
    INTERNAL.iter().any(|prefix| name.bytes().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_s6_overlay_are_known_by_their_names() {
        for (name, expected) in [
            ("s6rc-oneshot-runner", true),
            ("s6rc-fdholder", true),
            ("s6-linux-init-shutdownd", true),
            ("s6-log", false),
            ("dashboard", false),
            ("my-s6rc-x", false),
        ] {
            assert_eq!(Name::new(name).map(|name| is_internal(&name)), Some(expected), "{name}");
        }
    }
}
