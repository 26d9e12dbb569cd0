//! s6's programs: where they are, and what their answers mean.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::number::decimal;
use crate::sys::Ownership;
use crate::sys::process::{self, Environment, Program};

/// Directory of s6's programs in s6-overlay.
const COMMAND: &str = "/command";
/// The PATH of execvp(3) where the environment has none.
pub const DEFAULT_PATH: &str = "/usr/bin:/bin";

/// Finds one of s6's programs: in /command, else on the PATH of `environment`; as root, only where nobody else can put one.
pub fn find(name: &OsStr, environment: &Environment) -> Result<Option<PathBuf>> {
    let path = environment.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    match process::find_on_path(name, OsStr::new(COMMAND)) {
        None if Ownership::new().is_root() => process::find_for_root(name, path)
            .map_err(|(found, why)| Error::new("run", found.as_os_str().as_bytes(), why)),
        found => Ok(found.or_else(|| process::find_on_path(name, path))),
    }
}

/// Runs a tool to its end. Returns its exit code and, if `capture`, what it wrote to stdout. Its messages go to stderr.
fn run(tool: &str, arguments: &[&OsStr], capture: bool) -> Result<(i32, Vec<u8>)> {
    let environment = Environment::own();
    let Some(path) = find(OsStr::new(tool), &environment)? else {
        return Err(Error::new("run", tool, "it is neither in /command nor on PATH: install s6"));
    };
    let argv = [OsStr::new(tool)].iter().chain(arguments).map(OsString::from).collect();
    let program = Program { path, argv, environment };
    program.run(capture).map_err(|errno| Error::new("run", tool, errno))
}

fn failed(tool: &str, code: i32) -> Error {
    Error::new("do it with", tool, format!("it exited {code}"))
}

/// Runs a tool for which any exit code but 0 is an error.
fn tell(tool: &str, flags: &str, place: &Path) -> Result<()> {
    match run(tool, &[OsStr::new(flags), place.as_os_str()], false)? {
        (0, _) => Ok(()),
        (code, _) => Err(failed(tool, code)),
    }
}

/// Runs `s6-svscanctl FLAGS SCANDIR`.
pub fn svscanctl(flags: &str, scandir: &Path) -> Result<()> {
    tell("s6-svscanctl", flags, scandir)
}

/// Runs `s6-svc FLAGS SERVICEDIR`.
pub fn svc(flags: &str, service: &Path) -> Result<()> {
    tell("s6-svc", flags, service)
}

/// Runs `s6-svwait FLAGS -t MILLISECONDS SERVICEDIR`. Returns whether the service reached the state in time.
pub fn svwait(flags: &str, limit: Duration, service: &Path) -> Result<bool> {
    let limit = limit.as_millis().to_string();
    let arguments = [flags, "-t", &limit].map(OsStr::new);
    match run("s6-svwait", &[&arguments[..], &[service.as_os_str()]].concat(), true)? {
        (0, _) => Ok(true),
        // 99 since s6 2.11, 1 before.
        (1 | 99, _) => Ok(false),
        (code, _) => Err(failed("s6-svwait", code)),
    }
}

/// The state of a service as s6-svstat reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is up.
    pub up: bool,
    /// Its process, while it is up.
    pub pid: Option<u64>,
    /// Seconds since it last went up or down.
    pub seconds: u64,
}

/// Runs `s6-svstat`. `None` if it cannot tell, as for a service of another user.
pub fn svstat(service: &Path) -> Result<Option<Stat>> {
    let arguments = ["-o", "up,pid,updownfor"].map(OsStr::new);
    let (code, text) = run("s6-svstat", &[&arguments[..], &[service.as_os_str()]].concat(), true)?;
    Ok(if code == 0 { parse(&text) } else { None })
}

fn parse(text: &[u8]) -> Option<Stat> {
    let mut words = text.trim_ascii().split(|byte| *byte == b' ');
    let up = words.next()? == b"true";
    // -1 while it is down.
    let pid = decimal(words.next()?).filter(|_| up);
    Some(Stat { up, pid, seconds: decimal(words.next()?)? })
}

/// Returns the path of an entry of the scan directory, for s6's tools.
pub fn path_of(scandir: &Path, entry: &[u8]) -> PathBuf {
    scandir.join(OsStr::from_bytes(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svstat_fields_are_read_and_minus_one_is_no_pid() {
        assert_eq!(parse(b"true 42 7\n"), Some(Stat { up: true, pid: Some(42), seconds: 7 }));
        assert_eq!(parse(b"false -1 0\n"), Some(Stat { up: false, pid: None, seconds: 0 }));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"true 42"), None);
    }
}
