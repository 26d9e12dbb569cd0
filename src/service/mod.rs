//! The programs that s6 executes as `run`, `log/run` and `finish` of the gateways' services and of the dashboard's.

mod anew;
pub mod backoff;
pub mod confine;
pub mod count;
pub mod dashboard;
mod exec;
mod failure;
pub mod gateway;
mod invocation;
pub mod logger;
mod profile_directory;
mod restart;
pub mod streams;
mod unrunnable;

pub use invocation::{Args, Effect};

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::output::exit;
use crate::sys::number::decimal;

/// Exit codes after which a restart changes nothing, and what they mean.
static PERMANENT: [(u8, &str); 4] = [
    (exit::CONFIGURATION, "configuration"),
    (exit::SYSTEM, "a system call failed"),
    (exit::NOT_EXECUTABLE, "the program cannot be executed"),
    (exit::NOT_FOUND, "the program or its interpreter is not found"),
];

/// Returns the exit code in the arguments of `finish`, `[./finish] EXITCODE SIGNAL SERVICE [PGID]`, of which a `#!` line adds the
/// first. It is 256 if a signal killed the service.
fn exit_code(words: &[OsString]) -> Option<u64> {
    words.iter().take(2).find_map(|word| decimal(word.as_bytes()))
}

/// Returns the meaning of an exit code after which a restart would change nothing; `None` for others.
pub fn permanent(code: u64) -> Option<&'static str> {
    PERMANENT.iter().find(|(permanent, _)| u64::from(*permanent) == code).map(|(_, meaning)| *meaning)
}

/// Returns whether a restart would change nothing after this exit code.
fn is_permanent(code: Option<u64>) -> bool {
    code.and_then(permanent).is_some()
}
