//! A path of the volume that this process may not use: whose it is, and the command that mends it.

use std::path::Path;

use crate::show::FromVolume;
use crate::sys::{Meta, Reason, process};

/// Adds to a reason the owner and the mode of a path, or of the last directory on it that this process may see; and, if that belongs to
/// the volume `home` and not to the user `owner`, the command that hands it over. Root is refused only if it lacks a capability.
pub fn explained(reason: &Reason, path: &Path, home: &Path, owner: u32) -> Reason {
    let Some((seen, Meta { mode, ids, .. })) =
        path.ancestors().find_map(|seen| Some((seen, Meta::at(seen).ok()?)))
    else {
        return reason.clone();
    };
    let shown = FromVolume(seen.as_os_str().as_encoded_bytes());
    // `path` begins with `home`.
    let is_on_volume = seen.as_os_str().len() >= home.as_os_str().len();
    let mend = if process::is_root() {
        "; root needs the capability DAC_OVERRIDE".to_owned()
    } else if ids.uid != owner && is_on_volume {
        format!("; as root: chown -R {owner} {shown}")
    } else {
        String::new()
    };
    format!("{reason} ({shown} belongs to {}:{}, mode {mode:04o}{mend})", ids.uid, ids.gid).into()
}
