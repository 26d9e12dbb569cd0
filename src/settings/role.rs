//! The role of the container: gateways are reconciled only in the gateway's container. Two containers on one volume would start
//! each gateway twice.

use std::cell::OnceCell;

use crate::output::{Context, Result};
use crate::sys::process;

/// The role that an option or a variable sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleChoice {
    /// The container's command decides.
    Auto,
    /// A gateway container.
    Gateway,
    /// The container of the dashboard or of another front end.
    Frontend,
}

/// The words of an option or a variable.
pub const WORDS: &str = "gateway, frontend, auto";

impl RoleChoice {
    /// Parses the word of an option or a variable.
    pub fn parse(word: &[u8]) -> Option<RoleChoice> {
        match word {
            b"auto" => Some(RoleChoice::Auto),
            b"gateway" => Some(RoleChoice::Gateway),
            b"frontend" => Some(RoleChoice::Frontend),
            _ => None,
        }
    }
}

/// The image's script that runs the container's command; the command is the words after it.
const WRAPPER: &[u8] = b"main-wrapper.sh";
/// The image's other entry point, which precedes the command if the container's init is not s6-overlay.
const DISPATCH: &[u8] = b"entrypoint-dispatch.sh";
/// Commands that serve a user interface and run no gateway.
const FRONTENDS: [&[u8]; 4] = [b"dashboard", b"serve", b"gui", b"desktop"];

/// The container's command, without the words that the image puts in front of it. It is looked for when it is first asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerCommand {
    words: OnceCell<Vec<Vec<u8>>>,
}

impl ContainerCommand {
    /// Returns the words: those of the process that runs the wrapper, process 1 or else any other one. Without such a process there
    /// are none.
    pub fn words(&self) -> Result<&[Vec<u8>]> {
        if self.words.get().is_none() {
            let found = process::find_argv(ContainerCommand::of_cmdline);
            let found = found.context("look for the container's command in", "/proc")?;
            return Ok(self.words.get_or_init(|| found.unwrap_or_default()));
        }
        Ok(self.words.get().map(Vec::as_slice).unwrap_or_default())
    }

    /// Returns the command in the text of a /proc/PID/cmdline; `None` if that process does not run the wrapper.
    pub fn of_cmdline(cmdline: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut words = cmdline.split(|byte| *byte == 0).filter(|word| !word.is_empty()).peekable();
        words.find(|word| is_file(word, WRAPPER))?;
        words.next_if(|word| is_file(word, DISPATCH));
        words.next_if(|word| is_file(word, b"hermes"));
        let mut command = Vec::new();
        for word in words {
            command.push(word.to_vec());
        }
        Some(command)
    }

    /// Returns the front end that the command runs, if it runs one.
    pub fn frontend(&self) -> Result<Option<&[u8]>> {
        Ok(self.words()?.first().map(Vec::as_slice).filter(|first| FRONTENDS.contains(first)))
    }

    /// Returns whether the command, if it is `gateway run`, as containers from before s6 have it, leaves the gateway to s6.
    pub fn gateway_run(&self) -> Result<Option<bool>> {
        let words = self.words()?;
        let is_it = matches!(words, [first, second, ..] if first == b"gateway" && second == b"run");
        Ok(is_it.then(|| !words.iter().any(|word| word == b"--no-supervise")))
    }
}

/// Returns whether a word names this file, with or without a path.
fn is_file(word: &[u8], name: &[u8]) -> bool {
    word.rsplit(|byte| *byte == b'/').next() == Some(name)
}
