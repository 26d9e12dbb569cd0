//! Scans YAML 1.1, a line or a value at a time: finds where each ends, and which key a line has. Syntax that it does not know is a
//! doubt. What values mean is the caller's business.

use super::Doubt;

/// The form of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Nothing on this line: a block below, or null.
    Nothing,
    /// A plain scalar, which goes on in deeper lines.
    Plain,
    /// A value with an end of its own: quoted, flow, alias, block scalar.
    Closed,
}

/// The beginning of a line in block context, up to its value.
pub struct Head<'a> {
    /// Whether it begins with a dash.
    pub dash: bool,
    /// The column of the innermost dash or key. Lines that belong to it are deeper.
    pub column: usize,
    /// Its key.
    pub key: Key<'a>,
}

/// The key of a line.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// There is none.
    Missing,
    /// A key with this name.
    Named(&'a [u8]),
    /// A merge, an alias, or a key with a tag, an anchor or escapes: it could be any key.
    Any,
}

/// The doubt about syntax that is not known.
pub const SYNTAX: Doubt = "unsupported syntax";

/// A text and a position in it.
pub struct Scanner<'a> {
    /// The text.
    pub text: &'a [u8],
    /// The position, in bytes.
    pub at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        // The end of the text ends the line.
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

    /// Returns the rest of the line.
    pub fn line(&self) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.split(|byte| *byte == b'\n').next().unwrap_or_default()
    }

    /// Goes to the beginning of the next line, or to the end of the text.
    pub fn next_line(&mut self) {
        self.at = (self.at + self.line().len() + 1).min(self.text.len());
    }

    /// Returns the number of the line, from 1.
    pub fn number(&self) -> usize {
        self.text.get(..self.at).unwrap_or(self.text).split(|byte| *byte == b'\n').count()
    }

    /// Skips blank lines and comments. Returns the indent of the next line, or `None` at the end.
    pub fn indent(&mut self) -> Result<Option<usize>, Doubt> {
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

    /// Skips a document marker. Returns whether there was one.
    pub fn marker(&mut self) -> Result<bool, Doubt> {
        let line = self.line();
        let Some((marker, rest)) = line.split_at_checked(3).filter(|_| self.is_blank(3)) else {
            return Ok(false);
        };
        match marker {
            b"---" if without_comment(rest).is_empty() => {
                self.next_line();
                Ok(true)
            }
            b"---" | b"..." => Err("more than one document, or one that begins on the line of its marker"),
            _ => Ok(false),
        }
    }

    /// Reads the dashes and the key of a line, and stops before its value.
    pub fn head(&mut self, indent: usize) -> Result<Head<'a>, Doubt> {
        let start = self.at;
        self.at += indent;
        let mut dash = false;
        while self.peek(0) == b'-' && self.is_blank(1) {
            let column = self.at - start;
            dash = true;
            self.at += 1;
            self.skip_blanks();
            if b"#\n".contains(&self.peek(0)) {
                // The value is below the dash.
                return Ok(Head { dash, column, key: Key::Missing });
            }
        }
        let column = self.at - start;
        Ok(Head { dash, column, key: self.key()? })
    }

    /// Reads a key and the colon after it. If there is no key, the position stays.
    fn key(&mut self) -> Result<Key<'a>, Doubt> {
        let start = self.at;
        let is_adorned = self.properties();
        let key = match self.peek(0) {
            quote @ (b'"' | b'\'') => {
                let content = self.at + 1;
                self.quoted(quote)?;
                let name = self.text.get(content..self.at - 1).unwrap_or_default();
                let is_plain = !name.iter().any(|byte| b"\\'\n".contains(byte));
                self.skip_blanks();
                if is_plain { Key::Named(name) } else { Key::Any }
            }
            b'?' if self.is_blank(1) => return Err(SYNTAX),
            b'[' | b'{' | b'|' | b'>' | b'#' | b'\n' => Key::Missing,
            first => {
                let name = self.plain_key();
                if first == b'*' || name == b"<<" { Key::Any } else { Key::Named(name) }
            }
        };
        if self.peek(0) != b':' || !self.is_blank(1) || matches!(key, Key::Missing) {
            self.at = start;
            return Ok(Key::Missing);
        }
        self.at += 1;
        Ok(if is_adorned { Key::Any } else { key })
    }

    /// Reads a plain key up to its colon; an empty one if the line has no colon or a comment before it.
    fn plain_key(&mut self) -> &'a [u8] {
        let line = self.line();
        let end = line.iter().enumerate().position(|(at, byte)| match byte {
            b':' => line.get(at + 1).is_none_or(|next| b" \t\r".contains(next)),
            b'#' => at > 0 && line.get(at - 1).is_some_and(|before| b" \t".contains(before)),
            _ => false,
        });
        let end = end.unwrap_or(0);
        self.at += end;
        line.get(..end).unwrap_or_default().trim_ascii()
    }

    /// Skips anchors and tags. Returns whether there were any.
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

    /// Skips a value and the rest of its last line. `column` is the column of its key or dash.
    pub fn value(&mut self, column: usize) -> Result<Value, Doubt> {
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

    /// Skips the rest of a line that is a plain scalar, or goes on with one.
    pub fn plain(&mut self) -> Result<Value, Doubt> {
        let line = self.line();
        let value = without_comment(line);
        if value.ends_with(b":") || value.windows(2).any(|pair| pair == b": " || pair == b":\t") {
            return Err("a colon where a key is not allowed");
        }
        // A comment ends the value.
        let ends = line.trim_ascii().len() > value.len();
        self.next_line();
        Ok(if ends { Value::Closed } else { Value::Plain })
    }

    /// Skips a literal or folded block scalar, whose lines are deeper than `column`.
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

    /// Skips a quoted scalar, which may have several lines.
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
        Err("an unterminated quote")
    }

    /// Skips a flow collection, which may have several lines.
    fn flow(&mut self) -> Result<(), Doubt> {
        let mut depth = 0usize;
        // The last byte that is not white space, and whether white space followed it.
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
        Err("an unterminated flow collection")
    }
}

/// Returns a line without its comment and without white space around it.
pub fn without_comment(line: &[u8]) -> &[u8] {
    let comment = line.iter().enumerate().position(|(at, byte)| {
        *byte == b'#'
            && at.checked_sub(1).and_then(|at| line.get(at)).is_none_or(|before| b" \t".contains(before))
    });
    line.get(..comment.unwrap_or(line.len())).unwrap_or_default().trim_ascii()
}
