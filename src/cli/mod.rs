//! The command line: parsed into a command and its options.

pub mod commands;
pub mod help;
mod suggest;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use lexopt::{Arg, Error, Parser};

pub use crate::cli::commands::Command;
use crate::cli::commands::{FLAGS, GRAMMARS, Grammar, SHORT, listed};
use crate::cli::suggest::unknown;
use crate::output::escape::Shown;
use crate::settings::role::{self, RoleChoice};
use crate::settings::topology::{self, TopologyChoice};
use crate::sys::number::decimal;

/// The options and operands of a command line. A command has those that its grammar lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Change nothing; report what would be done.
    pub dry_run: bool,
    /// Change nothing; explain why.
    pub explain: bool,
    /// Print one JSON object a line.
    pub json: bool,
    /// Sealed mode: root keeps ownership of the slots.
    pub sealed: bool,
    /// Replace the scripts of supervised slots that another program has made.
    pub adopt: bool,
    /// Delegated mode, also of a scan directory that is sealed now. `sealed` prevails.
    pub delegated: bool,
    /// Print the program instead of executing it.
    pub print: bool,
    /// Do not start what is registered.
    pub down: bool,
    /// Print what is added to a log, too.
    pub follow: bool,
    /// Print the bytes of a log as they are.
    pub raw: bool,
    /// Number of lines of a log.
    pub lines: Option<usize>,
    /// How long what should be up must have been up, in seconds.
    pub min_up: u64,
    /// Wait at most this long for the state that was asked for; without it, do not wait.
    pub wait: Option<Duration>,
    /// `HERMES_HOME`.
    pub hermes_home: Option<OsString>,
    /// The scan directory.
    pub scandir: Option<OsString>,
    /// The hermes user, `USER|UID[:GID]`.
    pub owner: Option<OsString>,
    /// The container's role.
    pub role: Option<RoleChoice>,
    /// The topology.
    pub topology: Option<TopologyChoice>,
    /// Number of services that s6-svscan handles.
    pub max_services: Option<usize>,
    /// Variables for a gateway, `KEY=VALUE` each.
    pub env: Vec<OsString>,
    /// The operands.
    pub operands: Vec<OsString>,
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// A command, with its options.
    Run(Command, Box<Options>),
    /// The page of a command, or the overview.
    Help(Option<Command>),
    /// The version.
    Version,
}

/// A wrong command line: a line for people.
pub type Usage = String;

/// The time that `--wait` without a value waits, in seconds.
const WAIT: u64 = 30;
/// Largest number of lines of a log.
const LINES_MAX: u64 = 1_000_000;
/// Longest time that `--wait` and `--min-up` take: a day, in seconds.
const WAIT_MAX: u64 = 86_400;

/// Parses a command line: argv[0], and the words after it. `program` is how messages call the executable.
pub fn parse(argv0: &OsStr, mut words: Vec<OsString>, program: &str) -> Result<Request, Usage> {
    if let Some(command) = Command::of_applet(argv0) {
        return parse_command(command, words, program);
    }
    if words.is_empty() {
        return Err(format!("no command given; try: {program} help"));
    }
    let first = words.remove(0);
    match first.as_bytes() {
        b"--help" | b"-h" => Ok(Request::Help(None)),
        b"--version" | b"-V" => Ok(Request::Version),
        option if option.starts_with(b"-") => {
            Err(unknown("option", option, "--", &mut "help version".split(' ')))
        }
        _ => parse_command(named(&first)?, words, program),
    }
}

/// Returns the command with this name.
fn named(name: &OsStr) -> Result<Command, Usage> {
    let mut names = GRAMMARS.iter().map(|grammar| grammar.name);
    Command::named(name).ok_or_else(|| unknown("command", name.as_bytes(), "", &mut names))
}

fn parse_command(command: Command, words: Vec<OsString>, program: &str) -> Result<Request, Usage> {
    let Some(grammar) = command.grammar() else { return Err(String::new()) };
    let mut options = Box::<Options>::default();
    if command.takes_raw_operands() {
        if words.first().is_some_and(|first| first == "--help") {
            return Ok(Request::Help(Some(command)));
        }
        options.operands = words;
        return Ok(Request::Run(command, options));
    }
    let mut parser = Parser::from_args(words);
    loop {
        let argument = match parser.next() {
            Ok(argument) => argument,
            Err(Error::UnexpectedValue { option, .. }) => {
                return Err(format!("{}: {} takes no value", grammar.name, Shown(option.as_bytes())));
            }
            Err(_) => return Err(format!("{}: wrong usage", grammar.name)),
        };
        match argument {
            None => break,
            Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Request::Help(Some(command))),
            Some(Arg::Value(operand)) => options.operands.push(operand),
            Some(Arg::Long(name)) => {
                let Some(name) = listed(grammar.options, name) else {
                    return Err(unknown_option(grammar, &format!("--{name}")));
                };
                options.take(grammar, name, &mut parser)?;
            }
            Some(Arg::Short(letter)) => {
                let name = SHORT.iter().find(|(short, name)| *short == letter && command.has(name));
                let Some((_, name)) = name else {
                    return Err(unknown_option(grammar, &format!("-{letter}")));
                };
                options.take(grammar, name, &mut parser)?;
            }
        }
    }
    if options.operands.len() < *grammar.operands.start() {
        return Err(format!("{0}: missing {1}; try: {program} help {0}", grammar.name, grammar.operand));
    }
    if !grammar.operands.contains(&options.operands.len()) {
        let extra = options.operands.get(*grammar.operands.end()).map_or(&b""[..], |extra| extra.as_bytes());
        let extra = Shown(extra);
        return Err(format!("{0}: unexpected argument {extra}; try: {program} help {0}", grammar.name));
    }
    if command == Command::Help {
        return Ok(Request::Help(match options.operands.first() {
            None => None,
            Some(name) => Some(named(name)?),
        }));
    }
    Ok(Request::Run(command, options))
}

impl Options {
    fn take(&mut self, grammar: &Grammar, name: &str, parser: &mut Parser) -> Result<(), Usage> {
        self.set(name, parser).map_err(|why| format!("{}: --{name}: {why}", grammar.name))
    }

    fn set(&mut self, name: &str, parser: &mut Parser) -> Result<(), String> {
        let value = if listed(FLAGS, name).is_some() {
            // lexopt reports a value that is attached to a flag at the next argument.
            OsString::new()
        } else if name == "wait" {
            parser.optional_value().unwrap_or_default()
        } else {
            match parser.value() {
                Ok(value) if value.is_empty() && name != "env" => return Err("empty value".to_owned()),
                Ok(value) => value,
                Err(_) => return Err("missing value".to_owned()),
            }
        };
        match name {
            "dry-run" => self.dry_run = true,
            "explain" => self.explain = true,
            "json" => self.json = true,
            "sealed" => self.sealed = true,
            "adopt" => self.adopt = true,
            "delegated" => self.delegated = true,
            "print" => self.print = true,
            "down" => self.down = true,
            "follow" => self.follow = true,
            "raw" => self.raw = true,
            "lines" => {
                let lines = number(&value, "lines", 0, LINES_MAX)?;
                self.lines = Some(usize::try_from(lines).unwrap_or(usize::MAX));
            }
            "min-up" => self.min_up = number(&value, "seconds", 0, WAIT_MAX)?,
            "wait" => {
                let seconds = if value.is_empty() { WAIT } else { number(&value, "seconds", 1, WAIT_MAX)? };
                self.wait = Some(Duration::from_secs(seconds));
            }
            "hermes-home" => self.hermes_home = Some(value),
            "scandir" => self.scandir = Some(value),
            "owner" => self.owner = Some(value),
            "env" => self.env.push(value),
            "topology" => {
                let choice = TopologyChoice::parse(value.as_bytes());
                self.topology = Some(choice.ok_or_else(|| none_of(&value, topology::WORDS))?);
            }
            "max-services" => self.max_services = Some(services(&value)?),
            _ => {
                let choice = RoleChoice::parse(value.as_bytes());
                self.role = Some(choice.ok_or_else(|| none_of(&value, role::WORDS))?);
            }
        }
        Ok(())
    }
}

fn none_of(word: &OsStr, words: &str) -> String {
    format!("{} is none of {words}", Shown(word.as_bytes()))
}

/// Parses a number of something, `least` to `most`.
fn number(text: &OsStr, what: &str, least: u64, most: u64) -> Result<u64, String> {
    let text = text.as_bytes();
    let wrong = || format!("{} is no number of {what}, {least} to {most}", Shown(text));
    decimal(text).filter(|number| (least..=most).contains(number)).ok_or_else(wrong)
}

fn unknown_option(grammar: &Grammar, word: &str) -> Usage {
    let known = format!("{} help", grammar.options);
    let mut known = known.trim_start_matches(' ').split(' ');
    format!("{}: {}", grammar.name, unknown("option", word.as_bytes(), "--", &mut known))
}

/// Parses a number of services, 4 to 160000.
pub fn services(text: &OsStr) -> Result<usize, String> {
    number(text, "services", 4, 160_000).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}
