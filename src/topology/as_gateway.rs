//! Reads a file of `HERMES_HOME` as the gateway does: as the hermes user. What that user is refused decides nothing there either.

use crate::settings::Settings;
use crate::sys::{Name, Reason, as_user, file, process};
use crate::volume::Home;

/// Reads a file of at most `cap` bytes as the hermes user of these settings, if this process is root; without settings, it is that user
/// already. `None` if the file is not there, which costs at most one look.
pub fn find(
    settings: Option<&Settings>,
    home: &Home,
    name: &Name,
    cap: u64,
) -> Result<Option<Vec<u8>>, Reason> {
    if !home.contents().has(name)? {
        return Ok(None);
    }
    let read = || file::find(&home.dir, name, cap);
    let Some(settings) = settings.filter(|_| process::is_root()) else { return read() };
    let user = settings.owner.value;
    let groups = settings.groups().map_err(|error| Reason::from(error.to_string()))?;
    as_user(user, &groups, read)?
}
