//! `logs`: what gateways have printed. Changes nothing.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::lapse::{self, Lapse};
use super::{names, record};
use crate::output::escape::FromVolume;
use crate::output::{Console, Context, Error, Result, exit, line};
use crate::s6::{ProfileName, deaths, status, tai64n};
use crate::settings::zone::Zone;
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, present, process, time};
use crate::volume::gateway_log::{self, Allowance, LINE, Log, Sink};

/// Number of lines that are printed if `-n` says nothing.
pub const LINES: usize = 20;
/// Number of lines in a message.
const LAST: usize = 5;
/// Longest part of a line in a message, in bytes. s6-log cuts lines at 8 KiB, and puts a time before them.
const SHOWN: usize = 9 << 10;
/// Size, in bytes, from which on what is to be printed is written.
const WRITE: usize = 64 << 10;
/// Time between two looks at a log that is followed: short for a reader, and long beside the few system calls of a look.
const LOOK: Duration = Duration::from_millis(200);

/// Time that a logger has to make its log when its gateway is started.
const START: Duration = Duration::from_secs(1);

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
    let profiles = names::profiles(&args.profiles, &args.overrides, console)?;
    let settings = Settings::gather(&args.overrides, console)?;
    let (home, trusted) = record::home(&settings)?;
    let (allowance, zone) = (Allowance::new(), Zone::reported(&settings.lookup, console));
    home.as_its_user(|| {
        let logs = profiles.into_iter().map(|profile| Log::new(&home, trusted, profile, &allowance));
        let printer = Printer { args, console, settings: &settings, zone: &zone, is_one: logs.len() == 1 };
        Ok(printer.print(logs.map(Followed::new).collect()))
    })
}

/// Prints logs, as the arguments say.
struct Printer<'a> {
    args: &'a Args,
    console: &'a Console,
    settings: &'a Settings,
    zone: &'a Zone<'a>,
    /// Whether one log is asked for. The lines of several begin with the names of their profiles.
    is_one: bool,
}

/// What there is of a gateway in this container.
#[derive(Debug, Default)]
struct Gateway {
    /// Whether it is up.
    is_up: bool,
    /// Whether it has ended since its slot was made.
    has_died: bool,
    /// Why its logger keeps no log, if it is up.
    lapse: Option<Lapse>,
    /// Why it runs in another container, if it does.
    elsewhere: Option<String>,
}

/// A log, and what of it has been printed.
struct Followed<'a> {
    log: Log<'a>,
    /// The beginning of a line whose end has not been read yet.
    rest: Vec<u8>,
    /// What has been reported last.
    reported: Option<Error>,
    /// Whether no gateway has its name, or none is known to have it, which has been reported.
    is_unknown: bool,
}

impl<'a> Followed<'a> {
    fn new(log: Log<'a>) -> Followed<'a> {
        Followed { log, rest: Vec::new(), reported: None, is_unknown: false }
    }
}

impl Printer<'_> {
    /// Prints the last lines of the logs, and what is added to them if they are followed. Returns the exit code, which is that of the
    /// last look.
    fn print(&self, mut logs: Vec<Followed<'_>>) -> u8 {
        let mut code = 0;
        for followed in &mut logs {
            code = code.max(self.show(followed, |log, sink| log.tail(self.args.lines, sink)));
        }
        for followed in &mut logs {
            let said = if followed.log.is_there() {
                self.lapse(&followed.log.profile).map(|lapse| self.lapsed(&followed.log.profile, lapse))
            } else if followed.reported.is_none() {
                if let Err(error) = self.require(followed) {
                    self.console.failed(&error);
                    followed.is_unknown = true;
                    code = exit::INCOMPLETE;
                    continue;
                }
                self.missing(followed, &mut code)
            } else {
                None
            };
            if let Some(said) = said {
                self.console.warn(format_args!("{said}"));
                code = exit::INCOMPLETE;
            }
        }
        let asked = logs.len();
        logs.retain(|followed| !followed.is_unknown);
        // A name that no gateway has is no reason to wait for one.
        let least = if logs.len() < asked { exit::INCOMPLETE } else { 0 };
        while self.args.follow
            && !logs.is_empty()
            && !self.console.is_unwritten()
            && !process::stdout_is_closed(LOOK)
        {
            code = least;
            for followed in &mut logs {
                code = code.max(self.show(followed, |log, sink| log.more(sink)));
            }
        }
        code
    }

    /// Returns what is said of a log that is not there; nothing if it has come meanwhile, which is printed then.
    fn missing(&self, followed: &mut Followed<'_>, code: &mut u8) -> Option<String> {
        let gateway = self.gateway(&followed.log.profile);
        let is_up = matches!(&gateway, Ok(Gateway { is_up: true, .. }));
        // A gateway and its logger are started at once.
        if is_up
            && time::wait_until(START, LOOK, || {
                *code = self.show(followed, |log, sink| log.tail(self.args.lines, sink)).max(*code);
                followed.log.is_there() || followed.reported.is_some()
            })
        {
            return None;
        }
        let is_directory_there = followed.log.find() == Ok(true);
        let profile = &followed.log.profile;
        let (name, program) = (profile.text(), self.console.program());
        let path = self.settings.home.value.join(gateway_log::path(profile));
        let path = FromVolume::path(&path);
        let what = if is_directory_there { "has no file current" } else { "does not exist" };
        let what = format!("{path} {what}");
        Some(match gateway {
            Err(error) => {
                format!("{name} has no log: {what}, and whether its gateway runs is not known: {error}")
            }
            Ok(Gateway { is_up: true, lapse, .. }) => {
                let lapse = lapse.map(|lapse| lapse.text(&program, profile));
                let lapse = lapse.unwrap_or_else(|| "see the container's log".to_owned());
                format!("{name} has no log, although its gateway is up: {what}; {lapse}")
            }
            Ok(Gateway { has_died: true, .. }) => {
                format!("{name} has no log, although its gateway, which is down, has been started: {what}")
            }
            Ok(Gateway { elsewhere: Some(why), .. }) => {
                format!("{name} has no log: {what}, and whether its gateway runs is not known here: {why}")
            }
            Ok(_) => format!("{name} has no log yet: its gateway has not been started"),
        })
    }

    /// Returns what is said of a log to which nothing is added.
    fn lapsed(&self, profile: &ProfileName, lapse: Lapse) -> String {
        format!("{} has no newer lines: {}", profile.text(), lapse.text(&self.console.program(), profile))
    }

    /// Returns why nothing is added to a log, if its gateway is up. What cannot be found out is no lapse.
    fn lapse(&self, profile: &ProfileName) -> Option<Lapse> {
        self.gateway(profile).ok().filter(|gateway| gateway.is_up)?.lapse
    }

    /// Looks at a gateway.
    fn gateway(&self, profile: &ProfileName) -> Result<Gateway> {
        let path = &self.settings.scandir.value;
        let scandir = present(Dir::at(path)).context("open", path)?;
        let slot = match scandir {
            Some(scandir) => present(scandir.open_path(profile.slot())).context("open", profile.slot())?,
            None => None,
        };
        let Some(slot) = slot else {
            let elsewhere = self.settings.front_end(&self.args.overrides, self.console)?;
            return Ok(Gateway { elsewhere, ..Gateway::default() });
        };
        let is_up = status::svstat(&slot)?.is_some_and(|stat| stat.is_up());
        let has_died = !deaths::read(&slot).context("read", Path::new(deaths::LABEL))?.is_empty();
        let lapse = if is_up { lapse::of(self.settings, &slot) } else { None };
        Ok(Gateway { is_up, has_died, lapse, elsewhere: None })
    }

    /// Fails if a name without a log has no gateway either, or if it is not known whether it has.
    fn require(&self, followed: &mut Followed<'_>) -> Result<()> {
        if followed.log.find()? || names::has_gateway(self.settings, &followed.log.profile)? {
            return Ok(());
        }
        Err(names::unknown_profile(self.settings, &followed.log.profile))
    }

    /// Prints what `read` reads of a log, and reports what it cannot read, unless that has been reported last. Returns the exit code.
    fn show(
        &self,
        followed: &mut Followed<'_>,
        read: impl FnOnce(&mut Log<'_>, Sink<'_>) -> Result<()>,
    ) -> u8 {
        let Followed { log, rest, reported, .. } = followed;
        let label = if self.is_one { String::new() } else { format!("{}: ", log.profile.text()) };
        let mut output = Output { console: self.console, text: Vec::new() };
        let mut print = |line: &[u8]| {
            output.add(label.as_bytes());
            if self.args.raw {
                output.add(line);
            } else {
                append(&mut output.text, self.zone, line);
            }
            output.end_line();
        };
        let done = read(log, &mut |block| split(rest, block, &mut print));
        if !self.args.follow && !rest.is_empty() {
            print(rest);
            rest.clear();
        }
        output.write();
        match done {
            Ok(()) => 0,
            Err(error) => {
                if reported.as_ref() != Some(&error) {
                    self.console.failed(&error);
                }
                *reported = Some(error);
                exit::INCOMPLETE
            }
        }
    }
}

/// What is to be printed, which is written piece by piece.
struct Output<'a> {
    console: &'a Console,
    text: Vec<u8>,
}

impl Output<'_> {
    fn add(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn end_line(&mut self) {
        self.text.push(b'\n');
        if self.text.len() >= WRITE {
            self.write();
        }
    }

    fn write(&mut self) {
        // Nobody reads the rest either.
        if !self.console.is_unwritten() {
            self.console.write(&self.text);
        }
        self.text.clear();
    }
}

/// Splits a text that comes in blocks into lines: calls `print` for each, without its newline. What is longer than [`LINE`] becomes
/// several. `rest` is what has come of a line that has not ended.
fn split(rest: &mut Vec<u8>, block: &[u8], print: &mut dyn FnMut(&[u8])) {
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        let (mut text, has_ended) = line.strip_suffix(b"\n").map_or((line, false), |text| (text, true));
        while let Some((piece, next)) =
            text.split_at_checked(LINE - rest.len()).filter(|(_, next)| !next.is_empty())
        {
            rest.extend_from_slice(piece);
            print(rest);
            rest.clear();
            text = next;
        }
        rest.extend_from_slice(text);
        if has_ended {
            print(rest);
            rest.clear();
        }
    }
}

/// Appends a line for a person: the time that s6-log has put before it as local time, and nothing that commands a terminal.
fn append(text: &mut Vec<u8>, zone: &Zone<'_>, line: &[u8]) {
    let message = match stamped(line) {
        Some((moment, message)) => {
            text.extend_from_slice(zone.stamp(moment).as_bytes());
            message
        }
        None => line,
    };
    line::append(text, message);
}

/// Splits a line that s6-log has put a time before: `@`, 24 hexadecimal digits, and the line. Returns the time in seconds since 1970.
fn stamped(line: &[u8]) -> Option<(i64, &[u8])> {
    let (label, message) = line.strip_prefix(b"@")?.split_at_checked(24)?;
    Some((tai64n::of_hex(label)?, message))
}

/// Returns the last lines of a gateway's log for a message, each on a line of its own; nothing if there is none. If not all of them can be
/// read, the reason is the last one.
pub fn last_lines(settings: &Settings, profile: &ProfileName) -> Result<String> {
    let (home, trusted) = record::home(settings)?;
    let (allowance, zone) = (Allowance::new(), Zone::new(&settings.lookup));
    let mut text = Vec::new();
    let done = home.as_its_user(|| {
        let mut log = Log::new(&home, trusted, profile.clone(), &allowance);
        Ok(log.tail(LAST, &mut |block| text.extend_from_slice(block)))
    })?;
    let mut shown = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        shown.extend_from_slice(b"\n  ");
        append(&mut shown, &zone, line.get(..SHOWN).unwrap_or(line));
        if line.len() > SHOWN {
            shown.extend_from_slice(b"...");
        }
    }
    let shown = String::from_utf8_lossy(&shown).into_owned();
    match done {
        Err(error) if shown.is_empty() => Err(error),
        Err(error) => Ok(format!("{shown}\n  ({error})")),
        Ok(()) => Ok(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a text that comes in blocks of a size. Returns the lines, and what has not ended.
    fn lines(text: &[u8], size: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut lines, mut rest) = (Vec::new(), Vec::new());
        for block in text.chunks(size) {
            split(&mut rest, block, &mut |line| lines.push(line.to_vec()));
        }
        (lines, rest)
    }

    #[test]
    fn lines_are_the_same_in_blocks_of_any_size() {
        let text = b"one\n\ntwo\nhalf";
        for size in 1..=text.len() {
            assert_eq!(lines(text, size), (vec![b"one".to_vec(), vec![], b"two".to_vec()], b"half".to_vec()));
        }
    }

    #[test]
    fn a_line_that_is_too_long_becomes_several() {
        for size in [1000, LINE - 1, LINE, LINE + 1, 5 * LINE] {
            for (length, pieces) in
                [(LINE - 1, 1), (LINE, 1), (LINE + 1, 2), (2 * LINE, 2), (2 * LINE + 1, 3)]
            {
                let text = [vec![b'x'; length], b"\nnext\n".to_vec()].concat();
                let (lines, rest) = lines(&text, size);
                assert_eq!((lines.len(), rest.len()), (pieces + 1, 0), "{size} {length}");
                assert!(lines.concat() == [vec![b'x'; length], b"next".to_vec()].concat());
                assert!(lines.iter().all(|line| line.len() <= LINE), "{size} {length}");
            }
        }
    }
}
