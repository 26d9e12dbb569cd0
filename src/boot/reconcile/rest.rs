//! What a question about some profiles needs of the others: as much as decides about those that are asked for, and no more.

use std::mem;

use super::Pass;
use super::capacity::Capacity;
use super::decide::{self, Gateways, Profile};
use super::files::Files;
use super::observed::{self, Entry, Observed};
use crate::settings::topology::TopologyChoice;
use crate::sys::{Dir, Name, threads};
use crate::topology::signs::Topology;
use crate::topology::traces;
use crate::volume::config::CONFIG;
use crate::volume::contents::Contents;
use crate::volume::parking::PARKED;
use crate::volume::profiles::{self, Found, Listing, Others, Profiles};

/// The profiles that are asked for.
#[derive(Debug, Clone)]
pub enum Asked<'a> {
    /// All.
    All,
    /// Those with these names, and `default`, which is read in any case.
    Only(Vec<&'a [u8]>),
}

impl<'a> Asked<'a> {
    /// Returns those with these names; all if there are none.
    pub fn named(names: impl Iterator<Item = &'a [u8]>) -> Asked<'a> {
        match names.collect::<Vec<_>>() {
            names if names.is_empty() => Asked::All,
            names => Asked::Only(names),
        }
    }

    /// Takes the names that are not asked for out of a listing, and returns them. It takes none out where s6-svscan cannot handle all: who
    /// gets a slot then depends on the state of each.
    pub(super) fn leave_out(&self, listing: &mut Listing, capacity: &Capacity) -> Vec<Name> {
        let Asked::Only(asked) = self else { return Vec::new() };
        if listing.others != Others::default() || !capacity.has_room_for(listing.names.len()) {
            return Vec::new();
        }
        let (asked, rest) =
            mem::take(&mut listing.names).into_iter().partition(|name| asked.contains(&name.bytes()));
        listing.names = asked;
        rest
    }
}

/// Looks at the profiles that are not asked for, as far as they decide about the others: for signs of the topology until there is one, and
/// for one that wants to be served by `default`, should nothing else show that this is to run. What is wrong with them is another answer.
/// What large files of theirs leave of the budget is not asked either.
pub fn look(files: &Files<'_>, profiles: &Profiles, rest: &[Name], observed: &mut Observed) {
    let rest = Rest { files, profiles, names: rest };
    let choice = files.pass.settings.topology.value;
    if choice == TopologyChoice::Auto {
        rest.look_for_signs(observed);
    }
    if !rest.names.is_empty() && Topology::decide(choice, &observed.signs).is_multiplex {
        observed.is_refused_one_wanted |=
            !has_one_to_run(files.pass, observed) && rest.has_charge(observed.threads);
    }
}

/// Returns whether `default` runs by its own state, or for one of the profiles that were read.
fn has_one_to_run(pass: &Pass<'_>, observed: &Observed) -> bool {
    observed.entries.iter().any(|entry| match entry {
        Entry::Profile(profile) if profile.name.is_root() => profile.wants(),
        Entry::Profile(profile) => is_charge(pass, profile),
        Entry::Displaced(_) | Entry::Unusable(..) | Entry::Unknown(..) => false,
    })
}

/// Returns whether `default` runs for a named profile, in a topology in which it serves others.
fn is_charge(pass: &Pass<'_>, profile: &Profile) -> bool {
    decide::needs_default(profile, Gateways::OfDefault) && pass.foreground() != Some(profile.name.text())
}

/// The profiles that are not asked for.
struct Rest<'a> {
    files: &'a Files<'a>,
    profiles: &'a Profiles,
    names: &'a [Name],
}

impl Rest<'_> {
    /// Looks for signs of the topology until there is one.
    fn look_for_signs(&self, observed: &mut Observed) {
        let Files { pass, budget } = self.files;
        let signs = &mut observed.signs;
        for names in self.names.chunks(observed::at_once(observed.threads)) {
            if signs.has_any() {
                return;
            }
            let may_be = threads::map(names, observed.threads, |name| self.profiles.may_be_sign(name));
            for (name, may_be) in names.iter().zip(may_be) {
                let is_one_enough = signs.served.is_single() && !signs.has_named;
                if signs.has_any() || (!is_one_enough && !may_be) {
                    continue;
                }
                let Found::Profile(profile, dir) = self.profiles.look(name) else { continue };
                let contents = Contents::unknown(&dir);
                signs.has_named = true;
                if traces::is_parked(contents, &profile, pass.console) {
                    signs.parked = Some(profiles::label(&profile, &PARKED));
                } else if traces::is_standalone(contents, &profile, budget, pass.console) == Ok(true) {
                    signs.standalone = Some(profiles::label(&profile, &CONFIG));
                }
            }
        }
    }

    /// Returns whether `default` runs for one of them.
    fn has_charge(&self, threads: usize) -> bool {
        let is_charge = |profile, dir: &Dir| {
            let contents = Contents::unknown(dir);
            let (mut profile, _) = self.files.profile(profile, contents);
            if profile.wants() {
                self.files.read_parked(&mut profile, contents);
                self.files.read_standalone(&mut profile, contents);
            }
            is_charge(self.files.pass, &profile)
        };
        self.names.chunks(observed::at_once(threads)).any(|names| {
            let may_want = threads::map(names, threads, |name| self.profiles.may_want(name));
            names.iter().zip(may_want).any(|(name, may_want)| {
                match may_want.then(|| self.profiles.look(name)) {
                    Some(Found::Profile(profile, dir)) => is_charge(profile, &dir),
                    _ => false,
                }
            })
        })
    }
}
