//! A line that a gateway has printed, as text for a terminal: what commands a terminal and what nobody sees is escaped.

use super::escape;

/// The characters that cannot be seen, or that change how others are seen: format characters (`General_Category` Cf, with all of
/// `Bidi_Control`), line and paragraph separators (Zl, Zp), and `Default_Ignorable_Code_Point` (zero-width characters, fillers, variation
/// selectors, tags, and what is reserved for more of them). The first and the last of each range, from UnicodeData.txt and
/// DerivedCoreProperties.txt of Unicode 16.0.0.
const INVISIBLE: [(char, char); 25] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

fn is_invisible(character: char) -> bool {
    let after = INVISIBLE.partition_point(|(first, _)| *first <= character);
    after.checked_sub(1).and_then(|at| INVISIBLE.get(at)).is_some_and(|(_, last)| character <= *last)
}

/// What is before a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing that a joiner or a selector belongs to: the beginning, a character of ASCII, an escape, a joiner.
    Nothing,
    /// Another character.
    Character,
    /// A character with a selector.
    Selected,
}

impl Before {
    /// Returns what is before the next character if this one is printed; `None` if it is escaped. Scripts and emoji need joiners
    /// and selectors, so these are printed behind a character that is not ASCII. Behind one that is, they hide a word from a search.
    fn next(self, character: char) -> Option<Before> {
        match character {
            '\t' | ' '..='~' => Some(Before::Nothing),
            '\0'..='\u{9f}' => None,
            // ZERO WIDTH NON-JOINER, ZERO WIDTH JOINER.
            '\u{200c}' | '\u{200d}' => (self != Before::Nothing).then_some(Before::Nothing),
            // VARIATION SELECTOR-15 and -16: as text, as an emoji.
            '\u{fe0e}' | '\u{fe0f}' => (self == Before::Character).then_some(Before::Selected),
            _ => (!is_invisible(character)).then_some(Before::Character),
        }
    }
}

/// Appends a line, without its newline. Escapes are those of JSON.
pub fn append(text: &mut Vec<u8>, line: &[u8]) {
    for chunk in line.utf8_chunks() {
        let mut before = Before::Nothing;
        for character in chunk.valid().chars() {
            let next = before.next(character);
            before = next.unwrap_or(Before::Nothing);
            match character {
                _ if next.is_some() => {
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
            ("\u{61c}\u{ad}\u{feff}\u{e0041}".as_bytes(), "\\u061c\\u00ad\\ufeff\\udb40\\udc41"),
            (b"\xff\xc3", "\\ufffd\\ufffd"),
            (b"", ""),
        ] {
            assert_eq!(shown(line), expected);
        }
    }

    #[test]
    fn a_joiner_is_printed_where_a_script_or_an_emoji_has_it() {
        for line in [
            "\u{645}\u{6cc}\u{200c}\u{62e}",
            "\u{915}\u{94d}\u{200d}\u{937}",
            "\u{1f469}\u{1f3fd}\u{200d}\u{1f680}",
            "\u{2764}\u{fe0f}\u{200d}\u{1f525} \u{2764}\u{fe0e}",
        ] {
            assert_eq!(shown(line.as_bytes()), line);
        }
        for (line, expected) in [
            ("er\u{200d}ror", "er\\u200dror"),
            ("\u{200c}x", "\\u200cx"),
            ("1\u{fe0f}", "1\\ufe0f"),
            ("é\u{200d}\u{200d}", "é\u{200d}\\u200d"),
            ("é\u{fe0f}\u{fe0f}", "é\u{fe0f}\\ufe0f"),
            ("é\u{200d}\u{fe0f}", "é\u{200d}\\ufe0f"),
            ("é\u{fe00}", "é\\ufe00"),
            ("é\u{200b}\u{200d}", "é\\u200b\\u200d"),
        ] {
            assert_eq!(shown(line.as_bytes()), expected);
        }
    }

    #[test]
    fn the_table_is_sorted_and_its_ends_belong_to_it() {
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
        assert!(INVISIBLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
        for (first, last) in INVISIBLE {
            assert!(is_invisible(first) && is_invisible(last), "{first:?} {last:?}");
        }
        for character in
            ['\0', 'x', '\u{ac}', '\u{ae}', '\u{200a}', '\u{2010}', '\u{dffff}', '\u{e1000}', char::MAX]
        {
            assert!(!is_invisible(character), "{character:?}");
        }
    }
}
