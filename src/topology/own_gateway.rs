//! Whether a gateway that is about to start is to: a profile that the gateway of `default` serves has none of its own. Started beside that
//! one, it would take its place and serve nobody else.

use super::multiplexing::Multiplexing;
use super::signs::{Signs, Topology};
use super::traces;
use crate::output::{Console, Context, Result};
use crate::s6::ProfileName;
use crate::settings::topology::TopologyChoice;
use crate::settings::{Lookup, topology};
use crate::sys::Dir;
use crate::volume::budget::Budget;
use crate::volume::config::CONFIG;
use crate::volume::contents::Contents;
use crate::volume::parking::PARKED;
use crate::volume::{Home, profiles, state};

/// Returns why a named profile, whose directory this is, has no gateway of its own, if it has none. Unlike a boot pass, it looks at no other
/// named profile: each gateway that starts would read them all. `home` is `HERMES_HOME`. This process runs as the hermes user.
pub fn absence(
    profile: &ProfileName,
    dir: &Dir,
    home: &Home,
    lookup: &Lookup,
    console: &Console,
) -> Result<Option<String>> {
    let choice = topology::choice(lookup, None, console)?;
    if choice.value == TopologyChoice::PerProfile {
        return Ok(None);
    }
    let budget = Budget::new();
    let (dir, in_home) = (Contents::unknown(dir), home.contents());
    let is_standalone = traces::is_standalone(dir, profile, &budget, console);
    if is_standalone.context("use", profiles::label(profile, &CONFIG))? {
        return Ok(None);
    }
    let signs = if choice.value == TopologyChoice::Auto {
        let parked = traces::is_parked(dir, profile, console).then(|| profiles::label(profile, &PARKED));
        let mut signs = Signs {
            is_multiplexing: Multiplexing::read(lookup, None, Some(home), console)?.is_on,
            served: state::read(in_home, &budget).served,
            parked,
            has_named: true,
            ..Signs::default()
        };
        traces::look_in_home(in_home, &mut signs, console);
        signs
    } else {
        Signs::default()
    };
    let topology = Topology::decide(choice.value, &signs);
    let source = topology.sign.unwrap_or_else(|| choice.source.text().to_owned());
    Ok(topology.is_multiplex.then(|| format!("the topology is multiplex ({source})")))
}
