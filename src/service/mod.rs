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
/// `EX_CONFIG` of sysexits.h: the configuration is wrong.
const BAD_CONFIGURATION: u8 = 78;
/// Exit code if a program is found and cannot be executed, as in a shell.
const NOT_EXECUTABLE: u8 = 126;
/// Exit code if a program is not found, as in a shell.
const NOT_FOUND: u8 = 127;
/// Exit codes after which a restart changes nothing.
const PERMANENT: [u8; 4] = [BAD_CONFIGURATION, SYSTEM, NOT_EXECUTABLE, NOT_FOUND];

/// Returns the exit code in `finish`'s arguments, `[./finish] EXITCODE SIGNAL SERVICE [PGID]`: a `#!` line adds the first. It is
/// 256 if a signal killed the service.
fn exit_code(operands: &[OsString]) -> Option<u64> {
    operands.iter().take(2).find_map(|word| decimal(word.as_bytes()))
}

/// Returns whether a service that has ended with this code is to stay down.
fn is_permanent(code: Option<u64>) -> bool {
    code.is_some_and(|code| PERMANENT.iter().any(|permanent| u64::from(*permanent) == code))
}
