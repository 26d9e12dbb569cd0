//! A line that a gateway has printed, as text for a terminal: what commands it is escaped.

use super::escape;

/// Returns whether a character is printed: it neither is a control character nor changes the direction or the line of others.
fn is_shown(character: char) -> bool {
    match character {
        '\t' => true,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        _ => !character.is_control(),
    }
}

/// Appends a line, without its newline. Escapes are those of JSON.
pub fn append(text: &mut Vec<u8>, line: &[u8]) {
    for chunk in line.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                _ if is_shown(character) => {
                    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                '\r' => text.extend_from_slice(b"\\r"),
                _ => escape(text, character),
            }
        }
        if !chunk.invalid().is_empty() {
            escape(text, char::REPLACEMENT_CHARACTER);
        }
    }
}

fn escape(text: &mut Vec<u8>, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        text.extend_from_slice(&escape::unit(*unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &[u8]) -> String {
        let mut text = Vec::new();
        append(&mut text, line);
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn it_keeps_its_letters_and_commands_nothing() {
        for (line, expected) in [
            (&b"a \"b\" \\ c=d\t."[..], "a \"b\" \\ c=d\t."),
            ("é😀".as_bytes(), "é😀"),
            (b"\x1b[2J\r\x07\x7f", "\\u001b[2J\\r\\u0007\\u007f"),
            ("\u{9b}2J\u{202e}x\u{2066}\u{2028}".as_bytes(), "\\u009b2J\\u202ex\\u2066\\u2028"),
            (b"\xff\xc3", "\\ufffd\\ufffd"),
            (b"", ""),
        ] {
            assert_eq!(shown(line), expected);
        }
    }
}
