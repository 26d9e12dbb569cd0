//! Whether the hermes user can run what the pass has made.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::settings;
use crate::sys::{Dir, Errno, Reason, process};

/// Time after which a child that does nothing is killed.
const LIMIT: Duration = Duration::from_secs(5);

/// Tries in a child process whether this one, as root, can change to the hermes user, as service programs do. It cannot in a user
/// namespace that does not map the user, nor without the capabilities SETUID and SETGID.
pub fn try_to_drop(executable: &Path, place: &Dir) -> Result<()> {
    let user = settings::runner()?.user.ids;
    match process::run(executable, &["--version"], place, Some(user), LIMIT) {
        Err(errno @ (Errno::INVAL | Errno::PERM)) => {
            let reason = format!(
                "{}; no gateway can run: the container's user namespace needs this user and group, and root the \
                 capabilities SETUID and SETGID",
                Reason::from(errno)
            );
            Err(Error::new("change to the hermes user", format!("{}:{}", user.uid, user.gid), reason))
        }
        // Whether that user may enter `place` and execute this program does not matter: s6-supervise executes it as root.
        _ => Ok(()),
    }
}
