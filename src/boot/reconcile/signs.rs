//! Which gateways a volume has: one for each profile, or that of `default` for every profile that is not standalone. Releases from
//! 0.21.5 on have the latter. For `auto`, what a gateway of these releases leaves on the volume decides.

use super::intent::CONFIG;
use crate::output::Console;
use crate::output::Error;
use crate::s6::ProfileName;
use crate::settings::topology::TopologyChoice;
use crate::sys::{Dir, Errno, Name, file};
use crate::volume::Home;
use crate::volume::config::{self, Answer};
use crate::volume::profiles;

/// What a gateway leaves in `HERMES_HOME` when it has changed a `multiplex_profiles: false` of config.yaml.
static REWRITTEN: Name = Name::fixed(c".multiplex_opt_out_rewritten");

/// The topology of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// Whether the gateway of `default` serves every profile that is not standalone.
    pub multiplex: bool,
    /// For `auto`, what decided.
    pub sign: Option<String>,
}

/// What of a volume decides for `auto`, besides its `.multiplex_opt_out_rewritten`.
pub struct Signs {
    /// Whether multiplexing is switched on.
    pub multiplex: bool,
    /// Whether the root profile's state file has `served_profiles`.
    pub served: bool,
    /// A standalone profile.
    pub standalone: Option<ProfileName>,
}

impl Topology {
    /// Returns the topology for a choice.
    pub fn decide(choice: TopologyChoice, signs: &Signs, home: Option<&Home>, console: &Console) -> Topology {
        if choice != TopologyChoice::Auto {
            return Topology { multiplex: choice == TopologyChoice::Multiplex, sign: None };
        }
        let sign = if signs.multiplex {
            "multiplex is on".to_owned()
        } else if signs.served {
            "served_profiles in gateway_state.json".to_owned()
        } else if let Some(name) = &signs.standalone {
            format!("gateway.standalone in {}", profiles::label(name, &CONFIG).display())
        } else if home.is_some_and(|home| was_rewritten(home, console)) {
            "there is .multiplex_opt_out_rewritten".to_owned()
        } else {
            let sign = "nothing on the volume shows a gateway that serves all profiles".to_owned();
            return Topology { multiplex: false, sign: Some(sign) };
        };
        Topology { multiplex: true, sign: Some(sign) }
    }
}

fn was_rewritten(home: &Home, console: &Console) -> bool {
    match home.dir.meta(&REWRITTEN) {
        Ok(_) => true,
        Err(Errno::NOENT) => false,
        Err(errno) => {
            console.failed(&Error::new("look at", &REWRITTEN, errno));
            false
        }
    }
}

/// Returns whether a profile has a gateway of its own where the gateway of `default` serves the others: `gateway.standalone` in its
/// config.yaml. What cannot be read for certain is reported and counts as no. The root profile is never standalone.
pub fn is_standalone(dir: &Dir, profile: &ProfileName, console: &Console) -> bool {
    let reason = match file::find(dir, &CONFIG, config::CAP) {
        Ok(None) => return false,
        Err(reason) => reason,
        Ok(Some(text)) => match config::standalone(&text) {
            Answer::True { .. } if profile.is_root() => {
                console.warn(format_args!(
                    "gateway.standalone in config.yaml is ignored: the gateway of default serves other profiles"
                ));
                return false;
            }
            Answer::True { .. } => return true,
            Answer::Absent | Answer::False { .. } => return false,
            Answer::Unsure { line, why } => format!("line {line}: {why}").into(),
        },
    };
    if !profile.is_root() {
        let reason = format!("{reason}; taken as not standalone");
        console.failed(&Error::new(
            "read gateway.standalone for certain from",
            profiles::label(profile, &CONFIG),
            reason,
        ));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(choice: TopologyChoice, multiplex: bool, served: bool, standalone: bool) -> (bool, String) {
        let signs = Signs { multiplex, served, standalone: standalone.then(ProfileName::root) };
        let topology = Topology::decide(choice, &signs, None, &Console::new("reconcile", None));
        (topology.multiplex, topology.sign.unwrap_or_default())
    }

    #[test]
    fn what_is_set_decides_before_what_the_volume_shows() {
        for signs in [false, true] {
            for (choice, multiplex) in
                [(TopologyChoice::PerProfile, false), (TopologyChoice::Multiplex, true)]
            {
                assert_eq!(decided(choice, signs, signs, signs), (multiplex, String::new()));
            }
        }
    }

    #[test]
    fn auto_is_multiplex_by_any_sign() {
        let auto =
            |multiplex, served, standalone| decided(TopologyChoice::Auto, multiplex, served, standalone);
        assert!(!auto(false, false, false).0);
        assert_eq!(auto(true, true, true), (true, "multiplex is on".to_owned()));
        assert_eq!(auto(false, true, true), (true, "served_profiles in gateway_state.json".to_owned()));
        assert_eq!(auto(false, false, true), (true, "gateway.standalone in config.yaml".to_owned()));
    }
}
