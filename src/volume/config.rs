//! `multiplex_profiles` in config.yaml, at the top level or under `gateway:`. No YAML library fits this executable: a reader
//! of these two keys that steps over everything else by the rules of YAML 1.1, and says so where it cannot be sure.

mod scan;

use scan::{Key, SYNTAX, Scanner, Value, without_comment};

/// Largest config.yaml that is read, in bytes.
pub const CAP: u64 = 4 << 20;

/// What config.yaml says about multiplexing. Lines count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Multiplex {
    /// Neither key is there.
    Absent,
    /// One of them is true.
    On {
        /// Where.
        line: usize,
    },
    /// There is one, and it is false or null.
    Off {
        /// Where.
        line: usize,
    },
    /// It cannot be said for certain.
    Unsure {
        /// Where.
        line: usize,
        /// Why.
        why: &'static str,
    },
}

/// Why a text cannot be read.
type Doubt = &'static str;

const KEY: &[u8] = b"multiplex_profiles";
const SECTION: &[u8] = b"gateway";

/// Reads the two keys. A value counts as PyYAML's safe_load takes it: true, yes, on and their like without quotes are true.
pub fn multiplex(text: &[u8]) -> Multiplex {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    // Most documents have no such key, and need not be understood: only an escape could hide it.
    if !text.windows(KEY.len()).any(|window| window == KEY) && !text.contains(&b'\\') {
        return Multiplex::Absent;
    }
    let mut reader = Reader { scan: Scanner { text, at: 0 }, top: None, nested: None };
    if let Err(why) = check(text).and_then(|()| reader.document()) {
        return Multiplex::Unsure { line: reader.scan.number(), why };
    }
    match (reader.top, reader.nested) {
        (Some((one, line)), Some((other, _))) if one != other => {
            Multiplex::Unsure { line, why: "multiplex_profiles stands twice, and not the same" }
        }
        (Some((on, line)), _) | (None, Some((on, line))) if on => Multiplex::On { line },
        (Some((_, line)), _) | (None, Some((_, line))) => Multiplex::Off { line },
        (None, None) => Multiplex::Absent,
    }
}

/// Refuses what YAML does not take, and line breaks that are not newlines.
fn check(text: &[u8]) -> Result<(), Doubt> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8")?;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let taken = match character {
            '\r' => characters.peek() == Some(&'\n'),
            '\n' | '\t' | ' '..='~' => true,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
            _ => character >= '\u{a0}',
        };
        if !taken {
            return Err("a character that YAML does not take, or a line break that is no newline");
        }
    }
    Ok(())
}

/// A mapping in block style.
#[derive(Clone, Copy)]
struct Level {
    /// Column of its keys.
    column: usize,
    /// Whether its last key had no value yet, so that a sequence may stand in the same column.
    open: bool,
}

/// `gateway`'s mapping.
#[derive(Clone, Copy)]
enum Section {
    /// We are not in it.
    Outside,
    /// Its first key is still to come.
    Begun,
    /// We are.
    Inside(Level),
}

/// Where a line stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Nested,
    Elsewhere,
}

struct Reader<'a> {
    scan: Scanner<'a>,
    top: Option<(bool, usize)>,
    nested: Option<(bool, usize)>,
}

const NOT_BLOCK: Doubt = "gateway is not a mapping in block style";

impl Reader<'_> {
    fn document(&mut self) -> Result<(), Doubt> {
        let mut root: Option<Level> = None;
        let (mut section, mut sections) = (Section::Outside, 0);
        // Columns: below which a plain line goes on; of the last head without a value; of our own key, just read.
        let (mut plain, mut last, mut ours): (Option<usize>, Option<usize>, Option<usize>) =
            (None, None, None);
        let mut begun = false;
        while let Some(indent) = self.scan.indent()? {
            if indent == 0 && self.scan.marker()? {
                if begun {
                    return Err("more than one document");
                }
                begun = true;
                continue;
            }
            begun = true;
            if plain.is_some_and(|column| indent > column) {
                self.scan.plain()?;
                continue;
            }
            let head = self.scan.head(indent)?;
            if ours.take().is_some_and(|column| indent > column || (indent == column && head.dash)) {
                return Err("multiplex_profiles is neither true nor false");
            }
            let top = root.get_or_insert(Level { column: indent, open: false });
            let place = place(indent, head.dash, top, &mut section)?;
            let name = match (place, head.key) {
                (Place::Elsewhere, _) => b"",
                (_, Key::Named(name)) => name,
                (_, Key::Any) => return Err("a key that could be any"),
                (_, Key::Missing) => return Err("a line without a key"),
            };
            if name == KEY {
                let found = (self.decide()?, self.scan.number());
                let slot = if place == Place::Top { &mut self.top } else { &mut self.nested };
                if slot.replace(found).is_some() {
                    return Err("multiplex_profiles stands twice");
                }
                self.scan.next_line();
                (plain, last, ours) = (None, None, Some(indent));
                continue;
            }
            let (start, here) = (self.scan.at, self.scan.line());
            let value = self.scan.value(head.column)?;
            match (place, &mut section) {
                (Place::Top, _) => top.open = value == Value::Nothing,
                (Place::Nested, Section::Inside(level)) => level.open = value == Value::Nothing,
                _ => (),
            }
            if place == Place::Top && name == SECTION {
                sections += 1;
                match (value, without_comment(here)) {
                    (Value::Nothing, b"") if sections == 1 => section = Section::Begun,
                    (Value::Plain | Value::Closed, b"~" | b"null" | b"Null" | b"NULL") if sections == 1 => (),
                    _ => {
                        // The line to name is the key's, not the one behind its value.
                        self.scan.at = start;
                        return Err(if sections > 1 { "gateway stands twice" } else { NOT_BLOCK });
                    }
                }
            }
            let below = if head.dash || !matches!(head.key, Key::Missing) { Some(head.column) } else { last };
            plain = match value {
                Value::Plain => Some(below.ok_or(SYNTAX)?),
                _ => None,
            };
            last = if value == Value::Nothing { below } else { None };
        }
        Ok(())
    }

    /// The value of our key, which must stand behind it. Leaves the reader on its line.
    fn decide(&self) -> Result<bool, Doubt> {
        match without_comment(self.scan.line()) {
            b"true" | b"True" | b"TRUE" | b"yes" | b"Yes" | b"YES" | b"on" | b"On" | b"ON" => Ok(true),
            b"false" | b"False" | b"FALSE" | b"no" | b"No" | b"NO" | b"off" | b"Off" | b"OFF" => Ok(false),
            b"" | b"~" | b"null" | b"Null" | b"NULL" => Ok(false),
            _ => Err("multiplex_profiles is neither true nor false"),
        }
    }
}

/// Where a line of this indent stands.
fn place(indent: usize, dash: bool, top: &Level, section: &mut Section) -> Result<Place, Doubt> {
    if indent < top.column
        || (dash && indent == top.column && !(top.open && matches!(section, Section::Outside)))
    {
        return Err("the top level is not a mapping in block style");
    }
    if indent == top.column {
        if !dash {
            *section = Section::Outside;
        }
        return Ok(if dash { Place::Elsewhere } else { Place::Top });
    }
    match section {
        Section::Outside => Ok(Place::Elsewhere),
        Section::Begun if dash => Err(NOT_BLOCK),
        Section::Begun => {
            *section = Section::Inside(Level { column: indent, open: false });
            Ok(Place::Nested)
        }
        Section::Inside(level)
            if indent < level.column || (dash && indent == level.column && !level.open) =>
        {
            Err(NOT_BLOCK)
        }
        Section::Inside(level) if indent == level.column && !dash => Ok(Place::Nested),
        Section::Inside(_) => Ok(Place::Elsewhere),
    }
}

#[cfg(test)]
mod tests;
