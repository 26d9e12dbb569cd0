//! What is read of a profile before it is its turn: files of an ordinary size. Several threads may do so at once.

use super::budget::Budget;
use super::config::CONFIG;
use super::contents::Known;
use super::exit_ledger::LEDGER;
use super::kept_env::KEPT;
use super::parking::PARKED;
use super::state::STATE;
use crate::sys::{Dir, Name};

/// Largest JSON file that is read ahead, in bytes. Hermes Agent's have about 1 KiB.
const JSON: u64 = 4 << 10;
/// Largest config.yaml that is read ahead, in bytes. Hermes Agent's own example, with all its comments, has 126,181.
const CONFIGS: u64 = 128 << 10;

/// What is read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The state and the ledger, up to this size in bytes.
    json: u64,
    /// `config.yaml`, up to this size in bytes.
    config: Option<u64>,
    /// The variables that a registration has kept, up to this size in bytes.
    variables: Option<u64>,
    /// Whether it is parked.
    parked: bool,
    /// Further entries of which it matters whether they are there.
    entries: &'static [&'static Name],
}

impl Wanted {
    /// Returns what is wanted of a profile, as far as the budget has it: also whether it is parked or standalone if that matters, its variables
    /// if its slot is new, and whether these entries are there.
    pub fn within(
        budget: &Budget,
        with_signs: bool,
        is_new: bool,
        entries: &'static [&'static Name],
    ) -> Wanted {
        Wanted {
            json: JSON.min(budget.json.most()),
            config: with_signs.then(|| CONFIGS.min(budget.configs.most())),
            variables: is_new.then_some(JSON),
            parked: with_signs,
            entries,
        }
    }

    /// Lists the directory of a profile, if it is open for reading, and reads ahead what is wanted.
    pub fn of(self, dir: &Dir) -> Known {
        let mut known = Known::list(dir);
        known.look(dir, self.entries);
        if self.parked {
            known.look(dir, &[&PARKED]);
        }
        // Whatever the listing tells, as in `state::read`.
        known.read(dir, &STATE, self.json);
        if !known.rules_out(&LEDGER) {
            known.read_below(dir, &LEDGER, self.json);
        }
        for (file, most) in [(&CONFIG, self.config), (&KEPT, self.variables)] {
            if let Some(most) = most.filter(|_| !known.rules_out(file)) {
                known.read(dir, file, most);
            }
        }
        known
    }
}
