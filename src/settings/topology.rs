//! The topology: one gateway for each profile, or one gateway, that of `default`, for all profiles.

/// The topology that an option or a variable sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopologyChoice {
    /// What the volume shows decides.
    Auto,
    /// Each profile has a gateway of its own.
    PerProfile,
    /// The gateway of `default` serves every profile that is not standalone.
    Multiplex,
}

/// The words of an option or a variable.
pub const WORDS: &str = "auto, per-profile, multiplex";

impl TopologyChoice {
    /// Parses the word of an option or a variable.
    pub fn parse(word: &[u8]) -> Option<TopologyChoice> {
        match word {
            b"auto" => Some(TopologyChoice::Auto),
            b"per-profile" => Some(TopologyChoice::PerProfile),
            b"multiplex" => Some(TopologyChoice::Multiplex),
            _ => None,
        }
    }
}
