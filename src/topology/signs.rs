//! Which gateways a volume has: one for each profile, or that of `default` for every profile that is not standalone. For `auto`,
//! what a gateway of a release that has the latter leaves on the volume decides.

use std::path::PathBuf;

use crate::output::escape::Sentence;
use crate::settings::topology::TopologyChoice;
use crate::sys::Name;
use crate::volume::state::Served;

/// The topology of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Whether the gateway of `default` serves every profile that is not standalone.
    pub is_multiplex: bool,
    /// Whether that is not known: the signs cannot decide. Only `default` starts then, which is right in either topology, and what it
    /// writes decides at the next boot.
    pub is_unknown: bool,
    /// For `auto`, what decided.
    pub sign: Option<String>,
}

/// What decides for `auto`, the first sign before the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// Whether multiplexing is switched on.
    pub is_multiplexing: bool,
    /// Whom the gateway of `default` has last served.
    pub served: Served,
    /// The config.yaml of a standalone profile.
    pub standalone: Option<PathBuf>,
    /// The `gateway.parked` of a named profile. Where the last profile that was served is parked, `default` lists itself alone.
    pub parked: Option<PathBuf>,
    /// Whether there is `.multiplex_opt_out_rewritten`, which a gateway leaves when it has changed a `multiplex_profiles: false` of
    /// config.yaml.
    pub is_rewritten: bool,
    /// Whether there is `.hermes-init-multiplex`, which `start` leaves before it unparks a profile. It counts unless `default` has written
    /// since that it does not multiplex.
    pub is_remembered: bool,
    /// Whether there is a profile beside `default`. No sign by itself.
    pub has_named: bool,
}

/// What a gateway leaves in `HERMES_HOME` when it has changed a `multiplex_profiles: false` of config.yaml.
pub static REWRITTEN: Name = Name::fixed(c".multiplex_opt_out_rewritten");

/// What is said where the signs cannot decide.
pub const UNKNOWN: &str = "unable to determine the topology: when the gateway of default last started, there was no other \
                           profile to serve; only default is started: set HERMES_INIT_TOPOLOGY, to multiplex for Hermes Agent \
                           from release 0.21.5 on, to per-profile for an earlier one";

impl Signs {
    /// Returns whether there is a sign for one gateway that serves all.
    pub fn has_any(&self) -> bool {
        self.first().is_some()
    }

    /// Returns whether `.hermes-init-multiplex` counts.
    fn counts_as_remembered(&self) -> bool {
        let is_refuted = matches!(self.served, Served::NobodyElse { has_itself: false, .. });
        self.is_remembered && (!is_refuted || self.served.is_single())
    }

    /// Returns the first sign for one gateway that serves all.
    fn first(&self) -> Option<String> {
        if self.is_multiplexing {
            Some("multiplex is on".to_owned())
        } else if self.served == Served::Others {
            Some("served_profiles in gateway_state.json".to_owned())
        } else if let Some(config) = &self.standalone {
            Some(format!("gateway.standalone in {}", config.display()))
        } else if let Some(parked) = &self.parked {
            Some(format!("{} exists", parked.display()))
        } else if self.is_rewritten {
            Some(".multiplex_opt_out_rewritten exists".to_owned())
        } else if self.counts_as_remembered() {
            Some(".hermes-init-multiplex exists".to_owned())
        } else {
            None
        }
    }

    /// Returns what the signs say.
    fn topology(&self) -> Topology {
        let of = |is_multiplex, is_unknown, sign| Topology { is_multiplex, is_unknown, sign: Some(sign) };
        match (self.first(), &self.served) {
            (Some(sign), _) => of(true, false, sign),
            (None, served) if served.is_single() && self.has_named => {
                of(true, true, "not known: the gateway of default had no other profile to serve".to_owned())
            }
            (None, Served::NobodyElse { why, .. }) => {
                let why = why.as_ref().map(|why| format!(": {}", Sentence(why))).unwrap_or_default();
                of(false, false, format!("the gateway of default served no other profile{why}"))
            }
            (None, Served::Unsaid | Served::Others) => {
                of(false, false, "nothing on the volume shows a gateway that serves all profiles".to_owned())
            }
        }
    }
}

impl Topology {
    /// Returns the topology for a choice.
    pub fn decide(choice: TopologyChoice, signs: &Signs) -> Topology {
        let set = |is_multiplex| Topology { is_multiplex, is_unknown: false, sign: None };
        match choice {
            TopologyChoice::PerProfile => set(false),
            TopologyChoice::Multiplex => set(true),
            TopologyChoice::Auto => signs.topology(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> [Served; 6] {
        let nobody =
            |why: Option<&str>| Served::NobodyElse { has_itself: false, why: why.map(str::to_owned) };
        [
            Served::Unsaid,
            Served::Others,
            nobody(None),
            Served::NobodyElse { has_itself: true, why: None },
            nobody(Some("profile(s) \"a=b\" still run their own gateway")),
            nobody(Some("only one profile exists (nothing to multiplex)")),
        ]
    }

    /// All combinations of signs.
    fn all() -> impl Iterator<Item = Signs> {
        (0..64).flat_map(|bits| {
            served().into_iter().map(move |served| Signs {
                is_multiplexing: bits & 1 != 0,
                served,
                standalone: (bits & 2 != 0).then(|| "profiles/coder/config.yaml".into()),
                parked: (bits & 4 != 0).then(|| "profiles/ops/gateway.parked".into()),
                is_rewritten: bits & 8 != 0,
                has_named: bits & 16 != 0,
                is_remembered: bits & 32 != 0,
            })
        })
    }

    #[test]
    fn what_is_set_decides_before_what_the_volume_shows() {
        for signs in all() {
            for (choice, is_multiplex) in
                [(TopologyChoice::PerProfile, false), (TopologyChoice::Multiplex, true)]
            {
                let expected = Topology { is_multiplex, is_unknown: false, sign: None };
                assert_eq!(Topology::decide(choice, &signs), expected);
            }
        }
    }

    #[test]
    fn auto_is_multiplex_by_any_sign_names_the_first_and_says_why_nobody_is_served() {
        for signs in all() {
            let mut is_unknown = false;
            let (is_multiplex, sign) =
                match &signs {
                    Signs { is_multiplexing: true, .. } => (true, "multiplex is on"),
                    Signs { served: Served::Others, .. } => (true, "served_profiles in gateway_state.json"),
                    Signs { standalone: Some(_), .. } => {
                        (true, "gateway.standalone in profiles/coder/config.yaml")
                    }
                    Signs { parked: Some(_), .. } => (true, "profiles/ops/gateway.parked exists"),
                    Signs { is_rewritten: true, .. } => (true, ".multiplex_opt_out_rewritten exists"),
                    // A list without itself, and another reason than that there was nobody, refute it.
                    Signs {
                        is_remembered: true,
                        served: Served::Unsaid | Served::NobodyElse { has_itself: true, .. },
                        ..
                    } => (true, ".hermes-init-multiplex exists"),
                    Signs {
                        is_remembered: true, served: Served::NobodyElse { why: Some(why), .. }, ..
                    } if why.starts_with("only") => (true, ".hermes-init-multiplex exists"),
                    Signs { served: Served::Unsaid, .. } => {
                        (false, "nothing on the volume shows a gateway that serves all profiles")
                    }
                    Signs { served: Served::NobodyElse { why: None, .. }, .. } => {
                        (false, "the gateway of default served no other profile")
                    }
                    Signs { served: Served::NobodyElse { why: Some(why), .. }, has_named, .. }
                        if why.starts_with("only") =>
                    {
                        is_unknown = *has_named;
                        if is_unknown {
                            (true, "not known: the gateway of default had no other profile to serve")
                        } else {
                            (
                                false,
                                "the gateway of default served no other profile: \
                             \"only one profile exists (nothing to multiplex)\"",
                            )
                        }
                    }
                    Signs { served: Served::NobodyElse { why: Some(_), .. }, .. } => (
                        false,
                        "the gateway of default served no other profile: \
                     \"profile(s) \\\"a\\u003db\\\" still run their own gateway\"",
                    ),
                };
            let topology = Topology { is_multiplex, is_unknown, sign: Some(sign.to_owned()) };
            assert_eq!(Topology::decide(TopologyChoice::Auto, &signs), topology, "{signs:?}");
            assert_eq!(signs.has_any(), is_multiplex && !is_unknown, "{signs:?}");
        }
    }
}
