//! The logger of a gateway: whether what the gateway prints reaches its log, and the renewal of a logger that keeps none.

use std::path::Path;

use super::Live;
use super::log_process::{self, Process};
use crate::output::{Error, Result, exit};
use crate::s6::ProfileName;
use crate::s6::servicedir::LOG;
use crate::s6::status::{self, Stat};
use crate::settings::Settings;
use crate::sys::{Dir, Reason, present};

/// Why a logger that runs keeps no log. What it reads is in the container's log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// It could not use its directory when it was started.
    Fallback,
    /// Its directory has been removed or replaced.
    Gone,
}

impl Lapse {
    /// Says why, and what helps.
    pub fn text(self, program: &str, profile: &ProfileName) -> String {
        let why = match self {
            Lapse::Fallback => "could not use its directory",
            Lapse::Gone => "has lost its directory",
        };
        let name = profile.text();
        format!(
            "what its gateway prints is in the container's log only, because its logger {why}; when it can be used: {program} restart {name}"
        )
    }
}

/// Returns why the logger of a gateway keeps no log, as far as this process can tell.
pub fn of(settings: &Settings, slot: &Dir) -> Option<Lapse> {
    let log = present(slot.open_path(&LOG)).ok().flatten()?;
    let pid = status::svstat(&log).ok().flatten().as_ref().and_then(Stat::pid)?;
    match log_process::look_steadily(settings, pid).ok()? {
        Process::Fallback => Some(Lapse::Fallback),
        Process::Lost => Some(Lapse::Gone),
        Process::Other | Process::Logging => None,
    }
}

/// Has the logger of a gateway started again if it keeps no log, so that it tries its directory again. It reads the line that it has
/// begun to its end, and what comes after that stays in its pipe for the new one. A failure is reported, and is no reason not to start
/// the gateway.
pub fn renew(live: &Live<'_>, profile: &ProfileName, slot: &Dir) {
    if of(&live.settings, slot).is_none() {
        return;
    }
    if let Err(error) = order(live, profile, slot) {
        live.console.failed(&error);
    }
}

fn order(live: &Live<'_>, profile: &ProfileName, slot: &Dir) -> Result<()> {
    let logger = Path::new(profile.slot()).join(&LOG);
    let log = slot.open_path(&LOG).map_err(|errno| Error::new("open", &logger, errno))?;
    live.tell_supervisor("uh", &log).map_err(|error| {
        let reason = error.errno().map_or_else(|| Reason::from(error.to_string()), Reason::from);
        Error::new("renew the logger", &logger, reason).with_code(exit::INCOMPLETE)
    })
}
