//! `state/gateway.lifecycle.json`, in which a gateway records how it ended. It is shown in the log and decides nothing.

use super::budget::Budget;
use super::contents::Contents;
use crate::output::json::{Object, Value};
use crate::sys::{Reason, SubPath};

/// The ledger, below the profile's directory.
pub static LEDGER: SubPath = SubPath::fixed(c"state/gateway.lifecycle.json");
/// Largest ledger that is read, in bytes.
const CAP: u64 = 64 << 10;

/// How a profile's gateway ended last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriorExit {
    /// It ended by itself.
    Clean,
    /// It was killed: the ledger still says that it runs.
    Unclean,
    /// The ledger does not say.
    Unknown,
}

impl PriorExit {
    /// Returns the word in the log.
    pub fn text(self) -> &'static str {
        match self {
            PriorExit::Clean => "clean",
            PriorExit::Unclean => "unclean",
            PriorExit::Unknown => "unknown",
        }
    }

    /// Parses a ledger.
    pub fn parse(bytes: &[u8]) -> PriorExit {
        match Object::parse(bytes).map(|object| object.get("phase")) {
            Ok(Value::Text(phase)) if phase == "exited" => PriorExit::Clean,
            Ok(Value::Text(phase)) if phase == "running" => PriorExit::Unclean,
            _ => PriorExit::Unknown,
        }
    }

    /// Reads the ledger of a profile. One that cannot be read is [`PriorExit::Unknown`]; fails only if the budget is used up.
    pub fn read(profile: Contents<'_>, budget: &Budget) -> Result<PriorExit, Reason> {
        match budget.json.read_below(profile, &LEDGER, CAP) {
            Ok(bytes) => Ok(PriorExit::parse(&bytes)),
            Err(over @ Reason::Unread(_)) => Err(over),
            Err(Reason::Errno(_) | Reason::Rule(_)) => Ok(PriorExit::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_tells_how_it_ended() {
        for (text, exit) in [
            (r#"{"phase":"exited"}"#, PriorExit::Clean),
            (r#"{"phase":"running","pid":7}"#, PriorExit::Unclean),
            (r#"{"phase":"starting"}"#, PriorExit::Unknown),
            (r#"{"phase":"Exited"}"#, PriorExit::Unknown),
            (r#"{"phase":1}"#, PriorExit::Unknown),
            (r#"{"phase":null}"#, PriorExit::Unknown),
            (r#"{"phase":["exited"]}"#, PriorExit::Unknown),
            (r#"{"state":{"phase":"exited"}}"#, PriorExit::Unknown),
            (r#"{"phase":"running","phase":"exited"}"#, PriorExit::Clean),
            (r#"{"phase":"exited","phase":1}"#, PriorExit::Unknown),
            (r#"{"phase":"exited""#, PriorExit::Unknown),
            ("[]", PriorExit::Unknown),
            ("", PriorExit::Unknown),
        ] {
            assert_eq!(PriorExit::parse(text.as_bytes()), exit, "{text}");
        }
    }
}
