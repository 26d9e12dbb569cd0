//! Builds a slot in a staging directory that nobody else can write until the slot is complete.

use super::template::{DOWN_FILE, File};
use super::{DefaultState, Template, staging};
use crate::output::{Error, Result};
use crate::s6::scandir_lock::Held;
use crate::s6::servicedir::{DIRECTORY, ENV, LOG};
use crate::s6::{ProfileName, envdir, skeleton};
use crate::sys::{Dir, Errno, Name, acl, file, remove};

/// Builds the slot of a profile, with these variables, in the scan directory. Returns its staging name.
pub fn build(
    scandir: &Held<'_>,
    profile: &ProfileName,
    want: DefaultState,
    vars: &[envdir::Variable],
    template: &Template<'_>,
) -> Result<Name> {
    let fail = |errno| Error::new("create", profile.slot(), errno);
    // Closed to other users until `fill` has checked that it is this process's own.
    let name = staging::free(profile, |name| scandir.mkdir(name, 0o700)).map_err(fail)?;
    match fill(scandir, &name, want, vars, template) {
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
    want: DefaultState,
    vars: &[envdir::Variable],
    template: &Template<'_>,
) -> std::result::Result<(), Errno> {
    let slot = scandir.dir(name)?;
    let found = slot.own_meta()?;
    // The scan directory may belong to the hermes user, who could have replaced the directory since mkdir. The new one is root's
    // only directory there with this mode.
    if found.ids.uid != template.ownership.process().uid || found.mode & 0o777 != 0o700 || found.links > 2 {
        return Err(Errno::EXIST);
    }
    if template.policy.mode.is_sealed() {
        // A default list of a scan directory that is not sealed; entries of the slot would inherit it in turn.
        acl::remove(&slot)?;
    }
    // This also removes a setgid bit from the scan directory, which they would inherit, too.
    slot.chmod(DIRECTORY)?;
    for file in &template.files() {
        put(&slot, *file, template)?;
    }
    if want == DefaultState::Down {
        put(&slot, DOWN_FILE, template)?;
    }
    if !vars.is_empty() {
        slot.mkdir(&ENV, template.policy.env)?;
        let dir = slot.dir(&ENV)?;
        envdir::write(&dir, vars, &template.policy, template.ownership)?;
    }
    slot.mkdir(&LOG, DIRECTORY)?;
    let log = slot.dir(&LOG)?;
    put(&log, template.log_file(), template)?;
    skeleton::make(&log, &template.policy, template.ownership)?;
    skeleton::make(&slot, &template.policy, template.ownership)?;
    // Last, and inside out: from here on they may belong to another user.
    let owner = template.policy.slot_owner;
    if owner != template.ownership.process() {
        template.ownership.change(&log, owner)?;
    }
    if owner != found.ids {
        template.ownership.change(&slot, owner)?;
    }
    Ok(())
}

fn put(dir: &Dir, what: File<'_>, template: &Template<'_>) -> std::result::Result<(), Errno> {
    let made = file::create(dir, what.name, what.mode, what.content)?;
    if template.policy.slot_owner != template.ownership.process() {
        template.ownership.change(&made, template.policy.slot_owner)?;
    }
    Ok(())
}
