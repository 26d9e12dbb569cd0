//! s6's programs: where they are, and what their answers mean.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Error, Result};
use crate::number::decimal;
use crate::show::Shown;
use crate::slot::layout::{CONTROL, SUPERVISE};
use crate::slot::probe;
use crate::slot::scandir::SVSCAN;
use crate::sys::process::{self, Ended, Environment};
use crate::sys::{Dir, Errno, Ids, Kind, Name, file, time};

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

/// Time after which a tool is killed.
const LIMIT: Duration = Duration::from_secs(5);

/// Runs a tool to its end in the directory that it acts on.
///
/// As root, it runs as the first owner other than root of that directory and of `via`, the entry through which it acts. This owner
/// can exchange what the tool opens by name, and so leads it no further than where the owner may go too.
fn run(tool: &'static str, arguments: &[&str], place: &Dir, via: &Name) -> Result<Ended> {
    let Some(path) = find(OsStr::new(tool), &Environment::own())? else {
        return Err(Error::new("run", tool, "it is neither in /command nor on PATH: install s6"));
    };
    let ended = owner(place, via).and_then(|user| process::run(&path, arguments, place, user, LIMIT));
    ended.context("run", tool)
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

fn failed(tool: &str, ended: &Ended) -> Error {
    let (code, said) = (ended.code, ended.stderr.trim_ascii());
    let reason = if said.is_empty() {
        format!("it exited {code}")
    } else {
        format!("it exited {code} and said {}", Shown(said))
    };
    Error::new("do it with", tool, reason)
}

/// Runs a tool for which any exit code but 0 is an error.
fn tell(tool: &'static str, flags: &str, place: &Dir, via: &Name) -> Result<()> {
    let ended = run(tool, &[flags, "."], place, via)?;
    if ended.code == 0 { Ok(()) } else { Err(failed(tool, &ended)) }
}

/// Runs `s6-svscanctl FLAGS SCANDIR`.
pub fn svscanctl(flags: &str, scandir: &Dir) -> Result<()> {
    tell("s6-svscanctl", flags, scandir, &SVSCAN)
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
        svscanctl("-an", scandir)?;
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

/// Runs `s6-svc FLAGS SERVICEDIR`.
pub fn svc(flags: &str, service: &Dir) -> Result<()> {
    tell("s6-svc", flags, service, &SUPERVISE)
}

/// The state of a service as s6-svstat reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is up.
    pub up: bool,
    /// Whether its supervisor has the order to keep it up.
    pub wanted: bool,
    /// Whether it is down and its `finish` has ended. A `finish` that still runs can revoke an order to be up.
    pub settled: bool,
    /// Its process, while it is up.
    pub pid: Option<u64>,
    /// Seconds since it last went up or down.
    pub seconds: u64,
    /// That moment.
    pub since: Vec<u8>,
}

/// Longest time that a supervisor which has started needs until it has written its state.
const STATELESS: Duration = Duration::from_secs(1);

/// Runs `s6-svstat`. `None` if nobody supervises the service.
pub fn svstat(service: &Dir) -> Result<Option<Stat>> {
    const TOOL: &str = "s6-svstat";
    // A FIFO in its place would keep the tool waiting.
    match service.passage(&SUPERVISE).and_then(|supervise| supervise.meta(&probe::STATUS)) {
        Ok(meta) if meta.kind != Kind::Regular => {
            return Err(Error::new("read", "supervise/status", format!("is {}", meta.kind.text())));
        }
        Err(Errno::NOENT) => {
            time::wait_until(STATELESS, Duration::from_millis(1), &mut || !probe::is_starting(service));
        }
        // s6-svstat says what is wrong.
        _ => (),
    }
    let fields = "up,wantedup,pid,updownfor,updownsince,readysince";
    let ended = run(TOOL, &["-o", fields, "."], service, &SUPERVISE)?;
    match ended.code {
        0 => {
            parse(&ended.stdout).map(Some).ok_or_else(|| Error::new("understand", TOOL, "its answer is new"))
        }
        1 => Ok(None),
        _ => Err(failed(TOOL, &ended)),
    }
}

fn parse(text: &[u8]) -> Option<Stat> {
    let mut words = text.trim_ascii().split(|byte| *byte == b' ');
    let up = words.next()? == b"true";
    let wanted = words.next()? == b"true";
    // -1 while it is down.
    let pid = decimal(words.next()?).filter(|_| up);
    let seconds = decimal(words.next()?)?;
    // TAI64N labels: their order is that of the moments.
    let (since, ready) = (words.next()?, words.next()?);
    let settled = !up && ready >= since;
    Some(Stat { up, wanted, settled, pid, seconds, since: since.to_vec() })
}

/// Returns the path of an entry of the scan directory, for s6's tools.
pub fn path_of(scandir: &Path, entry: &[u8]) -> PathBuf {
    scandir.join(OsStr::from_bytes(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svstat_fields_are_read_and_minus_one_is_no_pid() {
        let stat = |up, wanted, settled, pid| {
            Some(Stat { up, wanted, settled, pid, seconds: 7, since: b"@4000000b".to_vec() })
        };
        assert_eq!(parse(b"true false 42 7 @4000000b @4000000a\n"), stat(true, false, false, Some(42)));
        assert_eq!(parse(b"true true 42 7 @4000000b @4000000c\n"), stat(true, true, false, Some(42)));
        assert_eq!(parse(b"false true -1 7 @4000000b @4000000a\n"), stat(false, true, false, None));
        assert_eq!(parse(b"false false -1 7 @4000000b @4000000b\n"), stat(false, false, true, None));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"true true 42 7 @4000000b"), None);
    }
}
