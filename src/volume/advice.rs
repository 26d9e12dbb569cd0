//! A path of the volume that this process may not use: whose it is, and the command that mends it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::output::escape::{Append, FromVolume};
use crate::sys::{Errno, Meta, Reason, process};

/// [`explained`], for a path relative to the volume.
pub fn below(reason: &Reason, home: &Path, label: &[u8], owner: u32) -> Reason {
    explained(reason, &home.join(OsStr::from_bytes(label)), home, owner)
}

/// Adds to a reason the owner and the mode of a path, or of the last directory on it that this process may see; and, if that is on
/// the volume `home` and does not belong to the user `owner`, the command that hands it over. `path` begins with `home`.
///
/// Root looks at nothing by a path that somebody else can exchange: it is told what it lacks.
pub fn explained(reason: &Reason, path: &Path, home: &Path, owner: u32) -> Reason {
    let is_refused = *reason == Reason::Errno(Errno::ACCESS);
    if process::is_root() {
        let lacks = "root lacks the capability DAC_OVERRIDE, or a file server refuses root";
        return if is_refused { format!("{reason}: {lacks}").into() } else { reason.clone() };
    }
    let mut seen = path.as_os_str().as_bytes();
    let Meta { mode, ids, .. } = loop {
        if let Ok(meta) = Meta::at(Path::new(OsStr::from_bytes(seen))) {
            break meta;
        }
        let Some(above) = parent(seen) else { return reason.clone() };
        seen = above;
    };
    let shown = FromVolume(seen).to_string();
    let is_on_volume = seen.len() >= home.as_os_str().len();
    let mut text = format!("{reason} ({shown} belongs to {}:{}, mode {mode:04o}", ids.uid, ids.gid);
    // Only a name that a shell takes as it is gets into a command, which changes no target of a symlink.
    if is_refused && is_on_volume && ids.uid != owner && !shown.starts_with('"') {
        write!(text, "; as root: chown -hR {owner} {shown}");
    }
    text.push(')');
    text.into()
}

/// Returns a path without its last component, as [`Path::parent`], whose iterator would take half a kilobyte.
fn parent(path: &[u8]) -> Option<&[u8]> {
    let path = trim(path);
    let last = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    if last == path.len() { None } else { path.get(..last).map(trim) }
}

/// Takes slashes and components `.` from the end of a path.
fn trim(mut path: &[u8]) -> &[u8] {
    loop {
        path = match path {
            [rest @ .., b'.'] if rest.ends_with(b"/") => rest,
            [rest @ .., b'/'] if !rest.is_empty() => rest,
            _ => return path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_those_of_std() {
        for path in [
            "/a/b", "/a//b//", "/a/./b/.", "/./a", "/.", "/", "//", "//a", "a/b", "./a", ".", "", "/a/..",
            "../a", ".a/b.", "a/./",
        ] {
            let found = parent(path.as_bytes());
            assert_eq!(found, Path::new(path).parent().map(|parent| parent.as_os_str().as_bytes()), "{path}");
        }
    }
}
