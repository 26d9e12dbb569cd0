//! Restarts: `start` and `restart` leave a marker on the volume if a process of the gateway ends first. `gateway-finish` looks for it, so
//! that the gateway is started again also if the command has not waited for the end.

use std::path::Path;

use super::exec;
use super::profile_directory::ProfileDirectory;
use crate::output::{Context, Result};
use crate::s6::ProfileName;
use crate::settings::user::Runner;
use crate::sys::Dir;
use crate::volume::marker::RESTART;

/// Returns whether a gateway whose process has ended is to be started again. The marker is used up. Older releases of s6 do not tell
/// `finish` which process it was: the marker is for it if its process has ended, see [`forget`]. `home` is `HERMES_HOME`. Becomes the hermes
/// user.
pub fn is_ordered(home: &Path, profile: &ProfileName, runner: &Runner) -> Result<bool> {
    exec::drop_privileges(runner)?;
    let Some(profile) = ProfileDirectory::open(home, profile)? else { return Ok(false) };
    let dir = profile.dir();
    let is_ordered = RESTART.is_over(dir).context("read", &RESTART.name)?;
    if is_ordered {
        // One that stays is for a process that has ended.
        let _ = RESTART.remove(dir);
    }
    Ok(is_ordered)
}

/// Removes the marker for an earlier process of the gateway that this process becomes: another process may get its ID. `dir` is the directory of its
/// profile. The hermes user does this; what cannot be removed is in nobody's way.
pub fn forget(dir: &Dir) {
    if RESTART.is_for(dir, std::process::id().into()) == Ok(false) {
        let _ = RESTART.remove(dir);
    }
}
