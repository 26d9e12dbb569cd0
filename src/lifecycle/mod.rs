//! What is done at run time, on a live container: register, unregister, start, stop, restart, status. s6's own tools do the
//! talking to s6.

pub mod control;
pub mod register;
pub mod s6;
pub mod status;
pub mod unregister;

use std::ffi::CStr;

use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Error, Result, USAGE};
use crate::reconcile;
use crate::settings::Settings;
use crate::slot::{ProfileName, Spec, probe};
use crate::sys::keep;
use crate::sys::time::{self, Milliseconds};
use crate::sys::{Chowner, Dir, Errno, lock};

/// Exit code of a command that found things other than it needs them.
const REFUSED: u8 = 1;
/// How long a supervisor may take to come or to go.
const SUPERVISION: Milliseconds = 10_000;
/// Between two looks.
const PAUSE: Milliseconds = 5;

/// What the lifecycle commands work with.
struct Live<'a> {
    settings: &'a Settings,
    /// The scan directory, and its path for s6's tools.
    scandir: Dir,
    path: &'static CStr,
    spec: Spec<'a>,
    console: &'a Console,
}

impl Live<'_> {
    /// The path of a slot, for s6's tools.
    fn slot_path(&self, profile: &ProfileName) -> &'static CStr {
        path_of(self.path, profile.slot().bytes())
    }

    /// Refuses where this user cannot change the scan directory, before anything else is done.
    fn must_be_ours(&self) -> Result<()> {
        if self.scandir.may_write() {
            return Ok(());
        }
        let owner = self.scandir.own_meta().map_or(0, |meta| meta.ids.uid);
        let reason =
            format!("it belongs to uid {owner}: sealed, or not handed over to you; do it as that user");
        Err(Error::new("change", self.path.to_bytes(), reason).with_code(REFUSED))
    }

    /// Holds the scan directory until the command ends.
    fn hold(&self) -> Result<Held> {
        // The lock is the descriptor's: a second one, so that it can be let go.
        let dir = self.scandir.readable().context("open", self.path.to_bytes())?;
        lock::exclusive(&dir).context("lock", self.path.to_bytes())?;
        Ok(Held { _dir: dir })
    }
}

/// The scan directory's lock; let go when dropped.
struct Held {
    _dir: Dir,
}

/// Opens what the command works with, and calls it; its exit code.
fn with_live(
    options: &Options,
    argv0: &'static CStr,
    console: &Console,
    command: &dyn Fn(&Live<'_>) -> Result<u8>,
) -> u8 {
    let run = || {
        let settings = Settings::gather(options, console)?;
        let chowner = Chowner::new();
        let spec = reconcile::spec(&settings, argv0, &chowner)?;
        let path = settings.scandir.value;
        let label = path.to_bytes();
        let scandir = Dir::at(path).map_err(|errno| match errno {
            Errno::NOENT => {
                Error::new("open", label, "there is no such scan directory: is s6-svscan running?")
            }
            errno => Error::new("open", label, errno),
        })?;
        let live = Live { settings: &settings, scandir, path, spec, console };
        let code = command(&live)?;
        if let Some(errno) = chowner.refused() {
            console.note(&chowner.refusal(errno));
        }
        Ok(code)
    };
    run().unwrap_or_else(|error| console.fatal(&error))
}

/// The path of an entry of the scan directory, for s6's tools.
fn path_of(scandir: &CStr, entry: &[u8]) -> &'static CStr {
    // Neither part holds a NUL.
    keep::c_string(&[scandir.to_bytes(), b"/", entry]).unwrap_or_default()
}

/// A profile's name on the command line.
fn profile(operand: &CStr) -> Result<ProfileName> {
    ProfileName::parse(operand.to_bytes())
        .map_err(|why| Error::new("take the profile", operand.to_bytes(), why).with_code(USAGE))
}

fn wait_until(limit: Milliseconds, is_so: &mut dyn FnMut() -> bool) -> bool {
    time::wait_until(limit, PAUSE, is_so)
}

/// Whether slot and logger are both supervised, so that s6's tools can talk to both.
fn is_fully_supervised(slot: &Dir) -> bool {
    probe::is_ready(slot) && slot.passage(&crate::slot::layout::LOG).is_ok_and(|log| probe::is_ready(&log))
}
