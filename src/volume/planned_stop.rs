//! `.gateway-planned-stop.json`: tells a gateway that it is stopped on request. With it the gateway ends with 0 and reports `stopped`;
//! without it, the gateway takes SIGTERM for a failure, ends with 1 and reports `running`. A gateway looks for the file every half
//! second and ends by itself if there is one, so it is written directly before the gateway is stopped.

use super::directory_lock::Held;
use crate::output::json::{self, Object};
use crate::output::localtime;
use crate::sys::staged::{self, Attributes};
use crate::sys::{Errno, Ids, Name, Ownership, file, process, time};

/// The file, in the profile's directory.
pub static MARKER: Name = Name::fixed(c".gateway-planned-stop.json");
static STAGING: Name = Name::fixed(c".gateway-planned-stop.json.tmp");
/// Largest marker that is read, in bytes.
const CAP: u64 = 4096;
/// The member with the process ID of the gateway that is stopped.
const TARGET: &str = "target_pid";

/// Tells the gateway with this process ID that it is being stopped, in one step, in the directory of its profile. The file belongs
/// to `owner`, who removes it when it is read. Without the lock, two commands at once share the staging file.
pub fn write(dir: &Held<'_>, pid: u64, owner: Ids, ownership: &Ownership) -> Result<(), Errno> {
    let written_at = localtime::isoformat(time::now());
    let text = json::object([
        (TARGET, pid.into()),
        ("target_start_time", process::start_time(pid).into()),
        ("stopper_pid", std::process::id().into()),
        ("written_at", written_at.as_str().into()),
    ]);
    // It is of no use after a power failure.
    let attributes = Attributes { mode: 0o644, ids: owner, ownership, durable: false };
    staged::replace(dir, &STAGING, &MARKER, text.as_bytes(), attributes)
}

/// Removes the marker of a gateway that has ended. Absence is no error. `of`: only the marker for the gateway with this process ID; without
/// the lock, another command may write one for a newer gateway between the check and the removal.
pub fn remove(dir: &Held<'_>, of: Option<u64>) -> Result<(), Errno> {
    if let Some(pid) = of
        && !file::read(dir, &MARKER, CAP).is_ok_and(|marker| is_for(&marker, pid))
    {
        return Ok(());
    }
    match dir.unlink(&MARKER) {
        // The kernel may refuse a removal before it finds that there is nothing to remove.
        Err(_) if dir.meta(&MARKER) == Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Returns whether a marker is for the gateway with this process ID.
fn is_for(marker: &[u8], pid: u64) -> bool {
    Object::parse(marker).is_ok_and(|marker| marker.number(TARGET) == Some(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_for_one_process() {
        for (marker, expected) in [
            (r#"{"target_pid": 7, "target_start_time": 1}"#, true),
            (r#"{"target_pid":7,"target_start_time":null}"#, true),
            (r#"{"stopper_pid": 8, "target_pid": 7}"#, true),
            (r#"{"target_pid": 77}"#, false),
            (r#"{"target_pid": "7"}"#, false),
            (r#"{"stopper_pid": 7}"#, false),
            (r#"{"target_pid": 7"#, false),
            ("7", false),
            ("", false),
        ] {
            assert_eq!(is_for(marker.as_bytes(), 7), expected, "{marker}");
        }
    }
}
