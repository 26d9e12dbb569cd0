//! Clocks, and bounded waiting.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Returns the seconds since 1970, UTC; negative before.
pub fn now() -> i64 {
    since_1970(SystemTime::now())
}

/// Returns the seconds since 1970, UTC, and the nanoseconds of the second.
pub fn now_exactly() -> (i64, u32) {
    let now = SystemTime::now();
    (since_1970(now), now.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos()))
}

/// Returns the seconds from 1970 to a moment; negative before.
fn since_1970(moment: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match moment.duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}

/// Returns, in seconds since 1970, the moment that was so long after the start of the machine; `None` if it is still to come. A clock
/// that was set since then tells the moment as if it had always gone like that. Time in which the machine was suspended counts.
pub fn after_machine_start(span: Duration) -> Option<i64> {
    // Read first, so that a delay between the two makes the moment no later.
    let now = SystemTime::now();
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Boottime);
    let up = Duration::new(tv_sec.try_into().ok()?, tv_nsec.try_into().ok()?);
    now.checked_sub(up.checked_sub(span)?).map(since_1970)
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
