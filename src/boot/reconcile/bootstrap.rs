//! What the container asks for beside the state files: a gateway of `default` at the first boot, or one in the foreground.

use std::os::unix::ffi::OsStrExt;

use super::decide::Bootstrap;
use crate::output::escape::Shown;
use crate::output::{Console, Context, Error, Result, json};
use crate::s6::ProfileName;
use crate::settings::role::GatewayRun;
use crate::settings::{Settings, Source, YES, written};
use crate::sys::Name;
use crate::sys::staged::Attributes;
use crate::topology::as_gateway;
use crate::volume::Home;
use crate::volume::directory_lock::Held;
use crate::volume::state::{self, RUNNING};

/// The variable of a first boot.
const BOOTSTRAP: &str = "HERMES_GATEWAY_BOOTSTRAP_STATE";
/// The variable that makes the container's command `gateway run` the gateway itself.
const NO_SUPERVISE: &str = "HERMES_GATEWAY_NO_SUPERVISE";
/// What `hermes profile use` leaves in `HERMES_HOME`, and the largest one that is read, in bytes.
static ACTIVE: Name = Name::fixed(c"active_profile");
const ACTIVE_CAP: u64 = 4 << 10;

/// What the container asks for about the gateway of `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    /// How the container's command runs that gateway; `None` if it is another command, or could not be found out.
    command: Option<GatewayRun>,
    /// The source of `HERMES_GATEWAY_BOOTSTRAP_STATE`, if it is `running`: a gateway under s6 is asked for.
    variable: Option<Source>,
}

impl Request {
    fn read(settings: &Settings, console: &Console) -> Result<Request> {
        let variable = settings.lookup.get(BOOTSTRAP)?;
        if let Some(state) = variable.as_ref().map(|state| state.value.as_bytes())
            && state != RUNNING.as_bytes()
            && written::meant(state).eq_ignore_ascii_case(RUNNING.as_bytes())
        {
            let shown = Shown(state);
            console.warn(format_args!("{BOOTSTRAP}={shown} is not {RUNNING}: treated as unset"));
        }
        let variable = variable.filter(|state| state.value == RUNNING).map(|state| state.source);
        Ok(Request { command: gateway_run(settings, console)?, variable })
    }

    /// The variable goes first: the image writes its state file before the boot pass looks at the container's command.
    fn bootstrap(self) -> Option<Bootstrap> {
        let supervised = self.command == Some(GatewayRun::Supervised);
        self.variable.map(Bootstrap::Variable).or(supervised.then_some(Bootstrap::LegacyCommand))
    }
}

/// Returns how the container's command runs the gateway of `default`: `HERMES_GATEWAY_NO_SUPERVISE` makes it a foreground one, too.
fn gateway_run(settings: &Settings, console: &Console) -> Result<Option<GatewayRun>> {
    let found = settings.command.gateway_run().unwrap_or_else(|error| {
        console.failed(&error);
        None
    });
    if found.is_none() {
        return Ok(None);
    }
    let unsupervised = settings.lookup.flag(NO_SUPERVISE, YES, console)?;
    Ok(if unsupervised.is_some_and(|flag| flag.value) { Some(GatewayRun::Foreground) } else { found })
}

/// Returns why `default` starts without a state file, if it does.
pub fn find(settings: &Settings, console: &Console) -> Result<Option<Bootstrap>> {
    Ok(Request::read(settings, console)?.bootstrap())
}

/// Returns the profile whose gateway runs in the foreground, as the container's command, if one does. That of `default` does not if
/// another one is asked for. A switch that cannot be read counts so that it does: a second gateway is worse than none. A command that cannot
/// be found out is reported, and is none.
pub fn foreground(settings: &Settings, home: Option<&Home>, console: &Console) -> Option<String> {
    fn reported<T>(console: &Console, instead: T) -> impl FnOnce(Error) -> T {
        |error| {
            console.failed(&error);
            instead
        }
    }
    let run = settings.command.run_command().unwrap_or_else(reported(console, None))?;
    let is_unsupervised = || {
        let flag = settings.lookup.flag(NO_SUPERVISE, YES, console);
        flag.map_or_else(reported(console, true), |flag| flag.is_some_and(|flag| flag.value))
    };
    if !run.is_alone && !is_unsupervised() {
        return None;
    }
    let root = || ProfileName::root().text().to_owned();
    let profile = run.profile.or_else(|| active_profile(settings, home?, console)).unwrap_or_else(root);
    let is_other_asked_for = || {
        let variable = settings.lookup.get(BOOTSTRAP);
        variable
            .map_or_else(reported(console, false), |state| state.is_some_and(|state| state.value == RUNNING))
    };
    (profile != root() || !is_other_asked_for()).then_some(profile)
}

/// Returns the profile that `hermes profile use` has made the one of a command without an option, as the hermes user finds it. In a
/// `HERMES_HOME` that is a named profile's itself, the command is always that one's.
fn active_profile(settings: &Settings, home: &Home, console: &Console) -> Option<String> {
    if settings.home.value.parent().is_some_and(|parent| parent.ends_with("profiles")) {
        return None;
    }
    let text = as_gateway::find(Some(settings), home, &ACTIVE, ACTIVE_CAP).unwrap_or_else(|reason| {
        console.failed(&Error::new("read", &ACTIVE, reason));
        None
    })?;
    let Ok(text) = String::from_utf8(text) else {
        console.failed(&Error::new("use", &ACTIVE, "not UTF-8"));
        return None;
    };
    let name = text.trim_start_matches('\u{feff}').trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Writes the state of a first boot in one step, so that later boots find it. `now` is in seconds since 1970, `home` is `HERMES_HOME`.
///
/// It is what Hermes Agent's image writes for the variable, and its boot pass for the command. A member more would not be harmless: a
/// gateway of 0.21.4 or later writes `desired_state` back as it was at its start, and so undoes a stop of its client's.
pub fn write(bootstrap: Bootstrap, now: i64, home: &Held, attributes: Attributes<'_>) -> Result<()> {
    let state = |name| (name, RUNNING.into());
    let text = match bootstrap {
        Bootstrap::Variable(_) => json::object([state("gateway_state")]),
        Bootstrap::LegacyCommand => json::object([
            state("gateway_state"),
            state("desired_state"),
            ("timestamp", now.into()),
            ("migrated_from", "legacy-container-cmd".into()),
        ]),
    };
    home.replace(&state::STATE, (text + "\n").as_bytes(), attributes).context("write", &state::STATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_and_variable_together_decide_about_the_first_boot() {
        let of_variable = Some(Bootstrap::Variable(Source::Container));
        for (command, variable, bootstrap) in [
            (None, false, None),
            (None, true, of_variable),
            (Some(GatewayRun::Supervised), false, Some(Bootstrap::LegacyCommand)),
            (Some(GatewayRun::Supervised), true, of_variable),
            (Some(GatewayRun::Foreground), false, None),
            (Some(GatewayRun::Foreground), true, of_variable),
        ] {
            let request = Request { command, variable: variable.then_some(Source::Container) };
            assert_eq!(request.bootstrap(), bootstrap, "{request:?}");
        }
    }
}
