//! The pauses between starts of a gateway or a dashboard that keeps dying.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::output::{Console, Error};
use crate::s6::deaths::{self, Death, KEPT};
use crate::sys::{Dir, time};

/// In seconds: the uptime after which earlier deaths no longer count, the period in which deaths are counted, and the longest pause.
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

/// Waits until a service may start that keeps dying. This is done in `run`, in the service directory, where `s6-svc -d` ends it at once,
/// and not in `finish`. `name` is for people; `is_wanted` is whether a death was intended.
pub fn make_pause(name: &str, is_wanted: fn(&Death) -> bool, console: &Console) {
    let deaths = match Dir::fixed(Path::new(".")) {
        Ok(service) => deaths::read(&service),
        Err(errno) => Err(errno.into()),
    };
    let deaths = match deaths {
        Ok(deaths) => deaths,
        Err(reason) => return console.failed(&Error::new("use", Path::new(deaths::LABEL), reason)),
    };
    let now = time::now();
    let Some(Pause { until, length, is_repeated }) = after(&deaths, now, is_wanted) else { return };
    if !is_repeated {
        console
            .warn(format_args!("{name} keeps dying: it starts again {length} seconds after its last death"));
    }
    let left = until.saturating_sub(now).max(0);
    sleep(Duration::from_secs(left.unsigned_abs()));
}

/// Returns the length of the pause at a step, in seconds.
fn length(step: u32) -> i64 {
    match step {
        0 => 0,
        1..LAST => FIRST << (step - 1),
        _ => MINUTE,
    }
}

/// Returns the pause after these deaths, the oldest first. Those that are stamped later than `now` are ignored: the clock was set back.
pub fn after(deaths: &[Death], now: i64, is_wanted: fn(&Death) -> bool) -> Option<Pause> {
    let deaths: Vec<Death> = deaths.iter().copied().filter(|death| death.age(now).is_some()).collect();
    // s6-supervise keeps only the newest deaths: a full tally may continue a row that is already at the longest pause.
    let mut step = if deaths.len() >= KEPT { LAST } else { 0 };
    // The index of the first death that counts.
    let mut begin = 0;
    let mut last = None;
    for (at, death) in deaths.iter().enumerate() {
        let time = death.time;
        // Whoever stops a gateway and starts it again does not wait.
        let is_wanted = is_wanted(death);
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

    /// Returns the pause of a gateway after deaths none of which is stamped later than now.
    fn after_all(deaths: &[Death]) -> Option<Pause> {
        after(deaths, i64::MAX, Death::is_wanted)
    }

    /// A crash at a time.
    fn crash(time: i64) -> Death {
        Death { time, code: 1, signal: 0 }
    }

    fn stop(time: i64) -> Death {
        Death { time, code: 143, signal: 15 }
    }

    fn end(time: i64) -> Death {
        Death { time, code: 0, signal: 0 }
    }

    /// Crashes at these times.
    fn crashes(times: &[i64]) -> Vec<Death> {
        times.iter().copied().map(crash).collect()
    }

    #[test]
    fn pauses_grow_up_to_a_minute_and_stay_there() {
        let (mut now, mut row, mut seen) = (1_700_000_000, Vec::new(), Vec::new());
        for _ in 0..KEPT + 50 {
            row.push(crash(now));
            let kept = row.get(row.len().saturating_sub(KEPT)..).unwrap_or_default();
            let pause = after_all(kept);
            seen.push(pause.as_ref().map_or(0, |pause| pause.length));
            assert_eq!(pause.as_ref().is_some_and(|pause| pause.is_repeated), seen.len() > 10);
            assert!(pause.as_ref().is_none_or(|pause| pause.until == now + pause.length));
            now = pause.map_or(now, |pause| pause.until) + 1;
        }
        assert!(seen.starts_with(&[0, 0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60]));
        assert!(seen.iter().skip(9).all(|length| *length == 60));
    }

    #[test]
    fn each_rule() {
        let five = crashes(&[0, 1, 2, 3, 4]);
        let with = |more: &[Death]| [&five[..], more].concat();
        for (rule, deaths, expected) in [
            ("no death", vec![], None),
            ("four deaths", crashes(&[0, 1, 2, 3]), None),
            ("five deaths", five.clone(), Some((6, 2))),
            ("five at one moment", crashes(&[7; 5]), Some((9, 2))),
            (
                "a signal is a death",
                [&five[..4], &[Death { time: 4, code: 137, signal: 9 }]].concat(),
                Some((6, 2)),
            ),
            ("five in 59 seconds", crashes(&[0, 20, 40, 58, 59]), Some((61, 2))),
            ("five in a minute", crashes(&[0, 20, 40, 59, 60]), None),
            ("the last five of six", crashes(&[0, 59, 60, 61, 62, 63]), Some((65, 2))),
            ("the next pause is twice as long", with(&[crash(7)]), Some((11, 4))),
            ("deaths far apart, but never up for a minute", with(&[crash(6 + 59)]), Some((69, 4))),
            ("up for a minute after the pause", with(&[crash(6 + 60)]), None),
            ("up for a minute without a pause", crashes(&[0, 1, 2, 62, 63, 64]), None),
            ("the death after a minute counts", crashes(&[0, 60, 61, 62, 63, 64]), Some((66, 2))),
            ("those before it do not", crashes(&[0, 1, 61, 62, 63, 64]), None),
            ("stopped", with(&[stop(5)]), None),
            ("ended with 0", with(&[end(5)]), None),
            ("four deaths after a stop", [&[stop(0)], &five[..4]].concat(), None),
            ("four after a stop, one before it", [&[crash(0), stop(0)], &five[..4]].concat(), None),
            ("five after a stop", [&[stop(0)], &five[..]].concat(), Some((6, 2))),
            ("a stop between", [&five[..3], &[stop(2)], &five[3..]].concat(), None),
            ("at the end of time", crashes(&[i64::MAX; 5]), Some((i64::MAX, 2))),
        ] {
            let found = after_all(&deaths).map(|pause| (pause.until, pause.length));
            assert_eq!(found, expected, "{rule}");
        }
    }

    #[test]
    fn what_is_stamped_later_than_now_is_ignored() {
        let later = crashes(&[100, 101, 102, 103, 104, 107]);
        let with = |more: &[Death]| [&later[..], more].concat();
        for (rule, deaths, now, expected) in [
            ("the clock has reached all", with(&[]), 107, Some((111, 4))),
            ("it has not reached the last", with(&[]), 106, Some((106, 2))),
            ("it has reached four", with(&[]), 103, None),
            ("it was set back before all", with(&[]), 50, None),
            ("four deaths since it was set back", with(&crashes(&[1, 2, 3, 4])), 4, None),
            ("five deaths since then", with(&crashes(&[1, 2, 3, 4, 5])), 5, Some((7, 2))),
            (
                "and it has reached the earlier ones again: a pause that is over",
                with(&crashes(&[1, 2, 3, 4, 5])),
                103,
                Some((37, 32)),
            ),
            ("a full tally of earlier ones", crashes(&[1000; KEPT]), 999, None),
            ("and five since", [crashes(&[1000; KEPT - 5]), crashes(&[1; 5])].concat(), 2, Some((3, 2))),
        ] {
            let found = after(&deaths, now, Death::is_wanted).map(|pause| (pause.until, pause.length));
            assert_eq!(found, expected, "{rule}");
            // No pause is longer than its step.
            assert!(found.is_none_or(|(until, length)| until - now <= length), "{rule}");
        }
    }

    #[test]
    fn a_dashboard_that_ends_with_0_keeps_dying_too() {
        let ends: Vec<Death> = [0, 1, 2, 3, 4].into_iter().map(end).collect();
        assert_eq!(after(&ends, 9, Death::is_wanted), None);
        let pause = after(&ends, 9, Death::is_stop).unwrap();
        assert_eq!((pause.until, pause.length), (6, 2));
        let stopped = [&ends[..], &[stop(5)]].concat();
        assert_eq!(after(&stopped, 9, Death::is_stop), None);
    }

    #[test]
    fn a_full_tally_goes_on_with_the_longest_pause_until_it_is_broken() {
        let times: Vec<i64> = (0..).step_by(61).take(KEPT).collect();
        let last = 61 * (i64::try_from(KEPT).unwrap() - 1);
        let pause = after_all(&crashes(&times)).unwrap();
        assert_eq!(pause, Pause { until: last + 60, length: 60, is_repeated: true });
        assert_eq!(after_all(&crashes(&times[1..])), None);
        let broken = [&crashes(&times[1..])[..], &[stop(last + 1)]].concat();
        assert_eq!((broken.len(), after_all(&broken)), (KEPT, None));
    }

    #[test]
    fn only_a_pause_of_a_minute_is_repeated() {
        let mut times = vec![0; DEATHS];
        for (length, is_repeated) in
            [(2, false), (4, false), (8, false), (16, false), (32, false), (60, false), (60, true)]
        {
            let pause = after_all(&crashes(&times)).unwrap();
            assert_eq!((pause.length, pause.is_repeated), (length, is_repeated));
            times.push(pause.until + 1);
        }
    }
}
