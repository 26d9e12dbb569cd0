//! gateway_state.json and gateway.lifecycle.json: a byte order mark and white space around the text change nothing; where
//! serde_json reads an object, the outcome is the one that follows from it; a state that is set is read back.
#![no_main]

use hermes_init::fuzzing::json::Object;
use hermes_init::fuzzing::PriorExit;
use hermes_init::fuzzing::state::{self, Key, RecordedState};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What the rules say of an object that serde_json has read; `None` where it says nothing usable.
fn model(object: &Map<String, Value>) -> Option<(&str, Key)> {
    fn state(word: &str, key: Key) -> Option<(&str, Key)> {
        // A longer one is no state.
        (word.len() <= 16_384).then_some((word, key))
    }
    match object.get("desired_state") {
        Some(Value::String(word)) => return state(word, Key::Desired),
        Some(Value::Null) | None => (),
        Some(_) => return None,
    }
    match object.get("gateway_state") {
        Some(Value::String(word)) => state(word, Key::Gateway),
        _ => None,
    }
}

fuzz_target!(|text: &[u8]| {
    let parsed = state::parse(text);
    let exit = PriorExit::parse(text);
    let mut padded = [text, b" \n\t\r\n"].concat();
    assert_eq!(state::parse(&padded), parsed);
    assert_eq!(PriorExit::parse(&padded), exit);
    if !text.starts_with(BOM) {
        padded.splice(0..0, BOM.iter().copied());
        assert_eq!(state::parse(&padded), parsed);
    }
    if let Ok(state) = &parsed {
        let word = state.word.as_str();
        let running = word == "running" || (state.key == Key::Gateway && ["draining", "degraded"].contains(&word));
        assert_eq!(state.starts(), running);
    }
    let bare = text.strip_prefix(BOM).unwrap_or(text);
    match serde_json::from_slice(bare) {
        Ok(Value::Object(object)) => {
            let parsed = parsed.as_ref().ok();
            assert_eq!(parsed.map(|state| (state.word.as_str(), state.key)), model(&object));
            let expected = match object.get("phase").and_then(Value::as_str) {
                Some("exited") => PriorExit::Clean,
                Some("running") => PriorExit::Unclean,
                _ => PriorExit::Unknown,
            };
            assert_eq!(exit, expected);
        }
        Ok(_) => assert!(parsed.is_err() && exit == PriorExit::Unknown),
        // Numbers beyond f64 are no trouble of ours: nobody asks for their value.
        Err(_) => (),
    }
    if let Ok(object) = Object::parse(text) {
        let set = object.with(&[("desired_state", "stopped".into())]);
        let word = "stopped".to_owned();
        assert_eq!(state::parse(set.as_bytes()), Ok(RecordedState { key: Key::Desired, word }));
        let again = Object::parse(set.as_bytes()).map(|object| object.get("gateway_state"));
        assert_eq!(again, Ok(object.get("gateway_state")));
    }
});
