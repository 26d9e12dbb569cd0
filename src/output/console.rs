//! The output of a command: results on stdout, messages on stderr as `hermes-init COMMAND: SEVERITY: MESSAGE`. A closed stdout or
//! stderr stops nothing.

use std::cell::Cell;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::escape::Shown;
use crate::sys::{Errno, Ids, Ownership, Reason, process};

/// The output of one command.
#[derive(Debug, Clone)]
pub struct Console {
    command: &'static str,
    executable: Option<PathBuf>,
    is_silent: bool,
    /// Why a result could not be written: EPIPE if nobody reads it.
    unwritten: Cell<Option<Errno>>,
}

impl Console {
    /// Makes the console of the command with this name; the program itself has none. `executable` is the absolute path of the
    /// running executable, if it is known.
    pub fn new(command: &'static str, executable: Option<PathBuf>) -> Console {
        Console { command, executable, is_silent: false, unwritten: Cell::new(None) }
    }

    /// Returns a console that writes no messages.
    #[must_use]
    pub fn silent(&self) -> Console {
        Console { is_silent: true, ..self.clone() }
    }

    /// Returns the name of the command.
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// Returns the absolute path of the running executable, if it is known.
    pub fn executable(&self) -> Option<&Path> {
        self.executable.as_deref()
    }

    /// Returns the executable as a person is to call it: by its absolute path, because the hermes user can write directories of the
    /// image's PATH.
    pub fn program(&self) -> String {
        let name = Path::new("hermes-init");
        Shown(self.executable().unwrap_or(name).as_os_str().as_bytes()).to_string()
    }

    fn tell(&self, severity: &str, message: fmt::Arguments<'_>) {
        if self.is_silent {
            return;
        }
        let space = if self.command.is_empty() { "" } else { " " };
        let line = format!("hermes-init{space}{}: {severity}: {message}\n", self.command);
        // A message that cannot be written has no reader.
        let _ = process::to_stderr(line.as_bytes());
    }

    /// Reports a failure after which the command goes on.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        self.tell("warning", message);
    }

    /// Reports an error after which the command goes on.
    pub fn failed(&self, error: &Error) {
        self.warn(format_args!("{error}"));
    }

    /// As [`Console::failed`]. Returns the error's text.
    pub fn reported(&self, error: &Error) -> String {
        self.failed(error);
        error.to_string()
    }

    /// Reports a fact.
    pub fn note(&self, message: fmt::Arguments<'_>) {
        self.tell("info", message);
    }

    /// Reports the error that ends the command. Returns its exit code.
    pub fn fatal(&self, error: &Error) -> u8 {
        self.die(error.code(), format_args!("{error}"))
    }

    /// Reports what ends the command. Returns `code`.
    pub fn die(&self, code: u8, message: fmt::Arguments<'_>) -> u8 {
        self.tell("fatal", message);
        code
    }

    /// Reports, if the kernel refused an owner change, that files belong to this process's user.
    pub fn note_refusal(&self, ownership: &Ownership) {
        if let Some(errno) = ownership.refused() {
            let (reason, Ids { uid, .. }) = (Reason::from(errno), ownership.process());
            self.note(format_args!(
                "not permitted to change owners ({reason}): created files belong to uid {uid}"
            ));
        }
    }

    /// Writes a result to stdout.
    pub fn print(&self, text: &str) {
        self.write(text.as_bytes());
    }

    /// Writes a result, as it is, to stdout.
    pub fn write(&self, bytes: &[u8]) {
        if let Err(errno) = process::to_stdout(bytes) {
            self.unwritten.set(Some(errno));
        }
    }

    /// Returns whether a result could not be written.
    pub fn is_unwritten(&self) -> bool {
        self.unwritten.get().is_some()
    }

    /// Returns the exit code of a command that was run for its results: 1 instead of 0 if one of them could not be written.
    pub fn code(&self, code: u8) -> u8 {
        // `hermes-init … | head` is ordinary use.
        let Some(errno) = self.unwritten.get().filter(|errno| *errno != Errno::PIPE) else { return code };
        self.failed(&Error::new("write to", "stdout", errno));
        code.max(1)
    }
}
