//! `start` and `restart` of a profile whose gateway is not to be started: that of `default` serves it, or the hermes user cannot enter its
//! directory.

use super::control::Verb;
use super::{Live, record};
use crate::boot::reconcile;
use crate::boot::reconcile::Item;
use crate::output::{Error, Result, exit};
use crate::s6::ProfileName;
use crate::settings::topology::TopologyChoice;

/// Returns what the next boot would do with each profile. Reads the whole volume for it, and returns nothing where it does not matter
/// which profiles the gateway of `default` serves: `stop` stops any gateway.
pub fn forecasts(live: &Live<'_>, verb: Verb, profiles: &[ProfileName]) -> Result<Vec<Item>> {
    let is_own = live.settings.topology.value == TopologyChoice::PerProfile;
    if verb == Verb::Stop || is_own || profiles.iter().all(ProfileName::is_root) {
        return Ok(Vec::new());
    }
    // What is wrong with other profiles is not the answer to this command.
    reconcile::forecast(&live.settings, &live.console.silent(), &|| false).map(|plan| plan.items)
}

/// Fails if the gateway would be refused the volume or its profile's directory, with the sentence of a boot pass. What runs can be
/// stopped all the same.
pub fn require_access(live: &Live<'_>, verb: Verb, profile: &ProfileName) -> Result<()> {
    if verb == Verb::Stop || record::has_profile(&live.settings, profile) == Ok(false) {
        return Ok(());
    }
    reconcile::require_access(&live.settings, profile).map_err(|error| error.with_code(exit::INCOMPLETE))
}

/// Fails if the gateway of `default` serves a profile: it has none of its own to start.
pub fn refuse(live: &Live<'_>, verb: Verb, profile: &ProfileName, forecasts: &[Item]) -> Result<()> {
    let name = profile.text().as_bytes();
    if !forecasts.iter().any(|forecast| forecast.is_served_by_default() && forecast.name == name) {
        return Ok(());
    }
    let (verb, program) = (verb.name(), live.console.program());
    let reason = format!(
        "the gateway of default serves it: {program} {verb} default ({program} reconcile --explain says why)"
    );
    Err(Error::new(verb, profile.text(), reason).with_code(exit::INCOMPLETE))
}
