//! JSON: objects that are read, of which single members can be set, and objects that are written.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde_json::value::RawValue;

use super::escape::Quoted;
use crate::sys::number::decimal;

const BOM: &[u8] = b"\xef\xbb\xbf";
/// White space of JSON.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// A JSON object that has been read.
#[derive(Debug)]
pub struct Object<'a> {
    /// The object, without white space around it.
    text: &'a str,
    /// Where the value of each name stands in the text. Of a name that occurs more than once the last value counts, as in Python.
    values: BTreeMap<String, Range<usize>>,
}

/// The value of a name, as far as it is used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No such name, or null, which counts as none.
    Absent,
    /// A string.
    Text(String),
    /// Anything else, also a string with half of a surrogate pair in it.
    Other,
}

impl Value {
    fn of(text: &str) -> Value {
        match text {
            "null" => Value::Absent,
            value => serde_json::from_str(value).map_or(Value::Other, Value::Text),
        }
    }
}

impl Default for Object<'_> {
    /// Returns the object without members.
    fn default() -> Self {
        Object { text: "{}", values: BTreeMap::new() }
    }
}

impl<'a> Object<'a> {
    /// Parses a text, which may begin with a UTF-8 byte order mark. The error says why it is no JSON object.
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, &'static str> {
        let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?.trim_matches(BLANKS);
        match values(text).or_else(|| values(&without_surrogates(text))) {
            Some(values) => Ok(Object { text, values }),
            None if serde_json::from_str::<&RawValue>(text).is_ok() => Err("not a JSON object"),
            None => Err("not JSON"),
        }
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &str) -> Value {
        self.value(name).map_or(Value::Absent, Value::of)
    }

    /// Returns the value of a name if it is a whole number that is not negative.
    pub fn number(&self, name: &str) -> Option<u64> {
        decimal(self.value(name)?.as_bytes())
    }

    /// Returns the values of a name's list; `None` if its value is no list.
    pub fn list(&self, name: &str) -> Option<Vec<Value>> {
        let values: Vec<&RawValue> = serde_json::from_str(self.value(name)?).ok()?;
        Some(values.into_iter().map(|value| Value::of(value.get())).collect())
    }

    /// Returns whether there is such a name, whatever its value is.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).and_then(|place| self.text.get(place.clone()))
    }

    /// Returns the object's text with these members set: a name that is there gets another value, one that is not is added with its
    /// value at the end. Everything else stays as it is, byte for byte.
    pub fn with(&self, members: &[(&str, Scalar<'_>)]) -> String {
        let set = members.iter().filter_map(|(name, value)| {
            let place = self.values.get(*name)?;
            Some((place.clone(), value.to_string()))
        });
        let new = members.iter().filter(|(name, _)| !self.has(name)).copied();
        let new = new.map(member).collect::<Vec<_>>().join(", ");
        let added = match self.values.values().map(|place| place.end).max() {
            _ if new.is_empty() => None,
            Some(end) => Some((end..end, format!(", {new}"))),
            // After the brace.
            None => Some((1..1, new)),
        };
        let mut edits: Vec<(Range<usize>, String)> = set.chain(added).collect();
        // The last one comes first, so that the places of the others stay right.
        edits.sort_by_key(|(place, _)| Reverse(place.start));
        edits.into_iter().fold(self.text.to_owned(), |mut text, (place, value)| {
            text.replace_range(place, &value);
            text
        })
    }
}

/// Returns where the values of an object stand; `None` if the text is no object, or one of its names is no Unicode string.
/// `serde_json` skips values without recursion, whatever their depth, and takes any number.
fn values(text: &str) -> Option<BTreeMap<String, Range<usize>>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let place = |value: &RawValue| {
        let start = value.get().as_ptr().addr() - text.as_ptr().addr();
        start..start + value.get().len()
    };
    Some(members.into_iter().map(|(name, value)| (name, place(value))).collect())
}

/// Returns the text with U+FFFD in place of each surrogate: Python writes names with half of a surrogate pair, which `serde_json` does
/// not take for strings. The escapes have the same length, so that every value stands where it stood.
fn without_surrogates(text: &str) -> String {
    let is_surrogate =
        |digits| u32::from_str_radix(digits, 16).is_ok_and(|unit| (0xd800..0xe000).contains(&unit));
    let replaced = text.split("\\u").map(|part| match part.split_at_checked(4) {
        Some((digits, rest)) if is_surrogate(digits) => format!("fffd{rest}"),
        _ => part.to_owned(),
    });
    replaced.collect::<Vec<_>>().join("\\u")
}

/// A value that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i128),
    /// A string. What is no UTF-8 becomes U+FFFD.
    Text(&'a [u8]),
}

/// Returns an object with these members on one line, as Python's `json.dumps` writes it.
pub fn object<'a>(members: impl IntoIterator<Item = (&'a str, Scalar<'a>)>) -> String {
    let members: Vec<String> = members.into_iter().map(member).collect();
    format!("{{{}}}", members.join(", "))
}

fn member((name, value): (&str, Scalar<'_>)) -> String {
    format!("{}: {value}", Quoted(name.as_bytes()))
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Null => out.write_str("null"),
            Scalar::Bool(value) => value.fmt(out),
            Scalar::Number(number) => number.fmt(out),
            Scalar::Text(text) => Quoted(text).fmt(out),
        }
    }
}

impl From<bool> for Scalar<'_> {
    fn from(value: bool) -> Self {
        Scalar::Bool(value)
    }
}

impl From<i64> for Scalar<'_> {
    fn from(number: i64) -> Self {
        Scalar::Number(number.into())
    }
}

impl From<u32> for Scalar<'_> {
    fn from(number: u32) -> Self {
        Scalar::Number(number.into())
    }
}

impl From<u64> for Scalar<'_> {
    fn from(number: u64) -> Self {
        Scalar::Number(number.into())
    }
}

impl From<usize> for Scalar<'_> {
    fn from(number: usize) -> Self {
        Scalar::from(number as u64)
    }
}

impl<'a> From<&'a [u8]> for Scalar<'a> {
    fn from(text: &'a [u8]) -> Self {
        Scalar::Text(text)
    }
}

impl<'a> From<&'a str> for Scalar<'a> {
    fn from(text: &'a str) -> Self {
        Scalar::Text(text.as_bytes())
    }
}

impl<'a, T: Into<Scalar<'a>>> From<Option<T>> for Scalar<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Scalar::Null, Into::into)
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
        for text in [
            "",
            "{",
            "nonsense",
            "{\"a\":}",
            "{} x",
            "{'a':1}",
            "[1",
            "3 x",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{1:1}",
            "{\"a\":\"\\ud83\"}",
            "{\"\\ud83d\":1",
            "{\"\\ud83g\":1}",
            "\u{a0}{}",
            &"[".repeat(100_000),
        ] {
            assert_eq!(parse(text).err(), Some("not JSON"), "{text:.20}");
        }
        for text in ["[]", "3", "\"x\"", "null", "true", "1e400", "[\"\\ud83d\"]"] {
            assert_eq!(parse(text).err(), Some("not a JSON object"), "{text}");
        }
    }

    #[test]
    fn values_are_texts_or_not() {
        let text = "\u{feff}\r\n{\"a\": \"x\\ny\", \"b\": 1, \"c\": null, \"d\": \"1\", \"d\": \"2\", \"\\u0065\": \"u\", \
                    \"g\": \"\\ud83d\", \"h\": \"\\ud83d\\ude00\", \"i\": 1e400, \"\\u0000\": \"n\", \"\": \"e\"}\n";
        let object = parse(text);
        for (name, value) in [
            ("a", Value::Text("x\ny".to_owned())),
            ("b", Value::Other),
            ("c", Value::Absent),
            ("d", Value::Text("2".to_owned())),
            ("e", Value::Text("u".to_owned())),
            ("f", Value::Absent),
            ("g", Value::Other),
            ("h", Value::Text("😀".to_owned())),
            ("i", Value::Other),
            ("\0", Value::Text("n".to_owned())),
            ("", Value::Text("e".to_owned())),
        ] {
            assert_eq!(object.as_ref().map(|object| object.get(name)).ok(), Some(value), "{name}");
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_in_a_name_hides_no_other_member() {
        let text = r#"{"\ud83d": 1, "a": "\ud83d\ude00", "\\ud83d": 2, "b": "\\ud83d", "\uDFFF\ud800": 3, "c": "é"}"#;
        let object = parse(text);
        for (name, value) in [("a", "😀"), ("b", "\\ud83d"), ("c", "é")] {
            let expected = Some(Value::Text(value.to_owned()));
            assert_eq!(object.as_ref().map(|object| object.get(name)).ok(), expected, "{name}");
        }
    }

    #[test]
    fn depth_is_no_recursion() {
        let deep = format!("{{\"a\": {}{}, \"b\": \"x\"}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(parse(&deep).map(|object| object.get("b")).ok(), Some(Value::Text("x".to_owned())));
        assert_eq!(parse(&deep).map(|object| object.get("a")).ok(), Some(Value::Other));
        let objects = format!("{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
        assert_eq!(parse(&objects).map(|object| object.get("a")).ok(), Some(Value::Other));
    }

    #[test]
    fn a_name_within_a_value_is_none() {
        let object = parse(r#"{"x": {"a": 1}, "y": "\"a\": 2", "z": ["a", {"b": "}]"}], "a\\": 3}"#);
        let values = object.map(|object| ["a", "b", "z", "a\\"].map(|name| object.get(name)));
        assert_eq!(values.ok(), Some([Value::Absent, Value::Absent, Value::Other, Value::Other]));
    }

    #[test]
    fn a_list_is_one_of_values() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (list, expected) in [
            ("[]", Some(vec![])),
            (r#"[ "a" , "\u0062"]"#, Some(vec![text("a"), text("b")])),
            (r#"["a", null, 1, ["b"], {"c": "d"}, "\ud83d"]"#, {
                let other = || Value::Other;
                Some(vec![text("a"), Value::Absent, other(), other(), other(), other()])
            }),
            ("null", None),
            ("\"a\"", None),
            ("{}", None),
            ("1", None),
        ] {
            let text = format!("{{\"list\": {list}}}");
            assert_eq!(parse(&text).map(|object| object.list("list")), Ok(expected), "{list}");
        }
        assert_eq!(Object::default().list("list"), None);
    }

    #[test]
    fn a_number_is_a_whole_one() {
        let object =
            parse(r#"{"a": 999999999999999999, "b": -1, "c": 1.0, "d": "1", "e": null, "f": 1e400}"#);
        let numbers =
            object.map(|object| ["a", "b", "c", "d", "e", "f", "g"].map(|name| object.number(name)));
        assert_eq!(numbers.ok(), Some([Some(999_999_999_999_999_999), None, None, None, None, None, None]));
    }

    #[test]
    fn setting_members_keeps_everything_else() {
        for (text, result) in [
            ("{}", r#"{"s": "run", "t": 1}"#),
            (" { } \n", r#"{"s": "run", "t": 1 }"#),
            (r#"{"n": 1e400, "s" : "old"}"#, r#"{"n": 1e400, "s" : "run", "t": 1}"#),
            (r#"{"t":{"x":[1 ]},"z":"}","s":null}"#, r#"{"t":1,"z":"}","s":"run"}"#),
            (
                "{\n \"z\": 123456789012345678901234567890,\n \"a\": {\"s\": 1}\n}\n",
                "{\n \"z\": 123456789012345678901234567890,\n \"a\": {\"s\": 1}, \"s\": \"run\", \"t\": 1\n}",
            ),
            (
                r#"{"s": 1, "a": 1, "s": 2, "a": 2, "b": 3}"#,
                r#"{"s": 1, "a": 1, "s": "run", "a": 2, "b": 3, "t": 1}"#,
            ),
            (r#"{"\ud83d": "\u00e9", "\u0073": 1}"#, r#"{"\ud83d": "\u00e9", "\u0073": "run", "t": 1}"#),
            ("\u{feff}{\"é\": \"\\ud83d\"}", "{\"é\": \"\\ud83d\", \"s\": \"run\", \"t\": 1}"),
        ] {
            let set = parse(text).map(|object| object.with(&[("s", "run".into()), ("t", 1_u64.into())]));
            assert_eq!(set.as_deref(), Ok(result), "{text}");
        }
        assert_eq!(Object::default().with(&[]), "{}");
    }

    #[test]
    fn an_object_is_written_on_one_line() {
        let members: [(&str, Scalar<'_>); 9] = [
            ("text", "a \"b\"\n=é".into()),
            ("bytes", b"a\xff"[..].into()),
            ("yes", true.into()),
            ("no", false.into()),
            ("number", i64::MIN.into()),
            ("size", 7_usize.into()),
            ("none", None::<&str>.into()),
            ("some", Some(0_u32).into()),
            ("\"", Scalar::Null),
        ];
        assert_eq!(
            object(members),
            r#"{"text": "a \"b\"\n=\u00e9", "bytes": "a\ufffd", "yes": true, "no": false, "number": -9223372036854775808, "#
                .to_owned()
                + r#""size": 7, "none": null, "some": 0, "\"": null}"#
        );
        assert_eq!(object([]), "{}");
    }
}
