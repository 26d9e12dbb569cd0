//! `--explain`: why each profile starts or stays down at the next boot, from the volume as it is.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Pass;
use super::decide::{Bootstrap, Decision, DownReason, Profile, StartReason, State};
use super::explanation::{Entry, Fact, NamedSetting, Present};
use super::observe;
use super::plan::{self, FOREGROUND, Item, PARKED, Plan};
use super::slots::Slot;
use crate::output::escape::{FromVolume, Shown};
use crate::s6::ProfileName;
use crate::s6::slot::staging;
use crate::s6::supervision;
use crate::settings::Setting;
use crate::settings::role::{ContainerCommand, RoleChoice};
use crate::settings::topology::TopologyChoice;
use crate::settings::zone::Zone;
use crate::sys::Name;
use crate::volume::profiles::{self, Others};
use crate::volume::state::{Key, RUNNING, RecordedState, STATE};

/// Returns what there is to explain in a front end's container.
pub fn front_end(role: &Setting<RoleChoice>, why: String) -> Fact {
    Fact::FrontEnd { source: role.source.text(), why }
}

/// Returns the settings with their sources, then each profile.
pub fn facts<'a>(
    pass: &'a Pass<'_>,
    role: &Setting<RoleChoice>,
    plan: &'a Plan,
) -> impl Iterator<Item = Fact> {
    let explain = Explain { pass, plan };
    let settings = explain.settings(role);
    let more = plan.not_profiles.more;
    let refused = (plan.refused_unnamed > 0)
        .then(|| Fact::MoreRefused { count: plan.refused_unnamed, because: plan.no_capacity.clone() });
    settings
        .into_iter()
        .map(Fact::Setting)
        .chain(plan.items.iter().map(move |item| Fact::Entry(explain.entry(item))))
        .chain(plan.refused_items().map(move |item| Fact::Entry(explain.entry(&item))))
        .chain(refused)
        .chain(plan.not_profiles.names.iter().map(not_profile))
        .chain((more > 0).then_some(Fact::MoreNotProfiles(more)))
        .chain((plan.others != Others::default()).then_some(Fact::Others(plan.others)))
}

/// Returns a directory of `profiles` that is no profile.
fn not_profile(name: &Name) -> Fact {
    let because = if observe::is_reserved(name) {
        "the name is reserved for the profile at HERMES_HOME"
    } else {
        "it contains no SOUL.md"
    };
    Fact::NotProfile { path: profiles::label_of(name), because }
}

#[derive(Clone, Copy)]
struct Explain<'a, 'pass> {
    pass: &'a Pass<'pass>,
    plan: &'a Plan,
}

impl Explain<'_, '_> {
    fn settings(&self, role: &Setting<RoleChoice>) -> Vec<NamedSetting> {
        let settings = self.pass.settings;
        let setting = |name, value: &[u8], source: &str| NamedSetting {
            name,
            value: value.to_vec(),
            source: source.to_owned(),
            note: None,
        };
        let path = |name, path: &Setting<PathBuf>| {
            setting(name, path.value.as_os_str().as_bytes(), path.source.text())
        };
        let (owner, mode, topology) = (&settings.owner, &settings.mode, &settings.topology);
        let mut all = vec![
            NamedSetting {
                note: Some(words(&settings.command)),
                ..setting("role", b"gateway", role.source.text())
            },
            path("HERMES_HOME", &settings.home),
            path("scan directory", &settings.scandir),
            setting(
                "owner",
                format!("{}:{}", owner.value.uid, owner.value.gid).as_bytes(),
                owner.source.text(),
            ),
            NamedSetting {
                note: self.unprotected(),
                ..setting("mode", mode.value.text().as_bytes(), mode.source.text())
            },
        ];
        let word = if self.plan.topology.is_multiplex { "multiplex" } else { "per-profile" };
        let sign = self.plan.topology.sign.as_ref().filter(|_| topology.value == TopologyChoice::Auto);
        let note = sign.map(|sign| format!("auto: {sign}"));
        all.push(NamedSetting { note, ..setting("topology", word.as_bytes(), topology.source.text()) });
        if let Some(multiplexing) = &self.pass.multiplexing {
            let word = if multiplexing.is_on { "on" } else { "off" };
            all.push(setting("multiplex", word.as_bytes(), &multiplexing.why));
        }
        let fault = Zone::new(&settings.lookup).fault();
        all.extend(self.first_process());
        all.extend(fault.map(|fault| setting("time zone", fault.instead.as_bytes(), &fault.why)));
        all
    }

    /// Returns why the mode protects nothing, if that is so.
    fn unprotected(&self) -> Option<String> {
        let settings = self.pass.settings;
        match settings.unprotected(self.pass.template.ownership) {
            Ok(unprotected) => unprotected?.text(settings.mode.value),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Returns which program process 1 is, if that is why nothing is started.
    fn first_process(&self) -> Option<NamedSetting> {
        let is_scanned = self.pass.scandir.as_ref().map_or(Ok(false), supervision::is_scanned);
        if is_scanned != Ok(false) {
            return None;
        }
        let value = supervision::other_first(&self.pass.settings.scandir.value)?;
        let note =
            "no s6-svscan runs on the scan directory, so nothing is started: s6-overlay must be process 1";
        Some(NamedSetting {
            name: "process 1",
            value,
            source: "/proc".to_owned(),
            note: Some(note.to_owned()),
        })
    }

    fn entry(&self, item: &Item) -> Entry {
        let entry = |because, present| Entry {
            name: item.name.clone(),
            at_next_boot: item.at_boot(),
            because,
            present,
        };
        let profile = match (self.plan.failure(item), item.with_slot()) {
            (None, Some(profile)) => profile,
            (why, _) => return entry(why.unwrap_or_default(), None),
        };
        let because = match item.decision {
            Decision::Start(StartReason::State) => self.why_started(profile),
            Decision::Start(StartReason::Others) => {
                let (own, names) =
                    (self.state(profile), plan::names(self.plan.charges().map(ProfileName::text)));
                format!("{own}; but its gateway serves profiles whose desired state is running: {names}")
            }
            _ => self.why_down(profile, &item.decision),
        };
        let is_said = matches!(profile.state, State::Unusable(_) | State::Unreadable(_));
        let but = profile.obstacle().filter(|_| !is_said);
        let slot_now = self.slot(profile, item.slot);
        entry(because, Some(Present { but, last_exit: profile.exit.text(), slot_now }))
    }

    fn why_started(&self, profile: &Profile) -> String {
        let own = match &profile.state {
            State::FirstBoot(Bootstrap::LegacyCommand) => {
                "there is no state file yet, and the container's command is gateway run".to_owned()
            }
            State::FirstBoot(Bootstrap::Variable(source)) => {
                format!(
                    "there is no state file yet, and HERMES_GATEWAY_BOOTSTRAP_STATE is running ({})",
                    source.text()
                )
            }
            state if state.word() == Some(RUNNING) => state.sentence(),
            state => format!("{}, which counts as running", state.sentence()),
        };
        if self.plan.topology.is_multiplex && profile.is_standalone {
            format!("{own}; standalone: it has a gateway of its own")
        } else {
            own
        }
    }

    fn why_down(&self, profile: &Profile, decision: &Decision) -> String {
        match decision {
            Decision::Down(DownReason::Foreground) => FOREGROUND.to_owned(),
            Decision::Down(DownReason::Parked) => format!("{}; {PARKED}", self.state(profile)),
            Decision::Down(DownReason::Multiplexed) => {
                let why = self.pass.multiplexing.as_ref().map_or("", |multiplexing| &multiplexing.why);
                format!(
                    "{}, but the root gateway serves all profiles (multiplex: {why})",
                    profile.state.sentence()
                )
            }
            Decision::ServedByDefault { wants: true } => {
                format!("{}; the gateway of default serves it", profile.state.sentence())
            }
            _ => self.state(profile),
        }
    }

    /// Returns what the state of a profile says that starts nothing.
    fn state(&self, profile: &Profile) -> String {
        match &profile.state {
            State::Unusable(reason) | State::Unreadable(reason) => {
                let label = profiles::label(&profile.name, &STATE);
                format!("{} cannot be used: {reason}", FromVolume::path(&label))
            }
            State::Recorded(RecordedState { key: Key::Gateway, word })
                if matches!(word.as_str(), "starting" | "startup_failed") =>
            {
                let (program, name) = (self.pass.console.program(), profile.name.text());
                format!("{}: {}: {program} start {name}", profile.state.sentence(), profile.state.words())
            }
            State::Recorded(_) => profile.state.sentence(),
            State::Absent | State::FirstBoot(_) => "there is no state file: it was never started".to_owned(),
        }
    }

    fn slot(&self, profile: &Profile, slot: Slot) -> String {
        let entry = profile.name.slot();
        let shown = FromVolume(entry.bytes());
        let is_supervised =
            self.pass.scandir.as_ref().map_or(Ok(false), |scandir| staging::is_supervised(scandir, entry));
        let supervisor = match is_supervised {
            Ok(true) => "s6-supervise is running",
            Ok(false) => "s6-supervise is not running",
            Err(_) => "it is not known whether s6-supervise is running",
        };
        match slot {
            Slot::Absent | Slot::Unknown => format!("{shown} is missing"),
            Slot::UpToDate => format!("{shown} is up to date; {supervisor}"),
            Slot::Differs => format!("{shown} is not up to date; {supervisor}"),
            Slot::Foreign => format!(
                "{shown} was created by another program; {supervisor}: it is left as it is unless --adopt is given"
            ),
        }
    }
}

/// Returns what the container's command is.
fn words(command: &ContainerCommand) -> String {
    let words = match command.words() {
        Err(error) => format!(" {error}"),
        Ok([]) => " none found".to_owned(),
        Ok(words) => words.iter().map(|word| format!(" {}", Shown(word))).collect(),
    };
    format!("container command:{words}")
}
