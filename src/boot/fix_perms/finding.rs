//! What `fix-perms` finds in a service, and what follows from it for the service.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::Error;
use crate::output::escape::FromVolume;
use crate::sys::{Errno, Name, Reason};

/// What was found in a service. A path is relative to the service directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Something was as wanted.
    Right,
    /// Something was, or would be, changed.
    Changed,
    /// The service is left as it is, which is not a fault, and why.
    Left(&'static str),
    /// The kernel does not permit a change that delegated mode can do without.
    Denied(PathBuf, Errno),
    /// Something is not what it should be, and is left as it is.
    Refused(PathBuf, Reason),
    /// Something could not be looked at or changed.
    Failed(PathBuf, Reason),
    /// A directory could not be sealed.
    Unsealed(Error),
}

/// What was done with a service, in order of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is as wanted.
    Done,
    /// It was left as it is, which is not a fault.
    Skipped,
    /// Something in it is not what it should be, and was left as it is.
    Refused,
    /// A system call failed.
    Failed,
}

impl Action {
    /// Returns the word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Action::Done => "done",
            Action::Skipped => "skipped",
            Action::Refused => "refused",
            Action::Failed => "failed",
        }
    }
}

impl Finding {
    /// Returns what this finding alone makes of the service.
    fn action(&self) -> Action {
        match self {
            Finding::Right | Finding::Changed => Action::Done,
            Finding::Left(_) | Finding::Denied(..) => Action::Skipped,
            Finding::Refused(..) => Action::Refused,
            Finding::Failed(..) | Finding::Unsealed(_) => Action::Failed,
        }
    }

    /// Returns why the service is not as wanted; `None` if the finding is no reason.
    fn reason(&self) -> Option<String> {
        match self {
            Finding::Right | Finding::Changed => None,
            Finding::Left(why) => Some((*why).to_owned()),
            Finding::Denied(path, errno) => Some(format!("{}: {}", shown(path), Reason::from(*errno))),
            Finding::Refused(path, reason) => Some(format!("{} {reason}", shown(path))),
            Finding::Failed(path, reason) => Some(format!("{}: {reason}", shown(path))),
            Finding::Unsealed(error) => Some(error.to_string()),
        }
    }

    fn denied(&self) -> Option<Errno> {
        match self {
            Finding::Denied(_, errno) => Some(*errno),
            _ => None,
        }
    }
}

fn shown(path: &Path) -> impl fmt::Display {
    FromVolume(path.as_os_str().as_bytes())
}

/// The result for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub service: Name,
    /// What was done.
    pub action: Action,
    /// Why it is not as wanted, with semicolons between; empty if it is.
    pub reasons: String,
    /// Whether anything was, or would be, changed.
    pub changed: bool,
    /// The last errno with which the kernel did not permit a change that delegated mode can do without.
    pub denied: Option<Errno>,
}

impl Outcome {
    /// Returns the result that follows from the findings in a service.
    pub fn new(service: Name, findings: &[Finding]) -> Outcome {
        Outcome {
            service,
            action: findings.iter().map(Finding::action).max().unwrap_or(Action::Done),
            reasons: findings.iter().filter_map(Finding::reason).collect::<Vec<_>>().join("; "),
            changed: findings.contains(&Finding::Changed),
            denied: findings.iter().filter_map(Finding::denied).next_back(),
        }
    }

    /// Returns whether the service is not what it should be.
    pub fn is_incomplete(&self) -> bool {
        self.action >= Action::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SERVICE: Name = Name::fixed(c"web");

    fn all() -> [(Finding, Action, &'static str); 7] {
        let sealed = Error::new("restrict access to", Path::new("event"), Errno::ROFS);
        [
            (Finding::Right, Action::Done, ""),
            (Finding::Changed, Action::Done, ""),
            (Finding::Left("it is not supervised"), Action::Skipped, "it is not supervised"),
            (
                Finding::Denied("supervise".into(), Errno::PERM),
                Action::Skipped,
                "supervise: Operation not permitted",
            ),
            (
                Finding::Refused("a b".into(), "is a symlink".into()),
                Action::Refused,
                r#""a\u0020b" is a symlink"#,
            ),
            (
                Finding::Failed("event".into(), Errno::NOSPC.into()),
                Action::Failed,
                "event: No space left on device",
            ),
            (
                Finding::Unsealed(sealed),
                Action::Failed,
                "unable to restrict access to event: Read-only file system",
            ),
        ]
    }

    #[test]
    fn the_gravest_finding_decides_and_each_reason_is_given() {
        let nothing = Outcome::new(SERVICE.clone(), &[]);
        assert_eq!((nothing.action, nothing.reasons.as_str(), nothing.changed), (Action::Done, "", false));
        for (one, action, reason) in all() {
            for (other, other_action, other_reason) in all() {
                let outcome = Outcome::new(SERVICE.clone(), &[one.clone(), other.clone()]);
                assert_eq!(outcome.action, action.max(other_action), "{one:?} {other:?}");
                let between = if reason.is_empty() || other_reason.is_empty() { "" } else { "; " };
                assert_eq!(outcome.reasons, format!("{reason}{between}{other_reason}"));
                let is_incomplete = matches!(outcome.action, Action::Refused | Action::Failed);
                assert_eq!(outcome.is_incomplete(), is_incomplete, "{one:?} {other:?}");
                assert_eq!(outcome.changed, one == Finding::Changed || other == Finding::Changed);
            }
        }
    }

    #[test]
    fn the_last_denial_is_kept() {
        let denied = |errno| Finding::Denied("x".into(), errno);
        let findings = [denied(Errno::PERM), Finding::Right, denied(Errno::ACCESS), Finding::Changed];
        assert_eq!(Outcome::new(SERVICE.clone(), &findings).denied, Some(Errno::ACCESS));
        let failed = Finding::Failed("x".into(), Errno::PERM.into());
        assert_eq!(Outcome::new(SERVICE.clone(), &[failed]).denied, None);
    }
}
