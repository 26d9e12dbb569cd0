//! Publication: a slot appears in the scan directory complete or not at all. A supervised slot is updated in place, because its
//! supervisor stays in the inode in which it was started.

use super::{DefaultState, SlotState, Template, build, check, foreign, staging, update};
use crate::output::{Context, Error, Result};
use crate::s6::scandir_lock::Held;
use crate::s6::{ProfileName, envdir, supervision};
use crate::sys::{Dir, Errno, Name, Reason, present};

/// Makes the slot of a profile what is wanted, given its state now. A new slot gets these variables; another one keeps its own.
pub fn publish(
    scandir: &Held<'_>,
    profile: &ProfileName,
    want: DefaultState,
    state: SlotState,
    vars: &[envdir::Variable],
    template: &Template<'_>,
) -> Result<()> {
    match state {
        SlotState::UpToDate => Ok(()),
        SlotState::Absent => add(scandir, profile, want, vars, template),
        SlotState::Differs => {
            change(scandir, profile, want, template)?;
            // The kernel may have refused an owner change, which is tolerated elsewhere.
            if template.policy.mode.is_sealed()
                && check::inspect(scandir, profile, want, template)? != SlotState::UpToDate
            {
                let reason = "this process may not change the owner of everything in it";
                return Err(Error::new("restrict access to", profile.slot(), reason));
            }
            Ok(())
        }
    }
}

/// Publishes a new slot with these variables. Fails with EEXIST if there is one.
pub fn add(
    scandir: &Held<'_>,
    profile: &ProfileName,
    want: DefaultState,
    vars: &[envdir::Variable],
    template: &Template<'_>,
) -> Result<()> {
    let staged = build::build(scandir, profile, want, vars, template)?;
    let published = scandir.rename_new(&staged, profile.slot()).context("create", profile.slot());
    published.inspect_err(|_| discard(scandir, &staged))
}

fn change(
    scandir: &Held<'_>,
    profile: &ProfileName,
    want: DefaultState,
    template: &Template<'_>,
) -> Result<()> {
    let slot = profile.slot();
    foreign::refuse_link(scandir, profile)?;
    let vars = match look(scandir, slot).context("replace", slot)? {
        Old::Supervised(old) => return update::in_place(scandir, &old, profile, want, template),
        Old::Idle(vars) => vars,
    };
    let staged = build::build(scandir, profile, want, &vars, template)?;
    exchange(scandir, &staged, profile).inspect_err(|_| discard(scandir, &staged))
}

/// What is to be replaced.
enum Old {
    /// A slot in which supervisors work.
    Supervised(Dir),
    /// Anything else, with the variables that its successor takes over.
    Idle(Vec<envdir::Variable>),
}

/// Looks at what is to be replaced. Fails if that cannot be done, because it may be in use.
fn look(scandir: &Dir, slot: &Name) -> std::result::Result<Old, Reason> {
    match present(scandir.dir(slot))? {
        Some(old) if supervision::is_slot_held(&old)? => Ok(Old::Supervised(old)),
        Some(old) => Ok(Old::Idle(envdir::of_slot(&old)?)),
        None => Ok(Old::Idle(Vec::new())),
    }
}

fn exchange(scandir: &Held<'_>, staged: &Name, profile: &ProfileName) -> Result<()> {
    let slot = profile.slot();
    match scandir.exchange(staged, slot) {
        Ok(()) => discard(scandir, staged),
        // Some file systems do not support it, and some seccomp filters refuse it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
            let outgoing = staging::outgoing(profile);
            scandir.rename_new(slot, &outgoing).context("replace", slot)?;
            if let Err(errno) = scandir.rename_new(staged, slot) {
                // An old slot is better than none.
                let _ = scandir.rename_new(&outgoing, slot);
                return Err(Error::new("replace", slot, errno));
            }
            discard(scandir, &outgoing);
        }
        Err(errno) => return Err(Error::new("replace", slot, errno)),
    }
    Ok(())
}

/// Removes an entry with a staging name. If that fails, s6-svscan does not see it, and the next pass sweeps it.
fn discard(scandir: &Held<'_>, name: &Name) {
    let _ = staging::hide_and_remove(scandir, name);
}
