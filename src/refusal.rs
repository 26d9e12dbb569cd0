//! A path of the volume that this process may not use: whose it is, and the command that mends it.

use std::fmt::Write;
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
    let mut text = format!("{reason} ({shown} belongs to {}:{}, mode {mode:04o}", ids.uid, ids.gid);
    if process::is_root() {
        text.push_str("; root needs the capability DAC_OVERRIDE");
    } else if ids.uid != owner && is_on_volume {
        // Writing to a String cannot fail.
        let _ = write!(text, "; as root: chown -R {owner} {shown}");
    }
    text.push(')');
    text.into()
}
