//! This process and others: its executable, its user, becoming another program, and the argv of what runs beside it.

use std::ffi::CStr;

use rustix::fs::{self, Access, FileType, Gid, Mode, OFlags, Uid};
use rustix::process::umask;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::dir::Go;
use super::keep::{self, Bytes};
use super::{Dir, Errno, Ids, Name, file, raw};

/// Clears the umask, so that modes come out as given.
pub fn clear_umask() {
    umask(Mode::empty());
}

/// Sees to it that the descriptors 0 to 2 are taken, as they should be: a file that got one of them would be written to, or
/// handed to a program, as if it were stdout. And a write to a pipe that nobody reads is an error, not the end.
pub fn settle_standard_streams() {
    raw::ignore_sigpipe();
    loop {
        let open = |path: &CStr| fs::open(path, OFlags::RDWR, Mode::empty());
        match open(c"/dev/null").or_else(|_| fs::open(c"/", OFlags::PATH, Mode::empty())) {
            Ok(taken) if std::os::fd::AsRawFd::as_raw_fd(&taken) <= 2 => std::mem::forget(taken),
            _ => return,
        }
    }
}

/// Writes to stdout.
pub fn to_stdout(text: &[u8]) -> Result<(), Errno> {
    file::write_all(rustix::stdio::stdout(), text)
}

/// Writes to stderr.
pub fn to_stderr(text: &[u8]) -> Result<(), Errno> {
    file::write_all(rustix::stdio::stderr(), text)
}

/// Makes a directory this process's working directory.
pub fn change_to(path: &CStr) -> Result<(), Errno> {
    rustix::process::chdir(path)
}

/// The absolute path of the running executable: from /proc, else argv[0] where that is an absolute path, or where that leads
/// if it is a symlink, whose name may be that of a command.
pub fn executable(argv0: &'static CStr) -> Option<Bytes> {
    let link = |path: &CStr| fs::readlink(path, Vec::new()).map(|path| path.into_bytes().leak() as Bytes);
    let found = link(c"/proc/self/exe").or_else(|_| link(argv0)).unwrap_or(argv0.to_bytes());
    Some(found).filter(|path| path.starts_with(b"/"))
}

/// Takes on a user for good: groups first, then group, then user, as each step needs the right to the next.
/// There is one thread, so its ids are the process's.
pub fn become_user(ids: Ids, groups: &[u32]) -> Result<(), Errno> {
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// An environment as execve(2) takes it, `KEY=VALUE` each.
#[derive(Debug, Clone, Default)]
pub struct Environment(Vec<&'static CStr>);

impl Environment {
    /// This process's.
    pub fn own() -> Environment {
        Environment(raw::environment())
    }

    fn value_of(variable: &'static CStr, key: &[u8]) -> Option<Bytes> {
        variable.to_bytes().strip_prefix(key)?.strip_prefix(b"=")
    }

    /// A variable's value.
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.iter().find_map(|variable| Environment::value_of(variable, key))
    }

    /// Sets a variable, or takes it away. One with a NUL in it cannot be, and is taken away.
    pub fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.0.retain(|variable| Environment::value_of(variable, key).is_none());
        self.0.extend(value.and_then(|value| keep::c_string(&[key, b"=", value])));
    }

    /// The variables that the other one has not, or not so.
    pub fn beyond(&self, other: &Environment) -> impl Iterator<Item = Bytes> {
        self.0.iter().filter(|variable| !other.0.contains(variable)).map(|variable| variable.to_bytes())
    }
}

/// A program to become or to run.
#[derive(Debug)]
pub struct Program {
    /// Where it is.
    pub path: &'static CStr,
    /// argv, the name included.
    pub argv: Vec<&'static CStr>,
    /// The whole environment.
    pub environment: Environment,
}

impl Program {
    /// Replaces this process; returns only where that fails.
    pub fn exec(&self) -> Errno {
        raw::exec(self.path, &self.argv, &self.environment.0)
    }

    /// Runs it to its end; its exit code, 128 + signal where one killed it, 127 where it could not be executed; and, if
    /// `capture`, what it wrote to stdout.
    pub fn run(&self, capture: bool) -> Result<(i32, Vec<u8>), Errno> {
        raw::run(self.path, &self.argv, &self.environment.0, capture)
    }
}

/// Where execvp(3) would find a program on this PATH: the first entry with a regular file that we may execute. An empty
/// entry is the working directory.
pub fn find_on_path(program: &[u8], path: &[u8]) -> Option<&'static CStr> {
    path.split(|byte| *byte == b':').find_map(|entry| {
        let directory = if entry.is_empty() { b"." } else { entry };
        let candidate = keep::c_string(&[directory, b"/", program])?;
        let regular = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
        let found = fs::access(candidate, Access::EXEC_OK).is_ok()
            && fs::stat(candidate).is_ok_and(|stat| regular(stat.st_mode));
        found.then_some(candidate)
    })
}

/// The longest argv that is read, in bytes: as long as Linux lets one be by default.
const CMDLINE_CAP: u64 = 2 << 20;

/// Calls `each` with the argv of process 1 and then of every process, until it returns true. Processes that vanish meanwhile or
/// that we may not see are passed over.
pub fn each_argv(each: &mut dyn FnMut(&[u8]) -> bool) {
    static CMDLINE: Name = Name::fixed(c"cmdline");
    static FIRST: Name = Name::fixed(c"1");
    let Ok(proc) = Dir::at(c"/proc") else { return };
    let mut done = |pid: &Name| {
        let read =
            proc.passage(pid).map_err(Into::into).and_then(|pid| file::read(&pid, &CMDLINE, CMDLINE_CAP));
        read.is_ok_and(|argv| each(&argv))
    };
    if done(&FIRST) {
        return;
    }
    // Errors end the search like its end: what was not found is not there.
    let _ = proc.each(&mut |name, _| {
        let other = name != FIRST && name.bytes().iter().all(u8::is_ascii_digit);
        if other && done(&name) { Go::Stop } else { Go::On }
    });
}
