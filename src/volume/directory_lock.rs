//! The lock of a directory on the volume, which commands that write there at once respect. Whoever can read the directory can hold it for
//! ever, so that nothing depends on it.

use std::ops::Deref;
use std::time::Duration;

use crate::sys::lock::Lock;
use crate::sys::staged::{Attributes, Staged};
use crate::sys::{Dir, Errno, Name, Patience, Reason};

/// What is left of a command's patience for what follows its requests on the volume: its orders to supervisors.
const REST: Duration = Duration::from_millis(1500);

/// The name under which a file is written before it takes its place. One is enough: only who holds the lock writes. An interrupted command
/// may leave it.
pub static STAGING: Name = Name::fixed(c".gateway_state.json.tmp");
/// That something has this name which is no file of ours.
const IN_THE_WAY: &str =
    ".gateway_state.json.tmp beside it, under which it is written first, is a directory: remove that";

/// A directory of the volume that is locked until this is dropped, if the lock could be had.
#[derive(Debug)]
pub struct Held {
    dir: Dir,
    lock: Result<Lock, Errno>,
}

/// Locks a directory, if no other process keeps the lock for as long as the command's patience lasts.
pub fn hold(dir: Dir, patience: &Patience) -> Held {
    let limit = patience.left().saturating_sub(REST);
    let lock = dir.readable().and_then(|dir| Lock::directory(dir, limit, patience));
    Held { dir, lock }
}

impl Held {
    /// Returns whether another process keeps the lock. Some file systems have no locks.
    pub fn is_anothers(&self) -> bool {
        self.lock.as_ref().err() == Some(&Errno::AGAIN)
    }

    /// Writes a new file, which takes its place when it is published. The reason names what stands in the place of the new file.
    pub fn stage(&self, content: &[u8], attributes: Attributes<'_>) -> Result<Staged<'_>, Reason> {
        Staged::write(&self.dir, &STAGING, content, attributes).map_err(|errno| match errno {
            Errno::ISDIR => IN_THE_WAY.into(),
            errno => errno.into(),
        })
    }

    /// Replaces a file in one step.
    pub fn replace(&self, name: &Name, content: &[u8], attributes: Attributes<'_>) -> Result<(), Reason> {
        Ok(self.stage(content, attributes)?.publish(&self.dir, name)?)
    }

    /// Removes what an interrupted command has left of a file. Without the lock, it may be another command's. Returns whether it has removed
    /// something.
    pub fn sweep(&self) -> Result<bool, Errno> {
        if self.lock.is_err() {
            return Ok(false);
        }
        match self.dir.unlink(&STAGING) {
            Err(Errno::NOENT) => Ok(false),
            done => done.map(|()| true),
        }
    }
}

impl Deref for Held {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        &self.dir
    }
}
