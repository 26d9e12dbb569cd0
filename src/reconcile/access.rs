//! Whether the hermes user, as whom gateways run, may use what they need. The pass asks the kernel as that user.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Pass;
use super::action::Action;
use crate::error::Error;
use crate::refusal;
use crate::settings;
use crate::show::Shown;
use crate::slot::ProfileName;
use crate::sys::{Acting, Dir, Errno, label};
use crate::volume::profiles;

/// Where loggers write, from the volume, each in a directory of its profile's name.
const LOGS: &[u8] = b"logs/gateways";

/// Notes at each action what the hermes user is refused: the volume, the gateway's program, the profile's directory, that of its log.
/// Reports it once. Says nothing where this process neither is that user nor can become it, which is reported elsewhere.
pub fn look(pass: &Pass<'_>, actions: &mut [Action]) {
    let Ok(runner) = settings::runner() else { return };
    let (user, me) = (runner.user.ids, pass.spec.ownership.process());
    let acting = if me.uid == 0 { Acting::as_user(user, &runner.groups).ok() } else { None };
    if acting.is_none() && me.uid != user.uid {
        return;
    }
    let look = Look { pass, path: &pass.settings.home.value, uid: user.uid, logs: OnceCell::new() };
    // By its path, as a gateway opens it.
    let (home, for_all) = match Dir::at(look.path) {
        Ok(home) => {
            let program = look.program(&home);
            (Some(home), program)
        }
        Err(Errno::ACCESS) => (None, Some(look.refused(look.path.as_os_str().as_bytes()))),
        // The pass has it open.
        Err(_) => return,
    };
    for action in actions {
        let Some(name) = &action.name else { continue };
        let found = match (&home, &for_all) {
            (Some(home), Some(_)) if look.has_own_path(name) => look.profile(home, name),
            (Some(home), None) => look.profile(home, name),
            _ => for_all.clone(),
        };
        action.obstacle = action.obstacle.take().or(found);
    }
}

struct Look<'a> {
    pass: &'a Pass<'a>,
    path: &'a Path,
    /// The hermes user.
    uid: u32,
    /// What is wrong with the directory in which that of a log is made; not looked for yet.
    logs: OnceCell<Option<String>>,
}

impl Look<'_> {
    /// Reports an error. Returns its text.
    fn report(&self, error: &Error) -> String {
        self.pass.console.warn(error);
        error.to_string()
    }

    fn refused(&self, label: &[u8]) -> String {
        let reason = refusal::below(&Errno::ACCESS.into(), self.path, label, self.uid);
        self.report(&Error::new("use as the hermes user", label, reason))
    }

    /// Returns what is wrong with the directories of a profile.
    fn profile(&self, home: &Dir, name: &ProfileName) -> Option<String> {
        let volume = self.path.as_os_str().as_bytes().to_vec();
        let directory = if name.is_root() { volume } else { profiles::place(name) };
        if try_to_use(home, &directory) == Err(Errno::ACCESS) {
            return Some(self.refused(&directory));
        }
        let logs = label(&[LOGS, name.text().as_bytes()]);
        match try_to_use(home, &logs) {
            Err(Errno::NOENT) => self.logs.get_or_init(|| self.place_of_logs(home)).clone(),
            Err(Errno::ACCESS) => Some(self.refused(&logs)),
            _ => None,
        }
    }

    /// Returns what is wrong with the place of a log that is not there yet.
    fn place_of_logs(&self, home: &Dir) -> Option<String> {
        let volume = self.path.as_os_str().as_bytes();
        let places = [LOGS, b"logs", volume].into_iter();
        let (place, found) = places
            .map(|place| (place, try_to_use(home, place)))
            .find(|(_, found)| *found != Err(Errno::NOENT))?;
        (found == Err(Errno::ACCESS)).then(|| self.refused(place))
    }

    /// Returns what is wrong with the PATH of gateways, as far as it is known: only s6-overlay's services have the container's.
    fn program(&self, home: &Dir) -> Option<String> {
        let path = self.pass.settings.lookup.contained("PATH").ok()??;
        let absent = |entry: &Path| match home.try_to_run(&entry.join("hermes")) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => true,
            // What cannot be found out is no fault.
            _ => false,
        };
        if !std::env::split_paths(&path).all(|entry| absent(&entry)) {
            return None;
        }
        let reason = format!(
            "no directory of the PATH that gateways get, {}, has it for the hermes user",
            Shown(path.as_bytes())
        );
        Some(self.report(&Error::new("run", "hermes", reason)))
    }

    /// Returns whether a registration has set another PATH for this gateway, as far as this user may look.
    fn has_own_path(&self, name: &ProfileName) -> bool {
        let slot = self.pass.scandir.as_ref().map(|scandir| scandir.passage(name.slot()));
        let Some(Ok(slot)) = slot else { return false };
        !matches!(slot.try_to_run(Path::new("env/PATH")), Err(Errno::NOENT))
    }
}

fn try_to_use(home: &Dir, path: &[u8]) -> Result<(), Errno> {
    home.try_to_use(Path::new(OsStr::from_bytes(path)))
}
