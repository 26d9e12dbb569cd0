//! Building a slot in a staging directory that nobody else can write until it is complete.

use super::layout::{DIRECTORY, DOWN_FILE, ENV, File, LOG};
use super::{ProfileName, Spec, Want, env, skeleton, staging};
use crate::error::{Error, Result};
use crate::sys::{Dir, Errno, Name, file, remove};

/// A complete slot under a staging name.
pub struct Staged {
    /// The staging name.
    pub name: Name,
}

/// Builds the slot of a profile, with this environment, under a free staging name of the scan directory.
pub fn build(
    scandir: &Dir,
    profile: &ProfileName,
    want: Want,
    vars: &[env::Variable],
    spec: &Spec<'_>,
) -> Result<Staged> {
    let fail = |errno| Error::new("build", profile.slot(), errno);
    // Closed to all others until it is known to be ours.
    let (name, ()) = staging::free(profile, |name| scandir.mkdir(name, 0o700)).map_err(fail)?;
    let staged = Staged { name };
    match fill(scandir, &staged.name, want, vars, spec) {
        Ok(()) => Ok(staged),
        Err(errno) => {
            // The first error is the one to report; what stays is swept by the next pass.
            let _ = remove::tree(scandir, &staged.name);
            Err(fail(errno))
        }
    }
}

fn fill(
    scandir: &Dir,
    name: &Name,
    want: Want,
    vars: &[env::Variable],
    spec: &Spec<'_>,
) -> std::result::Result<(), Errno> {
    let slot = scandir.dir(name)?;
    let found = slot.own_meta()?;
    // The scan directory may be the hermes user's, who could have put another directory here since mkdir: root's own new
    // one is the only directory of this mode that root has there.
    if found.ids.uid != spec.chowner.me().uid || found.mode & 0o777 != 0o700 || found.links > 2 {
        return Err(Errno::EXIST);
    }
    // Also drops a setgid bit inherited from the scan directory, which what is made inside would inherit in turn.
    slot.chmod(DIRECTORY)?;
    for file in spec.files() {
        put(&slot, file, spec)?;
    }
    if want.down {
        put(&slot, DOWN_FILE, spec)?;
    }
    if !vars.is_empty() {
        slot.mkdir(&ENV, spec.policy.env.0)?;
        let dir = slot.dir(&ENV)?;
        env::write(&dir, vars, &spec.policy, spec.chowner)?;
    }
    slot.mkdir(&LOG, DIRECTORY)?;
    let log = slot.dir(&LOG)?;
    put(&log, spec.log_file(), spec)?;
    skeleton::make(&log, &spec.policy, spec.chowner)?;
    skeleton::make(&slot, &spec.policy, spec.chowner)?;
    // Inside out: from here on they may be somebody else's.
    let body = spec.policy.body;
    if body != spec.chowner.me() {
        spec.chowner.give(&log, body)?;
    }
    if body != found.ids {
        spec.chowner.give(&slot, body)?;
    }
    Ok(())
}

fn put(dir: &Dir, what: File, spec: &Spec<'_>) -> std::result::Result<(), Errno> {
    let made = file::create(dir, what.name, what.mode, what.content)?;
    if spec.policy.body != spec.chowner.me() {
        spec.chowner.give(&made, spec.policy.body)?;
    }
    Ok(())
}
