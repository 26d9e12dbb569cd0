//! `seed`: makes the supervise skeleton of service directories.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::cli::Options;
use crate::output::Console;
use crate::output::{Context, Result, exit};
use crate::s6::Policy;
use crate::s6::servicedir::LOG;
use crate::s6::skeleton::{self, Existing};
use crate::settings::Settings;
use crate::sys::{Dir, Errno, Ownership};

/// Runs the command. Returns its exit code.
pub fn run(options: &Options, console: &Console) -> u8 {
    let settings = match Settings::gather(options, console) {
        Ok(settings) => settings,
        Err(error) => return console.fatal(&error),
    };
    let ownership = Ownership::new();
    let policy = settings.policy(ownership.process());
    let mut code = 0;
    for operand in &options.operands {
        for done in &seed(operand, &policy, &ownership) {
            if let Err(error) = done {
                console.warn(format_args!("{error}"));
                code = exit::INCOMPLETE;
            }
        }
    }
    console.note_refusal(&ownership);
    code
}

/// Completes a service directory and its logger's, each for itself.
fn seed(path: &OsStr, policy: &Policy, ownership: &Ownership) -> [Result<()>; 2] {
    let path_bytes = path.as_bytes();
    let service = match Dir::at(Path::new(path)).context("open", path_bytes) {
        Ok(service) => service,
        Err(error) => return [Err(error), Ok(())],
    };
    let log_path = Path::new(path).join(&LOG);
    let own = skeleton::complete(&service, Path::new(path), Existing::Leave, policy, ownership);
    let log = match service.dir(&LOG) {
        // A service may have no logger.
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(errno).context("open", log_path),
        Ok(log) => skeleton::complete(&log, &log_path, Existing::Leave, policy, ownership),
    };
    [own, log]
}
