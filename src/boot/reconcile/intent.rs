//! What decides about gateways besides their own state files: multiplexing, a first boot, a container from before s6.

use std::ffi::OsString;

use crate::output::Console;
use crate::output::{Error, Result};
use crate::s6::ProfileName;
use crate::settings::role::ContainerCommand;
use crate::settings::topology::TopologyChoice;
use crate::settings::{Setting, Settings, Source, YES, YES_OR_ON};
use crate::sys::file::Attributes;
use crate::sys::{Errno, Name, file};
use crate::volume::Home;
use crate::volume::config::{self, Answer};
use crate::volume::state::{self, Key, Prior, RUNNING};

pub static CONFIG: Name = Name::fixed(c"config.yaml");

/// Why the root profile starts without a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrap {
    /// The container's command is `gateway run`, as in containers from before s6.
    LegacyCommand,
    /// `HERMES_GATEWAY_BOOTSTRAP_STATE` is `running`.
    Variable(Source),
}

/// Whether the root gateway serves all profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiplexing {
    /// Whether it does.
    pub on: bool,
    /// What decided.
    pub why: String,
}

/// What decides besides the state files.
pub struct Intent {
    /// Whether named slots stay down where each profile has a gateway of its own. `None` if that is not asked, because the topology
    /// is set to multiplex.
    pub multiplex: Option<Multiplexing>,
    /// Why the root profile starts without a state file, if it does.
    pub bootstrap: Option<Bootstrap>,
    /// Why nobody knows whether the root profile has a state file.
    pub unseen: Option<Errno>,
}

/// Reads it from the environment, the container's command and `HERMES_HOME`.
pub fn gather(
    settings: &Settings,
    command: &ContainerCommand,
    home: Option<&Home>,
    console: &Console,
) -> Result<Intent> {
    let multiplex = match settings.topology.value {
        TopologyChoice::Multiplex => None,
        _ => Some(multiplexing(settings, home, console)?),
    };
    // Any entry of that name is a state, also one that is not usable.
    let is_new = home.map_or(Ok(true), |home| home.dir.has(&state::STATE).map(|has| !has));
    let bootstrap = if is_new == Ok(true) { bootstrap(settings, command, console)? } else { None };
    Ok(Intent { multiplex, bootstrap, unseen: is_new.err() })
}

impl Intent {
    /// Returns whether multiplexing is switched on.
    pub fn multiplexes(&self) -> bool {
        self.multiplex.as_ref().is_some_and(|multiplex| multiplex.on)
    }

    /// Returns the state of a profile without a state file.
    pub fn bootstrap_state(&self, profile: &ProfileName) -> Option<Prior> {
        let running = || Prior { word: Some(RUNNING.to_owned()), key: Key::Desired };
        self.bootstrap.filter(|_| profile.is_root()).map(|_| running())
    }
}

fn multiplexing(settings: &Settings, home: Option<&Home>, console: &Console) -> Result<Multiplexing> {
    if let Some(flag) = settings.lookup.flag("GATEWAY_MULTIPLEX_PROFILES", YES_OR_ON, console)? {
        let why = format!("GATEWAY_MULTIPLEX_PROFILES ({})", flag.source.text());
        return Ok(Multiplexing { on: flag.value, why });
    }
    let off = |why: &str| Ok(Multiplexing { on: false, why: why.to_owned() });
    let Some(home) = home else { return off("default") };
    let text = match file::find(&home.dir, &CONFIG, config::CAP) {
        Ok(Some(text)) => text,
        Ok(None) => return off("default"),
        Err(reason) => {
            console.failed(&Error::new("read", &CONFIG, reason));
            return off("config.yaml cannot be read");
        }
    };
    match config::multiplex(&text) {
        Answer::Absent => off("default"),
        Answer::True { line } => Ok(Multiplexing { on: true, why: format!("config.yaml line {line}") }),
        Answer::False { line } => off(&format!("config.yaml line {line}")),
        Answer::Unsure { line, why } => {
            let reason =
                format!("line {line}: {why}; taken as off: set GATEWAY_MULTIPLEX_PROFILES to decide");
            console.failed(&Error::new("read multiplex_profiles for certain from", &CONFIG, reason));
            off("config.yaml cannot be read for certain")
        }
    }
}

/// Returns whether the container's command, if it is `gateway run`, leaves the gateway of `default` to s6. Otherwise it is that
/// gateway, in the foreground.
fn gateway_run(settings: &Settings, command: &ContainerCommand, console: &Console) -> Result<Option<bool>> {
    let found = command.gateway_run().unwrap_or_else(|error| {
        console.failed(&error);
        None
    });
    let Some(supervised) = found else { return Ok(None) };
    let unsupervised = settings.lookup.flag("HERMES_GATEWAY_NO_SUPERVISE", YES, console)?;
    Ok(Some(supervised && unsupervised.is_none_or(|flag| !flag.value)))
}

/// Returns `HERMES_GATEWAY_BOOTSTRAP_STATE` if it is `running`: a gateway under s6 is asked for.
fn asked_to_run(settings: &Settings) -> Result<Option<Setting<OsString>>> {
    let variable = settings.lookup.get("HERMES_GATEWAY_BOOTSTRAP_STATE")?;
    Ok(variable.filter(|state| state.value == RUNNING))
}

/// Returns whether the gateway of `default` runs in the foreground, as the container's command, and no other one is asked for. Where
/// that cannot be found out, it may.
pub fn is_foreground(settings: &Settings, command: &ContainerCommand, console: &Console) -> bool {
    let look = || {
        let is_command = gateway_run(settings, command, console)? == Some(false);
        Ok(is_command && asked_to_run(settings)?.is_none())
    };
    look().unwrap_or_else(|error: Error| {
        console.failed(&error);
        true
    })
}

fn bootstrap(
    settings: &Settings,
    command: &ContainerCommand,
    console: &Console,
) -> Result<Option<Bootstrap>> {
    let variable = asked_to_run(settings)?;
    if gateway_run(settings, command, console)? == Some(true) {
        return Ok(Some(Bootstrap::LegacyCommand));
    }
    Ok(variable.map(|state| Bootstrap::Variable(state.source)))
}

/// Writes the state of a first boot in one step, so that later boots find it. `now` is in seconds since 1970.
pub fn write_bootstrap(
    bootstrap: Bootstrap,
    now: i64,
    home: &Home,
    attributes: Attributes<'_>,
) -> Result<()> {
    static STAGING: Name = Name::fixed(c".gateway_state.json.tmp");
    let from = match bootstrap {
        Bootstrap::LegacyCommand => ", \"migrated_from\": \"legacy-container-cmd\"",
        Bootstrap::Variable(_) => "",
    };
    let states = format!("\"gateway_state\": \"{RUNNING}\", \"desired_state\": \"{RUNNING}\"");
    let text = format!("{{{states}, \"timestamp\": {now}{from}}}\n");
    file::replace(&home.dir, &STAGING, &state::STATE, text.as_bytes(), attributes)
        .map_err(|errno| Error::new("write", &state::STATE, errno))
}
