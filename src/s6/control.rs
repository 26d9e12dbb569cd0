//! Commands to supervisors and to s6-svscan, through their `control` FIFOs, as s6-svc(8) and s6-svscanctl(8) give them. These programs
//! are not executed: root would have to trust a search path, and become another user in a process for each command.

use std::time::Duration;

use super::scandir::SVSCAN;
use super::servicedir::{CONTROL, SUPERVISE};
use super::supervision;
use crate::output::{Context, Error, Result};
use crate::sys::{Dir, Errno, Ids, Name, Reason, as_user, file, label, process, time};

/// Time in which s6-svscan reads what it is told.
const LIMIT: Duration = Duration::from_secs(5);

/// Writes commands into the `control` of `via`, a directory of `place`, as s6-svc(8) and s6-svscanctl(8) do: a letter for each.
/// Fails with ENXIO if nobody reads it, and with EAGAIN if it is full.
///
/// Root does it as the first owner other than root of `place` and of `via`: he can exchange what is opened by name, and so leads root
/// no further than where he may go himself.
fn command(place: &Dir, via: &Name, commands: &[u8]) -> Result<()> {
    let write = || {
        let write = || file::write_to_fifo(&place.open_path(via)?, &CONTROL, commands);
        match owner(place, via)? {
            Some(user) => as_user(user, &[], write)?,
            None => write(),
        }
    };
    write().map_err(|reason| {
        let reason = match reason {
            Reason::Errno(Errno::NXIO) => "nobody reads it".into(),
            Reason::Errno(Errno::AGAIN) => "it is full: nobody has read it for long".into(),
            reason => reason,
        };
        Error::new("write to", label(&[via.bytes(), CONTROL.bytes()]), reason)
    })
}

fn owner(place: &Dir, via: &Name) -> std::result::Result<Option<Ids>, Errno> {
    if !process::is_root() {
        return Ok(None);
    }
    let mut ids = place.own_meta()?.ids;
    if ids.uid == 0 {
        match place.open_path(via) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => (),
            inner => ids = inner?.own_meta()?.ids,
        }
    }
    Ok(Some(ids).filter(|ids| ids.uid != 0))
}

/// Commands s6-svscan, with s6-svscanctl(8)'s letters.
pub fn svscanctl(commands: &str, scandir: &Dir) -> Result<()> {
    command(scandir, &SVSCAN, commands.as_bytes())
}

/// Time in which a supervisor that s6-svscan has started shows itself.
const STARTING: Duration = Duration::from_millis(100);

/// Makes s6-svscan end the supervisors of services that it no longer sees. Returns when it has sent them their signals; false if no
/// s6-svscan runs. A supervisor of `hidden` that was only starting has shown itself then, or has ended.
pub fn reap(scandir: &Dir, hidden: Option<&Dir>) -> Result<bool> {
    let svscan = match scandir.open_path(&SVSCAN) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
        svscan => svscan.context("open", &SVSCAN)?,
    };
    if !file::fifo_is_held(&svscan, &CONTROL).context("look at the control of", &SVSCAN)? {
        return Ok(false);
    }
    // s6-svscan carries out what it has read before it reads again: once it has read the second command, the first one is done.
    for _ in 0..2 {
        svscanctl("an", scandir)?;
        let mut pending = Ok(0);
        let read = time::wait_until(LIMIT, Duration::from_millis(1), &mut || {
            pending = file::fifo_pending(&svscan, &CONTROL);
            !matches!(pending, Ok(1..))
        });
        pending.context("look at the control of", &SVSCAN)?;
        if !read {
            return Err(Error::new("command", "s6-svscan", "it has read nothing for 5 seconds"));
        }
    }
    if let Some(hidden) = hidden {
        time::wait_until(STARTING, Duration::from_millis(5), &mut || supervision::is_supervised(hidden));
    }
    Ok(true)
}

/// Commands the supervisor of a service, with s6-svc(8)'s letters.
pub fn svc(commands: &str, service: &Dir) -> Result<()> {
    command(service, &SUPERVISE, commands.as_bytes())
}
