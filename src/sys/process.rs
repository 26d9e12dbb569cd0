//! This process and others: its executable, its user, other programs, and the argv of the processes beside it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{self, Access, FileType, Gid, Mode, OFlags, Uid};
use rustix::process::{Pid, test_kill_process, umask};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::number::decimal;

use super::dir::link_at;
use super::meta::meta_of;
use super::name::c_path;
use super::{Dir, Errno, Ids, Kind, Name, Reason, errno, file, time, users, walk};

/// Returns whether this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the user as whom this process acts.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Clears the umask, so that new files get exactly the mode that is asked for.
pub fn clear_umask() {
    umask(Mode::empty());
}

/// Writes to stdout.
pub fn to_stdout(text: &[u8]) -> Result<(), Errno> {
    file::write_all(rustix::stdio::stdout(), text)
}

/// Writes to stderr.
pub fn to_stderr(text: &[u8]) -> Result<(), Errno> {
    file::write_all(rustix::stdio::stderr(), text)
}

/// Returns the type of the file that stdout is.
pub fn stdout_kind() -> Result<Kind, Errno> {
    meta_of(rustix::stdio::stdout()).map(|meta| meta.kind)
}

/// Makes stderr what stdout is.
pub fn join_stderr() -> Result<(), Errno> {
    rustix::stdio::dup2_stderr(rustix::stdio::stdout())
}

/// The file from which nothing can be read.
pub const EMPTY: &str = "/dev/null";

/// Makes stdin a file from which nothing can be read.
pub fn empty_stdin() -> Result<(), Errno> {
    let empty = fs::openat(fs::CWD, EMPTY, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(empty)
}

/// Waits for `time`, a second at most, or until nobody reads stdout any more. Returns whether that is so.
pub fn stdout_is_closed(time: Duration) -> bool {
    let mut stdout = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::empty())];
    let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    // Errors and hangups are reported without being asked for.
    matches!(poll(&mut stdout, Some(&time)), Ok(1..))
}

/// Changes the working directory.
pub fn change_to(path: &Path) -> Result<(), Errno> {
    rustix::process::chdir(c_path(path)?)
}

/// Returns the absolute path of the running executable: from /proc; without /proc the target of argv[0] if that is a symlink
/// (whose name may be that of a command), else argv[0]. `None` if none of them is an absolute path.
pub fn executable(argv0: &OsStr) -> Option<PathBuf> {
    let argv0 = Path::new(argv0);
    let found = link_at(Path::new("/proc/self/exe")).or_else(|_| link_at(argv0));
    Some(found.unwrap_or_else(|_| argv0.to_owned())).filter(|path| path.is_absolute())
}

/// Changes groups, group and user of this process for good, in this order, because each step needs the permission that the next
/// one gives up. The process has one thread, so the thread's ids are the process's.
pub fn become_user(ids: Ids, groups: &[u32]) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    set_groups(groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Sets the supplementary groups of this process.
pub(super) fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    set_thread_groups(&groups)
}

/// Returns the supplementary groups of process 1, which are those that a container is started with; none without /proc.
pub fn groups_of_first() -> Result<Vec<u32>, Reason> {
    let status = match file::read_system(Path::new(FIRST_STATUS), STATUS_CAP) {
        // Another user may not be shown it.
        Err(Reason::Errno(Errno::NOENT | Errno::PERM | Errno::ACCESS)) => Vec::new(),
        status => status?,
    };
    Ok(groups_in(&status))
}

/// Returns the supplementary groups in a /proc/PID/status.
fn groups_in(status: &[u8]) -> Vec<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Groups:"));
    line.unwrap_or_default().split(u8::is_ascii_whitespace).filter_map(users::number).collect()
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
    let status = file::read_system(Path::new(&format!("/proc/{pid}/status")), STATUS_CAP)?;
    credentials_in(&status).ok_or_else(|| Errno::SRCH.into())
}

/// Returns the credentials in a /proc/PID/status.
fn credentials_in(status: &[u8]) -> Option<Credentials> {
    let real = |label: &[u8]| {
        let mut lines = status.split(|byte| *byte == b'\n');
        let ids = lines.find_map(|line| line.strip_prefix(label))?;
        ids.split(u8::is_ascii_whitespace).find(|field| !field.is_empty()).and_then(users::number)
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
    static COMM: Name = Name::fixed(c"comm");
    let proc = match Dir::fixed(Path::new("/proc")) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        proc => proc?,
    };
    let mut found = Vec::new();
    for entry in proc.entries()? {
        let entry = entry?.name;
        let Some(pid) = decimal(entry.bytes()) else { continue };
        match proc.open_path(&entry).and_then(|process| file::read_start(&process, &COMM, COMM_MAX)) {
            Ok(comm) if comm.strip_suffix(b"\n") == Some(name) => found.push(pid),
            // It has vanished meanwhile, or is not shown.
            Ok(_) | Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) => (),
            Err(errno) => return Err(errno),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Longest `comm` of a process, in bytes, with some slack: the kernel's has 15, that of its own threads may have more.
const COMM_MAX: u64 = 64;

/// The state of process 1.
pub const FIRST_STATUS: &str = "/proc/1/status";

/// Largest file of /proc about a process that is read, in bytes. A process has 65536 groups at most.
const STATUS_CAP: u64 = 1 << 20;

/// Replaces this process by a program. Returns only on failure.
pub fn exec(mut program: Command) -> Errno {
    errno::of_io(&program.exec())
}

/// Fails if there is no such file, or this process may not execute it. Symlinks are followed.
pub fn try_access(program: &Path) -> Result<(), Errno> {
    fs::access(c_path(program)?, Access::EXEC_OK)
}

/// Returns whether a path is that of a symlink.
pub fn is_symlink(path: &Path) -> bool {
    let is_symlink = |mode| FileType::from_raw_mode(mode) == FileType::Symlink;
    c_path(path).is_ok_and(|path| fs::lstat(path).is_ok_and(|stat| is_symlink(stat.st_mode)))
}

/// Finds a program as execvp(3) does: the first entry of `path` that has a regular file of this name which this process may
/// execute. An empty entry is the working directory.
pub fn find_on_path(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    path.as_bytes().split(|byte| *byte == b':').find_map(|entry| {
        let directory = Path::new(OsStr::from_bytes(if entry.is_empty() { b"." } else { entry }));
        let candidate = directory.join(program);
        let is_regular = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
        let path = c_path(&candidate).ok()?;
        let found = fs::access(path.as_c_str(), Access::EXEC_OK).is_ok()
            && fs::stat(path.as_c_str()).is_ok_and(|stat| is_regular(stat.st_mode));
        found.then_some(candidate)
    })
}

/// Returns the start time of a process as a reader of its own /proc/PID/stat finds it by splitting at blanks: the 22nd field. `None`
/// if it is not known.
pub fn start_time(pid: u64) -> Option<u64> {
    static STAT: Name = Name::fixed(c"stat");
    let process = Dir::fixed(Path::new("/proc")).ok()?.open_path(&Name::new(pid.to_string())?).ok()?;
    let stat = file::read(&process, &STAT, 4096).ok()?;
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

/// Returns the argv of a process, in which each word ends with a NUL; the first 4 KiB of it.
pub fn argv_of(pid: u64) -> Result<Vec<u8>, Errno> {
    static CMDLINE: Name = Name::fixed(c"cmdline");
    file::read_start(&Dir::fixed(Path::new(&format!("/proc/{pid}")))?, &CMDLINE, ARGV_MAX)
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
    let name = file::read_system(Path::new("/proc/1/comm"), STATUS_CAP).ok()?;
    Some(name.strip_suffix(b"\n").unwrap_or(&name).to_vec())
}

/// Returns when process 1 has started, in seconds since 1970, which is when the container has; `None` if that is not known.
pub fn first_started() -> Option<i64> {
    // Another user may not be shown it.
    let stat = file::read_system(Path::new("/proc/1/stat"), STATUS_CAP).ok()?;
    time::after_machine_start(started_after(&stat)?)
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

/// A program on PATH that root must not run.
#[derive(Debug)]
pub struct Unsafe {
    /// The program.
    pub path: PathBuf,
    /// Why it is not run.
    pub reason: Reason,
}

/// Finds a program that root may run: like [`find_on_path`], but only in directories that nobody but root can change. Fails if there
/// are only others.
pub fn find_for_root(program: &OsStr, path: &OsStr) -> Result<Option<PathBuf>, Unsafe> {
    let mut refused = None;
    for entry in path.as_bytes().split(|byte| *byte == b':') {
        let Some(found) = find_on_path(program, OsStr::from_bytes(entry)) else { continue };
        let checked = if entry.starts_with(b"/") {
            walk::check_program(&found)
        } else {
            Err("its entry in PATH is not an absolute path".into())
        };
        match checked {
            Ok(()) => return Ok(Some(found)),
            Err(reason) => refused = Some(Unsafe { path: found, reason }),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// Longest part of an argv that is read, in bytes.
const ARGV_MAX: u64 = 4096;

/// Returns what `parse` makes of the argv of the first process for which it returns a value; process 1 comes first. In an argv each
/// word ends with a NUL; one that is longer than 4 KiB is cut after its last whole word. As root, only processes of the user `uid` count:
/// anybody can give a process any argv. Skips processes that vanish meanwhile or that this process may not see, and those of PID namespaces
/// below: where the PID namespace is the host's, they are other containers'.
pub fn find_argv<T>(uid: u32, parse: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, Errno> {
    static FIRST: Name = Name::fixed(c"1");
    let proc = match Dir::fixed(Path::new("/proc")) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        proc => proc?,
    };
    let only = is_root().then_some(uid);
    let look = |pid: &Name| match parse_argv(&proc, pid, only, &parse) {
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
    let ids = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"));
    ids.is_some_and(|ids| ids.split(u8::is_ascii_whitespace).filter(|id| !id.is_empty()).count() > 1)
}

fn parse_argv<T>(
    proc: &Dir,
    pid: &Name,
    only: Option<u32>,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, Errno> {
    static CMDLINE: Name = Name::fixed(c"cmdline");
    static STATUS: Name = Name::fixed(c"status");
    let process = proc.open_path(pid)?;
    let counts = || {
        Ok(match only {
            None => true,
            Some(uid) => is_all_of(uid, &file::read_start(&process, &STATUS, ARGV_MAX)?),
        })
    };
    // The argv of another user's process is not even touched: it may lie on a file system that never answers.
    if !counts()? {
        return Ok(None);
    }
    let mut argv = file::read_start(&process, &CMDLINE, ARGV_MAX)?;
    if argv.len() as u64 >= ARGV_MAX {
        let whole = argv.iter().rposition(|byte| *byte == 0).map_or(0, |end| end + 1);
        argv.truncate(whole);
    }
    let Some(parsed) = parse(&argv) else { return Ok(None) };
    // The process may have changed its user, and then its argv, between the two.
    let is_ours = counts()? && !is_in_namespace_below(&file::read_start(&process, &STATUS, ARGV_MAX)?);
    Ok(is_ours.then_some(parsed))
}

/// Returns whether all user ids in a /proc/PID/status are a user's. The owner of /proc/PID does not tell: it is root for any process
/// that has made itself undumpable. Neither does the effective id alone, which a setuid program has.
fn is_all_of(uid: u32, status: &[u8]) -> bool {
    let mut lines = status.split(|byte| *byte == b'\n');
    let ids = lines.find_map(|line| line.strip_prefix(b"Uid:"));
    let is_his = |field: &[u8]| users::number(field) == Some(uid);
    ids.is_some_and(|ids| ids.trim_ascii().split(|byte| *byte == b'\t').all(is_his))
}

#[cfg(test)]
mod tests {
    use super::*;

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
