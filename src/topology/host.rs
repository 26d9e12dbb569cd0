//! The gateway of `default` as it is now: whether it is up, and whom it serves. That is what it has written, and not what is wished for.

use crate::sys::proc::{Life, Presence};
use crate::volume::state::{self, Report};

/// What s6 says of the gateway of `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slotted {
    /// It is up, with this process ID.
    Up(u64),
    /// It dies again and again.
    Restarting,
    /// It is not up, or nobody supervises it. It may run in the foreground.
    Down,
}

/// The gateway of `default`, and whom it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// It could not be found out; the error.
    Unknown(String),
    /// It is down.
    Down,
    /// It is the container's command, in the foreground, and has not written yet whom it serves.
    Foreground,
    /// It dies again and again.
    Restarting,
    /// It is up, and has not written yet whom it serves.
    Silent,
    /// It is up and serves no other profile, also none that is made later, until it is restarted; why, as it says.
    Alone(Option<String>),
    /// It is up and serves these profiles, itself among them. It looks for others every 30 seconds.
    Serves(Vec<String>),
}

/// Whether the gateway of `default` serves a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// It does.
    Served,
    /// It does not serve this one, and looks for profiles every 30 seconds.
    NotYet,
    /// It serves no other profile until it is restarted; why, as it says.
    Alone(Option<String>),
    /// It has not written yet whom it serves.
    Silent,
    /// It is the container's command, in the foreground, and has not written yet whom it serves.
    Foreground,
    /// It dies again and again.
    Restarting,
    /// It is down.
    Down,
    /// It could not be found out; the error.
    Unknown(String),
}

impl Host {
    /// Returns what is known, given what the gateway has last written of itself and what is known of the process that has written it.
    pub fn of(slotted: Slotted, report: Option<&Report>, life: impl FnOnce(u64) -> Life) -> Host {
        if slotted == Slotted::Restarting {
            return Host::Restarting;
        }
        let author = report.and_then(|report| report.process).map(|author| author.presence(life(author.pid)));
        let is_up = match (slotted, author) {
            (Slotted::Up(_), _) | (_, Some(Presence::Here)) => true,
            (Slotted::Restarting | Slotted::Down, _) => false,
        };
        if !is_up {
            return Host::Down;
        }
        match report.filter(|_| author != Some(Presence::Gone)) {
            Some(Report { served: Some(served), why, .. }) if served.is_empty() => Host::Alone(why.clone()),
            Some(Report { served: Some(served), .. }) => Host::Serves(served.clone()),
            Some(Report { served: None, why: Some(why), .. }) => Host::Alone(Some(why.clone())),
            Some(Report { served: None, why: None, .. }) | None => Host::Silent,
        }
    }

    /// Returns what is known if it is the container's command, in the foreground.
    pub fn in_foreground(self) -> Host {
        match self {
            Host::Down | Host::Silent => Host::Foreground,
            host => host,
        }
    }

    /// Returns whether it serves the profile of this name.
    pub fn serving(&self, name: &[u8]) -> Serving {
        match self {
            Host::Serves(served) if served.iter().any(|served| served.as_bytes() == name) => Serving::Served,
            Host::Serves(_) => Serving::NotYet,
            Host::Alone(why) => Serving::Alone(why.clone()),
            Host::Silent => Serving::Silent,
            Host::Foreground => Serving::Foreground,
            Host::Restarting => Serving::Restarting,
            Host::Down => Serving::Down,
            Host::Unknown(error) => Serving::Unknown(error.clone()),
        }
    }
}

/// Returns whether the gateway of `default` serves no other profile because there was none when it was started, by the reason that it gives,
/// or gives none.
pub fn is_single(why: Option<&str>) -> bool {
    why.is_none_or(|why| why.starts_with(state::SINGLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::proc::Named;

    const SLOTTED: [Slotted; 3] = [Slotted::Up(7), Slotted::Restarting, Slotted::Down];
    const LIVES: [Life; 4] = [Life::Ended, Life::Started(1), Life::Started(2), Life::Unknown];

    fn reports() -> Vec<Option<Report>> {
        let lists = [None, Some(vec![]), Some(vec!["default"]), Some(vec!["default", "coder"])];
        let processes = [(None, None), (Some(7), None), (Some(7), Some(1)), (Some(8), Some(1))];
        let mut all = vec![None];
        for list in &lists {
            for why in [None, Some("two gateways".to_owned())] {
                for (pid, start) in processes {
                    let served =
                        list.as_ref().map(|list| list.iter().map(|name| (*name).to_owned()).collect());
                    let process = pid.map(|pid| Named { pid, start });
                    all.push(Some(Report { process, served, why: why.clone() }));
                }
            }
        }
        all
    }

    #[test]
    fn what_an_earlier_process_has_written_says_nothing_of_this_one() {
        for report in reports() {
            for life in LIVES {
                let has_ended = report.as_ref().is_some_and(|report| {
                    report.process.is_some_and(|process| process.presence(life) == Presence::Gone)
                });
                if has_ended {
                    assert_eq!(
                        Host::of(Slotted::Up(7), report.as_ref(), |_| life),
                        Host::Silent,
                        "{report:?}"
                    );
                    assert_eq!(Host::of(Slotted::Down, report.as_ref(), |_| life), Host::Down, "{report:?}");
                }
            }
        }
    }

    #[test]
    fn it_is_up_if_s6_says_so_or_if_the_process_that_wrote_its_state_runs() {
        for report in reports() {
            for life in LIVES {
                for slotted in SLOTTED {
                    let host = Host::of(slotted, report.as_ref(), |_| life);
                    let author = report.as_ref().and_then(|report| report.process);
                    let is_alive = author.is_some_and(|author| author.presence(life) == Presence::Here);
                    let is_up = !matches!(host, Host::Down | Host::Restarting);
                    let expected = match slotted {
                        Slotted::Up(_) => true,
                        Slotted::Restarting => false,
                        Slotted::Down => is_alive,
                    };
                    assert_eq!(is_up, expected, "{slotted:?} {report:?} {life:?}");
                    assert_eq!(host == Host::Restarting, slotted == Slotted::Restarting);
                }
            }
        }
    }

    #[test]
    fn it_serves_whom_it_lists_and_with_an_empty_list_nobody_until_it_is_restarted() {
        let report = |served: Option<&[&str]>, why: Option<&str>| Report {
            process: Some(Named { pid: 7, start: Some(1) }),
            served: served.map(|served| served.iter().map(|name| (*name).to_owned()).collect()),
            why: why.map(str::to_owned),
        };
        let alone = |why: Option<&str>| Serving::Alone(why.map(str::to_owned));
        for (served, why, expected) in [
            (Some(&["default", "coder"][..]), None, Serving::Served),
            (Some(&["default", "ops"]), None, Serving::NotYet),
            (Some(&["default"]), None, Serving::NotYet),
            (Some(&[]), None, alone(None)),
            (Some(&[]), Some("why"), alone(Some("why"))),
            (None, Some("why"), alone(Some("why"))),
            (None, None, Serving::Silent),
        ] {
            let report = report(served, why);
            let host = Host::of(Slotted::Up(7), Some(&report), |_| Life::Started(1));
            assert_eq!(host.serving(b"coder"), expected, "{report:?}");
        }
        assert_eq!(Host::Down.serving(b"coder"), Serving::Down);
        assert_eq!(Host::Restarting.serving(b"coder"), Serving::Restarting);
        for host in [Host::Down, Host::Silent, Host::Foreground] {
            assert_eq!(host.in_foreground().serving(b"coder"), Serving::Foreground);
        }
        assert_eq!(Host::Serves(vec!["coder".to_owned()]).in_foreground().serving(b"coder"), Serving::Served);
        assert_eq!(Host::Unknown("e".to_owned()).serving(b"coder"), Serving::Unknown("e".to_owned()));
    }

    #[test]
    fn nobody_to_serve_is_no_refusal_to_serve() {
        assert!(is_single(None));
        assert!(is_single(Some("only one profile exists (nothing to multiplex)")));
        assert!(!is_single(Some("profile(s) 'coder' (pid 7) still run their own gateway")));
    }
}
