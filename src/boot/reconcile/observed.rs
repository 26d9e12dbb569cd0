//! What a pass reads of the volume, as it comes together: who is in it depends on the capacity for slots.

use super::capacity::{Admission, Candidate, Capacity};
use super::decide::Profile;
use crate::s6::ProfileName;
use crate::sys::Name;
use crate::topology::signs::Signs;
use crate::volume::profiles::{LISTED, Others};

/// Number of profiles for which there is no capacity and that are reported one by one.
const REFUSED: usize = 1000;
/// Number of profiles without capacity whose states are read: one that wants to run gets the slot of one that does not. A further one
/// gets none, whatever its state is.
const REFUSED_READ: usize = 4000;
/// Number of profiles of a remote volume that are read ahead at once. Each takes a descriptor, and memory for its files.
const AHEAD: usize = 32;

/// What was read of the volume.
pub struct Observed {
    /// `default` first, then the entries of `profiles` in byte order.
    pub entries: Vec<Entry>,
    /// Further profiles for which there is no capacity, in byte order: the first 1000.
    pub without_slot: Vec<Name>,
    /// The number of those that follow.
    pub refused_unnamed: usize,
    /// The slots that s6-svscan can handle.
    pub capacity: Capacity,
    /// Whether a profile in `without_slot` wants to run and is neither standalone nor parked.
    pub is_refused_one_wanted: bool,
    /// Further entries of `profiles`, which are only counted.
    pub others: Others,
    /// The directories of `profiles` that are no profiles. Only a pass that changes nothing looks for them.
    pub not_profiles: NotProfiles,
    /// The signs of the topology.
    pub signs: Signs,
    /// Whether all profiles could be listed and looked at.
    pub is_complete: bool,
    /// Whether a look at a profile may be one at another machine.
    pub is_remote: bool,
    /// How many threads look at profiles.
    pub threads: usize,
}

/// What was read of an entry of `profiles`, or of `HERMES_HOME` itself.
pub enum Entry {
    /// A profile.
    Profile(Profile),
    /// A profile whose capacity another one got.
    Displaced(Profile),
    /// An entry that can have no slot; why.
    Unusable(Name, String),
    /// An entry that could not be looked at; why.
    Unknown(Name, String),
}

/// The directories of `profiles` that are no profiles.
#[derive(Default)]
pub struct NotProfiles {
    /// The first ones, in byte order.
    pub names: Vec<Name>,
    /// The number of further ones.
    pub more: usize,
}

/// Returns how many profiles so many threads look at before something is said of them.
pub fn at_once(threads: usize) -> usize {
    if threads > 1 { AHEAD } else { 1 }
}

impl Observed {
    /// Returns whether there is capacity for the slot of a profile.
    pub fn admit(&mut self, profile: &Profile, is_new: bool) -> bool {
        let candidate = Candidate { is_new, wants: profile.wants(), is_root: profile.name.is_root() };
        match self.capacity.admit(candidate, self.entries.len()) {
            Admission::Admitted => (),
            Admission::Replaces(place) => self.displace(place),
            Admission::Refused => return false,
        }
        true
    }

    /// Returns whether nothing of a further profile is read. `is_new`: it has no slot yet.
    pub fn is_unread(&self, is_new: bool) -> bool {
        is_new && self.capacity.without_slot() >= REFUSED_READ
    }

    fn displace(&mut self, place: usize) {
        if let Some(entry) = self.entries.get_mut(place)
            && let Entry::Profile(profile) = entry
        {
            *entry = Entry::Displaced(profile.clone());
        }
    }

    /// Returns whether a further profile for which there is no capacity is reported by itself.
    pub fn names_refused(&self) -> bool {
        self.without_slot.len() < REFUSED
    }

    /// Adds a profile for which there is no capacity.
    pub fn refuse(&mut self, profile: &ProfileName) {
        if self.names_refused() {
            self.without_slot.extend(Name::new(profile.text()));
        } else {
            self.refused_unnamed += 1;
        }
    }
}

impl NotProfiles {
    /// Adds one.
    pub fn add(&mut self, name: Name) {
        if self.names.len() < LISTED { self.names.push(name) } else { self.more += 1 }
    }
}
