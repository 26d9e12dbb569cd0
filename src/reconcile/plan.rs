//! What the pass would do, found out without touching anything.

use super::Pass;
use crate::error::{Error, Reason};
use crate::slot::check::{self, Present};
use crate::slot::{ProfileName, Want};
use crate::sys::keep::Bytes;
use crate::sys::{Dir, Errno, Name};
use crate::volume::lifecycle::PriorExit;
use crate::volume::profiles::{self, Found, Profiles};
use crate::volume::state::{self, Prior};

static GATEWAY_PID: Name = Name::fixed(c"gateway.pid");
static PROCESSES: Name = Name::fixed(c"processes.json");
/// What a gateway leaves that means nothing in a new container: process numbers.
const STALE: [&Name; 2] = [&GATEWAY_PID, &PROCESSES];

/// What happens to one profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has a slot, and is started with it.
    Started,
    /// It has a slot, and stays down.
    Registered,
    /// It can have none, and why.
    Skipped(&'static str),
    /// It should have one and has not, and why.
    Failed(&'static str),
}

impl Verdict {
    /// The word in the log.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Started => "started",
            Verdict::Registered => "registered",
            Verdict::Skipped(_) => "skipped",
            Verdict::Failed(_) => "failed",
        }
    }

    /// Why it has no slot.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Verdict::Started | Verdict::Registered => None,
            Verdict::Skipped(why) | Verdict::Failed(why) => Some(why),
        }
    }
}

/// One profile's part of the pass.
pub struct Action {
    /// The profile's name as it stands on the volume.
    pub profile: Bytes,
    /// The name of its slot; none where it can have none.
    pub name: Option<ProfileName>,
    /// What happens.
    pub verdict: Verdict,
    /// What its state file said.
    pub prior: Prior,
    /// Why its state file could not be used.
    pub trouble: Option<Reason>,
    /// How it ended last time.
    pub exit: PriorExit,
    /// What stands in the scan directory.
    pub present: Present,
    /// Which runtime files it has that are stale unless its gateway runs.
    pub stale: Vec<&'static Name>,
    /// Whether anything is, or would be, written.
    pub changed: bool,
}

impl Action {
    fn without_slot(profile: Bytes, verdict: Verdict) -> Action {
        Action {
            profile,
            name: None,
            verdict,
            prior: Prior::default(),
            trouble: None,
            exit: PriorExit::Unknown,
            present: Present::Absent,
            stale: Vec::new(),
            changed: false,
        }
    }

    /// What is wanted of the slot.
    pub fn want(&self) -> Want {
        Want { down: self.verdict != Verdict::Started }
    }
}

/// Plans the pass: `default` first, then the others in byte order. The second value says whether the list is whole: a
/// `profiles` that cannot be listed may hold profiles that now get no slot.
pub fn plan(pass: &Pass<'_>) -> (Vec<Action>, bool) {
    let root = ProfileName::root();
    let Some(home) = &pass.home else { return (vec![plan_one(pass, &root, None)], true) };
    let mut actions = vec![plan_one(pass, &root, Some(&home.dir))];
    let found = match Profiles::open(home, pass.trusted) {
        Ok(None) => return (actions, true),
        Ok(Some(profiles)) => profiles.names().map(|names| (profiles, names)),
        Err(error) => {
            pass.console.warn(&error);
            // Without a directory there are no profiles; one that we may not enter could hold some.
            return (actions, error.errno().is_none());
        }
    };
    match found {
        Ok((profiles, names)) => {
            actions.extend(names.iter().filter_map(|name| plan_found(pass, &profiles, name)));
            (actions, true)
        }
        Err(error) => {
            pass.console.warn(&error);
            (actions, false)
        }
    }
}

fn plan_found(pass: &Pass<'_>, profiles: &Profiles, name: &Name) -> Option<Action> {
    match profiles.look(name) {
        Found::Profile(profile, dir) => Some(plan_one(pass, &profile, Some(&dir))),
        Found::Skipped(name, why) => Some(Action::without_slot(name.bytes(), Verdict::Skipped(why))),
        Found::Failed(name, why) => Some(Action::without_slot(name.bytes(), Verdict::Failed(why.text()))),
        Found::Dangling(reason) => {
            pass.console.warn(&Error::new("use", profiles::label_of(name), reason));
            None
        }
        Found::Nothing => None,
    }
}

fn plan_one(pass: &Pass<'_>, profile: &ProfileName, dir: Option<&Dir>) -> Action {
    let (mut prior, trouble) = dir.map_or_else(Default::default, state::read);
    if let Some(reason) = trouble {
        pass.console.warn(&Error::new("use", profiles::label(profile, &state::STATE), reason));
    } else if prior.word.is_none() {
        prior = pass.intent.seeded(profile).unwrap_or(prior);
    }
    let starts = prior.starts() && !pass.intent.holds_down(profile);
    let want = Want { down: !starts };
    let present = match &pass.scandir {
        Some(scandir) => check::inspect(scandir, profile, want, &pass.spec),
        None => Present::Absent,
    };
    Action {
        profile: profile.text().as_bytes(),
        name: Some(*profile),
        verdict: if starts { Verdict::Started } else { Verdict::Registered },
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
