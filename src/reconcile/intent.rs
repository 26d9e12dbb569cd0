//! What is wanted of gateways beyond their own state files: multiplexing, a first boot, a container from before s6.

use crate::console::Console;
use crate::error::{Error, Reason, Result};
use crate::role::ContainerCommand;
use crate::settings::{Settings, Source, YES, YES_OR_ON};
use crate::slot::ProfileName;
use crate::sys::{Errno, Name, file, keep};
use crate::volume::Home;
use crate::volume::config::{self, Multiplex};
use crate::volume::state::{self, Key, Prior, RUNNING};

static CONFIG: Name = Name::fixed(c"config.yaml");

/// Why the root profile runs though it has no state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// The container's command is `gateway run`, as it was before s6.
    LegacyCommand,
    /// HERMES_GATEWAY_BOOTSTRAP_STATE.
    Bootstrap(Source),
}

/// Whether the root gateway serves all profiles, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multiplexing {
    /// Whether it does.
    pub on: bool,
    /// Who says so.
    pub why: &'static str,
}

/// What is wanted.
pub struct Intent {
    /// Whether named slots stay down.
    pub multiplex: Multiplexing,
    /// Why the root profile starts without a state file, if it does.
    pub seed: Option<Seed>,
}

/// Finds it out from the environment, the container's command and HERMES_HOME.
pub fn gather(
    settings: &Settings,
    command: &ContainerCommand<'_>,
    home: Option<&Home>,
    console: &Console,
) -> Intent {
    Intent { multiplex: multiplexing(settings, home, console), seed: seed(settings, command, home, console) }
}

impl Intent {
    /// Whether this profile's gateway stays down whatever its state says: two processes would own each bot.
    pub fn holds_down(&self, profile: &ProfileName) -> bool {
        self.multiplex.on && !profile.is_root()
    }

    /// The state of a profile that has no state file.
    pub fn seeded(&self, profile: &ProfileName) -> Option<Prior> {
        let running = || Prior { word: Some(RUNNING), key: Key::Desired };
        self.seed.filter(|_| profile.is_root()).map(|_| running())
    }
}

fn multiplexing(settings: &Settings, home: Option<&Home>, console: &Console) -> Multiplexing {
    if let Some(flag) = settings.lookup.flag("GATEWAY_MULTIPLEX_PROFILES", YES_OR_ON, console) {
        let why = keep::text(&["GATEWAY_MULTIPLEX_PROFILES (", flag.source.text(), ")"]);
        return Multiplexing { on: flag.value, why };
    }
    let off = |why| Multiplexing { on: false, why };
    let Some(home) = home else { return off("default") };
    let text = match file::read(&home.dir, &CONFIG, config::CAP) {
        Ok(text) => text,
        Err(Reason::Errno(Errno::NOENT)) => return off("default"),
        Err(reason) => {
            console.warn(&Error::new("read", CONFIG, reason));
            return off("config.yaml cannot be read");
        }
    };
    match config::multiplex(&text) {
        Multiplex::Absent => off("default"),
        Multiplex::On { line } => Multiplexing { on: true, ..off(format!("config.yaml line {line}").leak()) },
        Multiplex::Off { line } => off(format!("config.yaml line {line}").leak()),
        Multiplex::Unsure { line, why } => {
            let reason =
                format!("line {line}: {why}; taken as off: set GATEWAY_MULTIPLEX_PROFILES to decide");
            console.warn(&Error::new("read multiplex_profiles for certain from", CONFIG, reason));
            off("config.yaml cannot be read for certain")
        }
    }
}

fn seed(
    settings: &Settings,
    command: &ContainerCommand<'_>,
    home: Option<&Home>,
    console: &Console,
) -> Option<Seed> {
    let bootstrap = settings
        .lookup
        .get("HERMES_GATEWAY_BOOTSTRAP_STATE")
        .filter(|state| state.value == RUNNING.as_bytes());
    let legacy = command.is_gateway_run();
    // Anything under that name is a state; also one that cannot be used.
    let is_new = || home.is_none_or(|home| home.dir.meta(&state::STATE) == Err(Errno::NOENT));
    if bootstrap.is_none() && !legacy || !is_new() {
        return None;
    }
    if legacy {
        let unsupervised = settings.lookup.flag("HERMES_GATEWAY_NO_SUPERVISE", YES, console);
        if !unsupervised.is_some_and(|flag| flag.value) {
            return Some(Seed::LegacyCommand);
        }
    }
    bootstrap.map(|state| Seed::Bootstrap(state.source))
}

/// Writes the state that was seeded, so that it holds from now on: in one step, and the owner's.
pub fn write_seed(seed: Seed, now: i64, home: &Home, make: file::Make<'_>) -> Result<()> {
    static STAGING: Name = Name::fixed(c".gateway_state.json.tmp");
    let from = match seed {
        Seed::LegacyCommand => ", \"migrated_from\": \"legacy-container-cmd\"",
        Seed::Bootstrap(_) => "",
    };
    let states = format!("\"gateway_state\": \"{RUNNING}\", \"desired_state\": \"{RUNNING}\"");
    let text = format!("{{{states}, \"timestamp\": {now}{from}}}\n");
    file::replace(&home.dir, &STAGING, &home.dir, &state::STATE, text.as_bytes(), make)
        .map_err(|errno| Error::new("write", state::STATE, errno))
}
