//! What the files of all profiles together may cost one pass or one answer, whatever the hermes user has put on the volume. A file of
//! an ordinary size costs nothing; what a large one has beyond that comes out of one sum for all, in the order in which the profiles
//! are read.

use std::cell::Cell;

use super::contents::{Content, Contents};
use crate::sys::file::Limit;
use crate::sys::{Errno, Name, Reason, SubPath};

/// Size in bytes up to which a JSON file costs nothing. Hermes Agent's `gateway_state.json` has about 1 KiB, its lifecycle ledger less;
/// parsing takes up to 60 ns a byte.
pub const JSON_FREE: u64 = 2 << 10;
/// What all JSON files together may have beyond that, in bytes.
const JSON_SUM: u64 = 6 << 20;
/// Size in bytes up to which a config.yaml costs nothing; reading it takes up to 12 ns a byte.
pub const CONFIG_FREE: u64 = 16 << 10;
/// What all config.yaml together may have beyond that, in bytes: 500 copies of Hermes Agent's example, which has 126,181 bytes.
const CONFIG_SUM: u64 = 60 << 20;
/// Number of pages of /run up to which the variables of a profile cost nothing.
const PAGES_FREE: u64 = 8;
/// What the variables of all new slots together may take of /run beyond that, in pages: 16 MiB.
const PAGES_SUM: u64 = 4096;

/// What is left for the files of all profiles.
#[derive(Debug)]
pub struct Budget {
    /// `gateway_state.json` and the ledgers.
    pub json: Pool,
    /// `config.yaml`.
    pub configs: Pool,
    /// Pages of /run for the variables of new slots.
    pub pages: Pool,
}

impl Budget {
    /// Returns the budget of one pass or one answer.
    pub fn new() -> Budget {
        Budget {
            json: Pool::new(JSON_FREE, JSON_SUM),
            configs: Pool::new(CONFIG_FREE, CONFIG_SUM),
            pages: Pool::new(PAGES_FREE, PAGES_SUM),
        }
    }
}

/// A sum that things draw on by their size.
#[derive(Debug)]
pub struct Pool {
    /// The size up to which a thing costs nothing.
    free: u64,
    /// What is left for what things have beyond it.
    left: Cell<u64>,
}

/// Why a thing is not taken.
const OVER: &str =
    "it is large, and such files of all profiles together exceed what is read at once: make it smaller";

impl Pool {
    fn new(free: u64, sum: u64) -> Pool {
        Pool { free, left: Cell::new(sum) }
    }

    /// Returns the largest size that is still taken.
    pub fn most(&self) -> u64 {
        self.free.saturating_add(self.left.get())
    }

    /// Takes a thing of this size. Fails if not so much is left.
    pub fn take(&self, size: u64) -> Result<(), Reason> {
        let cost = size.saturating_sub(self.free);
        let left = self.left.get().checked_sub(cost).ok_or(Reason::Unread(OVER.into()))?;
        self.left.set(left);
        Ok(())
    }

    fn limit(&self, file: u64) -> Limit {
        Limit { file, left: self.most(), why: OVER }
    }

    /// Reads a file of at most `cap` bytes; `None` if it is not there. One for which not enough is left is [`Reason::Unread`].
    pub fn find(&self, contents: Contents<'_>, name: &Name, cap: u64) -> Result<Option<Content>, Reason> {
        let (bytes, meta) = match contents.read(name, self.limit(cap)) {
            Err(Reason::Errno(Errno::NOENT)) => return Ok(None),
            found => found?,
        };
        self.take(bytes.len() as u64)?;
        Ok(Some((bytes, meta)))
    }

    /// Reads a file of at most `cap` bytes, two steps below. One for which not enough is left is [`Reason::Unread`].
    pub fn read_below(&self, contents: Contents<'_>, below: &SubPath, cap: u64) -> Result<Vec<u8>, Reason> {
        let (bytes, _) = contents.read_below(below, self.limit(cap))?;
        self.take(bytes.len() as u64)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_costs_nothing_and_the_rest_comes_out_of_one_sum() {
        let pool = Pool::new(10, 25);
        for (size, is_taken, left) in [
            (0, true, 25),
            (10, true, 25),
            (11, true, 24),
            (30, true, 4),
            (15, false, 4),
            (14, true, 0),
            (11, false, 0),
            (10, true, 0),
            (u64::MAX, false, 0),
        ] {
            assert_eq!(pool.take(size).is_ok(), is_taken, "{size}");
            assert_eq!(pool.left.get(), left, "{size}");
            assert_eq!(pool.most(), 10 + left);
        }
    }
}
