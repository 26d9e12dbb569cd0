//! The lock of a scan directory. Boot passes and registrations hold it while they change slots.

use std::ops::Deref;
use std::time::Duration;

use super::Mode;
use crate::sys::lock::Lock;
use crate::sys::{Dir, Errno, Name, Patience, remove};

/// The lock of a sealed scan directory.
static FILE: Name = Name::fixed(c".hermes-init.lock");

/// A scan directory that is locked until this is dropped: what changes slots takes this instead of the directory.
#[derive(Debug)]
pub struct Held<'a> {
    scandir: &'a Dir,
    /// `None`: [`Held::without_lock`].
    _lock: Option<Lock>,
}

impl<'a> Held<'a> {
    /// Returns the scan directory for a boot pass that could not lock it. In delegated mode the hermes user can keep the lock for
    /// ever, and that must not stop a boot; a sealed scan directory can be locked by its owner alone.
    pub fn without_lock(scandir: &'a Dir) -> Held<'a> {
        Held { scandir, _lock: None }
    }
}

impl Deref for Held<'_> {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        self.scandir
    }
}

/// Locks a scan directory. In sealed mode, the lock is a file that only its owner, root, can open; in delegated mode it is the
/// directory itself, which the hermes user locks too. Fails with EAGAIN if somebody else holds the lock for five seconds or, in delegated
/// mode, for `limit` or until the patience has run out.
pub fn hold<'a>(
    scandir: &'a Dir,
    mode: Mode,
    limit: Duration,
    patience: &Patience,
) -> Result<Held<'a>, Errno> {
    let lock = match mode {
        Mode::Sealed => Lock::private_file(scandir, &FILE)?,
        Mode::Delegated => Lock::directory(scandir.readable()?, limit, patience)?,
    };
    Ok(Held { scandir, _lock: Some(lock) })
}

/// Removes the lock file of sealed mode from a scan directory that is handed over.
pub fn remove_file(scandir: &Dir) -> Result<(), Errno> {
    remove::tree(scandir, &FILE)
}
