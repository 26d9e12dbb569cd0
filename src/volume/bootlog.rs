//! logs/container-boot.log: where operators look when a profile did not come up again.

use super::home::{self, Home, Refusal, Trusted};
use crate::error::{Context, Error, Result};
use crate::show::FromVolume;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, file};

static LOGS: Name = Name::fixed(c"logs");
static LOG: Name = Name::fixed(c"container-boot.log");
static ROTATED: Name = Name::fixed(c"container-boot.log.1");
/// Size in bytes from which the log is rotated before lines are appended: some 3,000 lines.
const ROTATE: u64 = 262_144;

const LOG_PATH: &str = "logs/container-boot.log";

/// Appends whole lines in one write. New files belong to the owner. Nothing is written to a symlink or a FIFO.
pub fn append(home: &Home, lines: &[u8], trusted: Trusted, ownership: &Ownership, owner: Ids) -> Result<()> {
    let logs = logs(home, trusted, ownership, owner)?;
    let open = || file::Appender::open(&logs, &LOG).map_err(|reason| Error::new("open", LOG_PATH, reason));
    let mut log = open()?;
    // A log with another name could be any file that the owner chose: the lines go to a new one.
    if log.meta.size >= ROTATE || log.meta.links > 1 {
        logs.rename(&LOG, &logs, &ROTATED).context("rotate", LOG_PATH)?;
        log = open()?;
        if log.meta.links > 1 {
            return Err(Error::new("write", LOG_PATH, "has more than one hard link"));
        }
    }
    if log.fresh && log.meta.ids != owner {
        log.change_owner(ownership, owner).context("change the owner of", LOG_PATH)?;
    }
    log.append(lines).context("write", LOG_PATH)
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
}

/// Returns the lines of the log, the newest first; none if it cannot be read.
pub fn entries(home: &Home, trusted: Trusted) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Ok(logs) = home::open_linkable(&home.dir, &LOGS, trusted) {
        for name in [&LOG, &ROTATED] {
            let text = file::read(&logs, name, READ).unwrap_or_default();
            entries.extend(text.rsplit(|byte| *byte == b'\n').filter_map(entry));
        }
    }
    entries
}

/// `TIME profile=NAME prior_state=STATE action=ACTION …`. A quoted value may hold blanks, but no quote that is not escaped.
fn entry(line: &[u8]) -> Option<Entry> {
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
    home::hand_over_new(&logs, owner, ownership).context("change the owner of", &LOGS)?;
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_read_back_and_no_value_forges_it() {
        let read = |line: &str| entry(line.as_bytes()).map(|entry| (entry.profile, entry.action, entry.time));
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
