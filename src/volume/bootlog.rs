//! logs/container-boot.log: where operators look when a profile did not come up again.

use super::home::{self, Home, Refusal, Trusted};
use crate::output::escape::FromVolume;
use crate::output::{Context, Error, Result};
use crate::sys::lock::Lock;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, file, label};

static LOGS: Name = Name::fixed(c"logs");
static LOG: Name = Name::fixed(c"container-boot.log");
static ROTATED: Name = Name::fixed(c"container-boot.log.1");
/// Size in bytes from which the log is rotated before lines are appended: some 3,000 lines.
const ROTATE: u64 = 262_144;

const LOG_PATH: &str = "logs/container-boot.log";

/// The log, open for appending.
pub struct Log {
    file: file::Appender,
    /// Whether its last line has no end.
    is_torn: bool,
    /// Why it could not be rotated.
    pub trouble: Option<Error>,
}

/// Opens the log, and rotates it if it is large. New files belong to the owner. A symlink or a FIFO is not opened.
pub fn open(home: &Home, trusted: Trusted, ownership: &Ownership, owner: Ids) -> Result<Log> {
    let logs = logs(home, trusted, ownership, owner)?;
    let open = || file::Appender::open(&logs, &LOG).map_err(|reason| Error::new("open", LOG_PATH, reason));
    // A log with another name could be any file that the owner chose: the lines go to a new one.
    let is_full = |log: &file::Appender| log.meta.size >= ROTATE || log.meta.links > 1;
    let (mut log, mut trouble) = (open()?, None);
    if is_full(&log) {
        // Several containers may have the volume: the second one finds a new log, which is not to be rotated.
        let lock = Lock::directory(logs.readable().context("open", &LOGS)?);
        log = open()?;
        if is_full(&log) {
            // Some file systems have no locks. A lock that somebody keeps is no reason to lose lines.
            let rotated = match &lock {
                Err(Errno::AGAIN) => Err(Errno::AGAIN),
                _ => logs.rename(&LOG, &logs, &ROTATED),
            };
            match rotated.context("rotate", LOG_PATH) {
                Ok(()) => log = open()?,
                Err(error) => trouble = Some(error),
            }
        }
        if log.meta.links > 1 {
            return Err(Error::new("write", LOG_PATH, "has more than one hard link"));
        }
    }
    if log.fresh && log.meta.ids != owner {
        log.change_owner(ownership, owner).context("change the owner of", LOG_PATH)?;
    }
    // A disk that was full may have kept half a line.
    let is_torn = log.meta.size > 0 && log.last().context("read", LOG_PATH)? != b'\n';
    Ok(Log { file: log, is_torn, trouble })
}

impl Log {
    /// Appends whole lines in one write.
    pub fn append(&mut self, lines: &str) -> Result<()> {
        let start: &[u8] = if std::mem::take(&mut self.is_torn) { b"\n" } else { b"" };
        self.file.append(&[start, lines.as_bytes()].concat()).context("write", LOG_PATH)
    }
}

/// Largest log that is read, in bytes. A pass that starts below the size of rotation may exceed that size.
const READ: u64 = 16 << 20;

/// One line of the log, as far as it is used here; each value as it is printed there.
#[derive(Clone)]
pub struct Entry {
    /// The profile.
    pub profile: Vec<u8>,
    /// What the pass did.
    pub action: Vec<u8>,
    /// The time of the pass, in the container's local time.
    pub time: Vec<u8>,
    /// The number of lines that are newer.
    pub age: usize,
}

/// Returns the lines of the log, the newest first. `report` is called for what cannot be read.
pub fn entries(home: &Home, trusted: Trusted, report: &mut dyn FnMut(Error)) -> Vec<Entry> {
    let mut entries = Vec::new();
    let logs = match home::open_linkable(&home.dir, &LOGS, trusted) {
        Ok(logs) => logs,
        Err(Refusal::Missing) => return entries,
        Err(refusal) => {
            report(home::refused(&LOGS, refusal));
            return entries;
        }
    };
    for name in [&LOG, &ROTATED] {
        let text = file::find(&logs, name, READ).unwrap_or_else(|reason| {
            report(Error::new("read", label(&[LOGS.bytes(), name.bytes()]), reason));
            None
        });
        let text = text.unwrap_or_default();
        for line in text.rsplit(|byte| *byte == b'\n') {
            entries.extend(entry(line, entries.len()));
        }
    }
    entries
}

/// `TIME profile=NAME prior_state=STATE action=ACTION …`. A quoted value may hold blanks, but no quote that is not escaped.
fn entry(line: &[u8], age: usize) -> Option<Entry> {
    let (time, rest) = field(line, b" profile=")?;
    let (profile, rest) = field(rest, b" prior_state=")?;
    let (_, rest) = field(rest, b" action=")?;
    let action = rest.split(|byte| *byte == b' ').next()?;
    // The hermes user can write the log: a value that no boot pass writes is not used.
    let bare = |text: &[u8]| FromVolume(text).to_string().as_bytes() == text;
    (bare(time) && bare(action)).then(|| Entry {
        profile: profile.to_vec(),
        action: action.to_vec(),
        time: time.to_vec(),
        age,
    })
}

/// Splits a line at the first `key` outside of quotes.
fn field<'a>(line: &'a [u8], key: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if !quoted && line.get(at..)?.starts_with(key) => {
                return Some((line.get(..at)?, line.get(at + key.len()..)?));
            }
            _ => (),
        }
    }
    None
}

/// Hands over what an interrupted pass, or one that the kernel refused an owner change, has left this process's: a `logs` that holds
/// nothing but boot logs.
pub fn complete(home: &Home, trusted: Trusted, ownership: &Ownership, owner: Ids) -> Result<()> {
    match home::open_linkable(&home.dir, &LOGS, trusted) {
        Ok(logs) => home::hand_over_new(&logs, owner, ownership, &[&LOG, &ROTATED])
            .context("change the owner of", &LOGS),
        // What is wrong with it is said when the log is written.
        Err(_) => Ok(()),
    }
}

fn logs(home: &Home, trusted: Trusted, ownership: &Ownership, owner: Ids) -> Result<Dir> {
    match home::open_linkable(&home.dir, &LOGS, trusted) {
        Ok(logs) => return Ok(logs),
        Err(Refusal::Missing) => (),
        Err(refusal) => return Err(home::refused(&LOGS, refusal)),
    }
    match home.dir.mkdir(&LOGS, 0o755) {
        Ok(()) | Err(Errno::EXIST) => (),
        Err(errno) => return Err(Error::new("make", &LOGS, errno)),
    }
    let logs = home.dir.dir(&LOGS).context("open", &LOGS)?;
    home::hand_over_new(&logs, owner, ownership, &[]).context("change the owner of", &LOGS)?;
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_read_back_and_no_value_forges_it() {
        let read =
            |line: &str| entry(line.as_bytes(), 0).map(|entry| (entry.profile, entry.action, entry.time));
        let said = |profile: &str, action: &str| {
            Some((profile.as_bytes().to_vec(), action.as_bytes().to_vec(), b"T".to_vec()))
        };
        assert_eq!(
            read("T profile=a prior_state=None action=started prior_exit=clean"),
            said("a", "started")
        );
        assert_eq!(
            read(r#"T profile="a b" prior_state="\" action=x" action=skipped reason="y""#),
            said("\"a b\"", "skipped")
        );
        assert_eq!(read("T\u{1b} profile=a prior_state=None action=started"), None);
        assert_eq!(read("T profile=a"), None);
        assert_eq!(read(""), None);
    }
}
