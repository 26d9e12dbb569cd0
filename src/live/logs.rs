//! `logs`: what gateways have printed. Changes nothing.

use std::ffi::OsString;
use std::time::Duration;

use super::{profiles, record};
use crate::output::escape::Line;
use crate::output::{Console, Result, exit};
use crate::s6::{ProfileName, tai64n};
use crate::settings::{Lookup, Overrides, Settings, zone};
use crate::sys::process;
use crate::volume::gateway_log::Log;

/// Number of lines that are printed if `-n` says nothing.
pub const LINES: usize = 20;
/// Number of lines in a message.
const LAST: usize = 5;
/// Length, in bytes, beyond which a line is printed before its end. s6-log cuts lines at 8 KiB.
const LINE: usize = 64 << 10;
/// Time between two looks at a log that is followed: short for a reader, and long beside the few system calls of a look.
const LOOK: Duration = Duration::from_millis(200);

/// The arguments of `logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// The profiles' names.
    pub profiles: Vec<OsString>,
    /// Number of lines that are printed first.
    pub lines: usize,
    /// Whether what is added is printed, too.
    pub follow: bool,
    /// Whether the bytes are printed as they are.
    pub raw: bool,
}

/// Runs the command. Returns its exit code.
pub fn run(args: &Args, console: &Console) -> u8 {
    logs(args, console).unwrap_or_else(|error| console.fatal(&error))
}

fn logs(args: &Args, console: &Console) -> Result<u8> {
    let profiles = profiles(&args.profiles)?;
    let settings = Settings::gather(&args.overrides, console)?;
    let (home, trusted) = record::home(&settings)?;
    home.as_its_user(|| {
        let logs = profiles.into_iter().map(|profile| Log::new(&home, trusted, profile));
        let printer = Printer { args, console, lookup: &settings.lookup, is_one: logs.len() == 1 };
        Ok(printer.print(logs.map(Followed::new).collect()))
    })
}

/// Prints logs, as the arguments say.
struct Printer<'a> {
    args: &'a Args,
    console: &'a Console,
    lookup: &'a Lookup,
    /// Whether there is one log. The lines of several begin with the names of their profiles.
    is_one: bool,
}

/// A log, and what of it has been printed.
struct Followed<'a> {
    log: Log<'a>,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
    /// Whether it could not be read, which has been reported.
    has_failed: bool,
}

impl<'a> Followed<'a> {
    fn new(log: Log<'a>) -> Followed<'a> {
        Followed { log, rest: Vec::new(), has_failed: false }
    }
}

impl Printer<'_> {
    /// Prints the last lines of the logs, and what is added to them if they are followed. Returns the exit code, which is that of the
    /// last look.
    fn print(&self, mut logs: Vec<Followed<'_>>) -> u8 {
        let mut code = 0;
        for followed in &mut logs {
            let last = followed.log.tail(self.args.lines);
            code = code.max(self.show(followed, last));
        }
        for followed in &logs {
            if !followed.log.is_there() && !followed.has_failed {
                let name = followed.log.profile.text();
                self.console.warn(format_args!("{name} has no log yet: its gateway has not been started"));
                code = exit::INCOMPLETE;
            }
        }
        while self.args.follow && !self.console.is_unwritten() && !process::stdout_is_closed(LOOK) {
            code = 0;
            for followed in &mut logs {
                let new = followed.log.more();
                code = code.max(self.show(followed, new));
            }
        }
        code
    }

    /// Prints what has been read of a log, or reports once that it cannot be read. Returns the exit code.
    fn show(&self, followed: &mut Followed<'_>, read: Result<Vec<u8>>) -> u8 {
        let (new, code) = match read {
            Ok(new) => (new, 0),
            Err(error) => {
                if !followed.has_failed {
                    self.console.failed(&error);
                }
                followed.has_failed = true;
                (Vec::new(), exit::INCOMPLETE)
            }
        };
        let mut text = std::mem::take(&mut followed.rest);
        text.extend(new);
        if self.args.follow {
            let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            followed.rest = text.split_off(end);
            if followed.rest.len() > LINE {
                text.append(&mut followed.rest);
            }
        }
        let label = if self.is_one { String::new() } else { format!("{}: ", followed.log.profile.text()) };
        let mut shown = Vec::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            shown.extend_from_slice(label.as_bytes());
            if self.args.raw {
                shown.extend_from_slice(line);
            } else {
                shown.extend_from_slice(self::line(self.lookup, line).as_bytes());
            }
            shown.push(b'\n');
        }
        self.console.write(&shown);
        code
    }
}

/// Returns a line for a person: the time that s6-log has put before it as local time, and nothing that commands a terminal.
fn line(lookup: &Lookup, line: &[u8]) -> String {
    match stamped(line) {
        Some((moment, message)) => format!("{}{}", zone::stamp(lookup, moment), Line(message)),
        None => Line(line).to_string(),
    }
}

/// Splits a line that s6-log has put a time before: `@`, 24 hexadecimal digits, and the line. Returns the time in seconds since 1970.
fn stamped(line: &[u8]) -> Option<(i64, &[u8])> {
    let (label, message) = line.strip_prefix(b"@")?.split_at_checked(24)?;
    Some((tai64n::of_hex(label)?, message))
}

/// Returns the last lines of a gateway's log for a message, each on a line of its own; nothing if there is none.
pub fn last_lines(settings: &Settings, profile: &ProfileName) -> Result<String> {
    let (home, trusted) = record::home(settings)?;
    let last = home.as_its_user(|| Log::new(&home, trusted, profile.clone()).tail(LAST))?;
    let lines = last.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(|line| format!("\n  {}", self::line(&settings.lookup, line))).collect::<Vec<_>>().concat())
}
