//! Whether the hermes user can run what the pass has made.

use std::path::Path;
use std::time::Duration;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::settings;
use crate::sys::capability::{self, CapabilitySet};
use crate::sys::{Dir, Errno, Reason, process};

/// Time after which a child that does nothing is killed.
const LIMIT: Duration = Duration::from_secs(5);

/// What fails without a capability of root; in both modes, or in delegated mode only.
static NEEDED: [(CapabilitySet, &str, bool); 3] = [
    (CapabilitySet::CHOWN, "CHOWN: the hermes user cannot command what is root's", false),
    (CapabilitySet::KILL, "KILL: s6-supervise cannot end a gateway", false),
    (
        CapabilitySet::DAC_OVERRIDE,
        "DAC_OVERRIDE: s6-supervise cannot work in what the hermes user owns; add it, or use --sealed",
        true,
    ),
];

/// Reports the capabilities that root lacks, and what fails without them. Returns whether there are any. Whether root can change to the
/// hermes user, [`try_to_drop`] finds out.
pub fn lacks(sealed: bool, console: &Console) -> bool {
    let effective = match capability::effective() {
        Ok(effective) => effective,
        Err(errno) => {
            console.warn(&Error::new("ask for the", "capabilities", errno));
            return true;
        }
    };
    let mut found = false;
    for (capability, what, is_for_delegated) in NEEDED {
        if !(effective.contains(capability) || sealed && is_for_delegated) {
            console.warn(&format_args!("root lacks the capability {what}"));
            found = true;
        }
    }
    found
}

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
