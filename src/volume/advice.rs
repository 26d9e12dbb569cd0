//! Why a path of the volume cannot be used: who owns what is in the way, and the command that mends it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::output::escape::{self, FromVolume};
use crate::sys::{Errno, Ids, Meta, Reason, process};

/// Why a path of the volume cannot be used. Printed, it is the reason for an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Why the operation failed.
    pub reason: Reason,
    /// What is behind it, as far as this process can tell.
    pub cause: Option<Cause>,
    /// What root can do about it.
    pub remedy: Option<Chown>,
}

/// What is behind a failure on the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Root is refused.
    RootIsRefused,
    /// The owner and the mode of the path, or of the last directory on it that this process may look at.
    Attributes {
        /// That path.
        path: PathBuf,
        /// Its owner and group.
        ids: Ids,
        /// Its permission bits.
        mode: u32,
    },
}

/// A command for root, which gives a path to a user. It changes no target of a symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chown {
    /// The user.
    pub uid: u32,
    /// The path, which a shell takes as it is.
    pub path: PathBuf,
}

/// Explains a failure at a path relative to the volume `home`, as [`explained`].
pub fn below(reason: &Reason, home: &Path, label: &Path, owner: u32) -> Advice {
    explained(reason, &home.join(label), home, owner)
}

/// Explains a failure at a path, which begins with `home`: adds the owner and the mode of the path, or of the last directory on it that
/// this process may look at. If that is on the volume and does not belong to the user `owner`, the remedy hands it over.
///
/// Root looks at nothing by a path that somebody else can exchange: the cause is what root lacks.
pub fn explained(reason: &Reason, path: &Path, home: &Path, owner: u32) -> Advice {
    if process::is_root() {
        return for_root(reason);
    }
    match path.ancestors().find_map(|path| Some((path, Meta::at(path).ok()?))) {
        Some((seen, meta)) => for_owner(reason, seen, meta, home, owner),
        None => Advice { reason: reason.clone(), cause: None, remedy: None },
    }
}

fn for_root(reason: &Reason) -> Advice {
    let cause = is_refusal(reason).then_some(Cause::RootIsRefused);
    Advice { reason: reason.clone(), cause, remedy: None }
}

fn for_owner(reason: &Reason, seen: &Path, meta: Meta, home: &Path, owner: u32) -> Advice {
    let Meta { mode, ids, .. } = meta;
    let is_on_volume = without_dot(seen).starts_with(without_dot(home));
    // Only a name that a shell takes as it is gets into a command.
    let has_remedy = is_refusal(reason) && is_on_volume && ids.uid != owner && escape::is_bare_path(seen);
    Advice {
        reason: reason.clone(),
        cause: Some(Cause::Attributes { path: seen.to_owned(), ids, mode }),
        remedy: has_remedy.then(|| Chown { uid: owner, path: seen.to_owned() }),
    }
}

/// Returns a path without the `./` that makes a path of a relative name.
fn without_dot(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

fn is_refusal(reason: &Reason) -> bool {
    *reason == Reason::Errno(Errno::ACCESS)
}

impl fmt::Display for Advice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = &self.reason;
        match &self.cause {
            None => reason.fmt(out),
            Some(Cause::RootIsRefused) => {
                write!(out, "{reason}: root lacks the capability DAC_OVERRIDE, or a file server refuses root")
            }
            Some(Cause::Attributes { path, ids: Ids { uid, gid }, mode }) => {
                let path = FromVolume::path(path);
                write!(out, "{reason} ({path} belongs to {uid}:{gid}, mode {mode:04o}")?;
                if let Some(remedy) = &self.remedy {
                    write!(out, "; as root: {remedy}")?;
                }
                out.write_str(")")
            }
        }
    }
}

impl fmt::Display for Chown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "chown -hR {} {}", self.uid, FromVolume::path(&self.path))
    }
}

impl From<Advice> for Reason {
    fn from(advice: Advice) -> Reason {
        match advice.cause {
            None => advice.reason,
            Some(_) => advice.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Kind;

    const HERMES: u32 = 10_000;

    /// What is said of a path that belongs to `uid`:7, on the volume /opt/data.
    fn advised(reason: impl Into<Reason>, seen: &str, uid: u32) -> String {
        let ids = Ids { uid, gid: 7 };
        let meta = Meta { kind: Kind::Directory, mode: 0o1700, ids, links: 2, size: 0, inode: 1 };
        let advice = for_owner(&reason.into(), Path::new(seen), meta, Path::new("/opt/data"), HERMES);
        // A remedy changes the state that it is given for.
        assert!(advice.remedy.as_ref().is_none_or(|chown| chown.uid == HERMES && chown.uid != uid));
        advice.to_string()
    }

    #[test]
    fn what_is_anothers_on_the_volume_is_handed_over() {
        let attributes = "Permission denied (/opt/data/profiles belongs to 0:7, mode 1700";
        let volume = "Permission denied (/opt/data belongs to 0:7, mode 1700";
        assert_eq!(
            advised(Errno::ACCESS, "/opt/data/profiles", 0),
            format!("{attributes}; as root: chown -hR 10000 /opt/data/profiles)")
        );
        assert_eq!(
            advised(Errno::ACCESS, "/opt/data", 0),
            format!("{volume}; as root: chown -hR 10000 /opt/data)")
        );
    }

    #[test]
    fn a_relative_volume_is_one_too() {
        let ids = Ids { uid: 0, gid: 0 };
        let meta = Meta { kind: Kind::Directory, mode: 0o700, ids, links: 2, size: 0, inode: 1 };
        for (seen, home, expected) in [
            ("./data/logs", "data", true),
            ("data/logs", "./data", true),
            ("./data/logs", "./data", true),
            ("./", "data", false),
            ("/opt/data/", "/opt/data/", true),
            ("/opt/data", "/opt/data/", true),
        ] {
            let reason = Errno::ACCESS.into();
            let advice = for_owner(&reason, Path::new(seen), meta, Path::new(home), HERMES);
            assert_eq!(advice.remedy.is_some(), expected, "{seen} {home}");
        }
    }

    #[test]
    fn no_command_is_advised_where_it_would_not_help_or_not_be_safe() {
        for (reason, seen, uid, expected) in [
            // It is the owner's: the mode is what refuses.
            (
                Errno::ACCESS.into(),
                "/opt/data/x",
                HERMES,
                "Permission denied (/opt/data/x belongs to 10000:7, mode 1700)",
            ),
            // It is not on the volume.
            (Errno::ACCESS.into(), "/opt", 0, "Permission denied (/opt belongs to 0:7, mode 1700)"),
            (
                Errno::ACCESS.into(),
                "/opt/database",
                0,
                "Permission denied (/opt/database belongs to 0:7, mode 1700)",
            ),
            // A shell would take it apart.
            (
                Errno::ACCESS.into(),
                "/opt/data/$(x)",
                0,
                r#"Permission denied ("/opt/data/$(x)" belongs to 0:7, mode 1700)"#,
            ),
            (
                Errno::ACCESS.into(),
                "/opt/data/a b",
                0,
                r#"Permission denied ("/opt/data/a\u0020b" belongs to 0:7, mode 1700)"#,
            ),
            // Another owner would not help.
            (Errno::IO.into(), "/opt/data/x", 0, "I/O error (/opt/data/x belongs to 0:7, mode 1700)"),
            (
                "not a regular file".into(),
                "/opt/data/x",
                0,
                "not a regular file (/opt/data/x belongs to 0:7, mode 1700)",
            ),
        ] {
            let reason: Reason = reason;
            assert_eq!(advised(reason, seen, uid), expected);
        }
    }

    #[test]
    fn root_is_told_what_it_lacks_and_other_reasons_stay_what_they_are() {
        let refused = for_root(&Errno::ACCESS.into());
        assert_eq!(
            refused.to_string(),
            "Permission denied: root lacks the capability DAC_OVERRIDE, or a file server refuses root"
        );
        assert_eq!(refused.remedy, None);
        assert!(matches!(Reason::from(refused), Reason::Rule(_)));
        // An errno says that a look has failed, a rule what has been seen.
        assert_eq!(Reason::from(for_root(&Errno::IO.into())), Reason::Errno(Errno::IO));
    }
}
