//! The pause of a gateway that dies again and again.

use crate::s6::deaths::{self, Death, KEPT};
use crate::sys::{Dir, Reason};

/// A gateway that was up for so long, in seconds, starts from nothing; and the longest pause.
const MINUTE: i64 = 60;
/// Number of deaths within a minute after which there is a pause.
const DEATHS: usize = 5;
/// The first pause, in seconds. Each is twice the one before, up to a minute.
const FIRST: i64 = 2;
/// The step from which on the pause is a minute.
const LAST: u32 = 6;

/// A pause before the next start.
#[derive(Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it is over, in seconds since 1970.
    pub until: i64,
    /// Its length in seconds.
    pub length: i64,
    /// Whether the pause before it was as long.
    pub is_repeated: bool,
}

/// Returns the pause that the gateway of a slot has to make after its deaths; `None` if it may start at once.
pub fn pause(slot: &Dir) -> Result<Option<Pause>, Reason> {
    deaths::read(slot).map(|deaths| after(&deaths))
}

fn length(step: u32) -> i64 {
    match step {
        0 => 0,
        1..LAST => FIRST << (step - 1),
        _ => MINUTE,
    }
}

/// Returns the pause after these deaths, the oldest first.
pub fn after(deaths: &[Death]) -> Option<Pause> {
    let mut step = if deaths.len() >= KEPT { LAST + 1 } else { 0 };
    // The row of deaths that count begins here.
    let mut begin = 0;
    let mut last = None;
    for (at, death) in deaths.iter().enumerate() {
        let time = death.time;
        // Somebody who stops a gateway and starts it again does not wait.
        let is_wanted = death.is_wanted();
        let lived = last.map_or(0, |last| time.saturating_sub(last).saturating_sub(length(step)));
        if is_wanted || lived >= MINUTE {
            step = 0;
            begin = at + usize::from(is_wanted);
        }
        last = Some(time);
        if !is_wanted {
            let fifth = (at + 1).checked_sub(DEATHS).filter(|fifth| *fifth >= begin);
            let fifth = fifth.and_then(|fifth| deaths.get(fifth));
            let is_row = fifth.is_some_and(|fifth| time.saturating_sub(fifth.time) < MINUTE);
            step += u32::from(step > 0 || is_row);
        }
    }
    let length = length(step);
    let until = last?.saturating_add(length);
    (step > 0).then_some(Pause { until, length, is_repeated: step > LAST })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deaths(of: &[(i64, u8, u8)]) -> Vec<Death> {
        of.iter().map(|(time, code, signal)| Death { time: *time, code: *code, signal: *signal }).collect()
    }

    fn pauses(of: &[(i64, u8, u8)]) -> Option<i64> {
        after(&deaths(of)).map(|pause| pause.length)
    }

    #[test]
    fn pauses_grow_up_to_a_minute_and_stay_there() {
        let (mut now, mut row, mut seen) = (1_700_000_000, Vec::new(), Vec::new());
        for _ in 0..KEPT + 50 {
            row.push((now, 1, 0));
            let kept = row.get(row.len().saturating_sub(KEPT)..).unwrap_or_default();
            let pause = after(&deaths(kept));
            seen.push(pause.as_ref().map_or(0, |pause| pause.length));
            assert_eq!(pause.as_ref().is_some_and(|pause| pause.is_repeated), seen.len() > 10);
            now = pause.map_or(now, |pause| pause.until) + 1;
        }
        assert!(seen.starts_with(&[0, 0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60]));
        assert!(seen.iter().skip(9).all(|length| *length == 60));
    }

    #[test]
    fn only_a_row_of_deaths_counts() {
        let row = [(0, 1, 0), (1, 1, 0), (2, 137, 9), (3, 1, 0), (4, 1, 0)];
        assert_eq!(pauses(&row), Some(2));
        assert_eq!(pauses(&row[..4]), None);
        // Somebody stopped it.
        assert_eq!(pauses(&[&row[..], &[(5, 143, 15)]].concat()), None);
        assert_eq!(pauses(&[&row[..], &[(5, 0, 0)]].concat()), None);
        // It was up for a minute.
        assert_eq!(pauses(&[&row[..], &[(4 + 2 + 60, 1, 0)]].concat()), None);
        assert_eq!(pauses(&[&row[..], &[(4 + 2 + 59, 1, 0)]].concat()), Some(4));
        // Five in more than a minute.
        assert_eq!(pauses(&[(0, 1, 0), (20, 1, 0), (40, 1, 0), (59, 1, 0), (60, 1, 0)]), None);
    }
}
