//! gateway_state.json: what a gateway was, and what its operator wanted it to be.

use super::json::{Object, Value};
use crate::error::Reason;
use crate::sys::{Dir, Errno, Name, file};

/// The state file of a profile.
pub static STATE: Name = Name::fixed(c"gateway_state.json");
/// Largest state file that is read, in bytes.
pub const CAP: u64 = 1 << 20;

/// Longest state, in bytes; a pass keeps those of all profiles until its end.
const WORD_CAP: usize = 16 << 10;

/// The word for a gateway that was running, or should be.
pub const RUNNING: &str = "running";
/// The word for one that should not.
pub const STOPPED: &str = "stopped";

/// What a profile's state file says about the next start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prior {
    /// The state that decided, as it stands in the file.
    pub word: Option<&'static str>,
    /// The key under which it stood.
    pub key: Key,
}

/// The key that decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Key {
    /// None: there is no file, or nothing usable in it.
    #[default]
    Neither,
    /// `desired_state`, which the operator last asked for.
    Desired,
    /// `gateway_state`, which the gateway last wrote.
    Gateway,
}

impl Key {
    /// The key as it stands in the file.
    pub fn text(self) -> &'static str {
        match self {
            Key::Neither => "",
            Key::Desired => "desired_state",
            Key::Gateway => "gateway_state",
        }
    }
}

impl Prior {
    /// Whether the gateway is to be started. `draining` and `degraded` are moments of a running gateway that was killed in
    /// them; `starting` and `startup_failed` stay down, so that a boot makes no crash loop.
    pub fn starts(self) -> bool {
        match (self.key, self.word) {
            (_, Some(RUNNING)) => true,
            (Key::Gateway, Some(word)) => matches!(word, "draining" | "degraded"),
            _ => false,
        }
    }
}

/// What a state file's bytes say; what is wrong with those that say nothing.
pub fn parse(bytes: &[u8]) -> Result<Prior, &'static str> {
    let object = Object::parse(bytes)?;
    let prior = |word: String, key| {
        let fits = word.len() <= WORD_CAP;
        if fits {
            Ok(Prior { word: Some(word.leak()), key })
        } else {
            Err("the state is longer than 16384 bytes")
        }
    };
    match object.get(Key::Desired.text()) {
        Value::Text(word) => return prior(word, Key::Desired),
        Value::Other => return Err("desired_state is not a string"),
        Value::Absent => (),
    }
    match object.get(Key::Gateway.text()) {
        Value::Text(word) => prior(word, Key::Gateway),
        Value::Other => Err("gateway_state is not a string"),
        Value::Absent => Err("neither desired_state nor gateway_state is a string"),
    }
}

/// Reads a profile's state: none, with the reason, where the file is there and cannot be used.
pub fn read(profile: &Dir) -> (Prior, Option<Reason>) {
    let bytes = match file::read(profile, &STATE, CAP) {
        Err(Reason::Errno(Errno::NOENT)) => return (Prior::default(), None),
        Err(reason) => return (Prior::default(), Some(reason)),
        Ok(bytes) => bytes,
    };
    match parse(&bytes) {
        Ok(prior) => (prior, None),
        Err(why) => (Prior::default(), Some(why.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Result<(Option<&'static str>, bool), &'static str> {
        parse(text.as_bytes()).map(|prior| (prior.word, prior.starts()))
    }

    #[test]
    fn the_operators_word_counts_before_the_gateways() {
        for (text, expected, starts) in [
            (r#"{"gateway_state":"running"}"#, "running", true),
            (r#"{"gateway_state":"draining"}"#, "draining", true),
            (r#"{"gateway_state":"degraded"}"#, "degraded", true),
            (r#"{"gateway_state":"starting"}"#, "starting", false),
            (r#"{"gateway_state":"startup_failed"}"#, "startup_failed", false),
            (r#"{"gateway_state":"Running"}"#, "Running", false),
            (r#"{"gateway_state":"running","desired_state":"stopped"}"#, "stopped", false),
            (r#"{"gateway_state":"stopped","desired_state":"running"}"#, "running", true),
            (r#"{"gateway_state":"running","desired_state":"draining"}"#, "draining", false),
            (r#"{"gateway_state":"running","desired_state":null}"#, "running", true),
            (r#"{"gateway_state":"running","desired_state":""}"#, "", false),
            ("\u{feff}{\"desired_state\":\"running\"}", "running", true),
        ] {
            assert_eq!(word(text), Ok((Some(expected), starts)), "{text}");
        }
    }

    #[test]
    fn what_says_nothing_is_said() {
        assert_eq!(word(r#"{"gateway_state":1}"#), Err("gateway_state is not a string"));
        assert_eq!(
            word(r#"{"gateway_state":"running","desired_state":1}"#),
            Err("desired_state is not a string")
        );
        assert!(word("{}").is_err());
        assert!(word("[]").is_err());
    }
}
