//! The open directory of a log, and the files in it.

use std::path::PathBuf;

use super::rotated::{self, Allowance, Lack, Rotated};
use super::search::Search;
use super::{MOST, Sink};
use crate::output::{Context, Error, Result};
use crate::sys::file::Reader;
use crate::sys::{Dir, Errno, Name, Reason, present};

static CURRENT: Name = Name::fixed(c"current");
/// Number of bytes that are read at once.
const BLOCK: usize = 64 << 10;

/// The directory of a log.
pub struct Directory<'a> {
    dir: Dir,
    /// Its path, for messages.
    path: PathBuf,
    allowance: &'a Allowance,
}

/// A file of a log.
pub struct Part {
    file: Reader,
    name: Name,
    /// The offset from which on it is still to be read.
    from: u64,
}

impl Part {
    fn inode(&self) -> u64 {
        self.file.meta.inode
    }
}

impl<'a> Directory<'a> {
    /// Makes the directory of the log at `path` from one that is open for listing.
    pub fn new(dir: Dir, path: PathBuf, allowance: &'a Allowance) -> Directory<'a> {
        Directory { dir, path, allowance }
    }

    /// Opens `current`; `None` if there is none.
    pub fn open_current(&self) -> Result<Option<Part>> {
        self.open(&CURRENT)
    }

    /// Returns whether `current` is this file still; if it is `None`, whether there is no `current` yet.
    pub fn is_current(&self, part: Option<&Part>) -> Result<bool> {
        let now = present(self.dir.meta(&CURRENT)).map_err(|errno| self.unread(&CURRENT, errno))?;
        Ok(now.map(|meta| meta.inode) == part.map(Part::inode))
    }

    /// Looks for the beginning of the last lines in the newest file that has not been searched, and lets the file begin there.
    pub fn find(&self, search: &mut Search, part: &mut Part) -> Result<()> {
        let Part { file, name, from } = part;
        let mut block = vec![0; BLOCK];
        let size = file.size().map_err(|errno| self.unread(name, errno))?;
        let found = search.go_on(size, &mut block, |offset, block| file.read_at(offset, block));
        *from = found.map_err(|errno| self.unread(name, errno))?;
        Ok(())
    }

    /// Looks for the beginning of the last lines in the rotated files, until it is found. Adds each file that has some of them to `older`,
    /// the newest first. Fails at the first file that cannot be read.
    pub fn find_older(
        &self,
        search: &mut Search,
        current: Option<&Part>,
        older: &mut Vec<Part>,
    ) -> Result<()> {
        if !search.is_going_on() {
            return Ok(());
        }
        let mut rotated = self.rotated()?;
        if let Some(current) = current
            && !self.is_current(Some(current))?
        {
            // It has been rotated meanwhile. What is newer comes after it.
            let place = self.place(current, &rotated.names)?;
            rotated.names.drain(..place.map_or(0, |place| place + 1));
        }
        for name in &rotated.names {
            // It may be gone: s6-log keeps ten of them.
            let Some(mut part) = self.open(name)? else { continue };
            self.find(search, &mut part)?;
            older.push(part);
            if !search.is_going_on() {
                break;
            }
        }
        match rotated.lack {
            Some(lack) if lack == Lack::Any || search.is_going_on() => Err(self.partly(lack.reason())),
            _ => Ok(()),
        }
    }

    /// Reads the rotated files between a file that was `current` and the one that is it now, the oldest first.
    pub fn read_between(&self, old: &Part, now: &Part, room: &mut u64, sink: Sink<'_>) -> Result<()> {
        let rotated = self.rotated()?;
        let place = self.place(old, &rotated.names)?;
        let mut done = Ok(());
        // If the old file is not among them, it is not known what came after it.
        for name in rotated.names.iter().take(place.unwrap_or(0)).rev() {
            done = done.and(match self.open(name) {
                Ok(Some(mut part)) if part.inode() != now.inode() => self.read(&mut part, room, sink),
                opened => opened.map(|_| ()),
            });
        }
        done
    }

    /// Reads a file to its end, and notes how far it has been read. Fails if that are more than `room` bytes, which are those at its end
    /// then; what has been read is taken from `room`.
    pub fn read(&self, part: &mut Part, room: &mut u64, sink: Sink<'_>) -> Result<()> {
        let unread = |errno| self.unread(&part.name, errno);
        let first = part.file.size().map_err(unread)?.saturating_sub(*room);
        let is_partly = first > part.from;
        part.from = part.from.max(first);
        let mut block = vec![0; BLOCK];
        loop {
            let most = usize::try_from(*room).unwrap_or(BLOCK).min(BLOCK);
            let block = block.get_mut(..most).unwrap_or_default();
            let count = part.file.read_at(part.from, block).map_err(unread)?;
            if count == 0 {
                break;
            }
            sink(block.get(..count).unwrap_or_default());
            part.from += count as u64;
            *room -= count as u64;
        }
        if is_partly {
            Err(self.partly(format!("only the last {MOST} bytes of it are read")))
        } else {
            Ok(())
        }
    }

    /// Returns the error of a log that is not read whole.
    pub fn partly(&self, reason: impl Into<Reason>) -> Error {
        Error::new("read all of", &self.path, reason)
    }

    fn rotated(&self) -> Result<Rotated> {
        rotated::list(&self.dir, self.allowance).context("list", &self.path)
    }

    /// Returns the place of a file among these names; `None` if it is none of them.
    fn place(&self, part: &Part, names: &[Name]) -> Result<Option<usize>> {
        for (place, name) in names.iter().enumerate() {
            let found = present(self.dir.meta(name)).map_err(|errno| self.unread(name, errno))?;
            if found.is_some_and(|meta| meta.inode == part.inode()) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Opens a file; `None` if there is none of this name.
    fn open(&self, name: &Name) -> Result<Option<Part>> {
        match Reader::open(&self.dir, name) {
            Err(Reason::Errno(Errno::NOENT)) => Ok(None),
            Err(reason) => Err(self.unread(name, reason)),
            Ok(file) => Ok(Some(Part { file, name: name.clone(), from: 0 })),
        }
    }

    fn unread(&self, name: &Name, reason: impl Into<Reason>) -> Error {
        Error::new("read", self.path.join(name), reason)
    }
}
