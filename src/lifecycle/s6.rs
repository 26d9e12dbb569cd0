//! s6's tools, found in /command (s6-overlay's place), else on PATH.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::gateway::COMMAND;
use crate::sys::process::{self, Program};

fn tool(name: &str, arguments: &[&OsStr]) -> Result<Program> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let found = process::find_on_path(name.as_bytes(), COMMAND.as_bytes())
        .or_else(|| process::find_on_path(name.as_bytes(), path.as_bytes()))
        .ok_or_else(|| Error::new("run", name, "it is neither in /command nor on PATH: install s6"))?;
    let argv =
        std::iter::once(OsStr::new(name)).chain(arguments.iter().copied()).map(OsStr::to_owned).collect();
    Ok(Program { path: found, argv, environment: std::env::vars_os().collect() })
}

/// Runs a tool to its end; its messages go to stderr. An exit code other than 0 is an error.
fn run(name: &'static str, arguments: &[&OsStr]) -> Result<()> {
    let (code, _) = tool(name, arguments)?.run(false).map_err(|errno| Error::new("run", name, errno))?;
    if code == 0 { Ok(()) } else { Err(Error::new("do it with", name, format!("it exited {code}"))) }
}

/// `s6-svscanctl -FLAGS SCANDIR`.
pub fn svscanctl(flags: &str, scandir: &OsStr) -> Result<()> {
    run("s6-svscanctl", &[OsStr::new(flags), scandir])
}

/// `s6-svc -FLAGS SERVICEDIR`.
pub fn svc(flags: &str, service: &OsStr) -> Result<()> {
    run("s6-svc", &[OsStr::new(flags), service])
}

/// `s6-svwait -FLAGS -t MILLISECONDS SERVICEDIR`; whether it came to be so in time.
pub fn svwait(flags: &str, limit: Duration, service: &OsStr) -> Result<bool> {
    let limit = OsString::from(limit.as_millis().to_string());
    let arguments = [OsStr::new(flags), OsStr::new("-t"), &limit, service];
    let (code, _) =
        tool("s6-svwait", &arguments)?.run(true).map_err(|errno| Error::new("run", "s6-svwait", errno))?;
    match code {
        0 => Ok(true),
        // 99 since s6 2.11, 1 before.
        1 | 99 => Ok(false),
        code => Err(Error::new("do it with", "s6-svwait", format!("it exited {code}"))),
    }
}

/// What s6-svstat says of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is up.
    pub up: bool,
    /// Its process, while it is up.
    pub pid: Option<u32>,
    /// Seconds since it last went up or down.
    pub seconds: u64,
}

/// `s6-svstat`; none where it cannot say, as of a service that is another user's.
pub fn svstat(service: &OsStr) -> Result<Option<Stat>> {
    let arguments = [OsStr::new("-o"), OsStr::new("up,pid,updownfor"), service];
    let (code, text) =
        tool("s6-svstat", &arguments)?.run(true).map_err(|errno| Error::new("run", "s6-svstat", errno))?;
    Ok(if code == 0 { parse(&text) } else { None })
}

fn parse(text: &[u8]) -> Option<Stat> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let up = words.next()? == "true";
    // -1 while it is down.
    let pid = words.next()?.parse().ok().filter(|_| up);
    let seconds = words.next()?.parse().ok()?;
    Some(Stat { up, pid, seconds })
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
