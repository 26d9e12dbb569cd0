//! `gateway.parked`: while an entry of that name is in the directory of a profile, the gateway of `default` does not serve the profile.
//! Releases of Hermes Agent from 0.21.5 on know it: `hermes -p NAME gateway stop` makes the file, and `start` removes it. Such a gateway
//! looks every 30 seconds.

use super::directory_lock::Held;
use crate::sys::staged::Attributes;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, Reason};

/// The entry. What it is and what it contains do not matter.
pub static PARKED: Name = Name::fixed(c"gateway.parked");

/// What `start` leaves in `HERMES_HOME` before it unparks a profile: that the gateway of `default` serves the others there. Where all are
/// parked, nothing else shows it once the last one is unparked, until that gateway has looked again.
pub static REMEMBERED: Name = Name::fixed(c".hermes-init-multiplex");

/// Leaves [`REMEMBERED`] in `HERMES_HOME`, if it is not there.
pub fn remember(home: &Held, owner: Ids, ownership: &Ownership) -> Result<(), Reason> {
    if home.has(&REMEMBERED)? {
        return Ok(());
    }
    home.replace(&REMEMBERED, b"", Attributes { mode: 0o644, ids: owner, ownership, durable: true })
}

/// Returns whether a profile is parked.
pub fn is_parked(profile: &Dir) -> Result<bool, Errno> {
    profile.has(&PARKED)
}

/// Parks a profile, if it is not. The file belongs to `owner`.
pub fn park(profile: &Held, owner: Ids, ownership: &Ownership) -> Result<(), Reason> {
    if is_parked(profile)? {
        return Ok(());
    }
    let attributes = Attributes { mode: 0o644, ids: owner, ownership, durable: true };
    profile.replace(&PARKED, b"", attributes)
}

/// Removes the entry. Absence is no error.
pub fn unpark(profile: &Held) -> Result<(), Reason> {
    match profile.unlink(&PARKED) {
        // The kernel may refuse a removal before it finds that there is nothing to remove.
        Err(_) if profile.meta(&PARKED) == Err(Errno::NOENT) => Ok(()),
        Ok(()) => Ok(()),
        Err(Errno::ISDIR) => Err("it is a directory: remove that".into()),
        Err(errno) => Err(errno.into()),
    }
}
