//! config.yaml: a certain answer stays the same with a comment line behind the text, a byte order mark in front of it and CRLF
//! for its newlines; the line that it names holds the key.
#![no_main]

use hermes_init::fuzzing::config::{Answer, multiplex};
use libfuzzer_sys::fuzz_target;

const BOM: &[u8] = b"\xef\xbb\xbf";
const KEY: &[u8] = b"multiplex_profiles";

fuzz_target!(|text: &[u8]| {
    let answer = multiplex(text);
    let line = match answer {
        Answer::Unsure { line, .. } => {
            assert!((1..=text.split(|byte| *byte == b'\n').count()).contains(&line));
            return;
        }
        Answer::True { line } | Answer::False { line } => Some(line),
        Answer::Absent => None,
    };
    if let Some(line) = line {
        let named = text.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
        assert!(named.windows(KEY.len()).any(|window| window == KEY), "line {line}");
    }
    assert_eq!(multiplex(&[text, b"\n# gateway: x\n"].concat()), answer);
    // One that has the key in it makes the reader read what it need not understand otherwise, and doubt is fine then.
    let read = multiplex(&[text, b"\n# multiplex_profiles: true\n"].concat());
    assert!(read == answer || matches!((answer, read), (Answer::Absent, Answer::Unsure { .. })));
    if !text.starts_with(BOM) {
        assert_eq!(multiplex(&[BOM, text].concat()), answer);
    }
    if !text.contains(&b'\r') {
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        assert_eq!(multiplex(&lines.join(&b"\r\n"[..])), answer);
    }
});
