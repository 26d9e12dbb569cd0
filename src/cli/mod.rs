//! The command line: parsed into a command with its arguments.

pub mod commands;
pub mod help;
mod options;
mod parse;
mod suggest;
mod syntax;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

pub use commands::{Command, Name};
use suggest::unknown;

/// What a command line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The command.
    pub command: Command,
    /// The command line as it is without a link that names the command: the command's name and what follows it. Empty for `--help`
    /// and `--version` without a command.
    pub words: Vec<OsString>,
}

/// A wrong command line: a line for people.
pub type Usage = String;

/// Parses a command line: argv[0], and the words after it. `program` is how messages call the executable.
pub fn parse(argv0: &OsStr, words: &[OsString], program: &str) -> Result<Line, Usage> {
    if let Some(name) = Name::of_applet(argv0) {
        return parse_command(name, words, program);
    }
    let Some((first, rest)) = words.split_first() else {
        return Err(format!("no command given; try: {program} help"));
    };
    let alone = |command| Ok(Line { command, words: Vec::new() });
    match first.as_bytes() {
        b"--help" | b"-h" => alone(Command::Help(None)),
        b"--version" | b"-V" => alone(Command::Version),
        option if option.starts_with(b"-") => Err(unknown("option", option, "--", ["help", "version"])),
        _ => parse_command(command(first)?, rest, program),
    }
}

fn parse_command(name: Name, rest: &[OsString], program: &str) -> Result<Line, Usage> {
    let command = name.syntax().parse(rest.to_vec(), program)?;
    let words = std::iter::once(name.text().into()).chain(rest.iter().cloned()).collect();
    Ok(Line { command, words })
}

/// Returns the command with this name.
fn command(word: &OsStr) -> Result<Name, Usage> {
    let names = Name::ALL.map(Name::text);
    Name::parse(word).ok_or_else(|| unknown("command", word.as_bytes(), "", names))
}
