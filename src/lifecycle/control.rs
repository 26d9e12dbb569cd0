//! `start`, `stop`, `restart`: the operator's word to s6, and then, kept on the volume, to the next boot.

use std::ffi::CStr;

use super::{Live, REFUSED, profile, register, s6, with_live};
use crate::cli::{Command, Options};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::show::Shown;
use crate::slot::{ProfileName, Want, probe, publish};
use crate::sys::time::{self, Milliseconds};
use crate::volume::Home;
use crate::volume::desire;
use crate::volume::home::Trusted;
use crate::volume::profiles::{Found, Profiles};
use crate::volume::state::{RUNNING, STOPPED};

/// How long a restart waits for the gateway to be down when `--wait` does not say.
const DOWN: Milliseconds = 30_000;

/// Runs one of the three on every name, each for itself; the exit code of the first that failed.
pub fn run(command: Command, options: &Options, argv0: &'static CStr, console: &Console) -> u8 {
    with_live(options, argv0, console, &|live| {
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

fn control(
    live: &Live<'_>,
    command: Command,
    profile: &ProfileName,
    wait: Option<Milliseconds>,
) -> Result<()> {
    find(live, command, profile)?;
    let path = live.slot_path(profile);
    let mut seen = Ok(());
    if command != Command::Start {
        // A restart is not `s6-svc -r`: the gateway would end with 0, and its `finish` would keep it down.
        s6::svc(c"-d", path)?;
        let limit = if command == Command::Restart { Some(wait.unwrap_or(DOWN)) } else { wait };
        seen = see(limit, c"-D", profile, path);
    }
    if command != Command::Stop {
        s6::svc(c"-u", path)?;
        seen = seen.and_then(|()| see(wait, c"-u", profile, path));
    }
    // The word was given, whether or not it has come true yet.
    let state = if command == Command::Stop { STOPPED } else { RUNNING };
    if let Err(error) = remember(live, profile, state) {
        live.console.warn(&error);
        live.console.warn(&format_args!("{} is {state}, but the next boot may not know", profile.text()));
    }
    seen
}

/// Waits until the gateway is up or down; not at all where there is no limit.
fn see(
    limit: Option<Milliseconds>,
    flags: &'static CStr,
    profile: &ProfileName,
    path: &'static CStr,
) -> Result<()> {
    match limit {
        Some(limit) if !s6::svwait(flags, limit, path)? => {
            let reason = if flags == c"-u" { "it is not up yet" } else { "it is not down yet" };
            Err(Error::new("see in time", profile.slot(), reason).with_code(REFUSED))
        }
        _ => Ok(()),
    }
}

/// Makes sure that the slot is there and supervised. A profile that was made from the host has none yet: to start it is to
/// register it first.
fn find(live: &Live<'_>, command: Command, profile: &ProfileName) -> Result<()> {
    if publish::exists(&live.scandir, profile) {
        let slot = live.scandir.passage(profile.slot());
        if slot.is_ok_and(|slot| !probe::is_held(&slot).unwrap_or(true)) {
            // Made by a pass, and nobody has told s6-svscan.
            s6::svscanctl(c"-a", live.path)?;
            register::wait_for_supervision(live, profile)?;
        }
        return Ok(());
    }
    if command == Command::Start && is_profile(live, profile) {
        return match register::register(live, profile, Want { down: true }, &[]) {
            // Another one was faster.
            Err(_) if publish::exists(&live.scandir, profile) => {
                register::wait_for_supervision(live, profile)
            }
            made => made,
        };
    }
    let name = profile.text();
    let how = if is_profile(live, profile) {
        format!("its profile has no slot: hermes-init start {name}")
    } else {
        format!("hermes-init register {name} makes one; hermes-init status shows all")
    };
    Err(Error::new("find", profile.slot(), format!("no such gateway '{name}'; {how}")).with_code(REFUSED))
}

fn trusted(live: &Live<'_>) -> Trusted {
    Trusted { owner: live.settings.owner.value.uid, me: live.spec.chowner.me().uid }
}

fn is_profile(live: &Live<'_>, profile: &ProfileName) -> bool {
    let Ok(home) = Home::open(live.settings.home.value) else { return false };
    if profile.is_root() {
        return true;
    }
    let found =
        Profiles::open(&home, trusted(live)).map(|found| found.map(|profiles| profiles.profile(profile)));
    matches!(found, Ok(Some(Found::Profile(..))))
}

/// Keeps the operator's word in the profile's state file.
fn remember(live: &Live<'_>, profile: &ProfileName, state: &str) -> Result<()> {
    let home = Home::open(live.settings.home.value)?;
    let set = |dir: &_| {
        let aside =
            desire::set(dir, profile, state, time::now(), live.settings.owner.value, live.spec.chowner)?;
        if let Some(aside) = aside {
            let shown = Shown(aside.bytes());
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
        Found::Failed(_, reason) => Err(Error::new("use the profile", profile.text(), reason)),
        Found::Skipped(_, reason) => Err(Error::new("use the profile", profile.text(), reason)),
        Found::Nothing | Found::Dangling(_) => Err(missing()),
    }
}
