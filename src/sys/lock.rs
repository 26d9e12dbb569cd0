//! The lock of boot passes and registrations: flock(2) on the scan directory. The wait is bounded, because whoever can read the
//! directory can hold the lock for ever.

use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::time::wait_until;
use super::{Dir, Errno};

/// Time between two attempts.
const INTERVAL: Duration = Duration::from_millis(20);
/// Time after which the wait is given up.
const LIMIT: Duration = Duration::from_secs(5);

/// Locks the directory until its descriptor is closed. Fails with EAGAIN if somebody else holds the lock for five seconds.
pub fn exclusive(dir: &Dir) -> Result<(), Errno> {
    let mut done = Ok(());
    wait_until(LIMIT, INTERVAL, &mut || {
        done = flock(dir, FlockOperation::NonBlockingLockExclusive);
        !matches!(done, Err(Errno::AGAIN | Errno::INTR))
    });
    done
}
