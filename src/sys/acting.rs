//! Root as another user for a while: what it does then, the kernel permits as to that user.

use rustix::fs::{Gid, Uid};
use rustix::process::{getegid, getgroups};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{Errno, Ids, process};
use crate::error::SYSTEM;

/// As long as it lives, this process has the effective ids and the groups of another user. Its real and its saved user stay root,
/// so that the other user can send it no signal. It has one thread, so the thread's ids are the process's.
pub struct Acting {
    group: Gid,
    groups: Vec<Gid>,
}

impl Acting {
    /// Takes the ids and the groups of a user. Needs the capabilities SETUID and SETGID (EPERM), and a user namespace that has the ids
    /// (EINVAL); changes nothing if it fails.
    pub fn as_user(ids: Ids, groups: &[u32]) -> Result<Acting, Errno> {
        // Whatever of it has been done is undone at the end, also if the rest fails.
        let acting = Acting { group: getegid(), groups: getgroups()? };
        process::set_groups(groups)?;
        set_thread_res_gid(acting.group, Gid::from_raw(ids.gid), acting.group)?;
        set_thread_res_uid(Uid::ROOT, Uid::from_raw(ids.uid), Uid::ROOT)?;
        Ok(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        let back = set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
            .and_then(|()| set_thread_res_gid(self.group, self.group, self.group));
        if back.is_err() {
            // As neither of the two users nothing is to be done. A message that cannot be written has no reader.
            let _ = process::to_stderr(b"hermes-init: fatal: unable to become root again\n");
            std::process::exit(SYSTEM.into());
        }
        // Without the permission, they have not been changed either.
        let _ = set_thread_groups(&self.groups);
    }
}
