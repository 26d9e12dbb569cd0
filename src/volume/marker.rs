//! Markers: files that say something of one process of a gateway, in the directory of its profile. A marker is for the process whose ID it
//! has, and means nothing when that has ended.

use super::directory_lock::Held;
use crate::output::json::{self, Object};
use crate::output::localtime;
use crate::sys::proc::{self, Named, Presence};
use crate::sys::staged::Attributes;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, Reason, file, time};

/// Tells a gateway that it is stopped on request. With it the gateway ends with 0 and reports `stopped`; without it, the gateway takes
/// SIGTERM for a failure, ends with 1 and reports `running`. A gateway looks for the file every half second and ends by itself if there is
/// one, so it is written directly before the gateway is stopped. The gateway removes it when it has read it.
pub static PLANNED_STOP: Marker = Marker { name: Name::fixed(c".gateway-planned-stop.json") };

/// Tells `gateway-finish` that the gateway is started again when it has ended, however it ends.
pub static RESTART: Marker = Marker { name: Name::fixed(c".hermes-init-restart.json") };

/// Largest marker that is read, in bytes.
const CAP: u64 = 4096;
/// The members with the ID of the process and its start time.
const TARGET: &str = "target_pid";
const TARGET_START: &str = "target_start_time";

/// A kind of marker.
#[derive(Debug)]
pub struct Marker {
    /// The file, in the profile's directory.
    pub name: Name,
}

impl Marker {
    /// Marks the process with this ID, in one step, in the directory of its profile. The file belongs to `owner`.
    pub fn write(&self, dir: &Held, pid: u64, owner: Ids, ownership: &Ownership) -> Result<(), Reason> {
        let written_at = localtime::isoformat(time::now());
        let text = json::object([
            (TARGET, pid.into()),
            (TARGET_START, proc::start_time(pid).into()),
            ("stopper_pid", std::process::id().into()),
            ("written_at", written_at.as_str().into()),
        ]);
        // It is of no use after a power failure.
        let attributes = Attributes { mode: 0o644, ids: owner, ownership, durable: false };
        dir.replace(&self.name, text.as_bytes(), attributes)
    }

    /// Returns whether the process with this ID is marked.
    pub fn is_for(&self, dir: &Dir, pid: u64) -> Result<bool, Errno> {
        Ok(self.target(dir)?.is_some_and(|target| target.pid == pid))
    }

    /// Returns whether there is a marked process that is known to have ended.
    pub fn is_over(&self, dir: &Dir) -> Result<bool, Errno> {
        let is_over = |target: Named| target.presence(proc::life(target.pid)) == Presence::Gone;
        Ok(self.target(dir)?.is_some_and(is_over))
    }

    /// Removes the marker. Absence is no error.
    pub fn remove(&self, dir: &Dir) -> Result<(), Errno> {
        match dir.unlink(&self.name) {
            // The kernel may refuse a removal before it finds that there is nothing to remove.
            Err(_) if dir.meta(&self.name) == Err(Errno::NOENT) => Ok(()),
            done => done,
        }
    }

    /// Removes the marker if it is for the process with this ID. Without the lock, another command may write one for a newer process between
    /// the check and the removal.
    pub fn remove_for(&self, dir: &Held, pid: u64) -> Result<(), Errno> {
        if self.is_for(dir, pid)? { self.remove(dir) } else { Ok(()) }
    }

    /// Removes the marker if its process is known to have ended.
    pub fn sweep(&self, dir: &Held) -> Result<(), Errno> {
        if self.is_over(dir)? { self.remove(dir) } else { Ok(()) }
    }

    /// Returns the process that is marked; `None` if there is no marker, or something else has its name.
    fn target(&self, dir: &Dir) -> Result<Option<Named>, Errno> {
        match file::find(dir, &self.name, CAP) {
            Ok(text) => Ok(text.as_deref().and_then(parse)),
            Err(Reason::Errno(errno)) => Err(errno),
            // No marker has this type or this size.
            Err(Reason::Rule(_) | Reason::Unread(_)) => Ok(None),
        }
    }
}

/// Returns the process that a marker is for.
fn parse(marker: &[u8]) -> Option<Named> {
    let marker = Object::parse(marker).ok()?;
    Some(Named { pid: marker.number(TARGET)?, start: marker.number(TARGET_START) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_for_one_process() {
        let target = |pid, start| Some(Named { pid, start });
        for (marker, expected) in [
            (r#"{"target_pid": 7, "target_start_time": 1}"#, target(7, Some(1))),
            (r#"{"target_pid":7,"target_start_time":null}"#, target(7, None)),
            (r#"{"stopper_pid": 8, "target_pid": 7}"#, target(7, None)),
            (r#"{"target_pid": 77}"#, target(77, None)),
            (r#"{"target_pid": "7"}"#, None),
            (r#"{"stopper_pid": 7}"#, None),
            (r#"{"target_pid": 7"#, None),
            ("7", None),
            ("", None),
        ] {
            assert_eq!(parse(marker.as_bytes()), expected, "{marker}");
        }
    }
}
