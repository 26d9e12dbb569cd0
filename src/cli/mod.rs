//! The command line: parsed into a command with its arguments.

pub mod command;
pub mod complete;
mod exits;
pub mod help;
#[cfg(test)]
mod line_tests;
mod options;
mod parse;
mod syntax;
mod table;
mod unknown;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

pub use command::{Command, Name};
use unknown::unknown;

use crate::output::escape::Shown;

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The command.
    pub command: Command,
    /// The command's name and the words after it, also if a link has named the command. Empty for `--version` without a command.
    pub words: Vec<OsString>,
}

/// The message about a wrong command line.
pub type Usage = String;

/// Parses a command line: argv[0], and the words after it. `program` is the path of the executable in messages.
pub fn parse(argv0: &OsStr, words: &[OsString], program: &str) -> Result<Line, Usage> {
    if let Some(name) = Name::of_applet(argv0) {
        return parse_command(name, words, program);
    }
    let Some((first, rest)) = words.split_first() else {
        return Err(format!("no command given; try: {program} help"));
    };
    match first.as_bytes() {
        // As `help`, which may be followed by a command.
        b"--help" | b"-h" => parse_command(Name::Help, rest, program),
        b"--version" | b"-V" => Ok(Line { command: Command::Version, words: Vec::new() }),
        option if option.starts_with(b"-") => Err(no_command_before(option, program)),
        _ => parse_command(command(first)?, rest, program),
    }
}

fn parse_command(name: Name, rest: &[OsString], program: &str) -> Result<Line, Usage> {
    let command = name.syntax().parse(rest.to_vec(), program)?;
    let words = std::iter::once(name.text().into()).chain(rest.iter().cloned()).collect();
    Ok(Line { command, words })
}

/// Returns the message about an option in the place of a command.
fn no_command_before(word: &[u8], program: &str) -> Usage {
    let long = word.split(|byte| *byte == b'=').next().and_then(|long| long.strip_prefix(b"--"));
    let is_of =
        |name: &Name| name.syntax().options().iter().any(|option| long == Some(option.long().as_bytes()));
    if Name::ALL.iter().any(is_of) {
        return format!("no command before {}; try: {program} help", Shown(word));
    }
    unknown("option", word, "--", &["help", "version"])
}

/// Returns the command with this name.
fn command(word: &OsStr) -> Result<Name, Usage> {
    Name::parse(word).ok_or_else(|| unknown("command", word.as_bytes(), "", &Name::ALL.map(Name::text)))
}
