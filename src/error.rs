//! One error: what was tried, on what, and why it did not work. One rendering, one exit code.

use std::fmt;

use crate::show::Shown;
use crate::sys::keep::{self, Bytes};
use crate::sys::{Errno, error_text};

/// Exit code for a wrong command line, as everywhere in s6.
pub const USAGE: u8 = 100;
/// Exit code for a system call that failed and left nothing to do, as everywhere in s6.
pub const SYSTEM: u8 = 111;

/// Why something did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The kernel said no.
    Errno(Errno),
    /// Our own rule said no; a phrase for a person.
    Rule(&'static str),
}

impl From<Errno> for Reason {
    fn from(errno: Errno) -> Reason {
        Reason::Errno(errno)
    }
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Reason {
        Reason::Rule(text)
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Reason {
        Reason::Rule(text.leak())
    }
}

impl Reason {
    /// For a person.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Errno(errno) => error_text(errno),
            Reason::Rule(text) => text,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text())
    }
}

/// `unable to VERB OBJECT: REASON`. One word wide, so that results that carry it stay small; an error is said and lives as long
/// as the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error(&'static What);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct What {
    verb: &'static str,
    object: Bytes,
    reason: Reason,
    code: u8,
}

impl Error {
    /// A system failure (exit code 111). `object` is printed escaped, see [`crate::show`].
    pub fn new(verb: &'static str, object: impl AsRef<[u8]>, reason: impl Into<Reason>) -> Error {
        Error::make(verb, object.as_ref(), reason.into())
    }

    #[cold]
    #[inline(never)]
    fn make(verb: &'static str, object: &[u8], reason: Reason) -> Error {
        Error(Box::leak(Box::new(What { verb, object: keep::bytes(&[object]), reason, code: SYSTEM })))
    }

    /// The same failure with another exit code, in 1..=127.
    pub fn with_code(self, code: u8) -> Error {
        Error(Box::leak(Box::new(What { code, ..*self.0 })))
    }

    /// The errno, where the kernel refused.
    pub fn errno(&self) -> Option<Errno> {
        match self.0.reason {
            Reason::Errno(errno) => Some(errno),
            Reason::Rule(_) => None,
        }
    }

    /// What a process that ends with this error exits with.
    pub fn code(&self) -> u8 {
        self.0.code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.0;
        write!(out, "unable to {} {}: {}", what.verb, Shown(what.object), what.reason)
    }
}

/// The result of everything that can fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Gives an errno its verb and its object.
pub trait Context<T> {
    /// Turns `Err(errno)` into "unable to `verb` `object`: errno".
    fn context(self, verb: &'static str, object: impl AsRef<[u8]>) -> Result<T>;
}

impl<T> Context<T> for std::result::Result<T, Errno> {
    fn context(self, verb: &'static str, object: impl AsRef<[u8]>) -> Result<T> {
        match self {
            Ok(done) => Ok(done),
            Err(errno) => Err(Error::make(verb, object.as_ref(), Reason::Errno(errno))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_verb_object_and_errno() {
        let error = Error::new("open", "profiles/coder", Errno::ACCESS);
        assert_eq!(error.to_string(), "unable to open profiles/coder: Permission denied");
        assert_eq!(error.code(), SYSTEM);
    }

    #[test]
    fn an_object_from_the_volume_cannot_forge_a_line() {
        let error = Error::new("open", b"a\nb", "not a regular file");
        assert_eq!(error.to_string(), r#"unable to open "a\nb": not a regular file"#);
    }
}
