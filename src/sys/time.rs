//! Clocks, and waiting.

use rustix::thread::{Timespec, nanosleep};

pub use super::raw::now;

/// A span of time.
pub type Milliseconds = u64;

/// Waits this long, or until a signal comes.
pub fn pause(span: Milliseconds) {
    let span = i64::try_from(span).unwrap_or(0);
    let _ = nanosleep(&Timespec { tv_sec: span / 1000, tv_nsec: span % 1000 * 1_000_000 });
}

/// Looks again and again, `every` so often, until it is so or it was waited for `limit`; whether it is so.
pub fn wait_until(limit: Milliseconds, every: Milliseconds, is_so: &mut dyn FnMut() -> bool) -> bool {
    let mut waited = 0;
    loop {
        if is_so() {
            return true;
        }
        if waited >= limit {
            return false;
        }
        pause(every);
        waited += every;
    }
}
