//! The report of `fix-perms`: a line or a JSON object for each service, and the summary.

use std::fmt;

use super::finding::{Action, Outcome};
use crate::output::escape::{FromVolume, Sentence};
use crate::output::json::{self, Scalar};

/// What the report has, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for people: each service, and the summary.
    Lines,
    /// Lines for people: only services that are not what they should be.
    Failures,
    /// JSON objects: each service, and the summary.
    Objects,
}

/// Returns the report.
pub fn text(outcomes: &[Outcome], form: Form) -> String {
    let summary = Summary::of(outcomes);
    let lines: Vec<String> = match form {
        Form::Lines => outcomes.iter().map(line).chain([summary.to_string()]).collect(),
        Form::Failures => outcomes.iter().filter(|outcome| outcome.is_incomplete()).map(line).collect(),
        Form::Objects => outcomes.iter().map(object).chain([summary.object()]).collect(),
    };
    lines.into_iter().map(|line| line + "\n").collect()
}

fn line(outcome: &Outcome) -> String {
    let (service, action) = (FromVolume(outcome.service.bytes()), outcome.action.word());
    let line = format!("fix-perms: service={service} action={action}");
    match outcome.reasons.as_str() {
        "" => line,
        reasons => format!("{line} reason={}", Sentence(reasons)),
    }
}

fn object(outcome: &Outcome) -> String {
    let Outcome { service, action, reasons, changed, .. } = outcome;
    let reason = Some(reasons.as_bytes()).filter(|reason| !reason.is_empty());
    json::object([
        ("service", Scalar::Text(service.bytes())),
        ("action", action.word().into()),
        ("reason", reason.into()),
        ("changed", (*changed).into()),
    ])
}

/// How many services there are of each action.
struct Summary {
    done: usize,
    skipped: usize,
    refused: usize,
    failed: usize,
}

impl Summary {
    fn of(outcomes: &[Outcome]) -> Summary {
        let count = |action| outcomes.iter().filter(|outcome| outcome.action == action).count();
        Summary {
            done: count(Action::Done),
            skipped: count(Action::Skipped),
            refused: count(Action::Refused),
            failed: count(Action::Failed),
        }
    }

    fn object(&self) -> String {
        let Summary { done, skipped, refused, failed } = self;
        json::object([
            ("done", (*done).into()),
            ("skipped", (*skipped).into()),
            ("refused", (*refused).into()),
            ("failed", (*failed).into()),
        ])
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { done, skipped, refused, failed } = self;
        write!(out, "fix-perms: {done} done, {skipped} skipped, {refused} refused, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Finding;
    use super::*;
    use crate::sys::{Errno, Name};

    fn outcomes() -> Vec<Outcome> {
        let outcome = |name: &str, finding| {
            Name::new(name).map(|name| Outcome::new(name, &[finding, Finding::Changed]))
        };
        [
            outcome("dashboard", Finding::Right),
            outcome("idle", Finding::Left("it is not supervised")),
            outcome("a b", Finding::Refused("log".into(), "is a symlink".into())),
            outcome("web", Finding::Failed("event".into(), Errno::NOSPC.into())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    #[test]
    fn lines_are_for_people() {
        assert_eq!(
            text(&outcomes(), Form::Lines),
            "fix-perms: service=dashboard action=done\n\
             fix-perms: service=idle action=skipped reason=\"it is not supervised\"\n\
             fix-perms: service=\"a\\u0020b\" action=refused reason=\"log is a symlink\"\n\
             fix-perms: service=web action=failed reason=\"event: No space left on device\"\n\
             fix-perms: 1 done, 1 skipped, 1 refused, 1 failed\n"
        );
        assert_eq!(text(&[], Form::Lines), "fix-perms: 0 done, 0 skipped, 0 refused, 0 failed\n");
    }

    #[test]
    fn a_quiet_report_has_only_what_is_not_as_it_should_be() {
        assert_eq!(
            text(&outcomes(), Form::Failures),
            "fix-perms: service=\"a\\u0020b\" action=refused reason=\"log is a symlink\"\n\
             fix-perms: service=web action=failed reason=\"event: No space left on device\"\n"
        );
        assert_eq!(text(&[], Form::Failures), "");
    }

    #[test]
    fn objects_are_for_programs() {
        assert_eq!(
            text(&outcomes(), Form::Objects),
            "{\"service\": \"dashboard\", \"action\": \"done\", \"reason\": null, \"changed\": true}\n\
             {\"service\": \"idle\", \"action\": \"skipped\", \"reason\": \"it is not supervised\", \"changed\": true}\n\
             {\"service\": \"a b\", \"action\": \"refused\", \"reason\": \"log is a symlink\", \"changed\": true}\n\
             {\"service\": \"web\", \"action\": \"failed\", \"reason\": \"event: No space left on device\", \"changed\": true}\n\
             {\"done\": 1, \"skipped\": 1, \"refused\": 1, \"failed\": 1}\n"
        );
    }
}
