//! How values are printed, so that no value from outside can forge a line, a field or a terminal sequence.

use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest value, in bytes, that is printed bare.
const BARE_MAX: usize = 64;
/// Longest value, in bytes, that is printed for people; the rest is cut and marked. A state file may hold a megabyte.
const SHOWN_MAX: usize = 4096;
/// The end of a value that is shortened.
const SHORTENED: &str = "\"...";

/// A value for people: printed as it is (bare) if it is `[A-Za-z0-9._:+/@-]{1,64}`, else as an ASCII JSON string.
pub struct Shown<'a>(pub &'a [u8]);

/// A value from the volume or the scan directory, where the hermes user writes, for people and for the log: as [`Shown`], without
/// blanks and equals signs, so that no search for a field (`profile=coder`, ` action=failed`) matches it.
pub struct FromVolume<'a>(pub &'a [u8]);

/// A value in a column: as [`FromVolume`], and of one that takes more than 64 columns the beginning. The mark of that is behind the
/// quotation mark, where no other value has one.
pub struct Shortened<'a>(pub &'a [u8]);

/// A sentence of this program for the log: an ASCII JSON string with blanks and without equals signs.
pub struct Sentence<'a>(pub &'a str);

/// A value as an ASCII JSON string. What is no UTF-8 becomes U+FFFD.
pub struct Quoted<'a>(pub &'a [u8]);

/// Which printable characters are escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// Those that JSON requires.
    Json,
    /// And the equals sign.
    Sentence,
    /// And the blank.
    Value,
}

impl<'a> FromVolume<'a> {
    /// Returns the value that a path is.
    pub fn path(path: &'a Path) -> FromVolume<'a> {
        FromVolume(path.as_os_str().as_bytes())
    }
}

/// Returns whether a path is printed bare. A shell takes it as it is, too.
pub fn is_bare_path(path: &Path) -> bool {
    is_bare(path.as_os_str().as_bytes())
}

/// Returns whether a value is printed bare: as it is.
pub fn is_bare(value: &[u8]) -> bool {
    (1..=BARE_MAX).contains(&value.len())
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._:+/@-".contains(byte))
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        bare_or_quoted(out, self.0, Escapes::Json)
    }
}

impl fmt::Display for FromVolume<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        bare_or_quoted(out, self.0, Escapes::Value)
    }
}

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = FromVolume(self.0).to_string();
        // What is longer is quoted.
        if whole.len() <= BARE_MAX {
            return out.write_str(&whole);
        }
        let mut end = 1;
        loop {
            let next = match whole.as_bytes().get(end..) {
                Some([b'\\', b'u', ..]) => end + 6,
                Some([b'\\', ..]) => end + 2,
                _ => end + 1,
            };
            if next + SHORTENED.len() > BARE_MAX {
                return write!(out, "{}{SHORTENED}", whole.get(..end).unwrap_or_default());
            }
            end = next;
        }
    }
}

fn bare_or_quoted(out: &mut fmt::Formatter<'_>, value: &[u8], escapes: Escapes) -> fmt::Result {
    match std::str::from_utf8(value) {
        Ok(text) if is_bare(value) => out.write_str(text),
        _ => {
            let (shown, mark) = cut(value);
            quote(out, shown, mark, escapes)
        }
    }
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, mark) = cut(self.0.as_bytes());
        quote(out, shown, mark, Escapes::Sentence)
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        quote(out, self.0, "", Escapes::Json)
    }
}

/// Returns the part of a value that is printed, and the mark behind it if something was cut off.
fn cut(value: &[u8]) -> (&[u8], &'static str) {
    value
        .get(..SHOWN_MAX)
        .filter(|shown| shown.len() < value.len())
        .map_or((value, ""), |shown| (shown, "..."))
}

fn quote(out: &mut fmt::Formatter<'_>, value: &[u8], mark: &str, escapes: Escapes) -> fmt::Result {
    out.write_char('"')?;
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape(out, character, escapes)?;
        }
        if !chunk.invalid().is_empty() {
            escape(out, char::REPLACEMENT_CHARACTER, escapes)?;
        }
    }
    out.write_str(mark)?;
    out.write_char('"')
}

fn escape(out: &mut fmt::Formatter<'_>, character: char, escapes: Escapes) -> fmt::Result {
    match character {
        '"' => out.write_str("\\\""),
        '\\' => out.write_str("\\\\"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        ' ' if escapes == Escapes::Value => out.write_str("\\u0020"),
        '=' if escapes != Escapes::Json => out.write_str("\\u003d"),
        ' '..='~' => out.write_char(character),
        _ => {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units).iter();
            units.copied().flat_map(unit).try_for_each(|byte| out.write_char(byte.into()))
        }
    }
}

/// Returns the escape of a UTF-16 code unit in a JSON string.
pub fn unit(unit: u16) -> [u8; 6] {
    let digit = |shift: u16| match (unit >> shift & 0xf) as u8 {
        digit @ 0..10 => b'0' + digit,
        digit => b'a' - 10 + digit,
    };
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_values_are_bare() {
        for value in ["running", "a-b_c.d", "/opt/data", "a:b+c@d", &"x".repeat(64)] {
            assert_eq!(Shown(value.as_bytes()).to_string(), value);
        }
    }

    #[test]
    fn everything_else_is_an_ascii_json_string() {
        for (value, shown) in [
            (&b""[..], r#""""#),
            (b"a b", r#""a\u0020b""#),
            (b"a=b", r#""a\u003db""#),
            (b"x\naction=started", r#""x\naction\u003dstarted""#),
            (b"\x1b[2J\x7f\0", r#""\u001b[2J\u007f\u0000""#),
            (b"say\"\\\"", r#""say\"\\\"""#),
            ("é😀".as_bytes(), r#""\u00e9\ud83d\ude00""#),
            (b"\xff", r#""\ufffd""#),
        ] {
            assert_eq!(FromVolume(value).to_string(), shown);
        }
        assert_eq!(Shown("x".repeat(65).as_bytes()).to_string(), format!("\"{}\"", "x".repeat(65)));
    }

    #[test]
    fn a_very_long_value_is_cut() {
        let shown = Shown("y".repeat(9000).as_bytes()).to_string();
        assert_eq!(shown, format!("\"{}...\"", "y".repeat(SHOWN_MAX)));
        let shown = Shown("y".repeat(SHOWN_MAX).as_bytes()).to_string();
        assert_eq!(shown, format!("\"{}\"", "y".repeat(SHOWN_MAX)));
    }

    #[test]
    fn a_value_in_a_column_takes_64_at_most() {
        for value in [&b""[..], b"x", b"a b", &[b'x'; 64], &[1; 10], "é".repeat(10).as_bytes()] {
            assert_eq!(Shortened(value).to_string(), FromVolume(value).to_string());
        }
        let escapes = |escape: &str, count| format!("\"{}\"...", escape.repeat(count));
        for (value, shown) in [
            (vec![b'x'; 65], escapes("x", 59)),
            (vec![b'x'; 255], escapes("x", 59)),
            (vec![1; 11], escapes("\\u0001", 9)),
            (vec![1; 255], escapes("\\u0001", 9)),
            (vec![b'"'; 255], escapes("\\\"", 29)),
            (vec![0xff; 255], escapes("\\ufffd", 9)),
        ] {
            assert_eq!(Shortened(&value).to_string(), shown);
            assert!(shown.len() <= 64);
        }
    }

    #[test]
    fn a_sentence_keeps_its_blanks_and_json_everything() {
        assert_eq!(Sentence("a b=c").to_string(), r#""a b\u003dc""#);
        assert_eq!(Quoted(b"a b=c").to_string(), r#""a b=c""#);
        assert_eq!(Shown(b"a b=c").to_string(), r#""a b=c""#);
    }
}
