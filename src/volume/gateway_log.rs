//! `logs/gateways/NAME`: what a gateway has printed, as s6-log(8) keeps it. Rotated files have names that begin with `@`, in their
//! order; the newest lines are in `current`.

use super::home::{self, Home, Refusal, Trusted};
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::sys::file::Reader;
use crate::sys::{Dir, Errno, Name, Reason, label, present};

static CURRENT: Name = Name::fixed(c"current");
/// Largest file, in bytes, and largest piece that is read at once. The loggers rotate at a megabyte.
const CAP: u64 = 16 << 20;
/// Number of bytes from which on no older file is read.
pub const ALL: usize = 64 << 20;
/// Number of rotations that are followed in one look.
const ROTATIONS: u32 = 10;

/// The log of one gateway.
pub struct Log<'a> {
    home: &'a Home,
    trusted: Trusted,
    /// The gateway's profile.
    pub profile: ProfileName,
    /// Its directory, once there is one.
    dir: Option<Dir>,
    /// `current`, read so far.
    current: Option<Reader>,
}

impl<'a> Log<'a> {
    /// Names a log. Nothing is opened yet.
    pub fn new(home: &'a Home, trusted: Trusted, profile: ProfileName) -> Log<'a> {
        Log { home, trusted, profile, dir: None, current: None }
    }

    /// Returns whether there has been a log.
    pub fn is_there(&self) -> bool {
        self.current.is_some()
    }

    /// Returns the last `lines` lines, from rotated files too, at most [`ALL`] bytes.
    pub fn tail(&mut self, lines: usize) -> Result<Vec<u8>> {
        let mut pieces = vec![self.more()?];
        let Some(dir) = &self.dir else { return Ok(Vec::new()) };
        let mut names = dir.names().context("list", self.label())?;
        let (mut count, mut size) = (0, 0);
        while let Some(piece) = pieces.last_mut() {
            let start = piece.iter().rposition(|byte| {
                count += usize::from(*byte == b'\n');
                count > lines
            });
            piece.drain(..start.map_or(0, |newline| newline + 1));
            size += piece.len();
            let older = if start.is_none() && size < ALL { self.older(dir, &mut names)? } else { None };
            match older {
                Some(older) => pieces.push(older),
                None => break,
            }
        }
        pieces.reverse();
        Ok(pieces.concat())
    }

    /// Returns what the last rotated file of `names` has, and takes it and those behind it off. The other files are s6-log's own.
    fn older(&self, dir: &Dir, names: &mut Vec<Name>) -> Result<Option<Vec<u8>>> {
        while let Some(name) = names.pop() {
            if !name.bytes().starts_with(b"@") {
                continue;
            }
            match self.reader(dir, &name)? {
                // It was `current` a moment ago, and has been read.
                Some(reader) if Some(reader.meta.inode) == self.inode() => (),
                Some(reader) => {
                    let mut text = Vec::new();
                    self.read(&reader, &name, &mut text)?;
                    return Ok(Some(text));
                }
                // s6-log keeps ten of them.
                None => (),
            }
        }
        Ok(None)
    }

    /// Returns what is new in `current` since the last look, and in the one that has taken its place.
    pub fn more(&mut self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        if self.dir.is_none() {
            self.dir = self.open()?;
        }
        let Some(dir) = &self.dir else { return Ok(text) };
        // Who owns the directory could go on for ever.
        for _ in 0..ROTATIONS {
            let now = present(dir.meta(&CURRENT)).map_err(|errno| self.unread(&CURRENT, errno.into()))?;
            // The look came first: if it has been rotated, nothing is added any more.
            if let Some(current) = &self.current {
                self.read(current, &CURRENT, &mut text)?;
            }
            if now.map(|meta| meta.inode) == self.inode() {
                break;
            }
            match self.reader(dir, &CURRENT)? {
                Some(reader) => self.current = Some(reader),
                None => break,
            }
        }
        Ok(text)
    }

    /// Opens a file of the log; `None` if it is not there.
    fn reader(&self, dir: &Dir, name: &Name) -> Result<Option<Reader>> {
        match Reader::open(dir, name) {
            Err(Reason::Errno(Errno::NOENT)) => Ok(None),
            Ok(reader) if reader.meta.size > CAP => {
                Err(self.unread(name, format!("larger than {CAP} bytes").into()))
            }
            reader => reader.map(Some).map_err(|reason| self.unread(name, reason)),
        }
    }

    /// Adds what follows in a file.
    fn read(&self, reader: &Reader, name: &Name, text: &mut Vec<u8>) -> Result<()> {
        let most = usize::try_from(CAP).unwrap_or(usize::MAX);
        reader.read(text, most).map_err(|errno| self.unread(name, errno.into()))
    }

    fn inode(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.meta.inode)
    }

    /// Opens the directory for listing. Each step may be a symlink to a directory of the hermes user.
    fn open(&self) -> Result<Option<Dir>> {
        let mut dir = None;
        for part in self.label().split(|byte| *byte == b'/') {
            let Some(name) = Name::new(part) else { return Ok(None) };
            match home::open_linkable(dir.as_ref().unwrap_or(&self.home.dir), &name, self.trusted) {
                Err(Refusal::Missing) => return Ok(None),
                Err(refusal) => return Err(Error::new("open", self.label(), refusal.reason())),
                Ok(found) => dir = Some(found),
            }
        }
        dir.map(|dir| dir.readable()).transpose().context("open", self.label())
    }

    fn unread(&self, name: &Name, reason: Reason) -> Error {
        Error::new("read", label(&[&self.label(), name.bytes()]), reason)
    }

    fn label(&self) -> Vec<u8> {
        label(&[super::profiles::GATEWAY_LOGS.as_bytes(), self.profile.text().as_bytes()])
    }
}
