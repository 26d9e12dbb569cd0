//! `logs/gateways/NAME`: what a gateway has printed, as s6-log(8) keeps it. The newest lines are in `current`, the older ones in
//! rotated files. The hermes user can put anything there: it is read block by block, and no more of it than an honest log has.

mod directory;
mod rotated;
mod search;

pub use rotated::Allowance;

use std::path::{Path, PathBuf};

use super::home::{self, Home, Refusal, Trusted};
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::sys::Name;
use directory::{Directory, Part};
use search::Search;

/// The directory of the logs, relative to `HERMES_HOME`. Each is in a directory of its profile's name.
pub const LOGS: &str = "logs/gateways";
/// Longest line that is read as one, in bytes. s6-log cuts lines at 8 KiB, and puts a time before them.
pub const LINE: usize = 64 << 10;
/// Largest number of bytes that are read of a log in one call: the loggers keep ten rotated files beside `current`, and rotate a file
/// before a line makes it larger than a megabyte.
const MOST: u64 = 11 * (1_000_000 + LINE as u64);
/// Largest number of rotations that are followed in one call.
const ROTATIONS: u32 = 10;

/// Returns the path of a gateway's log, relative to `HERMES_HOME`.
pub fn path(profile: &ProfileName) -> PathBuf {
    Path::new(LOGS).join(profile.text())
}

/// Takes what is read, block by block.
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]);

/// The log of one gateway.
pub struct Log<'a> {
    home: &'a Home,
    trusted: Trusted,
    allowance: &'a Allowance,
    /// The gateway's profile.
    pub profile: ProfileName,
    /// The log's directory; `None` until it exists.
    directory: Option<Directory<'a>>,
    /// What is still to be read of `current`; `None` until it exists.
    current: Option<Part>,
}

impl<'a> Log<'a> {
    /// Makes a log of which nothing is opened yet. The logs of a command share the allowance.
    pub fn new(home: &'a Home, trusted: Trusted, profile: ProfileName, allowance: &'a Allowance) -> Log<'a> {
        Log { home, trusted, allowance, profile, directory: None, current: None }
    }

    /// Returns whether a log has been found.
    pub fn is_there(&self) -> bool {
        self.current.is_some()
    }

    /// Looks for the log's directory. Returns whether there is one.
    pub fn find(&mut self) -> Result<bool> {
        self.open_directory()?;
        Ok(self.directory.is_some())
    }

    /// Reads the last `lines` lines, from rotated files too. Fails if some of them cannot be read, or are beyond the size of an honest
    /// log; the newer ones are read all the same.
    pub fn tail(&mut self, lines: usize, sink: Sink<'_>) -> Result<()> {
        self.open_directory()?;
        let Some(directory) = &self.directory else { return Ok(()) };
        // Two more for an unfinished line at the end: of one that is followed, a line's length is printed when more of it has come.
        let most = (lines as u64).saturating_add(2).saturating_mul(LINE as u64).min(MOST);
        let mut search = Search::new(lines, most);
        self.current = directory.open_current()?;
        if let Some(current) = &mut self.current {
            directory.find(&mut search, current)?;
        }
        let mut older = Vec::new();
        let mut done = directory.find_older(&mut search, self.current.as_ref(), &mut older);
        if search.is_full() {
            done = Err(directory.partly(format!("only its last {most} bytes are read")));
        }
        let mut room = MOST;
        for part in older.iter_mut().rev().chain(&mut self.current) {
            done = done.and(directory.read(part, &mut room, sink));
        }
        done
    }

    /// Reads what has been added since the last call: to `current`, and to the files that have taken its place meanwhile. Fails if some
    /// of it cannot be read, or is beyond the size of an honest log.
    pub fn more(&mut self, sink: Sink<'_>) -> Result<()> {
        self.open_directory()?;
        let Some(directory) = &self.directory else { return Ok(()) };
        let (mut room, mut done) = (MOST, Ok(()));
        // The owner of the directory could rotate for ever.
        for _ in 0..ROTATIONS {
            let is_current = directory.is_current(self.current.as_ref())?;
            // This read comes after the look: if `current` has been rotated, nothing is added to the old file any more.
            if let Some(current) = &mut self.current {
                done = done.and(directory.read(current, &mut room, sink));
            }
            if is_current {
                break;
            }
            let Some(next) = directory.open_current()? else { break };
            if let Some(old) = &self.current {
                done = done.and(directory.read_between(old, &next, &mut room, sink));
            }
            self.current = Some(next);
        }
        done
    }

    /// Opens the log's directory for listing, if it exists and is not open yet. Each component may be a symlink to a directory of the
    /// hermes user.
    fn open_directory(&mut self) -> Result<()> {
        if self.directory.is_some() {
            return Ok(());
        }
        let (path, mut dir) = (path(&self.profile), None);
        for component in &path {
            let Some(name) = Name::new(component.as_encoded_bytes()) else { return Ok(()) };
            match home::open_linkable(dir.as_ref().unwrap_or(&self.home.dir), &name, self.trusted) {
                Err(Refusal::Missing) => return Ok(()),
                Err(refusal) => return Err(Error::new("open", path, refusal.reason())),
                Ok(found) => dir = Some(found),
            }
        }
        let dir = dir.map(|dir| dir.readable()).transpose().context("open", &path)?;
        self.directory = dir.map(|dir| Directory::new(dir, path, self.allowance));
        Ok(())
    }
}
