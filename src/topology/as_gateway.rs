//! Reads a file of `HERMES_HOME` as the gateway does: as the hermes user. What that user is refused decides nothing there either.

use crate::settings::user;
use crate::sys::{Ids, Name, Reason, as_user, file, process};
use crate::volume::Home;

/// Reads a file of at most `cap` bytes as `user`, if this process is root; `None` if it is not there, which costs one look.
pub fn find(user: Ids, home: &Home, name: &Name, cap: u64) -> Result<Option<Vec<u8>>, Reason> {
    if !home.dir.has(name)? {
        return Ok(None);
    }
    let read = || file::find(&home.dir, name, cap);
    if !process::is_root() {
        return read();
    }
    let groups = user::groups(user).map_err(|error| Reason::from(error.to_string()))?;
    as_user(user, &groups, read)?
}
