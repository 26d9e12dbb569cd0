//! What all slots of a pass have in common: the contents of their files, and their owners and modes. Building, checking and updating
//! read it here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::s6::policy::Policy;
use crate::s6::servicedir::{DATA, DOWN, FINISH, PROGRAM, RUN, TYPE};
use crate::sys::{Dir, Errno, Name, Ownership};

/// Largest script that is read, in bytes. The program's own are a `#!` line and a path.
pub const SCRIPT_CAP: u64 = 8192;

/// Begin of what comes after the `#!` line of `run` and `log/run`; the path and a newline follow. The kernel reads the first line
/// alone.
const HOME_IS: &[u8] = b"HERMES_HOME=";

/// Returns the `HERMES_HOME` in a script.
pub fn home_in(script: &[u8]) -> Option<&OsStr> {
    let line = script.iter().position(|byte| *byte == b'\n')? + 1;
    let home = script.get(line..)?.strip_prefix(HOME_IS)?.strip_suffix(b"\n")?;
    Some(OsStr::from_bytes(home))
}

/// What all slots of a pass have in common.
pub struct Template<'a> {
    /// The owners and modes.
    pub policy: Policy,
    /// What changes owners.
    pub ownership: &'a Ownership,
    run: Vec<u8>,
    finish: Vec<u8>,
    log_run: Vec<u8>,
}

/// Longest `#!` line, in bytes: the kernel's `BINPRM_BUF_SIZE` is 256, which includes the newline.
const SHEBANG_MAX: usize = 255;

impl<'a> Template<'a> {
    /// Makes the specification of slots whose scripts name the program at `executable`. The error says why a `#!` line cannot name
    /// that path. `home` is `HERMES_HOME` where the container environment does not have it; [`home_in`] finds it in a script.
    pub fn new(
        executable: &Path,
        home: Option<&Path>,
        policy: Policy,
        ownership: &'a Ownership,
    ) -> Result<Template<'a>, &'static str> {
        let executable = executable.as_os_str().as_bytes();
        if executable.iter().any(u8::is_ascii_whitespace) {
            return Err("a #! line cannot name a path with white space in it: install it elsewhere");
        }
        let script = |command: &str| [b"#!", executable, b" ", command.as_bytes(), b"\n"].concat();
        let (mut run, finish, mut log_run) =
            (script("gateway-run"), script("gateway-finish"), script("gateway-log"));
        if let Some(home) = home {
            for script in [&mut run, &mut log_run] {
                script.extend_from_slice(HOME_IS);
                script.extend_from_slice(home.as_os_str().as_bytes());
                script.push(b'\n');
            }
        }
        if finish.len() > SHEBANG_MAX {
            return Err("the path is too long for a #! line: install it elsewhere");
        }
        Ok(Template { policy, ownership, run, finish, log_run })
    }

    /// Returns the regular files of the slot itself, without `down`.
    pub fn files(&self) -> [File<'_>; 3] {
        [
            File { name: &TYPE, mode: DATA, content: b"longrun\n" },
            File { name: &RUN, mode: PROGRAM, content: &self.run },
            File { name: &FINISH, mode: PROGRAM, content: &self.finish },
        ]
    }

    /// Returns the regular file of `log`.
    pub fn log_file(&self) -> File<'_> {
        File { name: &RUN, mode: PROGRAM, content: &self.log_run }
    }
}

/// A regular file of a slot.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// Its name.
    pub name: &'static Name,
    /// Permission bits.
    pub mode: u32,
    /// Its content.
    pub content: &'a [u8],
}

/// The file `down`.
pub static DOWN_FILE: File<'static> = File { name: &DOWN, mode: DATA, content: b"" };

/// The default state of a slot: what its supervisor does when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultState {
    /// The gateway is started.
    Up,
    /// There is a file `down`: the gateway is not started until somebody asks for it.
    Down,
}

impl DefaultState {
    /// Returns the default state of a slot that is there.
    pub fn of(slot: &Dir) -> Result<DefaultState, Errno> {
        Ok(if slot.has(&DOWN)? { DefaultState::Down } else { DefaultState::Up })
    }
}
