//! What the pass does for one profile.

use crate::output::Console;
use crate::output::Error;
use crate::output::escape::FromVolume;
use crate::s6::slot::SlotState;
use crate::s6::{DefaultState, ProfileName};
use crate::sys::{Name, Reason};
use crate::volume::exit_ledger::PriorExit;
use crate::volume::state::{Key, Prior, STOPPED};

/// Why the root profile stays down although it wants to run.
pub const FOREGROUND: &str = "the container's command, gateway run, is this gateway, in the foreground";

/// What happens to one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has a slot and is started.
    Started,
    /// It has a slot and stays down.
    Registered,
    /// It can have no slot; the reason.
    Skipped(String),
    /// It should have a slot, which could not be made or looked at; the reason.
    Failed(String),
}

impl Verdict {
    /// Makes the verdict on a profile whose slot could not be made or looked at, and reports it.
    pub fn failed(error: Error, console: &Console) -> Verdict {
        Verdict::Failed(console.reported(&error))
    }

    /// Returns the word in the log.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Started => "started",
            Verdict::Registered => "registered",
            Verdict::Skipped(_) => "skipped",
            Verdict::Failed(_) => "failed",
        }
    }

    /// Returns why it is neither started nor registered.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Started | Verdict::Registered => None,
            Verdict::Skipped(why) | Verdict::Failed(why) => Some(why),
        }
    }
}

/// What the pass does for one profile.
pub struct Action {
    /// The profile's name as the volume has it.
    pub profile: Vec<u8>,
    /// The profile's name; `None` if it can have no slot.
    pub name: Option<ProfileName>,
    /// What happens.
    pub verdict: Verdict,
    /// Its state.
    pub prior: Prior,
    /// Why its state file is not usable: an errno if it could not be read.
    pub trouble: Option<Reason>,
    /// What its gateway will lack: the hermes user, as whom it runs, is refused something, or its variables cannot be used.
    pub obstacle: Option<String>,
    /// Whether a registration has kept variables for a new slot.
    pub has_variables: bool,
    /// Whether it has a gateway of its own in every topology.
    pub standalone: bool,
    /// Whether it wants to run, and its gateway is the container's command.
    pub foreground: bool,
    /// Whether the gateway of `default` serves it.
    pub served: bool,
    /// Whether it wants to run and the gateway of `default` starts for it; of `default`, whether it starts for others.
    pub folded: bool,
    /// How its gateway ended last time.
    pub exit: PriorExit,
    /// What the scan directory has; `None` if that could not be found out. It is then left as it is.
    pub present: Option<SlotState>,
    /// Its runtime files that are stale unless its gateway runs.
    pub stale: Vec<&'static Name>,
    /// Whether its slot keeps the gateway down.
    pub down: bool,
    /// Whether its slot is left as it is: another program has made it, and it is supervised.
    pub left: bool,
    /// Whether anything is, or would be, written.
    pub changed: bool,
}

impl Action {
    /// Makes the action of a name: no slot is looked at yet.
    pub fn new(profile: &[u8], name: Option<ProfileName>, verdict: Verdict) -> Action {
        Action {
            profile: profile.to_vec(),
            name,
            verdict,
            prior: Prior::default(),
            trouble: None,
            obstacle: None,
            has_variables: false,
            standalone: false,
            foreground: false,
            served: false,
            folded: false,
            exit: PriorExit::Unknown,
            present: None,
            stale: Vec::new(),
            down: true,
            left: false,
            changed: false,
        }
    }

    /// Takes the slot away from it, for this reason.
    pub fn turn_away(&mut self, why: &str) {
        self.name = None;
        self.verdict = Verdict::Failed(why.to_owned());
    }

    /// Returns the wanted state of the slot.
    pub fn want(&self) -> DefaultState {
        if self.down { DefaultState::Down } else { DefaultState::Up }
    }

    /// Returns whether the slot is not, or may not be, what the profile asks for.
    pub fn has_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_)) || matches!(self.trouble, Some(Reason::Errno(_)))
    }

    /// Returns why it has no slot, why its state did not count, or why its gateway will fail.
    pub fn reason(&self) -> Option<String> {
        if let Some(why) = self.verdict.reason().or(self.obstacle.as_deref()) {
            return Some(why.to_owned());
        }
        if let Some(trouble) = &self.trouble {
            return Some(unusable(trouble));
        }
        self.foreground.then(|| FOREGROUND.to_owned())
    }
}

/// Returns the reason for a state file that is not usable.
pub fn unusable(trouble: &Reason) -> String {
    format!("gateway_state.json: {trouble}")
}

/// Returns what a state says that starts nothing, in words.
pub fn words(prior: &Prior) -> String {
    let word = match (prior.key, prior.word.as_deref().unwrap_or_default()) {
        (Key::Neither, _) => "it was never started",
        (Key::Gateway, "starting" | "startup_failed") => "the last start failed; not retried at boot",
        (Key::Gateway, STOPPED) => "its gateway has ended",
        (Key::Desired, STOPPED) => "stopped on request",
        (key, word) => return format!("{} is {}", key.text(), FromVolume(word.as_bytes())),
    };
    word.to_owned()
}
