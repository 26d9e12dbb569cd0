//! `start`, `stop`, `restart`: the operator's request goes to s6 and, on the volume, to the next boot.

use std::ffi::OsString;
use std::time::Duration;

use super::record::Write;
use super::supervised::{DOWN, Down, Gateway};
use super::{
    Live, SUPERVISION, profile, record, register, require_gateway_container, served, slot, with_live,
};
use crate::output::Console;
use crate::output::{Error, Result, exit};
use crate::s6::control;
use crate::s6::{DefaultState, ProfileName, supervision};
use crate::settings::Overrides;
use crate::sys::Dir;
use crate::volume::state::{RUNNING, STOPPED};

/// The arguments of `start`, `stop` and `restart`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// The command.
    pub verb: Verb,
    /// The profiles' names.
    pub profiles: Vec<OsString>,
    /// How long to wait for the state that is asked for; `None` for the default.
    pub wait: Option<Duration>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The gateway is to be up.
    Start,
    /// The gateway is to be down.
    Stop,
    /// The gateway is to be down, then up.
    Restart,
}

impl Verb {
    /// Returns the command's name.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
        }
    }
}

/// Runs one of the three commands for every name. Returns the exit code of the first that failed, else 0.
pub fn run(args: &Args, console: &Console) -> u8 {
    let mut profiles = Vec::new();
    let verb = args.verb;
    for name in &args.profiles {
        match profile(name) {
            Ok(profile) => profiles.push(profile),
            Err(error) => return console.fatal(&error),
        }
    }
    with_live(&args.overrides, console, &|live| {
        if verb != Verb::Stop {
            require_gateway_container(live, &args.overrides)?;
        }
        let forecasts = served::find(live, verb, &profiles)?;
        let mut code = 0;
        for profile in &profiles {
            let done = served::refuse(live, verb, profile, &forecasts)
                .and_then(|()| carry_out(live, verb, profile, args.wait));
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

fn carry_out(live: &Live<'_>, verb: Verb, profile: &ProfileName, wait: Option<Duration>) -> Result<()> {
    let found = find(live, verb, profile)?;
    let state = if verb == Verb::Stop { STOPPED } else { RUNNING };
    // It is written before, so that nothing is lost if this process is killed, and so that a new gateway finds it. A gateway that
    // goes down may write its own view of the file over it, so it is written again when that one is gone.
    let mut kept = record::keep(live, profile, state, Write::Always);
    let mut done = Ok(());
    if let Some(slot) = found {
        let gateway = Gateway { live, profile, slot };
        done = act(&gateway, verb, wait, &mut |state| {
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
fn act(gateway: &Gateway<'_>, verb: Verb, wait: Option<Duration>, keep: &mut dyn FnMut(&str)) -> Result<()> {
    if verb != Verb::Start {
        // `s6-svc -r` would leave the gateway down: it ends with 0, after which its `finish` returns 125.
        let limit = wait.unwrap_or(DOWN);
        match gateway.bring_down(limit)? {
            Down::Ended => keep(if verb == Verb::Stop { STOPPED } else { RUNNING }),
            Down::Newer => (),
            Down::Still => {
                // A gateway that does not stop is left up, and comes up again if it is killed.
                let order = if verb == Verb::Restart { control::svc("u", &gateway.slot) } else { Ok(()) };
                return order.and_then(|()| Err(gateway.still_up(limit)));
            }
        }
    }
    if verb != Verb::Stop {
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
fn find(live: &Live<'_>, verb: Verb, profile: &ProfileName) -> Result<Option<Dir>> {
    if let Some(slot) = slot(live, profile)? {
        if supervision::is_held(&slot).unwrap_or(true) {
            return Ok(Some(slot));
        }
        // A pass has made it, and s6-svscan has not scanned since, or has not taken it.
        return register::announce(live, profile).map(Some);
    }
    let has_profile = record::has_profile(live.settings, profile)?;
    match verb {
        Verb::Stop if has_profile => return Ok(None),
        Verb::Start if has_profile => {
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
