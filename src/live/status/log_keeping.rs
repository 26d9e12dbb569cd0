//! Whether the logger of a gateway that is up keeps a log: whether s6-log runs, with a directory, and still has the one at that path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::row::Logger;
use crate::output::{Context, Error, Result};
use crate::s6::status::{self, Stat};
use crate::settings::user;
use crate::sys::{Dir, Errno, Ids, Name, Reason, as_user, process, time};

/// The file of a log directory that s6-log has open.
static CURRENT: Name = Name::fixed(c"current");
/// How long a logger may take until s6-log runs, in seconds.
const START: u64 = 5;
/// How long a look is repeated that shows a fault: s6-log is just being started, or rotates.
const AGAIN: Duration = Duration::from_millis(100);
const INTERVAL: Duration = Duration::from_millis(20);

/// What is looked at.
pub struct Look {
    /// The hermes user, as whom s6-log runs.
    pub user: Ids,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// How long the gateway has been up, in seconds.
    pub age: u64,
}

impl Look {
    /// Looks at the logger of a gateway. `log` is its service directory.
    pub fn at(&self, log: &Dir) -> Logger {
        let look = || match self.once(log) {
            Ok(found @ (Logger::Fine | Logger::Unseen(_))) => Some(found),
            // The process may have ended meanwhile.
            Err(error) if error.errno() != Some(Errno::NOENT) => Some(Logger::Unknown(error.to_string())),
            _ => None,
        };
        if let Some(found) = time::poll(AGAIN, INTERVAL, look) {
            return found;
        }
        self.once(log).unwrap_or_else(|error| Logger::Unknown(error.to_string()))
    }

    fn once(&self, log: &Dir) -> Result<Logger> {
        let stat = status::svstat(log)?;
        let age = stat.map_or(self.age, |stat| self.now.saturating_sub(stat.time()).max(0).unsigned_abs());
        let is_starting = age < START && stat.is_none_or(|stat| stat.is_wanted);
        let Some(pid) = stat.as_ref().and_then(Stat::pid) else {
            return Ok(if is_starting { Logger::Fine } else { Logger::Down });
        };
        // The kernel shows what a process has open to its user, and to root only with a capability.
        let looked = match user::runner() {
            Ok(runner) if process::is_root() => as_user(self.user, &runner.groups, || look_at_process(pid)),
            _ => Ok(look_at_process(pid)),
        };
        let found = looked.map_err(Reason::from).and_then(|found| found);
        let found = match found.context("inspect the logger,", Path::new(&format!("/proc/{pid}"))) {
            Err(error) if self.is_strangers(&error) => return Ok(Logger::Unseen(error.to_string())),
            found => found?,
        };
        Ok(match found {
            Found::Other if is_starting => Logger::Fine,
            Found::Other => Logger::NotLogging,
            Found::Fallback => Logger::Fallback,
            Found::Lost => Logger::Lost,
            Found::Logging => Logger::Fine,
        })
    }

    /// Returns whether a failure is what the kernel answers to a user whom the process is none of the business of.
    fn is_strangers(&self, error: &Error) -> bool {
        let is_refusal = matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM | Errno::NOENT));
        is_refusal && !process::is_root() && process::uid() != self.user.uid
    }
}

/// What the process of a logger does.
enum Found {
    /// It is not s6-log.
    Other,
    /// s6-log has no directory.
    Fallback,
    /// s6-log has a directory that is not, or no longer, the one at its path.
    Lost,
    /// s6-log has the directory at its path.
    Logging,
}

fn look_at_process(pid: u64) -> std::result::Result<Found, Reason> {
    let path = match Argv::parse(&process::argv_of(pid)?) {
        Argv::Other => return Ok(Found::Other),
        Argv::Fallback => return Ok(Found::Fallback),
        Argv::RelativeDirectory => return Ok(Found::Logging),
        Argv::Directory(path) => path,
    };
    let found = Dir::at(&path).and_then(|dir| Ok(dir.meta(&CURRENT)?.inode));
    let current = match found {
        Err(Reason::Errno(Errno::NOENT | Errno::NOTDIR)) => return Ok(Found::Lost),
        // What the hermes user is refused on the volume is said of the volume.
        Err(Reason::Errno(Errno::ACCESS)) => return Ok(Found::Logging),
        found => found.map_err(|reason| Reason::from(Error::new("look at", &path, reason).to_string()))?,
    };
    Ok(if process::open_inodes(pid)?.contains(&current) { Found::Logging } else { Found::Lost })
}

/// What the argv of a logger's process says.
#[derive(Debug, PartialEq, Eq)]
enum Argv {
    /// It is not s6-log's.
    Other,
    /// It has no directory.
    Fallback,
    /// It has this one.
    Directory(PathBuf),
    /// It has one whose path is relative.
    RelativeDirectory,
}

impl Argv {
    /// Parses the text of a /proc/PID/cmdline. s6-log recognizes a directory by its first character, `/` or `.`; one that begins with `.`
    /// is relative to the working directory of a process that nobody else knows, and is not looked for.
    fn parse(cmdline: &[u8]) -> Argv {
        let mut words = cmdline.split(|byte| *byte == 0);
        let program = words.next().unwrap_or_default();
        if program.rsplit(|byte| *byte == b'/').next() != Some(b"s6-log") {
            return Argv::Other;
        }
        match words.find(|word| matches!(word.first(), Some(b'/' | b'.'))) {
            Some([b'.', ..]) => Argv::RelativeDirectory,
            Some(path) => Argv::Directory(OsStr::from_bytes(path).into()),
            None => Argv::Fallback,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argv_of_s6_log_tells_whether_it_has_a_directory() {
        let directory = |path: &str| Argv::Directory(path.into());
        for (argv, expected) in [
            (
                &["/usr/bin/s6-log", "-p", "n10", "s1000000", "T", "/v/logs/gateways/a", "pa:", "1"][..],
                directory("/v/logs/gateways/a"),
            ),
            (&["s6-log", "1", "n10", "s1000000", "T", "/v/logs/gateways/a"], directory("/v/logs/gateways/a")),
            (&["s6-log", "-p", "T", "./v"], Argv::RelativeDirectory),
            (&["/command/s6-log", "-p", "pa:", "1"], Argv::Fallback),
            (&["s6-log", "-p", "1"], Argv::Fallback),
            (&["/usr/bin/hermes-init", "gateway-log", "./run", "gateway-a/log"], Argv::Other),
            (&["./run", "/s6-log"], Argv::Other),
            (&[], Argv::Other),
        ] {
            assert_eq!(Argv::parse(argv.join("\0").as_bytes()), expected, "{argv:?}");
        }
    }
}
