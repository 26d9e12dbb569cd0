//! `.hermes-init-env`: the variables of `register --env`, kept for the slot that the next boot makes. Each is `KEY=VALUE` with a NUL at
//! its end, as in /proc/PID/environ.

use super::contents::Contents;
use super::directory_lock::Held;
use super::home::Trusted;
use crate::s6::envdir::{self, Variable};
use crate::sys::staged::Attributes;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, Reason};

/// The file, in the profile's directory.
pub static KEPT: Name = Name::fixed(c".hermes-init-env");
/// Largest file, in bytes, and largest number of variables: those of all profiles take room in /run.
const CAP: usize = 64 << 10;
const VARIABLES: usize = 256;
/// Size of a page, in bytes.
const PAGE: u64 = 4096;

/// Returns the variables that are kept in a profile's directory; none if there is no such file.
pub fn read(contents: Contents<'_>, trusted: Trusted) -> Result<Vec<Variable>, Reason> {
    let (text, meta) = match contents.read(&KEPT, CAP as u64) {
        Err(Reason::Errno(Errno::NOENT)) => return Ok(Vec::new()),
        found => found?,
    };
    // It may be a link to what only root can read.
    if meta.links != 1 || !trusted.includes(meta.ids.uid) {
        return Err("it does not belong to the hermes user, or has another hard link".into());
    }
    Ok(parse(&text)?)
}

/// Parses a file. Skips malformed entries.
fn parse(text: &[u8]) -> Result<Vec<Variable>, &'static str> {
    let mut variables = Vec::new();
    for entry in text.split(|byte| *byte == 0) {
        // A malformed entry adds nothing.
        let _ = envdir::add(&mut variables, entry);
        if variables.len() > VARIABLES {
            return Err("it has more than 256 variables");
        }
    }
    Ok(variables)
}

/// Returns the number of pages that variables take of /run: each is a file of its own.
pub fn pages(variables: &[Variable]) -> u64 {
    variables.iter().map(|(_, content)| 1 + content.len() as u64 / PAGE).sum()
}

/// Keeps variables in a profile's directory, in one step. The file is `owner`'s, and nobody else can read it. Fails with EFBIG if they
/// are too many.
pub fn write(dir: &Held, variables: &[Variable], owner: Ids, ownership: &Ownership) -> Result<(), Reason> {
    let text = text(variables);
    if text.len() > CAP || variables.len() > VARIABLES {
        return Err(Errno::FBIG.into());
    }
    let attributes = Attributes { mode: 0o600, ids: owner, ownership, durable: true };
    dir.replace(&KEPT, &text, attributes)
}

/// Returns the file of variables.
fn text(variables: &[Variable]) -> Vec<u8> {
    let entries = variables.iter().map(|(key, content)| {
        // The newline at the end is the environment directory's.
        let value = content.strip_suffix(b"\n").unwrap_or(content);
        [key.bytes(), b"=", value, b"\0"].concat()
    });
    entries.collect::<Vec<_>>().concat()
}

/// Removes what is kept in a profile's directory. Absence is no error.
pub fn remove(dir: &Dir) -> Result<(), Errno> {
    match dir.unlink(&KEPT) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[u8]) -> Result<Vec<String>, &'static str> {
        let pair = |(key, content): Variable| {
            format!("{}={}", String::from_utf8_lossy(key.bytes()), String::from_utf8_lossy(&content))
        };
        parse(text).map(|variables| variables.into_iter().map(pair).collect())
    }

    #[test]
    fn entries_end_with_nul_and_malformed_ones_are_skipped() {
        for (text, expected) in [
            (&b""[..], &[][..]),
            (b"A=1\0B=x=y\0", &["A=1\n", "B=x=y\n"]),
            (b"A=two\nlines\n\0", &["A=two\nlines\n\n"]),
            (b"A=\0", &["A=\n"]),
            (b"A=1\0A=2", &["A=2\n"]),
            (b"\0\0A\0=x\x001=x\0A-B=x\0.A=x\0A=1", &["A=1\n"]),
        ] {
            let expected: Vec<String> = expected.iter().map(|pair| (*pair).to_owned()).collect();
            assert_eq!(pairs(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn the_number_of_variables_is_limited() {
        let many =
            |count: usize| (0..count).map(|number| format!("V{number}=\0")).collect::<Vec<_>>().concat();
        assert_eq!(pairs(many(256).as_bytes()).map(|pairs| pairs.len()), Ok(256));
        assert_eq!(pairs(many(257).as_bytes()), Err("it has more than 256 variables"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut variables = Vec::new();
        for entry in [&b"A=1"[..], b"B=", b"C=two\nlines", b"D=a newline\n", b"E=\xff=\"'"] {
            assert_eq!(envdir::add(&mut variables, entry), Ok(()));
        }
        assert_eq!(parse(&text(&variables)), Ok(variables));
    }
}
