//! Whether a gateway that is about to start is to: a profile that the gateway of `default` serves has none of its own. Started beside that
//! one, it would take its place and serve nobody else.

use super::multiplexing::Multiplexing;
use super::signs::{REWRITTEN, Signs, Topology};
use crate::output::{Console, Context, Result};
use crate::s6::ProfileName;
use crate::settings::topology::TopologyChoice;
use crate::settings::{Lookup, topology};
use crate::sys::Dir;
use crate::volume::budget::Budget;
use crate::volume::config::{self, Answer, CONFIG};
use crate::volume::home::Trusted;
use crate::volume::parking::{self, PARKED};
use crate::volume::{Home, profiles, state};

/// Returns why a profile has no gateway of its own, if it has none. Unlike a boot pass, it looks at no other named profile: each gateway
/// that starts would read them all. `home` is `HERMES_HOME`. This process runs as the hermes user.
pub fn absence(
    profile: &ProfileName,
    (home, trusted): (&Home, Trusted),
    lookup: &Lookup,
    console: &Console,
) -> Result<Option<String>> {
    let choice = topology::choice(lookup, None, console)?;
    if profile.is_root() || choice.value == TopologyChoice::PerProfile {
        return Ok(None);
    }
    // Without a profile, the gateway fails by itself.
    let Some(dir) = profiles::directory(home, trusted, profile)? else { return Ok(None) };
    let budget = Budget::new();
    let standalone =
        config::read_standalone(&dir, &budget).context("read", profiles::label(profile, &CONFIG))?;
    if matches!(standalone, Answer::True { .. }) {
        return Ok(None);
    }
    let topology = match choice.value {
        TopologyChoice::Auto => {
            let signs = signs(profile, home, &dir, &budget, lookup, console)?;
            Topology::decide(choice.value, &signs)
        }
        choice => Topology::decide(choice, &Signs::default()),
    };
    let source = topology.sign.unwrap_or_else(|| choice.source.text().to_owned());
    Ok(topology.is_multiplex.then(|| format!("the topology is multiplex ({source})")))
}

fn signs(
    profile: &ProfileName,
    home: &Home,
    dir: &Dir,
    budget: &Budget,
    lookup: &Lookup,
    console: &Console,
) -> Result<Signs> {
    let is_parked = parking::is_parked(dir).context("inspect", profiles::label(profile, &PARKED))?;
    Ok(Signs {
        is_multiplexing: Multiplexing::read(lookup, None, Some(home), console)?.is_on,
        served: state::read(&home.dir, budget).served,
        standalone: None,
        parked: is_parked.then(|| profiles::label(profile, &PARKED)),
        is_rewritten: home.dir.has(&REWRITTEN).context("inspect", &REWRITTEN)?,
        has_named: true,
    })
}
