//! Whether the hermes user, as whom gateways run, may use what they need. The pass asks the kernel as that user.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Pass;
use super::plan::Item;
use crate::output::Error;
use crate::output::escape::Shown;
use crate::s6::ProfileName;
use crate::settings::user;
use crate::sys::{Dir, Errno, Ids, Name, Reason, as_user};
use crate::volume::{advice, gateway_log, profiles};

/// Notes at each profile what keeps its gateway from running, and reports it once: root cannot become the hermes user, or that user is
/// refused the volume, the gateway's program, the profile's directory or that of its log. Another user than these two is told nothing.
pub fn look(pass: &Pass<'_>, items: &mut [Item]) {
    let user = pass.settings.owner.value;
    let groups = match user::runner() {
        Ok(runner) if runner.user.ids == user => runner.groups,
        // An option names another user.
        Ok(_) => Vec::new(),
        Err(error) => return pass.console.failed(&error),
    };
    let path = &pass.settings.home.value;
    let look = Look { pass, path, uid: user.uid, place_of_logs: OnceCell::new() };
    let is_root = pass.template.ownership.is_root();
    if !is_root && pass.template.ownership.process().uid != user.uid {
        return;
    }
    if !is_root {
        return look.all(items);
    }
    if let Err(errno) = as_user(user, &groups, || look.all(items)) {
        let why = look.cannot_drop(user, errno);
        for profile in items.iter_mut().filter_map(Item::with_slot_mut) {
            profile.refusal = Some(why.clone());
        }
    }
}

struct Look<'a> {
    pass: &'a Pass<'a>,
    path: &'a Path,
    /// The hermes user.
    uid: u32,
    /// What is wrong with the directory in which that of a log is made; not looked for yet.
    place_of_logs: OnceCell<Option<String>>,
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
        let home = Dir::at(path)?;
        let (profiles, logs) = (home.follow(&profiles::PROFILES), home.follow(gateway_log::LOGS));
        Ok(Volume { home, profiles, logs })
    }
}

/// Tries to use an entry of a directory, if that could be opened. Every profile is asked about, so the one directory is not opened again
/// by its path, which may lead far.
fn try_below(dir: &std::result::Result<Dir, Reason>, entry: &str) -> std::result::Result<(), Reason> {
    let name = Name::new(entry).ok_or(Errno::INVAL)?;
    dir.as_ref().map_err(Clone::clone)?.try_to_use_below(&name)
}

impl Look<'_> {
    /// Asks the kernel as the user of this process.
    fn all(&self, items: &mut [Item]) {
        let (volume, for_all) = match Volume::open(self.path) {
            Ok(volume) => {
                let program = self.program(&volume.home);
                (Some(volume), program)
            }
            Err(Reason::Errno(Errno::ACCESS)) => (None, Some(self.refused(self.path))),
            // The pass has it open.
            Err(_) => return,
        };
        for profile in items.iter_mut().filter_map(Item::with_slot_mut) {
            profile.refusal = match &volume {
                Some(volume) if for_all.is_none() || self.has_own_path(&profile.name) => {
                    self.profile(volume, &profile.name)
                }
                _ => for_all.clone(),
            };
        }
    }

    /// Root cannot in a user namespace that does not map the user, nor without the capabilities SETUID and SETGID.
    fn cannot_drop(&self, user: Ids, errno: Errno) -> String {
        let reason = format!(
            "{}; no gateway can run: the container's user namespace must map this user and group, and root needs the \
             capabilities SETUID and SETGID",
            Reason::from(errno)
        );
        self.pass.console.reported(&Error::new("switch to the hermes user", user, reason))
    }

    fn refused(&self, label: &Path) -> String {
        let reason = advice::below(&Errno::ACCESS.into(), self.path, label, self.uid);
        self.pass.console.reported(&Error::new("verify the hermes user's access to", label, reason))
    }

    /// Returns what is wrong with the directories of a profile.
    fn profile(&self, volume: &Volume, name: &ProfileName) -> Option<String> {
        let place = profiles::place(name);
        let (directory, used) = if name.is_root() {
            (self.path, volume.home.try_to_use().map_err(Reason::from))
        } else {
            (place.as_path(), try_below(&volume.profiles, name.text()))
        };
        if used == Err(Reason::Errno(Errno::ACCESS)) {
            return Some(self.refused(directory));
        }
        match try_below(&volume.logs, name.text()) {
            Err(Reason::Errno(Errno::NOENT)) => {
                self.place_of_logs.get_or_init(|| self.place_of_logs(&volume.home)).clone()
            }
            Err(Reason::Errno(Errno::ACCESS)) => Some(self.refused(&gateway_log::path(name))),
            _ => None,
        }
    }

    /// Returns what is wrong with the place of a log that is not there yet.
    fn place_of_logs(&self, home: &Dir) -> Option<String> {
        let logs = (Path::new(gateway_log::LOGS), Path::new(gateway_log::LOGS));
        for (place, label) in [logs, (Path::new("logs"), Path::new("logs")), (Path::new("."), self.path)] {
            match home.follow(place).and_then(|dir| Ok(dir.try_to_use()?)) {
                Err(Reason::Errno(Errno::NOENT)) => (),
                Err(Reason::Errno(Errno::ACCESS)) => return Some(self.refused(label)),
                _ => break,
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
        for entry in path.as_bytes().split(|byte| *byte == b':') {
            // An empty one is the working directory.
            let entry = if entry.is_empty() { b"." } else { entry };
            let found = home.try_to_run(Path::new(OsStr::from_bytes(&[entry, b"/hermes"].concat())));
            // What cannot be found out is no fault.
            if !matches!(found, Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS)) {
                return None;
            }
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
