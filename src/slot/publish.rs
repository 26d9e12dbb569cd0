//! Publication: a slot appears in the scan directory complete or not at all. A supervised slot is updated in place, because its
//! supervisor stays in the inode in which it was started.

use super::check::Present;
use super::{ProfileName, Spec, Want, build, env, layout, probe, staging, update};
use crate::error::{Context, Error, Result};
use crate::sys::{Dir, Errno, Kind, Name};

/// Makes the slot of a profile what is wanted, given what is there now.
pub fn publish(
    scandir: &Dir,
    profile: &ProfileName,
    want: Want,
    present: Present,
    spec: &Spec<'_>,
) -> Result<()> {
    match present {
        Present::AsDesired => Ok(()),
        Present::Absent => add(scandir, profile, want, &[], spec),
        Present::Different => change(scandir, profile, want, spec),
    }
}

/// Publishes a new slot with these variables. Fails with EEXIST if there is one.
pub fn add(
    scandir: &Dir,
    profile: &ProfileName,
    want: Want,
    vars: &[env::Variable],
    spec: &Spec<'_>,
) -> Result<()> {
    let staged = build::build(scandir, profile, want, vars, spec)?;
    let published = scandir.rename_new(&staged, profile.slot()).context("publish", profile.slot());
    published.inspect_err(|_| discard(scandir, &staged))
}

fn change(scandir: &Dir, profile: &ProfileName, want: Want, spec: &Spec<'_>) -> Result<()> {
    let slot = profile.slot();
    let old = match scandir.dir(slot) {
        Ok(old) if probe::is_supervised(&old) => return update::in_place(scandir, &old, profile, want, spec),
        Ok(old) => Some(old),
        Err(_) => None,
    };
    if old.is_none() && is_link_in_use(scandir, slot) {
        let reason = "a symlink of this name leads to a service that is supervised: remove the link first";
        return Err(Error::new("replace", slot, reason));
    }
    let vars = old.as_ref().map(env::of_slot).unwrap_or_default();
    let staged = build::build(scandir, profile, want, &vars, spec)?;
    exchange(scandir, &staged, profile).inspect_err(|_| discard(scandir, &staged))
}

/// Returns whether the entry is a symlink through which s6-svscan supervises a service.
fn is_link_in_use(scandir: &Dir, slot: &Name) -> bool {
    scandir.meta(slot).is_ok_and(|meta| meta.kind == Kind::Symlink)
        && scandir.passage_through_link(slot).is_ok_and(|target| probe::is_supervised(&target))
}

fn exchange(scandir: &Dir, staged: &Name, profile: &ProfileName) -> Result<()> {
    let slot = profile.slot();
    match scandir.exchange(staged, slot) {
        Ok(()) => discard(scandir, staged),
        // Some file systems do not support it, and some seccomp filters refuse it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
            let outgoing = staging::outgoing(profile);
            scandir.rename_new(slot, &outgoing).context("move aside", slot)?;
            if let Err(errno) = scandir.rename_new(staged, slot) {
                // An old slot is better than none.
                let _ = scandir.rename_new(&outgoing, slot);
                return Err(Error::new("publish", slot, errno));
            }
            discard(scandir, &outgoing);
        }
        Err(errno) => return Err(Error::new("publish", slot, errno)),
    }
    Ok(())
}

/// Removes an entry with a staging name. If that fails, s6-svscan does not see it, and the next pass sweeps it.
fn discard(scandir: &Dir, name: &Name) {
    let _ = staging::hide_and_remove(scandir, name);
}

/// Returns whether a profile has a slot: a directory with a `run` in it.
pub fn exists(scandir: &Dir, profile: &ProfileName) -> bool {
    scandir.passage(profile.slot()).is_ok_and(|slot| slot.meta(&layout::RUN).is_ok())
}
