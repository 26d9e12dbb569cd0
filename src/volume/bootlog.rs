//! logs/container-boot.log: where operators look when a profile did not come back up.

use super::home::{self, Home, Refusal, Trusted};
use crate::error::{Context, Error, Result};
use crate::show::Shown;
use crate::sys::keep::Bytes;
use crate::sys::{Chowner, Dir, Errno, Ids, Name, file};

static LOGS: Name = Name::fixed(c"logs");
static LOG: Name = Name::fixed(c"container-boot.log");
static ROTATED: Name = Name::fixed(c"container-boot.log.1");
/// Size in bytes from which the log is rotated before anything is appended: some 3,000 lines.
const ROTATE: u64 = 262_144;

const LOG_PATH: &str = "logs/container-boot.log";

/// Appends whole lines in one write. What it makes belongs to the owner; what is somebody else's trap (a symlink, a FIFO) is
/// not written to.
pub fn append(home: &Home, lines: &[u8], trusted: Trusted, chowner: &Chowner, owner: Ids) -> Result<()> {
    let logs = logs(home, trusted, chowner, owner)?;
    let open = || file::Appender::open(&logs, &LOG).map_err(|reason| Error::new("open", LOG_PATH, reason));
    let mut log = open()?;
    // A log that has another name could be any file of the owner's choice: the lines go to a new one.
    if log.meta.size >= ROTATE || log.meta.links > 1 {
        logs.rename(&LOG, &logs, &ROTATED).context("rotate", LOG_PATH)?;
        log = open()?;
        if log.meta.links > 1 {
            return Err(Error::new("write", LOG_PATH, "has more than one hard link"));
        }
    }
    if log.fresh && log.meta.ids != owner {
        log.give(chowner, owner).context("give away", LOG_PATH)?;
    }
    log.append(lines).context("write", LOG_PATH)
}

/// Largest log that is read, in bytes; a pass that starts just below the size of rotation may make it larger than that.
const READ: u64 = 16 << 20;

/// What the log says of one profile, as it is printed there.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The profile.
    pub profile: Bytes,
    /// What became of it.
    pub action: Bytes,
    /// When, in the local time of that boot.
    pub time: Bytes,
}

/// What the log says, the newest first. Nothing where it cannot be read.
pub fn entries(home: &Home, trusted: Trusted) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Ok(logs) = home::open_linkable(&home.dir, &LOGS, trusted) {
        for name in [&LOG, &ROTATED] {
            let text = file::read(&logs, name, READ).unwrap_or_default().leak();
            entries.extend(text.rsplit(|byte| *byte == b'\n').filter_map(entry));
        }
    }
    entries
}

/// `TIME profile=NAME prior_state=STATE action=ACTION …`. A quoted value may hold blanks, but no quote that is not escaped.
fn entry(line: Bytes) -> Option<Entry> {
    let (time, rest) = field(line, b" profile=")?;
    let (profile, rest) = field(rest, b" prior_state=")?;
    let (_, rest) = field(rest, b" action=")?;
    let action = rest.split(|byte| *byte == b' ').next()?;
    // The hermes user can write the log: what no boot pass writes is not printed.
    let bare = |text: Bytes| Shown(text).to_string().as_bytes() == text;
    (bare(time) && bare(action)).then_some(Entry { profile, action, time })
}

/// Splits at the first `key` that is not within quotes.
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

fn logs(home: &Home, trusted: Trusted, chowner: &Chowner, owner: Ids) -> Result<Dir> {
    match home::open_linkable(&home.dir, &LOGS, trusted) {
        Ok(logs) => return Ok(logs),
        Err(Refusal::Missing) => (),
        Err(refusal) => return Err(home::refused(&LOGS, refusal)),
    }
    match home.dir.mkdir(&LOGS, 0o755) {
        Ok(()) | Err(Errno::EXIST) => (),
        Err(errno) => return Err(Error::new("make", LOGS, errno)),
    }
    let logs = home.dir.dir(&LOGS).context("open", LOGS)?;
    home::give_new(&logs, owner, chowner).context("give away", LOGS)?;
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_read_back_and_no_value_forges_it() {
        let read = |line: &'static str| {
            entry(line.as_bytes()).map(|entry| (entry.profile, entry.action, entry.time))
        };
        let said = |profile: &'static str, action: &'static str| {
            Some((profile.as_bytes(), action.as_bytes(), &b"T"[..]))
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
