//! Which profiles get a slot where s6-svscan has no room for all: one service too many, and it starts no new one at all.

use super::action::Action;
use crate::s6::scandir::Entries;
use crate::sys::{Dir, Name};

/// Number of services that may be added after the pass.
const KEPT_FREE: usize = 4;

/// The room that s6-svscan has.
pub struct Room {
    /// Why a profile gets no slot.
    pub why: String,
    /// Number of profiles that get none.
    pub turned_away: usize,
    /// Whether one of these wants to run and has no gateway of its own by its config.yaml.
    pub has_wish: bool,
    /// Number of slots that can be added.
    slots: usize,
    /// The places of new slots of profiles that do not want to run. They make room for those that do, the last one first.
    resting: Vec<usize>,
}

impl Room {
    /// Makes the room of a scan directory where s6-svscan handles `max` services.
    pub fn new(max: usize, found: Option<(&Dir, &Entries)>) -> Room {
        let used = found.map_or(0, |(scandir, entries)| entries.services(scandir));
        Room {
            why: format!(
                "no room: s6-svscan handles {max} services (--max-services), a slot and its logger are two, and {KEPT_FREE} stay free"
            ),
            turned_away: 0,
            has_wish: false,
            slots: max.saturating_sub(used + KEPT_FREE) / 2,
            resting: Vec::new(),
        }
    }

    /// Adds an action to the others. Returns it if there is no room for its slot. `known` are the slots that are there, in byte order.
    pub fn admit(&mut self, actions: &mut Vec<Action>, action: Action, known: &[Name]) -> Option<Action> {
        let is_new = action.name.as_ref().is_some_and(|name| known.binary_search(name.slot()).is_err());
        let wants = action.prior.starts();
        if is_new && self.slots == 0 {
            self.turned_away += 1;
            let last = if wants { self.resting.pop() } else { None };
            let Some(resting) = last.and_then(|last| actions.get_mut(last)) else {
                self.has_wish |= wants && !action.standalone;
                return Some(action);
            };
            resting.turn_away(&self.why);
        } else if is_new {
            self.slots -= 1;
            // The root profile, the first one, may have to start for the others.
            if !wants && !actions.is_empty() {
                self.resting.push(actions.len());
            }
        }
        actions.push(action);
        None
    }
}
