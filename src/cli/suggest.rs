//! The message about an unknown word, with the nearest known word.

use crate::output::escape::Shown;

/// Returns the message about an unknown word, with the first of the nearest known words. `prefix` precedes the known words.
pub fn unknown<'a>(
    what: &str,
    word: &[u8],
    prefix: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let bare = word.strip_prefix(prefix.as_bytes()).unwrap_or(word);
    let nearest = known.into_iter().min_by_key(|known| distance(bare, known.as_bytes())).unwrap_or("help");
    format!("unknown {what} {}; did you mean {prefix}{nearest}?", Shown(word))
}

/// Returns the number of letters to insert, delete or replace to make one word of the other (Levenshtein distance).
fn distance(one: &[u8], other: &[u8]) -> usize {
    // A row has the distances from the letters of `one` so far to each prefix of `other`.
    let first: Vec<usize> = (0..=other.len()).collect();
    let last = one.iter().zip(1..).fold(first, |above, (letter, begin)| {
        let cells = other.iter().zip(above.iter().zip(above.iter().skip(1)));
        let cells = cells.scan(begin, |left, (against, (corner, up))| {
            *left = (corner + usize::from(letter != against)).min(up + 1).min(*left + 1);
            Some(*left)
        });
        std::iter::once(begin).chain(cells).collect()
    });
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_inserted_deleted_or_replaced_is_one_step() {
        for (one, other, steps) in [
            ("", "", 0),
            ("status", "status", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("statu", "status", 1),
            ("statuss", "status", 1),
            ("statvs", "status", 1),
            ("statsu", "status", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), steps, "{one} {other}");
        }
    }

    #[test]
    fn the_first_of_the_nearest_known_words_is_suggested() {
        assert_eq!(
            unknown("option", b"--jso", "--", ["json", "j"]),
            "unknown option --jso; did you mean --json?"
        );
        assert_eq!(unknown("word", b"x", "", ["a", "b", "help"]), "unknown word x; did you mean a?");
        assert_eq!(unknown("word", b"a\nb", "", []), "unknown word \"a\\nb\"; did you mean help?");
        // The prefix does not count.
        assert!(unknown("option", b"--ab", "--", ["abcd", "--"]).ends_with("did you mean --abcd?"));
        // A word of any length.
        let long = [b'x'; 500];
        assert!(unknown("word", &long, "", ["a", "b"]).ends_with("did you mean a?"));
    }
}
