//! One boolean of a config.yaml, by its path: `multiplex_profiles` at the top level or under `gateway:`, `standalone` under
//! `gateway:`.
//!
//! Written by hand: a YAML parser would be a fourth dependency beside the three that the project allows itself. This reader knows the
//! two levels of mappings on the path, skips everything else by the rules of YAML 1.1, and reports a doubt where it cannot be sure.

mod scan;

use scan::{Head, Key, SYNTAX, Scanner, Value, without_comment};

use super::budget::{Budget, CONFIG_FREE};
use super::contents::Contents;
use crate::sys::{Dir, Name, Reason, file};

/// The file, in the directory of a profile.
pub static CONFIG: Name = Name::fixed(c"config.yaml");
/// Largest config.yaml that is read, in bytes. Hermes Agent's own example, with all its comments, has 126,181.
pub const CAP: u64 = 1 << 20;

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
        /// What the doubt is.
        why: &'static str,
    },
}

/// Why the reader cannot be sure.
type Doubt = &'static str;

/// The place of a key, and how its value is read.
#[derive(Clone, Copy)]
struct Place {
    /// The key of the top level whose mapping has the key; `None` if the top level itself has it.
    section: Option<&'static str>,
    key: &'static str,
    /// Returns the boolean that a value on the key's line is; `None` if that is not certain.
    boolean: fn(&[u8]) -> Option<bool>,
    /// The doubt if it is not certain.
    unclear: Doubt,
    /// The doubt if the key occurs again.
    twice: Doubt,
}

const GATEWAY: &str = "gateway";
const MULTIPLEX: Place = Place {
    section: None,
    key: "multiplex_profiles",
    boolean: plain,
    unclear: "multiplex_profiles is neither true nor false",
    twice: "multiplex_profiles occurs twice",
};
const STANDALONE: Place = Place {
    section: Some(GATEWAY),
    key: "standalone",
    boolean: truth,
    unclear: "gateway.standalone is not clearly yes or no",
    twice: "gateway.standalone occurs twice",
};

/// Reads `gateway.standalone` in the config.yaml of a profile's directory; [`Answer::Absent`] if there is no such file.
pub fn read_standalone(contents: Contents<'_>, budget: &Budget) -> Result<Answer, Reason> {
    Ok(budget.configs.find(contents, &CONFIG, CAP)?.map_or(Answer::Absent, |(text, _)| standalone(&text)))
}

/// [`read_standalone`] for a directory below one, with one call where it has no such file. Fails if the directory is a symlink, or the file
/// is so large that it costs something of a budget.
pub fn read_standalone_below(dir: &Dir, directory: &Name) -> Result<Answer, Reason> {
    let text = file::find_below(dir, directory, &CONFIG, CONFIG_FREE)?;
    Ok(text.map_or(Answer::Absent, |text| standalone(&text)))
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
            Answer::Unsure { line, why: "multiplex_profiles occurs twice, with different values" }
        }
        (Answer::Absent, _) | (_, Answer::Unsure { .. }) => nested,
        _ => top,
    }
}

/// Reads a value as `PyYAML`'s `safe_load` does: `true`, `yes`, `on` and their like without quotes are true.
fn plain(value: &[u8]) -> Option<bool> {
    match value {
        b"true" | b"True" | b"TRUE" | b"yes" | b"Yes" | b"YES" | b"on" | b"On" | b"ON" => Some(true),
        b"false" | b"False" | b"FALSE" | b"no" | b"No" | b"NO" | b"off" | b"Off" | b"OFF" | b"" | b"~"
        | b"null" | b"Null" | b"NULL" => Some(false),
        _ => None,
    }
}

/// Reads a value as the Python does: text is true if it is a word for yes, and anything else if it is neither zero nor empty.
fn truth(value: &[u8]) -> Option<bool> {
    let is_word = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_alphanumeric() || b" _-".contains(byte));
    let word = match value {
        b"" | b"~" | b"0" | b"[]" | b"{}" => return Some(false),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => return Some(true),
        // Text with escapes, or with white space that is not ASCII, is a doubt.
        [quote @ (b'"' | b'\''), text @ .., end] if quote == end && is_word(text) => text.trim_ascii(),
        [first, ..] if first.is_ascii_alphabetic() && is_word(value) => value,
        _ => return None,
    };
    Some([&b"1"[..], b"true", b"yes", b"on"].iter().any(|yes| word.eq_ignore_ascii_case(yes)))
}

/// Finds a key and reads its value.
fn boolean(text: &[u8], place: Place) -> Answer {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let key = place.key.as_bytes();
    // Most documents lack the key and need not be understood. Only an escape in a name could hide it.
    if !text.windows(key.len()).any(|window| window == key) && !text.contains(&b'\\') {
        return Answer::Absent;
    }
    let mut reader = Reader::new(text, place);
    match check(text).and_then(|()| reader.document()) {
        Ok(()) => reader.found,
        Err(why) => Answer::Unsure { line: reader.scan.number(), why },
    }
}

/// Fails if there are characters that YAML does not allow, or line breaks other than newlines.
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
            return Err("a character that YAML does not allow, or a line break other than a newline");
        }
    }
    Ok(())
}

/// A mapping in block style.
#[derive(Clone, Copy)]
struct Level {
    /// The column of its keys.
    column: usize,
    /// Whether its last key has no value yet: a sequence may begin in the same column.
    is_open: bool,
}

/// Where the reader is relative to the section's mapping.
#[derive(Clone, Copy)]
enum Section {
    /// Before its key, or after its last line.
    Outside,
    /// After its key, before its first line.
    Begun,
    /// In this mapping.
    Inside(Level),
}

/// How the last line that was read ended, which decides what the next one may be.
#[derive(Clone, Copy)]
enum Last {
    /// With a value that has an end, or none was read.
    Closed,
    /// With a plain value. Lines that are deeper than the column of its key or dash belong to it.
    Plain { column: usize },
    /// With a key or a dash in this column and no value.
    Empty { column: usize },
    /// With the value of the key that is looked for, which is in this column.
    Found { column: usize },
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
    /// What has been read of the key.
    found: Answer,
    /// The mapping of the top level; `None` before its first line.
    top: Option<Level>,
    section: Section,
    /// Whether the section's key has occurred.
    has_section: bool,
    last: Last,
}

const NOT_BLOCK: Doubt = "gateway is not a mapping in block style";

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], place: Place) -> Reader<'a> {
        Reader {
            scan: Scanner { text, at: 0 },
            place,
            found: Answer::Absent,
            top: None,
            section: Section::Outside,
            has_section: false,
            last: Last::Closed,
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
            } else if matches!(self.last, Last::Plain { column } if indent > column) {
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
        if let Last::Found { column } = self.last
            && (indent > column || (indent == column && head.dash))
        {
            return Err(self.place.unclear);
        }
        let mapping = self.mapping(indent, head.dash)?;
        let name = match (mapping, head.key) {
            (Mapping::Other, _) => &b""[..],
            (_, Key::Named(name)) => name,
            (_, Key::Any) => return Err("a key that cannot be determined"),
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
        let is_true = (self.place.boolean)(text).ok_or(self.place.unclear)?;
        if self.found != Answer::Absent {
            return Err(self.place.twice);
        }
        let line = self.scan.number();
        self.found = if is_true { Answer::True { line } } else { Answer::False { line } };
        self.scan.next_line();
        self.last = Last::Found { column: indent };
        Ok(())
    }

    /// Begins the section after its key; `text` is what is on the key's line.
    fn enter(&mut self, value: Value, text: &[u8]) -> Result<(), Doubt> {
        let is_second = std::mem::replace(&mut self.has_section, true);
        match (value, text) {
            _ if is_second => Err("gateway occurs twice"),
            (Value::Nothing, b"") => {
                self.section = Section::Begun;
                Ok(())
            }
            (Value::Plain | Value::Closed, b"~" | b"null" | b"Null" | b"NULL") => Ok(()),
            _ => Err(NOT_BLOCK),
        }
    }

    /// Notes how a line with this value ends.
    fn expect(&mut self, head: &Head<'_>, value: Value) -> Result<(), Doubt> {
        let has_head = head.dash || !matches!(head.key, Key::Missing);
        let column = match self.last {
            _ if has_head => Some(head.column),
            // A value below its key or dash.
            Last::Empty { column } => Some(column),
            Last::Closed | Last::Plain { .. } | Last::Found { .. } => None,
        };
        self.last = match (value, column) {
            (Value::Plain, None) => return Err(SYNTAX),
            (Value::Plain, Some(column)) => Last::Plain { column },
            (Value::Nothing, Some(column)) => Last::Empty { column },
            (Value::Nothing, None) | (Value::Closed, _) => Last::Closed,
        };
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
