//! What the programs of a service keep for the count of its deaths: that somebody asked for a death, that a first life was long, and that
//! somebody has started the service. s6-supervise records none of that.

use std::path::{Path, PathBuf};

use super::backoff::{self, Pause};
use super::count::{Beginning, Program};
use super::exec;
use super::profile_directory::ProfileDirectory;
use crate::output::{Console, Context, Error, Result};
use crate::s6::ProfileName;
use crate::s6::deaths::{self, Tally};
use crate::s6::status::{self, Stat};
use crate::s6::tai64n::{self, Label};
use crate::settings::Lookup;
use crate::settings::user::Runner;
use crate::sys::{Dir, Errno, Name, Ownership, Reason, time};
use crate::volume::death_count;

/// A service whose programs keep something.
pub struct Service<'a> {
    /// What it runs.
    pub program: Program,
    /// Its name, for people.
    pub name: &'a str,
    /// The profile in whose directory the file is.
    pub profile: &'a ProfileName,
    /// The file.
    pub file: &'static Name,
    /// As whom it runs.
    pub runner: &'a Runner,
    /// Where pauses are switched off.
    pub lookup: &'a Lookup,
    /// Where problems are reported.
    pub console: &'a Console,
}

/// What s6-supervise has recorded of the service whose directory is the working directory. It is read before anything that the hermes user
/// controls.
pub struct Recorded {
    tally: Tally,
    stat: Option<Stat>,
    now: i64,
}

impl Recorded {
    /// Reads it. A state that cannot be read is reported: nothing is known then of an order or of a start.
    pub fn read(console: &Console) -> Result<Recorded> {
        let fail = |reason: Reason| Error::new("use", Path::new(deaths::LABEL), reason);
        let service = Dir::fixed(Path::new(".")).map_err(|errno| fail(errno.into()))?;
        let tally = deaths::tally(&service).map_err(fail)?;
        // Without a supervisor, somebody has executed this program.
        let stat = status::svstat(&service).unwrap_or_else(|error| {
            console.failed(&error);
            None
        });
        Ok(Recorded { tally, stat, now: time::now() })
    }
}

impl Service<'_> {
    /// Makes the pause before a start, if the service keeps dying. Becomes the hermes user.
    pub fn begin(&self, recorded: Recorded, home: impl FnOnce() -> Result<PathBuf>) -> Result<()> {
        exec::drop_privileges(self.runner)?;
        let Recorded { tally, stat, now } = recorded;
        let start = Beginning::here(stat.as_ref(), &tally, now);
        let is_by_hand = start.is_by_hand(tally.deaths.last().map(|death| death.time));
        if tally.deaths.is_empty() && !is_by_hand {
            return Ok(());
        }
        let home = home();
        let known = home.and_then(|home| self.since(&home).map(|since| (home, since)));
        let (home, since) = match known {
            Ok((home, since)) => (Some(home), since),
            Err(error) => {
                self.console.failed(&error);
                (None, None)
            }
        };
        let tally = tally.since(since);
        if is_by_hand && let Some(home) = &home {
            self.report(self.count_anew(home));
        }
        let pause: Option<Pause> =
            if self.makes_pauses() { self.program.pause(&tally, start, now) } else { None };
        backoff::make(pause.as_ref(), self.name, self.console);
        Ok(())
    }

    /// Keeps that the last death does not count, where the tally alone does not say so: its supervisor had the order to keep the service
    /// down, `is_asked` returns so, or the life was long and the first one. Where the tally says more than what was kept, that is removed.
    /// Becomes the hermes user.
    pub fn end(
        &self,
        recorded: Recorded,
        home: &Path,
        is_asked: impl FnOnce() -> Result<bool>,
    ) -> Result<()> {
        exec::drop_privileges(self.runner)?;
        let Recorded { tally, stat, now } = recorded;
        let makes_pauses = self.makes_pauses();
        let since = self.since(home)?;
        let tally = tally.since(since);
        if since.is_some() && self.program.asked_for_last(&tally) {
            return self.forget(home);
        }
        if !self.program.counts_last(&tally, makes_pauses, now) {
            return Ok(());
        }
        let is_ordered = stat.is_some_and(|stat| !stat.is_wanted);
        let has_lived =
            |stat: Stat| self.program.has_lived(&tally, tai64n::seconds(&stat.ready), makes_pauses, now);
        if is_ordered || stat.is_some_and(has_lived) || is_asked()? {
            self.count_anew(home)?;
        }
        Ok(())
    }

    /// Reports what could not be kept, which is no reason not to go on.
    fn report(&self, done: Result<()>) {
        if let Err(error) = done {
            self.console.failed(&error);
        }
    }

    fn makes_pauses(&self) -> bool {
        self.lookup.makes_pauses(&self.console.silent()).unwrap_or(true)
    }

    /// Returns since when the deaths count, as far as it was kept.
    fn since(&self, home: &Path) -> Result<Option<Label>> {
        match ProfileDirectory::open(home, self.profile)? {
            Some(profile) => death_count::read(profile.dir(), self.file).context("read", self.file),
            None => Ok(None),
        }
    }

    /// Removes what was kept.
    fn forget(&self, home: &Path) -> Result<()> {
        let Some(profile) = ProfileDirectory::open(home, self.profile)? else { return Ok(()) };
        match profile.dir().unlink(self.file) {
            Err(Errno::NOENT) => Ok(()),
            done => done.context("remove", self.file),
        }
    }

    /// Has the deaths count from now on.
    fn count_anew(&self, home: &Path) -> Result<()> {
        let Some(profile) = ProfileDirectory::open(home, self.profile)? else { return Ok(()) };
        let ownership = Ownership::new();
        death_count::write(profile.dir(), self.file, ownership.process(), &ownership)
            .context("write", self.file)
    }
}
