//! `logs/container-boot.log`: what each boot pass has done. Operators look here when a profile has not come up again.

mod last_boots;

pub use last_boots::{Entry, LastBoots};

use std::ops::ControlFlow;

use super::home::{self, Home, Refusal, Trusted};
use crate::output::{Context, Error, Result};
use crate::sys::backwards::{self, Limits, Reached};
use crate::sys::file::Reader;
use crate::sys::lock::Lock;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, Patience, Reason, file};

static LOGS: Name = Name::fixed(c"logs");
static LOG: Name = Name::fixed(c"container-boot.log");
static ROTATED: Name = Name::fixed(c"container-boot.log.1");
/// Size in bytes from which the log is rotated before lines are appended: some 3,000 lines.
const ROTATE: u64 = 262_144;

const LOG_PATH: &str = "logs/container-boot.log";
const ROTATED_PATH: &str = "logs/container-boot.log.1";

/// The log, open for appending.
pub struct Log {
    file: file::Appender,
    /// Whether its last line has no newline at its end.
    is_torn: bool,
    /// Whether it could be rotated, if it had to be.
    pub rotation: Result<()>,
}

/// Opens the log, and rotates it if it is large. New files belong to the owner. A symlink or a FIFO is not opened.
pub fn open(
    home: &Home,
    trusted: Trusted,
    ownership: &Ownership,
    owner: Ids,
    patience: &Patience,
) -> Result<Log> {
    let logs = logs(home, trusted, ownership, owner)?;
    let append = || home::make_for(owner, ownership, || append_to(&logs));
    let mut file = append()?;
    let mut rotation = Ok(());
    if has_to_be_rotated(&file) {
        rotation = rotate(&logs, patience);
        file = append()?;
    }
    if file.meta.links > 1 {
        return Err(Error::new("write", LOG_PATH, "has more than one hard link"));
    }
    if file.fresh && file.meta.ids != owner {
        file.change_owner(ownership, owner).context("change the owner of", LOG_PATH)?;
    }
    // A disk that was full may have kept half a line.
    let is_torn = file.meta.size > 0 && file.last().context("read", LOG_PATH)? != b'\n';
    Ok(Log { file, is_torn, rotation })
}

fn append_to(logs: &Dir) -> Result<file::Appender> {
    file::Appender::open(logs, &LOG).context("open", LOG_PATH)
}

/// Returns whether no line may be added to the log: it is large, or has another name, by which it could be any file of the owner's.
fn has_to_be_rotated(log: &file::Appender) -> bool {
    log.meta.size >= ROTATE || log.meta.links > 1
}

fn rotate(logs: &Dir, patience: &Patience) -> Result<()> {
    let lock = Lock::directory(logs.readable().context("open", &LOGS)?, patience.left(), patience);
    // Several containers may have the volume: where another one was faster, the log is a new one.
    if !has_to_be_rotated(&append_to(logs)?) {
        return Ok(());
    }
    let rotated = match &lock {
        Err(Errno::AGAIN) => Err(Errno::AGAIN),
        // Some file systems have no locks.
        _ => logs.rename(&LOG, logs, &ROTATED),
    };
    rotated.context("rotate", LOG_PATH)
}

impl Log {
    /// Appends whole lines in one write.
    pub fn append(&mut self, lines: &str) -> Result<()> {
        let start: &[u8] = if std::mem::take(&mut self.is_torn) { b"\n" } else { b"" };
        self.file.append(&[start, lines.as_bytes()].concat()).context("write", LOG_PATH)
    }
}

/// How much of each of the two files is read, from its end. Rotation keeps an honest one far below that: a pass of 5,000 profiles writes
/// less than 2 MiB. Names and reasons are cut before they are logged, so a longer line is no pass's.
const READ: Limits = Limits { bytes: 8 << 20, line: 64 << 10 };

/// Reads the log back as far as it tells what the container's boot and the newest pass have done with these profiles. `started` is when
/// process 1 has started, in seconds since 1970, and `is_of_this_boot` is as for [`LastBoots::new`].
pub fn read<'a, 'b>(
    home: &Home,
    trusted: Trusted,
    started: Option<i64>,
    is_of_this_boot: &'a dyn Fn(i64) -> bool,
    profiles: impl Iterator<Item = &'b [u8]>,
) -> LastBoots<'a> {
    let mut boots = LastBoots::new(started, is_of_this_boot, profiles);
    let logs = match home::open_linkable(&home.dir, &LOGS, trusted) {
        Ok(logs) => logs,
        Err(Refusal::Missing) => return boots,
        Err(refusal) => return home::refused(&LOGS, refusal).into(),
    };
    let too_long = format!("its last {} MiB do not reach back to the last boot", READ.bytes >> 20);
    for (name, path) in [(&LOG, LOG_PATH), (&ROTATED, ROTATED_PATH)] {
        let read = match read_back(&logs, name, &mut boots) {
            Ok(Reached::Beginning) => boots.end_file(),
            Ok(Reached::Enough) => ControlFlow::Break(()),
            Ok(Reached::Limit) => {
                boots.fail(Error::new("read", path, too_long.clone()));
                ControlFlow::Break(())
            }
            Err(reason) => {
                boots.fail(Error::new("read", path, reason));
                ControlFlow::Continue(())
            }
        };
        if read.is_break() {
            break;
        }
    }
    boots
}

fn read_back(logs: &Dir, name: &Name, boots: &mut LastBoots<'_>) -> std::result::Result<Reached, Reason> {
    match Reader::open(logs, name) {
        Err(Reason::Errno(Errno::NOENT)) => Ok(Reached::Beginning),
        log => Ok(backwards::lines(&log?, READ, |line| boots.add(line))?),
    }
}

/// Makes `logs` if it is missing, so that whoever looks at it afterwards sees what the pass leaves. Hands over one that belongs to this
/// process's user and holds nothing but boot logs: an interrupted pass has left it, or one that the kernel refused an owner change.
pub fn complete(home: &Home, trusted: Trusted, ownership: &Ownership, owner: Ids) -> Result<()> {
    match logs(home, trusted, ownership, owner) {
        Ok(logs) => home::hand_over_new(&logs, owner, ownership, &[&LOG, &ROTATED])
            .context("change the owner of", &LOGS),
        // What is wrong with it is reported when the log is written.
        Err(_) => Ok(()),
    }
}

/// Opens `logs`; makes it for the owner if it is missing.
fn logs(home: &Home, trusted: Trusted, ownership: &Ownership, owner: Ids) -> Result<Dir> {
    match home::open_linkable(&home.dir, &LOGS, trusted) {
        Ok(logs) => return Ok(logs),
        Err(Refusal::Missing) => (),
        Err(refusal) => return Err(home::refused(&LOGS, refusal)),
    }
    match home::make_for(owner, ownership, || home.dir.mkdir(&LOGS, 0o755)) {
        Ok(()) | Err(Errno::EXIST) => (),
        Err(errno) => return Err(Error::new("create", &LOGS, errno)),
    }
    let logs = home.dir.open_path(&LOGS).context("open", &LOGS)?;
    home::hand_over_new(&logs, owner, ownership, &[]).context("change the owner of", &LOGS)?;
    Ok(logs)
}
