//! What is known of the entries of a directory before they are asked for: one bounded listing tells which are not there, and files can be
//! read ahead. What is not known is looked at when it is asked for. Only on a remote volume, where every look takes milliseconds, is something
//! known: a listing may miss a file that is replaced while it is made.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys::file::{self, Limit};
use crate::sys::{Dir, Errno, Meta, Name, Reason, SubPath};

/// Most entries that are listed. A directory with more is not known: its owner decides how many it has.
const ENTRIES: usize = 256;
/// Most bytes that their names have together, which is less than one getdents64(2) reads. Hermes Agent's have some 15 each.
const NAMES: usize = 4 << 10;

/// A file's content and attributes.
pub type Content = (Vec<u8>, Meta);

/// What is known of a directory: by default, nothing.
#[derive(Debug, Default)]
pub struct Known {
    /// The names of all entries.
    names: Option<Vec<Name>>,
    /// Whether these entries are there.
    looked: Vec<(&'static Name, Result<bool, Errno>)>,
    /// What has been read, by the path below the directory.
    read: Vec<(&'static Path, Result<Content, Reason>)>,
}

impl Known {
    /// Lists a directory, if it is open for reading.
    pub fn list(dir: &Dir) -> Known {
        Known { names: list(dir), ..Known::default() }
    }

    /// Looks which of these entries are there.
    pub fn look(&mut self, dir: &Dir, entries: &[&'static Name]) {
        for name in entries {
            if !self.rules_out(name) {
                self.looked.push((*name, dir.has(name)));
            }
        }
    }

    /// Reads a file of at most `most` bytes.
    pub fn read(&mut self, dir: &Dir, name: &'static Name, most: u64) {
        self.read_ahead(name.as_ref(), most, |limit| file::read_meta(dir, name, limit));
    }

    /// [`Known::read`] two steps below.
    pub fn read_below(&mut self, dir: &Dir, below: &'static SubPath, most: u64) {
        self.read_ahead(below.as_ref(), most, |limit| file::read_below(dir, below, limit));
    }

    fn read_ahead(
        &mut self,
        path: &'static Path,
        most: u64,
        read: impl FnOnce(Limit) -> Result<Content, Reason>,
    ) {
        let read = read(Limit { file: u64::MAX, left: most, why: "" });
        // A larger one is left to whoever asks for it.
        if !matches!(read, Err(Reason::Unread(_))) {
            self.read.push((path, read));
        }
    }

    /// Returns whether the first component of a path below is not there.
    pub fn rules_out(&self, path: impl AsRef<Path>) -> bool {
        let first = path.as_ref().iter().next().map_or(&[][..], OsStrExt::as_bytes);
        self.names.as_ref().is_some_and(|names| !names.iter().any(|name| may_be(name.bytes(), first)))
    }
}

/// Lists a directory; `None` if it cannot be listed, or has too many entries or too long ones.
fn list(dir: &Dir) -> Option<Vec<Name>> {
    let (mut names, mut room) = (Vec::new(), NAMES);
    for entry in dir.entries().ok()? {
        let name = entry.ok()?.name;
        if names.len() == ENTRIES {
            return None;
        }
        room = room.checked_sub(name.bytes().len())?;
        names.push(name);
    }
    Some(names)
}

/// Returns whether an entry may be found under an ASCII name: case may not matter on this file system, and by its rules a character that is
/// not ASCII may be equal to one that is (`K`, U+212A, to `k`).
fn may_be(entry: &[u8], name: &[u8]) -> bool {
    !entry.is_ascii() || entry.eq_ignore_ascii_case(name)
}

/// A directory, and what is known of it.
#[derive(Clone, Copy)]
pub struct Contents<'a> {
    dir: &'a Dir,
    known: &'a Known,
    /// Whether what a listing has not shown is not there.
    trusts_listing: bool,
}

static NOTHING: Known = Known { names: None, looked: Vec::new(), read: Vec::new() };

impl<'a> Contents<'a> {
    /// Returns the contents of a directory of which something is known.
    pub fn new(dir: &'a Dir, known: &'a Known) -> Contents<'a> {
        Contents { dir, known, trusts_listing: true }
    }

    /// Returns the contents of a directory of which nothing is known.
    pub fn unknown(dir: &'a Dir) -> Contents<'a> {
        Contents::new(dir, &NOTHING)
    }

    /// Returns the contents for a file that is replaced again and again, which a listing may miss: what it has not shown is looked at.
    pub fn without_listing(self) -> Contents<'a> {
        Contents { trusts_listing: false, ..self }
    }

    fn rules_out(self, path: impl AsRef<Path>) -> bool {
        self.trusts_listing && self.known.rules_out(path)
    }

    /// Returns whether there is an entry of this name.
    pub fn has(self, name: &Name) -> Result<bool, Errno> {
        if let Some((_, has)) = self.known.looked.iter().find(|(known, _)| *known == name) {
            return *has;
        }
        if self.rules_out(name) { Ok(false) } else { self.dir.has(name) }
    }

    /// Reads a file as [`file::read_meta`].
    pub fn read(self, name: &Name, limit: impl Into<Limit>) -> Result<Content, Reason> {
        let limit = limit.into();
        self.known_or(name.as_ref(), limit, || file::read_meta(self.dir, name, limit))
    }

    /// Reads a file as [`file::read_below`].
    pub fn read_below(self, below: &SubPath, limit: impl Into<Limit>) -> Result<Content, Reason> {
        let limit = limit.into();
        self.known_or(below.as_ref(), limit, || file::read_below(self.dir, below, limit))
    }

    fn known_or(
        self,
        path: &Path,
        limit: Limit,
        read: impl FnOnce() -> Result<Content, Reason>,
    ) -> Result<Content, Reason> {
        if let Some((_, read)) = self.known.read.iter().find(|(known, _)| *known == path) {
            let (bytes, meta) = read.clone()?;
            limit.check(bytes.len() as u64)?;
            return Ok((bytes, meta));
        }
        if self.rules_out(path) { Err(Errno::NOENT.into()) } else { read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_entry_that_no_rule_takes_for_it_rules_a_file_out() {
        static FILE: Name = Name::fixed(c"config.yaml");
        for (entries, is_ruled_out) in [
            (Some(&[][..]), true),
            (Some(&["SOUL.md", "config.yam", "config.yaml2"]), true),
            (Some(&["SOUL.md", "config.yaml"]), false),
            (Some(&["Config.YAML"]), false),
            (Some(&["\u{212a}"]), false),
            (None, false),
        ] {
            let names = entries.map(|entries: &[&str]| entries.iter().filter_map(Name::new).collect());
            let known = Known { names, ..Known::default() };
            assert_eq!(known.rules_out(&FILE), is_ruled_out, "{entries:?}");
        }
        let known = Known { names: Some(Name::new("state").into_iter().collect()), ..Known::default() };
        assert!(!known.rules_out(Path::new("state/gateway.lifecycle.json")));
        assert!(known.rules_out(Path::new("gateway_state.json")));
    }
}
