//! The names of the rotated files of a log, found in a directory that may hold any number of others.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::sys::{Dir, Errno, Name};

/// Largest number of rotated files of a log. The loggers keep ten.
const FILES: usize = 32;
/// Number of entries of a directory that are looked at in any case. A logger makes fourteen.
const FREE: u32 = 100;
/// Number of entries beyond those that are looked at in one command.
const SHARED: u32 = 1_000_000;

/// How many entries of directories a command still looks at, beyond those that each directory may have.
pub struct Allowance(Cell<u32>);

impl Allowance {
    /// Returns the allowance of a command.
    pub fn new() -> Allowance {
        Allowance(Cell::new(SHARED))
    }
}

/// Rotated files.
pub struct Rotated {
    /// Their names, the newest first.
    pub names: Vec<Name>,
    /// What is missing, if some are.
    pub lack: Option<Lack>,
}

/// Which rotated files are missing in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The oldest: there are more than are read.
    Oldest,
    /// Any: the directory has more entries than are looked at.
    Any,
}

impl Lack {
    /// Returns the reason for a message.
    pub fn reason(self) -> String {
        match self {
            Lack::Oldest => format!("only its {FILES} newest rotated files are read"),
            Lack::Any => "its directory has more entries than are looked at".to_owned(),
        }
    }
}

/// Lists the rotated files in the directory of a log.
pub fn list(dir: &Dir, allowance: &Allowance) -> Result<Rotated, Errno> {
    let (mut newest, mut free, mut lack) = (BTreeSet::new(), FREE, None);
    for entry in dir.entries()? {
        let name = entry?.name;
        if free > 0 {
            free -= 1;
        } else if let Some(left) = allowance.0.get().checked_sub(1) {
            allowance.0.set(left);
        } else {
            lack = Some(Lack::Any);
            break;
        }
        if is_rotated(name.bytes()) {
            newest.insert(name);
        }
        if newest.len() > FILES {
            newest.pop_first();
            lack = Some(Lack::Oldest);
        }
    }
    Ok(Rotated { names: newest.into_iter().rev().collect(), lack })
}

/// Returns whether a name is that of a rotated file: `@`, a TAI64N label, and `.s` or `.u`; or `previous`, which it has for the moment
/// in which it is being rotated. In byte order, these are in the order of time.
fn is_rotated(name: &[u8]) -> bool {
    let label =
        name.strip_prefix(b"@").and_then(|name| name.strip_suffix(b".s").or(name.strip_suffix(b".u")));
    name == b"previous"
        || label.is_some_and(|label| label.len() == 24 && label.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_file_has_a_name_that_s6_log_gives() {
        for (name, expected) in [
            ("@400000006553f10b00000000.s", true),
            ("@400000006553f10b0000abcd.u", true),
            ("previous", true),
            ("current", false),
            ("state", false),
            ("lock", false),
            ("@400000006553f10b00000000.t", false),
            ("@400000006553f10b00000000", false),
            ("400000006553f10b00000000.s", false),
            ("@400000006553f10b0000000.s", false),
            ("@400000006553f10b000000000.s", false),
            ("@400000006553f10b0000000g.s", false),
            ("@.s", false),
        ] {
            assert_eq!(is_rotated(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn the_newest_files_are_listed_and_no_more_entries_than_allowed() {
        let place = std::env::temp_dir().join(format!("hermes-init-{}-rotated", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let dir = Dir::at(&place).unwrap();
        let name = |number: usize| format!("@{number:024x}.s");
        for number in 0..FREE as usize {
            std::fs::write(place.join(name(number)), "").unwrap();
        }
        let listed = |allowance: &Allowance| {
            let Rotated { names, lack } = list(&dir, allowance).unwrap();
            (
                names
                    .iter()
                    .map(|name| String::from_utf8_lossy(name.bytes()).into_owned())
                    .collect::<Vec<_>>(),
                lack,
            )
        };
        let newest: Vec<_> = (0..FREE as usize).rev().take(FILES).map(name).collect();
        let allowance = Allowance(Cell::new(3));
        for _ in 0..3 {
            assert_eq!(listed(&allowance), (newest.clone(), Some(Lack::Oldest)));
        }
        // Two more are two of the allowance, in each listing.
        std::fs::write(place.join("a"), "").unwrap();
        std::fs::write(place.join("b"), "").unwrap();
        assert_eq!(listed(&allowance).1, Some(Lack::Oldest));
        assert_eq!(listed(&allowance).1, Some(Lack::Any));
        std::fs::remove_dir_all(place).unwrap();
    }
}
