//! What a command says: results on stdout, the rest on stderr as `hermes-init COMMAND: SEVERITY: MESSAGE`. A closed stdout or
//! stderr is nobody's panic.

use std::fmt::Display;

use crate::error::Error;
use crate::sys::process;

/// The voice of one command.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    command: &'static str,
}

impl Console {
    /// For the command of this name; the program itself has none.
    pub fn new(command: &'static str) -> Console {
        Console { command }
    }

    fn tell(&self, severity: &str, message: &dyn Display) {
        let space = if self.command.is_empty() { "" } else { " " };
        let line = format!("hermes-init{space}{}: {severity}: {message}\n", self.command);
        // There is nobody left to tell.
        let _ = process::to_stderr(line.as_bytes());
    }

    /// Something went wrong and the command goes on.
    pub fn warn(&self, message: &dyn Display) {
        self.tell("warning", message);
    }

    /// Something that is worth knowing.
    pub fn note(&self, message: &dyn Display) {
        self.tell("info", message);
    }

    /// The command ends here; its exit code.
    pub fn fatal(&self, error: &Error) -> u8 {
        self.tell("fatal", error);
        error.code()
    }

    /// The command ends here for a reason that is no failed operation.
    pub fn die(&self, code: u8, message: &dyn Display) -> u8 {
        self.tell("fatal", message);
        code
    }

    /// Writes a result to stdout.
    pub fn print(&self, text: &str) {
        // `hermes-init … | head` is an ordinary thing to do.
        let _ = process::to_stdout(text.as_bytes());
    }
}
