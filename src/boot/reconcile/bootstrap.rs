//! What the container asks for beside the state files: a gateway of `default` at the first boot, or one in the foreground.

use super::decide::Bootstrap;
use crate::output::{Console, Context, Error, Result, json};
use crate::settings::role::{ContainerCommand, GatewayRun};
use crate::settings::{Settings, Source, YES};
use crate::sys::staged::Attributes;
use crate::volume::directory_lock::Held;
use crate::volume::state::{self, RUNNING};

/// What the container asks for about the gateway of `default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    /// How the container's command runs that gateway; `None` if it is another command, or could not be found out.
    command: Option<GatewayRun>,
    /// The source of `HERMES_GATEWAY_BOOTSTRAP_STATE`, if it is `running`: a gateway under s6 is asked for.
    variable: Option<Source>,
}

impl Request {
    fn read(settings: &Settings, command: &ContainerCommand, console: &Console) -> Result<Request> {
        let variable = settings.lookup.get("HERMES_GATEWAY_BOOTSTRAP_STATE")?;
        let variable = variable.filter(|state| state.value == RUNNING).map(|state| state.source);
        Ok(Request { command: gateway_run(settings, command, console)?, variable })
    }

    fn bootstrap(self) -> Option<Bootstrap> {
        match self.command {
            Some(GatewayRun::Supervised) => Some(Bootstrap::LegacyCommand),
            Some(GatewayRun::Foreground) | None => self.variable.map(Bootstrap::Variable),
        }
    }

    fn is_foreground(self) -> bool {
        self.command == Some(GatewayRun::Foreground) && self.variable.is_none()
    }
}

/// Returns how the container's command runs the gateway of `default`: `HERMES_GATEWAY_NO_SUPERVISE` makes it a foreground one, too.
fn gateway_run(
    settings: &Settings,
    command: &ContainerCommand,
    console: &Console,
) -> Result<Option<GatewayRun>> {
    let found = command.gateway_run().unwrap_or_else(|error| {
        console.failed(&error);
        None
    });
    if found.is_none() {
        return Ok(None);
    }
    let unsupervised = settings.lookup.flag("HERMES_GATEWAY_NO_SUPERVISE", YES, console)?;
    Ok(if unsupervised.is_some_and(|flag| flag.value) { Some(GatewayRun::Foreground) } else { found })
}

/// Returns why `default` starts without a state file, if it does.
pub fn find(settings: &Settings, command: &ContainerCommand, console: &Console) -> Result<Option<Bootstrap>> {
    Ok(Request::read(settings, command, console)?.bootstrap())
}

/// Returns whether the gateway of `default` runs in the foreground, as the container's command, and no other one is asked for. True
/// where that cannot be found out: a second gateway is worse than none.
pub fn is_foreground(settings: &Settings, command: &ContainerCommand, console: &Console) -> bool {
    Request::read(settings, command, console).map_or_else(
        |error: Error| {
            console.failed(&error);
            true
        },
        Request::is_foreground,
    )
}

/// Writes the state of a first boot in one step, so that later boots find it. `now` is in seconds since 1970, `home` is `HERMES_HOME`.
pub fn write(bootstrap: Bootstrap, now: i64, home: &Held, attributes: Attributes<'_>) -> Result<()> {
    let from = match bootstrap {
        Bootstrap::LegacyCommand => Some(("migrated_from", "legacy-container-cmd".into())),
        Bootstrap::Variable(_) => None,
    };
    let states =
        [("gateway_state", RUNNING.into()), ("desired_state", RUNNING.into()), ("timestamp", now.into())];
    let text = json::object(states.into_iter().chain(from)) + "\n";
    home.replace(&state::STATE, text.as_bytes(), attributes).context("write", &state::STATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_and_variable_together_decide_about_the_first_boot_and_the_foreground() {
        let of_variable = Some(Bootstrap::Variable(Source::Container));
        for (command, variable, bootstrap, is_foreground) in [
            (None, false, None, false),
            (None, true, of_variable, false),
            (Some(GatewayRun::Supervised), false, Some(Bootstrap::LegacyCommand), false),
            (Some(GatewayRun::Supervised), true, Some(Bootstrap::LegacyCommand), false),
            (Some(GatewayRun::Foreground), false, None, true),
            (Some(GatewayRun::Foreground), true, of_variable, false),
        ] {
            let request = Request { command, variable: variable.then_some(Source::Container) };
            assert_eq!(request.bootstrap(), bootstrap, "{request:?}");
            assert_eq!(request.is_foreground(), is_foreground, "{request:?}");
        }
    }
}
