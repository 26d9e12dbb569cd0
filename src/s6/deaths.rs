//! The deaths of a service. s6-supervise records them in `supervise/death_tally`, which s6-svdt(8) prints: 14 bytes for each, the time
//! as a TAI64N label, the exit code, and the signal.

use std::fmt;

use super::tai64n::{self, Label};
use crate::sys::{Dir, Errno, Reason, SubPath, file};

/// The tally in a service directory, for messages.
pub const LABEL: &str = "supervise/death_tally";
static DEATH_TALLY: SubPath = SubPath::fixed(c"supervise/death_tally");
/// Size of an entry, in bytes.
const ENTRY: usize = 14;
/// Largest tally, in bytes: s6-supervise keeps 4096 deaths at most.
const CAP: u64 = 4096 * ENTRY as u64;
/// Number of deaths that s6-supervise keeps by default; older ones are dropped.
pub const KEPT: usize = 100;
/// The signal with which s6-svc(8) stops a service.
const SIGTERM: u8 = 15;

/// A death of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// When, in seconds since 1970.
    pub time: i64,
    /// The exit code.
    pub code: u8,
    /// The signal, or 0.
    pub signal: u8,
}

impl Death {
    /// Returns whether the death was intended: the service ended with 0, or s6-svc(8) stopped it.
    pub fn is_wanted(&self) -> bool {
        self.code == 0 || self.is_stop()
    }

    /// Returns whether s6-svc(8) stopped the service.
    pub fn is_stop(&self) -> bool {
        self.signal == SIGTERM
    }

    /// Returns how many seconds ago it was; `None` for a death that is stamped later than now. The clock was set back since then, and
    /// nothing is known of when it was.
    pub fn age(&self, now: i64) -> Option<u64> {
        u64::try_from(now.saturating_sub(self.time)).ok()
    }
}

impl fmt::Display for Death {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, number) = match self.signal {
            0 => ("exit code", self.code),
            signal => ("signal", signal),
        };
        write!(out, "{what} {number}")
    }
}

/// The deaths of a service, the oldest first, and from when on they count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The deaths.
    pub deaths: Vec<Death>,
    /// When each of them was.
    moments: Vec<Label>,
    /// The moment at which their count has begun anew; `None` if that is not known.
    anew: Option<Label>,
}

impl Tally {
    /// Returns the same deaths, of which only those after this moment count.
    pub fn since(self, anew: Option<Label>) -> Tally {
        Tally { anew, ..self }
    }

    /// Returns the same deaths, as they counted at this moment: what has begun anew since then does not matter.
    pub fn as_of(&self, moment: &Label) -> Tally {
        Tally { anew: self.anew.filter(|anew| anew <= moment), ..self.clone() }
    }

    /// Returns the same deaths without the last one.
    pub fn before_last(&self) -> Tally {
        let mut before = self.clone();
        before.deaths.pop();
        before.moments.pop();
        before
    }

    /// Returns when the count has begun anew, in seconds since 1970; `None` if that is not known.
    pub fn anew(&self) -> Option<i64> {
        self.anew.as_ref().map(|anew| tai64n::seconds(anew))
    }

    /// Returns each death with whether the count has begun anew since.
    pub fn each(&self) -> impl Iterator<Item = (&Death, bool)> {
        let is_before = |moment: &Label| self.anew.as_ref().is_some_and(|anew| moment <= anew);
        self.deaths.iter().zip(self.moments.iter().map(is_before))
    }
}

/// Makes a tally of deaths at the begin of their second, all of which count.
impl FromIterator<Death> for Tally {
    fn from_iter<T: IntoIterator<Item = Death>>(deaths: T) -> Tally {
        let deaths: Vec<Death> = deaths.into_iter().collect();
        let moments = deaths.iter().map(|death| tai64n::label((death.time, 0))).collect();
        Tally { deaths, moments, anew: None }
    }
}

/// Returns the deaths of a service, all of which count.
pub fn tally(service: &Dir) -> Result<Tally, Reason> {
    match file::read_below(service, &DEATH_TALLY, CAP) {
        Err(Reason::Errno(Errno::NOENT)) => Ok(Tally::default()),
        tally => Ok(parse(&tally?.0)),
    }
}

/// Returns the deaths of a service, the oldest first.
pub fn read(service: &Dir) -> Result<Vec<Death>, Reason> {
    tally(service).map(|tally| tally.deaths)
}

fn parse(tally: &[u8]) -> Tally {
    let (entries, _) = tally.as_chunks::<ENTRY>();
    let death = |entry: &[u8; ENTRY]| {
        let [.., code, signal] = *entry;
        Death { time: tai64n::seconds(entry), code, signal }
    };
    let moments = entries.iter().filter_map(|entry| entry.first_chunk().copied()).collect();
    Tally { deaths: entries.iter().map(death).collect(), moments, anew: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_named_by_its_code_or_its_signal() {
        for (code, signal, text) in [(78, 0, "exit code 78"), (137, 9, "signal 9"), (143, 15, "signal 15")] {
            assert_eq!(Death { time: 0, code, signal }.to_string(), text);
        }
    }

    #[test]
    fn a_death_that_is_stamped_later_than_now_has_no_age() {
        for (time, now, expected) in [
            (100, 100, Some(0)),
            (100, 101, Some(1)),
            (100, 99, None),
            (100, 0, None),
            (-100, 100, Some(200)),
            (i64::MAX, 0, None),
            (i64::MIN, i64::MAX, Some(i64::MAX.unsigned_abs())),
        ] {
            assert_eq!(Death { time, code: 1, signal: 0 }.age(now), expected, "{time} {now}");
        }
    }

    #[test]
    fn a_count_that_begins_anew_leaves_out_what_was_up_to_then() {
        let entry = |nanoseconds: u32| [&tai64n::label((1_700_000_000, nanoseconds))[..], &[1, 0]].concat();
        let tally = parse(&[entry(1), entry(2), entry(3)].concat());
        let left_out = |tally: &Tally| tally.each().filter(|(_, is_before)| *is_before).count();
        for (anew, expected) in [(None, 0), (Some(0), 0), (Some(2), 2), (Some(9), 3)] {
            let anew = anew.map(|nanoseconds| tai64n::label((1_700_000_000, nanoseconds)));
            let tally = tally.clone().since(anew);
            assert_eq!(left_out(&tally), expected, "{anew:?}");
            assert_eq!(left_out(&tally.as_of(&tai64n::label((1_699_999_999, 0)))), 0, "{anew:?}");
            assert_eq!(left_out(&tally.as_of(&tai64n::label((1_700_000_001, 0)))), expected, "{anew:?}");
        }
        assert_eq!(tally.before_last(), parse(&[entry(1), entry(2)].concat()));
    }

    #[test]
    fn what_is_intended() {
        for (code, signal, is_wanted, is_stop) in
            [(0, 0, true, false), (143, 15, true, true), (1, 0, false, false), (137, 9, false, false)]
        {
            let death = Death { time: 0, code, signal };
            assert_eq!((death.is_wanted(), death.is_stop()), (is_wanted, is_stop));
        }
    }

    #[test]
    fn whole_entries_are_read() {
        let entry = |time: i64| [&(tai64n::EPOCH + time).to_be_bytes()[..], &[0, 0, 0, 1], &[1, 9]].concat();
        let two = [entry(1_700_000_000), entry(1_700_000_001)].concat();
        let death = |time| Death { time, code: 1, signal: 9 };
        assert_eq!(parse(&two).deaths, [death(1_700_000_000), death(1_700_000_001)]);
        assert_eq!(parse(&two[..27]).deaths, [death(1_700_000_000)]);
        for (text, number) in [(&b""[..], 0), (b"x", 0), (&[0xff; 13], 0), (&[0xff; 14], 1), (&[0; 70], 5)] {
            assert_eq!(parse(text).deaths.len(), number);
        }
    }
}
