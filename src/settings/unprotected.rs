//! Why gateways can change everything that s6 runs, whatever the mode is: sealed mode protects nothing there.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::escape::Shown;
use crate::output::{Context, Result};
use crate::s6::Mode;
use crate::sys::{Dir, Ids, Meta, present, walk};

/// Why gateways can change everything that s6 runs, whatever the mode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unprotected {
    /// s6 is not root, and gateways run as its user, this one.
    LikeS6(u32),
    /// Gateways run as root.
    Root,
    /// Users other than root may exchange the entries of a directory above the scan directory, as of a volume that Kubernetes mounts
    /// on /run.
    Above {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        ids: Ids,
        /// Its mode.
        mode: u32,
    },
}

impl Unprotected {
    /// Returns the nearest directory above a scan directory of which somebody other than root may exchange the entries. Fails if one of them
    /// cannot be looked at.
    pub(super) fn above(scandir: &Path) -> Result<Option<Unprotected>> {
        let found = Dir::reach(scandir).and_then(|scandir| Ok(scandir.path()?));
        let Some(path) = present(found).context("inspect", scandir)? else { return Ok(None) };
        for above in path.ancestors().skip(1) {
            let meta = Meta::at(above).context("inspect", above)?;
            if !walk::keeps_roots(meta) {
                return Ok(Some(Unprotected::Above {
                    path: above.to_owned(),
                    ids: meta.ids,
                    mode: meta.mode,
                }));
            }
        }
        Ok(None)
    }

    /// Returns what is wrong in a mode, and what helps; `None` if nothing is.
    pub fn text(self, mode: Mode) -> Option<String> {
        const ROOT: &str = "gateways run as root, because the user hermes of /etc/passwd has uid 0";
        const OTHER: &str = "HERMES_UID sets another one";
        match (self, mode) {
            (Unprotected::LikeS6(_) | Unprotected::Above { .. }, Mode::Delegated) => None,
            (Unprotected::LikeS6(uid), Mode::Sealed) => Some(format!(
                "sealed mode protects nothing: s6 runs as uid {uid}, and gateways as the same user, who can change every slot: start the \
                 container as root, or without sealed mode"
            )),
            (Unprotected::Root, Mode::Delegated) => Some(format!("{ROOT}: {OTHER}")),
            (Unprotected::Root, Mode::Sealed) => {
                Some(format!("sealed mode protects nothing: {ROOT}: {OTHER}, or go without sealed mode"))
            }
            (Unprotected::Above { path, ids, mode }, Mode::Sealed) => Some(format!(
                "sealed mode protects nothing: users other than root may write to {} (owner {}:{}, mode {mode:o}), and root executes what is \
                 below it: it must be root's alone before s6 starts, in Kubernetes by an init container",
                Shown(path.as_os_str().as_bytes()),
                ids.uid,
                ids.gid
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_vain_is_said_of_sealed_mode_and_of_root_in_both() {
        let above = |mode| Unprotected::Above { path: "/run".into(), ids: Ids { uid: 0, gid: 7 }, mode };
        for (why, mode, expected) in [
            (above(0o2777), Mode::Delegated, None),
            (
                above(0o2777),
                Mode::Sealed,
                Some(
                    "sealed mode protects nothing: users other than root may write to /run (owner 0:7, mode 2777),",
                ),
            ),
            (Unprotected::LikeS6(7), Mode::Delegated, None),
            (Unprotected::LikeS6(7), Mode::Sealed, Some("sealed mode protects nothing: s6 runs as uid 7,")),
            (Unprotected::Root, Mode::Delegated, Some("gateways run as root,")),
            (Unprotected::Root, Mode::Sealed, Some("sealed mode protects nothing: gateways run as root,")),
        ] {
            let shown = format!("{why:?} {mode:?}");
            let text = why.text(mode);
            assert_eq!(text.is_some(), expected.is_some(), "{shown}");
            assert!(text.unwrap_or_default().starts_with(expected.unwrap_or_default()), "{shown}");
        }
    }
}
