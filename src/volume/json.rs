//! JSON objects of the volume, read one key at a time: the rest of the text stays as it is, so that nothing in it is lost
//! when one key is set.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// An object's text, and its members as they stand in it.
pub struct Object<'a> {
    text: &'a str,
    members: BTreeMap<String, &'a RawValue>,
}

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
    /// Reads a text that may begin with a UTF-8 byte order mark; says what is wrong with one that is no JSON object.
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, &'static str> {
        let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        match serde_json::from_str(text) {
            Ok(members) => Ok(Object { text, members }),
            Err(error) if error.is_data() => Err("not a JSON object"),
            Err(_) => Err("not JSON"),
        }
    }

    /// The value of a key; of a key that stands twice, the last one, as in Python.
    pub fn get(&self, key: &str) -> Value {
        let Some(raw) = self.members.get(key).map(|raw| raw.get()) else { return Value::Absent };
        match raw.as_bytes().first() {
            Some(b'n') => Value::Absent,
            Some(b'"') => serde_json::from_str(raw).map_or(Value::Other, Value::Text),
            _ => Value::Other,
        }
    }

    /// The text with these keys set to these values (JSON texts); everything else keeps its bytes and its order.
    pub fn with(&self, settings: &[(&str, String)]) -> String {
        let mut places = Vec::new();
        let mut added = Vec::new();
        for (key, value) in settings {
            match self.members.get(*key).and_then(|raw| self.span(raw.get())) {
                Some(span) => places.push((span, value)),
                None => added.push((key, value)),
            }
        }
        places.sort_unstable();
        let mut out = String::with_capacity(self.text.len() + 128);
        let mut copied = 0;
        for ((start, end), value) in places {
            out.push_str(self.text.get(copied..start).unwrap_or_default());
            out.push_str(value);
            copied = end;
        }
        out.push_str(self.text.get(copied..).unwrap_or_default());
        let mut empty = self.members.is_empty();
        for (key, value) in added {
            let Some(brace) = out.rfind('}') else { break };
            // Behind the last member, before the white space that ends the object.
            let end = out.get(..brace).map_or(brace, |head| head.trim_end().len());
            let comma = if empty { "" } else { ", " };
            out.insert_str(end, &format!("{comma}\"{key}\": {value}"));
            empty = false;
        }
        out
    }

    /// Where a member's text stands in the object's: it is a slice of it.
    fn span(&self, member: &str) -> Option<(usize, usize)> {
        let start = (member.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        let end = start.checked_add(member.len())?;
        (self.text.get(start..end) == Some(member)).then_some((start, end))
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
        for text in ["", "{", "nonsense", "{\"a\":}", "{} x", "{'a':1}", &"[".repeat(100_000)] {
            assert_eq!(
                parse(text).err(),
                Some(if text.starts_with('[') { "not a JSON object" } else { "not JSON" })
            );
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
            assert_eq!(object.as_ref().map(|object| object.get(key)).ok(), Some(value), "{key}");
        }
    }

    #[test]
    fn setting_keys_keeps_everything_else() {
        let set = |text: &str| {
            parse(text).map(|object| object.with(&[("s", "\"run\"".to_owned()), ("t", "\"now\"".to_owned())]))
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
