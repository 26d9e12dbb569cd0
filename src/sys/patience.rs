//! How long a command still waits for what another user can hold for ever.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::time;

/// What a command waits in all for locks and FIFOs that another user can hold, however many there are: each wait takes from it.
#[derive(Debug)]
pub struct Patience {
    left: Cell<Duration>,
}

impl Patience {
    /// Returns the patience of one command: five seconds.
    pub fn new() -> Patience {
        Patience { left: Cell::new(Duration::from_secs(5)) }
    }

    /// Returns what is left.
    pub fn left(&self) -> Duration {
        self.left.get()
    }

    /// As [`time::poll`], for at most what is left. `look` is called once if nothing is.
    pub fn poll<T>(&self, limit: Duration, interval: Duration, look: impl FnMut() -> Option<T>) -> Option<T> {
        let start = Instant::now();
        let seen = time::poll(limit.min(self.left()), interval, look);
        self.left.set(self.left().saturating_sub(start.elapsed()));
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_take_from_what_is_left_until_nothing_is() {
        let tick = Duration::from_millis(1);
        let patience = Patience { left: Cell::new(20 * tick) };
        assert_eq!(patience.poll(Duration::ZERO, tick, || Some(7)), Some(7));
        let start = Instant::now();
        assert_eq!(patience.poll(5 * tick, tick, || None::<()>), None);
        assert!(start.elapsed() >= 5 * tick && patience.left() <= 15 * tick);
        assert_eq!(patience.poll(Duration::from_mins(1), tick, || None::<()>), None);
        assert_eq!(patience.left(), Duration::ZERO);
        let mut looks = 0;
        let look = || {
            looks += 1;
            None::<()>
        };
        assert_eq!(patience.poll(Duration::from_mins(1), tick, look), None);
        assert_eq!(looks, 1);
    }
}
