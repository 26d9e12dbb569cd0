//! Whether the logger of a gateway that is up keeps a log: whether s6-log runs, with a directory, and still has the one at that path.

use std::path::Path;

use super::row::Logger;
use crate::live::log_process::{self, Process};
use crate::output::{Context, Error, Result};
use crate::s6::status::{self, Stat};
use crate::settings::Settings;
use crate::sys::{Dir, Errno, process, time};

/// How long a logger may take until s6-log runs, in seconds.
const START: u64 = 5;

/// What is looked at.
pub struct Look<'a> {
    /// Says who the hermes user is, as whom s6-log runs.
    pub settings: &'a Settings,
    /// How long the gateway has been up, in seconds.
    pub age: u64,
}

impl Look<'_> {
    /// Looks at the logger of a gateway. `log` is its service directory.
    pub fn at(&self, log: &Dir) -> Logger {
        let look = || match self.once(log) {
            Ok(found @ (Logger::Fine | Logger::Unseen(_))) => Some(found),
            // The process may have ended meanwhile.
            Err(error) if error.errno() != Some(Errno::NOENT) => Some(Logger::Unknown(error.to_string())),
            _ => None,
        };
        if let Some(found) = time::poll(log_process::AGAIN, log_process::INTERVAL, look) {
            return found;
        }
        self.once(log).unwrap_or_else(|error| Logger::Unknown(error.to_string()))
    }

    fn once(&self, log: &Dir) -> Result<Logger> {
        let stat = status::svstat(log)?;
        let age = stat.map_or(self.age, |stat| stat.age(time::now_exactly()).unwrap_or_default());
        let is_starting = age < START && stat.is_none_or(|stat| stat.is_wanted);
        let Some(pid) = stat.as_ref().and_then(Stat::pid) else {
            return Ok(if is_starting { Logger::Fine } else { Logger::Down });
        };
        let found = log_process::look_as(self.settings, pid);
        let found = match found.context("inspect the logger,", Path::new(&format!("/proc/{pid}"))) {
            Err(error) if self.is_strangers(&error) => return Ok(Logger::Unseen(error.to_string())),
            found => found?,
        };
        Ok(match found {
            Process::Other if is_starting => Logger::Fine,
            Process::Other => Logger::NotLogging,
            Process::Fallback => Logger::Fallback,
            Process::Lost => Logger::Lost,
            Process::Logging => Logger::Fine,
        })
    }

    /// Returns whether a failure is what the kernel answers to a user whom the process is none of the business of.
    fn is_strangers(&self, error: &Error) -> bool {
        let is_refusal = matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM | Errno::NOENT));
        is_refusal && !process::is_root() && process::uid() != self.settings.owner.value.uid
    }
}
