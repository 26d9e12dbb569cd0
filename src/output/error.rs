//! The error of this program: what was tried, on which object, and why it failed. One Display, one exit code.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::escape::{FromVolume, Shown};
use super::exit;
use crate::sys::{Errno, Ids, Name, Reason};

/// A failed operation, `unable to VERB OBJECT: REASON`, or something that there is not, `no such KIND OBJECT: REASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    failure: Failure,
    object: Object,
    reason: Reason,
    code: u8,
}

/// What an error says of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// An operation on it has failed; its verb.
    Unable(&'static str),
    /// There is none; what it would be.
    NoSuch(&'static str),
}

/// What an operation was tried on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A path or a name. The hermes user may have chosen it: it is printed as [`FromVolume`].
    Path(PathBuf),
    /// A word of the command line, printed as [`Shown`].
    Word(OsString),
    /// A term of this program, printed as it is.
    Term(&'static str),
}

impl Error {
    /// Makes an error with the exit code [`exit::SYSTEM`].
    pub fn new(verb: &'static str, object: impl Into<Object>, reason: impl Into<Reason>) -> Error {
        let (failure, object, reason) = (Failure::Unable(verb), object.into(), reason.into());
        Error { failure, object, reason, code: exit::SYSTEM }
    }

    /// Makes the error of a name that nothing of this kind has, with the exit code [`exit::INCOMPLETE`].
    pub fn no_such(kind: &'static str, name: impl Into<Object>, reason: impl Into<Reason>) -> Error {
        let (failure, object, reason) = (Failure::NoSuch(kind), name.into(), reason.into());
        Error { failure, object, reason, code: exit::INCOMPLETE }
    }

    /// Makes the error of a word of the command line that cannot be used, with the exit code [`exit::USAGE`].
    pub fn usage(verb: &'static str, word: &OsStr, reason: impl Into<Reason>) -> Error {
        Error::new(verb, Object::Word(word.to_owned()), reason).with_code(exit::USAGE)
    }

    /// Changes the exit code, 1 to 127.
    #[must_use]
    pub fn with_code(mut self, code: u8) -> Error {
        self.code = code;
        self
    }

    /// Returns the errno, if the kernel refused.
    pub fn errno(&self) -> Option<Errno> {
        match self.reason {
            Reason::Errno(errno) => Some(errno),
            Reason::Rule(_) | Reason::Unread(_) => None,
        }
    }

    /// Returns the exit code of a process that ends with this error.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error { failure, object, reason, .. } = self;
        match failure {
            Failure::Unable(verb) => write!(out, "unable to {verb} {object}: {reason}"),
            Failure::NoSuch(kind) => write!(out, "no such {kind} {object}: {reason}"),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Path(path) => FromVolume(path.as_os_str().as_bytes()).fmt(out),
            Object::Word(word) => Shown(word.as_bytes()).fmt(out),
            Object::Term(term) => out.write_str(term),
        }
    }
}

impl From<&Path> for Object {
    fn from(path: &Path) -> Object {
        Object::Path(path.to_owned())
    }
}

impl From<&PathBuf> for Object {
    fn from(path: &PathBuf) -> Object {
        Object::Path(path.clone())
    }
}

impl From<PathBuf> for Object {
    fn from(path: PathBuf) -> Object {
        Object::Path(path)
    }
}

impl From<&Name> for Object {
    fn from(name: &Name) -> Object {
        Object::Path(PathBuf::from(AsRef::<OsStr>::as_ref(name)))
    }
}

impl From<Ids> for Object {
    fn from(ids: Ids) -> Object {
        Object::Path(format!("{}:{}", ids.uid, ids.gid).into())
    }
}

impl From<&str> for Object {
    fn from(name: &str) -> Object {
        Object::Path(name.into())
    }
}

/// The result of an operation that can fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Gives a reason its verb and its object.
pub trait Context<T> {
    /// Turns `Err(reason)` into "unable to `verb` `object`: reason".
    fn context(self, verb: &'static str, object: impl Into<Object>) -> Result<T>;
}

impl<T, E: Into<Reason>> Context<T> for std::result::Result<T, E> {
    fn context(self, verb: &'static str, object: impl Into<Object>) -> Result<T> {
        self.map_err(|reason| Error::new(verb, object, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_verb_object_and_errno() {
        let error = Error::new("open", Path::new("profiles/coder"), Errno::ACCESS);
        assert_eq!(error.to_string(), "unable to open profiles/coder: Permission denied");
        assert_eq!(error.code(), exit::SYSTEM);
    }

    #[test]
    fn what_there_is_not_is_named_with_its_kind() {
        let error = Error::no_such("gateway", Path::new("a b"), "no profile of that name");
        assert_eq!(error.to_string(), r#"no such gateway "a\u0020b": no profile of that name"#);
        assert_eq!(error.code(), exit::INCOMPLETE);
    }

    #[test]
    fn a_path_cannot_forge_a_line_or_a_field() {
        let text = |path: &str| Error::new("open", Path::new(path), "not a regular file").to_string();
        assert_eq!(text("a\nb"), r#"unable to open "a\nb": not a regular file"#);
        assert_eq!(text("a profile=b"), r#"unable to open "a\u0020profile\u003db": not a regular file"#);
    }

    #[test]
    fn a_word_of_the_command_line_keeps_its_blanks_and_a_term_is_bare() {
        let error = Error::usage("use the variable", OsStr::new("A B=c"), "it is not of the form KEY=VALUE");
        assert_eq!(
            error.to_string(),
            r#"unable to use the variable "A B=c": it is not of the form KEY=VALUE"#
        );
        assert_eq!(error.code(), exit::USAGE);
        let error = Error::new("read", Object::Term("the capabilities"), Errno::PERM);
        assert_eq!(error.to_string(), "unable to read the capabilities: Operation not permitted");
    }
}
