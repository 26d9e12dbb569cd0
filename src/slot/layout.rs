//! What a slot is made of: names, modes, contents and owners. Building, checking and mending all read it here.

use crate::sys::keep::{self, Bytes};
use crate::sys::{Below, Chowner, Ids, Name};

/// `longrun`: s6-rc's word, which keeps the directory usable there.
pub static TYPE: Name = Name::fixed(c"type");
/// The service program.
pub static RUN: Name = Name::fixed(c"run");
/// What s6-supervise runs after it.
pub static FINISH: Name = Name::fixed(c"finish");
/// "Do not start when supervision starts"; consulted at no other time.
pub static DOWN: Name = Name::fixed(c"down");
/// The logger's service directory.
pub static LOG: Name = Name::fixed(c"log");
/// Where subscribers to a service's events put their FIFOs.
pub static EVENT: Name = Name::fixed(c"event");
/// s6-supervise's own directory.
pub static SUPERVISE: Name = Name::fixed(c"supervise");
/// The FIFO in it that takes commands.
pub static CONTROL: Name = Name::fixed(c"control");
/// [`CONTROL`] as seen from the service directory.
pub static SUPERVISE_CONTROL: Below = Below::fixed(c"supervise/control", SUPERVISE, CONTROL);
/// `supervise/event`, of the same name as the service's own.
pub static SUPERVISE_EVENT: Below = Below::fixed(c"supervise/event", SUPERVISE, EVENT);
/// One file a variable, which `gateway-run` loads.
pub static ENV: Name = Name::fixed(c"env");

/// Mode of the slot, of `log` and of what has to be looked into.
pub const DIRECTORY: u32 = 0o755;
/// Mode of data files.
pub const DATA: u32 = 0o644;
/// Mode of programs.
pub const PROGRAM: u32 = 0o755;
/// Mode of `event`: the group may subscribe and may not remove others' FIFOs; s6's own.
pub const EVENT_MODE: u32 = 0o3730;
/// Mode of `control`: whoever may write it commands the service.
pub const CONTROL_MODE: u32 = 0o660;

/// Who owns what in a slot.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Nothing is handed over: s6's own model, instead of the seed's.
    pub sealed: bool,
    /// The hermes user.
    pub owner: Ids,
    /// Owner of the slot, its files and `log`.
    pub body: Ids,
    /// Owner of `event`, `supervise` and what is in it.
    pub skeleton: Ids,
    /// Mode of `supervise`.
    pub supervise: u32,
    /// Modes of `env` and of the files in it: the gateway reads them as the owner.
    pub env: (u32, u32),
}

impl Policy {
    /// Delegated: all is the owner's. Sealed: all is the keeper's, the skeleton with the owner's group, in s6's modes.
    pub fn new(sealed: bool, owner: Ids, keeper: Ids) -> Policy {
        if sealed {
            let skeleton = Ids { uid: keeper.uid, gid: owner.gid };
            Policy { sealed, owner, body: keeper, skeleton, supervise: 0o710, env: (0o750, 0o640) }
        } else {
            Policy { sealed, owner, body: owner, skeleton: owner, supervise: 0o755, env: (0o700, 0o600) }
        }
    }
}

/// What all slots of a pass have in common.
pub struct Spec<'a> {
    /// Who owns what.
    pub policy: Policy,
    /// What sets it.
    pub chowner: &'a Chowner,
    run: Bytes,
    finish: Bytes,
    log_run: Bytes,
}

/// Longest `#!` line, in bytes: the kernel's BINPRM_BUF_SIZE is 256, one is for the newline.
const SHEBANG_MAX: usize = 255;

impl<'a> Spec<'a> {
    /// For slots whose scripts are run by the program at `executable`; says what is wrong with a path that a `#!` line cannot
    /// hold.
    pub fn new(executable: &[u8], policy: Policy, chowner: &'a Chowner) -> Result<Spec<'a>, &'static str> {
        if executable.iter().any(|byte| byte.is_ascii_whitespace()) {
            return Err("a #! line cannot name a path with white space in it: install it elsewhere");
        }
        let script = |command: &str| keep::bytes(&[b"#!", executable, b" ", command.as_bytes(), b"\n"]);
        let (run, finish, log_run) = (script("gateway-run"), script("gateway-finish"), script("gateway-log"));
        if finish.len() > SHEBANG_MAX {
            return Err("the path is too long for a #! line: install it elsewhere");
        }
        Ok(Spec { policy, chowner, run, finish, log_run })
    }

    /// The regular files of the slot itself, but `down`.
    pub fn files(&self) -> [File; 3] {
        [
            File { name: &TYPE, mode: DATA, content: b"longrun\n" },
            File { name: &RUN, mode: PROGRAM, content: self.run },
            File { name: &FINISH, mode: PROGRAM, content: self.finish },
        ]
    }

    /// The regular file of `log`.
    pub fn log_file(&self) -> File {
        File { name: &RUN, mode: PROGRAM, content: self.log_run }
    }
}

/// A regular file of a slot.
#[derive(Clone, Copy)]
pub struct File {
    /// Its name.
    pub name: &'static Name,
    /// Permission bits.
    pub mode: u32,
    /// All that is in it.
    pub content: Bytes,
}

/// `down` as a file.
pub static DOWN_FILE: File = File { name: &DOWN, mode: DATA, content: b"" };

/// What is wanted of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Whether it stays down when supervision starts.
    pub down: bool,
}
