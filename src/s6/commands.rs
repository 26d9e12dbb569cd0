//! Commands to supervisors and to s6-svscan, through their `control` FIFOs, as s6-svc(8) and s6-svscanctl(8) give them. These programs
//! are not executed: root would have to trust a search path, and start a process as another user for each command.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scandir::SVSCAN;
use super::servicedir::{CONTROL, SUPERVISE};
use super::supervision;
use crate::output::{Context, Error, Result};
use crate::sys::{Dir, Errno, Ids, Name, Patience, Reason, as_user, fifo, present, process, time};

/// Longest wait for s6-svscan to read a command.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest time for which a command is tried again while the FIFO is full.
const FULL: Duration = Duration::from_secs(2);
/// Time between two attempts, or two looks: whoever keeps the FIFO full needs not much longer to fill it again.
const INTERVAL: Duration = Duration::from_millis(1);
/// Time for which a FIFO is watched, within which a process that reads it or writes to it all the time does so.
const WATCH: Duration = Duration::from_millis(250);
/// Number of bytes that no commands of this program and of s6's are together.
const MANY: u64 = 1024;

/// Writes commands, a letter for each, into the `control` of a directory in `place`, as s6-svc(8) and s6-svscanctl(8) do.
fn command(place: &Dir, directory: &Name, commands: &str, patience: &Patience) -> Result<()> {
    let limit = FULL.min(patience.left());
    let write = || as_owner(place, directory, |dir| fifo::write(dir, &CONTROL, commands.as_bytes()));
    let written = patience.poll(limit, INTERVAL, || match write() {
        Err(Reason::Errno(Errno::AGAIN)) => None,
        done => Some(done),
    });
    let written = written.unwrap_or_else(|| match backlog(place, directory) {
        Backlog::Changing => Err("it is full: another process keeps writing to it".into()),
        Backlog::Unread => Err(format!("it is full: its reader has not read it{}", span(limit)).into()),
        Backlog::None => write(),
    });
    written.map_err(|reason| {
        let is_unread = reason == Reason::Errno(Errno::NXIO);
        let reason = if is_unread { "no process reads it".into() } else { reason };
        Error::new("write to", Path::new(directory).join(&CONTROL), reason)
    })
}

/// Says for how long something has been so, in whole seconds.
fn span(time: Duration) -> String {
    match (time + Duration::from_millis(500)).as_secs() {
        0 => String::new(),
        1 => " for a second".to_owned(),
        seconds => format!(" for {seconds} seconds"),
    }
}

/// What is in a control FIFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// Nothing, or it is read at once.
    None,
    /// Commands that nobody reads.
    Unread,
    /// More and more: another process writes to it as fast as it is read.
    Changing,
}

impl Backlog {
    /// Judges by the smallest and the largest number of bytes that were seen in it.
    fn of(least: u64, most: u64) -> Backlog {
        match (least, most) {
            (1.., most) if least == most => Backlog::Unread,
            (1.., _) | (0, MANY..) => Backlog::Changing,
            (0, _) => Backlog::None,
        }
    }
}

/// Watches the control FIFO of the supervisor of a service.
pub fn backlog_of(service: &Dir) -> Backlog {
    backlog(service, &SUPERVISE)
}

/// Watches the `control` of a directory in `place`. What cannot be looked at is nothing.
fn backlog(place: &Dir, directory: &Name) -> Backlog {
    let (mut least, mut most) = (u64::MAX, 0);
    time::poll(WATCH, INTERVAL, || {
        let pending = as_owner(place, directory, |dir| fifo::pending(dir, &CONTROL)).unwrap_or(0);
        (least, most) = (least.min(pending), most.max(pending));
        None::<()>
    });
    Backlog::of(least, most)
}

/// Calls `work` with a directory in `place`. Root does it as the first owner other than root of the two: that user can exchange what is
/// opened by name, and so leads root only to what he may write to himself.
fn as_owner<T>(
    place: &Dir,
    directory: &Name,
    work: impl FnOnce(&Dir) -> std::result::Result<T, Reason>,
) -> std::result::Result<T, Reason> {
    let work = || work(&place.open_path(directory)?);
    match owner(place, directory)? {
        Some(user) => as_user(user, &[], work)?,
        None => work(),
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
pub fn svscanctl(commands: &str, scandir: &Dir, patience: &Patience) -> Result<()> {
    command(scandir, &SVSCAN, commands, patience)
}

/// Returns the path of s6-svscan's control FIFO, relative to the scan directory.
pub fn svscan_control() -> PathBuf {
    Path::new(&SVSCAN).join(&CONTROL)
}

/// Says of s6-svscan that it has left commands unread for some time.
pub fn unread(time: Duration) -> String {
    format!("has not read its control FIFO{}", span(time))
}

/// Returns whether s6-svscan has commands that it does not read, as far as this process can tell.
pub fn has_unread(scandir: &Dir) -> bool {
    backlog(scandir, &SVSCAN) != Backlog::None
}

/// Longest wait for a supervisor that s6-svscan has just started to open its control FIFO.
const STARTING: Duration = Duration::from_millis(100);

/// Makes s6-svscan end the supervisors of services that it no longer sees. Returns when it has sent them their signals, or false if
/// no s6-svscan runs. If a supervisor of `hidden` was just being started, it then is supervised, or the supervisor has ended.
pub fn reap(scandir: &Dir, hidden: Option<&Dir>, patience: &Patience) -> Result<bool> {
    let control = svscan_control;
    let Some(svscan) = present(scandir.open_path(&SVSCAN)).context("open", &SVSCAN)? else {
        return Ok(false);
    };
    if !fifo::is_held(&svscan, &CONTROL).context("inspect", control())? {
        return Ok(false);
    }
    // s6-svscan carries out what it has read before it reads again: once it has read the second command, the first one is done.
    for _ in 0..2 {
        svscanctl("an", scandir, patience)?;
        let limit = LIMIT.min(patience.left());
        let is_read = patience.poll(limit, INTERVAL, || match fifo::pending(&svscan, &CONTROL) {
            Ok(0) => Some(Ok(())),
            Ok(_) => None,
            Err(reason) => Some(Err(reason)),
        });
        match is_read {
            Some(read) => read.context("inspect", control())?,
            None => {
                return Err(Error::new("send a command to", "s6-svscan", format!("it {}", unread(limit))));
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
pub fn svc(commands: &str, service: &Dir, patience: &Patience) -> Result<()> {
    command(service, &SUPERVISE, commands, patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_that_is_read_is_none_that_nobody_reads() {
        for (least, most, expected) in [
            (0, 0, Backlog::None),
            (0, 1, Backlog::None),
            (0, 65_536, Backlog::Changing),
            (1, 1, Backlog::Unread),
            (65_536, 65_536, Backlog::Unread),
            (61_441, 65_536, Backlog::Changing),
            (1, 2, Backlog::Changing),
        ] {
            assert_eq!(Backlog::of(least, most), expected, "{least} {most}");
        }
    }

    #[test]
    fn a_time_is_said_in_whole_seconds() {
        let said = [0, 499, 500, 1499, 1500, 4990, 5000].map(|time| span(Duration::from_millis(time)));
        let seconds = |seconds| format!(" for {seconds} seconds");
        let second = || " for a second".to_owned();
        assert_eq!(
            said,
            [String::new(), String::new(), second(), second(), seconds(2), seconds(5), seconds(5)]
        );
    }
}
