//! `seed`: the supervise skeleton of service directories, by hand.

use std::ffi::CStr;

use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Result};
use crate::settings::Settings;
use crate::slot::layout::{LOG, Policy};
use crate::slot::skeleton::{self, Existing};
use crate::sys::{Chowner, Dir, Errno, keep};

/// Exit code when one of the directories could not be completed.
const INCOMPLETE: u8 = 1;

/// Runs the command; its exit code.
pub fn run(options: &Options, console: &Console) -> u8 {
    let settings = match Settings::gather(options, console) {
        Ok(settings) => settings,
        Err(error) => return console.fatal(&error),
    };
    let chowner = Chowner::new();
    let policy = settings.policy(chowner.me());
    let mut code = 0;
    for operand in &options.operands {
        for done in seed(operand, &policy, &chowner) {
            if let Err(error) = done {
                console.warn(&error);
                code = INCOMPLETE;
            }
        }
    }
    if let Some(errno) = chowner.refused() {
        console.note(&chowner.refusal(errno));
    }
    code
}

/// Completes a service directory and its logger's, each for itself.
fn seed(path: &CStr, policy: &Policy, chowner: &Chowner) -> [Result<bool>; 2] {
    let label = path.to_bytes();
    let service = match Dir::at(path).context("open", label) {
        Ok(service) => service,
        Err(error) => return [Err(error), Ok(false)],
    };
    let log_label = keep::path(&[label, LOG.bytes()]);
    let own = skeleton::complete(&service, label, Existing::Keep, policy, chowner);
    let log = match service.dir(&LOG) {
        // The issue of a service without a logger, or with a file of that name, is none.
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno).context("open", log_label),
        Ok(log) => skeleton::complete(&log, log_label, Existing::Keep, policy, chowner),
    };
    [own, log]
}
