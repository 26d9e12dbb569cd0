//! Root as another user for a while: what it does then, the kernel permits as to that user.

use rustix::fs::{Gid, Uid};
use rustix::process::{getegid, geteuid, getgid, getgroups};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{Errno, Ids, process};

/// Exit code of a process that cannot get back the ids that it had.
pub const LOST: u8 = 111;

/// Calls `work` with the effective ids and the supplementary groups of a user, and restores those that it found. Calls may be nested.
/// The real and the saved user stay root, so that the user can send this process no signal. The process has one thread, so the
/// thread's ids are the process's.
///
/// Needs the capabilities SETUID and SETGID (EPERM) and a user namespace that maps the ids (EINVAL). If it fails, `work` has not been
/// called and the ids are as before. If the ids cannot be restored, the process ends with [`LOST`]: it must not go on as either user.
pub fn as_user<T>(ids: Ids, groups: &[u32], work: impl FnOnce() -> T) -> Result<T, Errno> {
    let (user, real, group, found) = (geteuid(), getgid(), getegid(), getgroups()?);
    // Only with root's effective id has the process the capabilities for the other steps.
    let as_root = || if user.is_root() { Ok(()) } else { set_user(Uid::ROOT) };
    let back = || if user.is_root() { Ok(()) } else { set_user(user) };
    let set_group = |group| set_thread_res_gid(real, group, real);
    between(as_root, back, || {
        between(
            || process::set_groups(groups),
            || set_thread_groups(&found),
            || {
                between(
                    || set_group(Gid::from_raw(ids.gid)),
                    || set_group(group),
                    || between(|| set_user(Uid::from_raw(ids.uid)), || set_user(Uid::ROOT), || Ok(work())),
                )
            },
        )
    })
}

fn set_user(effective: Uid) -> Result<(), Errno> {
    set_thread_res_uid(Uid::ROOT, effective, Uid::ROOT)
}

/// Calls `work` between a change of the process's ids and its undoing.
fn between<T>(
    change: impl FnOnce() -> Result<(), Errno>,
    undo: impl FnOnce() -> Result<(), Errno>,
    work: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    change()?;
    let done = work();
    if undo().is_err() {
        // A message that cannot be written has no reader.
        let _ = process::to_stderr(b"hermes-init: fatal: unable to become root again\n");
        std::process::exit(LOST.into());
    }
    done
}
