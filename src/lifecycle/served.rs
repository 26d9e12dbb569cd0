//! `start` and `restart` of a profile that the gateway of `default` serves: nothing is started.

use super::{Live, REFUSED};
use crate::cli::Command;
use crate::error::{Error, Result};
use crate::reconcile;
use crate::slot::ProfileName;
use crate::topology::TopologyChoice;

/// Fails if the command would start a gateway that a profile does not have. `stop` does what it is told.
pub fn refuse(live: &Live<'_>, command: Command, profile: &ProfileName) -> Result<()> {
    let is_own = live.settings.topology.value == TopologyChoice::PerProfile || profile.is_root();
    if command == Command::Stop || is_own {
        return Ok(());
    }
    // It may read the whole volume. What it finds wrong there with other profiles is not the answer to this command.
    if !reconcile::is_served(live.settings, profile, &live.console.silent())? {
        return Ok(());
    }
    let (verb, program) = (command.name(), live.console.program());
    let reason = format!(
        "the gateway of default serves it: {program} {verb} default ({program} reconcile --explain says why)"
    );
    Err(Error::new(verb, profile.text(), reason).with_code(REFUSED))
}
