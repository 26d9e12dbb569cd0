//! What is said of a row: why it is as it is, what the next boot does with it, and what helps. A pure function of the row.

use super::hosted;
use super::remedy::Remedy;
use super::row::{
    Broken, Forecast, Logger, Missing, NextBoot, OrphanProfile, RECENT, Row, Shown, State, Subject,
    Supervision,
};
use crate::service;
use crate::topology::host::Serving;

/// What is said of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is to be known about it.
    pub what: String,
    /// What helps.
    pub remedy: Option<Remedy>,
    /// When its pause is over, in seconds since 1970.
    pub until: Option<i64>,
}

impl Note {
    pub fn new(what: impl Into<String>) -> Note {
        Note { what: what.into(), remedy: None, until: None }
    }

    /// Returns the note with what helps.
    pub fn with(self, remedy: Remedy) -> Note {
        Note { remedy: Some(remedy), ..self }
    }

    /// Returns whether what helps needs s6-svscan.
    pub fn needs_svscan(&self) -> bool {
        matches!(
            self.remedy,
            Some(
                Remedy::Start
                    | Remedy::StartDefault
                    | Remedy::RestartDefault
                    | Remedy::ReplaceState
                    | Remedy::RestoreAndStart
                    | Remedy::LogsThenStart
            )
        )
    }

    /// Returns the note without what helps.
    pub fn without_remedy(self) -> Note {
        Note { remedy: None, ..self }
    }
}

/// Returns why the state of a profile with a slot does not count, or what its gateway will lack. That may concern other profiles as
/// well, so it is said beside [`note`], unless that has it.
pub fn reason(row: &Row) -> Option<&str> {
    match (&row.subject, &row.supervision) {
        (_, Supervision::NoSlot(_)) => None,
        (Subject::Profile(forecast), _) => {
            let is_in_note = forecast.broken.is_some() && beside_reason(row, forecast).is_none();
            forecast.reason.as_deref().filter(|_| !is_in_note)
        }
        _ => None,
    }
}

/// Returns what is said of a row alone, if anything is.
pub fn note(row: &Row) -> Option<Note> {
    match &row.subject {
        Subject::Profile(forecast) => of_profile(row, forecast),
        Subject::Orphan(profile) => of_orphan(row, profile),
        Subject::NotProfile => Some(Note::new(NO_SOUL).with(Remedy::RestoreAndStart)),
        Subject::Service => of_supervision(row).or_else(|| {
            let state = row.state().filter(|state| !state.is_up() && !state.is_wanted)?;
            permanent_failure(row, state)
        }),
    }
}

const NO_SOUL: &str = "it has no SOUL.md, so it is not a profile";

/// Returns what is said of a profile whose state file cannot be used.
fn broken_state(forecast: &Forecast) -> Option<Note> {
    let (broken, reason) = forecast.broken.zip(forecast.reason.as_ref())?;
    Some(match broken {
        // The gateway of `default` serves such a profile whatever its state is, and is started for those that want to run.
        Broken::Content if forecast.of_default.is_some() => {
            Note::new(reason.clone()).with(Remedy::RemoveState)
        }
        Broken::Content => {
            Note::new(format!("{reason}; the next boot keeps it down")).with(Remedy::ReplaceState)
        }
        Broken::File => Note::new(reason.clone()).with(Remedy::RemoveState),
    })
}

fn of_profile(row: &Row, forecast: &Forecast) -> Option<Note> {
    if let Supervision::NoSlot(missing) = &row.supervision {
        return match missing {
            _ if forecast.has_failed || forecast.next == NextBoot::NoSlot => {
                forecast.reason.clone().map(Note::new)
            }
            Missing::FrontEnd(why) => Some(Note::new(why.clone())),
            missing => {
                let what = missing.words();
                Some(if let Some(note) = broken_state(forecast) {
                    note
                } else if row.serving == Some(Serving::Served) && hosted::note(row, forecast).is_none() {
                    Note::new(format!("{what}: the gateway of default serves it"))
                } else if forecast.of_default.is_some() {
                    return hosted::note(row, forecast);
                } else {
                    Note::new(what).with(Remedy::Start)
                })
            }
        };
    }
    if forecast.reason.is_none() {
        let is_down = row.state().is_none_or(|state| !state.is_up()) && row.shown() != Shown::Restarting;
        if forecast.of_default.is_some() && is_down && row.own_failed_look().is_none() {
            let is_foreign = matches!(row.supervision, Supervision::NotASlot(_));
            return if is_foreign { of_supervision(row) } else { hosted::note(row, forecast) };
        }
        let beside = hosted::note_beside_own(row, forecast);
        return beside.or_else(|| of_supervision(row)).or_else(|| disagreement(row, forecast));
    }
    beside_reason(row, forecast).or_else(|| broken_state(forecast))
}

/// Returns what is said of a profile beside why its state does not count or what its gateway will lack. That explains why nothing has been
/// started; it does not explain how a gateway has ended, or what is wrong with its logger.
fn beside_reason(row: &Row, forecast: &Forecast) -> Option<Note> {
    let is_explained = match row.state() {
        Some(state) => !state.is_up() && state.last_death().is_none(),
        None => row.supervision == Supervision::Unsupervised,
    };
    let other = || (forecast.is_hindered && !is_explained).then(|| disagreement(row, forecast)).flatten();
    let note = of_supervision(row).filter(|_| row.supervision != Supervision::Unsupervised);
    let note = note.or_else(other).or_else(|| failure_for_good(row, forecast))?;
    // What its gateway will lack comes before a start.
    Some(if note.remedy == Some(Remedy::Start) { note.without_remedy() } else { note })
}

/// Returns what has kept a gateway down for good, if its last end has, and nobody wants it so.
fn failure_for_good(row: &Row, forecast: &Forecast) -> Option<Note> {
    let state = row.state().filter(|state| !state.is_up())?;
    let is_wanted_so = forecast.is_stopped_on_request || forecast.of_default.is_some();
    if is_wanted_so { None } else { permanent_failure(row, state) }
}

impl Missing {
    fn words(&self) -> &'static str {
        match self {
            Missing::Unknown | Missing::FrontEnd(_) => "it has no slot",
            Missing::Gone => "the slot that the last boot created is gone",
            Missing::NotMade => "the last boot created no slot",
            Missing::New => "created since the last boot",
        }
    }
}

/// Returns what is said of what s6 knows.
fn of_supervision(row: &Row) -> Option<Note> {
    match &row.supervision {
        Supervision::NoSlot(_) | Supervision::NotAsked => None,
        Supervision::NotASlot(kind) => {
            Some(Note::new(format!("{}, not a slot: leave it to the program that created it", kind.text())))
        }
        Supervision::Unsupervised if row.is_service() => {
            Some(Note::new("it is not up").with(Remedy::ContainerLog))
        }
        Supervision::Unsupervised => {
            let note = Note::new("it is not supervised yet");
            Some(if row.is_of_default() { note } else { note.with(Remedy::Start) })
        }
        Supervision::Unknown(error) => Some(Note::new(error.clone())),
        Supervision::Supervised(state) => of_state(row, state),
    }
}

fn of_state(row: &Row, state: &State) -> Option<Note> {
    let deaths = match &state.deaths {
        Ok(deaths) => deaths,
        Err(error) => return Some(Note::new(error.clone())),
    };
    if state.is_looping() {
        let how = deaths.last.map(|death| death.to_string()).unwrap_or_default();
        let count = deaths.recent;
        let what = format!("keeps dying: {count} times within {RECENT} seconds ({how})");
        return Some(Note { until: deaths.pause_until, ..Note::new(what).with(its_log(row)) });
    }
    match &state.is_ending {
        Ok(false) => (),
        Ok(true) => {
            return Some(Note::new("it is stopping, and starts again when it has ended").with(Remedy::Logs));
        }
        Err(error) => return Some(Note::new(error.clone())),
    }
    match &state.logger {
        _ if !state.is_up() && row.is_service() && state.is_wanted => {
            Some(Note::new("it is not up").with(Remedy::ContainerLog))
        }
        logger => of_logger(logger),
    }
}

fn of_logger(logger: &Logger) -> Option<Note> {
    let (what, remedy) = match logger {
        Logger::Fine | Logger::Unseen(_) => return None,
        Logger::Unknown(error) => return Some(Note::new(error.clone())),
        Logger::Dying => ("its logger keeps dying", Remedy::ContainerLog),
        Logger::Down => ("its logger is down", Remedy::RenewLogger),
        Logger::NotLogging => ("its logger has not started s6-log", Remedy::ContainerLog),
        Logger::Fallback => (
            "its output goes to the container's log only, since its logger could not use its directory",
            Remedy::RenewLogger,
        ),
        Logger::Lost => {
            ("its logger writes to a directory that has been removed or replaced", Remedy::RenewLogger)
        }
    };
    Some(Note::new(what).with(remedy))
}

/// Returns where what a service has printed is shown.
fn its_log(row: &Row) -> Remedy {
    if row.is_service() { Remedy::ContainerLog } else { Remedy::Logs }
}

/// Returns what has kept a service down for good, if its last end has.
fn permanent_failure(row: &Row, state: &State) -> Option<Note> {
    let death = state.last_death().filter(|death| death.signal == 0)?;
    let why = service::permanent(death.code.into())?;
    Some(Note::new(format!("failed permanently ({}: {why})", death.code)).with(its_log(row)))
}

/// Returns why the state of a gateway is not what the next boot makes of it, and why it is down.
fn disagreement(row: &Row, forecast: &Forecast) -> Option<Note> {
    let is_idle = forecast.is_unused_root && forecast.next != NextBoot::Up;
    let state = row.state().filter(|_| !is_idle)?;
    let words = &forecast.words;
    if matches!(row.shown(), Shown::Up | Shown::Restarting) {
        let is_stopping = state.is_up() && !state.is_wanted;
        return match forecast.next {
            NextBoot::Down if is_stopping => {
                Some(Note::new(format!("it is stopping, and the next boot keeps it down: {words}")))
            }
            NextBoot::Up if is_stopping => {
                let note = Note::new("it is stopping, and stays down then");
                Some(if forecast.of_default.is_some() { note } else { note.with(Remedy::Start) })
            }
            NextBoot::Down => {
                Some(Note::new(format!("it is running, but the next boot keeps it down: {words}")))
            }
            NextBoot::ByDefault => {
                Some(Note::new("it is running, but from the next boot on the gateway of default serves it"))
            }
            NextBoot::Up | NextBoot::NoSlot | NextBoot::Unknown => None,
        };
    }
    if !matches!(forecast.next, NextBoot::Up | NextBoot::Down) {
        return None;
    }
    let is_next_down = forecast.next == NextBoot::Down;
    if !forecast.is_stopped_on_request
        && let Some(note) = permanent_failure(row, state)
    {
        return Some(note);
    }
    if forecast.is_stopped_on_request && !is_next_down && !state.is_wanted {
        // Only `default` is started for others.
        let what = "stopped on request, but the next boot starts it for the profiles that it serves";
        return Some(Note::new(what).with(Remedy::Start));
    }
    if state.is_wanted && !is_next_down {
        // s6-supervise starts a service at most once a second.
        let what = match state.last_death() {
            Some(death) => format!("it has ended ({death}), and is being started again"),
            None => "it is being started".to_owned(),
        };
        return Some(Note::new(what).with(Remedy::Logs));
    }
    if let Some(death) = state.last_death().filter(|death| death.code == 0 && death.signal == 0)
        && !is_next_down
        && forecast.of_default.is_none()
    {
        // s6 does not say which of both it was, nor how long it had been up: a start alone may lead to the same end.
        let what = format!("it has ended by itself ({death}), or was stopped temporarily");
        return Some(Note::new(what).with(Remedy::LogsThenStart));
    }
    let what = match state.last_death() {
        _ if is_next_down => words.clone(),
        Some(death) if death.is_wanted() => "it was stopped temporarily".to_owned(),
        Some(death) => format!("it has died ({death})"),
        None => "it has not been started since the boot".to_owned(),
    };
    // A profile that the gateway of `default` serves has none to start.
    Some(if forecast.of_default.is_some() { Note::new(what) } else { Note::new(what).with(Remedy::Start) })
}

fn of_orphan(row: &Row, profile: &OrphanProfile) -> Option<Note> {
    if let Supervision::NotASlot(_) | Supervision::Unknown(_) = row.supervision {
        return of_supervision(row);
    }
    match profile {
        OrphanProfile::Gone => Some(Note::new("its profile is gone").with(Remedy::Unregister)),
        OrphanProfile::Remains => Some(Note::new(NO_SOUL).with(Remedy::RestoreOrUnregister)),
        OrphanProfile::Unknown(error) => Some(Note::new(error.clone())),
        OrphanProfile::New => of_supervision(row),
        OrphanProfile::Impossible => {
            Some(Note::new(row.failed_look().unwrap_or("no profile can have a slot of this name")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::{judge, message};
    use super::super::model::{carry_out, forecasts, rows, up, wanted};
    use super::super::remedy::Words;
    use super::super::row::Deaths;
    use super::*;
    use crate::s6::deaths::Death;
    use crate::s6::status::Process;

    fn profile(forecast: Forecast, supervision: Supervision) -> Row {
        let (name, subject) = (b"x".to_vec(), Subject::Profile(forecast));
        Row { name, subject, directory: None, supervision, serving: None, last_boot: None, last_pass: None }
    }

    const WORDS: Words<'_> =
        Words { program: "P", name: "x", svc: "S", directory: "/D", is_roots: false, is_foreground: false };

    fn text(row: &Row) -> Option<String> {
        let note = message(row, judge(row, 60).as_ref())?;
        Some(format!("{}{}", note.what, note.remedy.map(|remedy| remedy.text(&WORDS)).unwrap_or_default()))
    }

    #[test]
    fn a_remedy_carried_out_changes_what_is_said() {
        let said = |row: &Row| message(row, judge(row, 60).as_ref());
        // Where to look is no command.
        let command = |note: &Note| {
            note.remedy.filter(|remedy| {
                !matches!(remedy, Remedy::Logs | Remedy::LogsOfDefault | Remedy::ContainerLog)
            })
        };
        for row in rows() {
            let mut at = row.clone();
            // A second gateway, the logger, the state file and the last pass are at fault each by itself: four commands at most.
            for step in 0.. {
                let Some(note) = said(&at) else { break };
                let Some(remedy) = command(&note) else { break };
                assert!(step < 4, "{row:?}");
                let Some(after) = carry_out(remedy, &at) else { break };
                assert_ne!(Some(&note), said(&after).as_ref(), "{row:?}");
                at = after;
            }
        }
    }

    #[test]
    fn nothing_that_runs_is_to_be_removed_and_only_a_slot_whose_profile_is_certainly_gone() {
        for row in rows() {
            let remedy = note(&row).and_then(|note| note.remedy);
            if remedy == Some(Remedy::Unregister) {
                assert_eq!(row.subject, Subject::Orphan(OrphanProfile::Gone), "{row:?}");
            }
            if remedy == Some(Remedy::RestoreOrUnregister) {
                assert_eq!(row.subject, Subject::Orphan(OrphanProfile::Remains), "{row:?}");
            }
        }
    }

    #[test]
    fn nobody_is_told_to_start_what_runs_or_what_another_gateway_serves() {
        for row in rows() {
            let remedy = note(&row).and_then(|note| note.remedy);
            if matches!(remedy, Some(Remedy::Start | Remedy::LogsThenStart)) {
                if row.is_served_twice() {
                    // `start` stops its own one.
                    continue;
                }
                assert_ne!(row.serving, Some(Serving::Served), "{row:?}");
                // What is stopping is started when it has ended.
                let is_stopping = row.state().is_some_and(State::is_going_down);
                assert!(is_stopping || !matches!(row.shown(), Shown::Up | Shown::Restarting), "{row:?}");
            }
        }
    }

    #[test]
    fn where_no_svscan_runs_nothing_is_to_be_started() {
        for note in rows().iter().filter_map(note) {
            let note = if note.needs_svscan() { note.without_remedy() } else { note };
            assert!(!note.remedy.is_some_and(|remedy| remedy.text(&WORDS).contains(" start ")));
        }
    }

    #[test]
    fn an_end_that_a_start_may_repeat_says_where_to_look_first() {
        for row in rows() {
            let death = row.state().and_then(State::last_death);
            let ended_with_0 = death.is_some_and(|death| death.code == 0 && death.signal == 0);
            let remedy = note(&row).and_then(|note| note.remedy);
            if remedy == Some(Remedy::LogsThenStart) {
                assert!(ended_with_0 && row.shown() == Shown::Down, "{row:?}");
            }
            let is_stopped =
                matches!(&row.subject, Subject::Profile(forecast) if forecast.is_stopped_on_request);
            if ended_with_0
                && row.shown() == Shown::Down
                && row.next_boot() == Some(NextBoot::Up)
                && !is_stopped
            {
                assert_ne!(remedy, Some(Remedy::Start), "{row:?}");
            }
        }
    }

    #[test]
    fn what_a_gateway_lacks_is_said_and_does_not_hide_how_it_has_ended() {
        for row in rows() {
            let Subject::Profile(forecast @ Forecast { is_hindered: true, .. }) = &row.subject else {
                continue;
            };
            if matches!(row.supervision, Supervision::NoSlot(_)) {
                continue;
            }
            assert_eq!(reason(&row), forecast.reason.as_deref(), "{row:?}");
            let said = note(&row);
            // What is said of one that lacks nothing.
            let complete =
                Forecast { reason: None, is_hindered: false, has_failed: false, ..forecast.clone() };
            let alone = note(&Row { subject: Subject::Profile(complete), ..row.clone() });
            let is_explained = row.state().is_none_or(|state| {
                let has_not_ended = state.deaths.as_ref().is_ok_and(|deaths| deaths.last.is_none());
                !state.is_up() && !state.is_looping() && has_not_ended
            });
            if !is_explained && alone.is_some() {
                assert_eq!(
                    said.as_ref().map(|note| &note.what),
                    alone.as_ref().map(|note| &note.what),
                    "{row:?}"
                );
            }
            assert_ne!(said.and_then(|note| note.remedy), Some(Remedy::Start), "{row:?}");
        }
    }

    #[test]
    fn a_state_that_does_not_count_hides_no_failure() {
        for row in rows() {
            let Subject::Profile(forecast) = &row.subject else { continue };
            let Some(state) = row.state().filter(|_| forecast.reason.is_some()) else { continue };
            let note = note(&row).map(|note| note.what).unwrap_or_default();
            let said = [reason(&row).unwrap_or_default(), &note].concat();
            let count = said.matches(forecast.reason.as_deref().unwrap_or_default()).count();
            assert_eq!(count, 1, "{row:?}");
            if state.is_looping() {
                assert!(note.starts_with("keeps dying"), "{row:?}");
            } else if !state.is_up()
                && !forecast.is_stopped_on_request
                && forecast.of_default.is_none()
                && matches!(state.last_death(), Some(Death { code: 78, signal: 0, .. }))
            {
                assert!(note.starts_with("failed permanently"), "{row:?}");
            }
        }
    }

    #[test]
    fn what_is_on_its_way_has_its_sentence() {
        let starting = |last: Option<Death>| {
            let deaths = Ok(Deaths { last, ..Deaths::default() });
            Supervision::Supervised(State { process: Process::Down, deaths, ..up() })
        };
        let stopping = || Supervision::Supervised(State { is_wanted: false, ..up() });
        let killed = Death { time: 0, code: 137, signal: 9 };
        let stopped = forecasts().into_iter().find(|forecast| forecast.is_stopped_on_request);
        let stopped = stopped.expect("a profile that was stopped on request");
        for (row, expected) in [
            (
                profile(wanted(), starting(Some(killed))),
                "it has ended (signal 9), and is being started again; see: P logs x",
            ),
            (profile(wanted(), starting(None)), "it is being started; see: P logs x"),
            (profile(wanted(), stopping()), "it is stopping, and stays down then: P start x"),
            (
                profile(stopped, stopping()),
                "it is stopping, and the next boot keeps it down: stopped on request",
            ),
        ] {
            assert_eq!(text(&row).as_deref(), Some(expected), "{row:?}");
        }
    }

    #[test]
    fn each_reason_has_its_sentence() {
        let down = |death: Option<(u8, u8)>| {
            let last = death.map(|(code, signal)| Death { time: 0, code, signal });
            let deaths = Ok(Deaths { last, ..Deaths::default() });
            Supervision::Supervised(State { process: Process::Down, is_wanted: false, deaths, ..up() })
        };
        let last = Some(Death { time: 0, code: 3, signal: 0 });
        let deaths = Ok(Deaths { last, recent: 4, pause_until: Some(9) });
        let looping = Supervision::Supervised(State { deaths, ..up() });
        let running = || Supervision::Supervised(up());
        let all: [Forecast; 17] = forecasts().try_into().expect("seventeen forecasts");
        let [_, stopped, _, _, _, unused, for_others, stopped_but_for_others, broken, _, no_file, ..] = all;
        let missing = |missing| Supervision::NoSlot(missing);
        let not_json = "gateway_state.json: not JSON; the next boot keeps it down: P start x";
        let orphan = |of| Row { subject: Subject::Orphan(of), ..profile(wanted(), running()) };
        let cases: [(Row, Option<&str>); 29] = [
            (profile(no_file, down(None)), Some("gateway_state.json: not a regular file; remove the file")),
            (profile(broken.clone(), running()), Some(not_json)),
            (profile(broken.clone(), down(None)), Some(not_json)),
            (
                profile(broken.clone(), down(Some((78, 0)))),
                Some("failed permanently (78: configuration); see: P logs x"),
            ),
            (profile(broken.clone(), missing(Missing::New)), Some(not_json)),
            (profile(broken, Supervision::Unsupervised), Some(not_json)),
            (orphan(OrphanProfile::Gone), Some("its profile is gone: P unregister x")),
            (
                orphan(OrphanProfile::Remains),
                Some(
                    "it has no SOUL.md, so it is not a profile; restore the file, or remove the slot: P unregister x",
                ),
            ),
            (profile(wanted(), running()), None),
            (
                profile(stopped.clone(), running()),
                Some("it is running, but the next boot keeps it down: stopped on request"),
            ),
            (profile(unused.clone(), down(None)), None),
            (profile(for_others, down(None)), Some("it has not been started since the boot: P start x")),
            (
                profile(stopped_but_for_others, down(Some((0, 0)))),
                Some(
                    "stopped on request, but the next boot starts it for the profiles that it serves: P start x",
                ),
            ),
            (profile(stopped.clone(), down(Some((78, 0)))), Some("stopped on request: P start x")),
            (profile(stopped.clone(), down(Some((1, 0)))), Some("stopped on request: P start x")),
            (
                profile(wanted(), down(Some((78, 0)))),
                Some("failed permanently (78: configuration); see: P logs x"),
            ),
            (
                profile(wanted(), down(Some((111, 0)))),
                Some("failed permanently (111: a system call failed); see: P logs x"),
            ),
            (
                profile(wanted(), down(Some((126, 0)))),
                Some("failed permanently (126: the program cannot be executed); see: P logs x"),
            ),
            (
                profile(wanted(), down(Some((127, 0)))),
                Some("failed permanently (127: the program or its interpreter is not found); see: P logs x"),
            ),
            (profile(wanted(), down(Some((78, 9)))), Some("it has died (signal 9): P start x")),
            (
                profile(wanted(), down(Some((0, 0)))),
                Some(
                    "it has ended by itself (exit code 0), or was stopped temporarily; see: P logs x; to start it again: P start x",
                ),
            ),
            (profile(wanted(), down(Some((143, 15)))), Some("it was stopped temporarily: P start x")),
            (profile(wanted(), down(Some((1, 0)))), Some("it has died (exit code 1): P start x")),
            (profile(wanted(), down(None)), Some("it has not been started since the boot: P start x")),
            (
                profile(wanted(), looping),
                Some("keeps dying: 4 times within 180 seconds (exit code 3); see: P logs x"),
            ),
            (profile(wanted(), Supervision::Unsupervised), Some("it is not supervised yet: P start x")),
            (
                profile(wanted(), missing(Missing::Gone)),
                Some("the slot that the last boot created is gone: P start x"),
            ),
            (profile(wanted(), missing(Missing::New)), Some("created since the last boot: P start x")),
            (profile(wanted(), missing(Missing::FrontEnd("why".to_owned()))), Some("why")),
        ];
        for (row, expected) in cases {
            assert_eq!(text(&row).as_deref(), expected, "{row:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_logger_has_its_sentence() {
        let only = "its output goes to the container's log only, since its logger could not use its directory: S -uh /D/log";
        let lost = "its logger writes to a directory that has been removed or replaced: S -uh /D/log";
        for (logger, expected) in [
            (Logger::Fine, None),
            (Logger::Dying, Some("its logger keeps dying; the container's log says why")),
            (Logger::Down, Some("its logger is down: S -uh /D/log")),
            (Logger::NotLogging, Some("its logger has not started s6-log; the container's log says why")),
            (Logger::Fallback, Some(only)),
            (Logger::Lost, Some(lost)),
            (Logger::Unknown("why".to_owned()), Some("why")),
            (Logger::Unseen("why".to_owned()), Some("why")),
        ] {
            let row = profile(wanted(), Supervision::Supervised(State { logger, ..up() }));
            assert_eq!(text(&row).as_deref(), expected);
            assert_eq!(judge(&row, 0).is_some(), expected.is_some());
        }
    }

    #[test]
    fn a_pause_is_said_of_what_keeps_dying_and_makes_one() {
        for row in rows() {
            let pause = row.pause();
            let said = note(&row).and_then(|note| note.until);
            assert_eq!(
                said,
                pause.filter(|_| !matches!(row.subject, Subject::Orphan(_))).or(said),
                "{row:?}"
            );
            assert!(said.is_none() || (said == pause && row.shown() == Shown::Restarting), "{row:?}");
        }
    }
}
