//! What is said of a profile that has no gateway of its own, because that of `default` serves it. A pure function of the row.

use super::note::Note;
use super::remedy::{Remedy, Words};
use super::row::{Forecast, OfDefault, Row, Shown};
use crate::output::escape::Sentence;
use crate::topology::host::{self, Serving};

/// Returns what is said of such a profile, unless it is its own gateway that is up; `None` if nothing is to be said.
pub fn note(row: &Row, forecast: &Forecast) -> Option<Note> {
    let (of_default, serving) = forecast.of_default.zip(row.serving.as_ref())?;
    match (of_default, serving) {
        (_, Serving::Unknown(error)) => Some(Note::new(error.clone())),
        (OfDefault::Wanted, Serving::Served) => None,
        (OfDefault::Wanted, unserved) => Some(why_not(unserved)),
        (OfDefault::Unasked, Serving::Served) => forecast.is_stopped_on_request.then(|| {
            Note::new("the gateway of default serves it, although it was stopped on request")
                .with(Remedy::Stop)
        }),
        // It serves all that are not parked.
        (OfDefault::Unasked, Serving::NotYet) => Some(Note::new(NOT_YET)),
        (OfDefault::Unasked, _) => Some(Note::new(forecast.words.clone())),
        (OfDefault::Parked, Serving::Served) => Some(Note::new(STILL_SERVED)),
        (OfDefault::Parked, _) => Some(Note::new("parked on request").with(Remedy::Start)),
    }
}

/// What is said of a profile that is going to be served.
const NOT_YET: &str = "the gateway of default does not serve it yet: it looks every 30 seconds";
/// What is said of a profile that is parked and served.
const STILL_SERVED: &str = "parked on request, and the gateway of default still serves it: it looks every 30 seconds, and \
                            releases of Hermes Agent before 0.21.5 do not know gateway.parked";

/// Returns what is said of a profile whose own gateway is up, as far as that of `default` is concerned: both serve it, or it is not known
/// whether they do.
pub fn note_beside_own(row: &Row, forecast: &Forecast) -> Option<Note> {
    match &row.serving {
        Some(Serving::Unknown(error))
            if row.shown() != Shown::Restarting && row.own_failed_look().is_none() =>
        {
            Some(Note::new(error.clone()))
        }
        _ => twice(row, forecast),
    }
}

fn twice(row: &Row, forecast: &Forecast) -> Option<Note> {
    let what = "two gateways serve it: its own, and that of default; to stop its own";
    let remedy = match forecast.of_default {
        Some(OfDefault::Parked) => Remedy::Stop,
        _ => Remedy::Start,
    };
    let until = row.pause().filter(|_| row.shown() == Shown::Restarting);
    row.is_served_twice().then(|| Note { until, ..Note::new(what).with(remedy) })
}

/// Returns why the gateway of `default` does not serve a profile that wants to run, with what helps.
fn why_not(serving: &Serving) -> Note {
    match serving {
        Serving::NotYet => {
            Note::new(format!("{NOT_YET}; if this lasts"))
                .with(Remedy::RestartDefault)
        }
        Serving::Alone(None) => Note::new(
            "the gateway of default was started without multiplexing: switch it on (multiplex_profiles in config.yaml), then",
        )
        .with(Remedy::RestartDefault),
        Serving::Alone(why) if host::is_single(why.as_deref()) => {
            Note::new("the gateway of default was started when there was no other profile to serve")
                .with(Remedy::RestartDefault)
        }
        Serving::Alone(Some(why)) => Note::new(format!(
            "the gateway of default serves no other profile ({}); once that is resolved",
            Sentence(why)
        ))
        .with(Remedy::RestartDefault),
        Serving::Silent => Note::new("the gateway of default has not reported yet whom it serves")
            .with(Remedy::LogsOfDefault),
        Serving::Foreground => {
            Note::new("the container's command, which is to serve it, has not reported yet whom it serves")
                .with(Remedy::ContainerLog)
        }
        Serving::Restarting => {
            Note::new("the gateway of default, which is to serve it, keeps dying").with(Remedy::LogsOfDefault)
        }
        Serving::Down => {
            Note::new("the gateway of default, which is to serve it, is down").with(Remedy::StartDefault)
        }
        Serving::Unknown(error) => Note::new(error.clone()),
        Serving::Served => Note::new("the gateway of default serves it"),
    }
}

/// Returns why the gateway of `default` does not serve a profile that wants to run, with what helps, in one sentence. `program` is how a
/// person calls the executable; `is_roots` is whether only root may start `default`, and this process is not root,
/// `is_foreground` whether it is the container's command.
pub fn why_not_served(serving: &Serving, program: &str, is_roots: bool, is_foreground: bool) -> String {
    let Note { what, remedy, .. } = why_not(serving);
    let words = Words { program, name: "", svc: "", directory: "", is_roots, is_foreground };
    what + &remedy.map(|remedy| remedy.text(&words)).unwrap_or_default()
}

/// Returns the state that is printed of a profile that has no gateway of its own.
pub fn shown(of_default: OfDefault, serving: &Serving) -> Shown {
    match (serving, of_default) {
        (Serving::Served, _) => Shown::Served,
        (Serving::Unknown(_), _) => Shown::Unknown,
        (_, OfDefault::Parked) => Shown::Parked,
        (_, OfDefault::Wanted | OfDefault::Unasked) => Shown::NotServed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::{judge, message};
    use super::super::model::{self, down, rows, up};
    use super::super::row::{Broken, Missing, Subject, Supervision};
    use super::*;

    const WORDS: Words<'_> =
        Words { program: "P", name: "x", svc: "S", directory: "/D", is_roots: false, is_foreground: false };

    fn row(of_default: OfDefault, is_stopped_on_request: bool, serving: Serving) -> Row {
        let words = "its words".to_owned();
        let forecast = Forecast { is_stopped_on_request, words, ..model::of_default(of_default) };
        Row {
            name: b"x".to_vec(),
            subject: Subject::Profile(forecast),
            directory: None,
            supervision: Supervision::Supervised(down()),
            serving: Some(serving),
            last_boot: None,
            last_pass: None,
        }
    }

    fn text(row: &Row) -> Option<String> {
        let note = message(row, judge(row, 0).as_ref())?;
        Some(format!("{}{}", note.what, note.remedy.map(|remedy| remedy.text(&WORDS)).unwrap_or_default()))
    }

    #[test]
    fn who_is_served_is_a_fact_with_a_state_a_fault_and_a_sentence() {
        use OfDefault::{Parked, Unasked, Wanted};
        let alone = |why: &str| Serving::Alone(Some(why.to_owned()));
        let cases = [
            (row(Wanted, false, Serving::Served), Shown::Served, false, None),
            (
                row(Wanted, false, Serving::NotYet),
                Shown::NotServed,
                true,
                Some(
                    "the gateway of default does not serve it yet: it looks every 30 seconds; if this lasts: P restart default",
                ),
            ),
            (
                row(Wanted, false, Serving::Alone(None)),
                Shown::NotServed,
                true,
                Some(
                    "the gateway of default was started without multiplexing: switch it on (multiplex_profiles in \
                     config.yaml), then: P restart default",
                ),
            ),
            (
                row(Wanted, false, alone("only one profile exists (nothing to multiplex)")),
                Shown::NotServed,
                true,
                Some(
                    "the gateway of default was started when there was no other profile to serve: P restart default",
                ),
            ),
            (
                row(Wanted, false, alone("a token\nis used twice")),
                Shown::NotServed,
                true,
                Some(
                    "the gateway of default serves no other profile (\"a token\\nis used twice\"); once that is \
                     resolved: P restart default",
                ),
            ),
            (
                row(Wanted, false, Serving::Silent),
                Shown::NotServed,
                true,
                Some("the gateway of default has not reported yet whom it serves; see: P logs default"),
            ),
            (
                row(Wanted, false, Serving::Foreground),
                Shown::NotServed,
                true,
                Some(
                    "the container's command, which is to serve it, has not reported yet whom it serves; the container's log \
                     says why",
                ),
            ),
            (
                row(Wanted, false, Serving::Restarting),
                Shown::NotServed,
                true,
                Some("the gateway of default, which is to serve it, keeps dying; see: P logs default"),
            ),
            (
                row(Wanted, false, Serving::Down),
                Shown::NotServed,
                true,
                Some("the gateway of default, which is to serve it, is down: P start default"),
            ),
            (
                row(Wanted, false, Serving::Unknown("unable to read it".to_owned())),
                Shown::Unknown,
                true,
                Some("unable to read it"),
            ),
            (row(Unasked, false, Serving::Served), Shown::Served, false, None),
            (
                row(Unasked, true, Serving::Served),
                Shown::Served,
                false,
                Some("the gateway of default serves it, although it was stopped on request: P stop x"),
            ),
            (row(Unasked, true, Serving::Down), Shown::NotServed, false, Some("its words")),
            (row(Unasked, false, Serving::NotYet), Shown::NotServed, false, Some(NOT_YET)),
            (row(Parked, true, Serving::Served), Shown::Served, false, Some(STILL_SERVED)),
            (row(Parked, true, Serving::NotYet), Shown::Parked, false, Some("parked on request: P start x")),
            (row(Parked, false, Serving::Down), Shown::Parked, false, Some("parked on request: P start x")),
        ];
        for (row, shown, is_fault, said) in cases {
            assert_eq!(row.shown(), shown, "{row:?}");
            assert_eq!(judge(&row, 0).is_some(), is_fault, "{row:?}");
            assert_eq!(text(&row).as_deref(), said, "{row:?}");
        }
    }

    #[test]
    fn a_slot_that_is_missing_a_gateway_of_its_own_and_a_broken_state_have_their_sentences() {
        use OfDefault::{Unasked, Wanted};
        let missing = || Supervision::NoSlot(Missing::NotMade);
        let broken = |row: Row| {
            let reason = Some("gateway_state.json: not JSON".to_owned());
            let forecast =
                Forecast { broken: Some(Broken::Content), reason, ..model::of_default(OfDefault::Unasked) };
            Row { subject: Subject::Profile(forecast), ..row }
        };
        let of = |of_default, serving, supervision| Row { supervision, ..row(of_default, true, serving) };
        let remove = Some("gateway_state.json: not JSON; remove the file");
        for (row, expected) in [
            (
                of(Wanted, Serving::Served, missing()),
                Some("the last boot created no slot: the gateway of default serves it"),
            ),
            (
                of(Wanted, Serving::Down, missing()),
                Some("the gateway of default, which is to serve it, is down: P start default"),
            ),
            (of(Unasked, Serving::Down, Supervision::Unsupervised), Some("its words")),
            (
                of(Wanted, Serving::NotYet, Supervision::Supervised(up())),
                Some("it is running, but from the next boot on the gateway of default serves it"),
            ),
            (broken(of(Unasked, Serving::Served, missing())), remove),
            (broken(of(Unasked, Serving::Served, Supervision::Supervised(down()))), remove),
        ] {
            assert_eq!(text(&row).as_deref(), expected, "{row:?}");
        }
    }

    #[test]
    fn two_gateways_of_one_profile_are_a_fault_that_stopping_its_own_ends() {
        use OfDefault::{Parked, Unasked, Wanted};
        for (of_default, command) in [(Wanted, "start"), (Unasked, "start"), (Parked, "stop")] {
            let twice =
                Row { supervision: Supervision::Supervised(up()), ..row(of_default, false, Serving::Served) };
            assert_eq!(twice.shown(), Shown::Up);
            assert!(judge(&twice, 0).is_some());
            let said = format!(
                "two gateways serve it: its own, and that of default; to stop its own: P {command} x"
            );
            assert_eq!(text(&twice), Some(said));
        }
    }

    #[test]
    fn a_profile_that_the_gateway_of_default_serves_is_never_told_to_start() {
        for row in rows() {
            if row.serving == Some(Serving::Served) && !row.is_served_twice() {
                let remedy = message(&row, judge(&row, 0).as_ref()).and_then(|note| note.remedy);
                assert!(!matches!(remedy, Some(Remedy::Start | Remedy::LogsThenStart)), "{row:?}");
            }
        }
    }
}
