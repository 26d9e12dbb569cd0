//! The plan of a pass: for each profile what was read, what is decided, and what its slot is now.

use super::Pass;
use super::access;
use super::decide::{self, Decision, DownReason, Gateways, NoSlotReason, Profile, Situation, State};
use super::observe;
use super::observed::{Entry, NotProfiles, Observed};
use super::slots::{self, Slot};
use crate::output::Error;
use crate::s6::scandir::{self, Entries};
use crate::s6::{DefaultState, ProfileName};
use crate::sys::Name;
use crate::topology::signs::{self, Topology};
use crate::volume::profiles::Others;

/// What the pass does for one entry of the volume.
pub struct Item {
    /// The profile's name as the volume has it.
    pub name: Vec<u8>,
    /// What was read; `None` if it is no profile, or could not be looked at.
    pub profile: Option<Profile>,
    /// What is decided.
    pub decision: Decision,
    /// What its slot is now.
    pub slot: Slot,
    /// The default state that its slot is to have.
    pub default_state: DefaultState,
    /// What has come of it.
    pub outcome: Outcome,
}

/// What has come of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was, or would be, written.
    Unchanged,
    /// Something was, or would be, written.
    Changed,
    /// Its slot could not be looked at or made; why.
    Failed(String),
    /// This process may not look at its slot or change it; why. That is no failure of the profile: root may.
    Refused(String),
}

/// The word of the log for what is done with a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It has a slot and is started.
    Started,
    /// It has a slot and stays down.
    Registered,
    /// It can have no slot.
    Skipped,
    /// It should have a slot, which could not be made or looked at.
    Failed,
}

impl Action {
    /// Returns the word in the log.
    pub fn word(self) -> &'static str {
        match self {
            Action::Started => "started",
            Action::Registered => "registered",
            Action::Skipped => "skipped",
            Action::Failed => "failed",
        }
    }
}

impl Item {
    /// Makes the item of an entry, whose slot is not looked at yet.
    pub fn new(name: &[u8], profile: Option<Profile>, decision: Decision) -> Item {
        let (slot, default_state) = (Slot::Absent, DefaultState::Down);
        Item { name: name.to_vec(), profile, decision, slot, default_state, outcome: Outcome::Unchanged }
    }

    /// Returns the profile, if it has a slot or is to have one.
    pub fn with_slot(&self) -> Option<&Profile> {
        match self.decision {
            Decision::NoSlot(_) | Decision::Unknown(_) => None,
            _ => self.profile.as_ref(),
        }
    }

    /// [`Item::with_slot`], to be changed.
    pub fn with_slot_mut(&mut self) -> Option<&mut Profile> {
        match self.decision {
            Decision::NoSlot(_) | Decision::Unknown(_) => None,
            _ => self.profile.as_mut(),
        }
    }

    /// Returns the name of the profile, if it has a slot or is to have one.
    pub fn slot_name(&self) -> Option<&ProfileName> {
        self.with_slot().map(|profile| &profile.name)
    }

    /// Returns what is done with it.
    pub fn action(&self) -> Action {
        match &self.decision {
            _ if matches!(self.outcome, Outcome::Failed(_) | Outcome::Refused(_)) => Action::Failed,
            Decision::Start(_) => Action::Started,
            Decision::Down(_) | Decision::ServedByDefault { .. } => Action::Registered,
            Decision::NoSlot(NoSlotReason::Unusable(_)) => Action::Skipped,
            Decision::NoSlot(NoSlotReason::Capacity) | Decision::Unknown(_) => Action::Failed,
        }
    }

    /// Returns what happens at the next boot, in words.
    pub fn at_boot(&self) -> &'static str {
        match (self.action(), self.with_slot()) {
            (Action::Started, _) => "started",
            (Action::Registered, _) => "stays down",
            (Action::Skipped | Action::Failed, Some(_)) => "slot left as it is",
            (Action::Skipped | Action::Failed, None) => "no slot",
        }
    }

    /// Returns whether the slot is not, or may not be, what the profile asks for.
    pub fn has_failed(&self) -> bool {
        let is_unreadable = |profile: &Profile| matches!(profile.state, State::Unreadable(_));
        self.action() == Action::Failed || self.profile.as_ref().is_some_and(is_unreadable)
    }

    /// Returns what its gateway will lack, if anything.
    pub fn obstacle(&self) -> Option<String> {
        self.profile.as_ref().and_then(Profile::obstacle)
    }

    /// Returns whether it is the gateway of `default` that serves the profile, unless it is parked.
    pub fn is_of_default(&self) -> bool {
        matches!(self.decision, Decision::ServedByDefault { .. } | Decision::Down(DownReason::Parked))
    }

    /// Returns whether the profile has a slot and wants to run, and `default` starts for it.
    pub fn is_charge(&self) -> bool {
        matches!(self.decision, Decision::ServedByDefault { wants: true })
    }
}

/// The whole plan.
pub struct Plan {
    /// `default` first, then the entries of `profiles` in byte order.
    pub items: Vec<Item>,
    /// Further profiles for which there is no capacity, in byte order: the first 1000.
    pub without_slot: Vec<Name>,
    /// The number of all profiles for which there is no capacity.
    pub refused: usize,
    /// The number of those of them that are named nowhere.
    pub refused_unnamed: usize,
    /// Why they get no slot.
    pub no_capacity: String,
    /// Further entries of `profiles`, which are only counted.
    pub others: Others,
    /// The directories of `profiles` that are no profiles.
    pub not_profiles: NotProfiles,
    /// Which profiles have a gateway of their own.
    pub topology: Topology,
    /// What decided about all profiles.
    pub situation: Situation,
    /// Whether all profiles could be listed and looked at.
    pub is_complete: bool,
    /// How many threads look at profiles.
    pub threads: usize,
}

/// Why a profile in the foreground stays down although it wants to run.
pub const FOREGROUND: &str = "the container's command, gateway run, runs this gateway in the foreground";

/// Why a profile that the gateway of `default` would serve is not served.
pub const PARKED: &str =
    "parked: the gateway of default does not serve it while gateway.parked is in its directory";

/// Largest number of profiles that a message names.
const NAMED: usize = 8;

impl Plan {
    /// Plans a pass that changes nothing.
    pub(super) fn dry(pass: &Pass<'_>) -> Plan {
        let listed = pass.scandir.as_ref().map(scandir::list).transpose().unwrap_or_else(|errno| {
            pass.console.failed(&Error::new("list", &pass.settings.scandir.value, errno));
            None
        });
        Plan::new(pass, listed.as_ref())
    }

    /// Plans the pass. `slots` are the entries of the scan directory.
    pub(super) fn new(pass: &Pass<'_>, slots: Option<&Entries>) -> Plan {
        let mut observed = observe::observe(pass, slots);
        let topology = Topology::decide(pass.settings.topology.value, &observed.signs);
        if topology.is_unknown {
            pass.console.warn(format_args!("{}", signs::UNKNOWN));
        }
        let gateways = match (topology.is_multiplex, pass.is_multiplexing()) {
            (true, _) => Gateways::OfDefault,
            (false, true) => Gateways::OwnButMultiplexed,
            (false, false) => Gateways::Own,
        };
        let foreground = foreground(pass, &observed);
        for entry in &mut observed.entries {
            if let Entry::Profile(profile) = entry {
                profile.is_foreground = !profile.name.is_root() && foreground == Some(profile.name.text());
            }
        }
        let situation = situation(&observed, gateways, foreground);
        let mut plan = Plan {
            items: Vec::new(),
            without_slot: observed.without_slot,
            refused: observed.capacity.without_slot(),
            refused_unnamed: observed.refused_unnamed,
            no_capacity: observed.capacity.reason(&pass.settings.scandir.value),
            others: observed.others,
            not_profiles: observed.not_profiles,
            topology,
            situation,
            is_complete: observed.is_complete,
            threads: observed.threads,
        };
        plan.items = observed.entries.into_iter().map(|entry| item(entry, situation)).collect();
        for item in &mut plan.items {
            slots::look(pass, item);
        }
        access::look(pass, &mut plan.items, plan.threads);
        plan
    }

    /// Returns whether the gateway of `default` is up after the pass: it starts, or is the container's command.
    pub fn starts_default(&self) -> bool {
        self.is_default_in_foreground()
            || self.default().is_some_and(|item| matches!(item.decision, Decision::Start(_)))
    }

    /// Returns whether the gateway of `default` is the container's command.
    pub fn is_default_in_foreground(&self) -> bool {
        self.default().is_some_and(|item| item.decision == Decision::Down(DownReason::Foreground))
    }

    fn default(&self) -> Option<&Item> {
        self.items.first().filter(|item| item.name == ProfileName::root().text().as_bytes())
    }

    /// Returns why an item has no slot, why its state does not count, or why its gateway will fail or is down without its state.
    pub fn reason(&self, item: &Item) -> Option<String> {
        if let Some(why) = self.failure(item) {
            return Some(why);
        }
        if let Some(obstacle) = item.obstacle() {
            return Some(obstacle);
        }
        match (&item.profile, &item.decision) {
            (_, Decision::Down(DownReason::Parked)) => Some(PARKED.to_owned()),
            (Some(Profile { state: State::Unusable(reason), .. }), _) => Some(decide::unusable(reason)),
            (_, Decision::Down(DownReason::Foreground)) => Some(FOREGROUND.to_owned()),
            _ => None,
        }
    }

    /// Returns why an item is neither started nor registered.
    pub fn failure(&self, item: &Item) -> Option<String> {
        match (&item.outcome, &item.decision) {
            (Outcome::Failed(why) | Outcome::Refused(why), _)
            | (_, Decision::Unknown(why) | Decision::NoSlot(NoSlotReason::Unusable(why))) => {
                Some(why.clone())
            }
            (_, Decision::NoSlot(NoSlotReason::Capacity)) => Some(self.no_capacity.clone()),
            _ => None,
        }
    }

    /// Returns the items of the profiles for which there is no capacity and that were not read to the end.
    pub fn refused_items(&self) -> impl Iterator<Item = Item> {
        let capacity = || Decision::NoSlot(NoSlotReason::Capacity);
        self.without_slot.iter().map(move |name| Item::new(name.bytes(), None, capacity()))
    }

    /// Returns what is said of the profiles without capacity that are named nowhere, if there are any.
    pub fn refused_unnamed(&self) -> Option<String> {
        let (count, why) = (self.refused_unnamed, &self.no_capacity);
        (count > 0).then(|| format!("{count} more profiles: {why}"))
    }

    /// Returns the profiles for which `default` starts.
    pub fn charges(&self) -> impl Iterator<Item = &ProfileName> {
        self.items.iter().filter(|item| item.is_charge()).filter_map(Item::slot_name)
    }
}

/// Returns the first names, at most eight, and how many more there are.
pub fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    let mut all = all.into_iter();
    let text = all.by_ref().take(NAMED).collect::<Vec<_>>().join(", ");
    match all.count() {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Returns the profile whose gateway runs in the foreground, which is looked for only if one would start.
fn foreground<'a>(pass: &'a Pass<'_>, observed: &Observed) -> Option<&'a str> {
    let is_one_wanted = observed.is_refused_one_wanted
        || observed.entries.iter().filter_map(Entry::profile).any(Profile::wants);
    if is_one_wanted { pass.foreground() } else { None }
}

/// Returns what decides about all profiles.
fn situation(observed: &Observed, gateways: Gateways, foreground: Option<&str>) -> Situation {
    let profiles = || observed.entries.iter().filter_map(Entry::profile);
    let needs_default = |profile: &Profile| decide::needs_default(profile, gateways);
    let default_is_needed =
        gateways == Gateways::OfDefault && (observed.is_refused_one_wanted || profiles().any(needs_default));
    let is_foreground = foreground == Some(ProfileName::root().text());
    Situation { gateways, default_is_needed, is_foreground }
}

impl Entry {
    /// Returns the profile that has a slot or is to have one.
    fn profile(&self) -> Option<&Profile> {
        match self {
            Entry::Profile(profile) => Some(profile),
            Entry::Displaced(_) | Entry::Unusable(..) | Entry::Unknown(..) => None,
        }
    }
}

fn item(entry: Entry, situation: Situation) -> Item {
    let of = |profile: Profile, decision| {
        let name = profile.name.clone();
        Item::new(name.text().as_bytes(), Some(profile), decision)
    };
    match entry {
        Entry::Profile(profile) => {
            let decision = decide::decide(&profile, situation);
            of(profile, decision)
        }
        Entry::Displaced(profile) => of(profile, Decision::NoSlot(NoSlotReason::Capacity)),
        Entry::Unusable(name, why) => {
            Item::new(name.bytes(), None, Decision::NoSlot(NoSlotReason::Unusable(why)))
        }
        Entry::Unknown(name, why) => Item::new(name.bytes(), None, Decision::Unknown(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::reconcile::decide::{DownReason, StartReason};

    #[test]
    fn the_word_of_the_log_and_the_words_of_explain_follow_from_decision_and_outcome() {
        let profile = || Some(Profile::new(ProfileName::root()));
        let failed = || Outcome::Failed("why".to_owned());
        let unusable = || Decision::NoSlot(NoSlotReason::Unusable("why".to_owned()));
        let start = || Decision::Start(StartReason::State);
        let down = || Decision::Down(DownReason::State);
        let served = |wants| Decision::ServedByDefault { wants };
        for (profile, decision, outcome, word, words) in [
            (profile(), start(), Outcome::Unchanged, "started", "started"),
            (profile(), start(), Outcome::Changed, "started", "started"),
            (profile(), start(), failed(), "failed", "slot left as it is"),
            (profile(), start(), Outcome::Refused("why".to_owned()), "failed", "slot left as it is"),
            (profile(), Decision::Start(StartReason::Others), Outcome::Unchanged, "started", "started"),
            (profile(), down(), Outcome::Changed, "registered", "stays down"),
            (profile(), down(), failed(), "failed", "slot left as it is"),
            (profile(), served(true), Outcome::Unchanged, "registered", "stays down"),
            (profile(), served(false), Outcome::Unchanged, "registered", "stays down"),
            (profile(), served(true), failed(), "failed", "slot left as it is"),
            (profile(), Decision::NoSlot(NoSlotReason::Capacity), Outcome::Unchanged, "failed", "no slot"),
            (None, Decision::NoSlot(NoSlotReason::Capacity), Outcome::Unchanged, "failed", "no slot"),
            (None, unusable(), Outcome::Unchanged, "skipped", "no slot"),
            (None, Decision::Unknown("why".to_owned()), Outcome::Unchanged, "failed", "no slot"),
        ] {
            let item = Item { outcome, ..Item::new(b"default", profile, decision) };
            assert_eq!(
                (item.action().word(), item.at_boot()),
                (word, words),
                "{:?} {:?}",
                item.decision,
                item.outcome
            );
            assert_eq!(item.has_failed(), word == "failed");
        }
    }

    #[test]
    fn a_profile_whose_state_cannot_be_read_has_failed_whatever_is_decided() {
        let state = State::Unreadable(crate::sys::Errno::ACCESS.into());
        let profile = Profile { state, ..Profile::new(ProfileName::root()) };
        let item = Item::new(b"default", Some(profile), Decision::Down(DownReason::State));
        assert_eq!(item.action(), Action::Registered);
        assert!(item.has_failed());
        assert!(item.obstacle().is_some());
    }

    fn plan(items: Vec<Item>) -> Plan {
        Plan {
            items,
            without_slot: vec![ProfileName::root().slot().clone()],
            refused: 1,
            refused_unnamed: 0,
            no_capacity: "no room".to_owned(),
            others: Others::default(),
            not_profiles: NotProfiles::default(),
            topology: Topology { is_multiplex: true, is_unknown: false, sign: None },
            situation: Situation {
                gateways: Gateways::OfDefault,
                default_is_needed: true,
                is_foreground: false,
            },
            is_complete: true,
            threads: 1,
        }
    }

    fn named(name: &str) -> Option<Profile> {
        ProfileName::parse(name.as_bytes()).ok().map(Profile::new)
    }

    #[test]
    fn what_keeps_a_slot_away_is_said_before_what_its_gateway_lacks_and_that_before_a_useless_state() {
        let plan = plan(Vec::new());
        let unusable = || State::Unusable("not JSON".into());
        let lacking = |state| {
            named("coder").map(|profile| Profile { state, refusal: Some("refused".to_owned()), ..profile })
        };
        let foreground = || Decision::Down(DownReason::Foreground);
        let down = || Decision::Down(DownReason::State);
        for (profile, decision, outcome, reason) in [
            (named("coder"), down(), Outcome::Unchanged, None),
            (named("coder"), Decision::Start(StartReason::State), Outcome::Changed, None),
            (named("coder"), foreground(), Outcome::Unchanged, Some(FOREGROUND)),
            (lacking(State::Absent), foreground(), Outcome::Unchanged, Some("refused")),
            (lacking(unusable()), down(), Outcome::Unchanged, Some("refused")),
            (
                named("coder").map(|profile| Profile { state: unusable(), ..profile }),
                down(),
                Outcome::Unchanged,
                Some("gateway_state.json: not JSON"),
            ),
            (lacking(unusable()), down(), Outcome::Failed("failed".to_owned()), Some("failed")),
            (
                lacking(unusable()),
                Decision::NoSlot(NoSlotReason::Capacity),
                Outcome::Unchanged,
                Some("no room"),
            ),
            (None, Decision::Unknown("unknown".to_owned()), Outcome::Unchanged, Some("unknown")),
        ] {
            let item = Item { outcome, ..Item::new(b"coder", profile, decision) };
            assert_eq!(plan.reason(&item).as_deref(), reason, "{:?} {:?}", item.decision, item.outcome);
            assert_eq!(plan.failure(&item).is_some(), item.action() == Action::Failed);
        }
    }

    #[test]
    fn eight_profiles_for_which_default_starts_are_named_and_more_are_counted() {
        let served = |number: usize, wants| {
            let name = format!("p{number}");
            Item::new(name.as_bytes(), named(&name), Decision::ServedByDefault { wants })
        };
        for (count, text) in [
            (0, ""),
            (1, "p0"),
            (8, "p0, p1, p2, p3, p4, p5, p6, p7"),
            (9, "p0, p1, p2, p3, p4, p5, p6, p7 and 1 more"),
            (20, "p0, p1, p2, p3, p4, p5, p6, p7 and 12 more"),
        ] {
            let mut items: Vec<_> = (0..count).map(|number| served(number, true)).collect();
            items.push(served(99, false));
            assert_eq!(names(plan(items).charges().map(ProfileName::text)), text);
        }
    }

    #[test]
    fn a_profile_without_room_that_was_not_read_has_failed_and_no_slot() {
        for item in plan(Vec::new()).refused_items() {
            assert_eq!((item.action(), item.at_boot(), item.slot_name()), (Action::Failed, "no slot", None));
        }
    }
}
