//! What s6 executes as `run`, `log/run` and `finish`: the programs of the gateways' services and of the dashboard's.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::number::decimal;

pub mod confine;
pub mod dashboard;
pub mod gateway;
mod launch;

/// Exit code of a `finish` after which s6-supervise does not start the service again, as after `s6-svc -O`.
const PERMANENT_FAILURE: u8 = 125;
/// `EX_CONFIG` of sysexits.h: the configuration is wrong, and a restart changes nothing.
const BAD_CONFIGURATION: u64 = 78;

/// Returns the exit code in `finish`'s arguments, `[./finish] EXITCODE SIGNAL SERVICE [PGID]`: a `#!` line adds the first. It is
/// 256 if a signal killed the service.
fn exit_code(operands: &[OsString]) -> Option<u64> {
    operands.iter().take(2).find_map(|word| decimal(word.as_bytes()))
}
