//! s6's tools, found in /command (s6-overlay's place), else on PATH.

use std::ffi::CStr;

use crate::error::{Error, Result};
use crate::gateway::COMMAND;
use crate::launch::DEFAULT_PATH;
use crate::number::decimal;
use crate::sys::keep;
use crate::sys::process::{self, Environment, Program};
use crate::sys::time::Milliseconds;

/// Runs a tool to its end: its exit code, and, if `capture`, what it wrote to stdout. Its messages go to stderr.
fn run(argv: &[&'static CStr], capture: bool) -> Result<(i32, Vec<u8>)> {
    let name = argv.first().map_or(&b""[..], |name| name.to_bytes());
    let environment = Environment::own();
    let path = environment.get(b"PATH").unwrap_or(DEFAULT_PATH);
    let found = process::find_on_path(name, COMMAND).or_else(|| process::find_on_path(name, path));
    let path =
        found.ok_or_else(|| Error::new("run", name, "it is neither in /command nor on PATH: install s6"))?;
    let program = Program { path, argv: argv.to_vec(), environment };
    program.run(capture).map_err(|errno| Error::new("run", name, errno))
}

fn failed(tool: &CStr, code: i32) -> Error {
    Error::new("do it with", tool.to_bytes(), format!("it exited {code}"))
}

/// Runs a tool of which any exit code but 0 is an error.
fn tell(tool: &'static CStr, flags: &'static CStr, place: &'static CStr) -> Result<()> {
    match run(&[tool, flags, place], false)? {
        (0, _) => Ok(()),
        (code, _) => Err(failed(tool, code)),
    }
}

/// `s6-svscanctl FLAGS SCANDIR`.
pub fn svscanctl(flags: &'static CStr, scandir: &'static CStr) -> Result<()> {
    tell(c"s6-svscanctl", flags, scandir)
}

/// `s6-svc FLAGS SERVICEDIR`.
pub fn svc(flags: &'static CStr, service: &'static CStr) -> Result<()> {
    tell(c"s6-svc", flags, service)
}

/// `s6-svwait FLAGS -t MILLISECONDS SERVICEDIR`; whether it came to be so in time.
pub fn svwait(flags: &'static CStr, limit: Milliseconds, service: &'static CStr) -> Result<bool> {
    let limit = keep::c_string(&[limit.to_string().as_bytes()]).unwrap_or_default();
    match run(&[c"s6-svwait", flags, c"-t", limit, service], true)? {
        (0, _) => Ok(true),
        // 99 since s6 2.11, 1 before.
        (1 | 99, _) => Ok(false),
        (code, _) => Err(failed(c"s6-svwait", code)),
    }
}

/// What s6-svstat says of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is up.
    pub up: bool,
    /// Its process, while it is up.
    pub pid: Option<u64>,
    /// Seconds since it last went up or down.
    pub seconds: u64,
}

/// `s6-svstat`; none where it cannot say, as of a service that is another user's.
pub fn svstat(service: &'static CStr) -> Result<Option<Stat>> {
    let (code, text) = run(&[c"s6-svstat", c"-o", c"up,pid,updownfor", service], true)?;
    Ok(if code == 0 { parse(&text) } else { None })
}

fn parse(text: &[u8]) -> Option<Stat> {
    let mut words = text.trim_ascii().split(|byte| *byte == b' ');
    let up = words.next()? == b"true";
    // -1 while it is down.
    let pid = decimal(words.next()?).filter(|_| up);
    Some(Stat { up, pid, seconds: decimal(words.next()?)? })
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
