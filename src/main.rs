//! The executable: argv in, exit code out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(hermes_init::run(&std::env::args_os().collect::<Vec<_>>()))
}
