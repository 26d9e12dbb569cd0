//! `start`, `stop`, `restart`: the operator's request goes to s6 and, on the volume, to the next boot.

use std::path::Path;
use std::time::Duration;

use super::{Live, REFUSED, profile, register, served, with_live};
use crate::cli::{Command, Options};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::s6;
use crate::show::FromVolume;
use crate::slot::{ProfileName, Want, probe, publish};
use crate::sys::time;
use crate::volume::Home;
use crate::volume::desire;
use crate::volume::home::Trusted;
use crate::volume::profiles::{Found, Profiles};
use crate::volume::state::{RUNNING, STOPPED};

/// Time that `restart` without `--wait` waits for the gateway to be down.
const DOWN: Duration = Duration::from_secs(30);

/// Runs one of the three commands for every name. Returns the exit code of the first that failed, else 0.
pub fn run(command: Command, options: &Options, console: &Console) -> u8 {
    with_live(options, console, &|live| {
        let mut code = 0;
        for operand in &options.operands {
            let done = profile(operand).and_then(|profile| control(live, command, &profile, options.wait));
            if let Err(error) = done {
                console.warn(&error);
                if code == 0 {
                    code = error.code();
                }
            }
        }
        Ok(code)
    })
}

fn control(live: &Live<'_>, command: Command, profile: &ProfileName, wait: Option<Duration>) -> Result<()> {
    served::refuse(live, command, profile)?;
    find(live, command, profile)?;
    let path = &live.slot_path(profile);
    let mut seen = Ok(());
    if command != Command::Start {
        // `s6-svc -r` would leave the gateway down: it ends with 0, after which its `finish` returns 125.
        s6::svc("-d", path)?;
        let limit = if command == Command::Restart { Some(wait.unwrap_or(DOWN)) } else { wait };
        seen = see(limit, "-D", profile, path);
    }
    if command != Command::Stop {
        s6::svc("-u", path)?;
        seen = seen.and_then(|()| see(wait, "-u", profile, path));
    }
    // The request is kept whether or not the gateway has followed it yet.
    let state = if command == Command::Stop { STOPPED } else { RUNNING };
    if let Err(error) = remember(live, profile, state) {
        live.console.warn(&error);
        live.console.warn(&format_args!("{} is {state}, but the next boot may not know", profile.text()));
    }
    seen
}

/// Waits until the gateway is up or down; without a limit, does not wait.
fn see(limit: Option<Duration>, flags: &str, profile: &ProfileName, path: &Path) -> Result<()> {
    match limit {
        Some(limit) if !s6::svwait(flags, limit, path)? => {
            let reason = if flags == "-u" { "it is not up yet" } else { "it is not down yet" };
            Err(Error::new("see in time", profile.slot(), reason).with_code(REFUSED))
        }
        _ => Ok(()),
    }
}

/// Fails unless the profile has a supervised slot. `start` registers a profile that has none, for example one that was made from
/// the host.
fn find(live: &Live<'_>, command: Command, profile: &ProfileName) -> Result<()> {
    if publish::exists(&live.scandir, profile) {
        let slot = live.scandir.passage(profile.slot());
        if slot.is_ok_and(|slot| !probe::is_held(&slot).unwrap_or(true)) {
            // A pass has made it, and s6-svscan has not scanned since.
            s6::svscanctl("-a", live.path)?;
            register::wait_for_supervision(live, profile)?;
        }
        return Ok(());
    }
    if command == Command::Start && is_profile(live, profile) {
        return match register::register(live, profile, Want { down: true }, &[]) {
            // Another process was faster.
            Err(_) if publish::exists(&live.scandir, profile) => {
                register::wait_for_supervision(live, profile)
            }
            made => made,
        };
    }
    let (name, program) = (profile.text(), live.console.program());
    let how = if is_profile(live, profile) {
        format!("its profile has no slot: {program} start {name}")
    } else {
        format!("{program} register {name} makes one; {program} status shows all")
    };
    Err(Error::new("find", profile.slot(), format!("no such gateway '{name}'; {how}")).with_code(REFUSED))
}

fn trusted(live: &Live<'_>) -> Trusted {
    Trusted { owner: live.settings.owner.value.uid, me: live.spec.ownership.process().uid }
}

fn is_profile(live: &Live<'_>, profile: &ProfileName) -> bool {
    let Ok(home) = Home::open(&live.settings.home.value) else { return false };
    if profile.is_root() {
        return true;
    }
    let found =
        Profiles::open(&home, trusted(live)).map(|found| found.map(|profiles| profiles.profile(profile)));
    matches!(found, Ok(Some(Found::Profile(..))))
}

/// Writes the operator's request into the profile's state file.
fn remember(live: &Live<'_>, profile: &ProfileName, state: &str) -> Result<()> {
    let home = Home::open(&live.settings.home.value)?;
    let set = |dir: &_| {
        let aside =
            desire::set(dir, profile, state, time::now(), live.settings.owner.value, live.spec.ownership)?;
        if let Some(aside) = aside {
            let shown = FromVolume(aside.bytes());
            live.console
                .warn(&format_args!("the state file of {} was broken: it is now {shown}", profile.text()));
        }
        Ok(())
    };
    if profile.is_root() {
        return set(&home.dir);
    }
    let missing =
        || Error::new("find the profile", profile.text(), "it has no directory with a SOUL.md on the volume");
    let profiles = Profiles::open(&home, trusted(live))?.ok_or_else(missing)?;
    match profiles.profile(profile) {
        Found::Profile(_, dir) => set(&dir),
        Found::Failed(reason) | Found::Skipped(reason) => {
            Err(Error::new("use the profile", profile.text(), reason))
        }
        Found::NoProfile | Found::Dangling(_) => Err(missing()),
    }
}
