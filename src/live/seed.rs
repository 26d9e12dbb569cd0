//! `seed`: makes the supervise skeleton of service directories.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::Console;
use crate::output::{Context, Result, exit};
use crate::s6::Policy;
use crate::s6::servicedir::LOG;
use crate::s6::skeleton::{self, Existing};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Ownership, label};

/// The arguments of `seed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// The service directories.
    pub directories: Vec<PathBuf>,
}

/// Runs the command. Returns its exit code.
pub fn run(args: &Args, console: &Console) -> u8 {
    let settings = match Settings::gather(&args.overrides, console) {
        Ok(settings) => settings,
        Err(error) => return console.fatal(&error),
    };
    let ownership = Ownership::new();
    let policy = settings.policy(ownership.process());
    let mut code = 0;
    for directory in &args.directories {
        for done in &seed(directory, &policy, &ownership) {
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
fn seed(path: &Path, policy: &Policy, ownership: &Ownership) -> [Result<bool>; 2] {
    let path_bytes = path.as_os_str().as_bytes();
    let service = match Dir::at(path).context("open", path_bytes) {
        Ok(service) => service,
        Err(error) => return [Err(error), Ok(false)],
    };
    let log_path = label(&[path_bytes, LOG.bytes()]);
    let own = skeleton::complete(&service, path_bytes, Existing::Leave, policy, ownership);
    let log = match service.dir(&LOG) {
        // A service may have no logger.
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno).context("open", log_path),
        Ok(log) => skeleton::complete(&log, &log_path, Existing::Leave, policy, ownership),
    };
    [own, log]
}
