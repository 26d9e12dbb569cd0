//! For tests: every row that can be told apart, and what a remedy does to it.

use super::remedy::Remedy;
use super::row::{
    Broken, Deaths, Forecast, Logger, Missing, NextBoot, OfDefault, OrphanProfile, Pass, Row, State, Subject,
    Supervision,
};
use crate::s6::deaths::Death;
use crate::s6::status::Process;
use crate::sys::Kind;
use crate::topology::host::Serving;

/// A profile that wants to run and is started at the next boot.
pub fn wanted() -> Forecast {
    Forecast {
        next: NextBoot::Up,
        reason: None,
        is_hindered: false,
        is_refused: false,
        has_failed: false,
        of_default: None,
        is_unused_root: false,
        broken: None,
        is_stopped_on_request: false,
        words: "desired_state is running".to_owned(),
    }
}

/// A profile for which the gateway of `default` is to do this at the next boot.
pub fn of_default(of_default: OfDefault) -> Forecast {
    let next = if of_default == OfDefault::Parked { NextBoot::Down } else { NextBoot::ByDefault };
    Forecast { next, of_default: Some(of_default), ..wanted() }
}

/// Whether the gateway of `default` serves a profile, in each way.
pub fn servings() -> Vec<Serving> {
    let single = "only one profile exists (nothing to multiplex)";
    vec![
        Serving::Served,
        Serving::NotYet,
        Serving::Alone(None),
        Serving::Alone(Some(single.to_owned())),
        Serving::Alone(Some("a token is used twice".to_owned())),
        Serving::Silent,
        Serving::Foreground,
        Serving::Restarting,
        Serving::Down,
        Serving::Unknown("unable to read gateway_state.json".to_owned()),
    ]
}

const NOT_JSON: &str = "gateway_state.json: not JSON";
const NO_FILE: &str = "gateway_state.json: not a regular file";

/// What the next boot can do with a profile, as `boot::reconcile` decides it.
pub fn forecasts() -> Vec<Forecast> {
    let stopped = Forecast {
        next: NextBoot::Down,
        is_stopped_on_request: true,
        words: "stopped on request".to_owned(),
        ..wanted()
    };
    let reason = |reason: &str, forecast: Forecast| Forecast { reason: Some(reason.to_owned()), ..forecast };
    let broken = |why: &str, forecast| reason(why, Forecast { next: NextBoot::Down, ..forecast });
    vec![
        wanted(),
        stopped.clone(),
        of_default(OfDefault::Wanted),
        Forecast { of_default: Some(OfDefault::Unasked), ..stopped.clone() },
        of_default(OfDefault::Parked),
        Forecast {
            next: NextBoot::Down,
            is_unused_root: true,
            words: "it was never started".to_owned(),
            ..wanted()
        },
        // `default` starts for others.
        Forecast { is_unused_root: true, ..wanted() },
        Forecast { next: NextBoot::Up, ..stopped.clone() },
        broken(NOT_JSON, Forecast { broken: Some(Broken::Content), ..wanted() }),
        broken(NOT_JSON, Forecast { broken: Some(Broken::Content), ..of_default(OfDefault::Unasked) }),
        broken(NO_FILE, Forecast { broken: Some(Broken::File), ..wanted() }),
        reason("the container's command is this gateway", Forecast { next: NextBoot::Down, ..wanted() }),
        reason("refused; as root: chown", Forecast { is_hindered: true, ..wanted() }),
        reason("refused; as root: chown", Forecast { is_hindered: true, ..stopped }),
        reason(
            "it cannot be read",
            Forecast { next: NextBoot::Unknown, is_hindered: true, has_failed: true, ..wanted() },
        ),
        reason(
            "no capacity: --max-services",
            Forecast { next: NextBoot::Unknown, has_failed: true, ..wanted() },
        ),
        reason("name is longer than 215 bytes", Forecast { next: NextBoot::NoSlot, ..wanted() }),
    ]
}

/// A service that is up for an hour, and has the order to be.
pub fn up() -> State {
    State {
        process: Process::Up { pid: 7, is_ready: false },
        is_wanted: true,
        since: 1_000_000,
        age: Some(3600),
        deaths: Ok(Deaths::default()),
        logger: Logger::Fine,
        is_ending: Ok(false),
    }
}

/// A service that is down, and was stopped.
pub fn down() -> State {
    State { process: Process::Down, is_wanted: false, ..up() }
}

fn states() -> Vec<State> {
    let death = |code, signal| Some(Death { time: 1_000_000, code, signal });
    let deaths = |last, recent, pause_until| Ok(Deaths { last, recent, pause_until });
    let down = |is_wanted, deaths| State { process: Process::Down, is_wanted, deaths, ..up() };
    let mut states = vec![
        up(),
        State { is_wanted: false, ..up() },
        State { is_ending: Ok(true), ..up() },
        State { is_ending: Err("unable to read the marker".to_owned()), ..up() },
        State { age: Some(3), ..up() },
        State { age: None, ..up() },
        State { logger: Logger::Dying, ..up() },
        State { logger: Logger::Down, ..up() },
        State { logger: Logger::NotLogging, ..up() },
        State { logger: Logger::Fallback, ..up() },
        State { logger: Logger::Lost, ..up() },
        State { logger: Logger::Unknown("unable to inspect log".to_owned()), ..up() },
        State { logger: Logger::Unseen("unable to inspect /proc/7".to_owned()), ..up() },
        State { deaths: Err("unable to read supervise/death_tally".to_owned()), ..up() },
        State { deaths: deaths(death(1, 0), 2, None), ..up() },
        State { deaths: deaths(death(1, 0), 7, Some(1_000_060)), ..up() },
    ];
    for is_wanted in [false, true] {
        states.push(down(is_wanted, Err("unable to read supervise/death_tally".to_owned())));
        for last in [
            None,
            death(0, 0),
            death(1, 0),
            death(78, 0),
            death(111, 0),
            death(126, 0),
            death(127, 0),
            death(143, 15),
            death(137, 9),
        ] {
            states.push(down(is_wanted, deaths(last, 1, None)));
            states.push(down(is_wanted, deaths(last, 2, None)));
        }
    }
    states
}

fn supervisions() -> Vec<Supervision> {
    let mut all = vec![
        Supervision::NotASlot(Kind::Symlink),
        Supervision::Unsupervised,
        Supervision::Unknown("unable to open gateway-x".to_owned()),
    ];
    all.extend(states().into_iter().map(Supervision::Supervised));
    all
}

fn missing() -> Vec<Supervision> {
    let front_end = Missing::FrontEnd("this container's command is dashboard".to_owned());
    [Missing::Unknown, front_end, Missing::Gone, Missing::NotMade, Missing::New]
        .map(Supervision::NoSlot)
        .into()
}

/// Every row.
pub fn rows() -> Vec<Row> {
    let passes = [None, Some("started"), Some("registered"), Some("failed"), Some("skipped")]
        .map(|action| action.map(|action| Pass { action: action.to_owned(), time: "T".to_owned() }));
    let orphans = [
        OrphanProfile::Gone,
        OrphanProfile::Remains,
        OrphanProfile::New,
        OrphanProfile::Unknown("unable to use the profile".to_owned()),
        OrphanProfile::Impossible,
    ];
    let mut rows = Vec::new();
    for last_pass in &passes {
        let row = |subject: Subject, supervision: Supervision| {
            let directory =
                (!matches!(supervision, Supervision::NoSlot(_))).then(|| "/run/service/gateway-x".into());
            let last_boot = Some(Pass { action: "failed".to_owned(), time: "T1".to_owned() });
            let (name, last_pass) = (b"x".to_vec(), last_pass.clone());
            Row { name, subject, directory, supervision, serving: None, last_boot, last_pass }
        };
        for forecast in forecasts() {
            for supervision in supervisions().into_iter().chain(missing()) {
                let row = row(Subject::Profile(forecast.clone()), supervision);
                let is_front_ends = matches!(row.supervision, Supervision::NoSlot(Missing::FrontEnd(_)));
                if forecast.of_default.is_some() && !is_front_ends {
                    let of = |serving| Row { serving: Some(serving), ..row.clone() };
                    rows.extend(servings().into_iter().map(of));
                } else {
                    rows.push(row);
                }
            }
        }
        for orphan in &orphans {
            for supervision in supervisions().into_iter().chain([Supervision::NotAsked]) {
                rows.push(row(Subject::Orphan(orphan.clone()), supervision));
            }
        }
        for supervision in supervisions() {
            rows.push(row(Subject::Service, supervision));
        }
        rows.push(row(Subject::NotProfile, Supervision::NoSlot(Missing::Unknown)));
    }
    rows
}

/// Carries out a remedy that is a command, as far as the command would. Returns the row that is there then; `None` if none is.
pub fn carry_out(remedy: Remedy, row: &Row) -> Option<Row> {
    let mut row = row.clone();
    match remedy {
        Remedy::Start | Remedy::ReplaceState | Remedy::RestoreAndStart | Remedy::LogsThenStart => {
            if row.is_of_default() {
                return Some(started_by_default(row));
            }
            row.subject = Subject::Profile(wanted());
            row.directory = Some("/run/service/gateway-x".into());
            row.supervision = Supervision::Supervised(up());
        }
        Remedy::Unregister | Remedy::RestoreOrUnregister => return None,
        Remedy::RemoveState => {
            if let Subject::Profile(forecast) = &mut row.subject {
                (forecast.broken, forecast.reason) = (None, None);
            }
        }
        Remedy::Reconcile => {
            row.last_pass = Some(Pass { action: "started".to_owned(), time: "T2".to_owned() });
        }
        Remedy::RenewLogger => {
            if let Supervision::Supervised(state) = &mut row.supervision {
                state.logger = Logger::Fine;
            }
        }
        Remedy::Stop => {
            row.subject = Subject::Profile(of_default(OfDefault::Parked));
            row.supervision = stopped(row.supervision);
            if row.serving == Some(Serving::Served) {
                row.serving = Some(Serving::NotYet);
            }
        }
        Remedy::StartDefault | Remedy::RestartDefault => row.serving = Some(Serving::Served),
        Remedy::Logs | Remedy::LogsOfDefault | Remedy::ContainerLog => (),
    }
    Some(row)
}

/// `start` of a profile that the gateway of `default` serves: its own gateway is stopped if there are two, it is parked no more, and it
/// wants to run.
fn started_by_default(row: Row) -> Row {
    let supervision = if row.is_served_twice() { stopped(row.supervision) } else { row.supervision };
    // It looks every 30 seconds.
    let serving = if row.serving == Some(Serving::NotYet) { Some(Serving::Served) } else { row.serving };
    Row { subject: Subject::Profile(of_default(OfDefault::Wanted)), supervision, serving, ..row }
}

fn stopped(supervision: Supervision) -> Supervision {
    match supervision {
        Supervision::Supervised(_) => Supervision::Supervised(down()),
        supervision => supervision,
    }
}
