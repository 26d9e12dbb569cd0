//! What s6 executes as `run`, `log/run` and `finish`: the programs of the gateways' services and of the dashboard's.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::error::SYSTEM;
use crate::number::decimal;

pub mod confine;
pub mod dashboard;
pub mod gateway;
mod launch;

/// Exit code of a `finish` after which s6-supervise does not start the service again, as after `s6-svc -O`.
const PERMANENT_FAILURE: u8 = 125;
/// Exit code if a program is found and cannot be executed, as in a shell.
const NOT_EXECUTABLE: u8 = 126;
/// Exit code if a program is not found, as in a shell.
const NOT_FOUND: u8 = 127;
/// Exit codes after which a restart changes nothing, and what they mean. 78 is `EX_CONFIG` of sysexits.h.
static PERMANENT: [(u8, &str); 4] = [
    (78, "configuration"),
    (SYSTEM, "a system call failed"),
    (NOT_EXECUTABLE, "the program cannot be executed"),
    (NOT_FOUND, "the program is not found"),
];

/// Returns the exit code in `finish`'s arguments, `[./finish] EXITCODE SIGNAL SERVICE [PGID]`: a `#!` line adds the first. It is
/// 256 if a signal killed the service.
fn exit_code(operands: &[OsString]) -> Option<u64> {
    operands.iter().take(2).find_map(|word| decimal(word.as_bytes()))
}

/// Returns what an exit code means after which a service stays down, because a restart would change nothing; `None` for others.
pub fn permanent(code: u64) -> Option<&'static str> {
    PERMANENT.iter().find(|(permanent, _)| u64::from(*permanent) == code).map(|(_, meaning)| *meaning)
}

/// Returns whether a service that has ended with this code is to stay down.
fn is_permanent(code: Option<u64>) -> bool {
    code.and_then(permanent).is_some()
}
