//! Which deaths of a service count, and the pause that they lead to. A pure function of the deaths.

use super::row::RECENT;
use crate::s6::deaths::Death;
use crate::service::{self, backoff, dashboard, gateway};

/// The signal that ends a logger.
const SIGHUP: u8 = 1;

/// The program that is a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `gateway-run`.
    Gateway,
    /// `dashboard-run`.
    Dashboard,
    /// Another one.
    Other,
}

impl Program {
    /// Returns the deaths since somebody has last stopped the service, or started it, that nobody asked for.
    pub fn unwanted(self, deaths: &[Death]) -> impl Iterator<Item = &Death> {
        // While a dashboard is on, it does not end by itself as intended.
        self.since_order(deaths).iter().filter(move |death| self == Program::Dashboard || !death.is_wanted())
    }

    /// Returns the deaths since somebody has last stopped the service, or started it. A gateway that has ended with 0 or failed permanently
    /// stays down until it is started; what another service does then, its `finish` alone knows.
    fn since_order(self, deaths: &[Death]) -> &[Death] {
        let stays_down = |death: &Death| {
            death.is_wanted() || (death.signal == 0 && service::permanent(death.code.into()).is_some())
        };
        let is_last = |death: &Death| death.is_stop() || (self == Program::Gateway && stays_down(death));
        let begin = deaths.iter().rposition(is_last).map_or(0, |last| last + 1);
        deaths.get(begin..).unwrap_or_default()
    }

    /// Returns the pause that it makes after these deaths, if it makes one.
    pub fn pause(self, deaths: &[Death], now: i64) -> Option<backoff::Pause> {
        match self {
            Program::Gateway => gateway::pause(deaths, now),
            Program::Dashboard => dashboard::pause(deaths, now),
            Program::Other => None,
        }
    }
}

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

    #[test]
    fn deaths_before_the_order_of_a_person_do_not_count() {
        let death = |code, signal| Death { time: 0, code, signal };
        let (crash, killed) = (death(1, 0), death(137, 9));
        let (stopped, ended, failed) = (death(143, 15), death(0, 0), death(78, 0));
        for (deaths, of_gateway, of_dashboard, of_other) in [
            (vec![], 0, 0, 0),
            (vec![crash, killed], 2, 2, 2),
            (vec![crash, killed, stopped], 0, 0, 0),
            (vec![crash, killed, stopped, crash], 1, 1, 1),
            (vec![stopped, crash, killed], 2, 2, 2),
            (vec![crash, killed, ended], 0, 3, 2),
            (vec![ended, ended], 0, 2, 0),
            (vec![crash, failed, failed], 0, 3, 3),
            (vec![failed, crash], 1, 2, 2),
        ] {
            let counts = [Program::Gateway, Program::Dashboard, Program::Other]
                .map(|program| program.unwanted(&deaths).count());
            assert_eq!(counts, [of_gateway, of_dashboard, of_other], "{deaths:?}");
        }
    }

    #[test]
    fn only_our_programs_make_pauses() {
        let crashes = [Death { time: 1000, code: 1, signal: 0 }; 5];
        let ends = [Death { time: 1000, code: 0, signal: 0 }; 5];
        for (program, after_crashes, after_ends) in [
            (Program::Gateway, true, false),
            (Program::Dashboard, true, true),
            (Program::Other, false, false),
        ] {
            let pauses = [&crashes, &ends].map(|deaths| program.pause(deaths, 1000).is_some());
            assert_eq!(pauses, [after_crashes, after_ends], "{program:?}");
        }
    }
}
