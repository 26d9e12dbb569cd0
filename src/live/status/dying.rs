//! Which of the deaths of a service are recent. Which ones count: [`crate::service::count`].

use super::row::RECENT;
use crate::s6::deaths::Death;

/// The signal that ends a logger.
const SIGHUP: u8 = 1;

/// Returns how many deaths are recent. Of one that is stamped later than now, that is not known.
pub fn recent<'a>(deaths: impl Iterator<Item = &'a Death>, now: i64) -> usize {
    deaths.filter(|death| death.age(now).is_some_and(|age| age < RECENT)).count()
}

/// Returns whether a logger has ended as it does at the end of its input, or at a SIGHUP.
pub fn is_renewal(death: &Death) -> bool {
    (death.signal == 0 && death.code == 0) || death.signal == SIGHUP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_recent_for_three_minutes_and_never_before_it_is_stamped() {
        let death = Death { time: 1000, code: 1, signal: 0 };
        for (now, expected) in [(0, 0), (999, 0), (1000, 1), (1179, 1), (1180, 0)] {
            assert_eq!(recent([death].iter(), now), expected, "{now}");
        }
    }
}
