//! Which deaths of a service count as those of one that keeps dying, and when their count begins anew. Pure: [`super::anew`] looks, and
//! keeps what s6-supervise does not record.
//!
//! A death counts unless somebody asked for it, or the life that it ended lasted a minute or more. The count begins anew with a death that
//! does not count, with a stop, and once a start has lasted a minute.

use super::backoff::{DEATHS, LAST, MINUTE, Pause, length};
use super::permanent;
use crate::s6::deaths::{Death, KEPT, Tally};
use crate::s6::status::Stat;
use crate::s6::tai64n;

/// The exit code with which a gateway asks to be started again: after `/restart`, and after an update. It is `EX_TEMPFAIL` of sysexits.h,
/// Hermes Agent's `GATEWAY_SERVICE_RESTART_EXIT_CODE`.
const RESTART: u8 = 75;
/// The longest time, in seconds, for which a service is down after its `finish` although it is to be up: s6-supervise starts it once a
/// second, and the machine may be busy.
const IDLE: i64 = 3;

/// The program that is a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `gateway-run`.
    Gateway,
    /// `dashboard-run`.
    Dashboard,
    /// Another one, which makes no pauses as far as this program knows.
    Other,
}

/// What a death is, by how the service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nobody asked for it.
    Unwanted,
    /// Somebody asked for it, or it stayed down until somebody started it.
    Asked,
    /// It may have ended as intended, and nobody need have asked for it.
    Ended,
}

impl Program {
    fn kind(self, death: &Death) -> Kind {
        let exited = |code| death.signal == 0 && death.code == code;
        let stays_down = death.signal == 0 && permanent(death.code.into()).is_some();
        match self {
            _ if death.is_stop() => Kind::Asked,
            Program::Gateway if exited(0) || exited(RESTART) || stays_down => Kind::Asked,
            // While a dashboard is on, it does not end by itself as intended.
            Program::Dashboard if stays_down => Kind::Asked,
            // What its `finish` makes of an end is not known.
            Program::Other if exited(0) => Kind::Ended,
            Program::Gateway | Program::Dashboard | Program::Other => Kind::Unwanted,
        }
    }

    /// Returns the pause that a service with these deaths makes before it starts, if it makes one. `start` is the start.
    pub fn pause(self, tally: &Tally, start: Beginning, now: i64) -> Option<Pause> {
        if self == Program::Other {
            return None;
        }
        let row = Row::of(self, tally, true, now);
        let last = row.last.filter(|last| row.step > 0 && !start.is_by_hand(Some(*last)))?;
        let length = length(row.step);
        Some(Pause { until: last.saturating_add(length), length, is_repeated: row.step > LAST })
    }

    /// Returns the deaths that count, the oldest first. `start` is the start of the process that the service has, if it has one.
    /// `makes_pauses` is whether pauses are switched on.
    pub fn counted(
        self,
        tally: &Tally,
        start: Option<Beginning>,
        makes_pauses: bool,
        now: i64,
    ) -> Vec<Death> {
        let row = Row::of(self, tally, makes_pauses && self != Program::Other, now);
        let Some(start) = start.filter(|start| start.at <= now) else { return row.counted };
        let begin = row.begin.unwrap_or(start.at).max(start.at);
        let is_over = start.is_by_hand(row.last) || now.saturating_sub(begin) >= MINUTE;
        if is_over { Vec::new() } else { row.counted }
    }

    /// Returns whether the last death is one that somebody asked for, by how it ended alone: the count begins anew with it, whatever else is
    /// known.
    pub fn asked_for_last(self, tally: &Tally) -> bool {
        tally.deaths.last().is_some_and(|death| self.kind(death) == Kind::Asked)
    }

    /// Returns whether the last death counts by what the tally shows. Its end is told by nothing else: neither that somebody asked for it,
    /// nor how long a first life was.
    pub fn counts_last(self, tally: &Tally, makes_pauses: bool, now: i64) -> bool {
        let counted = Row::of(self, tally, makes_pauses, now).counted;
        counted.last().is_some_and(|death| Some(death) == tally.deaths.last())
    }

    /// Returns whether the life that ended with the last death lasted a minute or more. It began at `ready` at the earliest, in seconds
    /// since 1970.
    pub fn has_lived(self, tally: &Tally, ready: i64, makes_pauses: bool, now: i64) -> bool {
        let Some(death) = tally.deaths.last() else { return false };
        let begin = Row::of(self, &tally.before_last(), makes_pauses, now).begin.unwrap_or(ready).max(ready);
        death.time.saturating_sub(begin) >= MINUTE
    }
}

/// The start of a process of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// When, in seconds since 1970.
    at: i64,
    /// Since when the service was down and its last `finish` had ended; `None` if that is not known.
    idle_since: Option<i64>,
}

impl Beginning {
    /// Returns the start of the process that the service has, if it has one.
    pub fn of(stat: &Stat) -> Option<Beginning> {
        // One that was ready since has no other moment.
        let idle_since = Some(tai64n::seconds(&stat.ready)).filter(|_| stat.ready < stat.since);
        stat.is_up().then(|| Beginning { at: stat.time(), idle_since })
    }

    /// Returns the start of the process that this one is, now. s6-supervise may have written its state since, or not yet. One that was
    /// never up, according to that state, was not started by it if it has deaths.
    pub fn here(stat: Option<&Stat>, tally: &Tally, now: i64) -> Beginning {
        let is_told = |stat: &&Stat| stat.ready != stat.since || tally.deaths.is_empty();
        Beginning { at: now, idle_since: stat.filter(is_told).map(|stat| tai64n::seconds(&stat.ready)) }
    }

    /// Returns whether somebody has started the service, whose last death was then: it was down for longer than s6-supervise leaves it so.
    pub fn is_by_hand(self, last: Option<i64>) -> bool {
        self.idle_since
            .is_some_and(|idle| last.is_none_or(|last| idle >= last) && self.at.saturating_sub(idle) > IDLE)
    }
}

/// A row of deaths, up to the last one.
#[derive(Debug, Default)]
struct Row {
    /// Those that count.
    counted: Vec<Death>,
    /// The step of the pause after the last one; 0 is none.
    step: u32,
    /// When the last death was.
    last: Option<i64>,
    /// When the life that follows began at the earliest; `None` if that is not known.
    begin: Option<i64>,
}

impl Row {
    /// Goes through the deaths. What is stamped later than `now` is ignored, a new begin of the count as well: the clock was set back.
    fn of(program: Program, tally: &Tally, makes_pauses: bool, now: i64) -> Row {
        let known: Vec<_> = tally.each().filter(|(death, _)| death.age(now).is_some()).collect();
        // s6-supervise keeps only the newest deaths: a full tally may continue a row that is already at the longest pause.
        let step = if known.len() >= KEPT { LAST } else { 0 };
        let anew = tally.anew().filter(|anew| *anew <= now);
        let mut row = Row { step, ..Row::default() };
        for (death, is_before) in known {
            let is_before = is_before && anew.is_some();
            row.add(program, death, is_before, anew.filter(|_| !is_before));
            let pause = if makes_pauses { length(row.step) } else { 0 };
            row.begin = Some(death.time.saturating_add(pause));
            row.last = Some(death.time);
        }
        row.begin = row.begin.max(anew);
        row
    }

    /// Adds a death. `is_before` is whether the count has begun anew since, `anew` when it has begun anew before.
    fn add(&mut self, program: Program, death: &Death, is_before: bool, anew: Option<i64>) {
        // From the death before it, and the pause after that, on: a life that was shorter by what a start takes counts as a minute, too.
        let lived = self.begin.max(anew).map_or(0, |begin| death.time.saturating_sub(begin));
        match program.kind(death) {
            kind if is_before || kind == Kind::Asked || lived >= MINUTE => {
                self.counted.clear();
                self.step = 0;
            }
            Kind::Ended | Kind::Asked => (),
            Kind::Unwanted => {
                self.counted.push(*death);
                let fifth = self.counted.len().checked_sub(DEATHS).and_then(|fifth| self.counted.get(fifth));
                let is_row = fifth.is_some_and(|fifth| death.time.saturating_sub(fifth.time) < MINUTE);
                self.step += u32::from(self.step > 0 || is_row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s6::status::Process;

    const ALL: [Program; 3] = [Program::Gateway, Program::Dashboard, Program::Other];
    /// s6-supervise has started it as soon as it could.
    const AT_ONCE: Beginning = Beginning { at: 0, idle_since: None };

    fn exit(code: u8) -> impl Fn(i64) -> Death {
        move |time| Death { time, code, signal: 0 }
    }

    fn crash(time: i64) -> Death {
        exit(1)(time)
    }

    fn stop(time: i64) -> Death {
        Death { time, code: 143, signal: 15 }
    }

    fn kill(time: i64) -> Death {
        Death { time, code: 137, signal: 9 }
    }

    fn end(time: i64) -> Death {
        exit(0)(time)
    }

    fn crashes(times: &[i64]) -> Vec<Death> {
        times.iter().copied().map(crash).collect()
    }

    fn tally(deaths: &[Death]) -> Tally {
        deaths.iter().copied().collect()
    }

    fn since(deaths: &[Death], moment: (i64, u32)) -> Tally {
        tally(deaths).since(Some(tai64n::label(moment)))
    }

    /// Returns the pause of a gateway after deaths none of which is stamped later than now.
    fn pause(deaths: &[Death]) -> Option<Pause> {
        Program::Gateway.pause(&tally(deaths), AT_ONCE, i64::MAX)
    }

    /// Returns how many deaths of a gateway without pauses count.
    fn count(tally: &Tally) -> usize {
        Program::Gateway.counted(tally, None, false, i64::MAX).len()
    }

    #[test]
    fn deaths_that_somebody_asked_for_do_not_count_nor_do_those_before_them() {
        let (restarted, failed) = (exit(75), exit(78));
        for (deaths, of_gateway, of_dashboard, of_other) in [
            (vec![], 0, 0, 0),
            (vec![crash(1), kill(2)], 2, 2, 2),
            (vec![crash(1), kill(2), stop(3)], 0, 0, 0),
            (vec![crash(1), kill(2), stop(3), crash(4)], 1, 1, 1),
            (vec![stop(1), crash(2), kill(3)], 2, 2, 2),
            (vec![crash(1), kill(2), end(3)], 0, 3, 2),
            (vec![end(1), end(2)], 0, 2, 0),
            (vec![end(1), crash(2)], 1, 2, 1),
            (vec![restarted(1), restarted(2)], 0, 2, 2),
            (vec![crash(1), restarted(2), crash(3)], 1, 3, 3),
            (vec![crash(1), failed(2), failed(3)], 0, 0, 3),
            (vec![failed(1), crash(2)], 1, 1, 2),
            (vec![exit(111)(1), exit(126)(2), exit(127)(3)], 0, 0, 3),
            // A code that a signal left is none.
            (vec![Death { time: 1, code: 75, signal: 9 }, Death { time: 2, code: 0, signal: 9 }], 2, 2, 2),
        ] {
            let counts = ALL.map(|program| program.counted(&tally(&deaths), None, true, 9).len());
            assert_eq!(counts, [of_gateway, of_dashboard, of_other], "{deaths:?}");
        }
    }

    #[test]
    fn a_life_of_a_minute_is_no_part_of_a_loop_however_it_ended() {
        for (deaths, expected) in [
            (vec![crash(0), crash(59)], 2),
            (vec![crash(0), crash(60)], 0),
            (vec![crash(0), kill(60)], 0),
            (vec![crash(0), crash(60), crash(61)], 1),
            (vec![crash(0), crash(1), crash(70), crash(140)], 0),
            // Two restarts by a signal alone, after a long life and within it.
            (vec![crash(0), crash(1000), crash(1059)], 1),
            (vec![crash(0), crash(1000), crash(1060)], 0),
        ] {
            for program in ALL {
                let found = program.counted(&tally(&deaths), None, true, i64::MAX).len();
                assert_eq!(found, expected, "{program:?} {deaths:?}");
            }
        }
    }

    #[test]
    fn a_pause_is_no_life() {
        // The last pause is of 60 seconds: of the 61 until the next death it has lived one.
        let mut times = vec![0, 1, 2, 3, 4];
        for pause in [2, 4, 8, 16, 32, 60, 60] {
            times.push(times.last().unwrap() + pause + 1);
        }
        let of = |times: &[i64], makes_pauses| {
            let deaths = tally(&crashes(times));
            Program::Gateway.counted(&deaths, None, makes_pauses, i64::MAX).len()
        };
        assert_eq!(of(&times, true), times.len());
        // Without pauses it was up for all that time.
        assert_eq!(of(&times, false), 0);
        assert_eq!(Program::Other.counted(&tally(&crashes(&times)), None, true, i64::MAX), []);
        times.push(times.last().unwrap() + 60 + 60);
        assert_eq!(of(&times, true), 0);
    }

    #[test]
    fn the_count_begins_anew_where_somebody_has_had_it_begin() {
        let deaths = crashes(&[10, 11, 12, 13]);
        for (moment, expected) in
            [((9, 999_999_999), 4), ((10, 0), 3), ((11, 500), 2), ((12, 999_999_999), 1), ((13, 0), 0)]
        {
            assert_eq!(count(&since(&deaths, moment)), expected, "{moment:?}");
        }
        // It was down meanwhile: the life after it is no longer than from there on.
        let deaths = crashes(&[0, 1000, 1001]);
        assert_eq!(count(&tally(&deaths)), 1);
        for (moment, expected) in [((999, 0), 2), ((940, 0), 1), ((941, 0), 2), ((1000, 1), 1)] {
            assert_eq!(count(&since(&deaths, moment)), expected, "{moment:?}");
        }
        // Where nothing else tells when a first life began.
        assert_eq!(count(&since(&crashes(&[100, 101]), (40, 0))), 1);
        assert_eq!(count(&since(&crashes(&[100, 101]), (41, 0))), 2);
    }

    #[test]
    fn the_count_begins_anew_once_a_start_has_lasted_a_minute() {
        let counted = |deaths: &[Death], at, now| {
            let start = Beginning { at, idle_since: None };
            Program::Gateway.counted(&tally(deaths), Some(start), true, now).len()
        };
        let deaths = crashes(&[0, 1, 2]);
        for (at, now, expected) in
            [(3, 3, 3), (3, 62, 3), (3, 63, 0), (3, 2, 3), (2, 61, 3), (2, 62, 0), (-100, 61, 3)]
        {
            assert_eq!(counted(&deaths, at, now), expected, "{at} {now}");
        }
        // It waits for two seconds first.
        let deaths = crashes(&[0, 1, 2, 3, 4]);
        for (now, expected) in [(5, 5), (65, 5), (66, 0)] {
            assert_eq!(counted(&deaths, 4, now), expected, "{now}");
        }
    }

    #[test]
    fn one_that_was_down_for_longer_than_s6_leaves_it_was_started_by_somebody() {
        let of = |at, idle_since| Beginning { at, idle_since };
        for (start, last, expected) in [
            (of(10, None), Some(1), false),
            (of(10, Some(9)), Some(9), false),
            (of(10, Some(7)), Some(7), false),
            (of(10, Some(6)), Some(6), true),
            (of(10, Some(6)), Some(1), true),
            (of(10, Some(6)), None, true),
            // It has died since its `finish` ended: the state is an older one.
            (of(10, Some(6)), Some(7), false),
            (of(10, Some(0)), Some(9), false),
            // The clock was set back.
            (of(10, Some(20)), Some(6), false),
        ] {
            assert_eq!(start.is_by_hand(last), expected, "{start:?} {last:?}");
        }
        let deaths = tally(&crashes(&[0, 1, 2, 3, 4]));
        for (start, is_row) in [(of(9, Some(4)), false), (of(5, Some(4)), true)] {
            assert_eq!(Program::Gateway.counted(&deaths, Some(start), true, 9).is_empty(), !is_row);
            assert_eq!(Program::Gateway.pause(&deaths, start, 9).is_some(), is_row);
        }
    }

    #[test]
    fn a_start_is_known_by_the_state_of_the_service() {
        let stat = |process, since, ready| {
            let label = |time| tai64n::label((time, 0));
            Stat { process, is_wanted: true, since: label(since), ready: label(ready) }
        };
        let up = Process::Up { pid: 7, is_ready: false };
        let (none, one) = (Tally::default(), tally(&[crash(3)]));
        let of = |at, idle_since| Beginning { at, idle_since };
        assert_eq!(Beginning::of(&stat(up, 5, 4)), Some(of(5, Some(4))));
        assert_eq!(Beginning::of(&stat(up, 5, 6)), Some(of(5, None)));
        assert_eq!(Beginning::of(&stat(Process::Down, 5, 6)), None);
        assert_eq!(Beginning::of(&stat(Process::Finishing, 5, 4)), None);
        for (stat, tally, idle_since) in [
            (None, &one, None),
            // s6-supervise has not written its state yet, or has.
            (Some(stat(Process::Down, 3, 4)), &one, Some(4)),
            (Some(stat(up, 9, 4)), &one, Some(4)),
            (Some(stat(Process::Down, 2, 2)), &none, Some(2)),
            // Its supervisor has never started it.
            (Some(stat(Process::Down, 2, 2)), &one, None),
        ] {
            assert_eq!(Beginning::here(stat.as_ref(), tally, 9), of(9, idle_since), "{stat:?}");
        }
    }

    #[test]
    fn a_first_life_began_when_it_was_ready_to_start() {
        let lived =
            |deaths: &[Death], ready| Program::Gateway.has_lived(&tally(deaths), ready, true, i64::MAX);
        for (deaths, ready, expected) in [
            (vec![], 0, false),
            (vec![crash(59)], 0, false),
            (vec![crash(60)], 0, true),
            (vec![crash(60)], 1, false),
            (vec![crash(0), crash(59)], 0, false),
            (vec![crash(0), crash(60)], 0, true),
            // The pause before it is no life.
            (crashes(&[0, 1, 2, 3, 4, 65]), 4, false),
            (crashes(&[0, 1, 2, 3, 4, 66]), 4, true),
        ] {
            assert_eq!(lived(&deaths, ready), expected, "{deaths:?} {ready}");
        }
        for (deaths, expected) in [
            (vec![], false),
            (vec![crash(1)], true),
            (vec![crash(1), stop(2)], false),
            (vec![crash(1), crash(61)], false),
        ] {
            assert_eq!(Program::Gateway.counts_last(&tally(&deaths), true, i64::MAX), expected, "{deaths:?}");
        }
        for (deaths, expected) in
            [(vec![], false), (vec![stop(1), crash(2)], false), (vec![crash(1), end(2)], true)]
        {
            assert_eq!(Program::Gateway.asked_for_last(&tally(&deaths)), expected, "{deaths:?}");
        }
    }

    #[test]
    fn pauses_grow_up_to_a_minute_and_stay_there() {
        let (mut now, mut row, mut seen) = (1_700_000_000, Vec::new(), Vec::new());
        for _ in 0..KEPT + 50 {
            row.push(crash(now));
            let kept = row.get(row.len().saturating_sub(KEPT)..).unwrap_or_default();
            let pause = pause(kept);
            seen.push(pause.as_ref().map_or(0, |pause| pause.length));
            assert_eq!(pause.as_ref().is_some_and(|pause| pause.is_repeated), seen.len() > 10);
            assert!(pause.as_ref().is_none_or(|pause| pause.until == now + pause.length));
            now = pause.map_or(now, |pause| pause.until) + 1;
        }
        assert!(seen.starts_with(&[0, 0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60]));
        assert!(seen.iter().skip(9).all(|length| *length == 60));
    }

    #[test]
    fn each_rule_of_the_pauses() {
        let five = crashes(&[0, 1, 2, 3, 4]);
        let with = |more: &[Death]| [&five[..], more].concat();
        for (rule, deaths, expected) in [
            ("no death", vec![], None),
            ("four deaths", crashes(&[0, 1, 2, 3]), None),
            ("five deaths", five.clone(), Some((6, 2))),
            ("five at one moment", crashes(&[7; 5]), Some((9, 2))),
            ("a signal is a death", [&five[..4], &[kill(4)]].concat(), Some((6, 2))),
            ("five in 59 seconds", crashes(&[0, 20, 40, 58, 59]), Some((61, 2))),
            ("five in a minute", crashes(&[0, 20, 40, 59, 60]), None),
            ("the last five of six", crashes(&[0, 59, 60, 61, 62, 63]), Some((65, 2))),
            ("the next pause is twice as long", with(&[crash(7)]), Some((11, 4))),
            ("deaths far apart, but never up for a minute", with(&[crash(6 + 59)]), Some((69, 4))),
            ("up for a minute after the pause", with(&[crash(6 + 60)]), None),
            ("up for a minute without a pause", crashes(&[0, 1, 2, 62, 63, 64]), None),
            ("the death after a minute does not count", crashes(&[0, 60, 61, 62, 63, 64]), None),
            ("those after it do", crashes(&[0, 60, 61, 62, 63, 64, 65]), Some((67, 2))),
            ("those before it do not", crashes(&[0, 1, 61, 62, 63, 64]), None),
            ("stopped", with(&[stop(5)]), None),
            ("ended with 0", with(&[end(5)]), None),
            ("restarted", with(&[exit(75)(5)]), None),
            ("stays down", with(&[exit(78)(5)]), None),
            ("five restarts", (0..5).map(exit(75)).collect(), None),
            ("four deaths after a stop", [&[stop(0)], &five[..4]].concat(), None),
            ("four after a stop, one before it", [&[crash(0), stop(0)], &five[..4]].concat(), None),
            ("five after a stop", [&[stop(0)], &five[..]].concat(), Some((6, 2))),
            ("a stop between", [&five[..3], &[stop(2)], &five[3..]].concat(), None),
            ("at the end of time", crashes(&[i64::MAX; 5]), Some((i64::MAX, 2))),
        ] {
            let found = pause(&deaths).map(|pause| (pause.until, pause.length));
            assert_eq!(found, expected, "{rule}");
        }
        let of = |moment| Program::Gateway.pause(&since(&five, moment), AT_ONCE, 9);
        assert_eq!((of((0, 0)), of((9, 0))), (None, None));
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
            let found = Program::Gateway.pause(&tally(&deaths), AT_ONCE, now);
            let found = found.map(|pause| (pause.until, pause.length));
            assert_eq!(found, expected, "{rule}");
            // No pause is longer than its step.
            assert!(found.is_none_or(|(until, length)| until - now <= length), "{rule}");
        }
        // So is the moment at which the count has begun anew.
        let tally = since(&crashes(&[1, 2]), (1000, 0));
        for (now, expected) in [(2, 2), (999, 2), (1000, 0)] {
            let counted = Program::Gateway.counted(&tally, None, true, now);
            assert_eq!(counted.len(), expected, "{now}");
        }
    }

    #[test]
    fn a_dashboard_that_ends_with_0_keeps_dying_too() {
        let ends: Vec<Death> = (0..5).map(end).collect();
        let pause = |program: Program, deaths: &[Death]| {
            program.pause(&tally(deaths), AT_ONCE, 9).map(|pause| (pause.until, pause.length))
        };
        assert_eq!(ALL.map(|program| pause(program, &ends)), [None, Some((6, 2)), None]);
        assert_eq!(pause(Program::Dashboard, &[&ends[..], &[stop(5)]].concat()), None);
    }

    #[test]
    fn a_full_tally_goes_on_with_the_longest_pause_until_it_is_broken() {
        let times: Vec<i64> = (0..).step_by(61).take(KEPT).collect();
        let last = 61 * (i64::try_from(KEPT).unwrap() - 1);
        assert_eq!(pause(&crashes(&times)), Some(Pause { until: last + 60, length: 60, is_repeated: true }));
        assert_eq!(pause(&crashes(&times[1..])), None);
        let broken = [&crashes(&times[1..])[..], &[stop(last + 1)]].concat();
        assert_eq!((broken.len(), pause(&broken)), (KEPT, None));
    }

    #[test]
    fn only_a_pause_of_a_minute_is_repeated() {
        let mut times = vec![0; DEATHS];
        for (length, is_repeated) in
            [(2, false), (4, false), (8, false), (16, false), (32, false), (60, false), (60, true)]
        {
            let pause = pause(&crashes(&times)).unwrap();
            assert_eq!((pause.length, pause.is_repeated), (length, is_repeated));
            times.push(pause.until + 1);
        }
    }

    #[test]
    fn only_our_programs_make_pauses() {
        let found = ALL.map(|program| program.pause(&tally(&crashes(&[1000; 5])), AT_ONCE, 1000).is_some());
        assert_eq!(found, [true, true, false]);
    }
}
