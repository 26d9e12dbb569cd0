//! `.hermes-init-env`: the variables of `register --env`, for the slot that the next boot makes. Each is `KEY=VALUE` with a NUL at its
//! end, as in /proc/PID/environ.

use super::home::Trusted;
use crate::s6::envdir::{self, Variable};
use crate::sys::file::{self, Attributes};
use crate::sys::{Dir, Errno, Ids, Name, Ownership, Reason};

/// The file, in the profile's directory.
pub static KEPT: Name = Name::fixed(c".hermes-init-env");
static STAGING: Name = Name::fixed(c".hermes-init-env.tmp");
/// Largest file, in bytes, and largest number of variables: what all profiles have takes room in /run.
const CAP: u64 = 64 << 10;
const VARIABLES: usize = 256;

/// Returns the variables that are kept in a profile's directory; none if there is no such file. What is no variable is passed over.
pub fn read(dir: &Dir, trusted: Trusted) -> Result<Vec<Variable>, Reason> {
    let mut variables = Vec::new();
    let (bytes, meta) = match file::read_meta(dir, &KEPT, CAP) {
        Err(Reason::Errno(Errno::NOENT)) => return Ok(variables),
        found => found?,
    };
    // It may be a link to what only root can read.
    if meta.links != 1 || !trusted.includes(meta.ids.uid) {
        return Err("it is not the hermes user's, or has another hard link".into());
    }
    for variable in bytes.split(|byte| *byte == 0) {
        // Skips malformed entries.
        let _ = envdir::add(&mut variables, variable);
        if variables.len() > VARIABLES {
            return Err("it has more than 256 variables".into());
        }
    }
    Ok(variables)
}

/// Keeps variables in a profile's directory, in one step. The file is `owner`'s, and nobody else can read it. Fails with EFBIG if they
/// are too many.
pub fn write(dir: &Dir, variables: &[Variable], owner: Ids, ownership: &Ownership) -> Result<(), Errno> {
    let mut text = Vec::new();
    for (key, content) in variables {
        text.extend_from_slice(key.bytes());
        text.push(b'=');
        // The newline at the end is the environment directory's.
        text.extend_from_slice(content.strip_suffix(b"\n").unwrap_or(content));
        text.push(0);
    }
    if text.len() as u64 > CAP || variables.len() > VARIABLES {
        return Err(Errno::FBIG);
    }
    let attributes = Attributes { mode: 0o600, ids: owner, ownership, durable: true };
    file::replace(dir, &STAGING, &KEPT, &text, attributes)
}

/// Removes what is kept in a profile's directory. Absence is no error.
pub fn remove(dir: &Dir) -> Result<(), Errno> {
    match dir.unlink(&KEPT) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}
