//! The lock that passes and registrations hold: flock(2) on the scan directory, with a bounded wait, since whoever may read
//! the directory can hold it and never let go.

use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::{Dir, Errno};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// Tries before the wait is given up: five seconds.
const TRIES: u32 = 250;

/// Locks the directory until its descriptor is closed. EAGAIN when somebody else holds it for all of five seconds.
pub fn exclusive(dir: &Dir) -> Result<(), Errno> {
    for _ in 1..TRIES {
        match flock(dir, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN) => sleep(PAUSE),
            Err(Errno::INTR) => (),
            done => return done,
        }
    }
    flock(dir, FlockOperation::NonBlockingLockExclusive)
}
