//! Whether the hermes user, as whom gateways run, may use what they need. The pass asks the kernel as that user.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::plan::Item;
use super::{Pass, observed};
use crate::output::escape::Shown;
use crate::output::{Error, Result};
use crate::s6::ProfileName;
use crate::settings::Settings;
use crate::sys::{Dir, Errno, Ids, Name, Reason, as_user, process, space, threads};
use crate::volume::{advice, gateway_log, profiles};

/// What EPERM says of a directory that the hermes user cannot change.
const IMMUTABLE: &str =
    "Operation not permitted: it is immutable (see lsattr(1)), or a security module refuses it";

/// Notes at each profile what keeps its gateway from running, and reports it once: root cannot become the hermes user, or that user is
/// refused the volume, the gateway's program, the profile's directory or that of its log; or the volume is full. A look that fails is noted
/// like a refusal. Another user than these two is told nothing. At most `threads` threads look.
pub fn look(pass: &Pass<'_>, items: &mut [Item], threads: usize) {
    let user = pass.settings.owner.value;
    let for_all = |why: String, items: &mut [Item]| {
        for profile in items.iter_mut().filter_map(Item::with_slot_mut) {
            profile.refusal = Some(why.clone());
        }
    };
    let groups = match pass.settings.groups() {
        Ok(groups) => groups,
        Err(error) => return for_all(pass.console.reported(&error), items),
    };
    let path = &pass.settings.home.value;
    let (place_of_logs, read_only, closed_profiles) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
    let is_read_only = pass.home.as_ref().is_some_and(|home| home.dir.try_to_use() == Err(Errno::ROFS));
    // Asked as root: the argv of the hermes user's processes says nothing.
    let may_be_read_only = is_read_only && (pass.is_front_end)();
    let look =
        Look { pass, path, uid: user.uid, may_be_read_only, place_of_logs, read_only, closed_profiles };
    let is_root = pass.template.ownership.is_root();
    if !is_root && pass.template.ownership.process().uid != user.uid {
        return;
    }
    if !is_root {
        return look.all(items, threads);
    }
    if let Err(errno) = as_user(user, &groups, || look.all(items, threads)) {
        for_all(look.cannot_drop(user, errno), items);
    }
}

/// Fails if the hermes user is refused the volume or the directory of a profile, in which a gateway works. What cannot be looked at, and
/// what another user is told, is nothing. Root has seen that the profile is there.
pub fn require(settings: &Settings, name: &ProfileName) -> Result<()> {
    let (user, path) = (settings.owner.value, &settings.home.value);
    let is_root = process::is_root();
    let enter = || {
        let refused = |label: &Path, reason: Reason| match reason {
            // The one who is refused finds out whose it is.
            Reason::Errno(Errno::ACCESS) => Err(refusal(path, label, &reason, user.uid)),
            _ => Ok(()),
        };
        match Volume::open(path) {
            Err(reason) => refused(path, reason),
            Ok(volume) if is_root || volume.has(name) => {
                volume.enter(path, name).or_else(|(label, reason)| refused(&label, reason))
            }
            Ok(_) => Ok(()),
        }
    };
    if is_root {
        as_user(user, &settings.groups()?, enter).unwrap_or(Ok(()))
    } else if process::uid() == user.uid {
        enter()
    } else {
        Ok(())
    }
}

/// Returns the error of a path that the hermes user is refused.
fn refusal(home: &Path, label: &Path, reason: &Reason, uid: u32) -> Error {
    Error::new(VERIFY, label, advice::below(reason, home, label, uid))
}

/// What is tried.
const VERIFY: &str = "verify the hermes user's access to";

struct Look<'a> {
    pass: &'a Pass<'a>,
    path: &'a Path,
    /// The hermes user.
    uid: u32,
    /// Whether the volume is read-only and need not be otherwise.
    may_be_read_only: bool,
    /// What is wrong with the directory in which that of a log is made; not looked for yet.
    place_of_logs: OnceCell<Option<String>>,
    /// That the volume is read-only; not said yet.
    read_only: OnceCell<Option<String>>,
    /// That the directory of the profiles is closed; not said yet.
    closed_profiles: OnceCell<Option<String>>,
}

/// The volume, as the hermes user opens it.
struct Volume {
    home: Dir,
    /// `profiles`, or why it cannot be opened.
    profiles: std::result::Result<Dir, Reason>,
    /// The directory of the logs, or why it cannot be opened.
    logs: std::result::Result<Dir, Reason>,
}

impl Volume {
    /// Opens the volume by its path, as a gateway opens it.
    fn open(path: &Path) -> std::result::Result<Volume, Reason> {
        let home = Dir::reach(path)?;
        // What else keeps the user from it is found with each profile.
        if home.try_to_list() == Err(Errno::ACCESS) {
            return Err(Errno::ACCESS.into());
        }
        let (profiles, logs) = (home.follow(&profiles::PROFILES), home.follow(gateway_log::LOGS));
        Ok(Volume { home, profiles, logs })
    }

    /// Returns whether a profile has a directory, as far as this process can tell.
    fn has(&self, name: &ProfileName) -> bool {
        let is_in =
            |profiles: &Dir| Name::new(name.text()).is_some_and(|name| profiles.has(&name) == Ok(true));
        name.is_root() || self.profiles.as_ref().is_ok_and(is_in)
    }

    /// Tries to use the directories of a profile. `path` is that of the volume. Several threads may do so at once.
    fn try_directories(&self, path: &Path, name: &ProfileName) -> Tried {
        Tried { own: self.enter(path, name), log: try_below(&self.logs, name.text()) }
    }

    /// Tries to use the directory of a profile. `path` is that of the volume. Returns which path cannot be used, and why.
    fn enter(&self, path: &Path, name: &ProfileName) -> std::result::Result<(), (PathBuf, Reason)> {
        if name.is_root() {
            return self.home.try_to_use().map_err(|errno| (path.to_owned(), errno.into()));
        }
        try_below(&self.profiles, name.text()).map_err(|reason| (profiles::place(name), reason))
    }
}

/// What has come of an attempt to use the directories of a profile.
struct Tried {
    /// Its own one; which path cannot be used, and why.
    own: std::result::Result<(), (PathBuf, Reason)>,
    /// That of its log.
    log: std::result::Result<(), Reason>,
}

/// Tries to use an entry of a directory, if that could be opened. Every profile is asked about, so the one directory is not opened again
/// by its path, which may lead far.
fn try_below(dir: &std::result::Result<Dir, Reason>, entry: &str) -> std::result::Result<(), Reason> {
    let name = Name::new(entry).ok_or(Errno::INVAL)?;
    dir.as_ref().map_err(Clone::clone)?.try_to_use_below(&name)
}

/// Returns whether what stands in the place of a directory of logs is none, or is one that this program does not use. The gateway runs
/// all the same, and its logger says it: the output is in the container's log.
fn is_of_another_kind(reason: &Reason) -> bool {
    !matches!(reason, Reason::Errno(errno) if !matches!(*errno, Errno::NOTDIR | Errno::LOOP))
}

/// Returns whether this user may not enter a directory, so that everything in it is refused in the same way.
fn is_closed(home: &Dir, path: &Path) -> bool {
    home.try_to_run(path) == Err(Errno::ACCESS)
}

impl Look<'_> {
    /// Asks the kernel as the user of this process.
    fn all(&self, items: &mut [Item], threads: usize) {
        let volume = match Volume::open(self.path) {
            Ok(volume) => Ok(volume),
            // The pass has had it open: it is gone.
            Err(Reason::Errno(Errno::NOENT)) => return,
            Err(reason) => Err(self.refused(self.path, &reason)),
        };
        let (full, program) = match &volume {
            Ok(volume) => (self.full(volume), self.program(&volume.home)),
            Err(_) => (None, None),
        };
        let path = self.path;
        for items in items.chunks_mut(observed::at_once(threads)) {
            let tried = threads::map(items, threads, |item| {
                let name = &item.with_slot()?.name;
                volume.as_ref().ok().map(|volume| volume.try_directories(path, name))
            });
            for (item, tried) in items.iter_mut().zip(tried) {
                let Some(profile) = item.with_slot_mut() else { continue };
                profile.refusal = match (&volume, tried) {
                    // What concerns one profile comes before what concerns all.
                    (Ok(volume), Some(tried)) => self
                        .profile(volume, &profile.name, tried)
                        .or_else(|| full.clone())
                        .or_else(|| program.as_ref().filter(|_| !self.has_own_path(&profile.name)).cloned()),
                    (Ok(_), None) => None,
                    (Err(refusal), _) => refusal.clone(),
                };
            }
        }
    }

    /// Returns that the volume, or what the logs are on, is full.
    fn full(&self, volume: &Volume) -> Option<String> {
        let logs = volume.logs.as_ref().ok().map(|logs| (logs, Path::new(gateway_log::LOGS)));
        // That of the logs is asked for by itself: a quota may be one directory's.
        let home = self.pass.home.as_ref().map(|home| (home.space_of(&volume.home), self.path));
        let logs = logs.map(|(dir, path)| (space::of(dir), path));
        home.into_iter().chain(logs).find_map(|(space, path)| {
            let error = match space.map(|space| space.is_full) {
                // A seccomp filter may refuse the question.
                Ok(false) | Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => return None,
                Ok(true) => Error::new("write to", path, Errno::NOSPC),
                Err(errno) => Error::new("find out how much space is left in", path, errno),
            };
            Some(self.pass.console.reported(&error))
        })
    }

    /// Root cannot in a user namespace that does not map the user, nor without the capabilities SETUID and SETGID. A gateway need not
    /// where s6 is that user already.
    fn cannot_drop(&self, user: Ids, errno: Errno) -> String {
        let consequence = if self.pass.settings.is_s6_unprivileged() {
            "so what that user may use is not known: run the command as that user"
        } else {
            "no gateway can run: the container's user namespace must map this user and group, and root needs the capabilities SETUID \
             and SETGID"
        };
        let reason = format!("{}; {consequence}", Reason::from(errno));
        self.pass.console.reported(&Error::new("switch to the hermes user", user, reason))
    }

    /// Returns what is said of a path that the hermes user is refused, or that could not be looked at.
    fn refused(&self, label: &Path, reason: &Reason) -> Option<String> {
        let error = match reason {
            Reason::Errno(Errno::ACCESS) => refusal(self.path, label, reason, self.uid),
            // A front end reads the volume, and its container may have it read-only.
            Reason::Errno(Errno::ROFS) if self.may_be_read_only => return None,
            Reason::Errno(Errno::PERM) => Error::new(VERIFY, label, IMMUTABLE),
            reason => Error::new(VERIFY, label, reason.clone()),
        };
        Some(self.pass.console.reported(&error))
    }

    /// [`Look::refused`] for a path of one profile. That the whole volume is read-only is said once.
    fn refused_one(&self, volume: &Volume, label: &Path, reason: &Reason) -> Option<String> {
        let read_only = Err(Errno::ROFS);
        if *reason == Reason::Errno(Errno::ROFS) && volume.home.try_to_use() == read_only {
            return self.read_only.get_or_init(|| self.refused(self.path, reason)).clone();
        }
        self.refused(label, reason)
    }

    /// Returns what is wrong with the directories of a profile.
    fn profile(&self, volume: &Volume, name: &ProfileName, tried: Tried) -> Option<String> {
        let (profiles, logs) = (Path::new(&profiles::PROFILES), Path::new(gateway_log::LOGS));
        match tried.own {
            // It has been removed meanwhile.
            Ok(()) | Err((_, Reason::Errno(Errno::NOENT))) => (),
            Err((_, reason @ Reason::Errno(Errno::ACCESS)))
                if !name.is_root() && is_closed(&volume.home, profiles) =>
            {
                return self.closed_profiles.get_or_init(|| self.refused(profiles, &reason)).clone();
            }
            Err((directory, reason)) => return self.refused_one(volume, &directory, &reason),
        }
        let place_of_logs = || self.place_of_logs.get_or_init(|| self.place_of_logs(volume)).clone();
        match tried.log {
            Ok(()) => None,
            Err(Reason::Errno(Errno::NOENT)) => place_of_logs(),
            Err(Reason::Errno(Errno::ACCESS)) if is_closed(&volume.home, logs) => place_of_logs(),
            Err(reason) if is_of_another_kind(&reason) => None,
            Err(reason) => self.refused_one(volume, &gateway_log::path(name), &reason),
        }
    }

    /// Returns what is wrong with the place of a log that is not there yet.
    fn place_of_logs(&self, volume: &Volume) -> Option<String> {
        let logs = (Path::new(gateway_log::LOGS), Path::new(gateway_log::LOGS));
        for (place, label) in [logs, (Path::new("logs"), Path::new("logs")), (Path::new("."), self.path)] {
            match volume.home.follow(place).and_then(|dir| Ok(dir.try_to_use()?)) {
                Err(Reason::Errno(Errno::NOENT)) => (),
                Ok(()) => break,
                Err(reason) if is_of_another_kind(&reason) => break,
                Err(reason) => return self.refused_one(volume, label, &reason),
            }
        }
        None
    }

    /// Returns what is wrong with the PATH of gateways, as far as it is known: only s6-overlay's services have the container's.
    fn program(&self, home: &Dir) -> Option<String> {
        let path = match self.pass.settings.lookup.contained("PATH") {
            Ok(path) => path?,
            Err(error) => return Some(self.pass.console.reported(&error)),
        };
        let mut failed = None;
        for entry in path.as_bytes().split(|byte| *byte == b':') {
            // An empty one is the working directory.
            let entry = if entry.is_empty() { b"." } else { entry };
            let program = PathBuf::from(OsString::from_vec([entry, b"/hermes"].concat()));
            match home.try_to_run(&program) {
                Ok(()) => return None,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => (),
                Err(errno) => failed = failed.or(Some((program, errno))),
            }
        }
        if let Some((program, errno)) = failed {
            let error = Error::new("find out whether the hermes user can execute", &program, errno);
            return Some(self.pass.console.reported(&error));
        }
        let reason = format!(
            "the gateways' PATH, {}, has no hermes that the hermes user can execute",
            Shown(path.as_bytes())
        );
        Some(self.pass.console.reported(&Error::new("run", "hermes", reason)))
    }

    /// Returns whether a registration has set another PATH for this gateway, as far as this user may look.
    fn has_own_path(&self, name: &ProfileName) -> bool {
        let slot = self.pass.scandir.as_ref().map(|scandir| scandir.open_path(name.slot()));
        let Some(Ok(slot)) = slot else { return false };
        !matches!(slot.try_to_run(Path::new("env/PATH")), Err(Errno::NOENT))
    }
}
