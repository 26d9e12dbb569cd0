//! What the pass would do, found out without changing anything.

use super::{Pass, apply};
use crate::error::Error;
use crate::slot::check::{self, Present};
use crate::slot::layout::DOWN;
use crate::slot::{ProfileName, Want, scandir};
use crate::sys::{Dir, Errno, Name, Reason};
use crate::volume::exit_ledger::PriorExit;
use crate::volume::profiles::{self, Found, LISTED, Others, Profiles};
use crate::volume::state::{self, Prior};

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
    /// It should have a slot and has none; the reason.
    Failed(String),
}

impl Verdict {
    /// Returns the word in the log.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Started => "started",
            Verdict::Registered => "registered",
            Verdict::Skipped(_) => "skipped",
            Verdict::Failed(_) => "failed",
        }
    }

    /// Returns why it has no slot.
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
    /// Why its state file is not usable: an errno if it could not be read.
    pub trouble: Option<Reason>,
    /// Whether its slot keeps the gateway down.
    pub down: bool,
    /// How its gateway ended last time.
    pub exit: PriorExit,
    /// What the scan directory has.
    pub present: Present,
    /// Its runtime files that are stale unless its gateway runs.
    pub stale: Vec<&'static Name>,
    /// Whether anything is, or would be, written.
    pub changed: bool,
}

impl Action {
    /// Returns what happens to an entry of `profiles` that gets no slot.
    pub fn without_slot(profile: &[u8], verdict: Verdict) -> Action {
        Action {
            profile: profile.to_vec(),
            name: None,
            verdict,
            prior: Prior::default(),
            trouble: None,
            down: true,
            exit: PriorExit::Unknown,
            present: Present::Absent,
            stale: Vec::new(),
            changed: false,
        }
    }

    /// Returns the wanted state of the slot.
    pub fn want(&self) -> Want {
        Want { down: self.down }
    }

    /// Returns whether the slot is not, or may not be, what the profile asks for.
    pub fn has_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_)) || matches!(self.trouble, Some(Reason::Errno(_)))
    }

    /// Returns why it has no slot, or why its state did not count.
    pub fn reason(&self) -> Option<String> {
        let trouble = || self.trouble.as_ref().map(|trouble| format!("gateway_state.json: {trouble}"));
        self.verdict.reason().map(str::to_owned).or_else(trouble)
    }
}

/// The whole plan.
pub struct Plan {
    /// `default` first, then the others in byte order.
    pub actions: Vec<Action>,
    /// Further profiles, for which s6-svscan has no room, in byte order.
    pub rest: Vec<Name>,
    /// Why.
    pub no_room: String,
    /// Number of profiles without room, also of those in `actions`.
    pub without_room: usize,
    /// Further entries of `profiles`, which are no profiles.
    pub others: Others,
    /// Whether all profiles are in it. If `profiles` cannot be listed, some may be missing.
    pub is_complete: bool,
}

impl Plan {
    /// Returns what happens to a profile for which there is no room.
    pub fn turned_away(&self, profile: &[u8]) -> Action {
        Action::without_slot(profile, Verdict::Failed(self.no_room.clone()))
    }
}

/// Number of services that may be added after the pass.
const KEPT_FREE: usize = 4;

/// Plans the pass.
pub fn plan(pass: &Pass<'_>) -> Plan {
    let max = pass.settings.max_services;
    let no_room = format!(
        "no room: s6-svscan handles {max} services (--max-services), a slot and its logger are two, and {KEPT_FREE} stay free"
    );
    let mut plan = Plan {
        actions: Vec::new(),
        rest: Vec::new(),
        no_room,
        without_room: 0,
        others: Others::default(),
        is_complete: true,
    };
    let mut room = Room { slots: max.saturating_sub(services(pass) + KEPT_FREE) / 2, resting: Vec::new() };
    let default = plan_one(pass, &ProfileName::root(), pass.home.as_ref().map(|home| &home.dir));
    if !room.admit(&mut plan, default) {
        plan.actions.push(plan.turned_away(ProfileName::root().text().as_bytes()));
    }
    let Some(home) = &pass.home else { return plan };
    let profiles = match Profiles::open(home, pass.trusted) {
        Ok(Some(profiles)) => profiles,
        Ok(None) => return plan,
        Err(error) => {
            pass.console.warn(&error);
            // A `profiles` that is no directory holds no profiles; one that cannot be opened may hold some.
            plan.is_complete = error.errno().is_none();
            return plan;
        }
    };
    let listing = match profiles.names() {
        Ok(listing) => listing,
        Err(error) => {
            pass.console.warn(&error);
            plan.is_complete = false;
            return plan;
        }
    };
    plan.others = listing.others;
    let mut listed = 0;
    for name in listing.names {
        let found = profiles.look(&name);
        let is_profile = matches!(found, Found::Profile(..) | Found::NoProfile);
        if !is_profile && listed == LISTED {
            plan.others.count(&found);
            continue;
        }
        listed += usize::from(!is_profile);
        if let Some(action) = plan_found(pass, &name, found)
            && !room.admit(&mut plan, action)
        {
            plan.rest.push(name);
        }
    }
    plan.is_complete &= plan.without_room + plan.others.failed == 0;
    plan
}

/// Returns the number of services in the scan directory.
fn services(pass: &Pass<'_>) -> usize {
    let Some(scandir) = &pass.scandir else { return 0 };
    match scandir::survey(scandir) {
        Ok(survey) => survey.services(scandir),
        Err(errno) => {
            pass.console.warn(&Error::new("count the services of", "the scan directory", errno));
            0
        }
    }
}

/// The room that s6-svscan has. One service too many, and it starts no new one at all.
struct Room {
    /// Number of slots that can be added.
    slots: usize,
    /// The places of new slots whose gateways stay down. They make room for gateways that run, the last one first.
    resting: Vec<usize>,
}

impl Room {
    /// Adds an action to the plan. Returns false if there is no room for its slot.
    fn admit(&mut self, plan: &mut Plan, action: Action) -> bool {
        let is_new = action.name.is_some() && action.present == Present::Absent;
        if is_new && self.slots > 0 {
            self.slots -= 1;
            if action.verdict != Verdict::Started {
                self.resting.push(plan.actions.len());
            }
        } else if is_new {
            plan.without_room += 1;
            let last = if action.verdict == Verdict::Started { self.resting.pop() } else { None };
            let Some(last) = last else { return false };
            let turned_away = plan.actions.get(last).map(|action| plan.turned_away(&action.profile));
            if let (Some(place), Some(turned_away)) = (plan.actions.get_mut(last), turned_away) {
                *place = turned_away;
            }
        }
        plan.actions.push(action);
        true
    }
}

fn plan_found(pass: &Pass<'_>, name: &Name, found: Found) -> Option<Action> {
    match found {
        Found::Profile(profile, dir) => Some(plan_one(pass, &profile, Some(&dir))),
        Found::Skipped(why) => Some(Action::without_slot(name.bytes(), Verdict::Skipped(why.to_string()))),
        Found::Failed(why) => Some(Action::without_slot(name.bytes(), Verdict::Failed(why.to_string()))),
        Found::Dangling(reason) => {
            let why = reason.to_string();
            pass.console.warn(&Error::new("use", profiles::label_of(name), reason));
            Some(Action::without_slot(name.bytes(), Verdict::Skipped(why)))
        }
        Found::NoProfile => None,
    }
}

fn plan_one(pass: &Pass<'_>, profile: &ProfileName, dir: Option<&Dir>) -> Action {
    let (mut prior, trouble) = dir.map_or_else(Default::default, state::read);
    if let Some(reason) = &trouble {
        pass.console.warn(&Error::new("use", profiles::label(profile, &state::STATE), reason.clone()));
    } else if prior.word.is_none() {
        prior = pass.intent.bootstrap_state(profile).unwrap_or(prior);
    }
    let starts = prior.starts() && !pass.intent.holds_down(profile);
    let mut verdict = if starts { Verdict::Started } else { Verdict::Registered };
    let mut down = !starts;
    if let (Some(Reason::Errno(_)), Some(scandir)) = (&trouble, &pass.scandir)
        && apply::is_supervised(scandir, profile)
    {
        // Nobody knows whether its gateway should run: it stays what it is.
        match scandir.dir(profile.slot()).and_then(|slot| slot.meta(&DOWN)) {
            Ok(_) => (),
            Err(Errno::NOENT) => down = false,
            Err(errno) => verdict = Verdict::Failed(Error::new("look at", profile.slot(), errno).to_string()),
        }
    }
    let present = match &pass.scandir {
        Some(scandir) => check::inspect(scandir, profile, Want { down }, &pass.spec),
        None => Present::Absent,
    };
    Action {
        profile: profile.text().as_bytes().to_vec(),
        name: Some(profile.clone()),
        verdict,
        down,
        prior,
        trouble,
        exit: dir.map_or(PriorExit::Unknown, PriorExit::read),
        present,
        stale: dir.map(|dir| stale_files(pass, profile, dir)).unwrap_or_default(),
        changed: present != Present::AsDesired,
    }
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
