//! `gateway_state.json`: the state that a gateway last wrote, and the one that its operator last asked for.

use crate::output::json::{Object, Value};
use crate::sys::{Dir, Name, Reason, file};

/// The state file of a profile.
pub static STATE: Name = Name::fixed(c"gateway_state.json");
/// Largest state file that is read, in bytes.
pub const CAP: u64 = 1 << 20;

/// Longest state, in bytes. A pass keeps the states of all profiles until its end.
const WORD_CAP: usize = 16 << 10;

/// The state of a gateway that runs, or should run.
pub const RUNNING: &str = "running";
/// The state of a gateway that should not run.
pub const STOPPED: &str = "stopped";

/// The state of a profile, as far as it decides whether its gateway starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prior {
    /// The state that decides, as the file has it.
    pub word: Option<String>,
    /// The key that has it.
    pub key: Key,
}

/// The key that decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Key {
    /// None: there is no file, or no usable one.
    #[default]
    Neither,
    /// `desired_state`, the operator's last request.
    Desired,
    /// `gateway_state`, the gateway's last report.
    Gateway,
}

impl Key {
    /// Returns the key as the file has it.
    pub fn text(self) -> &'static str {
        match self {
            Key::Neither => "",
            Key::Desired => "desired_state",
            Key::Gateway => "gateway_state",
        }
    }
}

impl Prior {
    /// Returns whether the gateway is to be started. A gateway that was killed while `draining` or `degraded` was running;
    /// `starting` and `startup_failed` stay down, so that a boot makes no crash loop.
    pub fn starts(&self) -> bool {
        match (self.key, self.word.as_deref()) {
            (_, Some(RUNNING)) => true,
            (Key::Gateway, Some(word)) => matches!(word, "draining" | "degraded"),
            _ => false,
        }
    }
}

/// Parses a state file. The error says why it is not usable.
pub fn parse(bytes: &[u8]) -> Result<Prior, &'static str> {
    decide(&Object::parse(bytes)?)
}

fn decide(object: &Object<'_>) -> Result<Prior, &'static str> {
    let prior = |word: String, key| {
        if word.len() > WORD_CAP {
            return Err("the state is longer than 16384 bytes");
        }
        Ok(Prior { word: Some(word), key })
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

/// What the state file of a profile has.
#[derive(Default)]
pub struct Report {
    /// The state that decides; none if the file is not usable.
    pub prior: Prior,
    /// Why the file is not usable.
    pub trouble: Option<Reason>,
    /// Whether it lists the profiles that its gateway serves, also if these are none.
    pub served: bool,
}

/// Reads the state file of a profile.
pub fn read(profile: &Dir) -> Report {
    let mut report = Report::default();
    match file::find(profile, &STATE, CAP) {
        Ok(None) => (),
        Err(reason) => report.trouble = Some(reason),
        Ok(Some(bytes)) => {
            let decided = Object::parse(&bytes).and_then(|object| {
                report.served = object.has("served_profiles");
                decide(&object)
            });
            match decided {
                Ok(prior) => report.prior = prior,
                Err(why) => report.trouble = Some(why.into()),
            }
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Result<(Option<String>, bool), &'static str> {
        parse(text.as_bytes()).map(|prior| (prior.word.clone(), prior.starts()))
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
            assert_eq!(word(text), Ok((Some(expected.to_owned()), starts)), "{text}");
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
