//! What the commands read and write in the directory of a profile: its desired state, and the variables of its registration.

use std::path::PathBuf;

use super::Live;
use crate::output::escape::FromVolume;
use crate::output::{Context, Error, Result, exit};
use crate::s6::ProfileName;
use crate::s6::envdir::Variable;
use crate::settings::Settings;
use crate::sys::{Dir, Errno, Name, Ownership};
pub use crate::volume::desired_state::{DesiredState, Write};
use crate::volume::directory_lock::{self, Held};
use crate::volume::home::Trusted;
use crate::volume::profiles::{self, Profiles};
use crate::volume::state::STATE;
use crate::volume::{Home, advice, desired_state, kept_env};

/// Opens `HERMES_HOME`. Returns it with the users who may own what a symlink there leads to.
pub fn home(settings: &Settings) -> Result<(Home, Trusted)> {
    let trusted = Trusted::new(settings.owner.value, &Ownership::new());
    Ok((Home::open(&settings.home.value, trusted)?, trusted))
}

/// Calls `work` with the directory of a profile, or with `None` if there is no such profile, as the user whom the volume admits. Fails
/// if what is there is no usable profile, with the exit code 1 if that has been seen.
pub fn in_directory<T>(
    settings: &Settings,
    profile: &ProfileName,
    work: impl FnOnce(Option<&Dir>) -> Result<T>,
) -> Result<T> {
    let (home, trusted) = self::home(settings)?;
    home.as_its_user(|| {
        if profile.is_root() {
            return work(Some(&home.dir));
        }
        let dir = profiles::directory(&home, trusted, profile).map_err(|error| match error.errno() {
            Some(_) => explained(error, "use the profile", profiles::place(profile), settings),
            None => error.with_code(exit::INCOMPLETE),
        })?;
        work(dir.as_ref())
    })
}

/// Adds to the error of an operation on a path of the volume, relative to `HERMES_HOME`, who owns what is in the way.
fn explained(error: Error, verb: &'static str, path: PathBuf, settings: &Settings) -> Error {
    let Some(errno) = error.errno() else { return error };
    let reason = advice::below(&errno.into(), &settings.home.value, &path, settings.owner.value.uid);
    Error::new(verb, path, reason).with_code(error.code())
}

/// Returns whether there is a profile. Fails if what is there is no usable profile.
pub fn has_profile(settings: &Settings, profile: &ProfileName) -> Result<bool> {
    in_directory(settings, profile, |dir| Ok(dir.is_some()))
}

/// Returns the names in `profiles`, not all of which need be profiles, in byte order.
pub fn names(settings: &Settings) -> Result<Vec<Name>> {
    let (home, trusted) = self::home(settings)?;
    home.as_its_user(|| {
        let profiles = Profiles::open(&home, trusted)?;
        Ok(profiles.map(|profiles| profiles.names()).transpose()?.unwrap_or_default().names)
    })
}

/// Records the desired state in the profile's state file. That a profile is to be stopped needs no record if it is not on the volume:
/// the next boot starts none that is not there.
pub fn set_desired(
    live: &Live<'_>,
    profile: &ProfileName,
    desired: DesiredState,
    write: Write,
) -> Result<()> {
    in_directory(&live.settings, profile, |dir| {
        let Some(dir) = dir else {
            if desired == DesiredState::Stopped {
                return Ok(());
            }
            let reason = "it is not on the volume, so the next boot starts nothing";
            return Err(Error::new("find the profile", profile.text(), reason));
        };
        let owner = live.settings.owner.value;
        let dir = &hold(live, profile, dir);
        let set = desired_state::set(dir, profile, desired, write, owner, live.template.ownership);
        let aside = set.map_err(|error| match error.errno() {
            Some(Errno::ACCESS) => {
                explained(error, "write", profiles::label(profile, &STATE), &live.settings)
            }
            _ => error,
        })?;
        if let Some(aside) = aside {
            let shown = FromVolume(aside.bytes());
            live.console.warn(format_args!(
                "the state file of {} was broken and has been renamed to {shown}",
                profile.text()
            ));
        }
        Ok(())
    })
}

/// Locks the directory of a profile for a change in it. What another process locks is changed without the lock, which is reported.
pub fn hold<'a>(live: &Live<'_>, profile: &ProfileName, dir: &'a Dir) -> Held<'a> {
    let held = directory_lock::hold(dir, &live.patience);
    if held.is_anothers() {
        live.warn_once(format!(
            "another process keeps the directory of {} locked: its files are written without the lock",
            profile.text()
        ));
    }
    held
}

/// Returns the variables that a registration of the profile has kept; none if there is no profile. Those that cannot be used are
/// reported and left out, as at a boot.
pub fn kept_variables(live: &Live<'_>, profile: &ProfileName) -> Vec<Variable> {
    let trusted = Trusted::new(live.settings.owner.value, live.template.ownership);
    let read = in_directory(&live.settings, profile, |dir| {
        let Some(dir) = dir else { return Ok(Vec::new()) };
        Ok(kept_env::read(dir, trusted).unwrap_or_else(|reason| {
            live.console.failed(&Error::new("use", label(profile), reason));
            Vec::new()
        }))
    });
    // What is wrong with a profile is reported elsewhere.
    read.unwrap_or_default()
}

/// Keeps the variables of a registration for the next boot, if there are any. Without a profile, the next boot makes no slot.
pub fn keep_variables(live: &Live<'_>, profile: &ProfileName, variables: &[Variable]) -> Result<()> {
    if variables.is_empty() {
        return Ok(());
    }
    change(live, profile, |dir| {
        let done = kept_env::write(dir, variables, live.settings.owner.value, live.template.ownership);
        done.context("store the variables in", label(profile))
    })
}

/// Forgets the variables of a registration.
pub fn forget_variables(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    change(live, profile, |dir| kept_env::remove(dir).context("remove", label(profile)))
}

/// Changes something in the directory of a profile, if there is one. A failure leaves the command incomplete: what else it has done
/// stays.
fn change(live: &Live<'_>, profile: &ProfileName, change: impl FnOnce(&Dir) -> Result<()>) -> Result<()> {
    let done = in_directory(&live.settings, profile, |dir| dir.map_or(Ok(()), change));
    done.map_err(|error| error.with_code(exit::INCOMPLETE))
}

fn label(profile: &ProfileName) -> PathBuf {
    profiles::label(profile, &kept_env::KEPT)
}
