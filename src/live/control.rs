//! `start`, `stop`, `restart`: the operator's request goes to s6 and, on the volume, to the next boot.

use std::time::Duration;

use super::record::Write;
use super::supervised::{DOWN, Down, Gateway};
use super::{
    Live, SUPERVISION, profile, record, register, require_gateway_container, served, slot, with_live,
};
use crate::cli::{Command, Options};
use crate::output::Console;
use crate::output::{Error, Result, exit};
use crate::s6::control;
use crate::s6::{DefaultState, ProfileName, supervision};
use crate::sys::Dir;
use crate::volume::state::{RUNNING, STOPPED};

/// Runs one of the three commands for every name. Returns the exit code of the first that failed, else 0.
pub fn run(command: Command, options: &Options, console: &Console) -> u8 {
    let mut profiles = Vec::new();
    for operand in &options.operands {
        match profile(operand) {
            Ok(profile) => profiles.push(profile),
            Err(error) => return console.fatal(&error),
        }
    }
    with_live(options, console, &|live| {
        if command != Command::Stop {
            require_gateway_container(live, options)?;
        }
        let forecasts = served::find(live, command, &profiles)?;
        let mut code = 0;
        for profile in &profiles {
            let done = served::refuse(live, command, profile, &forecasts)
                .and_then(|()| carry_out(live, command, profile, options.wait));
            if let Err(error) = done {
                console.warn(format_args!("{error}"));
                if code == 0 {
                    code = error.code();
                }
            }
        }
        Ok(code)
    })
}

fn carry_out(live: &Live<'_>, command: Command, profile: &ProfileName, wait: Option<Duration>) -> Result<()> {
    let found = find(live, command, profile)?;
    let state = if command == Command::Stop { STOPPED } else { RUNNING };
    // It is written before, so that nothing is lost if this process is killed, and so that a new gateway finds it. A gateway that
    // goes down may write its own view of the file over it, so it is written again when that one is gone.
    let mut kept = record::keep(live, profile, state, Write::Always);
    let mut done = Ok(());
    if let Some(slot) = found {
        let gateway = Gateway { live, profile, slot };
        done = act(&gateway, command, wait, &mut |state| {
            kept = record::keep(live, profile, state, Write::IfDifferent);
        });
    } else {
        live.console.note(format_args!("{} has no slot: the next boot keeps it down", profile.text()));
    }
    let Err(error) = kept else { return done };
    live.console.failed(&error);
    done?;
    let reason = format!("the next boot may not know that it is {state}");
    Err(Error::new("keep the request for", profile.text(), reason).with_code(exit::INCOMPLETE))
}

/// Has s6 do it. `keep` keeps the request again, for the state that is named.
fn act(
    gateway: &Gateway<'_>,
    command: Command,
    wait: Option<Duration>,
    keep: &mut dyn FnMut(&str),
) -> Result<()> {
    if command != Command::Start {
        // `s6-svc -r` would leave the gateway down: it ends with 0, after which its `finish` returns 125.
        let limit = wait.unwrap_or(DOWN);
        match gateway.bring_down(limit)? {
            Down::Ended => keep(if command == Command::Stop { STOPPED } else { RUNNING }),
            Down::Newer => (),
            Down::Still => {
                // A gateway that does not stop is left up, and comes up again if it is killed.
                let order =
                    if command == Command::Restart { control::svc("u", &gateway.slot) } else { Ok(()) };
                return order.and_then(|()| Err(gateway.still_up(limit)));
            }
        }
    }
    if command != Command::Stop {
        return gateway.bring_up(wait, &mut || keep(RUNNING));
    }
    if gateway.is_wanted()? {
        // Another command has started it meanwhile, and may have kept its request before this one did.
        keep(RUNNING);
    }
    Ok(())
}

/// Opens the profile's slot, which is supervised then. `start` registers a profile that has none, for example one that was made
/// from the host. `None`: it has no slot, and to `stop` it needs none.
fn find(live: &Live<'_>, command: Command, profile: &ProfileName) -> Result<Option<Dir>> {
    if let Some(slot) = slot(live, profile)? {
        if supervision::is_held(&slot).unwrap_or(true) {
            return Ok(Some(slot));
        }
        // A pass has made it, and s6-svscan has not scanned since, or has not taken it.
        return register::announce(live, profile).map(Some);
    }
    let has_profile = record::has_profile(live.settings, profile)?;
    match command {
        Command::Stop if has_profile => return Ok(None),
        Command::Start if has_profile => {
            // False: another process was faster.
            register::make(live, profile, DefaultState::Down, &[])?;
            return register::wait_for_supervision(live, profile, SUPERVISION).map(Some);
        }
        _ => (),
    }
    let (name, program) = (profile.text(), live.console.program());
    let how = if has_profile {
        format!("its profile has no slot: {program} start {name}")
    } else {
        format!("{program} register {name} makes one; {program} status shows all")
    };
    Err(Error::new("find", profile.slot(), format!("no such gateway '{name}'; {how}"))
        .with_code(exit::INCOMPLETE))
}
