//! What the pass would do, found out without changing anything.

use super::Pass;
use super::topology::{self, Signs, Topology};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::slot::check::{self, Present};
use crate::slot::{ProfileName, Want, foreign};
use crate::sys::{Dir, Errno, Name, Reason};
use crate::topology::TopologyChoice;
use crate::volume::Home;
use crate::volume::exit_ledger::PriorExit;
use crate::volume::profiles::{self, Found, Profiles};
use crate::volume::state::{self, Prior, Report};

static GATEWAY_PID: Name = Name::fixed(c"gateway.pid");
static PROCESSES: Name = Name::fixed(c"processes.json");
/// Files of a gateway with process numbers, which mean nothing in a new container.
static STALE: [&Name; 2] = [&GATEWAY_PID, &PROCESSES];

/// What happens to one profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has a slot and is started.
    Started,
    /// It has a slot and stays down.
    Registered,
    /// It can have no slot; the reason.
    Skipped(String),
    /// It should have a slot, which could not be made or looked at; the reason.
    Failed(String),
}

impl Verdict {
    /// Makes the verdict on a profile whose slot could not be made or looked at, and reports it.
    #[inline(never)]
    pub fn failed(error: &Error, console: &Console) -> Verdict {
        console.warn(error);
        Verdict::Failed(error.to_string())
    }

    /// Returns the word in the log.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Started => "started",
            Verdict::Registered => "registered",
            Verdict::Skipped(_) => "skipped",
            Verdict::Failed(_) => "failed",
        }
    }

    /// Returns why it is neither started nor registered.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Started | Verdict::Registered => None,
            Verdict::Skipped(why) | Verdict::Failed(why) => Some(why),
        }
    }
}

/// What the pass does for one profile.
pub struct Action {
    /// The profile's name as the volume has it.
    pub profile: Vec<u8>,
    /// The profile's name; `None` if it can have no slot.
    pub name: Option<ProfileName>,
    /// What happens.
    pub verdict: Verdict,
    /// Its state.
    pub prior: Prior,
    /// Why its state file is not usable.
    pub trouble: Option<Reason>,
    /// Whether it has a gateway of its own in every topology.
    pub standalone: bool,
    /// Whether the gateway of `default` serves it.
    pub served: bool,
    /// Whether it wants to run and the gateway of `default` starts for it; of `default`, whether it starts for others.
    pub folded: bool,
    /// How its gateway ended last time.
    pub exit: PriorExit,
    /// What the scan directory has; `None` if that could not be found out. It is then left as it is.
    pub present: Option<Present>,
    /// Its runtime files that are stale unless its gateway runs.
    pub stale: Vec<&'static Name>,
    /// Whether its slot is left as it is: another program has made it, and it is supervised.
    pub left: bool,
    /// Whether anything is, or would be, written.
    pub changed: bool,
}

impl Action {
    /// Makes the action of a name: no slot is looked at yet.
    pub fn new(profile: &[u8], name: Option<ProfileName>, verdict: Verdict) -> Action {
        Action {
            profile: profile.to_vec(),
            name,
            verdict,
            prior: Prior::default(),
            trouble: None,
            standalone: false,
            served: false,
            folded: false,
            exit: PriorExit::Unknown,
            present: None,
            stale: Vec::new(),
            left: false,
            changed: false,
        }
    }

    /// Returns the wanted state of the slot.
    pub fn want(&self) -> Want {
        Want { down: self.verdict != Verdict::Started }
    }
}

/// The whole plan.
pub struct Plan {
    /// `default` first, then the others in byte order.
    pub actions: Vec<Action>,
    /// Which of them have a gateway of their own.
    pub topology: Topology,
    /// Whether all profiles are in it. If `profiles` cannot be listed, some may be missing.
    pub is_complete: bool,
}

/// Largest number of profiles that a message names.
const NAMED: usize = 8;

impl Plan {
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

/// Plans the pass.
pub fn plan(pass: &Pass<'_>) -> Plan {
    let home = pass.home.as_ref();
    let (root, served) = look(pass, &ProfileName::root(), home.map(|home| &home.dir));
    let mut actions = vec![root];
    let is_complete = home.is_none_or(|home| look_at_profiles(pass, home, &mut actions));
    let standalone = actions.iter().find(|action| action.standalone).and_then(|action| action.name.clone());
    let signs = Signs { multiplex: pass.intent.multiplexes(), served, standalone };
    let topology = Topology::decide(pass.settings.topology.value, &signs, home, pass.console);
    if let (true, Some(home)) = (topology.multiplex, home) {
        // Only for its warning.
        topology::is_standalone(&home.dir, &ProfileName::root(), pass.console);
    }
    let mut plan = Plan { actions, topology, is_complete };
    decide(pass, &mut plan);
    plan
}

/// Looks at every entry of `profiles`. Returns whether all of them could be listed.
fn look_at_profiles(pass: &Pass<'_>, home: &Home, actions: &mut Vec<Action>) -> bool {
    let profiles = match Profiles::open(home, pass.trusted) {
        Ok(Some(profiles)) => profiles,
        Ok(None) => return true,
        Err(error) => {
            pass.console.warn(&error);
            // A `profiles` that is no directory holds no profiles; one that cannot be opened may hold some.
            return error.errno().is_none();
        }
    };
    match profiles.names() {
        Ok(names) => actions.extend(names.iter().filter_map(|name| look_at_entry(pass, &profiles, name))),
        Err(error) => {
            pass.console.warn(&error);
            return false;
        }
    }
    true
}

fn look_at_entry(pass: &Pass<'_>, profiles: &Profiles, name: &Name) -> Option<Action> {
    let (verdict, why): (fn(String) -> Verdict, Reason) = match profiles.look(name) {
        Found::Profile(profile, dir) => return Some(look(pass, &profile, Some(&dir)).0),
        Found::NoProfile => return None,
        Found::Skipped(why) => (Verdict::Skipped, why),
        Found::Failed(why) => (Verdict::Failed, why),
        Found::Dangling(reason) => {
            pass.console.warn(&Error::new("use", profiles::label_of(name), reason));
            return None;
        }
    };
    if is_reserved(name) {
        pass.console.warn(&Error::new("use", profiles::label_of(name), why));
        return None;
    }
    Some(Action::new(name.bytes(), None, verdict(why.to_string())))
}

/// Returns whether an entry of `profiles` has the root profile's name, whose result is that of `HERMES_HOME`.
pub fn is_reserved(name: &Name) -> bool {
    name.bytes() == ProfileName::root().text().as_bytes()
}

/// Looks at a profile on the volume. Returns also whether its state file has `served_profiles`.
fn look(pass: &Pass<'_>, name: &ProfileName, dir: Option<&Dir>) -> (Action, bool) {
    let Report { mut prior, trouble, served } = dir.map(state::read).unwrap_or_default();
    if let Some(reason) = &trouble {
        pass.console.warn(&Error::new("use", profiles::label(name, &state::STATE), reason.clone()));
    } else if prior.word.is_none() {
        prior = pass.intent.bootstrap_state(name).unwrap_or(prior);
    }
    let is_asked = !name.is_root() && pass.settings.topology.value != TopologyChoice::PerProfile;
    let standalone = is_asked && dir.is_some_and(|dir| topology::is_standalone(dir, name, pass.console));
    let action = Action {
        prior,
        trouble,
        standalone,
        exit: dir.map_or(PriorExit::Unknown, PriorExit::read),
        stale: dir.map(|dir| stale_files(pass, name, dir)).unwrap_or_default(),
        ..Action::new(name.text().as_bytes(), Some(name.clone()), Verdict::Registered)
    };
    (action, served)
}

/// Decides which gateways start, and compares the slots with that.
fn decide(pass: &Pass<'_>, plan: &mut Plan) {
    let multiplex = plan.topology.multiplex;
    let is_held = !multiplex && pass.intent.multiplexes();
    let mut any = false;
    // The root profile, the first one, comes last: it may have to start for the others.
    for action in plan.actions.iter_mut().rev() {
        let Some(name) = &action.name else { continue };
        let wants = action.prior.starts();
        let starts = if name.is_root() {
            action.folded = any;
            wants || any
        } else {
            action.served = multiplex && !action.standalone;
            action.folded = action.served && wants;
            any |= action.folded;
            wants && !action.served && !is_held
        };
        action.verdict = if starts { Verdict::Started } else { Verdict::Registered };
        match look_at_slot(pass, name, Want { down: !starts }) {
            Ok((present, left)) => (action.present, action.left) = (Some(present), left),
            Err(error) => action.verdict = Verdict::failed(&error, pass.console),
        }
        action.changed = !action.left && action.present.is_some_and(|present| present != Present::AsDesired);
    }
}

/// Compares a slot with what is wanted. Returns also whether it is left as it is.
fn look_at_slot(pass: &Pass<'_>, name: &ProfileName, want: Want) -> Result<(Present, bool)> {
    let Some(scandir) = &pass.scandir else { return Ok((Present::Absent, false)) };
    let present = check::inspect(scandir, name, want, &pass.spec)?;
    Ok((present, present == Present::Different && !pass.adopt && foreign::is_in_use(scandir, name)?))
}

fn stale_files(pass: &Pass<'_>, profile: &ProfileName, dir: &Dir) -> Vec<&'static Name> {
    let mut stale = Vec::new();
    for name in STALE {
        match dir.meta(name) {
            Ok(_) => stale.push(name),
            Err(Errno::NOENT) => (),
            Err(errno) => pass.console.warn(&Error::new("look at", profiles::label(profile, name), errno)),
        }
    }
    stale
}
