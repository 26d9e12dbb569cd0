//! What the process of a gateway's logger does: whether s6-log runs, with a directory, and still has the one at that path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::output::Error;
use crate::settings::Settings;
use crate::sys::{Dir, Errno, Name, Reason, as_user, proc, process, time};

/// The file of a log directory that s6-log has open.
static CURRENT: Name = Name::fixed(c"current");

/// What the process of a logger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It is not s6-log.
    Other,
    /// s6-log has no directory.
    Fallback,
    /// s6-log has a directory that is not, or no longer, the one at its path.
    Lost,
    /// s6-log has the directory at its path.
    Logging,
}

/// How long a look is repeated that shows a logger which keeps no log: s6-log is just being started, or rotates.
pub const AGAIN: Duration = Duration::from_millis(100);
pub const INTERVAL: Duration = Duration::from_millis(20);

/// [`look_as`], again for a while if the process seems to have lost its directory.
pub fn look_steadily(settings: &Settings, pid: u64) -> std::result::Result<Process, Reason> {
    let look = || look_as(settings, pid);
    let is_clear = |looked: &std::result::Result<Process, Reason>| *looked != Ok(Process::Lost);
    time::poll(AGAIN, INTERVAL, || Some(look()).filter(is_clear)).unwrap_or_else(look)
}

/// Looks at the process of a logger, as the hermes user, whom it runs as: the kernel shows what a process has open to its user, and to root only with
/// a capability.
pub fn look_as(settings: &Settings, pid: u64) -> std::result::Result<Process, Reason> {
    match settings.groups() {
        Ok(groups) if process::is_root() => as_user(settings.owner.value, &groups, || look(pid))?,
        _ => look(pid),
    }
}

fn look(pid: u64) -> std::result::Result<Process, Reason> {
    let path = match Argv::parse(&proc::argv_of(pid)?) {
        Argv::Other => return Ok(Process::Other),
        Argv::Fallback => return Ok(Process::Fallback),
        Argv::RelativeDirectory => return Ok(Process::Logging),
        Argv::Directory(path) => path,
    };
    let found = Dir::at(&path).and_then(|dir| Ok(dir.meta(&CURRENT)?.inode));
    let current = match found {
        Err(Reason::Errno(Errno::NOENT | Errno::NOTDIR)) => return Ok(Process::Lost),
        // What the hermes user is refused on the volume is said of the volume.
        Err(Reason::Errno(Errno::ACCESS)) => return Ok(Process::Logging),
        found => found.map_err(|reason| Reason::from(Error::new("look at", &path, reason).to_string()))?,
    };
    Ok(if proc::open_inodes(pid)?.contains(&current) { Process::Logging } else { Process::Lost })
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
