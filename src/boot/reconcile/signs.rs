//! Which gateways a volume has: one for each profile, or that of `default` for every profile that is not standalone. For `auto`,
//! what a gateway of a release that has the latter leaves on the volume decides.

use std::path::PathBuf;

use crate::settings::topology::TopologyChoice;

/// The topology of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Whether the gateway of `default` serves every profile that is not standalone.
    pub is_multiplex: bool,
    /// For `auto`, what decided.
    pub sign: Option<String>,
}

/// What decides for `auto`, the first sign before the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// Whether multiplexing is switched on.
    pub is_multiplexing: bool,
    /// Whether the state file of `default` has `served_profiles`.
    pub has_served_profiles: bool,
    /// The config.yaml of a standalone profile.
    pub standalone: Option<PathBuf>,
    /// Whether there is `.multiplex_opt_out_rewritten`, which a gateway leaves when it has changed a `multiplex_profiles: false` of
    /// config.yaml.
    pub is_rewritten: bool,
}

impl Signs {
    /// Returns the first sign.
    pub fn first(&self) -> Option<String> {
        if self.is_multiplexing {
            Some("multiplex is on".to_owned())
        } else if self.has_served_profiles {
            Some("served_profiles in gateway_state.json".to_owned())
        } else if let Some(config) = &self.standalone {
            Some(format!("gateway.standalone in {}", config.display()))
        } else if self.is_rewritten {
            Some(".multiplex_opt_out_rewritten exists".to_owned())
        } else {
            None
        }
    }
}

impl Topology {
    /// Returns the topology for a choice.
    pub fn decide(choice: TopologyChoice, signs: &Signs) -> Topology {
        match choice {
            TopologyChoice::PerProfile => Topology { is_multiplex: false, sign: None },
            TopologyChoice::Multiplex => Topology { is_multiplex: true, sign: None },
            TopologyChoice::Auto => {
                let sign = signs.first();
                let none = || "nothing on the volume shows a gateway that serves all profiles".to_owned();
                Topology { is_multiplex: sign.is_some(), sign: Some(sign.unwrap_or_else(none)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All combinations of signs.
    fn all() -> impl Iterator<Item = Signs> {
        (0..16).map(|bits| Signs {
            is_multiplexing: bits & 1 != 0,
            has_served_profiles: bits & 2 != 0,
            standalone: (bits & 4 != 0).then(|| "profiles/coder/config.yaml".into()),
            is_rewritten: bits & 8 != 0,
        })
    }

    #[test]
    fn what_is_set_decides_before_what_the_volume_shows() {
        for signs in all() {
            for (choice, is_multiplex) in
                [(TopologyChoice::PerProfile, false), (TopologyChoice::Multiplex, true)]
            {
                assert_eq!(Topology::decide(choice, &signs), Topology { is_multiplex, sign: None });
            }
        }
    }

    #[test]
    fn auto_is_multiplex_by_any_sign_and_names_the_first() {
        for signs in all() {
            let (is_multiplex, sign) = match &signs {
                Signs { is_multiplexing: true, .. } => (true, "multiplex is on"),
                Signs { has_served_profiles: true, .. } => (true, "served_profiles in gateway_state.json"),
                Signs { standalone: Some(_), .. } => {
                    (true, "gateway.standalone in profiles/coder/config.yaml")
                }
                Signs { is_rewritten: true, .. } => (true, ".multiplex_opt_out_rewritten exists"),
                _ => (false, "nothing on the volume shows a gateway that serves all profiles"),
            };
            let topology = Topology { is_multiplex, sign: Some(sign.to_owned()) };
            assert_eq!(Topology::decide(TopologyChoice::Auto, &signs), topology);
        }
    }
}
