//! Whether a gateway that has left its `gateway.pid` may run in another container with the same volume.

use super::files::GATEWAY_PID;
use crate::output::json::Object;
use crate::sys::number::decimal;
use crate::sys::proc::{self, Named, Presence};
use crate::sys::{Dir, Reason, file, present, time};
use crate::volume::state::STATE;

/// Largest `gateway.pid` that is read, in bytes. Hermes Agent's have less than 1 KiB.
const CAP: u64 = 16 << 10;
/// Age of a state file up to which its gateway may just have written it, in seconds.
const FRESH: u64 = 60;

/// Returns whether the gateway of a profile, whose directory this is, has written its state within the last minute and its process is not
/// here: the gateway was killed, or it runs elsewhere. `written` is when it has, in seconds since 1970, if that is known. Fails if one of
/// its files cannot be looked at.
pub fn may_run(dir: &Dir, written: Option<i64>) -> Result<bool, Reason> {
    let written = match written {
        Some(_) => written,
        None => present(dir.meta(&STATE))?.map(|meta| meta.modified),
    };
    if written.is_none_or(|written| written.abs_diff(time::now()) >= FRESH) {
        return Ok(false);
    }
    let named = match file::find(dir, &GATEWAY_PID, CAP) {
        // No gateway makes a file of this type or this size.
        Err(Reason::Rule(_) | Reason::Unread(_)) => None,
        content => content?.as_deref().and_then(parse),
    };
    Ok(named.is_some_and(|named| named.presence(proc::life(named.pid)) == Presence::Gone))
}

/// Returns what a `gateway.pid` says: a JSON object, or a process ID alone.
fn parse(content: &[u8]) -> Option<Named> {
    if let Some(pid) = decimal(content.trim_ascii()) {
        return Some(Named { pid, start: None });
    }
    let object = Object::parse(content).ok()?;
    Some(Named { pid: object.number("pid")?, start: object.number("start_time") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_has_a_process_id_or_an_object_with_one() {
        let found = |pid, start| Some(Named { pid, start });
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
            assert_eq!(parse(content.as_bytes()), expected, "{content}");
        }
    }
}
