//! Reads the volume: which profiles there are, what their files say, and the signs of the topology. Decides nothing but who is read to
//! the end where s6-svscan cannot handle all.

use super::Pass;
use super::capacity::{Capacity, SPARE};
use super::decide::Profile;
use super::files::Files;
use super::observed::{self, Entry, NotProfiles, Observed};
use super::rest;
use crate::output::{Error, Result};
use crate::s6::ProfileName;
use crate::s6::room::Room;
use crate::s6::scandir::Entries;
use crate::settings::topology::TopologyChoice;
use crate::sys::{Name, Reason, process, threads};
use crate::topology::signs::{Signs, Topology};
use crate::topology::traces;
use crate::volume::Home;
use crate::volume::ahead::Wanted;
use crate::volume::budget::Budget;
use crate::volume::config::{self, Answer, CONFIG};
use crate::volume::contents::{Contents, Known};
use crate::volume::parking::PARKED;
use crate::volume::profiles::{self, Found, LISTED, Listing, Others, Profiles};

/// What is tried of the scan directory.
const ROOM: &str = "find out how much room there is for";
/// The name of the profile at `HERMES_HOME`.
static ROOT: Name = Name::fixed(c"default");
/// Smallest number of files that this process may have open where some profiles are read ahead. One after the other, they need a dozen.
const DESCRIPTORS: u64 = 128;

/// Reads the volume. `slots` are the entries of the scan directory.
pub fn observe(pass: &Pass<'_>, slots: Option<&Entries>) -> Observed {
    let used = pass.scandir.as_ref().zip(slots).map_or(0, |(scandir, slots)| slots.services(scandir));
    let room = pass.scandir.as_ref().zip(slots).and_then(|(scandir, slots)| {
        let room = Room::look(scandir, &slots.slots, SPARE as u64);
        room.map_err(|errno| pass.console.failed(&Error::new(ROOM, &pass.settings.scandir.value, errno))).ok()
    });
    let is_room_unknown = room.is_none() && pass.scandir.is_some() && slots.is_some();
    let mut observed = Observed {
        entries: Vec::new(),
        without_slot: Vec::new(),
        refused_unnamed: 0,
        capacity: Capacity::new(pass.settings.max_services, used, room),
        is_refused_one_wanted: false,
        others: Others::default(),
        not_profiles: NotProfiles::default(),
        signs: Signs { is_multiplexing: pass.is_multiplexing(), ..Signs::default() },
        is_complete: !is_room_unknown,
        is_remote: false,
        threads: 1,
    };
    let reader = Reader {
        files: Files { pass, budget: Budget::new() },
        slots: slots.map_or(&[][..], |slots| &slots.slots),
    };
    let Some(home) = &pass.home else {
        reader.root(None, &mut observed);
        return observed;
    };
    let read = home.as_its_user(|| {
        let known = home.list();
        let contents = Contents::new(&home.dir, &known);
        let listed = list(home, pass).unwrap_or_else(|error| {
            pass.console.failed(&error);
            // A `profiles` that is no directory holds no profiles; one that cannot be opened may hold some.
            observed.is_complete &= error.errno().is_none();
            None
        });
        reader.root(Some(contents), &mut observed);
        let mut left_out = None;
        if let Some((profiles, mut listing)) = listed {
            observed.is_remote = profiles.is_remote(home);
            observed.threads = threads_for(observed.is_remote);
            let rest = pass.asked.leave_out(&mut listing, &observed.capacity);
            let profiles = pass.profiles.get_or_init(|| profiles);
            reader.profiles(profiles, &listing, &mut observed);
            left_out = Some((profiles, rest));
        }
        if pass.settings.topology.value == TopologyChoice::Auto {
            traces::look_in_home(contents, &mut observed.signs, pass.console);
        }
        if let Some((profiles, rest)) = left_out {
            rest::look(&reader.files, profiles, &rest, &mut observed);
        }
        reader.warn_of_ignored(contents, &observed.signs);
        Ok(())
    });
    if let Err(error) = read {
        let why = pass.console.reported(&error);
        observed.entries.push(Entry::Unknown(ROOT.clone(), why));
    }
    observed.is_complete &= observed.others.failed == 0;
    observed
}

/// Returns how many threads look at profiles: one where a look takes no time, or descriptors are few.
fn threads_for(is_remote: bool) -> usize {
    if is_remote && process::descriptors() >= DESCRIPTORS { threads::MOST } else { 1 }
}

/// Opens and lists `profiles`, if it is there. Fails if not all entries can be listed.
fn list(home: &Home, pass: &Pass<'_>) -> Result<Option<(Profiles, Listing)>> {
    let Some(profiles) = Profiles::open(home, pass.trusted)? else { return Ok(None) };
    let listing = profiles.names()?;
    Ok(Some((profiles, listing)))
}

struct Reader<'a> {
    files: Files<'a>,
    /// The slots that are there, in byte order.
    slots: &'a [Name],
}

impl Reader<'_> {
    fn root(&self, home: Option<Contents<'_>>, observed: &mut Observed) {
        let root = ProfileName::root();
        let is_new = self.is_new(&root);
        let profile = match home {
            Some(home) => {
                let (mut profile, served) = self.files.profile(root, home);
                observed.signs.served = served;
                self.files.complete(&mut profile, home, is_new);
                profile
            }
            None => Profile { state: self.files.root_without_state(), ..Profile::new(root) },
        };
        self.files.report(&profile);
        let entry = if observed.admit(&profile, is_new) { Entry::Profile } else { Entry::Displaced };
        observed.entries.push(entry(profile));
    }

    /// Reads a named profile: all of it if it gets a slot; otherwise its state, and whether `default` has to start for it, unless that
    /// is known.
    fn named(&self, name: ProfileName, contents: Contents<'_>, observed: &mut Observed) {
        let is_new = self.is_new(&name);
        if observed.is_unread(is_new) {
            observed.capacity.refuse();
            return observed.refuse(&name);
        }
        let (mut profile, _) = self.files.profile(name, contents);
        observed.signs.has_named = true;
        self.files.read_parked(&mut profile, contents);
        if profile.is_parked && observed.signs.parked.is_none() {
            observed.signs.parked = Some(profiles::label(&profile.name, &PARKED));
        }
        if observed.admit(&profile, is_new) {
            self.files.report(&profile);
            self.files.complete(&mut profile, contents, is_new);
            if profile.is_standalone && observed.signs.standalone.is_none() {
                observed.signs.standalone = Some(profiles::label(&profile.name, &CONFIG));
            }
            observed.entries.push(Entry::Profile(profile));
        } else {
            if profile.wants() && !profile.is_parked && !observed.is_refused_one_wanted {
                self.files.read_standalone(&mut profile, contents);
                observed.is_refused_one_wanted = !profile.is_standalone;
            }
            if observed.names_refused() {
                self.files.report(&profile);
            }
            observed.refuse(&profile.name);
        }
    }

    /// Returns whether a profile has no slot yet.
    fn is_new(&self, name: &ProfileName) -> bool {
        self.slots.binary_search(name.slot()).is_err()
    }

    /// Reads every entry of `profiles`, some ahead. What comes of it does not depend on how many are.
    fn profiles(&self, profiles: &Profiles, listing: &Listing, observed: &mut Observed) {
        observed.others = listing.others;
        let mut reported = 0;
        for names in listing.names.chunks(observed::at_once(observed.threads)) {
            let wanted: Vec<_> = names.iter().map(|name| (name, self.wanted(name, observed))).collect();
            let ahead =
                threads::map(&wanted, observed.threads, |(name, wanted)| profiles.ahead(name, *wanted));
            for ((name, wanted), ahead) in wanted.into_iter().zip(ahead) {
                let (found, known) = profiles.found(name, ahead, wanted);
                let is_reported = matches!(found, Found::Skipped(_) | Found::Failed(_) | Found::Dangling(_));
                if is_reported && reported == LISTED {
                    observed.others.count(&found);
                    continue;
                }
                reported += usize::from(is_reported);
                self.entry(profiles, name.clone(), found, &known, observed);
            }
        }
    }

    /// Returns what is to be read ahead of an entry: nothing where looks take no time, or nothing is read of it at all.
    fn wanted(&self, name: &Name, observed: &Observed) -> Option<Wanted> {
        let is_new = || ProfileName::parse(name.bytes()).is_ok_and(|name| self.is_new(&name));
        let is_read = observed.is_remote && !observed.is_unread(is_new());
        is_read.then(|| self.files.wanted(is_new()))
    }

    fn entry(&self, profiles: &Profiles, name: Name, found: Found, known: &Known, observed: &mut Observed) {
        let is_dangling = matches!(found, Found::Dangling(_));
        let (make, why): (fn(Name, String) -> Entry, Reason) = match found {
            Found::Profile(profile, dir) => {
                return self.named(profile, Contents::new(&dir, known), observed);
            }
            Found::NoProfile => {
                if self.files.pass.changes_nothing() && (is_reserved(&name) || profiles.is_directory(&name)) {
                    observed.not_profiles.add(name);
                }
                return;
            }
            Found::Closed => return,
            Found::Skipped(why) | Found::Dangling(why) => (Entry::Unusable, why),
            Found::Failed(why) => (Entry::Unknown, self.files.with_advice(&why, &profiles::label_of(&name))),
        };
        if is_reserved(&name) || is_dangling {
            self.files.pass.console.failed(&Error::new("use", profiles::label_of(&name), why.clone()));
        }
        if !is_reserved(&name) {
            observed.entries.push(make(name, why.to_string()));
        } else if self.files.pass.changes_nothing() {
            observed.not_profiles.add(name);
        }
    }

    /// Reports a `gateway.standalone` of `default`, which has no effect where its gateway serves others.
    fn warn_of_ignored(&self, home: Contents<'_>, signs: &Signs) {
        let is_multiplex = Topology::decide(self.files.pass.settings.topology.value, signs).is_multiplex;
        if is_multiplex
            && matches!(config::read_standalone(home, &self.files.budget), Ok(Answer::True { .. }))
        {
            self.files.pass.console.warn(format_args!(
                "gateway.standalone in config.yaml is ignored: the gateway of default serves other profiles"
            ));
        }
    }
}

/// Returns whether an entry of `profiles` has the name of the profile at `HERMES_HOME`.
pub fn is_reserved(name: &Name) -> bool {
    *name == ROOT
}
