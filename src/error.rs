//! The error of this program: what was tried, on which object, and why it failed. One Display, one exit code.

use std::fmt;

use crate::show::{FromVolume, Shown};
use crate::sys::{Errno, Reason};

/// Exit code for wrong usage, as in s6.
pub const USAGE: u8 = 100;
/// Exit code for a failed system call that left nothing to do, as in s6.
pub const SYSTEM: u8 = 111;

/// A failed operation: `unable to VERB OBJECT: REASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Failure>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    verb: &'static str,
    object: Vec<u8>,
    reason: Reason,
    code: u8,
}

impl Error {
    /// Makes an error with the exit code [`SYSTEM`]. `object` is printed escaped, see [`crate::show`].
    pub fn new(verb: &'static str, object: impl AsRef<[u8]>, reason: impl Why) -> Error {
        reason.error(verb, object.as_ref())
    }

    // Out of line: it is called everywhere, and rarely.
    #[cold]
    #[inline(never)]
    fn make(verb: &'static str, object: &[u8], reason: Reason) -> Error {
        Error(Box::new(Failure { verb, object: object.to_vec(), reason, code: SYSTEM }))
    }

    /// Changes the exit code, 1 to 127.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Error {
        self.0.code = code;
        self
    }

    /// Returns the errno, if the kernel refused.
    pub fn errno(&self) -> Option<Errno> {
        match self.0.reason {
            Reason::Errno(errno) => Some(errno),
            Reason::Rule(_) => None,
        }
    }

    /// Returns the exit code of a process that ends with this error.
    pub fn code(&self) -> u8 {
        self.0.code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { verb, object, reason, code } = &*self.0;
        if *code == USAGE {
            // A word of the command line.
            write!(out, "unable to {verb} {}: {reason}", Shown(object))
        } else {
            write!(out, "unable to {verb} {}: {reason}", FromVolume(object))
        }
    }
}

/// Why an operation failed: an errno, a rule, or either.
pub trait Why {
    /// Makes the error of the operation.
    fn error(self, verb: &'static str, object: &[u8]) -> Error;
}

impl Why for Reason {
    fn error(self, verb: &'static str, object: &[u8]) -> Error {
        Error::make(verb, object, self)
    }
}

impl Why for Errno {
    #[cold]
    #[inline(never)]
    fn error(self, verb: &'static str, object: &[u8]) -> Error {
        Error::make(verb, object, self.into())
    }
}

impl Why for &'static str {
    #[cold]
    #[inline(never)]
    fn error(self, verb: &'static str, object: &[u8]) -> Error {
        Error::make(verb, object, self.into())
    }
}

impl Why for String {
    fn error(self, verb: &'static str, object: &[u8]) -> Error {
        Error::make(verb, object, self.into())
    }
}

/// The result of an operation that can fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Gives an errno its verb and its object.
pub trait Context<T> {
    /// Turns `Err(errno)` into "unable to `verb` `object`: errno".
    fn context(self, verb: &'static str, object: impl AsRef<[u8]>) -> Result<T>;
}

impl<T, E: Why> Context<T> for std::result::Result<T, E> {
    fn context(self, verb: &'static str, object: impl AsRef<[u8]>) -> Result<T> {
        self.map_err(|reason| reason.error(verb, object.as_ref()))
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
        let error = Error::new("open", b"a profile=b", "not a regular file");
        assert_eq!(error.to_string(), r#"unable to open "a\u0020profile\u003db": not a regular file"#);
    }
}
