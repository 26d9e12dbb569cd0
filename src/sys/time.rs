//! Clocks, and bounded waiting.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the seconds since 1970, UTC; negative before.
pub fn now() -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}

/// Calls `condition` every `interval` until it returns true or `limit` has passed by the monotonic clock. Returns whether it
/// returned true. It is called at least once, and once more when the time is over.
pub fn wait_until(limit: Duration, interval: Duration, condition: &mut dyn FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        let over = start.elapsed() >= limit;
        if condition() {
            return true;
        }
        if over {
            return false;
        }
        sleep(interval.min(limit.saturating_sub(start.elapsed())));
    }
}
