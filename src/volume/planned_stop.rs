//! `.gateway-planned-stop.json`: tells a gateway that its end is wanted. With it the gateway ends with 0 and reports `stopped`;
//! without it, it takes SIGTERM for a failure, ends with 1 and reports `running`. It looks for the file every half second and ends
//! without a signal, too, so the file is written for a gateway that is stopped in the next moment.

use super::desired_state::updated_at;
use crate::output::escape::Quoted;
use crate::sys::file::{self, Attributes};
use crate::sys::lock::Lock;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, process, time};

/// The file, in the profile's directory.
pub static MARKER: Name = Name::fixed(c".gateway-planned-stop.json");
static STAGING: Name = Name::fixed(c".gateway-planned-stop.json.tmp");

/// Tells the gateway with this process ID that it is being stopped, in one step, in the directory of its profile. The file belongs
/// to `owner`, who removes it when it is read.
pub fn write(dir: &Dir, pid: u64, owner: Ids, ownership: &Ownership) -> Result<(), Errno> {
    // Two commands at once would share the staging file. If the lock cannot be had, the marker counts more than the order.
    let _lock = dir.readable().and_then(Lock::directory);
    let start = process::start_time(pid).unwrap_or_else(|| "null".to_owned());
    let (me, moment) = (std::process::id(), updated_at(time::now()));
    let moment = Quoted(moment.as_bytes());
    let beginning = beginning(pid);
    let text =
        format!("{beginning}\"target_start_time\":{start},\"stopper_pid\":{me},\"written_at\":{moment}}}");
    // It is of no use after a power failure.
    let attributes = Attributes { mode: 0o644, ids: owner, ownership, durable: false };
    file::replace(dir, &STAGING, &MARKER, text.as_bytes(), attributes)
}

fn beginning(pid: u64) -> String {
    format!("{{\"target_pid\":{pid},")
}

/// Largest marker that is read, in bytes.
const CAP: u64 = 4096;

/// Removes a marker whose gateway is gone. Absence is no error. `of`: only the marker for the gateway with this process ID.
pub fn remove(dir: &Dir, of: Option<u64>) -> Result<(), Errno> {
    // Another command may write one for a newer gateway between the look and the removal.
    let _lock = dir.readable().and_then(Lock::directory);
    if let Some(pid) = of
        && !file::read(dir, &MARKER, CAP).is_ok_and(|text| text.starts_with(beginning(pid).as_bytes()))
    {
        return Ok(());
    }
    match dir.unlink(&MARKER) {
        // The kernel may refuse before it looks.
        Err(_) if dir.meta(&MARKER) == Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}
