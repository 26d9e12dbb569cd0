//! The lock that passes and registrations hold: flock(2) on the scan directory, with a bounded wait, since whoever may read
//! the directory can hold it and never let go.

use rustix::fs::{FlockOperation, flock};

use super::time::{Milliseconds, wait_until};
use super::{Dir, Errno};

/// Between two tries.
const PAUSE: Milliseconds = 20;
/// How long somebody else may hold it before the wait is given up.
const PATIENCE: Milliseconds = 5000;

/// Locks the directory until its descriptor is closed. EAGAIN when somebody else holds it for all of five seconds.
pub fn exclusive(dir: &Dir) -> Result<(), Errno> {
    let mut done = Ok(());
    wait_until(PATIENCE, PAUSE, &mut || {
        done = flock(dir, FlockOperation::NonBlockingLockExclusive);
        !matches!(done, Err(Errno::AGAIN | Errno::INTR))
    });
    done
}
