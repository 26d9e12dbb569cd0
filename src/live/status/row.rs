//! What `status` and `health` know of one service, before anything is said of it.

use std::path::PathBuf;

use super::hosted;
use crate::s6::deaths::Death;
use crate::s6::status::Process;
use crate::sys::Kind;
use crate::topology::host::Serving;

/// What is known of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The profile, or the name of a static service.
    pub name: Vec<u8>,
    /// What it is.
    pub subject: Subject,
    /// Its service directory; `None` if there is none.
    pub directory: Option<PathBuf>,
    /// What s6 knows of it.
    pub supervision: Supervision,
    /// Whether the gateway of `default` serves it; `None` if that is not to be, or not in this container.
    pub serving: Option<Serving>,
    /// What the container's boot has done with it, as far as the boot log tells. It is printed.
    pub last_boot: Option<Pass>,
    /// What the newest pass, which may have been run by hand, has done with it, as far as the boot log tells. It is judged.
    pub last_pass: Option<Pass>,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A profile.
    Profile(Forecast),
    /// A slot; what there is of its profile.
    Orphan(OrphanProfile),
    /// A directory of `profiles` without SOUL.md.
    NotProfile,
    /// A static service that the hermes user may command.
    Service,
}

/// What the next boot does with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// What it does.
    pub next: NextBoot,
    /// Why it has no slot or its state does not count, or what its gateway will lack.
    pub reason: Option<String>,
    /// Whether the gateway will lack something.
    pub is_hindered: bool,
    /// Whether the reason is what the hermes user is refused, which may concern other profiles as well.
    pub is_refused: bool,
    /// Whether the profile could not be looked at, or gets no slot although it should.
    pub has_failed: bool,
    /// For a profile that has no gateway of its own, what the gateway of `default` is to do.
    pub of_default: Option<OfDefault>,
    /// Whether it is `default` and has never been used. It is on every volume.
    pub is_unused_root: bool,
    /// What is wrong with its state file, if it stays down for that.
    pub broken: Option<Broken>,
    /// Whether somebody has asked for it to be stopped.
    pub is_stopped_on_request: bool,
    /// What a state that starts nothing says, in words.
    pub words: String,
}

/// What the gateway of `default` is to do for a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfDefault {
    /// Serve it.
    Wanted,
    /// Nothing, by the profile's own state. It serves the profile all the same.
    Unasked,
    /// Nothing: the profile is parked.
    Parked,
}

/// What is wrong with a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// What is in it says nothing: `start` replaces it.
    Content,
    /// It is no regular file, or too large: `start` does not touch it.
    File,
}

/// What the next boot does with a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextBoot {
    /// It is started.
    Up,
    /// It stays down.
    Down,
    /// It stays down, and that of `default` starts for it.
    ByDefault,
    /// It gets no slot: no profile can have its name, or the container is a front end's.
    NoSlot,
    /// It is not known.
    Unknown,
}

/// What there is of the profile of a slot that is not among the profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrphanProfile {
    /// There is none any more.
    Gone,
    /// Its directory is there, without SOUL.md.
    Remains,
    /// It has come since the profiles were listed.
    New,
    /// It could not be looked at; the error.
    Unknown(String),
    /// No profile can have this slot.
    Impossible,
}

/// What s6 knows of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supervision {
    /// There is no scan directory, or the profile has no slot; why, for a profile.
    NoSlot(Missing),
    /// Something that is no slot has its name.
    NotASlot(Kind),
    /// There is a service directory, and no supervisor.
    Unsupervised,
    /// It could not be asked; the error.
    Unknown(String),
    /// There is nothing to ask: no profile can have a slot of this name.
    NotAsked,
    /// Its supervisor tells.
    Supervised(State),
}

/// Why a profile has no slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// It is not known.
    Unknown,
    /// The container is a front end's; why.
    FrontEnd(String),
    /// The slot that the last boot made is gone.
    Gone,
    /// The last boot made none.
    NotMade,
    /// The profile was created since the last boot.
    New,
}

/// The state of a supervised service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its process. A gateway does not report that it is ready.
    pub process: Process,
    /// Whether its supervisor has the order to keep it up.
    pub is_wanted: bool,
    /// When it last went up or down, in seconds since 1970.
    pub since: i64,
    /// How long ago that was, in seconds; `None` if it is stamped later than now, because the clock was set back.
    pub age: Option<u64>,
    /// Its deaths; the error if they could not be read.
    pub deaths: Result<Deaths, String>,
    /// What is known of its logger.
    pub logger: Logger,
    /// Whether it is a gateway whose process is to end, and is followed by another one: a restart that is not completed. The error if that
    /// could not be looked at.
    pub is_ending: Result<bool, String>,
}

/// The deaths of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deaths {
    /// The last one.
    pub last: Option<Death>,
    /// How many there were in the last minutes without anybody having stopped it.
    pub recent: usize,
    /// When the pause is over in which a gateway or a dashboard is that dies again and again, in seconds since 1970.
    pub pause_until: Option<i64>,
}

/// What is known of the logger of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logger {
    /// Nothing is wrong with it, as far as is looked, or there is none, or it is root's alone, or the service is down.
    Fine,
    /// It dies again and again.
    Dying,
    /// It is not up, and was not just started.
    Down,
    /// It does not run s6-log, and was not just started.
    NotLogging,
    /// s6-log runs without a directory: what the gateway writes is in the container's log only.
    Fallback,
    /// The directory that s6-log writes to is not the one at its path any more.
    Lost,
    /// It could not be looked at; the error.
    Unknown(String),
    /// The kernel does not show it to this user, who is neither root nor the hermes user; the error.
    Unseen(String),
}

impl Logger {
    /// Returns whether something is known to be wrong with it.
    pub fn is_faulty(&self) -> bool {
        !matches!(self, Logger::Fine | Logger::Unknown(_) | Logger::Unseen(_))
    }
}

/// What a pass has done with a profile, and when, as the boot log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// The action.
    pub action: String,
    /// The time.
    pub time: String,
}

/// The state that both commands print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It is up.
    Up,
    /// The gateway of `default` serves it.
    Served,
    /// It dies again and again.
    Restarting,
    /// It is down.
    Down,
    /// It is parked, and the gateway of `default` does not serve it.
    Parked,
    /// The gateway of `default` does not serve it.
    NotServed,
    /// There is a service directory, and no supervisor.
    Unsupervised,
    /// There is no service directory.
    NoSlot,
    /// It could not be found out.
    Unknown,
}

impl Shown {
    /// All, in the order of the totals.
    pub const ALL: [Shown; 9] = [
        Shown::Up,
        Shown::Served,
        Shown::Restarting,
        Shown::Down,
        Shown::Parked,
        Shown::NotServed,
        Shown::Unsupervised,
        Shown::NoSlot,
        Shown::Unknown,
    ];

    /// Returns the word that is printed.
    pub fn text(self) -> &'static str {
        match self {
            Shown::Up => "up",
            Shown::Served => "served",
            Shown::Restarting => "restarting",
            Shown::Down => "down",
            Shown::Parked => "parked",
            Shown::NotServed => "not served",
            Shown::Unsupervised => "unsupervised",
            Shown::NoSlot => "no slot",
            Shown::Unknown => "unknown",
        }
    }
}

/// Number of recent deaths from which on a service dies again and again.
pub const LOOP: usize = 2;
/// Time in which deaths are recent, in seconds. A logger that cannot work ends once a minute, and so does a gateway that makes
/// pauses.
pub const RECENT: u64 = 180;

impl State {
    /// Returns whether it is up.
    pub fn is_up(&self) -> bool {
        self.process.pid().is_some()
    }

    /// Returns whether its process is to end: it was stopped, or is restarted. Of one that was told to end by a signal alone, s6 does not know.
    pub fn is_going_down(&self) -> bool {
        self.is_up() && (!self.is_wanted || self.is_ending == Ok(true))
    }

    /// Returns whether it has reported that it is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self.process, Process::Up { is_ready: true, .. })
    }

    /// Returns whether the service dies again and again.
    pub fn is_looping(&self) -> bool {
        self.is_wanted && self.deaths.as_ref().is_ok_and(|deaths| deaths.recent >= LOOP)
    }

    /// Returns how it ended last.
    pub fn last_death(&self) -> Option<Death> {
        self.deaths.as_ref().ok().and_then(|deaths| deaths.last)
    }
}

impl Row {
    /// Returns the state that is printed.
    pub fn shown(&self) -> Shown {
        match (self.own(), &self.subject, &self.serving) {
            (
                Shown::Down | Shown::Unsupervised | Shown::NoSlot,
                Subject::Profile(Forecast { of_default: Some(of_default), .. }),
                Some(serving),
            ) => hosted::shown(*of_default, serving),
            (own, _, _) => own,
        }
    }

    /// Returns the state of its own gateway or service.
    fn own(&self) -> Shown {
        match &self.supervision {
            Supervision::NoSlot(_) => Shown::NoSlot,
            Supervision::NotASlot(_) | Supervision::Unknown(_) | Supervision::NotAsked => Shown::Unknown,
            Supervision::Unsupervised => Shown::Unsupervised,
            Supervision::Supervised(state) if state.is_looping() => Shown::Restarting,
            Supervision::Supervised(state) if state.is_up() => Shown::Up,
            Supervision::Supervised(_) => Shown::Down,
        }
    }

    /// Returns when the pause is over in which it is, in seconds since 1970.
    pub fn pause(&self) -> Option<i64> {
        self.state().and_then(|state| state.deaths.as_ref().ok()).and_then(|deaths| deaths.pause_until)
    }

    /// Returns the state of a supervised service.
    pub fn state(&self) -> Option<&State> {
        match &self.supervision {
            Supervision::Supervised(state) => Some(state),
            _ => None,
        }
    }

    /// Returns why it is not known how it is, as far as it is not.
    pub fn failed_look(&self) -> Option<&str> {
        self.own_failed_look().or(match &self.serving {
            Some(Serving::Unknown(error)) => Some(error),
            _ => None,
        })
    }

    /// Returns why s6 could not be asked, as far as it could not.
    pub fn own_failed_look(&self) -> Option<&str> {
        match &self.supervision {
            Supervision::Unknown(error)
            | Supervision::Supervised(
                State { deaths: Err(error), .. }
                | State { logger: Logger::Unknown(error), .. }
                | State { is_ending: Err(error), .. },
            ) => Some(error),
            _ => None,
        }
    }

    /// Returns what the kernel does not show to this user, as far as it does not.
    pub fn unseen(&self) -> Option<String> {
        match self.state().map(|state| &state.logger) {
            Some(Logger::Unseen(error)) => Some(error.clone()),
            _ => None,
        }
    }

    /// Returns what the next boot does with it; `None` for a service, and for a slot without a profile.
    pub fn next_boot(&self) -> Option<NextBoot> {
        match &self.subject {
            Subject::Profile(forecast) => match self.supervision {
                Supervision::NoSlot(Missing::FrontEnd(_)) if !forecast.has_failed => Some(NextBoot::NoSlot),
                _ => Some(forecast.next),
            },
            Subject::Orphan(OrphanProfile::Unknown(_)) => Some(NextBoot::Unknown),
            Subject::Orphan(_) | Subject::NotProfile | Subject::Service => None,
        }
    }

    /// Returns whether the gateway of `default` is to serve it, or it is parked.
    pub fn is_of_default(&self) -> bool {
        matches!(&self.subject, Subject::Profile(Forecast { of_default: Some(_), .. }))
    }

    /// Returns whether its own gateway is up beside that of `default`, which serves it.
    pub fn is_served_twice(&self) -> bool {
        let is_up = matches!(self.own(), Shown::Up | Shown::Restarting);
        is_up && self.is_of_default() && self.serving == Some(Serving::Served)
    }

    /// Returns whether it is a static service.
    pub fn is_service(&self) -> bool {
        self.subject == Subject::Service
    }
}

impl NextBoot {
    /// Returns the words that are printed; empty if there is no next boot.
    pub fn text(self) -> &'static str {
        match self {
            NextBoot::Up => "up",
            NextBoot::Down => "down",
            NextBoot::ByDefault => "by default",
            NextBoot::NoSlot => "",
            NextBoot::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{forecasts, rows, wanted};
    use super::*;

    #[test]
    fn a_front_ends_container_makes_no_slot_but_what_has_failed_is_not_known() {
        let missing = || Supervision::NoSlot(Missing::FrontEnd("why".to_owned()));
        for forecast in forecasts() {
            let has_failed = forecast.has_failed;
            let (name, subject) = (b"x".to_vec(), Subject::Profile(forecast.clone()));
            let row = Row {
                name,
                subject,
                directory: None,
                supervision: missing(),
                serving: None,
                last_boot: None,
                last_pass: None,
            };
            let expected = if has_failed { forecast.next } else { NextBoot::NoSlot };
            assert_eq!(row.next_boot(), Some(expected), "{forecast:?}");
        }
    }

    #[test]
    fn only_profiles_have_a_next_boot_and_one_that_is_not_known_is_said() {
        for row in rows() {
            let expected = match &row.subject {
                Subject::Orphan(OrphanProfile::Unknown(_)) => Some(NextBoot::Unknown),
                Subject::Orphan(_) | Subject::NotProfile | Subject::Service => None,
                Subject::Profile(_) => continue,
            };
            assert_eq!(row.next_boot(), expected, "{row:?}");
        }
    }

    #[test]
    fn two_recent_deaths_of_what_is_wanted_are_a_loop() {
        let of = |is_wanted, recent| {
            let deaths = Ok(Deaths { recent, ..Deaths::default() });
            Supervision::Supervised(State { is_wanted, deaths, ..super::super::model::up() })
        };
        for (supervision, shown) in [
            (of(true, 0), Shown::Up),
            (of(true, 1), Shown::Up),
            (of(true, 2), Shown::Restarting),
            (of(true, 9), Shown::Restarting),
            (of(false, 9), Shown::Up),
        ] {
            let subject = Subject::Profile(wanted());
            let row = Row {
                name: b"x".to_vec(),
                subject,
                directory: None,
                supervision,
                serving: None,
                last_boot: None,
                last_pass: None,
            };
            assert_eq!(row.shown(), shown, "{row:?}");
        }
    }

    #[test]
    fn each_state_has_its_word() {
        let words: Vec<_> = Shown::ALL.into_iter().map(Shown::text).collect();
        assert_eq!(
            words,
            [
                "up",
                "served",
                "restarting",
                "down",
                "parked",
                "not served",
                "unsupervised",
                "no slot",
                "unknown"
            ]
        );
    }
}
