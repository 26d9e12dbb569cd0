//! Whether a service is as it should be. A pure function of the row.

use super::note::{Note, note, reason};
use super::remedy::Remedy;
use super::row::{
    Forecast, NextBoot, OfDefault, OrphanProfile, Pass, Row, Shown, State, Subject, Supervision,
};

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It could not be looked at, or not whole.
    Unknown,
    /// The kernel does not show this user all of it; the error. `status` says nothing of that.
    Unseen(String),
    /// It should be up and is not, or will lack something.
    NotUp,
    /// Its logger keeps no log.
    Logger,
    /// The newest pass failed at it.
    LastPass,
    /// Two gateways serve it: its own, and that of `default`.
    Twice,
    /// It has been up for less than it should have been; for how long, in seconds.
    New(u64),
}

/// Returns what is not as it should be, if anything is. What should be up must have been up for `min_up` seconds.
pub fn judge(row: &Row, min_up: u64) -> Option<Fault> {
    let is_up = row.shown() == Shown::Up;
    let logger = || match row.state() {
        Some(state) if state.is_up() && !state.is_looping() && state.logger.is_faulty() => {
            Some(Fault::Logger)
        }
        _ => None,
    };
    // A start that is stamped later than now says nothing of how long ago it was.
    let age = || row.state().filter(|_| is_up).and_then(|state| state.age);
    let new = || age().filter(|age| *age < min_up).map(Fault::New);
    match &row.subject {
        Subject::Profile(forecast) => {
            let should_be_up = forecast.next == NextBoot::Up;
            let is_unserved =
                forecast.of_default == Some(OfDefault::Wanted) && row.shown() == Shown::NotServed;
            if let Supervision::NoSlot(missing) = &row.supervision {
                let is_ours = !matches!(missing, super::row::Missing::FrontEnd(_));
                if !is_ours || forecast.next == NextBoot::NoSlot {
                    return None;
                }
            }
            if row.failed_look().is_some() {
                Some(Fault::Unknown)
            } else if forecast.has_failed
                || forecast.is_hindered
                || forecast.broken.is_some()
                || is_unserved
                || (should_be_up && (!is_up || row.state().is_some_and(State::is_going_down)))
            {
                Some(Fault::NotUp)
            } else if row.is_served_twice() {
                Some(Fault::Twice)
            } else if let Some(fault) = logger() {
                Some(fault)
            } else if row.last_pass.as_ref().is_some_and(Pass::has_failed) {
                Some(Fault::LastPass)
            } else {
                new().filter(|_| should_be_up).or_else(|| row.unseen().map(Fault::Unseen))
            }
        }
        Subject::Orphan(profile) => {
            let is_unknown = row.failed_look().is_some() || matches!(profile, OrphanProfile::Unknown(_));
            is_unknown.then_some(Fault::Unknown)
        }
        Subject::NotProfile => None,
        Subject::Service => {
            let is_ordered = row.state().is_some_and(|state| state.is_wanted);
            if row.failed_look().is_some() {
                Some(Fault::Unknown)
            } else if is_up {
                logger().or_else(new)
            } else if is_ordered || row.shown() == Shown::Unsupervised {
                Some(Fault::NotUp)
            } else {
                // One that was stopped is as somebody wants it.
                note(row).map(|_| Fault::NotUp)
            }
        }
    }
}

/// Returns whether a profile would be a fault if its state counted and its gateway lacked nothing.
pub fn is_fault_by_itself(row: &Row, min_up: u64) -> bool {
    match &row.subject {
        Subject::Profile(forecast) => {
            let whole = Forecast { reason: None, is_hindered: false, ..forecast.clone() };
            judge(&Row { subject: Subject::Profile(whole), ..row.clone() }, min_up).is_some()
        }
        _ => judge(row, min_up).is_some(),
    }
}

impl Pass {
    fn has_failed(&self) -> bool {
        self.action == "failed"
    }
}

impl Fault {
    /// Returns whether it is that something could not be looked at.
    pub fn is_ignorance(&self) -> bool {
        matches!(self, Fault::Unknown | Fault::Unseen(_))
    }

    /// Returns what is said of a fault of which nothing else is said.
    pub fn note(&self) -> Note {
        let (what, remedy) = match self {
            Fault::Unknown | Fault::NotUp => ("it is not up".to_owned(), None),
            Fault::Twice => ("two gateways serve it".to_owned(), None),
            Fault::Unseen(error) => (error.clone(), None),
            Fault::Logger => ("its logger keeps dying".to_owned(), Some(Remedy::ContainerLog)),
            Fault::LastPass => (
                "the last boot pass failed for it; the boot log says why".to_owned(),
                Some(Remedy::Reconcile),
            ),
            Fault::New(seconds) => (format!("up for only {seconds} seconds"), None),
        };
        Note { what, remedy, until: None }
    }
}

/// Returns what is said of a row besides its reason: its note, else that of its fault. A note that helps with nothing does not hide a
/// fault that has another cause.
pub fn message(row: &Row, fault: Option<&Fault>) -> Option<Note> {
    let is_cause = !matches!(fault, Some(Fault::LastPass | Fault::New(_) | Fault::Unseen(_)));
    let unexplained = fault.filter(|fault| **fault != Fault::NotUp || reason(row).is_none());
    note(row).filter(|note| is_cause || note.remedy.is_some()).or_else(|| unexplained.map(Fault::note))
}

#[cfg(test)]
mod tests {
    use super::super::model::rows;
    use super::super::row::Missing;
    use super::*;

    #[test]
    fn what_the_next_boot_starts_is_a_fault_unless_it_is_up() {
        for row in rows() {
            let is_front_ends = matches!(row.supervision, Supervision::NoSlot(Missing::FrontEnd(_)));
            if row.next_boot() == Some(NextBoot::Up) && !is_front_ends {
                assert!(row.shown() == Shown::Up || judge(&row, 0).is_some(), "{row:?}");
            }
        }
    }

    #[test]
    fn what_should_be_up_is_a_fault_while_its_process_ends() {
        for row in rows() {
            if row.next_boot() == Some(NextBoot::Up)
                && row.failed_look().is_none()
                && row.state().is_some_and(State::is_going_down)
            {
                assert_eq!(judge(&row, 0), Some(Fault::NotUp), "{row:?}");
            }
        }
    }

    #[test]
    fn what_could_not_be_looked_at_is_a_fault() {
        for row in rows() {
            if row.failed_look().is_some() {
                assert_eq!(judge(&row, 0), Some(Fault::Unknown), "{row:?}");
            }
        }
    }

    #[test]
    fn a_profile_that_lacks_something_or_has_failed_is_a_fault_in_the_container_of_the_gateways() {
        for row in rows() {
            let is_front_ends = matches!(row.supervision, Supervision::NoSlot(Missing::FrontEnd(_)));
            if let Subject::Profile(forecast) = &row.subject
                && (forecast.is_hindered || forecast.has_failed)
            {
                assert_eq!(judge(&row, 0).is_none(), is_front_ends, "{row:?}");
            }
        }
    }

    #[test]
    fn a_state_file_that_cannot_be_used_is_a_fault_that_says_what_helps() {
        for row in rows() {
            let is_front_ends = matches!(row.supervision, Supervision::NoSlot(Missing::FrontEnd(_)));
            if let Subject::Profile(forecast) = &row.subject
                && forecast.broken.is_some()
                && row.failed_look().is_none()
            {
                let fault = judge(&row, 0);
                assert_eq!(fault.is_none(), is_front_ends, "{row:?}");
                let message = message(&row, fault.as_ref()).expect("something is said");
                let is_foreign = matches!(row.supervision, Supervision::NotASlot(_));
                assert!(is_front_ends || is_foreign || message.remedy.is_some(), "{row:?}\n{message:?}");
            }
        }
    }

    #[test]
    fn what_is_down_on_request_is_none() {
        for row in rows() {
            if let Subject::Profile(forecast) = &row.subject
                && forecast.is_stopped_on_request
                && forecast.next != NextBoot::Up
                && !forecast.is_hindered
                && row.failed_look().is_none()
                && row.shown() == Shown::Down
                && row.last_pass.as_ref().is_none_or(|pass| pass.action != "failed")
            {
                assert_eq!(judge(&row, 3600), None, "{row:?}");
            }
        }
    }

    #[test]
    fn a_fault_says_what_helps_or_where_to_look() {
        for row in rows() {
            let Some(fault) = judge(&row, 60) else { continue };
            // What else is said needs no remedy.
            if reason(&row).is_some() {
                continue;
            }
            let message = message(&row, Some(&fault)).expect("a fault has a message");
            let has_reason = matches!(&row.subject, Subject::Profile(forecast) if forecast.reason.as_ref() == Some(&message.what));
            let is_error = row.failed_look() == Some(&message.what)
                || matches!(&row.subject, Subject::Orphan(OrphanProfile::Unknown(error)) if *error == message.what);
            let is_foreign = matches!(row.supervision, Supervision::NotASlot(_));
            let is_whole = matches!(fault, Fault::New(_) | Fault::Unseen(_));
            let is_explained = message.remedy.is_some() || has_reason || is_error || is_foreign || is_whole;
            assert!(is_explained, "{row:?}\n{message:?}");
        }
    }

    #[test]
    fn how_long_something_has_been_up_counts_where_it_should_be_up() {
        for row in rows() {
            for min_up in [0, 3, 4, 3600, 3601] {
                let age = row.state().and_then(|state| state.age);
                if let Some(Fault::New(seconds)) = judge(&row, min_up) {
                    assert_eq!((Some(seconds), row.shown()), (age, Shown::Up));
                    assert!(seconds < min_up);
                }
                let is_healthy = judge(&row, 0).is_none() && row.shown() == Shown::Up;
                let should_be_up = row.next_boot() == Some(NextBoot::Up) || row.is_service();
                if is_healthy && should_be_up {
                    let is_new = age.is_some_and(|age| age < min_up);
                    assert_eq!(judge(&row, min_up).is_some(), is_new, "{row:?} {min_up}");
                }
            }
        }
    }

    #[test]
    fn a_static_service_is_to_be_as_s6_has_the_order_to_keep_it() {
        for row in rows() {
            let Some(state) = row.state().filter(|_| row.is_service() && row.failed_look().is_none()) else {
                continue;
            };
            let is_permanent = state
                .last_death()
                .is_some_and(|death| death.signal == 0 && [78, 111, 126, 127].contains(&death.code));
            let is_fault = match (row.shown(), state.is_wanted) {
                (Shown::Up, _) => state.logger.is_faulty(),
                (_, true) => true,
                (_, false) => is_permanent,
            };
            assert_eq!(judge(&row, 0).is_some(), is_fault, "{row:?}");
        }
    }

    #[test]
    fn a_slot_without_a_profile_is_a_fault_only_if_it_cannot_be_looked_at() {
        for row in rows() {
            if let Subject::Orphan(profile) = &row.subject {
                let is_unknown = row.failed_look().is_some() || matches!(profile, OrphanProfile::Unknown(_));
                assert_eq!(judge(&row, 0).is_some(), is_unknown, "{row:?}");
            }
        }
    }
}
