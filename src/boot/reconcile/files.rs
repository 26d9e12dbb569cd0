//! Reads the files of a profile: its state first, which decides whether the profile gets a slot, and the others if it does.

use std::path::Path;

use super::Pass;
use super::decide::{Profile, State, Variables};
use crate::output::{Context, Error};
use crate::s6::ProfileName;
use crate::settings::topology::TopologyChoice;
use crate::sys::{Name, Reason};
use crate::topology::traces;
use crate::volume::ahead::Wanted;
use crate::volume::budget::Budget;
use crate::volume::config::CONFIG;
use crate::volume::contents::Contents;
use crate::volume::directory_lock::STAGING;
use crate::volume::exit_ledger::{LEDGER, PriorExit};
use crate::volume::state::{self, Served, StateFile};
use crate::volume::{advice, kept_env, marker, profiles};

/// What a gateway leaves in the directory of its profile as long as it runs, and for good if it is killed.
pub static GATEWAY_PID: Name = Name::fixed(c"gateway.pid");
static PROCESSES: Name = Name::fixed(c"processes.json");
/// Files of a gateway with process IDs, which mean nothing in a new container, and what a killed command may have left.
static RUNTIME_FILES: [&Name; 4] = [&GATEWAY_PID, &PROCESSES, &marker::PLANNED_STOP.name, &STAGING];

/// Reads the files of profiles. What cannot be used is reported, except a state: see [`Files::report`].
pub struct Files<'a> {
    pub pass: &'a Pass<'a>,
    pub budget: Budget,
}

impl Files<'_> {
    /// Reads the state of a profile, and no other file. Returns also whom its gateway has last served.
    pub fn profile(&self, name: ProfileName, contents: Contents<'_>) -> (Profile, Served) {
        let StateFile { state, served, modified } = state::read(contents, &self.budget);
        // If it is not known whether `default` has a state file, what was read may be another one.
        let unknown = self.pass.bootstrap.err().filter(|_| name.is_root());
        let state = match (state, unknown) {
            (Err(reason), _) => self.unusable_state(&name, reason),
            (_, Some(errno)) => self.unusable_state(&name, errno.into()),
            (Ok(Some(state)), None) => State::Recorded(state),
            (Ok(None), None) if name.is_root() => self.root_without_state(),
            (Ok(None), None) => State::Absent,
        };
        (Profile { state, written: modified, ..Profile::new(name) }, served)
    }

    /// Reads what a profile has beside its state. `is_new`: it has no slot yet.
    pub fn complete(&self, profile: &mut Profile, contents: Contents<'_>, is_new: bool) {
        self.read_standalone(profile, contents);
        if is_new {
            profile.variables = self.kept_variables(contents, &profile.name);
        }
        match PriorExit::read(contents, &self.budget) {
            Ok(exit) => profile.exit = exit,
            Err(over) => {
                let label = profiles::label(&profile.name, &LEDGER);
                self.unread(profile, &Error::new("use", label, over));
            }
        }
        profile.stale = self.runtime_files(contents, &profile.name);
    }

    /// Returns the state of `default` without a state file.
    pub fn root_without_state(&self) -> State {
        match self.pass.bootstrap {
            Ok(Some(bootstrap)) => State::FirstBoot(bootstrap),
            Ok(None) => State::Absent,
            Err(errno) => self.unusable_state(&ProfileName::root(), errno.into()),
        }
    }

    /// Returns what is to be read ahead of a profile. `is_new`: it has no slot yet.
    pub fn wanted(&self, is_new: bool) -> Wanted {
        Wanted::within(&self.budget, self.is_topology_open(), is_new, &RUNTIME_FILES)
    }

    /// Returns whether the directories of named profiles may have signs of the topology that count.
    fn is_topology_open(&self) -> bool {
        self.pass.settings.topology.value != TopologyChoice::PerProfile
    }

    /// Returns why something on the volume cannot be used, with what helps.
    pub fn with_advice(&self, why: &Reason, label: &Path) -> Reason {
        let Pass { settings, .. } = self.pass;
        advice::below(why, &settings.home.value, label, settings.owner.value.uid).into()
    }

    /// Returns the state of a state file that cannot be used. One whose content is no use says nothing; one that was not read may say anything.
    fn unusable_state(&self, name: &ProfileName, reason: Reason) -> State {
        match reason {
            Reason::Errno(_) => {
                let label = profiles::label(name, &state::STATE);
                State::Unreadable(self.with_advice(&reason, &label))
            }
            Reason::Unread(_) => State::Unreadable(reason),
            Reason::Rule(_) => State::Unusable(reason),
        }
    }

    /// Reports why the state of a profile cannot be used, if it cannot.
    pub fn report(&self, profile: &Profile) {
        if let State::Unreadable(reason) | State::Unusable(reason) = &profile.state {
            let label = profiles::label(&profile.name, &state::STATE);
            self.pass.console.failed(&Error::new("use", label, reason.clone()));
        }
    }

    /// Reads `gateway.standalone` in the config.yaml of a profile, where it matters. What cannot be read for certain is reported and
    /// counts as no.
    pub fn read_standalone(&self, profile: &mut Profile, contents: Contents<'_>) {
        if profile.name.is_root() || !self.is_topology_open() {
            return;
        }
        match traces::is_standalone(contents, &profile.name, &self.budget, self.pass.console) {
            Ok(is_standalone) => profile.is_standalone = is_standalone,
            Err(over) => {
                let over = Error::new("use", profiles::label(&profile.name, &CONFIG), over);
                self.unread(profile, &over);
            }
        }
    }

    /// Looks whether a profile is parked, where it matters. What cannot be looked at is reported and counts as no.
    pub fn read_parked(&self, profile: &mut Profile, contents: Contents<'_>) {
        if profile.name.is_root() || !self.is_topology_open() {
            return;
        }
        profile.is_parked = traces::is_parked(contents, &profile.name, self.pass.console);
    }

    /// Reports a file that was not read because the budget is used up, and notes it at the profile.
    fn unread(&self, profile: &mut Profile, over: &Error) {
        let why = self.pass.console.reported(over);
        profile.unread.get_or_insert(why);
    }

    /// Returns whether a registration has kept variables: not which, because those of all profiles would take memory.
    fn kept_variables(&self, contents: Contents<'_>, name: &ProfileName) -> Variables {
        let pages = kept_env::read(contents, self.pass.trusted).and_then(|variables| {
            let pages = kept_env::pages(&variables);
            self.budget.pages.take(pages).map(|()| pages)
        });
        match pages.context("use", profiles::label(name, &kept_env::KEPT)) {
            Ok(0) => Variables::Nothing,
            Ok(pages) => Variables::Kept(pages),
            Err(error) => Variables::Unusable(self.pass.console.reported(&error)),
        }
    }

    fn runtime_files(&self, contents: Contents<'_>, name: &ProfileName) -> Vec<&'static Name> {
        let is_there = |file: &&'static Name| {
            contents.has(file).unwrap_or_else(|errno| {
                let label = profiles::label(name, file);
                self.pass.console.failed(&Error::new("inspect", label, errno));
                false
            })
        };
        RUNTIME_FILES.into_iter().filter(is_there).collect()
    }
}
