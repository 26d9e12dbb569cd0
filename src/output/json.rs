//! JSON objects of the volume: one key is read or set, and all other members keep their bytes (`1e400`, big integers).

use std::borrow::Cow;
use std::fmt;

use serde_core::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::output::escape::Quoted;

const BOM: &[u8] = b"\xef\xbb\xbf";
/// JSON's blanks.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// A JSON object: the name and the value of each member as JSON text, in the object's order.
#[derive(Debug, Default)]
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a str)>);

/// The value of a key, as far as it is used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No such key, or null, which counts as none.
    Absent,
    /// A string.
    Text(String),
    /// Anything else, also a string with half of a surrogate pair in it.
    Other,
}

impl<'a> Object<'a> {
    /// Parses a text, which may begin with a UTF-8 byte order mark. The error says why it is no JSON object.
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, &'static str> {
        let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        Rest(text).object().ok_or_else(|| {
            let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
            if is_json { "not a JSON object" } else { "not JSON" }
        })
    }

    /// Returns the value of a key; of one that occurs more than once, the last value, as in Python.
    pub fn get(&self, key: &str) -> Value {
        match self.0.iter().rfind(|(name, _)| is_name(name, key)) {
            None | Some((_, "null")) => Value::Absent,
            Some((_, value)) => string(value).map_or(Value::Other, Value::Text),
        }
    }

    /// Returns whether there is such a key, whatever its value is.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| is_name(name, key))
    }

    /// Sets a key to a value, which is JSON text: replaces its last member, or appends one.
    pub fn set(&mut self, key: &str, value: &'a str) {
        match self.0.iter_mut().rfind(|(name, _)| is_name(name, key)) {
            Some((_, old)) => *old = value,
            None => self.0.push((Quoted(key.as_bytes()).to_string().into(), value)),
        }
    }
}

/// Returns whether JSON text is the name of a key.
fn is_name(text: &str, key: &str) -> bool {
    decoded(text) == key
}

/// Returns the string that JSON text has. Text with half of a surrogate pair, which Python writes, is no Unicode string and stands
/// for itself; it is no name that is ever looked up.
fn decoded(text: &str) -> Cow<'_, str> {
    match text.get(1..text.len().saturating_sub(1)) {
        Some(plain) if !plain.contains('\\') => plain.into(),
        _ => string(text).map_or(text.into(), Cow::from),
    }
}

/// Writes the object as JSON text on one line, with every member, also of a key that occurs more than once.
impl fmt::Display for Object<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "{";
        for (name, value) in &self.0 {
            write!(out, "{separator}{name}: {value}")?;
            separator = ", ";
        }
        out.write_str(if self.0.is_empty() { "{}" } else { "}" })
    }
}

/// What is left of a text in which `serde_json` finds the end of each value. It skips values without recursion, whatever their
/// depth.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Takes the next value, or the name of a member, as JSON text.
    fn value(&mut self) -> Option<&'a str> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let (value, rest) = self.0.split_at_checked(values.byte_offset())?;
        self.0 = rest;
        Some(value.trim_start_matches(BLANKS))
    }

    /// Takes a character, if it is the next one after blanks.
    fn takes(&mut self, character: char) -> bool {
        let rest = self.0.trim_start_matches(BLANKS).strip_prefix(character);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Takes an object, which has to be all that is left.
    fn object(mut self) -> Option<Object<'a>> {
        let mut members = Vec::new();
        let mut ends = self.takes('{').then(|| self.takes('}'))?;
        while !ends {
            let name = self.value().filter(|name| name.starts_with('"'))?;
            let value = self.takes(':').then(|| self.value())??;
            members.push((name.into(), value));
            ends = self.takes('}');
            if !ends && !self.takes(',') {
                return None;
            }
        }
        self.0.trim_start_matches(BLANKS).is_empty().then_some(Object(members))
    }
}

/// Returns the string that JSON text is; `None` if it is another value, or has half of a surrogate pair in it.
fn string(text: &str) -> Option<String> {
    serde_json::from_str::<Text>(text).ok()?.0
}

/// A string; of any other value, `None`.
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(AnyText)
    }
}

/// Takes a value of any type, so that none is an error: serde's errors are texts, which nobody would read.
struct AnyText;

impl<'de> Visitor<'de> for AnyText {
    type Value = Text;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(Some(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Text, A::Error> {
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Text, A::Error> {
        Ok(Text(None))
    }
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
        for text in ["", "{", "nonsense", "{\"a\":}", "{} x", "{'a':1}", "[1", "3 x", &"[".repeat(100_000)] {
            assert_eq!(parse(text).err(), Some("not JSON"), "{text:.20}");
        }
        for text in ["[]", "3", "\"x\"", "null", "true"] {
            assert_eq!(parse(text).err(), Some("not a JSON object"), "{text}");
        }
    }

    #[test]
    fn values_are_texts_or_not() {
        let text = "\u{feff}{\"a\": \"x\\ny\", \"b\": 1, \"c\": null, \"d\": \"1\", \"d\": \"2\", \"\\u0065\": \"u\", \
                    \"g\": \"\\ud83d\", \"h\": \"\\ud83d\\ude00\"}";
        let object = parse(text);
        for (key, value) in [
            ("a", Value::Text("x\ny".to_owned())),
            ("b", Value::Other),
            ("c", Value::Absent),
            ("d", Value::Text("2".to_owned())),
            ("e", Value::Text("u".to_owned())),
            ("f", Value::Absent),
            ("g", Value::Other),
            ("h", Value::Text("😀".to_owned())),
        ] {
            assert_eq!(object.as_ref().map(|object| object.get(key)).ok(), Some(value), "{key}");
        }
    }

    #[test]
    fn depth_is_no_recursion() {
        let deep = format!("{{\"a\": {}{}, \"b\": \"x\"}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(parse(&deep).map(|object| object.get("b")).ok(), Some(Value::Text("x".to_owned())));
    }

    #[test]
    fn a_key_within_a_value_is_none() {
        let object = parse(r#"{"x": {"a": 1}, "y": "\"a\": 2", "z": ["a", {"b": "}]"}], "a\\": 3}"#);
        let values = object.map(|object| ["a", "b", "z", "a\\"].map(|key| object.get(key)));
        assert_eq!(values.ok(), Some([Value::Absent, Value::Absent, Value::Other, Value::Other]));
    }

    #[test]
    fn setting_keys_keeps_every_other_member() {
        for (text, result) in [
            ("{}", r#"{"s": "run", "t": "now"}"#),
            (r#"{"n": 1e400, "s" : "old"}"#, r#"{"n": 1e400, "s": "run", "t": "now"}"#),
            (r#"{"t":{"x":[1 ]},"z":"}","s":null}"#, r#"{"t": "now", "z": "}", "s": "run"}"#),
            (
                "{\n \"a\": 123456789012345678901234567890\n}\n",
                "{\"a\": 123456789012345678901234567890, \"s\": \"run\", \"t\": \"now\"}",
            ),
            (
                r#"{"s": 1, "a": 1, "s": 2, "a": 2, "b": 3}"#,
                r#"{"s": 1, "a": 1, "s": "run", "a": 2, "b": 3, "t": "now"}"#,
            ),
            (r#"{"\ud83d": "\u00e9", "\u0073": 1}"#, r#"{"\ud83d": "\u00e9", "\u0073": "run", "t": "now"}"#),
        ] {
            let set = parse(text).map(|mut object| {
                object.set("s", "\"run\"");
                object.set("t", "\"now\"");
                object.to_string()
            });
            assert_eq!(set.as_deref(), Ok(result), "{text}");
        }
    }
}
