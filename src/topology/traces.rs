//! What of the topology lies in the directory of a profile and in `HERMES_HOME`, read in one way by a pass and by a gateway that is about to
//! start. What cannot be looked at is reported and counts as not there.

use std::path::Path;

use super::signs::{REWRITTEN, Signs};
use crate::output::{Console, Error};
use crate::s6::ProfileName;
use crate::sys::{Name, Reason};
use crate::volume::budget::Budget;
use crate::volume::config::{self, Answer, CONFIG};
use crate::volume::contents::Contents;
use crate::volume::parking::{PARKED, REMEMBERED};
use crate::volume::profiles;

/// Returns whether a profile has a gateway of its own in every topology, by `gateway.standalone` in its config.yaml. What is not certain
/// is reported and counts as no. Fails if the file exceeds the budget.
pub fn is_standalone(
    contents: Contents<'_>,
    profile: &ProfileName,
    budget: &Budget,
    console: &Console,
) -> Result<bool, Reason> {
    let doubt = match config::read_standalone(contents, budget) {
        Ok(Answer::True { .. }) => return Ok(true),
        Ok(Answer::Absent | Answer::False { .. }) => return Ok(false),
        Ok(Answer::Unsure { line, why }) => format!("line {line}: {why}"),
        Err(over @ Reason::Unread(_)) => return Err(over),
        Err(reason) => reason.to_string(),
    };
    let reason = format!("{doubt}; treated as not standalone");
    let label = profiles::label(profile, &CONFIG);
    console.failed(&Error::new("determine gateway.standalone from", label, reason));
    Ok(false)
}

/// Returns whether a profile is parked.
pub fn is_parked(contents: Contents<'_>, profile: &ProfileName, console: &Console) -> bool {
    has(contents, &PARKED, &profiles::label(profile, &PARKED), console)
}

/// Looks for the signs of `HERMES_HOME` itself, until one has decided.
pub fn look_in_home(home: Contents<'_>, signs: &mut Signs, console: &Console) {
    let has = |name: &Name| has(home, name, &profiles::label(&ProfileName::root(), name), console);
    signs.is_rewritten = !signs.has_any() && has(&REWRITTEN);
    signs.is_remembered = !signs.has_any() && has(&REMEMBERED);
}

fn has(contents: Contents<'_>, name: &Name, label: &Path, console: &Console) -> bool {
    contents.has(name).unwrap_or_else(|errno| {
        console.failed(&Error::new("inspect", label, errno));
        false
    })
}
