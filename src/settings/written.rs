//! Values of variables, as compose files and env files have them: quotes that nobody removes, and line ends of Windows.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::output::{Error, Object, Result};

/// Fails if a variable's value is no path that can be meant: it is relative, so that each program would make another directory of that
/// name, as one in quotes is, or it ends with a control character.
pub fn check_path(variable: &str, value: &OsStr) -> Result<()> {
    let Some(why) = fault(value.as_bytes()) else { return Ok(()) };
    let meant = meant(value.as_bytes());
    // What a file is to have is written as it is, without marks of ours.
    let plain = str::from_utf8(meant).ok().filter(|text| !text.contains(char::is_control));
    let advice = match plain {
        Some(text) if text.starts_with('/') => format!("{why}; write {variable}={text}"),
        _ => format!("{why}; an absolute path is needed"),
    };
    let word = OsString::from_vec([variable.as_bytes(), b"=", value.as_bytes()].concat());
    Err(Error::new("use the variable", Object::Word(word), advice))
}

/// Returns what is wrong with a path, if so.
fn fault(value: &[u8]) -> Option<&'static str> {
    match (value.first(), value.last()) {
        (Some(b'"' | b'\''), _) => Some("the quotes are part of the value"),
        (_, Some(last)) if last.is_ascii_control() => {
            Some("it ends with a control character, as in a file with line ends of Windows")
        }
        (Some(b'/'), _) => None,
        _ => Some("it is relative"),
    }
}

/// Returns a value without the quotes around it and the control characters at its end.
pub fn meant(mut value: &[u8]) -> &[u8] {
    loop {
        value = match value {
            [rest @ .., last] if last.is_ascii_control() => rest,
            [first @ (b'"' | b'\''), rest @ .., last] if first == last => rest,
            _ => return value,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_absolute_without_quotes_and_without_a_control_character_at_its_end() {
        for value in ["/", "/opt/data", "/opt/my data", "/opt/\"data\"", "/opt/a\nb", "/opt/data "] {
            assert_eq!(check_path("V", OsStr::new(value)), Ok(()), "{value:?}");
        }
        let quoted = "the quotes are part of the value";
        let control = "it ends with a control character, as in a file with line ends of Windows";
        let relative = "it is relative";
        for (value, fault, advice) in [
            ("\"/opt/data\"", quoted, "write V=/opt/data"),
            ("'/opt/data'", quoted, "write V=/opt/data"),
            ("'/opt/data'\r", quoted, "write V=/opt/data"),
            ("\"/opt/data\r\"", quoted, "write V=/opt/data"),
            ("/opt/data\r", control, "write V=/opt/data"),
            ("/opt/data\t\n", control, "write V=/opt/data"),
            ("'/opt/my data'", quoted, "write V=/opt/my data"),
            ("\"/opt/data", quoted, "an absolute path is needed"),
            ("\"data\"", quoted, "an absolute path is needed"),
            ("\"/a\nb\"", quoted, "an absolute path is needed"),
            ("\"", quoted, "an absolute path is needed"),
            ("data", relative, "an absolute path is needed"),
            ("./data", relative, "an absolute path is needed"),
            ("~/data", relative, "an absolute path is needed"),
            ("data\r", control, "an absolute path is needed"),
            ("\r", control, "an absolute path is needed"),
        ] {
            let why = check_path("V", OsStr::new(value)).unwrap_err().to_string();
            assert!(why.ends_with(&format!(": {fault}; {advice}")), "{why}");
        }
    }
}
