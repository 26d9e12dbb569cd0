//! What a slot is made of: names, modes, contents and owners. Building, checking and updating read it here.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys::{Below, Ids, Name, Ownership};

/// The service type, `longrun`, which s6-rc reads in its own service directories.
pub static TYPE: Name = Name::fixed(c"type");
/// The service program.
pub static RUN: Name = Name::fixed(c"run");
/// The program that s6-supervise runs after it.
pub static FINISH: Name = Name::fixed(c"finish");
/// Its presence keeps the service down when supervision starts; s6-supervise looks at no other time.
pub static DOWN: Name = Name::fixed(c"down");
/// The logger's service directory.
pub static LOG: Name = Name::fixed(c"log");
/// The directory in which subscribers to the service's events make their FIFOs.
pub static EVENT: Name = Name::fixed(c"event");
/// The supervise directory, s6-supervise's own.
pub static SUPERVISE: Name = Name::fixed(c"supervise");
/// The FIFO in the supervise directory that takes commands.
pub static CONTROL: Name = Name::fixed(c"control");
/// The logger's program, from the slot.
pub static LOG_RUN: Below = Below::fixed(c"log/run", c"log", c"run");
/// The parts of a skeleton, from its service directory: `event`, `supervise`, and `control` and `event` in that.
pub static SKELETON: [&CStr; 4] = [c"event", c"supervise", c"supervise/control", c"supervise/event"];
/// Those of the logger, from the slot.
pub static LOG_SKELETON: [&CStr; 4] =
    [c"log/event", c"log/supervise", c"log/supervise/control", c"log/supervise/event"];
/// The environment directory that `gateway-run` loads.
pub static ENV: Name = Name::fixed(c"env");

/// Mode of the slot and of `log`.
pub const DIRECTORY: u32 = 0o755;
/// Mode of data files.
pub const DATA: u32 = 0o644;
/// Mode of programs.
pub const PROGRAM: u32 = 0o755;
/// Mode of `supervise` in sealed mode: the group may command and query the service, and cannot list the directory.
pub const SEALED_SUPERVISE: u32 = 0o710;
/// Mode of `event` directories in sealed mode.
pub const SEALED_EVENT: u32 = 0o700;

/// The owners and modes of a slot.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Sealed mode: root keeps ownership of the slots, as `s6-svperms` has it.
    pub sealed: bool,
    /// The hermes user.
    pub owner: Ids,
    /// Owner of the slot, its files and `log`.
    pub body: Ids,
    /// Owner of `supervise` and of `control`. `event` directories are [`Policy::body`]'s.
    pub skeleton: Ids,
    /// Mode of `supervise`.
    pub supervise: u32,
    /// Mode of `event` directories. s6-supervise opens every entry named `ftrig1:*` in them as root and follows symlinks: whoever
    /// can make entries there can have root write to any file.
    pub event: u32,
    /// Mode of `control`. Whoever can write to it commands the service; whoever can read it can take commands of others away.
    pub control: u32,
    /// Modes of `env` and of its files, which the gateway reads as the hermes user.
    pub env: (u32, u32),
}

impl Policy {
    /// Delegated mode: the owner owns everything, with the modes that Hermes Agent uses. Sealed mode: the keeper does; the owner's
    /// group can pass through `supervise` and write to `control`, as with s6-svperms(8), and nobody else can use `event`.
    // Out of line: its callers would each get a copy.
    #[inline(never)]
    pub fn new(sealed: bool, owner: Ids, keeper: Ids) -> Policy {
        if sealed {
            let skeleton = Ids { uid: keeper.uid, gid: owner.gid };
            let (supervise, event, control) = (SEALED_SUPERVISE, SEALED_EVENT, 0o620);
            Policy { sealed, owner, body: keeper, skeleton, supervise, event, control, env: (0o750, 0o640) }
        } else {
            let (supervise, event, control) = (0o755, 0o3730, 0o660);
            Policy {
                sealed,
                owner,
                body: owner,
                skeleton: owner,
                supervise,
                event,
                control,
                env: (0o700, 0o600),
            }
        }
    }
}

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
pub struct Spec<'a> {
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

impl<'a> Spec<'a> {
    /// Makes the specification of slots whose scripts name the program at `executable`. The error says why a `#!` line cannot name
    /// that path. `home` is `HERMES_HOME` where the container environment does not have it; [`home_in`] finds it in a script.
    pub fn new(
        executable: &Path,
        home: Option<&Path>,
        policy: Policy,
        ownership: &'a Ownership,
    ) -> Result<Spec<'a>, &'static str> {
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
        Ok(Spec { policy, ownership, run, finish, log_run })
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

/// The wanted state of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Whether it stays down when supervision starts.
    pub down: bool,
}
