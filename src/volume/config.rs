//! `multiplex_profiles` in config.yaml, at the top level or under `gateway:`. No YAML library fits this executable: a reader
//! of these two keys that steps over everything else by the rules of YAML 1.1, and says so where it cannot be sure.

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
    let mut reader = Reader { text, at: 0, top: None, nested: None };
    if let Err(why) = check(text).and_then(|()| reader.document()) {
        let line = text.get(..reader.at).unwrap_or(text).iter().filter(|byte| **byte == b'\n').count() + 1;
        return Multiplex::Unsure { line, why };
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

/// What stands behind a key, a dash or alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Nothing: a block below, or null.
    Nothing,
    /// A plain line, which more indented lines go on.
    Plain,
    /// What is over where it ends: quoted, flow, alias, block scalar.
    Closed,
}

/// A line in block context, up to its value.
struct Head<'a> {
    /// Whether it begins with a dash.
    dash: bool,
    /// Column of the innermost dash or key: what belongs to it stands deeper.
    column: usize,
    key: Key<'a>,
}

#[derive(Clone, Copy)]
enum Key<'a> {
    Missing,
    Named(&'a [u8]),
    /// A merge, an alias, one with a tag, an anchor or escapes: it could be any.
    Any,
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
    text: &'a [u8],
    at: usize,
    top: Option<(bool, usize)>,
    nested: Option<(bool, usize)>,
}

const SYNTAX: Doubt = "syntax that this reader does not know";
const NOT_BLOCK: Doubt = "gateway is not a mapping in block style";

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        // The end is as good as the end of a line.
        self.text.get(self.at + ahead).copied().unwrap_or(b'\n')
    }

    fn is_blank(&self, ahead: usize) -> bool {
        b" \t\r\n".contains(&self.peek(ahead))
    }

    fn skip_blanks(&mut self) {
        while b" \t\r".contains(&self.peek(0)) && self.at < self.text.len() {
            self.at += 1;
        }
    }

    /// The rest of the line.
    fn line(&self) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.split(|byte| *byte == b'\n').next().unwrap_or_default()
    }

    fn next_line(&mut self) {
        self.at = (self.at + self.line().len() + 1).min(self.text.len());
    }

    fn number(&self) -> usize {
        self.text.get(..self.at).unwrap_or(self.text).iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Steps over blank lines and comments; the indent of the line that follows, or none at the end.
    fn indent(&mut self) -> Result<Option<usize>, Doubt> {
        while self.at < self.text.len() {
            let line = self.line();
            let indent = line.iter().take_while(|byte| **byte == b' ').count();
            match line.get(indent) {
                None | Some(b'#' | b'\r') => self.next_line(),
                Some(b'\t') => return Err("a tab in the indentation"),
                Some(_) => return Ok(Some(indent)),
            }
        }
        Ok(None)
    }

    fn document(&mut self) -> Result<(), Doubt> {
        let mut root: Option<Level> = None;
        let (mut section, mut sections) = (Section::Outside, 0);
        // Columns: below which a plain line goes on; of the last head without a value; of our own key, just read.
        let (mut plain, mut last, mut ours): (Option<usize>, Option<usize>, Option<usize>) =
            (None, None, None);
        let mut begun = false;
        while let Some(indent) = self.indent()? {
            if indent == 0 && self.marker()? {
                if begun {
                    return Err("more than one document");
                }
                begun = true;
                continue;
            }
            begun = true;
            if plain.is_some_and(|column| indent > column) {
                self.plain()?;
                continue;
            }
            let head = self.head(indent)?;
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
                let found = (self.decide()?, self.number());
                let slot = if place == Place::Top { &mut self.top } else { &mut self.nested };
                if slot.replace(found).is_some() {
                    return Err("multiplex_profiles stands twice");
                }
                self.next_line();
                (plain, last, ours) = (None, None, Some(indent));
                continue;
            }
            let here = self.line();
            let value = self.value(head.column)?;
            match (place, &mut section) {
                (Place::Top, _) => top.open = value == Value::Nothing,
                (Place::Nested, Section::Inside(level)) => level.open = value == Value::Nothing,
                _ => (),
            }
            if place == Place::Top && name == SECTION {
                sections += 1;
                match (value, without_comment(here)) {
                    _ if sections > 1 => return Err("gateway stands twice"),
                    (Value::Nothing, b"") => section = Section::Begun,
                    (Value::Plain, b"~" | b"null" | b"Null" | b"NULL") => (),
                    _ => return Err(NOT_BLOCK),
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

    /// Steps over `---` and `...`; whether there was one.
    fn marker(&mut self) -> Result<bool, Doubt> {
        let line = self.line();
        let Some((marker, rest)) = line.split_at_checked(3).filter(|_| self.is_blank(3)) else {
            return Ok(false);
        };
        match marker {
            b"---" if without_comment(rest).is_empty() => {
                self.next_line();
                Ok(true)
            }
            b"---" | b"..." => Err("more than one document, or one that begins on its marker's line"),
            _ => Ok(false),
        }
    }

    /// Reads the dashes and the key of a line, and stops in front of its value.
    fn head(&mut self, indent: usize) -> Result<Head<'a>, Doubt> {
        let start = self.at;
        self.at += indent;
        let mut head = Head { dash: false, column: indent, key: Key::Missing };
        loop {
            head.column = self.at - start;
            if self.peek(0) != b'-' || !self.is_blank(1) {
                break;
            }
            head.dash = true;
            let dash = self.at;
            self.at += 1;
            self.skip_blanks();
            if b"#\n".contains(&self.peek(0)) {
                // Nothing behind the dash: the value is below it.
                head.column = dash - start;
                return Ok(head);
            }
        }
        let before = self.at;
        let adorned = self.properties();
        let key = match self.peek(0) {
            quote @ (b'"' | b'\'') => {
                let content = self.at + 1;
                self.quoted(quote)?;
                let name = self.text.get(content..self.at - 1).unwrap_or_default();
                let plain = !name.iter().any(|byte| b"\\'\n".contains(byte));
                self.skip_blanks();
                if plain { Key::Named(name) } else { Key::Any }
            }
            b'?' if self.is_blank(1) => return Err(SYNTAX),
            b'[' | b'{' | b'|' | b'>' | b'#' | b'\n' => Key::Missing,
            first => {
                let line = self.line();
                let end = line.iter().enumerate().position(|(at, byte)| match byte {
                    b':' => line.get(at + 1).is_none_or(|next| b" \t\r".contains(next)),
                    b'#' => at > 0 && line.get(at - 1).is_some_and(|before| b" \t".contains(before)),
                    _ => false,
                });
                let name = line.get(..end.unwrap_or(0)).unwrap_or_default().trim_ascii();
                self.at += end.unwrap_or(0);
                if first == b'*' || name == b"<<" { Key::Any } else { Key::Named(name) }
            }
        };
        if self.peek(0) == b':' && self.is_blank(1) && !matches!(key, Key::Missing) {
            self.at += 1;
            head.key = if adorned { Key::Any } else { key };
        } else {
            self.at = before;
        }
        Ok(head)
    }

    /// Steps over anchors and tags; whether there were any.
    fn properties(&mut self) -> bool {
        let start = self.at;
        while b"&!".contains(&self.peek(0)) {
            while !self.is_blank(0) {
                self.at += 1;
            }
            self.skip_blanks();
        }
        self.at > start
    }

    /// Steps over a value and the line on which it ends. `column` is that of its key or dash.
    fn value(&mut self, column: usize) -> Result<Value, Doubt> {
        self.skip_blanks();
        self.properties();
        match self.peek(0) {
            b'\n' | b'#' => {
                self.next_line();
                return Ok(Value::Nothing);
            }
            b'|' | b'>' => return self.block_scalar(column),
            quote @ (b'"' | b'\'') => self.quoted(quote)?,
            b'[' | b'{' => self.flow()?,
            b'*' => {
                while !self.is_blank(0) {
                    self.at += 1;
                }
            }
            b'@' | b'`' | b'%' | b']' | b'}' | b',' => return Err(SYNTAX),
            b'-' | b'?' | b':' if self.is_blank(1) => return Err(SYNTAX),
            _ => return self.plain(),
        }
        if !without_comment(self.line()).is_empty() {
            return Err(SYNTAX);
        }
        self.next_line();
        Ok(Value::Closed)
    }

    fn plain(&mut self) -> Result<Value, Doubt> {
        let line = self.line();
        let value = without_comment(line);
        if value.ends_with(b":") || value.windows(2).any(|pair| pair == b": " || pair == b":\t") {
            return Err("a colon where no key can be");
        }
        // A comment ends the value.
        let ends = line.trim_ascii().len() > value.len();
        self.next_line();
        Ok(if ends { Value::Closed } else { Value::Plain })
    }

    fn block_scalar(&mut self, column: usize) -> Result<Value, Doubt> {
        self.at += 1;
        let header = without_comment(self.line());
        if !header.iter().all(|byte| b"+-123456789".contains(byte)) {
            return Err(SYNTAX);
        }
        self.next_line();
        while self.at < self.text.len() {
            let line = self.line();
            let indent = line.iter().take_while(|byte| **byte == b' ').count();
            if indent <= column && !matches!(line.get(indent..), Some(b"" | b"\r")) {
                break;
            }
            self.next_line();
        }
        Ok(Value::Closed)
    }

    /// Steps over a quoted scalar, on however many lines.
    fn quoted(&mut self, quote: u8) -> Result<(), Doubt> {
        self.at += 1;
        while self.at < self.text.len() {
            let byte = self.peek(0);
            let escapes = if quote == b'"' { byte == b'\\' } else { byte == quote && self.peek(1) == quote };
            self.at += if escapes { 2 } else { 1 };
            if byte == quote && !escapes {
                return Ok(());
            }
        }
        self.at = self.text.len();
        Err("a quote that does not end")
    }

    /// Steps over a flow collection, on however many lines.
    fn flow(&mut self) -> Result<(), Doubt> {
        let mut depth = 0usize;
        // The last byte that is no blank, and whether a blank came behind it.
        let (mut before, mut apart) = (b'[', true);
        while self.at < self.text.len() {
            let byte = self.peek(0);
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b'#' if apart => {
                    self.at += self.line().len();
                    continue;
                }
                b'"' | b'\'' if b"[{,".contains(&before) || (before == b':' && apart) => {
                    self.quoted(byte)?;
                    (before, apart) = (b'"', false);
                    continue;
                }
                b'"' | b'\'' if before == b':' => return Err(SYNTAX),
                _ => (),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
            apart = b" \t\r\n".contains(&byte);
            if !apart {
                before = byte;
            }
        }
        Err("a flow collection that does not end")
    }

    /// The value of our key, which must stand behind it. Leaves the reader on its line.
    fn decide(&self) -> Result<bool, Doubt> {
        match without_comment(self.line()) {
            b"true" | b"True" | b"TRUE" | b"yes" | b"Yes" | b"YES" | b"on" | b"On" | b"ON" => Ok(true),
            b"false" | b"False" | b"FALSE" | b"no" | b"No" | b"NO" | b"off" | b"Off" | b"OFF" => Ok(false),
            b"" | b"~" | b"null" | b"Null" | b"NULL" => Ok(false),
            _ => Err("multiplex_profiles is neither true nor false"),
        }
    }
}

/// A line's text without white space around it and without its comment.
fn without_comment(line: &[u8]) -> &[u8] {
    let comment = line.iter().enumerate().position(|(at, byte)| {
        *byte == b'#'
            && at.checked_sub(1).and_then(|at| line.get(at)).is_none_or(|before| b" \t".contains(before))
    });
    line.get(..comment.unwrap_or(line.len())).unwrap_or_default().trim_ascii()
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
