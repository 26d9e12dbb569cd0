//! What /proc tells of processes: whether they are there, as whom they run, what their argv is.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{self, Mode, OFlags};
use rustix::io;
use rustix::process::{Pid, test_kill_process};

use super::dir::link_at;
use super::number::decimal;
use super::process::is_root;
use super::{Dir, Errno, Ids, Name, Reason, time, users};

/// A file of /proc about a process. It is that process's for good: what is read after its end is ESRCH, also if another process has its ID
/// by then. Which process has it now, only opening tells.
pub(super) struct ProcessFile(OwnedFd);

/// What is read of a file of /proc at first: all of most, in one call.
type Buffer = [u8; 4096];

impl ProcessFile {
    /// Opens a file of the process, or of the thread, whose directory in `proc` has this name. That is one call, and needs no handle of the
    /// directory.
    pub(super) fn open(proc: &Dir, process: &Name, file: &str) -> Result<ProcessFile, Errno> {
        let path = [process.bytes(), b"/", file.as_bytes()].concat();
        fs::openat(proc, path.as_slice(), ProcessFile::FLAGS, Mode::empty()).map(ProcessFile)
    }

    /// Opens a file of the process with this ID.
    fn of(pid: u64, file: &str) -> Result<ProcessFile, Errno> {
        let path = format!("/proc/{pid}/{file}");
        fs::openat(fs::CWD, path, ProcessFile::FLAGS, Mode::empty()).map(ProcessFile)
    }

    const FLAGS: OFlags =
        OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

    /// Reads its beginning as it is now, with one call.
    pub(super) fn start<'a>(&self, buffer: &'a mut Buffer) -> Result<&'a [u8], Errno> {
        loop {
            match io::pread(&self.0, &mut buffer[..], 0) {
                Err(Errno::INTR) => (),
                count => return Ok(buffer.get(..count?).unwrap_or_default()),
            }
        }
    }

    /// Reads all of it as it is now.
    fn whole(&self) -> Result<Vec<u8>, Errno> {
        let (mut read, mut buffer) = (Vec::new(), [0; size_of::<Buffer>()]);
        while read.len() < WHOLE_CAP {
            match io::pread(&self.0, &mut buffer[..], read.len() as u64) {
                Err(Errno::INTR) => (),
                Ok(0) => break,
                count => read.extend_from_slice(buffer.get(..count?).unwrap_or_default()),
            }
        }
        Ok(read)
    }
}

/// Largest part of a file of /proc about a process that is read, in bytes. A process has 65536 groups at most.
const WHOLE_CAP: usize = 1 << 20;

/// Returns the supplementary groups of process 1, which are those that a container is started with; none without /proc.
pub fn groups_of_first() -> Result<Vec<u32>, Reason> {
    let status = match ProcessFile::of(1, STATUS).and_then(|file| file.whole()) {
        // Another user may not be shown it.
        Err(Errno::NOENT | Errno::PERM | Errno::ACCESS) => Vec::new(),
        status => status?,
    };
    Ok(groups_in(&status))
}

/// Returns what a /proc/PID/status has after a label.
pub(super) fn field<'a>(status: &'a [u8], label: &[u8]) -> Option<&'a [u8]> {
    status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(label))
}

/// Returns the supplementary groups in a /proc/PID/status.
fn groups_in(status: &[u8]) -> Vec<u32> {
    field(status, b"Groups:")
        .unwrap_or_default()
        .split(u8::is_ascii_whitespace)
        .filter_map(users::number)
        .collect()
}

/// As whom a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Its real user and group, which a program that it executes has, too.
    pub ids: Ids,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
}

/// Returns as whom a process runs. Fails with ESRCH if its state in /proc is cut off.
pub fn credentials(pid: u64) -> Result<Credentials, Reason> {
    let status = ProcessFile::of(pid, STATUS)?.whole()?;
    credentials_in(&status).ok_or_else(|| Errno::SRCH.into())
}

/// Returns the credentials in a /proc/PID/status.
fn credentials_in(status: &[u8]) -> Option<Credentials> {
    let real = |label: &[u8]| {
        field(status, label)?
            .split(u8::is_ascii_whitespace)
            .find(|field| !field.is_empty())
            .and_then(users::number)
    };
    Some(Credentials { ids: Ids { uid: real(b"Uid:")?, gid: real(b"Gid:")? }, groups: groups_in(status) })
}

/// Whether a process's working directory is a certain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorksThere {
    Yes,
    No,
    /// This process may not look.
    Unknown,
}

/// Returns whether the working directory of a process has this path, in the mounts of this process. Only the kernel's links in /proc are
/// read: the directory itself may lie on a file system that never answers. The kernel shows them to the process's user, and to root with
/// a capability.
pub fn works_in(pid: u64, directory: &Path) -> WorksThere {
    let link = |process: &str, name: &str| link_at(Path::new(&format!("/proc/{process}/{name}")));
    let pid = pid.to_string();
    match link(&pid, "cwd") {
        Ok(found) if found == directory => {
            if link(&pid, "ns/mnt") == link("self", "ns/mnt") {
                WorksThere::Yes
            } else {
                WorksThere::No
            }
        }
        Err(Errno::ACCESS | Errno::PERM) => WorksThere::Unknown,
        Ok(_) | Err(_) => WorksThere::No,
    }
}

/// Returns the IDs of the processes with this name, its `comm`, in ascending order, as far as they are shown to this user.
pub fn with_name(name: &[u8]) -> Result<Vec<u64>, Errno> {
    let proc = match Dir::fixed(Path::new("/proc")) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        proc => proc?,
    };
    let (mut found, mut buffer) = (Vec::new(), [0; 4096]);
    for entry in proc.entries()? {
        let entry = entry?.name;
        let Some(pid) = decimal(entry.bytes()) else { continue };
        match ProcessFile::open(&proc, &entry, COMM).and_then(|comm| comm.start(&mut buffer)) {
            Ok(comm) if comm.strip_suffix(b"\n") == Some(name) => found.push(pid),
            // It has vanished meanwhile, or is not shown.
            Ok(_) | Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) => (),
            Err(errno) => return Err(errno),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The files of a process: its name, its argv, its start time among others, its ids among others.
pub(super) const COMM: &str = "comm";
const CMDLINE: &str = "cmdline";
const STAT: &str = "stat";
pub(super) const STATUS: &str = "status";

/// The state of process 1.
pub const FIRST_STATUS: &str = "/proc/1/status";

/// Returns the start time of a process as a reader of its own /proc/PID/stat finds it by splitting at blanks: the 22nd field. `None`
/// if it is not known.
pub fn start_time(pid: u64) -> Option<u64> {
    let (file, mut buffer) = (ProcessFile::of(pid, STAT).ok()?, [0; 4096]);
    let stat = file.start(&mut buffer).ok()?;
    stat.split(u8::is_ascii_whitespace).nth(21).and_then(decimal)
}

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// There is none with this ID.
    Ended,
    /// There is one, which has started at this time: see [`start_time`].
    Started(u64),
    /// It may not be looked at.
    Unknown,
}

/// Returns what is known of the process with this ID.
pub fn life(pid: u64) -> Life {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Life::Ended };
    match test_kill_process(id) {
        Err(Errno::SRCH) => Life::Ended,
        _ => start_time(pid).map_or(Life::Unknown, Life::Started),
    }
}

/// A process that a file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Its ID.
    pub pid: u64,
    /// When it was started, see [`start_time`]; `None` if that is not known.
    pub start: Option<u64>,
}

/// Whether a process that a file names is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Here,
    /// It is not: it has ended, or was never in this container. Another process may have its ID.
    Gone,
    /// It is not known.
    Unknown,
}

impl Named {
    /// Returns whether the process is there, given what is known of the one with its ID now.
    pub fn presence(self, now: Life) -> Presence {
        match (now, self.start) {
            (Life::Started(now), Some(start)) if now == start => Presence::Here,
            (Life::Ended, _) | (Life::Started(_), Some(_)) => Presence::Gone,
            (Life::Started(_), None) | (Life::Unknown, _) => Presence::Unknown,
        }
    }
}

/// Returns the argv of a process, in which each word ends with a NUL; the first 4 KiB of it.
pub fn argv_of(pid: u64) -> Result<Vec<u8>, Errno> {
    ProcessFile::of(pid, CMDLINE)?.start(&mut [0; 4096]).map(<[u8]>::to_vec)
}

/// Returns the inodes of the files that a process has open. The kernel permits it to the process's user, and to root with a capability.
pub fn open_inodes(pid: u64) -> Result<Vec<u64>, Errno> {
    let files = Dir::fixed(Path::new(&format!("/proc/{pid}/fd")))?;
    let inode = |name: &Name| match files.target_meta(name) {
        // It has been closed meanwhile.
        Err(Errno::NOENT) => None,
        meta => Some(meta.map(|meta| meta.inode)),
    };
    files.names()?.iter().filter_map(inode).collect()
}

/// Returns the name of process 1, its `comm`, as the process has it; `None` if it is not shown to this user.
pub fn first_name() -> Option<Vec<u8>> {
    let (file, mut buffer) = (ProcessFile::of(1, COMM).ok()?, [0; 4096]);
    let name = file.start(&mut buffer).ok()?;
    Some(name.strip_suffix(b"\n").unwrap_or(name).to_vec())
}

/// Returns when process 1 has started, in seconds since 1970, which is when the container has; `None` if that is not known.
pub fn first_started() -> Option<i64> {
    // Another user may not be shown it.
    let (file, mut buffer) = (ProcessFile::of(1, STAT).ok()?, [0; 4096]);
    time::after_machine_start(started_after(file.start(&mut buffer).ok()?)?)
}

/// Returns the time from the start of the machine to that of a process, from its /proc/PID/stat: the 22nd field. The second one is the
/// process's name in parentheses, which may have blanks and parentheses in it.
fn started_after(stat: &[u8]) -> Option<Duration> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.get(name_end + 1..)?.trim_ascii_start().split(u8::is_ascii_whitespace);
    fields.nth(19).and_then(decimal).map(|ticks| Duration::from_millis(ticks * TICK))
}

/// Length of a clock tick of /proc, in milliseconds: `USER_HZ` is 100, but on Alpha.
const TICK: u64 = 10;

/// Returns what `parse` makes of the argv of the first process for which it returns a value; process 1 comes first. In an argv each
/// word ends with a NUL; one that is longer than 4 KiB is cut after its last whole word. As root, only processes of the user `uid` count,
/// because anybody can give a process any argv, and no supervisors. Skips processes that vanish meanwhile or that this process may not see, and those of PID namespaces
/// below: where the PID namespace is the host's, they are other containers'.
pub fn find_argv<T>(uid: u32, parse: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, Errno> {
    static FIRST: Name = Name::fixed(c"1");
    let proc = match Dir::fixed(Path::new("/proc")) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        proc => proc?,
    };
    let search = Search { proc: &proc, only: is_root().then_some(uid) };
    let look = |pid: &Name| match search.look(pid, &parse) {
        Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) => Ok(None),
        found => found,
    };
    let first = look(&FIRST)?;
    if first.is_some() {
        return Ok(first);
    }
    for entry in proc.entries()? {
        let name = entry?.name;
        let is_other = name != FIRST && name.bytes().iter().all(u8::is_ascii_digit);
        let found = if is_other { look(&name)? } else { None };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Returns whether a process is in a PID namespace below the one of /proc, by the text of its `status`.
fn is_in_namespace_below(status: &[u8]) -> bool {
    field(status, b"NSpid:")
        .is_some_and(|ids| ids.split(u8::is_ascii_whitespace).filter(|id| !id.is_empty()).count() > 1)
}

/// A search in the argv of processes.
struct Search<'a> {
    proc: &'a Dir,
    /// The user whose processes alone count, if so.
    only: Option<u32>,
}

impl Search<'_> {
    /// Returns what `parse` makes of the argv of a process, if that counts.
    fn look<T>(&self, pid: &Name, parse: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, Errno> {
        let (mut buffer, open) = ([0; 4096], |file| ProcessFile::open(self.proc, pid, file));
        // The owner of its directory is its effective user, or root if it has made itself undumpable. To ask for it costs a fraction of a
        // look at its `status`.
        if let Some(uid) = self.only
            && ![0, uid].contains(&self.proc.meta(pid)?.ids.uid)
        {
            return Ok(None);
        }
        let status = self.only.map(|_| open(STATUS)).transpose()?;
        // The argv of another user's process is not even touched: it may lie on a file system that never answers.
        if let Some(status) = &status
            && !self.is_of_interest(status.start(&mut buffer)?)
        {
            return Ok(None);
        }
        let argv_file = open(CMDLINE)?;
        // If the first process is there still, it has its ID, and what was opened last is its argv.
        if let Some(status) = &status
            && !self.is_of_interest(status.start(&mut buffer)?)
        {
            return Ok(None);
        }
        let argv = argv_file.start(&mut buffer)?;
        let argv = if argv.len() < size_of::<Buffer>() { argv } else { words_of(argv) };
        let Some(parsed) = parse(argv) else { return Ok(None) };
        let status = if let Some(status) = status {
            status
        } else {
            let status = open(STATUS)?;
            // As above: what was opened last is the state of the process that this is the argv of.
            argv_file.start(&mut buffer)?;
            status
        };
        // The process may have changed its user, and then its argv, between the two.
        let status = status.whole()?;
        Ok((self.is_his(&status) && !is_in_namespace_below(&status)).then_some(parsed))
    }

    /// Returns whether the argv of a process is looked at, by the text of its `status`. A supervisor executes others and is none of them, and
    /// there are two of each profile.
    fn is_of_interest(&self, status: &[u8]) -> bool {
        self.is_his(status) && field(status, b"Name:\t") != Some(b"s6-supervise")
    }

    /// Returns whether a process counts, by the text of its `status`.
    fn is_his(&self, status: &[u8]) -> bool {
        self.only.is_none_or(|uid| is_all_of(uid, status))
    }
}

/// Returns the whole words of an argv that is cut off.
fn words_of(argv: &[u8]) -> &[u8] {
    let end = argv.iter().rposition(|byte| *byte == 0).map_or(0, |end| end + 1);
    argv.get(..end).unwrap_or_default()
}

/// Returns whether all user ids in a /proc/PID/status are a user's. The owner of /proc/PID does not tell: it is root for any process
/// that has made itself undumpable. Neither does the effective id alone, which a setuid program has.
fn is_all_of(uid: u32, status: &[u8]) -> bool {
    let is_his = |field: &[u8]| users::number(field) == Some(uid);
    field(status, b"Uid:").is_some_and(|ids| ids.trim_ascii().split(|byte| *byte == b'\t').all(is_his))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_process_is_gone_only_if_that_is_known() {
        for (start, now, expected) in [
            (Some(1), Life::Ended, Presence::Gone),
            (Some(1), Life::Started(1), Presence::Here),
            // Another process has its ID.
            (Some(1), Life::Started(2), Presence::Gone),
            (Some(1), Life::Unknown, Presence::Unknown),
            (None, Life::Ended, Presence::Gone),
            (None, Life::Started(1), Presence::Unknown),
            (None, Life::Unknown, Presence::Unknown),
        ] {
            assert_eq!(Named { pid: 7, start }.presence(now), expected, "{start:?} {now:?}");
        }
    }

    #[test]
    fn a_file_of_a_process_is_no_other_process_s_once_it_has_ended() {
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "echo; read line"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // While a process executes a program, it has no argv.
        assert_eq!(child.stdout.take().unwrap().read(&mut [0]).ok(), Some(1));
        let pid = u64::from(child.id());
        let files = [STATUS, STAT, COMM, CMDLINE].map(|file| ProcessFile::of(pid, file).unwrap());
        let read = || files.iter().map(|file| file.start(&mut [0; 4096]).map(<[u8]>::to_vec));
        assert!(read().all(|read| !read.unwrap().is_empty()));
        assert!(matches!(life(pid), Life::Started(_)));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(read().all(|read| read == Err(Errno::SRCH)));
        assert_eq!(files[0].whole(), Err(Errno::SRCH));
        assert_eq!(life(pid), Life::Ended);
    }

    #[test]
    fn all_of_a_file_is_read_where_it_is_longer_than_one_call_returns() {
        // One line for each mapping of this process.
        let maps = ProcessFile::of(std::process::id().into(), "smaps").unwrap();
        let (whole, mut buffer) = (maps.whole().unwrap(), [0; 4096]);
        assert!(whole.len() > buffer.len());
        assert!(!maps.start(&mut buffer).unwrap().is_empty());
        assert!(whole.ends_with(b"\n"));
    }

    #[test]
    fn a_process_with_an_id_of_its_own_below_is_another_containers() {
        for (status, expected) in [
            ("Name:\tsh\nNSpid:\t7\nUid:\t0\n", false),
            ("NSpid:\t7\t1\n", true),
            ("NSpid:\t900\t7\t1\n", true),
            ("NSpid:\t\n", false),
            ("Name:\tNSpid:\t7\t1\n", false),
            ("", false),
        ] {
            assert_eq!(is_in_namespace_below(status.as_bytes()), expected, "{status}");
        }
    }

    #[test]
    fn a_process_is_a_users_if_all_its_user_ids_are() {
        for (status, roots, others) in [
            ("Name:\tsh\nUid:\t0\t0\t0\t0\nGid:\t1\t1\t1\t1\n", true, false),
            ("Uid:\t1000\t1000\t1000\t1000\n", false, true),
            ("Uid:\t0\t1000\t0\t0\n", false, false),
            ("Uid:\t1000\t0\t0\t0\n", false, false),
            ("Uid:\t1000\t1000\t1000\t10000\n", false, false),
            ("Uid:\t0\t0\t0\t10\n", false, false),
            ("Name:\tUid:\nUid:\t0\t0\t0\t0", true, false),
            ("Gid:\t0\t0\t0\t0\n", false, false),
            ("Uid:\t\n", false, false),
            ("", false, false),
        ] {
            let found = [0, 1000].map(|uid| is_all_of(uid, status.as_bytes()));
            assert_eq!(found, [roots, others], "{status:?}");
        }
    }

    #[test]
    fn a_start_time_is_the_22nd_field_whatever_the_name_is() {
        let rest = "S 0 1 1 0 -1 4194560 38804 356089 0 177 45 232 686 507 20 0 13 0 2401 49778688 4434\n";
        for (stat, expected) in [
            (format!("1 (s6-svscan) {rest}"), Some(24_010)),
            (format!("1 (a b) 1 2 (c) {rest}"), Some(24_010)),
            (format!("1 () {rest}"), Some(24_010)),
            ("1 (init) S 0 1 1 0 -1 4194560 38804 356089 0 177 45 232 686 507 20 0 13 0".to_owned(), None),
            (format!("1 (init) {}", rest.replace("2401", "-1")), None),
            (format!("1 init {rest}"), None),
            (String::new(), None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(started_after(stat.as_bytes()), expected, "{stat}");
        }
    }

    #[test]
    fn credentials_are_the_real_ids_and_the_groups() {
        let credentials =
            |uid, gid, groups: &[u32]| Credentials { ids: Ids { uid, gid }, groups: groups.into() };
        for (status, expected) in [
            (
                "Name:\tUid:\nUid:\t1000\t0\t0\t0\nGid:\t7\t8\t8\t8\nGroups:\t4 7 \n",
                Some(credentials(1000, 7, &[4, 7])),
            ),
            ("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\n", Some(credentials(0, 0, &[]))),
            ("Gid:\t0\t0\t0\t0\nGroups:\t\n", None),
            ("Uid:\t\nGid:\t0\n", None),
            ("Uid:\tx\nGid:\t0\n", None),
            ("", None),
        ] {
            assert_eq!(credentials_in(status.as_bytes()), expected, "{status:?}");
        }
    }

    #[test]
    fn groups_are_read_from_a_status() {
        for (status, expected) in [
            ("Name:\tinit\nGroups:\t4 24 1001 \nNStgid:\t1\n", &[4, 24, 1001][..]),
            ("Groups:\t\n", &[]),
            ("Name:\tGroups:\t7\n", &[]),
            ("Groups:\t4294967295 -1 x 5\n", &[5]),
        ] {
            assert_eq!(groups_in(status.as_bytes()), expected, "{status:?}");
        }
    }
}
