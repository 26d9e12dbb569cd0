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

/// Calls `look` every `interval` until it returns a value or `limit` has passed by the monotonic clock. Returns that value; `None` if
/// the time is over. `look` is called at least once, and once more when the time is over.
pub fn poll<T>(limit: Duration, interval: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let is_over = start.elapsed() >= limit;
        let seen = look();
        if seen.is_some() || is_over {
            return seen;
        }
        sleep(interval.min(limit.saturating_sub(start.elapsed())));
    }
}

/// [`poll`] for a condition. Returns whether it has become true.
pub fn wait_until(limit: Duration, interval: Duration, mut condition: impl FnMut() -> bool) -> bool {
    poll(limit, interval, || condition().then_some(())).is_some()
}
