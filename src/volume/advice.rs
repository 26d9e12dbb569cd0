//! Why a path of the volume cannot be used: who owns what is in the way, and the command that mends it.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::escape::{self, FromVolume, Shown};
use crate::sys::capability::{self, CapabilitySet};
use crate::sys::dir::link_at;
use crate::sys::user_namespace::{self, Owner};
use crate::sys::walk::is_roots;
use crate::sys::{Errno, Ids, Kind, Meta, Reason, process};

/// Why a path of the volume cannot be used. Printed, it is the reason for an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Why the operation failed.
    pub reason: Reason,
    /// What is behind it, as far as this process can tell.
    pub cause: Option<Cause>,
    /// What root can do about it.
    pub remedy: Option<Remedy>,
}

/// What is behind a failure on the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Root is refused.
    RootIsRefused(Root),
    /// The owner and the mode of the path, or of the last directory on it that this process may look at.
    Attributes {
        /// That path.
        path: PathBuf,
        /// Its owner and group.
        ids: Ids,
        /// Its permission bits.
        mode: u32,
        /// What else there is to say of them.
        more: More,
    },
}

/// Why root is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// It lacks the capability `DAC_OVERRIDE`.
    Lacks,
    /// It has that.
    Has {
        /// Whether the user namespace of the container leaves out users, over whose files root has no power.
        is_namespace_partial: bool,
    },
    /// Whether it has that could not be found out.
    Unknown,
}

/// What owner and mode do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    Nothing,
    /// They permit what was refused.
    Permitted,
    /// The owner is, or may be, in no way part of the container.
    Unmapped {
        /// Whether that is certain.
        is_certain: bool,
        /// The hermes user.
        uid: u32,
        /// Whether that user is part of it.
        is_hermes_mapped: bool,
    },
}

/// A command for root that hands something over to the hermes user. It is safe whatever somebody else puts in the place of the path
/// before it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// chown(1), for the volume itself, where root alone can exchange it. It changes no target of a symlink.
    Chown {
        /// The hermes user.
        uid: u32,
        /// The volume. A shell takes its path as it is.
        home: PathBuf,
    },
    /// `hand-over`, for what is on the volume.
    HandOver {
        /// The executable.
        program: String,
        /// The path; relative to the volume if the path of that is relative. A shell takes it as it is, and it is not taken for an
        /// option. An absolute one is refused if the command has another volume.
        path: PathBuf,
    },
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
    let Some((seen, meta)) = path.ancestors().find_map(|path| Some((path, Meta::at(path).ok()?))) else {
        return Advice { reason: reason.clone(), cause: None, remedy: None };
    };
    let remedy = || remedy(seen, home, owner, &program(), is_roots_alone(home));
    let Meta { mode, ids, .. } = meta;
    // Where a directory that may be looked at has a symlink that leads on, it is not what has refused.
    let is_it = seen == path || Meta::at(path).err() == Some(Errno::NOENT) && Some(seen) == path.parent();
    let more = if is_refusal(reason) { more(&meta, owner, is_it) } else { More::Nothing };
    let has_remedy = is_refusal(reason) && ids.uid != owner && more == More::Nothing;
    Advice {
        reason: reason.clone(),
        cause: Some(Cause::Attributes { path: seen.to_owned(), ids, mode, more }),
        remedy: has_remedy.then(remedy).flatten(),
    }
}

/// Returns what else is to be said of what has refused this process, which is no root. `is_it`: the operation was on this file, or was to
/// make one in this directory.
fn more(meta: &Meta, owner: u32, is_it: bool) -> More {
    let is_mine = meta.ids.uid == process::uid();
    match user_namespace::owner(meta.ids) {
        Owner::Mapped | Owner::Ambiguous if is_mine && is_it && permits(meta) => More::Permitted,
        Owner::Mapped => More::Nothing,
        Owner::Ambiguous if is_mine => More::Nothing,
        unmapped => More::Unmapped {
            is_certain: unmapped == Owner::Unmapped,
            uid: owner,
            is_hermes_mapped: user_namespace::maps_user(owner),
        },
    }
}

/// Returns whether the mode permits a file's owner everything that this program does with one.
fn permits(meta: &Meta) -> bool {
    let bits = match meta.kind {
        Kind::Directory => 0o700,
        Kind::Regular => 0o600,
        _ => return false,
    };
    meta.mode & bits == bits
}

fn for_root(reason: &Reason) -> Advice {
    let cause = is_refusal(reason).then(|| {
        Cause::RootIsRefused(match capability::effective() {
            Ok(effective) if effective.contains(CapabilitySet::DAC_OVERRIDE) => {
                Root::Has { is_namespace_partial: user_namespace::is_partial() }
            }
            Ok(_) => Root::Lacks,
            Err(_) => Root::Unknown,
        })
    });
    Advice { reason: reason.clone(), cause, remedy: None }
}

impl fmt::Display for Root {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Lacks => out.write_str("root lacks the capability DAC_OVERRIDE"),
            Root::Unknown => {
                write!(out, "root lacks the capability DAC_OVERRIDE, or is refused by {OTHERS}")
            }
            Root::Has { is_namespace_partial } => {
                write!(out, "root has the capability DAC_OVERRIDE, so it is refused by {OTHERS}")?;
                if *is_namespace_partial {
                    out.write_str(", or the owner is not in the container's user namespace")?;
                }
                Ok(())
            }
        }
    }
}

/// Who else refuses.
const OTHERS: &str = "a security module (SELinux: mount the volume with :z or :Z; AppArmor) or a file server";

/// Writes what else is to be said of owner and mode.
fn write_more(more: More, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    match more {
        More::Nothing => Ok(()),
        More::Permitted => write!(out, ": these permit it, so it is refused by {OTHERS}"),
        More::Unmapped { is_certain, uid, is_hermes_mapped } => {
            let is = if is_certain { "is" } else { "may be" };
            write!(
                out,
                "; its owner {is} outside the container's user namespace, and then root in the container cannot change it: "
            )?;
            if is_hermes_mapped {
                write!(
                    out,
                    "on the host, give it to the user who is uid {uid} here, see /proc/PID/uid_map there of a process of the container"
                )
            } else {
                write!(out, "use a user namespace that maps uid {uid}, which this one does not")
            }
        }
    }
}

/// Returns the command that hands a path over to the user `owner`, if it is on the volume. `is_roots_alone`: nobody but root can
/// exchange the volume.
fn remedy(seen: &Path, home: &Path, owner: u32, program: &str, is_roots_alone: bool) -> Option<Remedy> {
    let below = without_dot(seen).strip_prefix(without_dot(home)).ok()?;
    let is_volume = below.as_os_str().is_empty();
    let path = if home.is_absolute() { seen.to_owned() } else { Path::new(".").join(below) };
    // Only a name that a shell takes as it is gets into a command.
    if !escape::is_bare_path(&path) {
        None
    } else if is_volume && is_roots_alone {
        Some(Remedy::Chown { uid: owner, home: home.to_owned() })
    } else {
        Some(Remedy::HandOver { program: program.to_owned(), path })
    }
}

/// Returns the running executable as a person is to call it.
fn program() -> String {
    let name = OsStr::new("hermes-init");
    let path = process::executable(name).unwrap_or_else(|| name.into());
    Shown(path.as_os_str().as_bytes()).to_string()
}

/// Returns whether nobody but root can put something else in the place of a path: no component is a symlink, and only root can write
/// the directories above it. What cannot be looked at is not root's alone.
fn is_roots_alone(path: &Path) -> bool {
    let is_symlink = |path| link_at(path) != Err(Errno::INVAL);
    path.is_absolute()
        && !path.ancestors().any(is_symlink)
        && path.ancestors().skip(1).all(|path| Meta::at(path).is_ok_and(is_roots))
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
            Some(Cause::RootIsRefused(root)) => write!(out, "{reason}: {root}"),
            Some(Cause::Attributes { path, ids: Ids { uid, gid }, mode, more }) => {
                let path = FromVolume::path(path);
                write!(out, "{reason} ({path} belongs to {uid}:{gid}, mode {mode:04o}")?;
                write_more(*more, out)?;
                if let Some(remedy) = &self.remedy {
                    write!(out, "; as root: {remedy}")?;
                }
                out.write_str(")")
            }
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::Chown { uid, home } => write!(out, "chown -hR {uid} {}", FromVolume::path(home)),
            Remedy::HandOver { program, path } => {
                write!(out, "{program} hand-over {}", FromVolume::path(path))
            }
        }
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

    const HERMES: u32 = 10_000;

    fn told(seen: &str, home: &str, is_roots_alone: bool) -> Option<String> {
        let remedy = remedy(Path::new(seen), Path::new(home), HERMES, "P", is_roots_alone);
        remedy.map(|remedy| remedy.to_string())
    }

    #[test]
    fn what_is_on_the_volume_is_handed_over_and_the_volume_itself_by_chown_if_only_root_can_exchange_it() {
        for (seen, home, alone, others) in [
            ("/opt/data/x/-y", "/opt/data", "P hand-over /opt/data/x/-y", "P hand-over /opt/data/x/-y"),
            ("/opt/data/-x", "/opt/data/", "P hand-over /opt/data/-x", "P hand-over /opt/data/-x"),
            ("/opt/data", "/opt/data", "chown -hR 10000 /opt/data", "P hand-over /opt/data"),
            ("/opt/data/", "/opt/data/", "chown -hR 10000 /opt/data/", "P hand-over /opt/data/"),
            ("./data/logs", "data", "P hand-over ./logs", "P hand-over ./logs"),
            ("data/-x", "./data", "P hand-over ./-x", "P hand-over ./-x"),
        ] {
            assert_eq!(told(seen, home, true).as_deref(), Some(alone), "{seen} {home}");
            assert_eq!(told(seen, home, false).as_deref(), Some(others), "{seen} {home}");
        }
    }

    #[test]
    fn no_command_is_advised_for_what_is_not_on_the_volume_or_for_a_name_that_a_shell_takes_apart() {
        for (seen, home) in [
            ("/opt", "/opt/data"),
            ("/opt/database", "/opt/data"),
            ("./", "data"),
            ("/opt/data/$(x)", "/opt/data"),
            ("/opt/data/a b", "/opt/data"),
            ("/opt/a b", "/opt/a b"),
        ] {
            for is_roots_alone in [true, false] {
                assert_eq!(told(seen, home, is_roots_alone), None, "{seen} {home}");
            }
        }
    }

    #[test]
    fn owner_and_mode_of_what_refuses_are_said_and_the_command_that_mends_it() {
        let ids = Ids { uid: 0, gid: 7 };
        let cause = || {
            Some(Cause::Attributes { path: "/opt/data/a b".into(), ids, mode: 0o1700, more: More::Nothing })
        };
        let told = |remedy| Advice { reason: Errno::ACCESS.into(), cause: cause(), remedy }.to_string();
        let why = "Permission denied (\"/opt/data/a\\u0020b\" belongs to 0:7, mode 1700";
        assert_eq!(told(None), format!("{why})"));
        let chown = Remedy::Chown { uid: HERMES, home: "/opt/data".into() };
        assert_eq!(told(Some(chown)), format!("{why}; as root: chown -hR 10000 /opt/data)"));
    }

    #[test]
    fn what_else_there_is_to_say_is_said() {
        let told = |more| {
            let cause = Cause::Attributes {
                path: "/v".into(),
                ids: Ids { uid: 65_534, gid: 65_534 },
                mode: 0o755,
                more,
            };
            Advice { reason: Errno::ACCESS.into(), cause: Some(cause), remedy: None }.to_string()
        };
        let why = "Permission denied (/v belongs to 65534:65534, mode 0755";
        let unmapped =
            |is_certain, is_hermes_mapped| More::Unmapped { is_certain, uid: 1000, is_hermes_mapped };
        assert_eq!(told(More::Permitted), format!("{why}: these permit it, so it is refused by {OTHERS})"));
        assert_eq!(
            told(unmapped(true, true)),
            format!(
                "{why}; its owner is outside the container's user namespace, and then root in the container cannot change it: on the \
                 host, give it to the user who is uid 1000 here, see /proc/PID/uid_map there of a process of the container)"
            )
        );
        assert!(told(unmapped(false, true)).contains("its owner may be outside"));
        assert!(
            told(unmapped(true, false))
                .ends_with(": use a user namespace that maps uid 1000, which this one does not)")
        );
    }

    #[test]
    fn a_mode_permits_its_owner_what_is_needed_of_a_file_or_a_directory() {
        for (kind, mode, expected) in [
            (Kind::Directory, 0o755, true),
            (Kind::Directory, 0o700, true),
            (Kind::Directory, 0o677, false),
            (Kind::Regular, 0o600, true),
            (Kind::Regular, 0o400, false),
            (Kind::Symlink, 0o777, false),
        ] {
            let meta =
                Meta { kind, mode, ids: Ids { uid: 7, gid: 7 }, links: 1, size: 0, inode: 1, modified: 0 };
            assert_eq!(permits(&meta), expected, "{kind:?} {mode:o}");
        }
    }

    #[test]
    fn root_is_told_what_it_lacks_and_other_reasons_stay_what_they_are() {
        for (root, expected) in [
            (Root::Lacks, "root lacks the capability DAC_OVERRIDE".to_owned()),
            (Root::Unknown, format!("root lacks the capability DAC_OVERRIDE, or is refused by {OTHERS}")),
            (
                Root::Has { is_namespace_partial: false },
                format!("root has the capability DAC_OVERRIDE, so it is refused by {OTHERS}"),
            ),
            (
                Root::Has { is_namespace_partial: true },
                format!(
                    "root has the capability DAC_OVERRIDE, so it is refused by {OTHERS}, or the owner is not in the container's user \
                     namespace"
                ),
            ),
        ] {
            assert_eq!(root.to_string(), expected);
        }
        let refused = for_root(&Errno::ACCESS.into());
        assert!(refused.to_string().starts_with("Permission denied: root "));
        assert_eq!(refused.remedy, None);
        assert!(matches!(Reason::from(refused), Reason::Rule(_)));
        // An errno says that a look has failed, a rule what has been seen.
        assert_eq!(Reason::from(for_root(&Errno::IO.into())), Reason::Errno(Errno::IO));
    }
}
