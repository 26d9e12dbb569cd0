//! One boolean of a config.yaml, by its path: `multiplex_profiles` at the top level or under `gateway:`, `standalone` under
//! `gateway:`.
//!
//! Written by hand: a YAML parser costs 25 to 49 KB of the executable and a fourth dependency beside the three that the project
//! allows itself. This reader knows the two levels of mappings on the path, steps over everything else by the rules of YAML 1.1,
//! and reports a doubt where it cannot be sure.

mod scan;

use scan::{Head, Key, SYNTAX, Scanner, Value, without_comment};

use crate::sys::{Dir, Name, Reason, file};

/// The file, in the directory of a profile.
pub static CONFIG: Name = Name::fixed(c"config.yaml");
/// Largest config.yaml that is read, in bytes.
pub const CAP: u64 = 4 << 20;

/// What config.yaml says about a boolean. Lines count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The key is not there.
    Absent,
    /// It is true.
    True {
        /// The line of the key.
        line: usize,
    },
    /// It is false or null.
    False {
        /// The line of the key.
        line: usize,
    },
    /// The reader cannot be sure.
    Unsure {
        /// The line of the doubt.
        line: usize,
        /// The reason.
        why: &'static str,
    },
}

/// Why a text cannot be read.
type Doubt = &'static str;

/// The place of a key: at the top level, or in a mapping there.
#[derive(Clone, Copy)]
struct Place {
    section: Option<&'static str>,
    key: &'static str,
    /// Returns the boolean that a value on the key's line stands for; `None` if that is not certain.
    boolean: fn(&[u8]) -> Option<bool>,
    /// The doubt about any other value.
    unclear: Doubt,
    /// The doubt about a second key.
    twice: Doubt,
}

const GATEWAY: &str = "gateway";
const MULTIPLEX: Place = Place {
    section: None,
    key: "multiplex_profiles",
    boolean: plain,
    unclear: "multiplex_profiles is neither true nor false",
    twice: "multiplex_profiles stands twice",
};
const STANDALONE: Place = Place {
    section: Some(GATEWAY),
    key: "standalone",
    boolean: truth,
    unclear: "gateway.standalone is neither yes nor no for certain",
    twice: "gateway.standalone stands twice",
};

/// Reads `gateway.standalone` in the config.yaml of a profile's directory; [`Answer::Absent`] if there is no such file.
pub fn read_standalone(dir: &Dir) -> Result<Answer, Reason> {
    Ok(file::find(dir, &CONFIG, CAP)?.map_or(Answer::Absent, |text| standalone(&text)))
}

/// Returns `gateway.standalone` of a config.yaml, for which a word for yes counts like true.
pub fn standalone(text: &[u8]) -> Answer {
    boolean(text, STANDALONE)
}

/// Reads `multiplex_profiles` from both of its places. They must not contradict each other.
pub fn multiplex(text: &[u8]) -> Answer {
    let top = boolean(text, MULTIPLEX);
    let nested = boolean(text, Place { section: Some(GATEWAY), ..MULTIPLEX });
    match (top, nested) {
        (Answer::Unsure { line: one, .. }, Answer::Unsure { line: other, .. }) if other < one => nested,
        (Answer::Unsure { .. }, _) | (_, Answer::Absent) => top,
        (Answer::True { line }, Answer::False { .. }) | (Answer::False { line }, Answer::True { .. }) => {
            Answer::Unsure { line, why: "multiplex_profiles stands twice, and not the same" }
        }
        (Answer::Absent, _) | (_, Answer::Unsure { .. }) => nested,
        _ => top,
    }
}

/// A value counts as `PyYAML`'s `safe_load` takes it: `true`, `yes`, `on` and their like without quotes are true.
fn plain(value: &[u8]) -> Option<bool> {
    let is_in = |words: &str| words.split(' ').any(|word| word.as_bytes() == value);
    if is_in("true True TRUE yes Yes YES on On ON") {
        Some(true)
    } else if value.is_empty() || is_in("false False FALSE no No NO off Off OFF ~ null Null NULL") {
        Some(false)
    } else {
        None
    }
}

/// A value counts as the Python takes it: text is true if it is a word for yes, and anything else if it is neither zero nor empty.
fn truth(value: &[u8]) -> Option<bool> {
    let is_word = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_alphanumeric() || b" _-".contains(byte));
    let word = match value {
        b"" | b"~" | b"0" | b"[]" | b"{}" => return Some(false),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => return Some(true),
        // Text with escapes, or with white space that is not ASCII, is left to a doubt.
        [quote @ (b'"' | b'\''), text @ .., end] if quote == end && is_word(text) => text.trim_ascii(),
        [first, ..] if first.is_ascii_alphabetic() && is_word(value) => value,
        _ => return None,
    };
    Some([&b"1"[..], b"true", b"yes", b"on"].iter().any(|yes| word.eq_ignore_ascii_case(yes)))
}

/// Reads a boolean.
fn boolean(text: &[u8], place: Place) -> Answer {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let key = place.key.as_bytes();
    // Most documents lack the key and need not be understood. Only an escape could hide it.
    if !text.windows(key.len()).any(|window| window == key) && !text.contains(&b'\\') {
        return Answer::Absent;
    }
    let mut reader = Reader::new(text, place);
    if let Err(why) = check(text).and_then(|()| reader.document()) {
        return Answer::Unsure { line: reader.scan.number(), why };
    }
    match reader.found {
        Some((true, line)) => Answer::True { line },
        Some((false, line)) => Answer::False { line },
        None => Answer::Absent,
    }
}

/// Refuses characters that YAML does not allow, and line breaks other than newlines.
fn check(text: &[u8]) -> Result<(), Doubt> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8")?;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_allowed = match character {
            '\r' => characters.peek() == Some(&'\n'),
            '\n' | '\t' | ' '..='~' => true,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
            _ => character >= '\u{a0}',
        };
        if !is_allowed {
            return Err("a character that YAML does not take, or a line break that is no newline");
        }
    }
    Ok(())
}

/// A mapping in block style.
#[derive(Clone, Copy)]
struct Level {
    /// The column of its keys.
    column: usize,
    /// Whether its last key has no value yet, so that a sequence may stand in the same column.
    is_open: bool,
}

/// Where the reader is relative to the section's mapping.
#[derive(Clone, Copy)]
enum Section {
    Outside,
    /// After its key, before its first line.
    Begun,
    Inside(Level),
}

/// The mapping to which a line belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mapping {
    Top,
    Section,
    Other,
}

struct Reader<'a> {
    scan: Scanner<'a>,
    place: Place,
    /// The value of the key, and its line.
    found: Option<(bool, usize)>,
    top: Option<Level>,
    section: Section,
    /// How often the section's key occurred.
    sections: usize,
    /// The column of the head whose plain value may go on; deeper lines belong to it.
    plain: Option<usize>,
    /// The column of the last head without a value.
    empty: Option<usize>,
    /// The column of the key, if the line before was its line.
    after_key: Option<usize>,
}

const NOT_BLOCK: Doubt = "gateway is not a mapping in block style";

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], place: Place) -> Reader<'a> {
        Reader {
            scan: Scanner { text, at: 0 },
            place,
            found: None,
            top: None,
            section: Section::Outside,
            sections: 0,
            plain: None,
            empty: None,
            after_key: None,
        }
    }

    /// Reads the one document of the text.
    fn document(&mut self) -> Result<(), Doubt> {
        let mut has_begun = false;
        while let Some(indent) = self.scan.indent()? {
            if indent == 0 && self.scan.marker()? {
                if has_begun {
                    return Err("more than one document");
                }
            } else if self.plain.is_some_and(|column| indent > column) {
                self.scan.plain()?;
            } else {
                self.line(indent)?;
            }
            has_begun = true;
        }
        Ok(())
    }

    /// Reads a line that begins with a key, a dash or a value, and the rest of that value.
    fn line(&mut self, indent: usize) -> Result<(), Doubt> {
        let head = self.scan.head(indent)?;
        if self.after_key.take().is_some_and(|key| indent > key || (indent == key && head.dash)) {
            return Err(self.place.unclear);
        }
        let mapping = self.mapping(indent, head.dash)?;
        let name = match (mapping, head.key) {
            (Mapping::Other, _) => &b""[..],
            (_, Key::Named(name)) => name,
            (_, Key::Any) => return Err("a key that could be any"),
            (_, Key::Missing) => return Err("a line without a key"),
        };
        let holder = if self.place.section.is_some() { Mapping::Section } else { Mapping::Top };
        if mapping == holder && name == self.place.key.as_bytes() {
            return self.key(indent);
        }
        let is_section =
            mapping == Mapping::Top && self.place.section.is_some_and(|section| name == section.as_bytes());
        let (start, text) = (self.scan.at, without_comment(self.scan.line()));
        let value = self.scan.value(head.column)?;
        match (mapping, &mut self.top, &mut self.section) {
            (Mapping::Top, Some(level), _) | (Mapping::Section, _, Section::Inside(level)) => {
                level.is_open = value == Value::Nothing;
            }
            _ => (),
        }
        if is_section && let Err(doubt) = self.enter(value, text) {
            // The doubt is about the key's line, not about the one after its value.
            self.scan.at = start;
            return Err(doubt);
        }
        self.expect(&head, value)
    }

    /// Reads the value of the key, which must be on its line.
    fn key(&mut self, indent: usize) -> Result<(), Doubt> {
        let text = without_comment(self.scan.line());
        let value = (self.place.boolean)(text).ok_or(self.place.unclear)?;
        if self.found.replace((value, self.scan.number())).is_some() {
            return Err(self.place.twice);
        }
        self.scan.next_line();
        (self.plain, self.empty, self.after_key) = (None, None, Some(indent));
        Ok(())
    }

    /// Begins the section after its key; `text` is what is on the key's line.
    fn enter(&mut self, value: Value, text: &[u8]) -> Result<(), Doubt> {
        self.sections += 1;
        match (value, text) {
            _ if self.sections > 1 => Err("gateway stands twice"),
            (Value::Nothing, b"") => {
                self.section = Section::Begun;
                Ok(())
            }
            (Value::Plain | Value::Closed, b"~" | b"null" | b"Null" | b"NULL") => Ok(()),
            _ => Err(NOT_BLOCK),
        }
    }

    /// Notes which lines may follow a value.
    fn expect(&mut self, head: &Head<'_>, value: Value) -> Result<(), Doubt> {
        let has_head = head.dash || !matches!(head.key, Key::Missing);
        let column = if has_head { Some(head.column) } else { self.empty };
        self.plain = if value == Value::Plain { Some(column.ok_or(SYNTAX)?) } else { None };
        self.empty = if value == Value::Nothing { column } else { None };
        Ok(())
    }

    /// Returns the mapping to which a line with this indent belongs.
    fn mapping(&mut self, indent: usize, dash: bool) -> Result<Mapping, Doubt> {
        let top = *self.top.get_or_insert(Level { column: indent, is_open: false });
        let is_sequence_of_top = top.is_open && matches!(self.section, Section::Outside);
        if indent < top.column || (dash && indent == top.column && !is_sequence_of_top) {
            return Err("the top level is not a mapping in block style");
        }
        if indent == top.column {
            if dash {
                return Ok(Mapping::Other);
            }
            self.section = Section::Outside;
            return Ok(Mapping::Top);
        }
        match self.section {
            Section::Begun if dash => Err(NOT_BLOCK),
            Section::Begun => {
                self.section = Section::Inside(Level { column: indent, is_open: false });
                Ok(Mapping::Section)
            }
            Section::Inside(level)
                if indent < level.column || (dash && indent == level.column && !level.is_open) =>
            {
                Err(NOT_BLOCK)
            }
            Section::Inside(level) if indent == level.column && !dash => Ok(Mapping::Section),
            Section::Inside(_) | Section::Outside => Ok(Mapping::Other),
        }
    }
}

#[cfg(test)]
mod tests;
