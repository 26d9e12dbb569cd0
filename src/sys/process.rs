//! This process and others: its executable, its user, becoming another program, and the argv of what runs beside it.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::fs::{Gid, Uid};
use rustix::process::umask;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{Dir, Errno, Ids, Name, exec, file};

/// Clears the umask, so that modes come out as given. The old one is returned, for a program that is executed later.
pub fn clear_umask() -> u32 {
    umask(Mode::empty()).as_raw_mode()
}

/// Sets the umask.
pub fn set_umask(mask: u32) {
    umask(Mode::from_raw_mode(mask));
}

/// The absolute path of the running executable: from /proc, else argv[0] where that is an absolute path.
pub fn executable(argv0: &OsStr) -> Option<Vec<u8>> {
    let linked = rustix::fs::readlink("/proc/self/exe", Vec::new()).ok().map(CString::into_bytes);
    let given = || Some(argv0.as_bytes().to_vec());
    linked.filter(|path| path.starts_with(b"/")).or_else(|| given().filter(|path| path.starts_with(b"/")))
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

/// A program to become or to run: its argv, and its environment in full.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// argv, the name included.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// What execve(2) takes.
struct Image {
    path: CString,
    argv: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    /// EINVAL where something holds a NUL.
    fn image(&self) -> Result<Image, Errno> {
        let string = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| Errno::INVAL);
        let mut argv = Vec::new();
        for word in &self.argv {
            argv.push(string(word.as_bytes().to_vec())?);
        }
        let mut environment = Vec::new();
        for (key, value) in &self.environment {
            environment.push(string([key.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
        Ok(Image { path: string(self.path.as_os_str().as_bytes().to_vec())?, argv, environment })
    }

    /// Replaces this process; returns only where that fails.
    pub fn exec(&self) -> Errno {
        self.image()
            .map_or_else(|errno| errno, |image| exec::exec(&image.path, &image.argv, &image.environment))
    }

    /// Runs it to its end; its exit code, 128 + signal where one killed it, 127 where it could not be executed; and, if
    /// `capture`, what it wrote to stdout.
    pub fn run(&self, capture: bool) -> Result<(i32, Vec<u8>), Errno> {
        let image = self.image()?;
        exec::run(&image.path, &image.argv, &image.environment, capture)
    }
}

/// Where execvp(3) would find a program on this PATH: the first entry with a regular file that we may execute. An empty
/// entry is the working directory.
pub fn find_on_path(program: &[u8], path: &[u8]) -> Option<PathBuf> {
    path.split(|byte| *byte == b':').find_map(|entry| {
        let directory = if entry.is_empty() { b"." } else { entry };
        let candidate = [directory, b"/", program].concat();
        let executable = rustix::fs::access(candidate.as_slice(), rustix::fs::Access::EXEC_OK).is_ok();
        let regular = |stat| rustix::fs::FileType::from_raw_mode(stat) == rustix::fs::FileType::RegularFile;
        let found =
            executable && rustix::fs::stat(candidate.as_slice()).is_ok_and(|stat| regular(stat.st_mode));
        found.then(|| PathBuf::from(OsString::from_vec(candidate)))
    })
}

/// The longest argv that is read, in bytes: as long as Linux lets one be by default.
const CMDLINE_CAP: u64 = 2 << 20;

/// Calls `each` with the argv of process 1 and then of every process, by number, until it returns true. Processes that vanish
/// meanwhile or that we may not see are passed over.
pub fn each_argv(mut each: impl FnMut(&[u8]) -> bool) {
    static CMDLINE: Name = Name::fixed(c"cmdline");
    let Ok(proc) = Dir::at(Path::new("/proc")) else { return };
    let cmdline =
        |pid: &Name| proc.passage(pid).ok().and_then(|pid| file::read(&pid, &CMDLINE, CMDLINE_CAP).ok());
    static FIRST: Name = Name::fixed(c"1");
    if cmdline(&FIRST).is_some_and(|argv| each(&argv)) {
        return;
    }
    let mut pids = proc.names().unwrap_or_default();
    pids.retain(|name| *name != FIRST && name.bytes().iter().all(u8::is_ascii_digit));
    pids.sort_by_key(|pid| pid.bytes().len());
    for pid in pids {
        if cmdline(&pid).is_some_and(|argv| each(&argv)) {
            return;
        }
    }
}

/// An environment variable's value that may be anything but NUL.
pub fn os(bytes: impl Into<Vec<u8>>) -> OsString {
    OsString::from_vec(bytes.into())
}
