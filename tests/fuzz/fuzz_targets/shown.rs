//! What is printed of a value from the volume: one word of printable ASCII, bare or a JSON string that says the value.
#![no_main]

use hermes_init::fuzzing::escape::{FromVolume, Quoted, Shown};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let lossy = String::from_utf8_lossy(value);
    let quoted = Quoted(value).to_string();
    assert_eq!(serde_json::from_str::<String>(&quoted).expect("a JSON string"), lossy);
    let shown = Shown(value).to_string();
    let from_volume = FromVolume(value).to_string();
    for text in [&quoted, &shown, &from_volume] {
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
    // No search for a field finds it.
    assert!(!from_volume.contains([' ', '=']));
    let same = from_volume.replace("\\u0020", " ").replace("\\u003d", "=") == shown;
    assert!(same || shown.contains("\\u00"));
    if shown.starts_with('"') {
        assert!(shown == quoted || value.len() > 4096 || lossy.len() > value.len());
    } else {
        assert!(shown.as_bytes() == value && !shown.contains([' ', '=', '"']) && !shown.is_empty());
    }
});
