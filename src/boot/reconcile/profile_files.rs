//! What a pass reads again, removes and locks in the directories of profiles once it is decided what is done with them.

use super::decide::Profile;
use super::files::GATEWAY_PID;
use super::{Pass, elsewhere};
use crate::output::{Context, Result};
use crate::s6::ProfileName;
use crate::s6::envdir::Variable;
use crate::sys::{Dir, Errno, Name};
use crate::volume::contents::Contents;
use crate::volume::directory_lock::{self, Held, STAGING};
use crate::volume::{kept_env, marker, profiles};

/// What a pass has removed from the directory of a profile.
pub enum Removed {
    /// Nothing.
    Nothing,
    /// Stale files.
    StaleFiles,
}

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
    home.as_its_user(|| {
        if name.is_root() {
            return work(&home.dir);
        }
        let dir = match pass.profiles.get() {
            Some(profiles) => profiles.reopen(name)?,
            None => None,
        };
        dir.map_or_else(|| Ok(T::default()), |dir| work(&dir))
    })
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
        held.sweep().context("remove", profiles::label(name, &STAGING))?;
        marker.sweep(&held).context("remove", profiles::label(name, &marker.name))
    });
    if let Err(error) = done {
        pass.console.failed(&error);
    }
}

/// Locks the directory of a profile: commands write their files there.
pub fn hold(pass: &Pass<'_>, name: &ProfileName, dir: &Dir) -> Result<Held> {
    let dir = dir.readable().context("lock the directory of", profiles::label(name, &STAGING))?;
    Ok(directory_lock::hold(dir, &pass.patience))
}

/// Removes the runtime files of a profile whose gateway does not run. What cannot be removed is reported.
pub fn remove_stale(pass: &Pass<'_>, profile: &Profile) -> Removed {
    let Profile { name, stale, written, .. } = profile;
    let remove = |dir: &Dir| {
        if stale.contains(&&GATEWAY_PID) {
            match elsewhere::may_run(dir, *written).context("use", profiles::label(name, &GATEWAY_PID)) {
                Ok(true) => pass.elsewhere.borrow_mut().push(name.text().to_owned()),
                Ok(false) => (),
                Err(error) => pass.console.failed(&error),
            }
        }
        let removed = stale.iter().filter(|file| {
            let done = if **file == &STAGING {
                // A command may be writing it.
                hold(pass, name, dir)
                    .and_then(|held| held.sweep().context("remove", profiles::label(name, file)))
            } else {
                dir.unlink(file).context("remove", profiles::label(name, file))
            };
            match done {
                Ok(()) => true,
                Err(error) if error.errno() == Some(Errno::NOENT) => false,
                Err(error) => {
                    pass.console.failed(&error);
                    false
                }
            }
        });
        Ok(removed.count())
    };
    match in_directory(pass, name, remove) {
        Ok(0) => Removed::Nothing,
        Ok(_) => Removed::StaleFiles,
        Err(error) => {
            pass.console.failed(&error);
            Removed::Nothing
        }
    }
}
