//! One variable of `.env`, in which people keep the variables of their gateways. Hermes Agent loads the file with python-dotenv, over
//! its environment.
//!
//! Written by hand, as the reader of config.yaml: it knows `KEY=VALUE`, with or without `export`, quotes and a comment, steps over the
//! variables of other names, also if their values have several lines, and reports a doubt where it cannot be sure.

use crate::sys::Name;

/// The file, in `HERMES_HOME`.
pub static DOTENV: Name = Name::fixed(c".env");
/// Largest `.env` that is read, in bytes. Hermes Agent's own example has some 20 KiB.
pub const CAP: u64 = 256 << 10;

/// What `.env` says about a variable. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The variable is not there.
    Absent,
    /// It has this value, by its last line.
    Value {
        /// The line.
        line: usize,
        /// The value, without quotes and comment; it may be empty.
        word: Vec<u8>,
    },
    /// The reader cannot be sure.
    Unsure {
        /// The line of the doubt.
        line: usize,
        /// What the doubt is.
        why: &'static str,
    },
}

/// Why the reader cannot be sure.
type Doubt = &'static str;

/// What stands at the beginning of a text.
struct Binding<'a> {
    /// Whether it is of the variable that is looked for.
    is_wanted: bool,
    /// Its value, or why that is not certain; `None` if it sets nothing.
    value: Option<Result<&'a [u8], Doubt>>,
    /// The text after it, without the end of its line.
    rest: &'a [u8],
}

/// Returns what a text says about a variable.
pub fn variable(text: &[u8], key: &str) -> Answer {
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let (mut line, mut answer) = (1, Answer::Absent);
    // A doubt matters only if the variable may follow: where its name stands for the last time, this much is left.
    let last = rest.windows(key.len()).rposition(|window| window == key.as_bytes());
    let left = last.map_or(usize::MAX, |last| rest.len() - last);
    while rest.len() >= left {
        let unsure = |why| Answer::Unsure { line, why };
        let Binding { is_wanted, value, rest: after } = match binding(rest, key.as_bytes()) {
            Ok(binding) => binding,
            Err(why) => return unsure(why),
        };
        if is_wanted {
            match value {
                Some(Ok(word)) => answer = Answer::Value { line, word: word.trim_ascii().to_vec() },
                Some(Err(why)) => return unsure(why),
                None => return unsure("it is not KEY=VALUE"),
            }
        }
        let passed = rest.len() - after.len();
        line += rest.iter().take(passed).filter(|byte| **byte == b'\n').count() + 1;
        rest = after.strip_prefix(b"\n").unwrap_or_default();
    }
    answer
}

/// Reads the line at the beginning of a text, and the further ones of a value in quotes. Fails if it is not certain where it ends, or
/// whose it is.
fn binding<'a>(text: &'a [u8], key: &[u8]) -> Result<Binding<'a>, Doubt> {
    let (line, after) = first_line(text);
    let nothing = |is_wanted| Ok(Binding { is_wanted, value: None, rest: after });
    let line = line.trim_ascii();
    if line.contains(&b'\r') {
        return Err("it has a carriage return");
    }
    let exported =
        line.strip_prefix(b"export").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
    let line = exported.map_or(line, <[u8]>::trim_ascii_start);
    let (name, assigned) = if let Some(quoted) = line.strip_prefix(b"'") {
        split_at(quoted, |byte| byte == b'\'').ok_or("a quotation mark has no pair")?
    } else {
        let end = line.iter().position(|byte| b"=#".contains(byte) || byte.is_ascii_whitespace());
        line.split_at(end.unwrap_or(line.len()))
    };
    if name.is_empty() {
        return nothing(false);
    }
    let is_wanted = name == key;
    if !name.is_ascii() && has(name, key) {
        return Err("its name has a character that is not ASCII");
    }
    let Some(assigned) = assigned.trim_ascii_start().strip_prefix(b"=") else { return nothing(is_wanted) };
    let value = assigned.trim_ascii_start();
    let Some(quote) = value.first().copied().filter(|byte| b"'\"".contains(byte)) else {
        return Ok(Binding { is_wanted, value: Some(certain(without_comment(value))), rest: after });
    };
    // A quoted value may go on over lines. It begins in this text, where the first line's quotation mark stands.
    let before_end = line_end(text, after) - value.len();
    let quoted = text.get(before_end + 1..).unwrap_or_default();
    let Some((inner, behind)) = split_at(quoted, |byte| byte == quote) else {
        return if is_wanted { Err("a quotation mark has no pair") } else { nothing(false) };
    };
    if inner.last() == Some(&b'\\') {
        return Err("a quotation mark follows a backslash");
    }
    let (tail, rest) = first_line(behind);
    let tail = tail.trim_ascii();
    let is_whole = tail.is_empty() || tail.starts_with(b"#");
    let value = if is_whole { certain(inner) } else { Err("something follows the quoted value") };
    Ok(Binding { is_wanted, value: Some(value), rest })
}

/// Returns the value, unless python-dotenv makes another one of it.
fn certain(value: &[u8]) -> Result<&[u8], Doubt> {
    let is_plain = !value.iter().any(|byte| b"\\$\n".contains(byte));
    if is_plain { Ok(value) } else { Err("its value is not plain") }
}

/// Returns an unquoted value without a comment, which begins after white space.
fn without_comment(value: &[u8]) -> &[u8] {
    let comment =
        value.windows(2).position(|pair| matches!(pair, [blank, b'#'] if blank.is_ascii_whitespace()));
    value.get(..comment.unwrap_or(value.len())).unwrap_or_default().trim_ascii_end()
}

/// Returns the offset in the text of the end of its first line without the white space there; `after` is what follows the line.
fn line_end(text: &[u8], after: &[u8]) -> usize {
    let line = text.get(..text.len() - after.len()).unwrap_or_default();
    line.trim_ascii_end().len()
}

/// Splits a text before its first line feed.
fn first_line(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len()))
}

/// Splits a text at the first byte of a kind, which is in neither part.
fn split_at(text: &[u8], is_end: impl Fn(u8) -> bool) -> Option<(&[u8], &[u8])> {
    let (before, behind) = text.split_at(text.iter().position(|byte| is_end(*byte))?);
    Some((before, behind.get(1..).unwrap_or_default()))
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: usize, word: &str) -> Answer {
        Answer::Value { line, word: word.as_bytes().to_vec() }
    }

    #[test]
    fn a_plain_variable_is_read_and_another_one_is_not() {
        for (text, expected) in [
            ("", Answer::Absent),
            ("OTHER=1\n", Answer::Absent),
            ("KEY=true", value(1, "true")),
            ("KEY=true\n", value(1, "true")),
            ("\u{feff}KEY=true\r\n", value(1, "true")),
            ("# x\n\n  KEY = true \t\n", value(3, "true")),
            ("export KEY=on", value(1, "on")),
            ("export\tKEY=on", value(1, "on")),
            ("exportKEY=on", Answer::Absent),
            ("KEY='yes'", value(1, "yes")),
            ("KEY=\" yes \" # comment", value(1, "yes")),
            ("KEY=\"yes\"#comment", value(1, "yes")),
            ("'KEY'=1", value(1, "1")),
            ("KEY=1 # KEY=0", value(1, "1")),
            ("KEY=1#0", value(1, "1#0")),
            ("KEY=", value(1, "")),
            ("KEY=\n=x\n", value(1, "")),
            ("='x\nKEY=1\ny'\n", value(2, "1")),
            ("KEY=''", value(1, "")),
            ("KEY=yes please", value(1, "yes please")),
            ("KEY=1\nKEY=0\n", value(2, "0")),
            ("#KEY=1\n", Answer::Absent),
            ("MY_KEY=1\nKEYS=1\nkey=1\n", Answer::Absent),
            ("OTHER=KEY=1\nOTHER=x KEY=1\nOTHER='KEY=1'\n", Answer::Absent),
            ("OTHER\nKEY KEY=1\n", Answer::Unsure { line: 2, why: "it is not KEY=VALUE" }),
        ] {
            assert_eq!(variable(text.as_bytes(), "KEY"), expected, "{text:?}");
        }
    }

    #[test]
    fn a_value_of_several_lines_hides_what_is_in_it() {
        for (text, expected) in [
            ("A=\"x\nKEY=1\ny\"\nKEY=0\n", value(4, "0")),
            ("A='x\nKEY=1\n'\n", Answer::Absent),
            ("A='x\nKEY=1\n' # z\nKEY=2", value(4, "2")),
            // What has no pair is one line, and what follows the end is no binding.
            ("A='x\nKEY=1\n", value(2, "1")),
            ("A='x\n' KEY=1\nKEY=2", value(3, "2")),
        ] {
            assert_eq!(variable(text.as_bytes(), "KEY"), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_plain_is_a_doubt_where_the_variable_may_follow() {
        let unsure = |line, why| Answer::Unsure { line, why };
        for (text, expected) in [
            ("KEY", unsure(1, "it is not KEY=VALUE")),
            ("export KEY\n", unsure(1, "it is not KEY=VALUE")),
            ("KEY: 1\n", Answer::Absent),
            ("KEY=$OTHER", unsure(1, "its value is not plain")),
            ("KEY='${OTHER}'", unsure(1, "its value is not plain")),
            ("KEY=\"\\x31\"", unsure(1, "its value is not plain")),
            ("KEY=\"1\n\"", unsure(1, "its value is not plain")),
            ("KEY=\"1\"2", unsure(1, "something follows the quoted value")),
            ("KEY=\"1\n", unsure(1, "a quotation mark has no pair")),
            ("A=\"x\\\"\nKEY=1\n\"", unsure(1, "a quotation mark follows a backslash")),
            ("KEY=1\nA=\"x\\\"\n", value(1, "1")),
            ("x\rKEY=1\n", unsure(1, "it has a carriage return")),
            ("\u{a0}KEY=1\n", unsure(1, "its name has a character that is not ASCII")),
            ("'A\nKEY'=1\n", unsure(1, "a quotation mark has no pair")),
        ] {
            assert_eq!(variable(text.as_bytes(), "KEY"), expected, "{text:?}");
        }
        assert_eq!(variable(b"A=\xff\nKEY=1", "KEY"), value(2, "1"));
    }

    #[test]
    fn the_time_for_a_text_grows_with_its_length() {
        for part in ["A='x\n", "A=\"\n", "KEY=1\n", "A='\\'\n", "'\n", "\n", "A=\n"] {
            let text = part.repeat(64_000) + "KEY=1";
            let _ = variable(text.as_bytes(), "KEY");
        }
    }
}
