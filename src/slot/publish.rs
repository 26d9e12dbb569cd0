//! Publication: a slot comes into the scan directory complete or not at all, and one that is supervised is mended in
//! place, because its supervisor stays in the inode in which it was started.

use super::check::Present;
use super::{ProfileName, Spec, Want, build, env, layout, probe, staging, update};
use crate::error::{Context, Error, Result};
use crate::sys::{Dir, Errno, Kind, Name};

/// Makes the slot of a profile what is wanted, given what stands there now.
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

/// Publishes a slot where none is, with this environment. EEXIST where there is one.
pub fn add(
    scandir: &Dir,
    profile: &ProfileName,
    want: Want,
    vars: &[env::Variable],
    spec: &Spec<'_>,
) -> Result<()> {
    let staged = build::build(scandir, profile, want, vars, spec)?;
    let published = scandir.rename_new(&staged.name, profile.slot()).context("publish", profile.slot());
    published.inspect_err(|_| discard(scandir, &staged.name))
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
    let vars = old.as_ref().map(env::kept).unwrap_or_default();
    let staged = build::build(scandir, profile, want, &vars, spec)?;
    exchange(scandir, &staged.name, profile).inspect_err(|_| discard(scandir, &staged.name))
}

/// Whether the entry is a symlink through which s6-svscan supervises something.
fn is_link_in_use(scandir: &Dir, slot: &Name) -> bool {
    scandir.meta(slot).is_ok_and(|meta| meta.kind == Kind::Symlink)
        && scandir.passage_through_link(slot).is_ok_and(|target| probe::is_supervised(&target))
}

fn exchange(scandir: &Dir, staged: &Name, profile: &ProfileName) -> Result<()> {
    let slot = profile.slot();
    match scandir.exchange(staged, slot) {
        Ok(()) => discard(scandir, staged),
        // Not every file system can, and a seccomp filter may not know the call.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
            let outgoing = staging::outgoing(profile);
            scandir.rename_new(slot, &outgoing).context("move aside", slot)?;
            if let Err(errno) = scandir.rename_new(staged, slot) {
                // Back again: an old slot is better than none.
                let _ = scandir.rename_new(&outgoing, slot);
                return Err(Error::new("publish", slot, errno));
            }
            discard(scandir, &outgoing);
        }
        Err(errno) => return Err(Error::new("publish", slot, errno)),
    }
    Ok(())
}

/// Removes what has a staging name. Where that fails it is invisible to s6-svscan, and the next pass sweeps it.
fn discard(scandir: &Dir, name: &Name) {
    let _ = staging::hide_and_remove(scandir, name);
}

/// Whether the entry under a slot's name is a slot: a directory with a `run` in it.
pub fn exists(scandir: &Dir, profile: &ProfileName) -> bool {
    scandir.passage(profile.slot()).is_ok_and(|slot| slot.meta(&layout::RUN).is_ok())
}
