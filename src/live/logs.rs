//! `logs`: what gateways have printed. Changes nothing.

use std::ffi::OsString;
use std::fmt::Write;
use std::time::Duration;

use super::{profile, record};
use crate::output::Result;
use crate::output::escape::Line;
use crate::output::{Console, exit};
use crate::s6::ProfileName;
use crate::s6::tai64n;
use crate::settings::{Lookup, Overrides, Settings, zone};
use crate::sys::process;
use crate::volume::Home;
use crate::volume::gateway_log::Log;
use crate::volume::home::Trusted;

/// Number of lines that are printed if `-n` says nothing.
pub const LINES: usize = 20;
/// Number of lines in a message.
const LAST: usize = 5;
/// Length in bytes from which on a line is printed before its end. s6-log cuts lines at 8 KiB.
const LINE: usize = 64 << 10;
/// Time between two looks at a log that is followed.
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
    let mut profiles = Vec::new();
    for name in &args.profiles {
        profiles.push(profile(name)?);
    }
    let settings = Settings::gather(&args.overrides, console)?;
    let (home, trusted) = record::home(&settings)?;
    home.as_its_user(|| print(args, console, &settings, &home, trusted, profiles))
}

fn print(
    args: &Args,
    console: &Console,
    settings: &Settings,
    home: &Home,
    trusted: Trusted,
    profiles: Vec<ProfileName>,
) -> Result<u8> {
    let mut output = Output { args, console, lookup: &settings.lookup, logs: Vec::new(), code: 0 };
    for profile in profiles {
        output.logs.push(Followed { log: Log::new(home, trusted, profile), rest: Vec::new(), failed: false });
    }
    output.each(&mut |log| log.tail(args.lines));
    for followed in &output.logs {
        if !followed.log.is_there() && !followed.failed {
            let name = followed.log.profile.text();
            console.warn(format_args!("{name} has no log yet: its gateway has not been started"));
            output.code = exit::INCOMPLETE;
        }
    }
    while args.follow && !console.is_unwritten() && !process::stdout_is_closed(LOOK) {
        output.code = 0;
        output.each(&mut |log| log.more());
    }
    Ok(output.code)
}

struct Output<'a> {
    args: &'a Args,
    console: &'a Console,
    lookup: &'a Lookup,
    logs: Vec<Followed<'a>>,
    code: u8,
}

struct Followed<'a> {
    log: Log<'a>,
    /// The beginning of a line that is not at its end yet.
    rest: Vec<u8>,
    /// Whether it could not be read, which has been reported.
    failed: bool,
}

impl Output<'_> {
    /// Prints what `read` returns of each log.
    fn each(&mut self, read: &mut dyn FnMut(&mut Log<'_>) -> Result<Vec<u8>>) {
        let is_one = self.logs.len() == 1;
        for followed in &mut self.logs {
            match read(&mut followed.log) {
                Ok(new) => followed.rest.extend_from_slice(&new),
                Err(error) => {
                    if !followed.failed {
                        self.console.failed(&error);
                    }
                    followed.failed = true;
                    self.code = exit::INCOMPLETE;
                }
            }
            let mut text = std::mem::take(&mut followed.rest);
            if self.args.follow {
                let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                followed.rest = text.split_off(end);
                if followed.rest.len() > LINE {
                    text.append(&mut followed.rest);
                }
            }
            let mut shown = Vec::new();
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                if !is_one {
                    shown.extend_from_slice(followed.log.profile.text().as_bytes());
                    shown.extend_from_slice(b": ");
                }
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                if self.args.raw {
                    shown.extend_from_slice(line);
                } else {
                    shown.extend_from_slice(self::line(self.lookup, line).as_bytes());
                }
                shown.push(b'\n');
            }
            self.console.write(&shown);
        }
    }
}

/// Returns a line for a person: s6-log's stamp in local time, and nothing that commands a terminal.
fn line(lookup: &Lookup, line: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = line;
    if let Some((label, message)) = line.strip_prefix(b"@").and_then(|line| line.split_at_checked(24))
        && let Some(moment) = tai64n::of_hex(label)
    {
        text = zone::stamp(lookup, moment);
        rest = message;
    }
    // Writing to a String cannot fail.
    let _ = write!(text, "{}", Line(rest));
    text
}

/// Returns the last lines of a gateway's log for a message, each on a line of its own; nothing if there is none.
pub fn last_lines(settings: &Settings, profile: &ProfileName) -> Result<String> {
    let (home, trusted) = record::home(settings)?;
    let last = home.as_its_user(|| Log::new(&home, trusted, profile.clone()).tail(LAST))?;
    let mut text = String::new();
    for line in last.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        text.push_str("\n  ");
        text.push_str(&self::line(&settings.lookup, line));
    }
    Ok(text)
}
