//! s6: where its programs are, and the supervisors' files. A supervisor is commanded through its `control` FIFO and tells its state in
//! `supervise/status`, as s6-svc(8), s6-svscanctl(8) and s6-svstat(8) have it. These are not executed: root would have to trust a
//! search path, and become another user in a process for each question.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::slot::layout::{CONTROL, SUPERVISE};
use crate::slot::probe::{self, STATUS};
use crate::slot::scandir::SVSCAN;
use crate::slot::tally;
use crate::sys::process::{self, Environment};
use crate::sys::{Acting, Dir, Errno, Ids, Name, Reason, file, label, time};

/// Directory of s6's programs in s6-overlay.
const COMMAND: &str = "/command";
/// The PATH of execvp(3) where the environment has none.
pub const DEFAULT_PATH: &str = "/usr/bin:/bin";

/// Finds one of s6's programs: in /command, else on the PATH of `environment`; as root, only where nobody else can put one.
pub fn find(name: &OsStr, environment: &Environment) -> Result<Option<PathBuf>> {
    let path = environment.get("PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    match process::find_on_path(name, OsStr::new(COMMAND)) {
        None if process::is_root() => process::find_for_root(name, path)
            .map_err(|(found, why)| Error::new("run", found.as_os_str().as_bytes(), why)),
        found => Ok(found.or_else(|| process::find_on_path(name, path))),
    }
}

/// Time in which s6-svscan reads what it is told.
const LIMIT: Duration = Duration::from_secs(5);

/// Writes commands into the `control` of `via`, a directory of `place`, as s6-svc(8) and s6-svscanctl(8) do: a letter for each.
/// Fails with ENXIO if nobody reads it, and with EAGAIN if it is full.
///
/// Root does it as the first owner other than root of `place` and of `via`: he can exchange what is opened by name, and so leads root
/// no further than where he may go himself.
fn command(place: &Dir, via: &Name, commands: &[u8]) -> Result<()> {
    let write = || {
        let _acting = match owner(place, via)? {
            Some(user) => Some(Acting::as_user(user, &[])?),
            None => None,
        };
        file::write_to_fifo(&place.passage(via)?, &CONTROL, commands)
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
        match place.passage(via) {
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
    let svscan = match scandir.passage(&SVSCAN) {
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
        time::wait_until(STARTING, Duration::from_millis(5), &mut || probe::is_supervised(hidden));
    }
    Ok(true)
}

/// Commands the supervisor of a service, with s6-svc(8)'s letters.
pub fn svc(commands: &str, service: &Dir) -> Result<()> {
    command(service, &SUPERVISE, commands.as_bytes())
}

/// A moment as s6 writes it, TAI64N. The order is that of time.
pub type Moment = [u8; 12];

/// The state of a service as its supervisor has written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is up.
    pub up: bool,
    /// Whether its supervisor has the order to keep it up.
    pub wanted: bool,
    /// Whether it is down and its `finish` has ended. A `finish` that still runs can revoke an order to be up.
    pub settled: bool,
    /// Whether it has reported that it is ready.
    pub ready: bool,
    /// Its process, while it is up.
    pub pid: Option<u64>,
    /// When it last went up or down.
    pub since: Moment,
}

impl Stat {
    /// Returns when it last went up or down, in seconds since 1970.
    pub fn time(&self) -> i64 {
        tally::seconds(&self.since)
    }
}

/// Longest time that a supervisor which has started needs until it has written its state.
const STATELESS: Duration = Duration::from_secs(1);
/// Largest state that is read, in bytes.
const STATE_CAP: u64 = 4096;

/// Reads the state of a service. `None` if nobody supervises it.
pub fn svstat(service: &Dir) -> Result<Option<Stat>> {
    const OBJECT: &str = "supervise/status";
    match probe::is_held(service) {
        Ok(false) => return Ok(None),
        // Who may not command it may still read its state.
        Ok(true) | Err(Errno::ACCESS) => (),
        Err(errno) => return Err(Error::new("look at", "supervise/control", errno)),
    }
    let mut read = file::read_below(service, &STATUS, STATE_CAP);
    if read.as_ref().err() == Some(&Reason::Errno(Errno::NOENT)) {
        time::wait_until(STATELESS, Duration::from_millis(1), &mut || !probe::is_starting(service));
        read = file::read_below(service, &STATUS, STATE_CAP);
    }
    let (state, _) = read.context("read", OBJECT)?;
    parse(&state)
        .map(Some)
        .ok_or_else(|| Error::new("understand", OBJECT, "its format is new: update hermes-init"))
}

/// Parses `supervise/status`: the moments of the last change and of readiness, the process ID (8 bytes, big-endian) and, at the end,
/// the flags. s6 2.13 has the process group before the last three bytes.
fn parse(state: &[u8]) -> Option<Stat> {
    const FINISHING: u8 = 2;
    const WANTED: u8 = 4;
    const READY: u8 = 8;
    if state.len() != 35 && state.len() != 43 {
        return None;
    }
    let (since, rest) = state.split_first_chunk::<12>()?;
    let (ready, rest) = rest.split_first_chunk::<12>()?;
    let pid = u64::from_be_bytes(*rest.first_chunk()?);
    let flags = state.last()?;
    let up = pid != 0 && flags & FINISHING == 0;
    Some(Stat {
        up,
        wanted: flags & WANTED != 0,
        settled: !up && ready >= since,
        ready: pid != 0 && flags & READY != 0,
        pid: Some(pid).filter(|_| up),
        since: *since,
    })
}

/// Returns the path of an entry of the scan directory.
pub fn path_of(scandir: &Path, entry: &[u8]) -> PathBuf {
    scandir.join(OsStr::from_bytes(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(since: u8, ready: u8, pid: u64, group: &[u8], flags: u8) -> Vec<u8> {
        let moment = |last: u8| [0x40, 0, 0, 0, 0x6a, 0, 0, 0, 0, 0, 0, last];
        [&moment(since)[..], &moment(ready), &pid.to_be_bytes(), group, &[0, 0], &[flags]].concat()
    }

    #[test]
    fn both_formats_of_a_state_are_read() {
        for group in [&b""[..], &42_u64.to_be_bytes()] {
            let fields = |state: Vec<u8>| {
                parse(&state).map(|stat| (stat.up, stat.wanted, stat.settled, stat.ready, stat.pid))
            };
            assert_eq!(fields(state(11, 10, 42, group, 0)), Some((true, false, false, false, Some(42))));
            assert_eq!(fields(state(11, 12, 42, group, 12)), Some((true, true, false, true, Some(42))));
            // Its `finish` runs.
            assert_eq!(fields(state(11, 10, 42, group, 6)), Some((false, true, false, false, None)));
            assert_eq!(fields(state(11, 10, 0, group, 4)), Some((false, true, false, false, None)));
            assert_eq!(fields(state(11, 11, 0, group, 0)), Some((false, false, true, false, None)));
            assert_eq!(parse(&state(11, 11, 0, group, 0)).map(|stat| stat.time()), Some(0x6a00_0000 - 10));
        }
        for length in [0, 34, 36, 42, 44, 100] {
            assert_eq!(parse(&vec![0; length]), None);
        }
    }
}
