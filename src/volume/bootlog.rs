//! `logs/container-boot.log`: what each boot pass has done. Operators look here when a profile has not come up again.

use std::collections::BTreeMap;

use super::home::{self, Home, Refusal, Trusted};
use crate::output::escape::FromVolume;
use crate::output::{Context, Error, Result};
use crate::sys::lock::Lock;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, file};

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
pub fn open(home: &Home, trusted: Trusted, ownership: &Ownership, owner: Ids) -> Result<Log> {
    let logs = logs(home, trusted, ownership, owner)?;
    let mut file = append_to(&logs)?;
    let mut rotation = Ok(());
    if has_to_be_rotated(&file) {
        rotation = rotate(&logs);
        file = append_to(&logs)?;
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

fn rotate(logs: &Dir) -> Result<()> {
    let lock = Lock::directory(logs.readable().context("open", &LOGS)?);
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

/// Largest log that is read, in bytes. A pass that starts below the size of rotation may exceed that size.
const READ: u64 = 16 << 20;

/// What the last pass over a profile has done, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The action.
    pub action: String,
    /// The time of the pass, in the container's local time.
    pub time: String,
}

/// The newest entry of each profile.
#[derive(Default)]
pub struct LastBoots {
    /// By the profile's name as it is printed.
    entries: BTreeMap<Vec<u8>, Entry>,
    /// What could not be read, and why.
    pub errors: Vec<Error>,
}

impl LastBoots {
    /// Returns the newest entry of a profile.
    pub fn of(&self, profile: &[u8]) -> Option<&Entry> {
        self.entries.get(FromVolume(profile).to_string().as_bytes())
    }

    /// Adds the entries of a log that is older than those before it.
    fn add(&mut self, log: &[u8]) {
        for (profile, entry) in log.rsplit(|byte| *byte == b'\n').filter_map(parse) {
            if !self.entries.contains_key(profile) {
                self.entries.insert(profile.to_vec(), entry);
            }
        }
    }
}

impl From<Error> for LastBoots {
    /// Returns what is known of a log that could not be looked at: nothing.
    fn from(error: Error) -> LastBoots {
        LastBoots { entries: BTreeMap::new(), errors: vec![error] }
    }
}

/// Reads the log.
pub fn read(home: &Home, trusted: Trusted) -> LastBoots {
    let mut boots = LastBoots::default();
    let logs = match home::open_linkable(&home.dir, &LOGS, trusted) {
        Ok(logs) => logs,
        Err(Refusal::Missing) => return boots,
        Err(refusal) => return home::refused(&LOGS, refusal).into(),
    };
    for (name, path) in [(&LOG, LOG_PATH), (&ROTATED, ROTATED_PATH)] {
        match file::find(&logs, name, READ) {
            Ok(log) => boots.add(&log.unwrap_or_default()),
            Err(reason) => boots.errors.push(Error::new("read", path, reason)),
        }
    }
    boots
}

/// Parses `TIME profile=NAME prior_state=STATE action=ACTION …`. Returns the profile's name as it is printed, and the entry. A quoted
/// value may hold blanks, but no quote that is not escaped.
fn parse(line: &[u8]) -> Option<(&[u8], Entry)> {
    let (time, rest) = split(line, b" profile=")?;
    let (profile, rest) = split(rest, b" prior_state=")?;
    let (_, rest) = split(rest, b" action=")?;
    let action = rest.split(|byte| *byte == b' ').next()?;
    // The hermes user can write the log: a value that no boot pass writes is not used.
    let bare = |value: &[u8]| Some(FromVolume(value).to_string()).filter(|shown| shown.as_bytes() == value);
    Some((profile, Entry { action: bare(action)?, time: bare(time)? }))
}

/// Splits a line at the first `key` outside of quotes.
fn split<'a>(line: &'a [u8], key: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
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

/// Hands over a `logs` that belongs to this process's user and holds nothing but boot logs: an interrupted pass has left it, or one that
/// the kernel refused an owner change.
pub fn complete(home: &Home, trusted: Trusted, ownership: &Ownership, owner: Ids) -> Result<()> {
    match home::open_linkable(&home.dir, &LOGS, trusted) {
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
    match home.dir.mkdir(&LOGS, 0o755) {
        Ok(()) | Err(Errno::EXIST) => (),
        Err(errno) => return Err(Error::new("create", &LOGS, errno)),
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
        let long = format!("{} profile=a prior_state=None action=started", "T".repeat(65));
        for (line, expected) in [
            ("T profile=a prior_state=None action=started prior_exit=clean", Some(("a", "started", "T"))),
            ("T profile=a prior_state=None action=started", Some(("a", "started", "T"))),
            (
                r#"T profile="a b" prior_state="\" action=x" action=skipped reason="y""#,
                Some((r#""a b""#, "skipped", "T")),
            ),
            (
                r#"T profile=" prior_state=x action=y" prior_state=None action=failed"#,
                Some((r#"" prior_state=x action=y""#, "failed", "T")),
            ),
            (r#"T profile="a\\" prior_state=None action=started"#, Some((r#""a\\""#, "started", "T"))),
            (r#"T profile="a prior_state=None action=started"#, None),
            ("T\u{1b} profile=a prior_state=None action=started", None),
            ("T T profile=a prior_state=None action=started", None),
            ("T profile=a prior_state=None action=\"started\"", None),
            ("T profile=a prior_state=None action=", None),
            ("T profile=a prior_state=None action= started", None),
            (" profile=a prior_state=None action=started", None),
            (&long, None),
            ("T profile=a action=started prior_state=None", None),
            ("T profile=a", None),
            ("", None),
        ] {
            let read = parse(line.as_bytes());
            let expected = expected.map(|(profile, action, time)| {
                (profile.as_bytes(), Entry { action: action.to_owned(), time: time.to_owned() })
            });
            assert_eq!(read, expected, "{line}");
        }
    }

    #[test]
    fn the_newest_line_of_a_profile_counts() {
        let mut boots = LastBoots::default();
        boots.add(
            b"3 profile=a prior_state=x action=started\n4 profile=\"b\\u0020c\" prior_state=x action=skipped\n\
              5 profile=a prior_state=x action=registered\n6 nonsense\n7 profile=a prior_state",
        );
        boots.add(b"1 profile=a prior_state=x action=failed\n2 profile=d prior_state=x action=failed\n");
        let of = |profile: &str| {
            boots.of(profile.as_bytes()).map(|entry| format!("{} {}", entry.action, entry.time))
        };
        assert_eq!(of("a").as_deref(), Some("registered 5"));
        assert_eq!(of("d").as_deref(), Some("failed 2"));
        assert_eq!(of("e"), None);
        assert_eq!(of("b c").as_deref(), Some("skipped 4"));
    }
}
