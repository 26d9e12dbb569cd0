//! The lock of a directory on the volume, which commands that write there at once respect. Whoever can read the directory can hold it for
//! ever, so that nothing depends on it.

use std::ops::Deref;
use std::time::Duration;

use crate::sys::lock::Lock;
use crate::sys::{Dir, Errno, Patience};

/// What is left of a command's patience for what follows its requests on the volume: its orders to supervisors.
const REST: Duration = Duration::from_millis(1500);

/// A directory of the volume that is locked until this is dropped, if the lock could be had.
#[derive(Debug)]
pub struct Held<'a> {
    dir: &'a Dir,
    lock: Result<Lock, Errno>,
}

/// Locks a directory, if no other process keeps the lock for as long as the command's patience lasts.
pub fn hold<'a>(dir: &'a Dir, patience: &Patience) -> Held<'a> {
    let limit = patience.left().saturating_sub(REST);
    Held { dir, lock: dir.readable().and_then(|dir| Lock::directory(dir, limit, patience)) }
}

impl Held<'_> {
    /// Returns whether another process keeps the lock. Some file systems have no locks.
    pub fn is_anothers(&self) -> bool {
        self.lock.as_ref().err() == Some(&Errno::AGAIN)
    }
}

impl Deref for Held<'_> {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        self.dir
    }
}
