//! What a program inherits from the process that executes it.

use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use super::{Dir, Errno, Name};

/// The directory with an entry for each descriptor of this process.
pub const PLACE: &str = "/proc/self/fd";

/// Returns the numbers of the open descriptors above 2. Before this process opens any, these are the ones that it has inherited.
pub fn descriptors() -> Result<Vec<Name>, Errno> {
    let place = Dir::fixed(Path::new(PLACE))?;
    let own = place.as_fd().as_raw_fd().to_string();
    let mut names = place.names()?;
    names.retain(|name| !matches!(name.bytes(), b"0" | b"1" | b"2") && name.bytes() != own.as_bytes());
    Ok(names)
}

/// Makes this process and all that it executes keep the privileges that they have: setuid programs give them none (`no_new_privs`).
pub fn forbid_new_privileges() -> Result<(), Errno> {
    rustix::thread::set_no_new_privs(true)
}
