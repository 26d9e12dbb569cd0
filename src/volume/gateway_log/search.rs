//! Where the last lines of a log begin, searched from its end, file by file and block by block.

use crate::sys::Errno;

/// A search for the beginning of the last lines.
#[derive(Debug)]
pub struct Search {
    state: State,
    /// Number of lines that are still to be found.
    wanted: usize,
    /// Number of bytes that may still be searched.
    room: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The beginning is in an older file.
    GoingOn,
    /// It has been found.
    Found,
    /// It is further back than is searched.
    Full,
}

impl Search {
    /// Begins a search for the last `lines` lines, in the last `room` bytes. An unfinished line at the end does not count, and goes with
    /// them.
    pub fn new(lines: usize, room: u64) -> Search {
        Search { state: State::GoingOn, wanted: lines, room }
    }

    /// Returns whether an older file is to be searched.
    pub fn is_going_on(&self) -> bool {
        self.state == State::GoingOn
    }

    /// Returns whether the last lines begin further back than is searched.
    pub fn is_full(&self) -> bool {
        self.state == State::Full
    }

    /// Searches the next older file, of this size. Returns the offset of the first byte in it that belongs to the last lines. `read` fills
    /// a block with what is at an offset, and returns how many bytes there are.
    pub fn go_on(
        &mut self,
        size: u64,
        block: &mut [u8],
        read: impl Fn(u64, &mut [u8]) -> Result<usize, Errno>,
    ) -> Result<u64, Errno> {
        let first = size.saturating_sub(self.room);
        let mut at = size;
        while at > first {
            let length = usize::try_from(at - first).unwrap_or(usize::MAX).min(block.len());
            at -= length as u64;
            let block = block.get_mut(..length).unwrap_or_default();
            let count = read(at, block)?;
            let text = block.get(..count).unwrap_or_default();
            match last_lines(text, self.wanted) {
                Last::From(start) => {
                    self.state = State::Found;
                    return Ok(at + start as u64);
                }
                Last::Short(newlines) => self.wanted -= newlines,
            }
        }
        self.room -= size - first;
        if first > 0 {
            self.state = State::Full;
        } else if self.wanted == 0 {
            // Each file begins with a line.
            self.state = State::Found;
        }
        Ok(first)
    }
}

/// The last lines of a text.
#[derive(Debug, PartialEq, Eq)]
enum Last {
    /// The position of the first of them.
    From(usize),
    /// The text has not more than these newlines.
    Short(usize),
}

/// Finds the last `lines` lines of a text. An unfinished line at its end does not count, and goes with them.
fn last_lines(text: &[u8], lines: usize) -> Last {
    let newlines = || text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    match newlines().nth(lines) {
        Some(newline) => Last::From(newline + 1),
        None => Last::Short(newlines().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_end_with_the_text() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 0, Last::From(6)),
            ("a\nb\nc\n", 1, Last::From(4)),
            ("a\nb\nc\n", 2, Last::From(2)),
            ("a\nb\nc\n", 3, Last::Short(3)),
            ("a\nb\nc\n", 4, Last::Short(3)),
            ("a\nb\nhalf", 0, Last::From(4)),
            ("a\nb\nhalf", 1, Last::From(2)),
            ("\n\n", 1, Last::From(1)),
            ("half", 0, Last::Short(0)),
            ("", 0, Last::Short(0)),
        ] {
            assert_eq!(last_lines(text.as_bytes(), lines), expected, "{text:?} {lines}");
        }
    }

    /// Searches files, the newest first, in blocks of a size. Returns what belongs to the last lines, and how the search ended.
    fn search(files: &[&str], lines: usize, room: u64, block: usize) -> (String, State) {
        let (mut search, mut found) = (Search::new(lines, room), String::new());
        for file in files.iter().map(|file| file.as_bytes()) {
            if !search.is_going_on() {
                break;
            }
            let read = |offset: u64, block: &mut [u8]| {
                let rest = file.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
                let count = rest.len().min(block.len());
                block[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            };
            let from = search.go_on(file.len() as u64, &mut vec![0; block], read).unwrap();
            found = String::from_utf8_lossy(&file[usize::try_from(from).unwrap()..]).into_owned() + &found;
        }
        (found, search.state)
    }

    #[test]
    fn the_last_lines_are_the_same_in_blocks_of_any_size_and_over_files() {
        let (whole, files) = ("one\ntwo\n\nthree\nfour\nhalf", ["four\nhalf", "\nthree\n", "one\ntwo\n"]);
        for block in 1..=whole.len() + 1 {
            for lines in 0..8 {
                let expected = match last_lines(whole.as_bytes(), lines) {
                    Last::From(start) => (whole[start..].to_owned(), State::Found),
                    Last::Short(found) => {
                        (whole.to_owned(), if found == lines { State::Found } else { State::GoingOn })
                    }
                };
                assert_eq!(search(&[whole], lines, 100, block), expected, "{block} {lines}");
                assert_eq!(search(&files, lines, 100, block), expected, "{block} {lines}");
            }
        }
    }

    #[test]
    fn a_search_ends_where_there_is_no_more_room() {
        let files = ["four\nfive\n", "two\nthree\n", "zero\none\n"];
        for (lines, room, expected) in [
            (1, 100, ("five\n", State::Found)),
            (2, 100, ("four\nfive\n", State::Found)),
            (2, 10, ("four\nfive\n", State::Found)),
            (9, 29, ("zero\none\ntwo\nthree\nfour\nfive\n", State::GoingOn)),
            (9, 28, ("ero\none\ntwo\nthree\nfour\nfive\n", State::Full)),
            (9, 20, ("two\nthree\nfour\nfive\n", State::Full)),
            (4, 20, ("two\nthree\nfour\nfive\n", State::Found)),
            (4, 19, ("wo\nthree\nfour\nfive\n", State::Full)),
            (2, 3, ("ve\n", State::Full)),
            (2, 0, ("", State::Full)),
        ] {
            let found = search(&files, lines, room, 4);
            assert_eq!((found.0.as_str(), found.1), expected, "{lines} {room}");
        }
        assert_eq!(search(&[""], 1, 0, 4), (String::new(), State::GoingOn));
    }
}
