//! The pauses between starts of a gateway or a dashboard that keeps dying.

use std::thread::sleep;
use std::time::Duration;

use crate::output::Console;
use crate::sys::time;

/// In seconds: the life after which no death counts, the period in which deaths lead to a pause, and the longest pause.
pub(super) const MINUTE: i64 = 60;
/// Number of deaths within a minute after which there is a pause.
pub(super) const DEATHS: usize = 5;
/// The first pause, in seconds. Each is twice the one before, up to a minute.
const FIRST: i64 = 2;
/// The step from which on the pause is a minute.
pub(super) const LAST: u32 = 6;

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

/// Waits until a pause is over, if there is one, before a service starts that keeps dying. This is done in `run`, where `s6-svc -d` ends it
/// at once, and not in `finish`. `name` is for people.
pub fn make(pause: Option<&Pause>, name: &str, console: &Console) {
    let Some(Pause { until, length, is_repeated }) = pause else { return };
    if !is_repeated {
        console
            .warn(format_args!("{name} keeps dying: it starts again {length} seconds after its last death"));
    }
    let left = until.saturating_sub(time::now()).max(0);
    sleep(Duration::from_secs(left.unsigned_abs()));
}

/// Returns the length of the pause at a step, in seconds.
pub(super) fn length(step: u32) -> i64 {
    match step {
        0 => 0,
        1..LAST => FIRST << (step - 1),
        _ => MINUTE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_doubled_up_to_a_minute() {
        let lengths: Vec<i64> = (0..9).map(length).collect();
        assert_eq!(lengths, [0, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
