//! state/gateway.lifecycle.json: how a gateway ended. For the log only; never in the way of a boot.

use super::json::{Object, Value};
use crate::sys::{Below, Dir, Name, file};

static LIFECYCLE: Below = Below::fixed(
    c"state/gateway.lifecycle.json",
    Name::fixed(c"state"),
    Name::fixed(c"gateway.lifecycle.json"),
);
/// Largest lifecycle file that is read, in bytes.
const CAP: u64 = 1 << 20;

/// How a profile's gateway ended last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriorExit {
    /// It came to its own end.
    Clean,
    /// It was killed: the file still says that it runs.
    Unclean,
    /// Nobody knows.
    Unknown,
}

impl PriorExit {
    /// The word in the log.
    pub fn text(self) -> &'static str {
        match self {
            PriorExit::Clean => "clean",
            PriorExit::Unclean => "unclean",
            PriorExit::Unknown => "unknown",
        }
    }

    /// What a lifecycle file's bytes say.
    pub fn parse(bytes: &[u8]) -> PriorExit {
        match Object::parse(bytes).map(|object| object.get("phase")) {
            Ok(Value::Text(phase)) if phase == "exited" => PriorExit::Clean,
            Ok(Value::Text(phase)) if phase == "running" => PriorExit::Unclean,
            _ => PriorExit::Unknown,
        }
    }

    /// Reads it; whatever is wrong is "unknown".
    pub fn read(profile: &Dir) -> PriorExit {
        file::read_below(profile, &LIFECYCLE, CAP)
            .map_or(PriorExit::Unknown, |bytes| PriorExit::parse(&bytes))
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
            (r#"{"phase":1}"#, PriorExit::Unknown),
            ("[]", PriorExit::Unknown),
            ("", PriorExit::Unknown),
        ] {
            assert_eq!(PriorExit::parse(text.as_bytes()), exit, "{text}");
        }
    }
}
