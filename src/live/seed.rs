//! `seed`: makes the supervise skeleton of service directories.

use std::path::{Path, PathBuf};

use crate::output::{Console, Context, Error, Result, exit};
use crate::s6::Policy;
use crate::s6::servicedir::LOG;
use crate::s6::skeleton::{self, Existing};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Ownership};

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
    settings.note_mode(console);
    let ownership = Ownership::new();
    let policy = match settings.sealed_owner(&ownership) {
        Ok(owner) => settings.policy(owner),
        Err(error) => return console.fatal(&error),
    };
    let mut code = if settings.keeps_all(console) { exit::INCOMPLETE } else { 0 };
    for directory in &args.directories {
        for error in seed(directory, &policy, &ownership) {
            console.failed(&error);
            code = exit::INCOMPLETE;
        }
    }
    console.note_refusal(&ownership);
    code
}

/// Completes the skeletons of a service directory and of its logger's. Returns what has failed: neither needs the other.
fn seed(path: &Path, policy: &Policy, ownership: &Ownership) -> Vec<Error> {
    let service = match Dir::at(path) {
        Ok(service) => service,
        Err(reason) => return vec![Error::new("open", path, reason)],
    };
    let own = complete(&service, path, policy, ownership);
    let logger = seed_logger(&service, &path.join(&LOG), policy, ownership);
    [own, logger].into_iter().filter_map(Result::err).collect()
}

/// Completes the skeleton of a service's logger, if it has one. `path` is the logger's service directory in messages.
fn seed_logger(service: &Dir, path: &Path, policy: &Policy, ownership: &Ownership) -> Result<()> {
    match service.dir(&LOG) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(errno).context("open", path),
        Ok(log) => complete(&log, path, policy, ownership),
    }
}

fn complete(service: &Dir, path: &Path, policy: &Policy, ownership: &Ownership) -> Result<()> {
    skeleton::complete(service, path, Existing::Leave, policy, ownership)?;
    Ok(())
}
