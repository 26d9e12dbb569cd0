//! The message for an unknown word, with the known word that is nearest to it.

use crate::output::escape::Shown;

/// Reports an unknown word and the known one that is nearest to it, the first of them. `prefix` precedes the known ones.
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
    // The row of the table for the letters of `one` so far. Known words are shorter than the row.
    let mut row: [usize; 32] = std::array::from_fn(|column| column);
    for (line, letter) in one.iter().take(64).enumerate() {
        let (mut corner, mut left) = (line, line + 1);
        for (cell, against) in row.iter_mut().skip(1).zip(other) {
            let exchanged = corner + usize::from(letter != against);
            corner = *cell;
            left = exchanged.min(corner + 1).min(left + 1);
            *cell = left;
        }
    }
    row.get(other.len()).copied().unwrap_or(usize::MAX)
}
