//! Builds a slot in a staging directory that nobody else can write until the slot is complete.

use super::layout::{DIRECTORY, DOWN_FILE, ENV, File, LOG};
use super::{ProfileName, Spec, Want, env, skeleton, staging};
use crate::error::{Error, Result};
use crate::sys::{Dir, Errno, Name, file, remove};

/// Builds the slot of a profile, with these variables, in the scan directory. Returns its staging name.
pub fn build(
    scandir: &Dir,
    profile: &ProfileName,
    want: Want,
    vars: &[env::Variable],
    spec: &Spec<'_>,
) -> Result<Name> {
    let fail = |errno| Error::new("build", profile.slot(), errno);
    // Closed to other users until it is known to be this process's own.
    let name = staging::free(profile, |name| scandir.mkdir(name, 0o700)).map_err(fail)?;
    match fill(scandir, &name, want, vars, spec) {
        Ok(()) => Ok(name),
        Err(errno) => {
            // The first error is the one to report. A later pass sweeps what remains.
            let _ = remove::tree(scandir, &name);
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
    // The scan directory may belong to the hermes user, who could have replaced the directory since mkdir. The new one is root's
    // only directory there with this mode.
    if found.ids.uid != spec.ownership.process().uid || found.mode & 0o777 != 0o700 || found.links > 2 {
        return Err(Errno::EXIST);
    }
    // This also removes a setgid bit from the scan directory, which entries of the slot would inherit in turn.
    slot.chmod(DIRECTORY)?;
    for file in &spec.files() {
        put(&slot, *file, spec)?;
    }
    if want.down {
        put(&slot, DOWN_FILE, spec)?;
    }
    if !vars.is_empty() {
        slot.mkdir(&ENV, spec.policy.env.0)?;
        let dir = slot.dir(&ENV)?;
        env::write(&dir, vars, &spec.policy, spec.ownership)?;
    }
    slot.mkdir(&LOG, DIRECTORY)?;
    let log = slot.dir(&LOG)?;
    put(&log, spec.log_file(), spec)?;
    skeleton::make(&log, &spec.policy, spec.ownership)?;
    skeleton::make(&slot, &spec.policy, spec.ownership)?;
    // Last, and inside out: from here on they may belong to another user.
    let body = spec.policy.body;
    if body != spec.ownership.process() {
        spec.ownership.change(&log, body)?;
    }
    if body != found.ids {
        spec.ownership.change(&slot, body)?;
    }
    Ok(())
}

fn put(dir: &Dir, what: File<'_>, spec: &Spec<'_>) -> std::result::Result<(), Errno> {
    let made = file::create(dir, what.name, what.mode, what.content)?;
    if spec.policy.body != spec.ownership.process() {
        spec.ownership.change(&made, spec.policy.body)?;
    }
    Ok(())
}
