//! Whether a gateway that is about to start is to: a profile that the gateway of `default` serves has none of its own. Started beside that
//! one, it would take its place and serve nobody else.

use std::path::Path;

use super::multiplexing::Multiplexing;
use super::signs::{REWRITTEN, Signs, Topology};
use crate::output::{Console, Error, Result};
use crate::s6::ProfileName;
use crate::settings::topology::TopologyChoice;
use crate::settings::{Lookup, topology};
use crate::sys::{Dir, Name};
use crate::volume::budget::Budget;
use crate::volume::config::{self, Answer, CONFIG};
use crate::volume::home::Trusted;
use crate::volume::parking::{PARKED, REMEMBERED};
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
    // What cannot be read counts as not standalone, as in a pass.
    let standalone = config::read_standalone(&dir, &budget).unwrap_or_else(|reason| {
        console.failed(&Error::new("read", profiles::label(profile, &CONFIG), reason));
        Answer::Absent
    });
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
    // What cannot be looked at is reported and no sign, as in a pass.
    let has = |dir: &Dir, name: &Name, label: &Path| {
        dir.has(name).unwrap_or_else(|errno| {
            console.failed(&Error::new("inspect", label, errno));
            false
        })
    };
    let label = profiles::label(profile, &PARKED);
    let is_parked = has(dir, &PARKED, &label);
    Ok(Signs {
        is_multiplexing: Multiplexing::read(lookup, None, Some(home), console)?.is_on,
        served: state::read(&home.dir, budget).served,
        standalone: None,
        parked: is_parked.then_some(label),
        is_rewritten: has(&home.dir, &REWRITTEN, Path::new(".multiplex_opt_out_rewritten")),
        is_remembered: has(&home.dir, &REMEMBERED, Path::new(".hermes-init-multiplex")),
        has_named: true,
    })
}
