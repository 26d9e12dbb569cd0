//! Which profiles get a slot where s6-svscan cannot handle all: with one service too many, it starts no new one at all. Or where the file
//! system of the scan directory has no room for all: a supervisor without room for its files fails for ever.

use std::path::Path;

use crate::s6::room::Room;

/// Number of services that may be added after the pass.
const KEPT_FREE: usize = 4;
/// Number of slots that may be added after the pass.
pub const SPARE: usize = KEPT_FREE / 2;

/// The slots that s6-svscan can handle.
#[derive(Debug)]
pub struct Capacity {
    /// Number of services that it handles (its option -C).
    max: usize,
    /// The room for slots, if there is room for fewer than s6-svscan handles.
    room: Option<Room>,
    /// Number of slots that can still be added.
    left: usize,
    /// Number of profiles that get no slot.
    without_slot: usize,
    /// The places of new slots of profiles that do not want to run. They make way for those that do, the last one first.
    idle: Vec<usize>,
}

/// Whether a profile gets a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It does.
    Admitted,
    /// It does, and the profile at this place gets none.
    Replaces(usize),
    /// It does not.
    Refused,
}

/// A profile that asks for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Whether it has no slot yet.
    pub is_new: bool,
    /// Whether it wants to run.
    pub wants: bool,
    /// Whether it is `default`, which may have to start for the others.
    pub is_root: bool,
}

impl Capacity {
    /// Returns the capacity of a scan directory in which `used` of `max` services are there, and that has this room. `None` if nothing is
    /// known of that.
    pub fn new(max: usize, used: usize, room: Option<Room>) -> Capacity {
        let handled = max.saturating_sub(used + KEPT_FREE) / 2;
        let fits = |room: &Room| usize::try_from(room.slots()).unwrap_or(usize::MAX);
        let room = room.filter(|room| fits(room) < handled);
        let left = room.as_ref().map_or(handled, fits);
        Capacity { max, room, left, without_slot: 0, idle: Vec::new() }
    }

    /// Decides about the next profile, whose place among those with a slot is `place`.
    pub fn admit(&mut self, candidate: Candidate, place: usize) -> Admission {
        let Candidate { is_new, wants, is_root } = candidate;
        if !is_new {
            return Admission::Admitted;
        }
        if self.left > 0 {
            self.left -= 1;
            if !wants && !is_root {
                self.idle.push(place);
            }
            return Admission::Admitted;
        }
        self.without_slot += 1;
        let idle = if wants { self.idle.pop() } else { None };
        match idle {
            Some(idle) => Admission::Replaces(idle),
            None => Admission::Refused,
        }
    }

    /// Returns whether this number of new profiles gets slots, whatever their states are.
    pub fn has_room_for(&self, number: usize) -> bool {
        number <= self.left
    }

    /// Counts a profile that has no slot yet and that gets none, whatever its state is.
    pub fn refuse(&mut self) {
        self.without_slot += 1;
    }

    /// Returns the number of profiles that get no slot.
    pub fn without_slot(&self) -> usize {
        self.without_slot
    }

    /// Returns why a profile gets no slot. `path` is that of the scan directory.
    pub fn reason(&self, path: &Path) -> String {
        // With what was there at first, and all who asked for more than that.
        let asked = self.room.as_ref().map(|room| room.slots() + self.without_slot as u64);
        if let Some(lack) = self.room.as_ref().zip(asked).and_then(|(room, asked)| room.lack(path, asked)) {
            return lack;
        }
        format!(
            "no capacity: s6-svscan handles {} services (--max-services), a slot and its logger count as two, and {KEPT_FREE} are kept free",
            self.max
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Candidate = Candidate { is_new: true, wants: false, is_root: true };
    const IDLE: Candidate = Candidate { is_new: true, wants: false, is_root: false };
    const WANTS: Candidate = Candidate { is_new: true, wants: true, is_root: false };
    const THERE: Candidate = Candidate { is_new: false, wants: false, is_root: false };

    #[test]
    fn two_services_a_slot_and_some_stay_free() {
        for (max, used, slots) in
            [(4, 0, 0), (5, 0, 0), (6, 0, 1), (7, 0, 1), (8, 0, 2), (1000, 0, 498), (1000, 990, 3), (6, 9, 0)]
        {
            let mut capacity = Capacity::new(max, used, None);
            let admitted =
                (0..600).take_while(|place| capacity.admit(WANTS, *place) == Admission::Admitted).count();
            assert_eq!(admitted, slots, "{max} {used}");
        }
    }

    #[test]
    fn a_slot_that_is_there_needs_no_room() {
        let mut capacity = Capacity::new(0, 0, None);
        assert_eq!(capacity.admit(THERE, 0), Admission::Admitted);
        assert_eq!(capacity.admit(Candidate { wants: true, ..THERE }, 1), Admission::Admitted);
        assert_eq!(capacity.without_slot(), 0);
    }

    use Admission::{Admitted, Refused, Replaces};

    #[test]
    fn who_wants_to_run_takes_the_place_of_the_last_who_does_not() {
        // Room for four.
        let mut capacity = Capacity::new(12, 0, None);
        let seen: Vec<_> = [ROOT, IDLE, WANTS, IDLE, IDLE, WANTS, WANTS, WANTS, IDLE]
            .into_iter()
            .enumerate()
            .map(|(place, candidate)| capacity.admit(candidate, place))
            .collect();
        // `default` keeps its slot.
        assert_eq!(
            seen,
            [Admitted, Admitted, Admitted, Admitted, Refused, Replaces(3), Replaces(1), Refused, Refused]
        );
        assert_eq!(capacity.without_slot(), 5);
        assert!(
            capacity
                .reason(Path::new("/run/service"))
                .starts_with("no capacity: s6-svscan handles 12 services ")
        );
    }
}
