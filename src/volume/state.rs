//! `gateway_state.json`: the state that a gateway last wrote, and the one that its operator last asked for.

use super::budget::{Budget, JSON_FREE};
use super::contents::Contents;
use crate::output::json::{Object, Value};
use crate::sys::proc::Named;
use crate::sys::{Dir, Name, Reason, file};

/// The state file of a profile.
pub static STATE: Name = Name::fixed(c"gateway_state.json");
/// Largest state file that is read, in bytes. Hermes Agent's have about 1 KiB, and one of a gateway that serves 1,000 profiles some 20.
pub const CAP: u64 = 64 << 10;

/// Longest state, in bytes. A pass keeps the states of all profiles until its end.
const WORD_CAP: usize = 256;

/// The state of a gateway that runs, or should run.
pub const RUNNING: &str = "running";
/// The state of a gateway that should not run.
pub const STOPPED: &str = "stopped";

/// The state in a state file that decides whether the gateway starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedState {
    /// The key that has it.
    pub key: Key,
    /// The state, as the file has it.
    pub word: String,
}

/// The key that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `desired_state`, the operator's last request.
    Desired,
    /// `gateway_state`, the gateway's last report.
    Gateway,
}

impl Key {
    /// Returns the key as the file has it.
    pub fn text(self) -> &'static str {
        match self {
            Key::Desired => "desired_state",
            Key::Gateway => "gateway_state",
        }
    }
}

impl RecordedState {
    /// Returns whether the gateway is to be started. A gateway that was killed while `draining` or `degraded` was running;
    /// `starting` and `startup_failed` stay down, so that a boot makes no crash loop.
    pub fn starts(&self) -> bool {
        match (self.key, self.word.as_str()) {
            (_, RUNNING) | (Key::Gateway, "draining" | "degraded") => true,
            (Key::Desired | Key::Gateway, _) => false,
        }
    }
}

/// Parses a state file. The error says why it is not usable.
pub fn parse(bytes: &[u8]) -> Result<RecordedState, &'static str> {
    recorded(&Object::parse(bytes)?)
}

fn recorded(object: &Object<'_>) -> Result<RecordedState, &'static str> {
    let (word, key) = match object.get(Key::Desired.text()) {
        Value::Text(word) => (word, Key::Desired),
        Value::Other => return Err("desired_state is not a string"),
        Value::Absent => match object.get(Key::Gateway.text()) {
            Value::Text(word) => (word, Key::Gateway),
            Value::Other => return Err("gateway_state is not a string"),
            Value::Absent => return Err("neither desired_state nor gateway_state is a string"),
        },
    };
    if word.len() > WORD_CAP {
        return Err("the state is longer than 256 bytes");
    }
    Ok(RecordedState { key, word })
}

/// Returns whether a text says itself that it is a gateway's state: it is an object with one of the two keys, whatever their values are.
pub fn is_one(bytes: &[u8]) -> bool {
    Object::parse(bytes).is_ok_and(|object| has_state(&object))
}

/// Returns whether an object has one of the two keys.
pub fn has_state(object: &Object<'_>) -> bool {
    [Key::Desired, Key::Gateway].iter().any(|key| object.has(key.text()))
}

/// Whom a gateway has last served, as its state file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Served {
    /// It does not say: there is no list `served_profiles`.
    #[default]
    Unsaid,
    /// The list names another profile than `default`.
    Others,
    /// The list is empty, or has `default` alone: the gateway served nobody else.
    NobodyElse {
        /// Whether the list has `default`, as that of a gateway that would serve others.
        has_itself: bool,
        /// Why, by `multiplex_standalone_reason`, which releases from 0.21.4 on write; of a long one the first 256 characters.
        why: Option<String>,
    },
}

/// How `multiplex_standalone_reason` begins where `default` was the only profile.
pub const SINGLE: &str = "only one profile exists";

impl Served {
    /// Reads it. An entry that is no name counts as none.
    fn of(object: &Object<'_>) -> Served {
        let Report { served, why, .. } = Report::of(object);
        match (served, why) {
            (Some(list), _) if list.iter().any(|name| name != "default") => Served::Others,
            (None, None) => Served::Unsaid,
            (list, why) => {
                let has_itself = list.is_some_and(|list| !list.is_empty());
                Served::NobodyElse { has_itself, why }
            }
        }
    }

    /// Returns whether the gateway had nobody else to serve: that does not show whether it would.
    pub fn is_single(&self) -> bool {
        matches!(self, Served::NobodyElse { why: Some(why), .. } if why.starts_with(SINGLE))
    }
}

/// What a gateway has last written of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Its process.
    pub process: Option<Named>,
    /// The profiles that it serves, by `served_profiles`; `None` if there is no such list. An entry that is no name counts as none.
    pub served: Option<Vec<String>>,
    /// Why it serves no other profile, by `multiplex_standalone_reason`, which releases from 0.21.4 on write; of a long one the first 256
    /// characters.
    pub why: Option<String>,
}

impl Report {
    fn of(object: &Object<'_>) -> Report {
        let why = match object.get("multiplex_standalone_reason") {
            Value::Text(why) if !why.is_empty() => Some(why.chars().take(WORD_CAP).collect()),
            Value::Text(_) | Value::Other | Value::Absent => None,
        };
        let name = |value| match value {
            Value::Text(name) if !name.is_empty() => Some(name),
            _ => None,
        };
        let served = object.list("served_profiles").map(|list| list.into_iter().filter_map(name).collect());
        let process = object.number("pid").map(|pid| Named { pid, start: object.number("start_time") });
        Report { process, served, why }
    }
}

/// What the state file of a profile says.
#[derive(Debug, PartialEq, Eq)]
pub struct StateFile {
    /// The state that decides; `None` if there is no state file. If the file is not usable, why: an errno if it could not be read.
    pub state: Result<Option<RecordedState>, Reason>,
    /// Whom its gateway has last served.
    pub served: Served,
    /// When the file was last changed, in seconds since 1970, if it was read.
    pub modified: Option<i64>,
}

impl Default for StateFile {
    /// Returns what is known where there is no state file.
    fn default() -> StateFile {
        StateFile { state: Ok(None), served: Served::Unsaid, modified: None }
    }
}

impl StateFile {
    fn unusable(reason: impl Into<Reason>) -> StateFile {
        StateFile { state: Err(reason.into()), served: Served::Unsaid, modified: None }
    }

    fn parse(bytes: &[u8]) -> StateFile {
        let object = match Object::parse(bytes) {
            Ok(object) => object,
            Err(why) => return StateFile::unusable(why),
        };
        let state = recorded(&object).map(Some).map_err(Reason::from);
        StateFile { state, served: Served::of(&object), modified: None }
    }
}

/// Reads the state file of a profile, which a gateway that runs replaces again and again.
pub fn read(profile: Contents<'_>, budget: &Budget) -> StateFile {
    match budget.json.find(profile.without_listing(), &STATE, CAP) {
        Ok(Some((bytes, meta))) => StateFile { modified: Some(meta.modified), ..StateFile::parse(&bytes) },
        Ok(None) => StateFile::default(),
        Err(reason) => StateFile::unusable(reason),
    }
}

/// Returns whether the state file of a directory below asks for a start, with one call where there is none. Fails if the directory is a
/// symlink, or the file is so large that it costs something of a budget.
pub fn starts_below(dir: &Dir, directory: &Name) -> Result<bool, Reason> {
    let text = file::find_below(dir, directory, &STATE, JSON_FREE)?;
    let state = text.and_then(|text| StateFile::parse(&text).state.ok()?);
    Ok(state.is_some_and(|state| state.starts()))
}

/// Reads what a gateway has last written of itself; `None` if there is no state file, or what is in it is no object.
pub fn report(profile: &Dir) -> Result<Option<Report>, Reason> {
    match file::find(profile, &STATE, CAP) {
        Ok(text) => Ok(text.and_then(|text| Object::parse(&text).ok().map(|object| Report::of(&object)))),
        Err(reason @ Reason::Errno(_)) => Err(reason),
        // No gateway writes a file of this type or this size.
        Err(Reason::Rule(_) | Reason::Unread(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Result<(String, bool), &'static str> {
        parse(text.as_bytes()).map(|state| (state.word.clone(), state.starts()))
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
            assert_eq!(word(text), Ok((expected.to_owned(), starts)), "{text}");
        }
    }

    /// A value of a state file, and the string that it is, if it is one. No value is an absent key.
    const VALUES: [(Option<&str>, Option<&str>); 16] = [
        (None, None),
        (Some("null"), None),
        (Some("\"running\""), Some("running")),
        (Some("\"stopped\""), Some("stopped")),
        (Some("\"draining\""), Some("draining")),
        (Some("\"degraded\""), Some("degraded")),
        (Some("\"starting\""), Some("starting")),
        (Some("\"startup_failed\""), Some("startup_failed")),
        (Some("\"Running\""), Some("Running")),
        (Some("\"running \""), Some("running ")),
        (Some("\"\""), Some("")),
        (Some("1"), None),
        (Some("true"), None),
        (Some("[\"running\"]"), None),
        (Some("{\"desired_state\": \"running\"}"), None),
        (Some("\"\\ud83d\""), None),
    ];

    #[test]
    fn the_operators_word_counts_before_the_gateways_whatever_either_is() {
        for (desired, desired_word) in VALUES {
            for (gateway, gateway_word) in VALUES {
                let members = [("desired_state", desired), ("gateway_state", gateway)];
                let members: Vec<String> = members
                    .iter()
                    .filter_map(|(key, value)| value.map(|value| format!("\"{key}\": {value}")))
                    .collect();
                let text = format!("{{{}}}", members.join(", "));
                let is_none = |value: Option<&str>| matches!(value, None | Some("null"));
                let expected = match (desired_word, gateway_word) {
                    (Some(word), _) => Ok((Key::Desired, word)),
                    (None, _) if !is_none(desired) => Err("desired_state is not a string"),
                    (None, Some(word)) => Ok((Key::Gateway, word)),
                    (None, None) if !is_none(gateway) => Err("gateway_state is not a string"),
                    (None, None) => Err("neither desired_state nor gateway_state is a string"),
                };
                let expected = expected.map(|(key, word)| RecordedState { key, word: word.to_owned() });
                assert_eq!(parse(text.as_bytes()), expected, "{text}");
            }
        }
    }

    #[test]
    fn only_a_running_gateway_starts_again() {
        for (word, by_request, by_report) in [
            ("running", true, true),
            ("draining", false, true),
            ("degraded", false, true),
            ("starting", false, false),
            ("startup_failed", false, false),
            ("stopped", false, false),
            ("Running", false, false),
            ("running ", false, false),
            ("paused", false, false),
            ("", false, false),
        ] {
            let state = |key| RecordedState { key, word: word.to_owned() };
            assert_eq!(state(Key::Desired).starts(), by_request, "{word}");
            assert_eq!(state(Key::Gateway).starts(), by_report, "{word}");
        }
    }

    #[test]
    fn a_state_has_a_length() {
        let state = |size: usize| word(&format!("{{\"gateway_state\": \"{}\"}}", "x".repeat(size)));
        assert!(state(256).is_ok());
        assert_eq!(state(257), Err("the state is longer than 256 bytes"));
        assert_eq!(
            word(&format!("{{\"desired_state\": \"{}\", \"gateway_state\": \"running\"}}", "x".repeat(257))),
            Err("the state is longer than 256 bytes")
        );
    }

    #[test]
    fn who_is_served_is_seen_beside_any_state() {
        let state = |word: &str| Ok(Some(RecordedState { key: Key::Gateway, word: word.to_owned() }));
        let neither = || Err("neither desired_state nor gateway_state is a string".into());
        let nobody = || Served::NobodyElse { has_itself: false, why: None };
        for (text, expected, served) in [
            (r#"{"gateway_state": "x", "served_profiles": ["a"]}"#, state("x"), Served::Others),
            (r#"{"gateway_state": "x", "served_profiles": []}"#, state("x"), nobody()),
            (r#"{"gateway_state": "x", "served_profiles": null}"#, state("x"), Served::Unsaid),
            (r#"{"gateway_state": "x", "a": {"served_profiles": []}}"#, state("x"), Served::Unsaid),
            (r#"{"served_profiles": []}"#, neither(), nobody()),
            ("{}", neither(), Served::Unsaid),
            (r#"["served_profiles"]"#, Err("not a JSON object".into()), Served::Unsaid),
            ("{", Err("not JSON".into()), Served::Unsaid),
        ] {
            let read = StateFile::parse(text.as_bytes());
            assert_eq!(read, StateFile { state: expected, served, modified: None }, "{text}");
        }
        assert_eq!(StateFile::default().state, Ok(None));
    }

    #[test]
    fn a_list_serves_whom_it_names_and_the_reason_says_why_nobody() {
        let lists = [
            (None, None),
            (Some("null"), None),
            (Some("\"coder\""), None),
            (Some("{\"coder\": 1}"), None),
            (Some("1"), None),
            (Some("[]"), Some(false)),
            (Some("[\"default\"]"), Some(false)),
            (Some("[\"default\", \"default\"]"), Some(false)),
            (Some("[\"\", null, 1, [\"coder\"]]"), Some(false)),
            (Some("[\"coder\"]"), Some(true)),
            (Some("[\"default\", \"coder\"]"), Some(true)),
            (Some("[\"Default\"]"), Some(true)),
        ];
        let reasons = [
            (None, None, false),
            (Some("null"), None, false),
            (Some("\"\""), None, false),
            (Some("[]"), None, false),
            (Some("\"preflight failed\""), Some("preflight failed"), false),
            (
                Some("\"it is so that only one profile exists\""),
                Some("it is so that only one profile exists"),
                false,
            ),
            (
                Some("\"only one profile exists (nothing to multiplex)\""),
                Some("only one profile exists (nothing to multiplex)"),
                true,
            ),
        ];
        for (list, serves_others) in lists {
            for (reason, why, is_single) in reasons {
                let members = [("served_profiles", list), ("multiplex_standalone_reason", reason)];
                let members: Vec<String> = members
                    .iter()
                    .filter_map(|(key, value)| value.map(|value| format!("\"{key}\": {value}")))
                    .collect();
                let text = format!("{{{}}}", members.join(", "));
                let served = StateFile::parse(text.as_bytes()).served;
                let expected = match (serves_others, why) {
                    (Some(true), _) => Served::Others,
                    (None, None) => Served::Unsaid,
                    (Some(false), _) | (None, Some(_)) => {
                        let has_itself = list.is_some_and(|list| list.contains("default"));
                        Served::NobodyElse { has_itself, why: why.map(str::to_owned) }
                    }
                };
                assert_eq!(served, expected, "{text}");
                assert_eq!(served.is_single(), is_single && serves_others != Some(true), "{text}");
            }
        }
    }
}
