//! Commands to supervisors and to s6-svscan, through their `control` FIFOs, as s6-svc(8) and s6-svscanctl(8) give them. These programs
//! are not executed: root would have to trust a search path, and start a process as another user for each command.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scandir::SVSCAN;
use super::servicedir::{CONTROL, SUPERVISE};
use super::supervision;
use crate::output::{Context, Error, Result};
use crate::sys::{Dir, Errno, Ids, Name, Reason, as_user, fifo, present, process, time};

/// Longest wait for s6-svscan to read a command.
const LIMIT: Duration = Duration::from_secs(5);

/// Writes commands, a letter for each, into the `control` of a directory in `place`, as s6-svc(8) and s6-svscanctl(8) do. Root does it
/// as the first owner other than root of the two directories: that user can exchange what is opened by name, and so leads root only
/// to what he may write to himself.
fn command(place: &Dir, directory: &Name, commands: &str) -> Result<()> {
    try_command(place, directory, commands).map_err(|reason| {
        let reason = match reason {
            Reason::Errno(Errno::NXIO) => "no process reads it".into(),
            Reason::Errno(Errno::AGAIN) => "it is full: its reader has not read it for some time".into(),
            reason => reason,
        };
        Error::new("write to", Path::new(directory).join(&CONTROL), reason)
    })
}

/// Writes the commands. Fails with ENXIO if nobody reads the FIFO, and with EAGAIN if it is full.
fn try_command(place: &Dir, directory: &Name, commands: &str) -> std::result::Result<(), Reason> {
    let write = || fifo::write(&place.open_path(directory)?, &CONTROL, commands.as_bytes());
    match owner(place, directory)? {
        Some(user) => as_user(user, &[], write)?,
        None => write(),
    }
}

/// Returns the first owner other than root of `place` and of a directory in it, if this process is root.
fn owner(place: &Dir, directory: &Name) -> std::result::Result<Option<Ids>, Errno> {
    if !process::is_root() {
        return Ok(None);
    }
    let mut ids = place.own_meta()?.ids;
    if ids.uid == 0
        && let Some(directory) = present(place.open_path(directory))?
    {
        ids = directory.own_meta()?.ids;
    }
    Ok(Some(ids).filter(|ids| ids.uid != 0))
}

/// Commands s6-svscan, with s6-svscanctl(8)'s letters.
pub fn svscanctl(commands: &str, scandir: &Dir) -> Result<()> {
    command(scandir, &SVSCAN, commands)
}

/// Returns the path of s6-svscan's control FIFO, relative to the scan directory.
pub fn svscan_control() -> PathBuf {
    Path::new(&SVSCAN).join(&CONTROL)
}

/// Says of s6-svscan that it has left commands unread for some time.
pub fn unread(time: Duration) -> String {
    format!("has not read its control FIFO for {} seconds", time.as_secs())
}

/// Returns whether s6-svscan has commands that it has not read, as far as this process can tell.
pub fn has_unread(scandir: &Dir) -> bool {
    let pending = scandir.open_path(&SVSCAN).map(|svscan| fifo::pending(&svscan, &CONTROL));
    matches!(pending, Ok(Ok(1..)))
}

/// Longest wait for a supervisor that s6-svscan has just started to open its control FIFO.
const STARTING: Duration = Duration::from_millis(100);

/// Makes s6-svscan end the supervisors of services that it no longer sees. Returns when it has sent them their signals, or false if
/// no s6-svscan runs. If a supervisor of `hidden` was just being started, it then is supervised, or the supervisor has ended.
pub fn reap(scandir: &Dir, hidden: Option<&Dir>) -> Result<bool> {
    let control = svscan_control;
    let Some(svscan) = present(scandir.open_path(&SVSCAN)).context("open", &SVSCAN)? else {
        return Ok(false);
    };
    if !fifo::is_held(&svscan, &CONTROL).context("inspect", control())? {
        return Ok(false);
    }
    // s6-svscan carries out what it has read before it reads again: once it has read the second command, the first one is done.
    for _ in 0..2 {
        svscanctl("an", scandir)?;
        let is_read =
            time::poll(LIMIT, Duration::from_millis(1), || match fifo::pending(&svscan, &CONTROL) {
                Ok(0) => Some(Ok(())),
                Ok(_) => None,
                Err(reason) => Some(Err(reason)),
            });
        match is_read {
            Some(read) => read.context("inspect", control())?,
            None => {
                return Err(Error::new("send a command to", "s6-svscan", format!("it {}", unread(LIMIT))));
            }
        }
    }
    if let Some(hidden) = hidden {
        let is_supervised = || supervision::is_supervised(hidden).then_some(());
        time::poll(STARTING, Duration::from_millis(5), is_supervised);
    }
    Ok(true)
}

/// Commands the supervisor of a service, with s6-svc(8)'s letters.
pub fn svc(commands: &str, service: &Dir) -> Result<()> {
    command(service, &SUPERVISE, commands)
}
