//! The topology: one gateway for each profile, or one gateway, that of `default`, for all profiles.

use super::{Lookup, Setting, TOPOLOGY_VARIABLE};
use crate::output::{Console, Result};

/// The topology that an option or a variable sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopologyChoice {
    /// The volume decides.
    Auto,
    /// Each profile has a gateway of its own.
    PerProfile,
    /// The gateway of `default` serves every profile that is not standalone.
    Multiplex,
}

/// The words of an option or a variable.
pub static CHOICES: [(&str, TopologyChoice); 3] = [
    ("auto", TopologyChoice::Auto),
    ("per-profile", TopologyChoice::PerProfile),
    ("multiplex", TopologyChoice::Multiplex),
];

/// Returns what the option sets, else the variable, else `auto`.
pub fn choice(
    lookup: &Lookup,
    option: Option<TopologyChoice>,
    console: &Console,
) -> Result<Setting<TopologyChoice>> {
    lookup.choice(option, TOPOLOGY_VARIABLE, &CHOICES, TopologyChoice::Auto, console)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::settings::choice::choose;

    #[test]
    fn each_word_is_its_topology() {
        for (word, topology) in [
            ("auto", TopologyChoice::Auto),
            ("per-profile", TopologyChoice::PerProfile),
            ("multiplex", TopologyChoice::Multiplex),
        ] {
            assert_eq!(choose(&CHOICES, OsStr::new(word)), Ok(topology));
        }
        let why = "Multiplex is not one of auto, per-profile, multiplex (did you mean multiplex?)";
        assert_eq!(choose(&CHOICES, OsStr::new("Multiplex")), Err(why.to_owned()));
    }
}
