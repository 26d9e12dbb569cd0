//! `start` and `restart` of a profile that the gateway of `default` serves: nothing is started.

use super::{Live, REFUSED};
use crate::cli::Command;
use crate::error::{Error, Result};
use crate::reconcile;
use crate::reconcile::action::Action;
use crate::slot::ProfileName;
use crate::topology::TopologyChoice;

/// Returns the profiles that the gateway of `default` serves, in byte order, if that matters to the command: `stop` does what it is
/// told. Reads the whole volume.
pub fn find(live: &Live<'_>, command: Command, profiles: &[ProfileName]) -> Result<Vec<Action>> {
    let is_own = live.settings.topology.value == TopologyChoice::PerProfile;
    if command == Command::Stop || is_own || profiles.iter().all(ProfileName::is_root) {
        return Ok(Vec::new());
    }
    // What is wrong with other profiles is not the answer to this command.
    let mut actions = reconcile::forecast(live.settings, &live.console.silent())?;
    actions.retain(|action| action.served);
    Ok(actions)
}

/// Fails if the gateway of `default` serves a profile: it has none of its own to start.
pub fn refuse(live: &Live<'_>, command: Command, profile: &ProfileName, served: &[Action]) -> Result<()> {
    let name = profile.text().as_bytes();
    if served.binary_search_by(|action| action.profile.as_slice().cmp(name)).is_err() {
        return Ok(());
    }
    let (verb, program) = (command.name(), live.console.program());
    let reason = format!(
        "the gateway of default serves it: {program} {verb} default ({program} reconcile --explain says why)"
    );
    Err(Error::new(verb, profile.text(), reason).with_code(REFUSED))
}
