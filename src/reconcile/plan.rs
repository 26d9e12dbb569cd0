//! What the pass would do, found out without changing anything.

use super::Pass;
use crate::console::Console;
use crate::error::Error;
use crate::slot::check::{self, Present};
use crate::slot::{ProfileName, Want};
use crate::sys::{Dir, Errno, Name, Reason};
use crate::volume::exit_ledger::PriorExit;
use crate::volume::profiles::{self, Found, Profiles};
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
    /// How its gateway ended last time.
    pub exit: PriorExit,
    /// What the scan directory has; `None` if that could not be found out. It is then left as it is.
    pub present: Option<Present>,
    /// Its runtime files that are stale unless its gateway runs.
    pub stale: Vec<&'static Name>,
    /// Whether anything is, or would be, written.
    pub changed: bool,
}

impl Action {
    /// Makes the action for a name that gets no slot, or whose slot is left as it is.
    pub fn without_slot(name: &[u8], verdict: Verdict) -> Action {
        Action {
            profile: name.to_vec(),
            name: None,
            verdict,
            prior: Prior::default(),
            trouble: None,
            exit: PriorExit::Unknown,
            present: None,
            stale: Vec::new(),
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
    /// Whether all profiles are in it. If `profiles` cannot be listed, some may be missing.
    pub is_complete: bool,
}

/// Plans the pass.
pub fn plan(pass: &Pass<'_>) -> Plan {
    let root = plan_one(pass, &ProfileName::root(), pass.home.as_ref().map(|home| &home.dir));
    let mut plan = Plan { actions: vec![root], is_complete: true };
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
    match profiles.names() {
        Ok(names) => plan.actions.extend(names.iter().filter_map(|name| plan_found(pass, &profiles, name))),
        Err(error) => {
            pass.console.warn(&error);
            plan.is_complete = false;
        }
    }
    plan
}

fn plan_found(pass: &Pass<'_>, profiles: &Profiles, name: &Name) -> Option<Action> {
    match profiles.look(name) {
        Found::Profile(profile, dir) => Some(plan_one(pass, &profile, Some(&dir))),
        Found::Skipped(why) => Some(Action::without_slot(name.bytes(), Verdict::Skipped(why.to_string()))),
        Found::Failed(why) => Some(Action::without_slot(name.bytes(), Verdict::Failed(why.to_string()))),
        Found::Dangling(reason) => {
            pass.console.warn(&Error::new("use", profiles::label_of(name), reason));
            None
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
    let want = Want { down: !starts };
    let (present, verdict) = match &pass.scandir {
        Some(scandir) => match check::inspect(scandir, profile, want, &pass.spec) {
            Ok(present) => (Some(present), verdict(starts)),
            Err(error) => (None, Verdict::failed(&error, pass.console)),
        },
        None => (Some(Present::Absent), verdict(starts)),
    };
    Action {
        profile: profile.text().as_bytes().to_vec(),
        name: Some(profile.clone()),
        verdict,
        prior,
        trouble,
        exit: dir.map_or(PriorExit::Unknown, PriorExit::read),
        present,
        stale: dir.map(|dir| stale_files(pass, profile, dir)).unwrap_or_default(),
        changed: present.is_some_and(|present| present != Present::AsDesired),
    }
}

fn verdict(starts: bool) -> Verdict {
    if starts { Verdict::Started } else { Verdict::Registered }
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
