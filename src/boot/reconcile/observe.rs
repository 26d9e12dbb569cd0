//! Reads the volume: which profiles there are, what their files say, and the signs of the topology. Decides nothing but who is read to
//! the end where s6-svscan cannot handle all.

use std::path::Path;

use super::Pass;
use super::capacity::{Admission, Candidate, Capacity};
use super::decide::{Profile, State, Variables};
use super::signs::Signs;
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::s6::scandir::Entries;
use crate::settings::topology::TopologyChoice;
use crate::sys::{Dir, Errno, Name, Reason};
use crate::volume::config::{self, Answer, CONFIG};
use crate::volume::exit_ledger::PriorExit;
use crate::volume::profiles::{self, Found, LISTED, Others, Profiles};
use crate::volume::state::{self, StateFile};
use crate::volume::{Home, advice, kept_env};

static GATEWAY_PID: Name = Name::fixed(c"gateway.pid");
static PROCESSES: Name = Name::fixed(c"processes.json");
/// Files of a gateway with process IDs, which mean nothing in a new container.
static RUNTIME_FILES: [&Name; 2] = [&GATEWAY_PID, &PROCESSES];
/// What a gateway leaves in `HERMES_HOME` when it has changed a `multiplex_profiles: false` of config.yaml.
static REWRITTEN: Name = Name::fixed(c".multiplex_opt_out_rewritten");

/// The name of the profile at `HERMES_HOME`.
static ROOT: Name = Name::fixed(c"default");

/// What was read of the volume.
pub struct Observed {
    /// `default` first, then the entries of `profiles` in byte order.
    pub entries: Vec<Entry>,
    /// Further profiles, for which there is no capacity, in byte order.
    pub without_slot: Vec<Name>,
    /// The slots that s6-svscan can handle.
    pub capacity: Capacity,
    /// Whether a profile in `without_slot` wants to run and is not standalone.
    pub is_refused_one_wanted: bool,
    /// Further entries of `profiles`, which are only counted.
    pub others: Others,
    /// The directories of `profiles` that are no profiles. Only a pass that changes nothing looks for them.
    pub not_profiles: NotProfiles,
    /// The signs of the topology.
    pub signs: Signs,
    /// Whether all profiles could be listed and looked at.
    pub is_complete: bool,
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

/// Reads the volume. `slots` are the entries of the scan directory.
pub fn observe(pass: &Pass<'_>, slots: Option<&Entries>) -> Observed {
    let used = pass.scandir.as_ref().zip(slots).map_or(0, |(scandir, slots)| slots.services(scandir));
    let mut observed = Observed {
        entries: Vec::new(),
        without_slot: Vec::new(),
        capacity: Capacity::new(pass.settings.max_services, used),
        is_refused_one_wanted: false,
        others: Others::default(),
        not_profiles: NotProfiles::default(),
        signs: Signs { is_multiplexing: pass.is_multiplexing(), ..Signs::default() },
        is_complete: true,
    };
    let reader = Reader { pass, slots: slots.map_or(&[][..], |slots| &slots.slots) };
    let Some(home) = &pass.home else {
        reader.root(None, &mut observed);
        return observed;
    };
    let read = home.as_its_user(|| {
        reader.root(Some(&home.dir), &mut observed);
        if let Err(error) = reader.profiles(home, &mut observed) {
            pass.console.failed(&error);
            // A `profiles` that is no directory holds no profiles; one that cannot be opened may hold some.
            observed.is_complete = error.errno().is_none();
        }
        reader.signs(home, &mut observed.signs);
        Ok(())
    });
    if let Err(error) = read {
        let why = pass.console.reported(&error);
        observed.entries.push(Entry::Unknown(ROOT.clone(), why));
    }
    observed.is_complete &= observed.others.failed == 0;
    observed
}

impl Observed {
    /// Adds a profile, if there is capacity for its slot.
    fn add(&mut self, profile: Profile, is_new: bool) {
        let candidate = Candidate { is_new, wants: profile.wants(), is_root: profile.name.is_root() };
        match self.capacity.admit(candidate, self.entries.len()) {
            Admission::Admitted => (),
            Admission::Replaces(place) => self.displace(place),
            Admission::Refused if candidate.is_root => {
                self.entries.push(Entry::Displaced(profile));
                return;
            }
            Admission::Refused => {
                self.is_refused_one_wanted |= candidate.wants && !profile.is_standalone;
                self.without_slot.extend(Name::new(profile.name.text()));
                return;
            }
        }
        self.entries.push(Entry::Profile(profile));
    }

    fn displace(&mut self, place: usize) {
        if let Some(entry) = self.entries.get_mut(place)
            && let Entry::Profile(profile) = entry
        {
            *entry = Entry::Displaced(profile.clone());
        }
    }
}

struct Reader<'a> {
    pass: &'a Pass<'a>,
    /// The slots that are there, in byte order.
    slots: &'a [Name],
}

impl Reader<'_> {
    fn root(&self, dir: Option<&Dir>, observed: &mut Observed) {
        let root = ProfileName::root();
        let is_new = self.is_new(&root);
        let profile = match dir {
            Some(dir) => {
                let (profile, has_served_profiles) = self.profile(root, dir);
                observed.signs.has_served_profiles = has_served_profiles;
                profile
            }
            None => Profile { state: self.root_without_state(), ..Profile::new(root) },
        };
        observed.add(profile, is_new);
    }

    /// Returns whether a profile has no slot yet.
    fn is_new(&self, name: &ProfileName) -> bool {
        self.slots.binary_search(name.slot()).is_err()
    }

    /// Reads every entry of `profiles`. Fails if not all can be listed.
    fn profiles(&self, home: &Home, observed: &mut Observed) -> Result<()> {
        let Some(profiles) = Profiles::open(home, self.pass.trusted)? else { return Ok(()) };
        let listing = profiles.names()?;
        observed.others = listing.others;
        let mut reported = 0;
        for name in listing.names {
            let found = profiles.look(&name);
            let is_reported = matches!(found, Found::Skipped(_) | Found::Failed(_) | Found::Dangling(_));
            if is_reported && reported == LISTED {
                observed.others.count(&found);
                continue;
            }
            reported += usize::from(is_reported);
            self.entry(&profiles, name, found, observed);
        }
        Ok(())
    }

    fn entry(&self, profiles: &Profiles, name: Name, found: Found, observed: &mut Observed) {
        let is_dangling = matches!(found, Found::Dangling(_));
        let (make, why): (fn(Name, String) -> Entry, Reason) = match found {
            Found::Profile(profile, dir) => {
                let is_new = self.is_new(&profile);
                let (profile, _) = self.profile(profile, &dir);
                if profile.is_standalone && observed.signs.standalone.is_none() {
                    observed.signs.standalone = Some(profiles::label(&profile.name, &CONFIG));
                }
                return observed.add(profile, is_new);
            }
            Found::NoProfile => {
                if self.pass.changes_nothing() && (is_reserved(&name) || profiles.is_directory(&name)) {
                    observed.not_profiles.add(name);
                }
                return;
            }
            Found::Skipped(why) | Found::Dangling(why) => (Entry::Unusable, why),
            Found::Failed(why) => (Entry::Unknown, self.with_advice(&why, &profiles::label_of(&name))),
        };
        if is_reserved(&name) || is_dangling {
            self.pass.console.failed(&Error::new("use", profiles::label_of(&name), why.clone()));
        }
        if !is_reserved(&name) {
            observed.entries.push(make(name, why.to_string()));
        } else if self.pass.changes_nothing() {
            observed.not_profiles.add(name);
        }
    }

    /// Returns why something on the volume cannot be used, with what helps.
    fn with_advice(&self, why: &Reason, label: &Path) -> Reason {
        let Pass { settings, .. } = self.pass;
        advice::below(why, &settings.home.value, label, settings.owner.value.uid).into()
    }

    /// Reads the files of a profile. Returns also whether its state file has `served_profiles`.
    fn profile(&self, name: ProfileName, dir: &Dir) -> (Profile, bool) {
        let StateFile { state, has_served_profiles } = state::read(dir);
        // If it is not known whether `default` has a state file, what was read may be another one.
        let unknown = self.pass.bootstrap.err().filter(|_| name.is_root());
        let state = match (state, unknown) {
            (Err(reason), _) => self.unusable_state(&name, reason),
            (_, Some(errno)) => self.unusable_state(&name, errno.into()),
            (Ok(Some(state)), None) => State::Recorded(state),
            (Ok(None), None) if name.is_root() => self.root_without_state(),
            (Ok(None), None) => State::Absent,
        };
        let is_asked = !name.is_root() && self.pass.settings.topology.value != TopologyChoice::PerProfile;
        let is_standalone = is_asked && self.is_standalone(dir, &name);
        let variables = if self.is_new(&name) { self.kept_variables(dir, &name) } else { Variables::Nothing };
        let exit = PriorExit::read(dir);
        let runtime_files = self.runtime_files(dir, &name);
        let profile =
            Profile { state, is_standalone, exit, stale: runtime_files, variables, ..Profile::new(name) };
        (profile, has_served_profiles)
    }

    /// Returns the state of `default` without a state file.
    fn root_without_state(&self) -> State {
        match self.pass.bootstrap {
            Ok(Some(bootstrap)) => State::FirstBoot(bootstrap),
            Ok(None) => State::Absent,
            Err(errno) => self.unusable_state(&ProfileName::root(), errno.into()),
        }
    }

    /// Reports why a state file cannot be used. One whose content is no use says nothing; one that cannot be read may say anything.
    fn unusable_state(&self, name: &ProfileName, reason: Reason) -> State {
        let label = profiles::label(name, &state::STATE);
        let state = match reason {
            Reason::Errno(_) => State::Unreadable(self.with_advice(&reason, &label)),
            Reason::Rule(_) => State::Unusable(reason),
        };
        if let State::Unreadable(reason) | State::Unusable(reason) = &state {
            self.pass.console.failed(&Error::new("use", label, reason.clone()));
        }
        state
    }

    /// Returns whether a registration has kept variables: not which, because those of all profiles would take memory.
    fn kept_variables(&self, dir: &Dir, name: &ProfileName) -> Variables {
        match kept_env::read(dir, self.pass.trusted).context("use", profiles::label(name, &kept_env::KEPT)) {
            Ok(variables) if variables.is_empty() => Variables::Nothing,
            Ok(_) => Variables::Kept,
            Err(error) => Variables::Unusable(self.pass.console.reported(&error)),
        }
    }

    fn runtime_files(&self, dir: &Dir, name: &ProfileName) -> Vec<&'static Name> {
        let is_there = |file: &&'static Name| match dir.meta(file) {
            Ok(_) => true,
            Err(Errno::NOENT) => false,
            Err(errno) => {
                let label = profiles::label(name, file);
                self.pass.console.failed(&Error::new("inspect", label, errno));
                false
            }
        };
        RUNTIME_FILES.into_iter().filter(is_there).collect()
    }

    /// Reads `gateway.standalone` in a config.yaml. What cannot be read for certain is reported and counts as no.
    fn is_standalone(&self, dir: &Dir, name: &ProfileName) -> bool {
        match config::read_standalone(dir) {
            Ok(Answer::True { .. }) => true,
            Ok(Answer::Absent | Answer::False { .. }) => false,
            Ok(Answer::Unsure { line, why }) => self.doubt(name, &format!("line {line}: {why}").into()),
            Err(reason) => self.doubt(name, &reason),
        }
    }

    fn doubt(&self, name: &ProfileName, reason: &Reason) -> bool {
        let reason = format!("{reason}; treated as not standalone");
        let label = profiles::label(name, &CONFIG);
        self.pass.console.failed(&Error::new("determine gateway.standalone from", label, reason));
        false
    }

    /// Reads the signs of `HERMES_HOME` itself, as far as the others have not decided.
    fn signs(&self, home: &Home, signs: &mut Signs) {
        let choice = self.pass.settings.topology.value;
        if choice == TopologyChoice::Auto && signs.first().is_none() {
            signs.is_rewritten = home.dir.has(&REWRITTEN).unwrap_or_else(|errno| {
                self.pass.console.failed(&Error::new("inspect", &REWRITTEN, errno));
                false
            });
        }
        let is_multiplex = super::signs::Topology::decide(choice, signs).is_multiplex;
        if is_multiplex && matches!(config::read_standalone(&home.dir), Ok(Answer::True { .. })) {
            self.pass.console.warn(format_args!(
                "gateway.standalone in config.yaml is ignored: the gateway of default serves other profiles"
            ));
        }
    }
}

impl NotProfiles {
    fn add(&mut self, name: Name) {
        if self.names.len() < LISTED { self.names.push(name) } else { self.more += 1 }
    }
}

/// Returns whether an entry of `profiles` has the name of the profile at `HERMES_HOME`.
pub fn is_reserved(name: &Name) -> bool {
    *name == ROOT
}
