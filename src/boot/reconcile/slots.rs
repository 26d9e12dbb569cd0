//! Looks at the slots of a plan, and compares them with what is decided. Changes nothing.

use super::Pass;
use super::decide::Wanted;
use super::plan::{Item, Outcome};
use crate::output::{Context, Result};
use crate::s6::slot::{SlotState, check, foreign};
use crate::s6::{DefaultState, ProfileName};
use crate::sys::{Dir, present};

/// What the scan directory has under the name of a profile's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Nothing.
    Absent,
    /// A slot that is as decided.
    UpToDate,
    /// Anything else, which the pass replaces or updates.
    Differs,
    /// A supervised slot that another program has made: it is left as it is.
    Foreign,
    /// It could not be looked at: it is left as it is.
    Unknown,
}

/// Looks at the slot of an item, if it is to have one, and notes what is found. A failed look is reported.
pub fn look(pass: &Pass<'_>, item: &mut Item) {
    let Some(profile) = item.with_slot() else { return };
    let Some(wanted) = item.decision.wanted(profile) else { return };
    match find(pass, &profile.name, wanted) {
        Ok((slot, default_state)) => {
            item.slot = slot;
            item.default_state = default_state;
            if matches!(slot, Slot::Absent | Slot::Differs) {
                item.outcome = Outcome::Changed;
            }
        }
        Err(error) => {
            item.outcome = pass.failed(profile.name.slot(), &error);
            item.slot = Slot::Unknown;
        }
    }
}

fn find(pass: &Pass<'_>, name: &ProfileName, wanted: Wanted) -> Result<(Slot, DefaultState)> {
    let Some(scandir) = &pass.scandir else {
        return Ok((Slot::Absent, wanted.or(DefaultState::Down)));
    };
    let default_state = match wanted {
        Wanted::State(default_state) => default_state,
        Wanted::Unchanged => of_slot(scandir, name)?,
    };
    let slot = match check::inspect(scandir, name, default_state, &pass.template)? {
        SlotState::Absent => Slot::Absent,
        SlotState::UpToDate => Slot::UpToDate,
        SlotState::Differs => {
            foreign::refuse_link(scandir, name)?;
            if !pass.adopt && foreign::is_in_use(scandir, name)? { Slot::Foreign } else { Slot::Differs }
        }
    };
    Ok((slot, default_state))
}

/// Returns the default state of the slot that is there; down if there is none.
fn of_slot(scandir: &Dir, name: &ProfileName) -> Result<DefaultState> {
    let slot = present(scandir.dir(name.slot())).context("inspect", name.slot())?;
    slot.map_or(Ok(DefaultState::Down), |slot| DefaultState::of(&slot)).context("inspect", name.slot())
}
