//! What the pass would do, found out without changing anything.

use std::path::Path;

use super::action::{self, Action, Verdict};
use super::capacity::Room;
use super::signs::{self, Signs, Topology};
use super::{Pass, access, intent};
use crate::output::{Context, Error, Result};
use crate::s6::scandir::Entries;
use crate::s6::servicedir::DOWN;
use crate::s6::slot::foreign;
use crate::s6::slot::{SlotState, check};
use crate::s6::{ProfileName, scandir};
use crate::settings::topology::TopologyChoice;
use crate::sys::{Dir, Errno, Name, Reason, present};
use crate::volume::advice;
use crate::volume::exit_ledger::PriorExit;
use crate::volume::profiles::{self, Found, LISTED, Others, Profiles};
use crate::volume::state::{self, StateFile};
use crate::volume::{Home, kept_env};

static GATEWAY_PID: Name = Name::fixed(c"gateway.pid");
static PROCESSES: Name = Name::fixed(c"processes.json");
/// Files of a gateway with process numbers, which mean nothing in a new container.
static STALE: [&Name; 2] = [&GATEWAY_PID, &PROCESSES];

/// The whole plan.
pub struct Plan {
    /// `default` first, then the others in byte order.
    pub actions: Vec<Action>,
    /// Further profiles, for which s6-svscan has no room, in byte order.
    pub rest: Vec<Name>,
    /// Who gets a slot.
    pub room: Room,
    /// Further entries of `profiles`, which are no profiles.
    pub others: Others,
    /// Of a plan that changes nothing: the first directories of `profiles` that are no profiles, in byte order.
    pub no_profiles: Vec<Name>,
    /// The number of further ones.
    pub more_no_profiles: usize,
    /// Which profiles have a gateway of their own.
    pub topology: Topology,
    /// Whether all profiles are in it. If `profiles` cannot be listed, some may be missing.
    pub is_complete: bool,
}

/// Largest number of profiles that a message names.
const NAMED: usize = 8;

impl Plan {
    fn turned_away(&self, profile: &Name) -> Action {
        Action::new(profile.bytes(), None, Verdict::Failed(self.room.why.clone()))
    }

    /// Puts what happens to the profiles for which there is no room beside that of the others.
    pub fn complete(&mut self) {
        for profile in std::mem::take(&mut self.rest) {
            let action = self.turned_away(&profile);
            self.actions.push(action);
        }
    }

    /// Calls `each` with what happens to every profile, also those for which there is no room.
    pub fn each(&self, each: &mut dyn FnMut(&Action)) {
        self.actions.iter().for_each(&mut *each);
        for profile in &self.rest {
            each(&self.turned_away(profile));
        }
    }

    /// Returns the names of the profiles for which `default` starts.
    pub fn folded_names(&self) -> String {
        let mut text = String::new();
        let mut count = 0;
        for action in self.actions.iter().filter(|action| action.folded && action.served) {
            if let (Some(name), true) = (&action.name, count < NAMED) {
                text.push_str(if count == 0 { "" } else { ", " });
                text.push_str(name.text());
            }
            count += 1;
        }
        match count.checked_sub(NAMED) {
            None | Some(0) => text,
            Some(more) => format!("{text} and {more} more"),
        }
    }
}

/// Plans a pass that changes nothing.
pub fn dry(pass: &Pass<'_>) -> Plan {
    let entries = pass.scandir.as_ref().map(scandir::list).transpose();
    let entries = entries.unwrap_or_else(|errno| {
        pass.console.failed(&Error::new("list the scan", "directory", errno));
        None
    });
    plan(pass, entries.as_ref())
}

/// Plans the pass. `entries` is what the scan directory has.
pub fn plan(pass: &Pass<'_>, entries: Option<&Entries>) -> Plan {
    let home = pass.home.as_ref();
    let known = entries.map_or(&[][..], |entries| &entries.slots);
    let mut plan = Plan {
        actions: Vec::new(),
        rest: Vec::new(),
        room: Room::new(pass.settings.max_services, pass.scandir.as_ref().zip(entries)),
        others: Others::default(),
        no_profiles: Vec::new(),
        more_no_profiles: 0,
        topology: Topology::default(),
        is_complete: true,
    };
    let looked = match home {
        Some(home) => home.as_its_user(|| Ok(look_at_volume(pass, known, &mut plan))),
        None => Ok(look_at_volume(pass, known, &mut plan)),
    };
    if let Err(error) = looked {
        pass.console.failed(&error);
        plan.is_complete = false;
    }
    decide(pass, &mut plan);
    access::look(pass, &mut plan.actions);
    plan
}

/// Reads the profiles and the signs of the topology.
fn look_at_volume(pass: &Pass<'_>, known: &[Name], plan: &mut Plan) {
    let home = pass.home.as_ref();
    let (root, served) = look(pass, &ProfileName::root(), home.map(|home| &home.dir), known);
    if let Some(mut root) = plan.room.admit(&mut plan.actions, root, known) {
        root.turn_away(&plan.room.why);
        plan.actions.push(root);
    }
    let mut standalone = None;
    if let Some(home) = home {
        plan.is_complete = look_at_profiles(pass, home, known, plan, &mut standalone);
    }
    plan.is_complete &= plan.room.turned_away + plan.others.failed == 0;
    let signs = Signs { multiplex: pass.intent.multiplexes(), served, standalone };
    plan.topology = Topology::decide(pass.settings.topology.value, &signs, home, pass.console);
    if let (true, Some(home)) = (plan.topology.multiplex, home) {
        // Only for its warning.
        signs::is_standalone(&home.dir, &ProfileName::root(), pass.console);
    }
}

/// Looks at every entry of `profiles`; `standalone` becomes the first profile with a gateway of its own. Returns whether all of them
/// could be listed.
fn look_at_profiles(
    pass: &Pass<'_>,
    home: &Home,
    known: &[Name],
    plan: &mut Plan,
    standalone: &mut Option<ProfileName>,
) -> bool {
    let found = Profiles::open(home, pass.trusted).and_then(|profiles| match profiles {
        Some(profiles) => profiles.names().map(|listing| Some((profiles, listing))),
        None => Ok(None),
    });
    let (profiles, listing) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return true,
        Err(error) => {
            // A `profiles` that is no directory holds no profiles; one that cannot be opened may hold some.
            let is_complete = error.errno().is_none();
            pass.console.failed(&error);
            return is_complete;
        }
    };
    plan.others = listing.others;
    let mut listed = 0;
    for name in listing.names {
        let found = profiles.look(&name);
        if !matches!(found, Found::Profile(..) | Found::NoProfile) {
            if listed == LISTED {
                plan.others.count(&found);
                continue;
            }
            listed += 1;
        }
        let is_other = matches!(found, Found::NoProfile);
        let Some(action) = look_at_entry(pass, &name, found, known) else {
            if pass.dry_run && (is_reserved(&name) || (is_other && profiles.is_directory(&name))) {
                if plan.no_profiles.len() < LISTED {
                    plan.no_profiles.push(name);
                } else {
                    plan.more_no_profiles += 1;
                }
            }
            continue;
        };
        if action.standalone && standalone.is_none() {
            standalone.clone_from(&action.name);
        }
        if plan.room.admit(&mut plan.actions, action, known).is_some() {
            plan.rest.push(name);
        }
    }
    true
}

fn look_at_entry(pass: &Pass<'_>, name: &Name, found: Found, known: &[Name]) -> Option<Action> {
    let dangles = matches!(found, Found::Dangling(_));
    let (verdict, why): (fn(String) -> Verdict, Reason) = match found {
        Found::Profile(profile, dir) => return Some(look(pass, &profile, Some(&dir), known).0),
        Found::NoProfile => return None,
        Found::Skipped(why) | Found::Dangling(why) => (Verdict::Skipped, why),
        Found::Failed(why) => (Verdict::Failed, told(pass, &why, &profiles::label_of(name))),
    };
    let text = why.to_string();
    let is_reserved = is_reserved(name);
    if is_reserved || dangles {
        pass.console.failed(&Error::new("use", profiles::label_of(name), why));
    }
    (!is_reserved).then(|| Action::new(name.bytes(), None, verdict(text)))
}

/// Returns why something on the volume cannot be used, with what helps.
fn told(pass: &Pass<'_>, why: &Reason, label: &Path) -> Reason {
    advice::below(why, &pass.settings.home.value, label, pass.settings.owner.value.uid).into()
}

/// Returns whether an entry of `profiles` has the root profile's name, whose result is that of `HERMES_HOME`.
pub fn is_reserved(name: &Name) -> bool {
    name.bytes() == ProfileName::root().text().as_bytes()
}

/// Looks at a profile on the volume. Returns also whether its state file has `served_profiles`.
fn look(pass: &Pass<'_>, name: &ProfileName, dir: Option<&Dir>, known: &[Name]) -> (Action, bool) {
    let mut action = Action::new(name.text().as_bytes(), Some(name.clone()), Verdict::Registered);
    let file = dir.map_or_else(StateFile::default, state::read);
    let (served, trouble) = (file.has_served_profiles, file.state.as_ref().err().cloned());
    action.prior = file.state.unwrap_or_default();
    action.trouble = trouble.or(pass.intent.unseen.filter(|_| name.is_root()).map(Reason::from));
    if let Some(reason) = &action.trouble {
        let label = profiles::label(name, &state::STATE);
        let mut reason = reason.clone();
        // A file whose content is no use says nothing; one that could not be read may say anything.
        if matches!(reason, Reason::Errno(_)) {
            reason = told(pass, &reason, &label);
            action.obstacle = Some(action::unusable(&reason));
        }
        pass.console.failed(&Error::new("use", label, reason));
    } else if action.prior.word.is_none()
        && let Some(state) = pass.intent.bootstrap_state(name)
    {
        action.prior = state;
    }
    let Some(dir) = dir else { return (action, served) };
    let is_asked = !name.is_root() && pass.settings.topology.value != TopologyChoice::PerProfile;
    action.standalone = is_asked && signs::is_standalone(dir, name, pass.console);
    if known.binary_search(name.slot()).is_err() {
        match kept_env::read(dir, pass.trusted) {
            // Only whether there are any: those of all profiles would take memory.
            Ok(variables) => action.has_variables = !variables.is_empty(),
            Err(reason) => {
                let error = Error::new("use", profiles::label(name, &kept_env::KEPT), reason);
                let text = pass.console.reported(&error);
                action.obstacle.get_or_insert(text);
            }
        }
    }
    action.exit = PriorExit::read(dir);
    action.stale = stale_files(pass, name, dir);
    (action, served)
}

/// Decides which gateways start, and compares the slots with that.
fn decide(pass: &Pass<'_>, plan: &mut Plan) {
    let multiplex = plan.topology.multiplex;
    let is_held = !multiplex && pass.intent.multiplexes();
    let is_foreground = || intent::is_foreground(pass.settings, pass.command, pass.console);
    let mut any = multiplex && plan.room.has_wish;
    // The root profile, the first one, comes last: it may have to start for the others.
    for action in plan.actions.iter_mut().rev() {
        let Some(name) = action.name.clone() else { continue };
        let wants = action.prior.starts();
        let starts = if name.is_root() {
            action.folded = any;
            action.foreground = (wants || any) && is_foreground();
            (wants || any) && !action.foreground
        } else {
            action.served = multiplex && !action.standalone;
            action.folded = action.served && wants;
            any |= action.folded;
            wants && !action.served && !is_held
        };
        action.verdict = if starts { Verdict::Started } else { Verdict::Registered };
        action.down = !starts;
        if let Err(error) = look_at_slot(pass, &name, action) {
            action.verdict = Verdict::failed(error, pass.console);
        }
        action.changed = !action.left && action.present.is_some_and(|present| present != SlotState::UpToDate);
    }
}

/// Compares a slot with what is wanted.
fn look_at_slot(pass: &Pass<'_>, name: &ProfileName, action: &mut Action) -> Result<()> {
    action.present = Some(SlotState::Absent);
    let Some(scandir) = &pass.scandir else { return Ok(()) };
    action.present = None;
    if action.down && matches!(action.trouble, Some(Reason::Errno(_))) {
        // Nobody knows whether its gateway should run: a slot that is there stays what it is.
        let down =
            present(scandir.dir(name.slot())).and_then(|slot| slot.map_or(Ok(true), |dir| dir.has(&DOWN)));
        action.down = down.context("look at", name.slot())?;
    }
    let present = check::inspect(scandir, name, action.want(), &pass.template)?;
    action.left = present == SlotState::Differs && !pass.adopt && foreign::is_in_use(scandir, name)?;
    action.present = Some(present);
    Ok(())
}

fn stale_files(pass: &Pass<'_>, profile: &ProfileName, dir: &Dir) -> Vec<&'static Name> {
    let mut stale = Vec::new();
    for name in STALE {
        match dir.meta(name) {
            Ok(_) => stale.push(name),
            Err(Errno::NOENT) => (),
            Err(errno) => pass.console.failed(&Error::new("look at", profiles::label(profile, name), errno)),
        }
    }
    stale
}
