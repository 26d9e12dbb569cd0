//! `logs/gateways/NAME`: what a gateway has printed, as s6-log(8) keeps it. Rotated files have names that begin with `@`, which sort
//! by time; the newest lines are in `current`.

use std::iter;
use std::path::{Path, PathBuf};

use super::home::{self, Home, Refusal, Trusted};
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::sys::file::Reader;
use crate::sys::{Dir, Errno, Name, Reason, present};

/// The directory of the logs, relative to `HERMES_HOME`. Each is in a directory of its profile's name.
pub const LOGS: &str = "logs/gateways";
static CURRENT: Name = Name::fixed(c"current");
/// Largest file that is read, in bytes, and largest number of bytes that are read at once. The loggers rotate at a megabyte.
const CAP: usize = 16 << 20;
/// Number of bytes from which on no older file is read.
const ENOUGH: usize = 64 << 20;
/// Largest number of rotations that are followed in one call.
const ROTATIONS: u32 = 10;

/// Returns the path of a gateway's log, relative to `HERMES_HOME`.
pub fn path(profile: &ProfileName) -> PathBuf {
    Path::new(LOGS).join(profile.text())
}

/// The log of one gateway.
pub struct Log<'a> {
    home: &'a Home,
    trusted: Trusted,
    /// The gateway's profile.
    pub profile: ProfileName,
    /// The log's directory; `None` until it exists.
    dir: Option<Dir>,
    /// `current`, read so far; `None` until it exists.
    current: Option<Reader>,
}

impl<'a> Log<'a> {
    /// Makes a log of which nothing is opened yet.
    pub fn new(home: &'a Home, trusted: Trusted, profile: ProfileName) -> Log<'a> {
        Log { home, trusted, profile, dir: None, current: None }
    }

    /// Returns whether a log has been found.
    pub fn is_there(&self) -> bool {
        self.current.is_some()
    }

    /// Returns the last `lines` lines, from rotated files too. No older file is read once there are 64 MiB.
    pub fn tail(&mut self, lines: usize) -> Result<Vec<u8>> {
        let newest = self.more()?;
        let Some(dir) = &self.dir else { return Ok(Vec::new()) };
        let names = dir.names().context("list", path(&self.profile))?;
        // The other files are s6-log's own.
        let rotated = names.iter().rev().filter(|name| name.bytes().starts_with(b"@"));
        let older = rotated.filter_map(|name| self.rotated(dir, name).transpose());
        let mut pieces = Vec::new();
        let (mut missing, mut size) = (lines, 0);
        for piece in iter::once(Ok(newest)).chain(older) {
            let mut piece = piece?;
            match last_lines(&piece, missing) {
                Last::From(start) => {
                    piece.drain(..start);
                    pieces.push(piece);
                    break;
                }
                Last::Short(newlines) => missing -= newlines,
            }
            size += piece.len();
            pieces.push(piece);
            if size >= ENOUGH {
                break;
            }
        }
        pieces.reverse();
        Ok(pieces.concat())
    }

    /// Reads a rotated file. `None` if it was `current` a moment ago, and has been read, or if it is gone: s6-log keeps ten of them.
    fn rotated(&self, dir: &Dir, name: &Name) -> Result<Option<Vec<u8>>> {
        match self.open(dir, name)? {
            Some(file) if Some(file.meta.inode) != self.inode() => {
                let mut text = Vec::new();
                self.read(&file, name, &mut text)?;
                Ok(Some(text))
            }
            _ => Ok(None),
        }
    }

    /// Returns what has been added to `current` since the last call, and to the file that has taken its place.
    pub fn more(&mut self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        if self.dir.is_none() {
            self.dir = self.open_directory()?;
        }
        let Some(dir) = &self.dir else { return Ok(text) };
        // The owner of the directory could rotate for ever.
        for _ in 0..ROTATIONS {
            let now = present(dir.meta(&CURRENT)).map_err(|errno| self.unread(&CURRENT, errno.into()))?;
            // This read comes after the look: if `current` has been rotated, nothing is added to the old file any more.
            if let Some(current) = &self.current {
                self.read(current, &CURRENT, &mut text)?;
            }
            if now.map(|meta| meta.inode) == self.inode() {
                break;
            }
            match self.open(dir, &CURRENT)? {
                Some(file) => self.current = Some(file),
                None => break,
            }
        }
        Ok(text)
    }

    /// Opens a file of the log; `None` if there is none of this name.
    fn open(&self, dir: &Dir, name: &Name) -> Result<Option<Reader>> {
        match Reader::open(dir, name) {
            Err(Reason::Errno(Errno::NOENT)) => Ok(None),
            Ok(file) if file.meta.size > CAP as u64 => {
                Err(self.unread(name, format!("larger than {CAP} bytes").into()))
            }
            file => file.map(Some).map_err(|reason| self.unread(name, reason)),
        }
    }

    /// Appends what follows in a file to `text`, as [`Reader::read`].
    fn read(&self, file: &Reader, name: &Name, text: &mut Vec<u8>) -> Result<()> {
        file.read(text, CAP).map_err(|errno| self.unread(name, errno.into()))
    }

    fn inode(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.meta.inode)
    }

    /// Opens the log's directory for listing. Each component may be a symlink to a directory of the hermes user.
    fn open_directory(&self) -> Result<Option<Dir>> {
        let mut dir = None;
        for component in &path(&self.profile) {
            let Some(name) = Name::new(component.as_encoded_bytes()) else { return Ok(None) };
            match home::open_linkable(dir.as_ref().unwrap_or(&self.home.dir), &name, self.trusted) {
                Err(Refusal::Missing) => return Ok(None),
                Err(refusal) => return Err(Error::new("open", path(&self.profile), refusal.reason())),
                Ok(found) => dir = Some(found),
            }
        }
        dir.map(|dir| dir.readable()).transpose().context("open", path(&self.profile))
    }

    fn unread(&self, name: &Name, reason: Reason) -> Error {
        Error::new("read", path(&self.profile).join(name), reason)
    }
}

/// The last lines of a text.
#[derive(Debug, PartialEq, Eq)]
enum Last {
    /// The position of the first of them.
    From(usize),
    /// The text has not more than these newlines.
    Short(usize),
}

/// Finds the last `lines` lines of a text. An unfinished line at its end does not count, and goes with them.
fn last_lines(text: &[u8], lines: usize) -> Last {
    let newlines = || text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    match newlines().nth(lines) {
        Some(newline) => Last::From(newline + 1),
        None => Last::Short(newlines().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_end_with_the_text() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 0, Last::From(6)),
            ("a\nb\nc\n", 1, Last::From(4)),
            ("a\nb\nc\n", 2, Last::From(2)),
            ("a\nb\nc\n", 3, Last::Short(3)),
            ("a\nb\nc\n", 4, Last::Short(3)),
            ("a\nb\nhalf", 0, Last::From(4)),
            ("a\nb\nhalf", 1, Last::From(2)),
            ("\n\n", 1, Last::From(1)),
            ("half", 0, Last::Short(0)),
            ("", 0, Last::Short(0)),
        ] {
            assert_eq!(last_lines(text.as_bytes(), lines), expected, "{text:?} {lines}");
        }
    }
}
