//! Why an operation failed: the kernel's errno, or a rule of this program. It depends on nothing else here, so that `sys` and
//! `error` can both use it.

use std::borrow::Cow;
use std::fmt;
use std::io;

pub use rustix::io::Errno;

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The kernel refused.
    Errno(Errno),
    /// A rule of this program refused; a phrase for people.
    Rule(Cow<'static, str>),
    /// This program has not looked, because that would have cost too much: as after an errno, nothing is known. A phrase for people.
    Unread(Cow<'static, str>),
}

impl From<Errno> for Reason {
    fn from(errno: Errno) -> Reason {
        Reason::Errno(errno)
    }
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Reason {
        Reason::Rule(Cow::Borrowed(text))
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Reason {
        Reason::Rule(Cow::Owned(text))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Errno(errno) => out.write_str(&text(*errno)),
            Reason::Rule(text) | Reason::Unread(text) => out.write_str(text),
        }
    }
}

/// Returns the text of an errno as strerror(3) has it: std's, without the number that it adds.
fn text(errno: Errno) -> String {
    let mut text = io::Error::from(errno).to_string();
    if let Some(number) = text.bytes().rposition(|byte| byte == b'(') {
        text.truncate(number.saturating_sub(1));
    }
    text
}

/// Returns the errno of a failure that std reports; EIO where std reports none.
pub fn of_io(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
