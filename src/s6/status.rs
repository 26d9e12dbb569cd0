//! The state of a service, which its supervisor writes to `supervise/status`, as s6-svstat(8) reads it.

use std::time::Duration;

use super::supervision::{self, STATUS};
use super::tai64n::{self, Label};
use crate::output::{Context, Error, Result};
use crate::sys::{Dir, Errno, Reason, file, time};

/// The state of a service as its supervisor has written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its process.
    pub process: Process,
    /// Whether its supervisor has the order to keep it up.
    pub is_wanted: bool,
    /// When it last went up or down.
    pub since: Label,
    /// When it was last ready, or when its last `finish` ended, whichever was later; of one that was never up, when its supervisor started.
    pub ready: Label,
}

/// The process of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It is up.
    Up {
        /// The process ID.
        pid: u64,
        /// Whether it has reported that it is ready.
        is_ready: bool,
    },
    /// It has ended, and its `finish` has not. A `finish` can revoke an order to be up.
    Finishing,
    /// It is down.
    Down,
}

impl Stat {
    /// Returns when it last went up or down, in seconds since 1970.
    pub fn time(&self) -> i64 {
        tai64n::seconds(&self.since)
    }

    /// Returns how long ago it last went up or down, in whole seconds; `now` is in seconds since 1970 and nanoseconds. `None` if that was
    /// later than now, because the clock was set back.
    pub fn age(&self, now: (i64, u32)) -> Option<u64> {
        let (seconds, nanoseconds) = now;
        let is_begun = nanoseconds < tai64n::nanoseconds(&self.since);
        u64::try_from(seconds.saturating_sub(self.time()).saturating_sub(is_begun.into())).ok()
    }

    /// Returns the process ID, while it is up.
    pub fn pid(&self) -> Option<u64> {
        self.process.pid()
    }

    /// Returns whether it is up.
    pub fn is_up(&self) -> bool {
        self.pid().is_some()
    }

    /// Returns whether it is down and its `finish` has ended.
    pub fn is_down(&self) -> bool {
        self.process == Process::Down
    }
}

impl Process {
    /// Returns the process ID, while it is up.
    pub fn pid(self) -> Option<u64> {
        match self {
            Process::Up { pid, .. } => Some(pid),
            Process::Finishing | Process::Down => None,
        }
    }
}

/// Longest wait for a new supervisor to write its state.
const STATELESS: Duration = Duration::from_secs(1);
/// Largest state that is read, in bytes.
const STATE_CAP: u64 = 4096;

/// Reads the state of a service. `None` if nobody supervises it.
pub fn svstat(service: &Dir) -> Result<Option<Stat>> {
    const OBJECT: &str = "supervise/status";
    let held = supervision::is_held(service);
    let unknown = |errno| Error::new("inspect", "supervise/control", errno);
    match held {
        Ok(false) => return Ok(None),
        // Who may not command it may still read its state.
        Ok(true) | Err(Errno::ACCESS) => (),
        Err(errno) => return Err(unknown(errno)),
    }
    let mut read = file::read_below(service, &STATUS, STATE_CAP);
    if read.as_ref().err() == Some(&Reason::Errno(Errno::NOENT)) {
        if has_come(service) == Ok(false) && supervision::is_held(service) == Ok(false) {
            return Ok(None);
        }
        read = file::read_below(service, &STATUS, STATE_CAP);
    }
    if let (Err(errno), Err(Reason::Errno(Errno::NOENT))) = (held, &read) {
        return Err(unknown(errno));
    }
    let (state, _) = read.context("read", OBJECT)?;
    parse(&state)
        .map(Some)
        .ok_or_else(|| Error::new("parse", OBJECT, "its format is unknown: update hermes-init"))
}

/// Waits while the supervisor of a service is starting. Returns whether it has written a state. One that finds no room for that ends, and
/// s6-svscan starts another one every second. Fails if that cannot be looked at.
pub fn has_come(service: &Dir) -> std::result::Result<bool, Errno> {
    let look = || match supervision::has_state(service) {
        Ok(false) if supervision::is_held(service) == Ok(true) => None,
        found => Some(found),
    };
    time::poll(STATELESS, Duration::from_millis(1), look).unwrap_or(Ok(false))
}

/// Parses `supervise/status`: the moments of the last change and of readiness, the process ID (8 bytes, big-endian) and, at the end,
/// the flags. s6 2.13 has the process group before the last three bytes.
fn parse(state: &[u8]) -> Option<Stat> {
    const FINISHING: u8 = 2;
    const WANTED: u8 = 4;
    const READY: u8 = 8;
    if state.len() != 35 && state.len() != 43 {
        return None;
    }
    let (since, rest) = state.split_first_chunk::<12>()?;
    let (ready, rest) = rest.split_first_chunk::<12>()?;
    let pid = u64::from_be_bytes(*rest.first_chunk()?);
    let flags = state.last()?;
    let process = if pid != 0 && flags & FINISHING == 0 {
        Process::Up { pid, is_ready: flags & READY != 0 }
    } else if ready < since {
        // Of a service that is down, the second moment is that of the end of its `finish`.
        Process::Finishing
    } else {
        Process::Down
    };
    Some(Stat { process, is_wanted: flags & WANTED != 0, since: *since, ready: *ready })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(since: u8, ready: u8, pid: u64, group: &[u8], flags: u8) -> Vec<u8> {
        let moment = |last: u8| [0x40, 0, 0, 0, 0x6a, 0, 0, 0, 0, 0, 0, last];
        [&moment(since)[..], &moment(ready), &pid.to_be_bytes(), group, &[0, 0], &[flags]].concat()
    }

    #[test]
    fn an_age_has_whole_seconds_only() {
        let since = |nanoseconds: u32| {
            let label = [&(tai64n::EPOCH + 1000).to_be_bytes()[..], &nanoseconds.to_be_bytes()].concat();
            let since = *label.first_chunk().unwrap();
            Stat { process: Process::Down, is_wanted: false, since, ready: since }
        };
        for (nanoseconds, now, expected) in [
            (0, (1000, 0), Some(0)),
            (500, (1000, 499), None),
            (500, (1001, 499), Some(0)),
            (500, (1001, 500), Some(1)),
            (999_999_999, (1005, 0), Some(4)),
            (0, (999, 999_999_999), None),
        ] {
            assert_eq!(since(nanoseconds).age(now), expected, "{nanoseconds} {now:?}");
        }
    }

    #[test]
    fn both_formats_of_a_state_are_read() {
        for group in [&b""[..], &42_u64.to_be_bytes()] {
            let up = |is_ready| Process::Up { pid: 42, is_ready };
            for (state, process, is_wanted) in [
                (state(11, 10, 42, group, 0), up(false), false),
                (state(11, 12, 42, group, 12), up(true), true),
                (state(11, 10, 42, group, 6), Process::Finishing, true),
                (state(11, 10, 0, group, 4), Process::Finishing, true),
                (state(11, 11, 0, group, 0), Process::Down, false),
                (state(11, 12, 0, group, 4), Process::Down, true),
            ] {
                let found = parse(&state).map(|stat| (stat.process, stat.is_wanted));
                assert_eq!(found, Some((process, is_wanted)), "{state:?}");
            }
            assert_eq!(parse(&state(11, 11, 0, group, 0)).map(|stat| stat.time()), Some(0x6a00_0000 - 37));
        }
        for length in [0, 34, 36, 42, 44, 100] {
            assert_eq!(parse(&vec![0; length]), None);
        }
    }
}
