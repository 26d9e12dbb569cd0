//! The lock of boot passes and registrations: flock(2) on the scan directory. The wait is bounded, because whoever can read the
//! directory can hold the lock for ever. And a trial of the lock that s6-log takes.

use std::time::Duration;

use rustix::fs::{FlockOperation, fcntl_lock, flock};

use super::time::wait_until;
use super::{Dir, Errno, Name, file};

/// Time between two attempts.
const INTERVAL: Duration = Duration::from_millis(20);
/// Time after which the wait is given up.
const LIMIT: Duration = Duration::from_secs(5);

/// Makes a new file and locks it, as s6-log locks its directory, for as long as this call takes. Fails with EEXIST if there is one.
pub fn new_file(dir: &Dir, name: &Name) -> Result<(), Errno> {
    let file = file::create(dir, name, 0o644, b"")?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
}

/// Locks the directory until its descriptor is closed. Fails with EAGAIN if somebody else holds the lock for five seconds.
pub fn exclusive(dir: &Dir) -> Result<(), Errno> {
    let mut done = Ok(());
    wait_until(LIMIT, INTERVAL, &mut || {
        done = flock(dir, FlockOperation::NonBlockingLockExclusive);
        !matches!(done, Err(Errno::AGAIN | Errno::INTR))
    });
    done
}
