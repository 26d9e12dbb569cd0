//! What a pass reads again, removes and locks in the directories of profiles once it is decided what is done with them.

use super::Pass;
use crate::output::{Context, Result};
use crate::s6::ProfileName;
use crate::s6::envdir::Variable;
use crate::sys::{Dir, Name};
use crate::volume::contents::Contents;
use crate::volume::directory_lock::{self, Held, STAGING};
use crate::volume::profiles::{self, Profiles};
use crate::volume::{kept_env, marker};

/// Returns the variables that a registration has kept; none if they have become unusable since they were looked at, which is reported.
pub fn kept_variables(pass: &Pass<'_>, name: &ProfileName, pages: u64) -> Vec<Variable> {
    let read = |dir: &Dir| {
        let variables = kept_env::read(Contents::unknown(dir), pass.trusted).and_then(|variables| {
            let has_grown = kept_env::pages(&variables) > pages;
            if has_grown { Err("it has grown since it was looked at".into()) } else { Ok(variables) }
        });
        variables.context("use", profiles::label(name, &kept_env::KEPT))
    };
    in_directory(pass, name, read).unwrap_or_else(|error| {
        pass.console.failed(&error);
        Vec::new()
    })
}

/// Calls `work` with the directory of a profile. Returns the default value if it has vanished meanwhile.
fn in_directory<T: Default>(
    pass: &Pass<'_>,
    name: &ProfileName,
    work: impl FnOnce(&Dir) -> Result<T>,
) -> Result<T> {
    let Some(home) = &pass.home else { return Ok(T::default()) };
    home.as_its_user(|| in_directory_of(&home.dir, pass.profiles.get(), name, work))
}

/// Calls `work` with the directory of a profile, which is `home` for `default`. Returns the default value if it has vanished meanwhile. Several
/// threads may do so at once.
pub fn in_directory_of<T: Default>(
    home: &Dir,
    profiles: Option<&Profiles>,
    name: &ProfileName,
    work: impl FnOnce(&Dir) -> Result<T>,
) -> Result<T> {
    if name.is_root() {
        return work(home);
    }
    let dir = profiles.map(|profiles| profiles.reopen(name)).transpose()?.flatten();
    dir.map_or_else(|| Ok(T::default()), |dir| work(&dir))
}

/// Removes what killed commands have left of these files in the directory of a profile whose gateway may run. What cannot be removed is
/// reported.
pub fn sweep_left(pass: &Pass<'_>, name: &ProfileName, stale: &[&'static Name]) {
    let marker = &marker::PLANNED_STOP;
    if !stale.iter().any(|file| [&STAGING, &marker.name].contains(file)) {
        return;
    }
    let done = in_directory(pass, name, |dir| {
        let held = hold(pass, name, dir)?;
        sweep(&held, name)?;
        marker.sweep(&held).context("remove", profiles::label(name, &marker.name))
    });
    if let Err(error) = done {
        pass.console.failed(&error);
    }
}

/// Removes what a killed command has left of [`STAGING`] in the directory of a profile, unless another one is writing it. Returns whether it
/// has removed something.
pub fn sweep_staging(pass: &Pass<'_>, name: &ProfileName) -> Result<bool> {
    in_directory(pass, name, |dir| sweep(&hold(pass, name, dir)?, name))
}

fn sweep(held: &Held, name: &ProfileName) -> Result<bool> {
    held.sweep().context("remove", profiles::label(name, &STAGING))
}

/// Locks the directory of a profile: commands write their files there.
pub fn hold(pass: &Pass<'_>, name: &ProfileName, dir: &Dir) -> Result<Held> {
    let dir = dir.readable().context("lock the directory of", profiles::label(name, &STAGING))?;
    Ok(directory_lock::hold(dir, &pass.patience))
}
