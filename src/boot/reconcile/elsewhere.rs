//! Whether a gateway that has left its `gateway.pid` may run in another container with the same volume.

use super::files::GATEWAY_PID;
use crate::output::json::Object;
use crate::sys::number::decimal;
use crate::sys::process::{self, Life};
use crate::sys::{Dir, file, time};
use crate::volume::state::STATE;

/// Largest `gateway.pid` that is read, in bytes. Hermes Agent's have less than 1 KiB.
const CAP: u64 = 16 << 10;
/// Age of a state file up to which its gateway may just have written it, in seconds.
const FRESH: u64 = 60;

/// What a `gateway.pid` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Recorded {
    pid: u64,
    /// When the process has started, see [`process::start_time`].
    started: Option<u64>,
}

/// Returns whether the gateway of a profile, whose directory this is, has written its state within the last minute and its process is not
/// here: the gateway was killed, or it runs elsewhere. False where its files cannot be read.
pub fn may_run(dir: &Dir) -> bool {
    let is_fresh = dir.modified(&STATE).is_ok_and(|written| written.abs_diff(time::now()) < FRESH);
    let recorded = || file::read(dir, &GATEWAY_PID, CAP).ok().and_then(|content| recorded(&content));
    is_fresh && recorded().is_some_and(|recorded| !is_of(recorded, process::life(recorded.pid)))
}

/// Returns what a `gateway.pid` says: a JSON object, or a process ID alone.
fn recorded(content: &[u8]) -> Option<Recorded> {
    if let Some(pid) = decimal(content.trim_ascii()) {
        return Some(Recorded { pid, started: None });
    }
    let object = Object::parse(content).ok()?;
    Some(Recorded { pid: object.number("pid")?, started: object.number("start_time") })
}

/// Returns whether a process of this container, of which this is known, is the recorded one, as far as can be told.
fn is_of(recorded: Recorded, life: Life) -> bool {
    match (life, recorded.started) {
        (Life::Ended, _) => false,
        (Life::Started(started), Some(recorded)) => started == recorded,
        (Life::Started(_) | Life::Unknown, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_has_a_process_id_or_an_object_with_one() {
        let found = |pid, started| Some(Recorded { pid, started });
        for (content, expected) in [
            ("42", found(42, None)),
            ("42\n", found(42, None)),
            (r#"{"pid": 42, "kind": "hermes-gateway", "start_time": 7}"#, found(42, Some(7))),
            (r#"{"pid": 42, "start_time": null}"#, found(42, None)),
            (r#"{"pid": "42"}"#, None),
            ("{}", None),
            ("", None),
            ("-1", None),
            ("x", None),
        ] {
            assert_eq!(recorded(content.as_bytes()), expected, "{content}");
        }
    }

    #[test]
    fn a_process_with_another_start_is_another_one() {
        let of = |started, life| is_of(Recorded { pid: 42, started }, life);
        for (started, life, expected) in [
            (None, Life::Ended, false),
            (Some(7), Life::Ended, false),
            (Some(7), Life::Started(7), true),
            (Some(7), Life::Started(8), false),
            (None, Life::Started(8), true),
            // It may be the one.
            (Some(7), Life::Unknown, true),
        ] {
            assert_eq!(of(started, life), expected, "{started:?} {life:?}");
        }
    }
}
