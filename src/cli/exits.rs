//! The exit codes that each command can have, for its page.

use super::command::Name;
use crate::output::exit;

/// An exit code of a command, and what it means.
pub type Exit = (u8, &'static str);

const WRONG_USAGE: Exit = (exit::USAGE, "wrong usage");
/// Meaning of a code of a command that does nothing but print.
const UNWRITTEN: &str = "standard output could not be written";
/// Meaning of a code of a program of a service that prints, or becomes another one.
const RETRIED: &str =
    "standard output could not be written, or something failed that may pass: s6 starts it again";

impl Name {
    /// Returns the exit codes that the command can have, in ascending order.
    pub fn exits(self) -> Vec<Exit> {
        match self {
            Name::Reconcile => ordinary(
                "each profile that can have a slot has one",
                "a slot could not be created, inspected or sealed, a state could not be read, or a gateway will fail \
                 because the hermes user is denied access or root lacks a capability",
            ),
            Name::FixPerms => ordinary(
                "success, not permitted (rootless, not sealed), or DIR is missing",
                "a service was refused or failed",
            ),
            Name::Seed => ordinary("success", "a directory could not be completed"),
            Name::GatewayRun => {
                let mut exits = program(
                    "success, with --print; else the exit code is that of hermes",
                    "the slot could not be read, or something failed that may pass: s6 starts it again",
                );
                exits.insert(2, (exit::CONFIGURATION, "the gateway of default is to serve the profile"));
                exits
            }
            Name::GatewayLog => {
                program("success, with --print; else the exit code is that of s6-log", RETRIED)
            }
            Name::DashboardRun => program(
                "the dashboard is disabled, or success, with --print; else the exit code is that of hermes",
                RETRIED,
            ),
            Name::GatewayFinish => {
                finish("it stays down: it ended with 0 (intended end), 78, 111, 126 or 127")
            }
            Name::DashboardFinish => {
                finish("it stays down: it is disabled, or ended with 78, 111, 126 or 127")
            }
            Name::Register => ordinary(
                "the gateway is supervised",
                "the slot exists, the gateway is the container's command, permission denied, a front end's container, the variables could not be stored, no \
                 s6-svscan, or timeout",
            ),
            Name::Unregister => ordinary("the slot is gone", "permission denied, or timeout"),
            Name::Start | Name::Restart => ordinary(
                "success",
                "no such gateway, the gateway of default is to serve it and does not, a restart of what it serves, the \
                 container's command, a front end's container, permission denied, timeout, or the desired state could not be recorded",
            ),
            Name::Stop => ordinary(
                "success",
                "no such gateway, the gateway of default serves it still, permission denied, timeout, or the desired state could not be recorded",
            ),
            Name::HandOver => ordinary(
                "everything is the hermes user's",
                "something was left, or could not be changed, or the user is not root",
            ),
            Name::Status => ordinary("success", "no such gateway, or a service could not be queried"),
            Name::Health => vec![
                (0, "healthy"),
                (exit::INCOMPLETE, "not healthy, or no such gateway"),
                WRONG_USAGE,
                (exit::SYSTEM, "not everything could be inspected"),
            ],
            Name::Logs => ordinary("success", "there is no such log, or it could not be read"),
            Name::Complete => {
                vec![
                    (0, "success"),
                    (exit::INCOMPLETE, UNWRITTEN),
                    (exit::SYSTEM, "the names of profiles could not be read"),
                ]
            }
            Name::Help | Name::Version => vec![(0, "success"), (exit::INCOMPLETE, UNWRITTEN), WRONG_USAGE],
        }
    }
}

/// Returns the exit codes of a boot step or of a command for a live container.
fn ordinary(success: &'static str, incomplete: &'static str) -> Vec<Exit> {
    vec![(0, success), (exit::INCOMPLETE, incomplete), WRONG_USAGE, (exit::SYSTEM, "a system call failed")]
}

/// Returns the exit codes of a program that becomes another one.
fn program(success: &'static str, incomplete: &'static str) -> Vec<Exit> {
    vec![
        (0, success),
        (exit::INCOMPLETE, incomplete),
        WRONG_USAGE,
        (exit::SYSTEM, "root's privileges could not be dropped, or another system call failed"),
        (exit::NOT_EXECUTABLE, "the program to execute is not executable"),
        (exit::NOT_FOUND, "the program to execute is not on PATH, or its interpreter or loader is missing"),
    ]
}

/// Returns the exit codes of a `finish`.
fn finish(permanent: &'static str) -> Vec<Exit> {
    vec![(0, "s6 starts it again"), (exit::PERMANENT_FAILURE, permanent)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_a_command_ascend_and_each_has_a_meaning() {
        for name in Name::ALL {
            let exits = name.exits();
            assert!(
                exits.is_sorted_by_key(|(code, _)| *code)
                    && exits.first().is_some_and(|(code, _)| *code == 0)
            );
            assert!(exits.iter().all(|(_, meaning)| !meaning.is_empty()), "{name:?}");
        }
    }
}
