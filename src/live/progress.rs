//! How far a gateway has come on its way down or up, as far as one look at its state shows it. No I/O: [`super::supervised`] looks.

use std::time::{Duration, Instant};

use crate::s6::status::{Process, Stat};
use crate::s6::tai64n::Label;

/// Time for which a gateway has to be up without a break to count as up: one that cannot work mostly ends within it.
pub const STEADY: Duration = Duration::from_secs(1);

/// How far a gateway is that was ordered to be down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// It is down, or nobody supervises it.
    Ended,
    /// It is not down yet: it is up, its `finish` runs, or its supervisor has not read the order.
    Still,
    /// It has ended, and another command has started it anew.
    Newer,
    /// It had no process when the order was given, and has one and an order to be up now: it was just being started, or the order
    /// was lost.
    Started,
}

impl Down {
    /// Returns what a look shows of a gateway whose process was `old` when the order was given.
    pub fn of(stat: Option<&Stat>, old: Option<u64>) -> Down {
        match stat {
            None => Down::Ended,
            Some(stat) if stat.is_down() && !stat.is_wanted => Down::Ended,
            Some(stat) if stat.is_up() && stat.is_wanted && stat.pid() != old => {
                if old.is_some() {
                    Down::Newer
                } else {
                    Down::Started
                }
            }
            Some(_) => Down::Still,
        }
    }
}

/// Returns whether a gateway is on its way down. Its end would undo an order to be up: `finish` keeps it down if it ends with 0.
pub fn is_ending(stat: Option<&Stat>) -> bool {
    stat.is_some_and(|stat| !(stat.is_down() || stat.is_up() && stat.is_wanted))
}

/// Returns whether a gateway is neither ending nor about to be started again.
pub fn is_settled(stat: Option<&Stat>) -> bool {
    stat.is_none_or(|stat| stat.is_up() || stat.is_down() && !stat.is_wanted)
}

/// Returns whether a supervisor has taken an order to be up: it has the order, or the gateway has gone up or down since `before`.
pub fn has_taken(stat: Option<&Stat>, before: Option<Label>) -> bool {
    stat.is_some_and(|stat| stat.is_wanted || before != Some(stat.since))
}

/// How far a gateway is that was ordered to be up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It is up, with this process, and to be kept up.
    Up(u64),
    /// It is down, and stays so.
    Over,
    /// Neither.
    NotYet,
}

impl Start {
    /// Returns what a look shows.
    pub fn of(stat: Option<&Stat>) -> Start {
        match stat {
            Some(Stat { process: Process::Up { pid, .. }, is_wanted: true, .. }) => Start::Up(*pid),
            Some(Stat { process: Process::Down, is_wanted: false, .. }) => Start::Over,
            _ => Start::NotYet,
        }
    }
}

/// What the looks at a gateway that was ordered to be up have shown without a break, and since when.
#[derive(Debug)]
pub struct Streak {
    seen: Start,
    since: Instant,
}

impl Streak {
    /// Begins with nothing seen yet.
    pub fn new() -> Streak {
        Streak { seen: Start::NotYet, since: Instant::now() }
    }

    /// Adds a look. Returns what it shows if that decides: it is up, or down for good, and has been so for [`STEADY`]. A gateway that is
    /// down may only be so because another command restarts it.
    pub fn add(&mut self, seen: Start, now: Instant) -> Option<Start> {
        if seen != self.seen {
            *self = Streak { seen, since: now };
        }
        let is_steady = now.saturating_duration_since(self.since) >= STEADY;
        Some(seen).filter(|seen| is_steady && *seen != Start::NotYet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Label = [1; 12];
    const LATER: Label = [2; 12];

    /// Returns the state of a gateway that has this process and is to be up or down; `finish` has ended if it has none.
    fn stat(pid: Option<u64>, is_wanted: bool) -> Stat {
        let process = pid.map_or(Process::Down, |pid| Process::Up { pid, is_ready: false });
        Stat { process, is_wanted, since: BEFORE, ready: BEFORE }
    }

    /// Returns the state of a gateway that has ended, and whose `finish` runs.
    fn finishing(wanted: bool) -> Stat {
        Stat { process: Process::Finishing, ..stat(None, wanted) }
    }

    /// All states that a supervisor can have written, and none, which is no supervisor.
    fn all() -> Vec<Option<Stat>> {
        let of =
            |wanted| [stat(Some(7), wanted), stat(Some(8), wanted), stat(None, wanted), finishing(wanted)];
        let states = [true, false].into_iter().flat_map(of).map(Some);
        states.chain([None]).collect()
    }

    #[test]
    fn a_gateway_that_was_ordered_down() {
        // In the order of `all`: wanted up (process 7, process 8, none, finishing), wanted down (the same), unsupervised.
        use Down::{Ended, Newer, Started, Still};
        let of_seven = [Still, Newer, Still, Still, Still, Still, Ended, Still, Ended];
        let of_none = [Started, Started, Still, Still, Still, Still, Ended, Still, Ended];
        for (old, wanted) in [(Some(7), of_seven), (None, of_none)] {
            let found: Vec<_> = all().iter().map(|stat| Down::of(stat.as_ref(), old)).collect();
            assert_eq!(found, wanted, "{old:?}");
        }
    }

    #[test]
    fn a_gateway_whose_end_would_undo_a_start() {
        let found: Vec<_> = all().iter().map(|stat| is_ending(stat.as_ref())).collect();
        assert_eq!(found, [false, false, false, true, true, true, false, true, false]);
    }

    #[test]
    fn a_gateway_that_is_neither_ending_nor_about_to_be_started() {
        let found: Vec<_> = all().iter().map(|stat| is_settled(stat.as_ref())).collect();
        assert_eq!(found, [true, true, false, false, true, true, true, false, true]);
    }

    #[test]
    fn an_order_to_be_up_is_taken_once_it_shows() {
        for stat in all() {
            let is_wanted = stat.is_some_and(|stat| stat.is_wanted);
            assert_eq!(has_taken(stat.as_ref(), Some(BEFORE)), is_wanted, "{stat:?}");
            // It has died since, and may have ended with 0.
            assert_eq!(has_taken(stat.as_ref(), Some(LATER)), stat.is_some(), "{stat:?}");
            // Nobody supervised it.
            assert_eq!(has_taken(stat.as_ref(), None), stat.is_some(), "{stat:?}");
        }
    }

    #[test]
    fn a_gateway_that_was_ordered_up() {
        use Start::{NotYet, Over, Up};
        let found: Vec<_> = all().iter().map(|stat| Start::of(stat.as_ref())).collect();
        assert_eq!(found, [Up(7), Up(8), NotYet, NotYet, NotYet, NotYet, Over, NotYet, NotYet]);
    }

    #[test]
    fn only_what_lasts_a_second_decides() {
        use Start::{NotYet, Over, Up};
        // What each look shows, how long after the first one in milliseconds, and what it decides.
        let rows: [&[(Start, u64, Option<Start>)]; 5] = [
            &[(Up(7), 0, None), (Up(7), 999, None), (Up(7), 1000, Some(Up(7)))],
            &[(Over, 0, None), (Over, 1000, Some(Over))],
            // A new process begins anew.
            &[(Up(7), 0, None), (Up(8), 900, None), (Up(8), 1800, None), (Up(8), 1900, Some(Up(8)))],
            // Another command restarts it.
            &[(Over, 0, None), (Up(8), 900, None), (Up(8), 1900, Some(Up(8)))],
            &[(NotYet, 0, None), (NotYet, 5000, None), (Up(7), 5001, None)],
        ];
        for row in rows {
            let mut streak = Streak::new();
            let begin = Instant::now();
            for (seen, after, decided) in row {
                let now = begin + Duration::from_millis(*after);
                assert_eq!(streak.add(*seen, now), *decided, "{row:?} after {after} ms");
            }
        }
    }
}
