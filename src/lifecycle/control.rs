//! `start`, `stop`, `restart`: the operator's word to s6, and then, kept on the volume, to the next boot.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Live, REFUSED, profile, register, s6, with_live};
use crate::cli::{Command, Options};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::show::Shown;
use crate::slot::{ProfileName, Want, probe, publish};
use crate::volume::Home;
use crate::volume::desire;
use crate::volume::home::Trusted;
use crate::volume::profiles::{Found, Profiles};
use crate::volume::state::{RUNNING, STOPPED};

/// How long a restart waits for the gateway to be down when `--wait` does not say.
const DOWN: Duration = Duration::from_secs(30);

/// Runs one of the three on every name, each for itself; the exit code of the first that failed.
pub fn run(command: Command, options: &Options, argv0: &OsStr, console: &Console) -> u8 {
    with_live(options, argv0, console, |live| {
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
    find(live, command, profile)?;
    let path = live.slot_path(profile);
    match command {
        Command::Stop => {
            s6::svc("-d", &path)?;
            wait_for(wait, "-D", profile, &path)?;
        }
        Command::Restart => {
            // Not `s6-svc -r`: the gateway would end with 0, and its `finish` would keep it down.
            s6::svc("-d", &path)?;
            let down = s6::svwait("-D", wait.unwrap_or(DOWN), &path)?;
            s6::svc("-u", &path)?;
            if !down {
                return Err(not_in_time(profile, "down"));
            }
            wait_for(wait, "-u", profile, &path)?;
        }
        _ => {
            s6::svc("-u", &path)?;
            wait_for(wait, "-u", profile, &path)?;
        }
    }
    let state = if command == Command::Stop { STOPPED } else { RUNNING };
    if let Err(error) = remember(live, profile, state) {
        live.console.warn(&error);
        live.console.warn(&format_args!("{} is {state}, but the next boot may not know", profile.text()));
    }
    Ok(())
}

/// Makes sure that the slot is there and supervised. A profile that was made from the host has none yet: to start it is to
/// register it first.
fn find(live: &Live<'_>, command: Command, profile: &ProfileName) -> Result<()> {
    if publish::exists(&live.scandir, profile) {
        let slot = live.scandir.passage(profile.slot());
        if slot.is_ok_and(|slot| !probe::is_held(&slot).unwrap_or(true)) {
            // Made by a pass, and nobody has told s6-svscan.
            s6::svscanctl("-a", live.path.as_os_str())?;
            register::wait_for_supervision(live, profile)?;
        }
        return Ok(());
    }
    if command == Command::Start && is_profile(live, profile) {
        return register::register(live, profile, Want { down: true }, &[]);
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
    let Ok(home) = Home::open(&live.settings.home.value) else { return false };
    if profile.is_root() {
        return true;
    }
    let found =
        Profiles::open(&home, trusted(live)).map(|found| found.map(|profiles| profiles.profile(profile)));
    matches!(found, Ok(Some(Found::Profile(..))))
}

fn wait_for(wait: Option<Duration>, flags: &str, profile: &ProfileName, path: &OsStr) -> Result<()> {
    match wait {
        Some(limit) if !s6::svwait(flags, limit, path)? => {
            Err(not_in_time(profile, if flags == "-u" { "up" } else { "down" }))
        }
        _ => Ok(()),
    }
}

fn not_in_time(profile: &ProfileName, state: &str) -> Error {
    Error::new("see in time", profile.slot(), format!("it is not {state} yet")).with_code(REFUSED)
}

/// Keeps the operator's word in the profile's state file.
fn remember(live: &Live<'_>, profile: &ProfileName, state: &str) -> Result<()> {
    let home = Home::open(&live.settings.home.value)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let set = |dir: &_| {
        let aside = desire::set(dir, profile, state, now, live.settings.owner.value, live.spec.chowner)?;
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
        Found::Failed(_, reason) => Err(Error::new("use the profile", profile.text().as_bytes(), reason)),
        Found::Skipped(_, reason) => Err(Error::new("use the profile", profile.text().as_bytes(), reason)),
        Found::Nothing | Found::Dangling(_) => Err(missing()),
    }
}
