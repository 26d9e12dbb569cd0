//! The lines of a regular file, the last one first, in blocks and within limits: the file may be anything.

use std::ops::ControlFlow;

use super::Errno;
use super::file::Reader;

/// Size of a block, in bytes.
const BLOCK: u64 = 64 << 10;

/// How much of a file is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Number of bytes at its end that are read.
    pub bytes: u64,
    /// Longest line, in bytes. A longer one is left out.
    pub line: usize,
}

/// How far a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Its beginning: every line has been seen.
    Beginning,
    /// The line after which no more was wanted.
    Enough,
    /// The limit.
    Limit,
}

/// Calls `each` with the lines of a file, without their newlines, the last one first, until it breaks.
pub fn lines(
    file: &Reader,
    limits: Limits,
    each: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<Reached, Errno> {
    read_lines(file.meta.size, limits, |block, at| file.read_at(at, block), each)
}

/// The end of a line whose beginning has not been read yet.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Tail {
    /// Adds what precedes it in the file.
    fn prepend(&mut self, bytes: &[u8], longest: usize) {
        self.is_too_long |= self.bytes.len() + bytes.len() > longest;
        if self.is_too_long {
            self.bytes.clear();
        } else {
            self.bytes = [bytes, &self.bytes].concat();
        }
    }

    /// Calls `each` with the line, whose beginning has been read, unless it is too long, and goes on to the line before it.
    fn end_line(&mut self, each: &mut impl FnMut(&[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        let done = if self.is_too_long { ControlFlow::Continue(()) } else { each(&self.bytes) };
        self.bytes.clear();
        self.is_too_long = false;
        done
    }
}

fn read_lines(
    size: u64,
    limits: Limits,
    mut read_at: impl FnMut(&mut [u8], u64) -> Result<usize, Errno>,
    mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<Reached, Errno> {
    let beginning = size.saturating_sub(limits.bytes);
    let mut block = vec![0; usize::try_from(BLOCK.min(size)).unwrap_or_default()];
    let mut tail = Tail::default();
    let mut end = size;
    while end > beginning {
        let start = end.saturating_sub(BLOCK).max(beginning);
        let wanted = usize::try_from(end - start).unwrap_or_default();
        let count = read_at(block.get_mut(..wanted).unwrap_or_default(), start)?;
        let mut pieces = block.get(..count).unwrap_or_default().rsplit(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            tail.prepend(piece, limits.line);
            if pieces.peek().is_none() {
                // The line may have begun before this block.
                break;
            }
            if tail.end_line(&mut each).is_break() {
                return Ok(Reached::Enough);
            }
        }
        end = start;
    }
    if beginning > 0 {
        return Ok(Reached::Limit);
    }
    Ok(if tail.end_line(&mut each).is_break() { Reached::Enough } else { Reached::Beginning })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `text` back. Returns the lines that were seen, and how far it came.
    fn read(text: &[u8], limits: Limits, is_last: impl Fn(&[u8]) -> bool) -> (Vec<Vec<u8>>, Reached) {
        let mut seen = Vec::new();
        let read_at = |block: &mut [u8], at: u64| {
            let rest = text.get(usize::try_from(at).unwrap_or_default()..).unwrap_or_default();
            let count = block.len().min(rest.len());
            block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            Ok(count)
        };
        let each = |line: &[u8]| {
            seen.push(line.to_vec());
            if is_last(line) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let size = text.len().try_into().unwrap_or_default();
        let reached = read_lines(size, limits, read_at, each).expect("nothing fails");
        (seen, reached)
    }

    const WIDE: Limits = Limits { bytes: 1 << 30, line: 1 << 20 };

    #[test]
    fn lines_come_whole_and_the_last_one_first_whatever_block_they_begin_in() {
        let block = usize::try_from(BLOCK).unwrap();
        let mut texts: Vec<Vec<u8>> = ["", "a", "a\n", "\n", "a\nb", "a\n\nb\n"].map(Vec::from).into();
        for length in [block - 1, block, block + 1, 3 * block] {
            texts.push(b"x".repeat(length));
            texts.push([&b"x".repeat(length)[..], b"\nend\n"].concat());
            texts.push([b"begin\n", &b"x".repeat(length)[..]].concat());
        }
        texts.push((0..40_000).map(|number| format!("line {number}\n")).collect::<String>().into_bytes());
        for text in texts {
            let expected: Vec<_> = text.rsplit(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let (seen, reached) = read(&text, WIDE, |_| false);
            assert!(seen == expected, "{} bytes", text.len());
            assert_eq!(reached, Reached::Beginning);
        }
    }

    #[test]
    fn nothing_is_read_beyond_what_is_enough_or_the_limit() {
        let text = b"1\n2\n3\n4\n";
        let lines = |seen: Vec<Vec<u8>>| seen.concat();
        let (seen, reached) = read(text, WIDE, |line| line == b"3");
        assert_eq!((lines(seen), reached), (b"43".to_vec(), Reached::Enough));
        // The line in which the limit lies is none.
        for (bytes, expected, end) in [
            (0, "", Reached::Limit),
            (1, "", Reached::Limit),
            (3, "4", Reached::Limit),
            (4, "4", Reached::Limit),
            (7, "432", Reached::Limit),
            (8, "4321", Reached::Beginning),
        ] {
            let (seen, reached) = read(text, Limits { bytes, ..WIDE }, |_| false);
            assert_eq!((lines(seen), reached), (expected.as_bytes().to_vec(), end), "{bytes}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_takes_no_memory() {
        let block = usize::try_from(BLOCK).unwrap();
        for length in [11, block, 5 * block] {
            let long = "x".repeat(length);
            for text in [format!("{long}\nb"), format!("a\n{long}\nb"), format!("a\n{long}"), long.clone()] {
                let (seen, reached) = read(text.as_bytes(), Limits { line: 10, ..WIDE }, |_| false);
                let expected: Vec<_> = text.rsplit('\n').filter(|line| line.len() <= 10).collect();
                assert_eq!(seen, expected.iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
                assert_eq!(reached, Reached::Beginning);
            }
        }
    }
}
