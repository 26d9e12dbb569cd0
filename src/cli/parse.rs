//! Parses what follows a command's name, by the command's syntax.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use lexopt::{Arg, Error, Parser};

use super::Usage;
use super::command::Command;
use super::options::{Opt, Takes};
use super::syntax::{Grammar, Operands, Raw, Syntax, Wrong};
use super::unknown::unknown;
use crate::output::escape::Shown;

impl<A> Grammar for Syntax<A> {
    fn options(&self) -> Vec<Opt> {
        self.options.iter().map(|(option, _)| *option).collect()
    }

    fn synopsis(&self) -> String {
        self.operands.synopsis()
    }

    fn operands(&self) -> (&'static str, usize) {
        (self.operands.placeholder, *self.operands.count.end())
    }

    fn parse(self: Box<Self>, words: Vec<OsString>, program: &str) -> Result<Command, Usage> {
        let Syntax { name, start: mut args, options, operands, make } = *self;
        let command = name.text();
        let mut parser = Parser::from_args(words);
        let mut given = Vec::new();
        loop {
            let argument = match parser.next() {
                Ok(argument) => argument,
                Err(Error::UnexpectedValue { option, .. }) => {
                    return Err(format!("{command}: {} takes no value", Shown(option.as_bytes())));
                }
                Err(_) => return Err(format!("{command}: wrong usage")),
            };
            let (word, found) = match argument {
                None => break,
                Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Command::Help(Some(name))),
                Some(Arg::Long("version") | Arg::Short('V')) => return Ok(Command::Version),
                Some(Arg::Value(operand)) => {
                    given.push(operand);
                    continue;
                }
                Some(Arg::Long(long)) => {
                    (format!("--{long}"), options.iter().find(|(option, _)| option.long() == long))
                }
                Some(Arg::Short(letter)) => (
                    format!("-{letter}"),
                    options.iter().find(|(option, _)| option.row().letter == Some(letter)),
                ),
            };
            let Some((option, put)) = found else {
                let known = options.iter().map(|(option, _)| *option).collect();
                return Err(format!("{command}: {}", unknown_option(&word, known)));
            };
            take(*option, &mut parser, operands.placeholder, &mut |value| put(&mut args, value))
                .map_err(|why| format!("{command}: --{}: {why}", option.long()))?;
        }
        let Operands { placeholder, count, put, .. } = operands;
        if given.len() < *count.start() {
            return Err(format!("{command}: missing {placeholder}; try: {program} help {command}"));
        }
        if let Some(extra) = given.get(*count.end()) {
            let extra = Shown(extra.as_bytes());
            return Err(format!("{command}: unexpected argument {extra}; try: {program} help {command}"));
        }
        for operand in given {
            put(&mut args, operand)?;
        }
        Ok(make(args))
    }
}

/// Stores the value of the option that `parser` has just returned; an empty one for a flag. lexopt reports a value that is attached to
/// a flag at the next argument. `operand` is the placeholder of the command's operands.
fn take(
    option: Opt,
    parser: &mut Parser,
    operand: &str,
    put: &mut dyn FnMut(OsString) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    match option.row().takes {
        Takes::Nothing => put(OsString::new()),
        Takes::Value(_) | Takes::OneOf(_) => put(parser.value().map_err(|_| "missing value".to_owned())?),
        Takes::Optional(..) => {
            let value = parser.optional_value().unwrap_or_default();
            let Some(next) = next_number(parser).filter(|_| value.is_empty()) else {
                return put(value);
            };
            let (long, shown) = (option.long(), Shown(next.as_bytes()));
            let attached = format!("the value must be attached: --{long}={shown}");
            let why = put(next.clone()).err().unwrap_or(attached);
            Err(format!("{why} (for the {operand} {shown}: --{long} -- {shown})"))
        }
    }
}

/// Returns the message about an option that is none of the known ones of its command.
fn unknown_option(word: &str, mut known: Vec<Opt>) -> Usage {
    known.sort_unstable();
    let known: Vec<&str> = known.into_iter().map(Opt::long).chain(["help", "version"]).collect();
    unknown("option", word.as_bytes(), "--", &known)
}

/// Returns the next word if it is a number.
fn next_number(parser: &mut Parser) -> Option<OsString> {
    let words = parser.try_raw_args()?;
    let is_number = |word: &&OsStr| !word.is_empty() && word.as_bytes().iter().all(u8::is_ascii_digit);
    words.peek().filter(is_number).map(OsStr::to_owned)
}

impl Grammar for Raw {
    fn options(&self) -> Vec<Opt> {
        Vec::new()
    }

    fn synopsis(&self) -> String {
        self.synopsis.to_owned()
    }

    fn operands(&self) -> (&'static str, usize) {
        ("", 0)
    }

    fn parse(self: Box<Self>, words: Vec<OsString>, _: &str) -> Result<Command, Usage> {
        match words.first().map(|first| first.as_bytes()) {
            Some(b"--help" | b"-h") => Ok(Command::Help(Some(self.name))),
            Some(b"--version" | b"-V") => Ok(Command::Version),
            _ => Ok((self.make)(words)),
        }
    }
}
