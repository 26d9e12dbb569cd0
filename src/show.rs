//! How a value from outside is printed: bare where it is harmless, else as an ASCII JSON string, so that no value can
//! forge a line, a field or a terminal sequence.

use std::fmt::{self, Write};

/// Longest value, in bytes, that is printed bare.
const BARE_MAX: usize = 64;
/// Longest value, in bytes, that is printed for people; the rest is cut and marked. A state file may hold a megabyte.
const SHOWN_MAX: usize = 4096;

/// A value to print: bare when it is `[A-Za-z0-9._:+/@-]{1,64}`, else as an ASCII JSON string.
pub struct Shown<'a>(pub &'a [u8]);

/// A value to print as an ASCII JSON string, always in quotes and whole.
pub struct Quoted<'a>(pub &'a [u8]);

/// A value to print as an ASCII JSON string, or as null where there is none.
pub struct OrNull<'a>(pub Option<&'a [u8]>);

fn is_bare(value: &[u8]) -> bool {
    (1..=BARE_MAX).contains(&value.len())
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._:+/@-".contains(byte))
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) if is_bare(self.0) => out.write_str(text),
            _ => quote(out, self.0.get(..SHOWN_MAX).unwrap_or(self.0), self.0.len() > SHOWN_MAX),
        }
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        quote(out, self.0, false)
    }
}

impl fmt::Display for OrNull<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => quote(out, value, false),
            None => out.write_str("null"),
        }
    }
}

fn quote(out: &mut fmt::Formatter<'_>, value: &[u8], cut: bool) -> fmt::Result {
    out.write_char('"')?;
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape(out, character)?;
        }
        if !chunk.invalid().is_empty() {
            escape(out, char::REPLACEMENT_CHARACTER)?;
        }
    }
    if cut {
        out.write_str("...")?;
    }
    out.write_char('"')
}

fn escape(out: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '"' => out.write_str("\\\""),
        '\\' => out.write_str("\\\\"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        ' '..='~' => out.write_char(character),
        _ => {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
            Ok(())
        }
    }
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
            (b"a b", r#""a b""#),
            (b"a=b", r#""a=b""#),
            (b"x\naction=started", r#""x\naction=started""#),
            (b"\x1b[2J\x7f\0", r#""\u001b[2J\u007f\u0000""#),
            (b"say \"\\\"", r#""say \"\\\"""#),
            ("é😀".as_bytes(), r#""\u00e9\ud83d\ude00""#),
            (b"\xff", r#""\ufffd""#),
        ] {
            assert_eq!(Shown(value).to_string(), shown);
        }
        assert_eq!(Shown("x".repeat(65).as_bytes()).to_string(), format!("\"{}\"", "x".repeat(65)));
    }

    #[test]
    fn a_very_long_value_is_cut() {
        let shown = Shown("y".repeat(9000).as_bytes()).to_string();
        assert_eq!(shown, format!("\"{}...\"", "y".repeat(SHOWN_MAX)));
    }
}
