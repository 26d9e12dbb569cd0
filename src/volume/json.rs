//! JSON objects of the volume, read one key at a time: the rest of the text stays as it is, so that nothing in it is lost
//! when one key is set. serde_json says whether a text is JSON; what is known to be is stepped through here, because its way to
//! a string leads past every number and every error text that it has.

use std::ops::Range;
use std::str::Chars;

use serde_json::value::RawValue;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// An object's text.
#[derive(Clone, Copy)]
pub struct Object<'a>(&'a str);

/// A member's value, as far as it is used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No such key, or null, which is as good as none.
    Absent,
    /// A string.
    Text(String),
    /// Anything else.
    Other,
}

impl<'a> Object<'a> {
    /// An object without members.
    pub const EMPTY: Object<'static> = Object("{}");

    /// Reads a text that may begin with a UTF-8 byte order mark; says what is wrong with one that is no JSON object.
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, &'static str> {
        let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        if serde_json::from_str::<&RawValue>(text).is_err() {
            return Err("not JSON");
        }
        if text.trim_ascii_start().starts_with('{') { Ok(Object(text)) } else { Err("not a JSON object") }
    }

    /// The value of a key; of a key that stands twice, the last one, as in Python.
    pub fn get(self, key: &str) -> Value {
        let Some(value) = self.find(key).and_then(|place| self.0.get(place)) else { return Value::Absent };
        match value.as_bytes().first() {
            Some(b'n') => Value::Absent,
            Some(b'"') => Value::Text(unescape(value)),
            _ => Value::Other,
        }
    }

    /// The text with this key set to this value (a JSON text); everything else keeps its bytes and its order.
    pub fn with(self, key: &str, value: &str) -> String {
        let (place, value) = match self.find(key) {
            Some(place) => (place, value.to_owned()),
            None => {
                // Behind the last member, before the white space that ends the object.
                let body = self.0.trim_ascii_end();
                let body = body.strip_suffix('}').unwrap_or(body).trim_ascii_end();
                let comma = if body.ends_with('{') { "" } else { ", " };
                (body.len()..body.len(), [comma, "\"", key, "\": ", value].concat())
            }
        };
        let part = |range: Range<usize>| self.0.get(range).unwrap_or_default();
        [part(0..place.start), &value, part(place.end..self.0.len())].concat()
    }

    /// Where the value of a key stands.
    fn find(self, key: &str) -> Option<Range<usize>> {
        let mut steps = Steps { text: self.0.as_bytes(), at: 0 };
        let mut found = None;
        while steps.to(b'"') {
            let name = steps.value();
            steps.to(b':');
            steps.at += 1;
            let value = steps.value();
            if unescape(self.0.get(name).unwrap_or_default()) == key {
                found = Some(value);
            }
        }
        found
    }
}

/// Steps through the text of an object that is known to be one.
struct Steps<'a> {
    text: &'a [u8],
    at: usize,
}

impl Steps<'_> {
    /// Goes to the next such byte, over punctuation and white space; whether there is one.
    fn to(&mut self, byte: u8) -> bool {
        while self.text.get(self.at).is_some_and(|found| *found != byte) {
            self.at += 1;
        }
        self.at < self.text.len()
    }

    /// Steps over a value and the white space before it; where it stands.
    fn value(&mut self) -> Range<usize> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        let (start, mut depth) = (self.at, 0);
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => break,
                b'}' | b']' => depth -= 1,
                _ => (),
            }
            self.at += 1;
        }
        start..self.at
    }

    /// From a string's first quote to its last one.
    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at).filter(|byte| **byte != b'"') {
            self.at += if *byte == b'\\' { 2 } else { 1 };
        }
    }
}

/// What a string's text in its quotes says. Half of a surrogate pair is U+FFFD.
fn unescape(quoted: &str) -> String {
    let mut said = String::new();
    let mut rest = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().chars();
    while let Some(character) = rest.next() {
        said.push(if character == '\\' { escaped(&mut rest) } else { character });
    }
    said
}

/// The character behind a backslash.
fn escaped(rest: &mut Chars<'_>) -> char {
    match rest.next() {
        Some('b') => '\x08',
        Some('f') => '\x0c',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let mut unit = four_digits(rest);
            let mut ahead = rest.clone();
            if unit >> 10 == 0xd800 >> 10 && ahead.next() == Some('\\') && ahead.next() == Some('u') {
                let low = four_digits(&mut ahead);
                if low >> 10 == 0xdc00 >> 10 {
                    unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
                    *rest = ahead;
                }
            }
            char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        other => other.unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

fn four_digits(rest: &mut Chars<'_>) -> u32 {
    rest.take(4).fold(0, |unit, digit| unit << 4 | digit.to_digit(16).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Object<'_>, &'static str> {
        Object::parse(text.as_bytes())
    }

    #[test]
    fn what_is_no_object_is_said() {
        assert_eq!(Object::parse(b"\xff").err(), Some("not UTF-8"));
        for text in ["", "{", "nonsense", "{\"a\":}", "{} x", "{'a':1}", &"[".repeat(100_000)] {
            assert_eq!(parse(text).err(), Some("not JSON"));
        }
        for text in ["[]", "3", "\"x\"", "null", "true"] {
            assert_eq!(parse(text).err(), Some("not a JSON object"), "{text}");
        }
    }

    #[test]
    fn values_are_texts_or_not() {
        let object = parse(
            "\u{feff}{\"a\": \"x\\ny\", \"b\": 1, \"c\": null, \"d\": \"1\", \"d\": \"2\", \"\\u0065\": \"u\"}",
        );
        for (key, value) in [
            ("a", Value::Text("x\ny".to_owned())),
            ("b", Value::Other),
            ("c", Value::Absent),
            ("d", Value::Text("2".to_owned())),
            ("e", Value::Text("u".to_owned())),
            ("f", Value::Absent),
        ] {
            assert_eq!(object.map(|object| object.get(key)).ok(), Some(value), "{key}");
        }
    }

    #[test]
    fn strings_say_what_their_escapes_say() {
        for (text, said) in [
            (r#""""#, ""),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\x08\x0c\n\r\t"),
            (r#""\u00e9\ud83d\ude00x""#, "é😀x"),
            (r#""\ud83dx\ude00\ud83d\u0041""#, "\u{fffd}x\u{fffd}\u{fffd}A"),
            (r#""\uD83D\uDE00""#, "😀"),
        ] {
            assert_eq!(unescape(text), said, "{text}");
        }
    }

    #[test]
    fn a_key_within_a_value_is_none() {
        let object = parse(r#"{"x": {"a": 1}, "y": "\"a\": 2", "z": ["a", {"b": "}]"}], "a\\": 3}"#);
        assert_eq!(
            object.map(|object| (object.get("a"), object.get("b"), object.get("z"))),
            Ok((Value::Absent, Value::Absent, Value::Other))
        );
        assert_eq!(object.map(|object| object.get("a\\")), Ok(Value::Other));
    }

    #[test]
    fn setting_keys_keeps_everything_else() {
        let set = |text: &str| -> Result<String, &'static str> {
            let once = parse(text).map(|object| object.with("s", "\"run\""))?;
            parse(&once).map(|object| object.with("t", "\"now\""))
        };
        for (text, result) in [
            ("{}", r#"{"s": "run", "t": "now"}"#),
            ("{ }\n", "{\"s\": \"run\", \"t\": \"now\" }\n"),
            (r#"{"n": 1e400, "s" : "old"}"#, r#"{"n": 1e400, "s" : "run", "t": "now"}"#),
            (r#"{"t":{"x":[1]},"z":"}","s":null}"#, r#"{"t":"now","z":"}","s":"run"}"#),
            ("{\n  \"a\": 1\n}\n", "{\n  \"a\": 1, \"s\": \"run\", \"t\": \"now\"\n}\n"),
            (r#"{"s": 1, "s": 2, "t": 0}"#, r#"{"s": 1, "s": "run", "t": "now"}"#),
        ] {
            assert_eq!(set(text).as_deref(), Ok(result), "{text}");
        }
    }
}
