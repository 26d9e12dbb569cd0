//! What happens to each profile at a boot: a pure function of what was read. Nothing here looks at the volume, the scan directory or
//! the environment.

use crate::output::escape::FromVolume;
use crate::s6::{DefaultState, ProfileName};
use crate::settings::Source;
use crate::sys::{Name, Reason};
use crate::volume::exit_ledger::PriorExit;
use crate::volume::state::{Key, RUNNING, RecordedState, STOPPED};

/// What was read of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// What its state file says.
    pub state: State,
    /// When that was last changed, in seconds since 1970, if it was read.
    pub written: Option<i64>,
    /// Whether it has a gateway of its own in every topology. `default` never is.
    pub is_standalone: bool,
    /// Whether it is parked: its operator has asked the gateway of `default` not to serve it. `default` never is.
    pub is_parked: bool,
    /// Whether the container's command is its gateway, in the foreground. For `default`, see [`Situation`].
    pub is_foreground: bool,
    /// How its gateway ended last time.
    pub exit: PriorExit,
    /// Its runtime files, which are stale unless its gateway runs.
    pub stale: Vec<&'static Name>,
    /// The variables that a registration has kept for a new slot.
    pub variables: Variables,
    /// Which of its files was not read because the budget of the pass was used up; the error.
    pub unread: Option<String>,
    /// What the hermes user is refused that its gateway needs.
    pub refusal: Option<String>,
}

/// What the state file of a profile says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is none: the gateway has never been started.
    Absent,
    /// A state.
    Recorded(RecordedState),
    /// There is none, and the container asks for a gateway of `default` at its first boot.
    FirstBoot(Bootstrap),
    /// The file is not usable, so it says nothing; why.
    Unusable(Reason),
    /// It could not be read, so it may say anything; why, with what helps.
    Unreadable(Reason),
}

/// Why `default` starts without a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// The container's command is `gateway run`, as in containers from before s6.
    LegacyCommand,
    /// `HERMES_GATEWAY_BOOTSTRAP_STATE` is `running`.
    Variable(Source),
}

/// The variables that a registration has kept for a new slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variables {
    /// There are none, or the profile has a slot, which keeps its own.
    Nothing,
    /// There are some, which take this number of pages of /run.
    Kept(u64),
    /// They cannot be used; the error.
    Unusable(String),
}

impl Profile {
    /// Returns the profile of which nothing was found but its name.
    pub fn new(name: ProfileName) -> Profile {
        Profile {
            name,
            state: State::Absent,
            written: None,
            is_standalone: false,
            is_parked: false,
            is_foreground: false,
            exit: PriorExit::Unknown,
            stale: Vec::new(),
            variables: Variables::Nothing,
            unread: None,
            refusal: None,
        }
    }

    /// Returns whether its gateway is to run, by its own state.
    pub fn wants(&self) -> bool {
        self.state.wants()
    }

    /// Returns what its gateway will lack, if anything: its state, its variables, another file that was not read, or what the hermes
    /// user is refused.
    pub fn obstacle(&self) -> Option<String> {
        if let State::Unreadable(reason) = &self.state {
            return Some(unusable(reason));
        }
        match &self.variables {
            Variables::Unusable(error) => Some(error.clone()),
            Variables::Nothing | Variables::Kept(_) => self.unread.clone().or_else(|| self.refusal.clone()),
        }
    }
}

impl State {
    /// Returns whether a gateway with this state is to run.
    pub fn wants(&self) -> bool {
        match self {
            State::Recorded(state) => state.starts(),
            State::FirstBoot(_) => true,
            State::Absent | State::Unusable(_) | State::Unreadable(_) => false,
        }
    }

    /// Returns the state that decides, as the log has it; `None` if there is none.
    pub fn word(&self) -> Option<&str> {
        match self {
            State::Recorded(state) => Some(&state.word),
            State::FirstBoot(_) => Some(RUNNING),
            State::Absent | State::Unusable(_) | State::Unreadable(_) => None,
        }
    }

    /// Returns which key decides, and its value.
    pub fn sentence(&self) -> String {
        match self {
            State::Recorded(RecordedState { key, word }) => {
                format!("{} is {}", key.text(), FromVolume(word.as_bytes()))
            }
            State::FirstBoot(_) => format!("{} is {RUNNING}", Key::Desired.text()),
            State::Absent | State::Unusable(_) | State::Unreadable(_) => "there is no state".to_owned(),
        }
    }

    /// Returns whether somebody has asked for the gateway to be stopped.
    pub fn is_stopped_on_request(&self) -> bool {
        matches!(self, State::Recorded(RecordedState { key: Key::Desired, word }) if word == STOPPED)
    }

    /// Returns what a state that starts nothing says, in words.
    pub fn words(&self) -> String {
        match self {
            State::Recorded(RecordedState { key, word }) => match (key, word.as_str()) {
                (Key::Gateway, "starting" | "startup_failed") => {
                    "the last start failed; not retried at boot".to_owned()
                }
                (Key::Gateway, STOPPED) => "its gateway has ended".to_owned(),
                (Key::Desired, STOPPED) => "stopped on request".to_owned(),
                _ => self.sentence(),
            },
            _ => "it was never started".to_owned(),
        }
    }
}

/// Returns the reason for a state file that cannot be used.
pub fn unusable(reason: &Reason) -> String {
    format!("gateway_state.json: {reason}")
}

/// What decides about all profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Who runs the gateways.
    pub gateways: Gateways,
    /// Whether a profile wants to run that `default` serves. Such a profile may have no slot.
    pub default_is_needed: bool,
    /// Whether the container's command is the gateway of `default`, in the foreground, or may be.
    pub is_foreground: bool,
}

/// Who runs the gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateways {
    /// Each profile has its own.
    Own,
    /// Each profile has its own, and multiplexing is switched on: the gateway of `default` serves all, and the others stay down.
    OwnButMultiplexed,
    /// The gateway of `default` serves every profile that is not standalone.
    OfDefault,
}

/// What happens to a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It has a slot and is started.
    Start(StartReason),
    /// It has a slot and stays down.
    Down(DownReason),
    /// It has a slot, which stays down: the gateway of `default` serves it.
    ServedByDefault {
        /// Whether it wants to run.
        wants: bool,
    },
    /// It has no slot.
    NoSlot(NoSlotReason),
    /// It could not be looked at: a slot that is there is left as it is; why.
    Unknown(String),
}

/// Why a gateway is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartReason {
    /// Its state says so.
    State,
    /// Its own state does not say so, but it is that of `default` and serves profiles that want to run.
    Others,
}

/// Why a gateway stays down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// Its state says so, or there is no state that can be used.
    State,
    /// It is the container's command, in the foreground.
    Foreground,
    /// Multiplexing is switched on.
    Multiplexed,
    /// The gateway of `default` would serve it, and it is parked.
    Parked,
}

/// Why a profile has no slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSlotReason {
    /// It can have none; why.
    Unusable(String),
    /// s6-svscan handles no more services.
    Capacity,
}

/// The default state that a decision asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// This one.
    State(DefaultState),
    /// The one that the slot has; down for a new slot. Nobody knows whether the gateway should run.
    Unchanged,
}

impl Wanted {
    /// Returns the default state; `unchanged` if the slot's own is to stay.
    pub fn or(self, unchanged: DefaultState) -> DefaultState {
        match self {
            Wanted::State(default_state) => default_state,
            Wanted::Unchanged => unchanged,
        }
    }
}

/// Returns whether the gateway of `default` serves a profile, unless it is parked.
pub fn is_of_default(profile: &Profile, gateways: Gateways) -> bool {
    gateways == Gateways::OfDefault && !profile.is_standalone && !profile.name.is_root()
}

/// Returns whether the gateway of `default` is to run for a profile.
pub fn needs_default(profile: &Profile, gateways: Gateways) -> bool {
    is_of_default(profile, gateways) && profile.wants() && !profile.is_parked && !profile.is_foreground
}

/// Decides what happens to a profile.
pub fn decide(profile: &Profile, situation: Situation) -> Decision {
    let wants = profile.wants();
    if profile.name.is_root() {
        return match (wants, situation.default_is_needed, situation.is_foreground) {
            (false, false, _) => Decision::Down(DownReason::State),
            (_, _, true) => Decision::Down(DownReason::Foreground),
            (true, _, false) => Decision::Start(StartReason::State),
            (false, true, false) => Decision::Start(StartReason::Others),
        };
    }
    if wants && profile.is_foreground {
        return Decision::Down(DownReason::Foreground);
    }
    match situation.gateways {
        Gateways::OfDefault if profile.is_parked && !profile.is_standalone => {
            Decision::Down(DownReason::Parked)
        }
        Gateways::OfDefault if !profile.is_standalone => Decision::ServedByDefault { wants },
        Gateways::OwnButMultiplexed if wants => Decision::Down(DownReason::Multiplexed),
        _ if wants => Decision::Start(StartReason::State),
        _ => Decision::Down(DownReason::State),
    }
}

impl Decision {
    /// Returns the default state of the slot; `None` if the decision makes no slot.
    pub fn wanted(&self, profile: &Profile) -> Option<Wanted> {
        match self {
            Decision::Start(_) => Some(Wanted::State(DefaultState::Up)),
            Decision::Down(_) | Decision::ServedByDefault { .. } => Some(match profile.state {
                State::Unreadable(_) => Wanted::Unchanged,
                _ => Wanted::State(DefaultState::Down),
            }),
            Decision::NoSlot(_) | Decision::Unknown(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Errno;

    /// Every state that is told apart, and whether it wants to run.
    pub(crate) fn states() -> Vec<(State, bool)> {
        let recorded = |key, word: &str| State::Recorded(RecordedState { key, word: word.to_owned() });
        let mut states = vec![
            (State::Absent, false),
            (State::FirstBoot(Bootstrap::LegacyCommand), true),
            (State::FirstBoot(Bootstrap::Variable(Source::Container)), true),
            (State::Unusable("not JSON".into()), false),
            (State::Unreadable(Errno::ACCESS.into()), false),
        ];
        for (word, desired, gateway) in [
            ("running", true, true),
            ("draining", false, true),
            ("degraded", false, true),
            ("starting", false, false),
            ("startup_failed", false, false),
            ("stopped", false, false),
            ("", false, false),
            ("Running", false, false),
        ] {
            states.push((recorded(Key::Desired, word), desired));
            states.push((recorded(Key::Gateway, word), gateway));
        }
        states
    }

    const GATEWAYS: [Gateways; 3] = [Gateways::Own, Gateways::OwnButMultiplexed, Gateways::OfDefault];

    fn situations() -> Vec<Situation> {
        let mut all = Vec::new();
        for gateways in GATEWAYS {
            for default_is_needed in [false, true] {
                for is_foreground in [false, true] {
                    all.push(Situation { gateways, default_is_needed, is_foreground });
                }
            }
        }
        all
    }

    fn profile(name: &str, state: &State, is_standalone: bool) -> Profile {
        let name = ProfileName::parse(name.as_bytes()).expect("a name");
        Profile { state: state.clone(), is_standalone, ..Profile::new(name) }
    }

    #[test]
    fn only_a_state_of_a_running_gateway_wants_to_run() {
        for (state, wants) in states() {
            assert_eq!(state.wants(), wants, "{state:?}");
        }
    }

    #[test]
    fn default_follows_its_state_its_charges_and_the_foreground() {
        for (state, wants) in states() {
            let default = profile("default", &state, false);
            for situation in situations() {
                let expected = match (wants || situation.default_is_needed, situation.is_foreground) {
                    (false, _) => Decision::Down(DownReason::State),
                    (true, true) => Decision::Down(DownReason::Foreground),
                    (true, false) if wants => Decision::Start(StartReason::State),
                    (true, false) => Decision::Start(StartReason::Others),
                };
                assert_eq!(decide(&default, situation), expected, "{state:?} {situation:?}");
                assert!(!is_of_default(&default, situation.gateways));
                assert!(!needs_default(&default, situation.gateways));
            }
        }
    }

    #[test]
    fn a_named_profile_starts_where_it_has_a_gateway_of_its_own_and_wants_to_run() {
        for (state, wants) in states() {
            for (is_standalone, is_parked) in [(false, false), (false, true), (true, false), (true, true)] {
                let coder = Profile { is_parked, ..profile("coder", &state, is_standalone) };
                for situation in situations() {
                    let expected = match (situation.gateways, is_standalone, wants) {
                        (Gateways::OfDefault, false, _) if is_parked => Decision::Down(DownReason::Parked),
                        (Gateways::OfDefault, false, _) => Decision::ServedByDefault { wants },
                        (_, _, false) => Decision::Down(DownReason::State),
                        (Gateways::OwnButMultiplexed, _, true) => Decision::Down(DownReason::Multiplexed),
                        (Gateways::Own | Gateways::OfDefault, _, true) => Decision::Start(StartReason::State),
                    };
                    assert_eq!(decide(&coder, situation), expected, "{coder:?} {situation:?}");
                    let is_served = matches!(expected, Decision::ServedByDefault { .. });
                    let is_parked = expected == Decision::Down(DownReason::Parked);
                    assert_eq!(is_of_default(&coder, situation.gateways), is_served || is_parked);
                    assert_eq!(needs_default(&coder, situation.gateways), is_served && wants);
                }
            }
        }
    }

    #[test]
    fn a_named_profile_in_the_foreground_stays_down_with_that_reason_if_it_wants_to_run() {
        for (state, wants) in states() {
            for is_standalone in [false, true] {
                let other = profile("coder", &state, is_standalone);
                let coder = Profile { is_foreground: true, ..other.clone() };
                for situation in situations() {
                    let foreground = Decision::Down(DownReason::Foreground);
                    let expected = if wants { foreground } else { decide(&other, situation) };
                    assert_eq!(decide(&coder, situation), expected, "{state:?} {situation:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_but_a_running_state_or_a_charge_of_default_starts_anything() {
        for (state, wants) in states() {
            for name in ["default", "coder"] {
                for situation in situations() {
                    let starts =
                        matches!(decide(&profile(name, &state, false), situation), Decision::Start(_));
                    let may = wants || (name == "default" && situation.default_is_needed);
                    assert!(!starts || may, "{name} {state:?} {situation:?}");
                }
            }
        }
    }

    #[test]
    fn a_slot_of_an_unreadable_state_keeps_its_default_state_unless_it_starts() {
        for (state, _) in states() {
            let is_unreadable = matches!(state, State::Unreadable(_));
            let down = if is_unreadable { Wanted::Unchanged } else { Wanted::State(DefaultState::Down) };
            let coder = profile("coder", &state, false);
            for (decision, wanted) in [
                (Decision::Start(StartReason::Others), Some(Wanted::State(DefaultState::Up))),
                (Decision::Down(DownReason::State), Some(down)),
                (Decision::ServedByDefault { wants: false }, Some(down)),
                (Decision::NoSlot(NoSlotReason::Capacity), None),
                (Decision::Unknown("why".to_owned()), None),
            ] {
                assert_eq!(decision.wanted(&coder), wanted, "{state:?} {decision:?}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_said_in_the_order_of_its_weight() {
        let mut coder = profile("coder", &State::Absent, false);
        assert_eq!(coder.obstacle(), None);
        coder.refusal = Some("refused".to_owned());
        assert_eq!(coder.obstacle().as_deref(), Some("refused"));
        coder.variables = Variables::Kept(1);
        assert_eq!(coder.obstacle().as_deref(), Some("refused"));
        coder.variables = Variables::Unusable("variables".to_owned());
        assert_eq!(coder.obstacle().as_deref(), Some("variables"));
        coder.state = State::Unusable("not JSON".into());
        assert_eq!(coder.obstacle().as_deref(), Some("variables"));
        coder.state = State::Unreadable(Errno::ACCESS.into());
        assert_eq!(coder.obstacle().as_deref(), Some("gateway_state.json: Permission denied"));
    }

    #[test]
    fn each_state_has_its_words() {
        let recorded = |key, word: &str| State::Recorded(RecordedState { key, word: word.to_owned() });
        for (state, words, is_stopped) in [
            (State::Absent, "it was never started", false),
            (State::Unusable("not JSON".into()), "it was never started", false),
            (recorded(Key::Gateway, "starting"), "the last start failed; not retried at boot", false),
            (recorded(Key::Gateway, "startup_failed"), "the last start failed; not retried at boot", false),
            (recorded(Key::Desired, "starting"), "desired_state is starting", false),
            (recorded(Key::Gateway, "stopped"), "its gateway has ended", false),
            (recorded(Key::Desired, "stopped"), "stopped on request", true),
            (recorded(Key::Desired, "a b"), "desired_state is \"a\\u0020b\"", false),
            (recorded(Key::Gateway, "odd"), "gateway_state is odd", false),
        ] {
            assert_eq!(state.words(), words, "{state:?}");
            assert_eq!(state.is_stopped_on_request(), is_stopped, "{state:?}");
        }
    }
}
