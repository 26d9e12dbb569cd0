//! This process: its executable, its user, its standard streams, and the programs that it may become.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{self, Access, FileType, Gid, Mode, OFlags, Uid};
use rustix::process::{Resource, getrlimit, umask};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::dir::link_at;
use super::meta::meta_of;
use super::name::c_path;
use super::{Errno, Ids, Kind, Reason, errno, file, walk};

/// Returns whether this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the user as whom this process acts.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns how many files this process may have open; any number where a seccomp filter refuses the question.
pub fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
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
