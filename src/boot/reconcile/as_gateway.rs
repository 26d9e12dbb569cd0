//! Reads a file of `HERMES_HOME` as the gateway does: as the hermes user. What that user is refused decides nothing there either.

use super::access;
use crate::settings::Settings;
use crate::sys::{Name, Reason, as_user, file, process};
use crate::volume::Home;

/// Reads a file of at most `cap` bytes; `None` if it is not there, which costs one look.
pub fn find(settings: &Settings, home: &Home, name: &Name, cap: u64) -> Result<Option<Vec<u8>>, Reason> {
    if !home.dir.has(name)? {
        return Ok(None);
    }
    let read = || file::find(&home.dir, name, cap);
    if !process::is_root() {
        return read();
    }
    let user = settings.owner.value;
    let groups = access::groups(user).map_err(|error| Reason::from(error.to_string()))?;
    as_user(user, &groups, read)?
}
