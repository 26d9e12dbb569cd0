//! Numbers in options and variables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::output::escape::Shown;
use crate::sys::number::decimal;

/// Parses a number of `what`, `least` to `most`. The error names `text` and the limits.
pub fn number(text: &OsStr, what: &str, least: u64, most: u64) -> Result<u64, String> {
    let text = text.as_bytes();
    let wrong = || format!("{} is not a number of {what} from {least} to {most}", Shown(text));
    decimal(text).filter(|number| (least..=most).contains(number)).ok_or_else(wrong)
}

/// Parses a number of services, 4 to 160000, the limits of s6-svscan's option -C.
pub fn services(text: &OsStr) -> Result<usize, String> {
    number(text, "services", 4, 160_000).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_within_its_limits() {
        for (text, expected) in [
            ("3", None),
            ("4", Some(4)),
            ("0160000", Some(160_000)),
            ("160001", None),
            ("-5", None),
            ("5.0", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(services(OsStr::new(text)).ok(), expected, "{text}");
        }
        assert_eq!(
            number(OsStr::new("x y"), "seconds", 1, 9),
            Err("\"x y\" is not a number of seconds from 1 to 9".into())
        );
    }
}
