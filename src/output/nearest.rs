//! The known word that somebody may have meant with an unknown one.

/// Returns the first of the known words that are nearest to `word`, if it is near; see [`near`].
pub fn nearest<'a>(word: &[u8], known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near(word, known).first().copied()
}

/// Returns the known words that are near to `word`, the nearest first: at most a third of the letters of the longer of the two words
/// differ. Case does not matter. A letter that is inserted, deleted or replaced differs, and so does a pair of neighbours that is
/// swapped (optimal string alignment distance). A letter is a byte: the known words are ASCII.
///
/// The longer word counts, so that a word that lacks letters is judged as one that has too many: `stat` is as near to `start` as
/// `start` to `stat`.
pub fn near<'a>(word: &[u8], known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let distances = known.into_iter().filter_map(|known| {
        let (longer, shorter) = (word.len().max(known.len()), word.len().min(known.len()));
        // A word from outside has any length: what differs by this much is not looked at.
        let may_be_near = 3 * (longer - shorter) <= longer;
        let distance = may_be_near.then(|| distance(word, known.as_bytes()))?;
        (3 * distance <= longer).then_some((distance, known))
    });
    let mut near: Vec<(usize, &str)> = distances.collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().map(|(_, known)| known).collect()
}

/// Returns the optimal string alignment distance of two words, without regard to case.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let is_same = |letter: &u8, against: &u8| letter.eq_ignore_ascii_case(against);
    // A row has the distances from the letters of `one` so far to each beginning of `other`. `above` is that of one letter less,
    // `earlier` that of two less, and `last` is the letter that `above` ends with.
    let mut earlier: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    let mut last = None;
    for (letter, begin) in one.iter().zip(1..) {
        let mut row = vec![begin];
        let mut left = begin;
        let mut before = None;
        for ((against, (corner, up)), column) in
            other.iter().zip(above.iter().zip(above.iter().skip(1))).zip(0_usize..)
        {
            left = (corner + usize::from(!is_same(letter, against))).min(up + 1).min(left + 1);
            let is_swapped = last.is_some_and(|last| is_same(last, against))
                && before.is_some_and(|before| is_same(letter, before));
            if let Some(swapped) = column.checked_sub(1).and_then(|column| earlier.get(column))
                && is_swapped
            {
                left = left.min(swapped + 1);
            }
            row.push(left);
            before = Some(against);
        }
        last = Some(letter);
        earlier = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_inserted_deleted_or_replaced_or_two_neighbours_swapped_are_one_step() {
        for (one, other, steps) in [
            ("", "", 0),
            ("status", "status", 0),
            ("STATUS", "status", 0),
            ("Status", "sTATUS", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("statu", "status", 1),
            ("statuss", "status", 1),
            ("statvs", "status", 1),
            ("statsu", "status", 1),
            ("STATSU", "status", 1),
            ("tsatsu", "status", 2),
            ("ab", "ba", 1),
            ("abcd", "badc", 2),
            // Swapped letters do not change again: with a letter between them, they are two steps.
            ("ca", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), steps, "{one} {other}");
            assert_eq!(distance(other.as_bytes(), one.as_bytes()), steps, "{other} {one}");
        }
    }

    #[test]
    fn a_third_of_the_letters_of_the_longer_word_may_differ() {
        for (word, known, is_near) in [
            ("abc", "abd", true),
            ("ab", "abd", true),
            ("abcd", "abc", true),
            ("ab", "ac", false),
            ("ab", "ba", false),
            ("abcd", "abxy", false),
            ("abcde", "abcxy", false),
            ("abcdef", "abcdxy", true),
            ("abcdef", "abcd", true),
            ("abcd", "abcdef", true),
            ("abcde", "abc", false),
            ("", "a", false),
            ("a", "", false),
        ] {
            assert_eq!(nearest(word.as_bytes(), [known]), is_near.then_some(known), "{word} {known}");
        }
    }

    #[test]
    fn the_first_of_the_nearest_words_is_meant() {
        assert_eq!(nearest(b"logx", ["login", "logs", "loga"]), Some("logs"));
        assert_eq!(nearest(b"loga", ["logs", "loga"]), Some("loga"));
        assert_eq!(near(b"logx", ["login", "logs", "loga", "stop"]), ["logs", "loga"]);
        assert_eq!(nearest(b"x", []), None);
        // A word of any length, and bytes that are no letters.
        assert_eq!(nearest(&vec![b'x'; 1 << 17], ["a", "b"]), None);
        assert_eq!(nearest(b"stat\nus", ["status"]), Some("status"));
        assert_eq!(nearest(b"\xff\xff\xff", ["abc"]), None);
    }
}
