//! `--explain`: why each profile starts or stays down at the next boot, from the volume as it is.

use std::os::unix::ffi::OsStrExt;

use super::decide::{Bootstrap, Decision, DownReason, Profile, StartReason, State};
use super::observe;
use super::plan::{FOREGROUND, Item, Plan};
use super::slots::Slot;
use super::{Pass, report};
use crate::output::escape::{FromVolume, Shown};
use crate::s6::slot::staging;
use crate::settings::Setting;
use crate::settings::role::{ContainerCommand, RoleChoice};
use crate::settings::topology::TopologyChoice;
use crate::volume::profiles;
use crate::volume::state::{Key, RUNNING, RecordedState, STATE};

/// Returns the text for a front end's container.
pub fn frontend(role: &Setting<RoleChoice>, why: &str) -> String {
    format!("role: frontend ({})\nno gateway is reconciled here: {why}\n", role.source.text())
}

/// Returns the text: the settings with their sources, then each profile.
pub fn text(pass: &Pass<'_>, role: &Setting<RoleChoice>, command: &ContainerCommand, plan: &Plan) -> String {
    let explain = Explain { pass, plan };
    let mut lines = vec![Explain::role(role, command)];
    lines.extend(explain.settings());
    lines.extend(explain.topology());
    for item in &plan.items {
        lines.extend(explain.item(item));
    }
    for item in plan.refused_items() {
        lines.extend(explain.item(&item));
    }
    lines.extend(explain.not_profiles());
    lines.push(String::new());
    lines.join("\n")
}

struct Explain<'a> {
    pass: &'a Pass<'a>,
    plan: &'a Plan,
}

impl Explain<'_> {
    fn role(role: &Setting<RoleChoice>, command: &ContainerCommand) -> String {
        let words = match command.words() {
            Err(error) => format!(" {error}"),
            Ok([]) => " none found".to_owned(),
            Ok(words) => words.iter().map(|word| format!(" {}", Shown(word))).collect(),
        };
        format!("role: gateway ({}; container command:{words})", role.source.text())
    }

    fn settings(&self) -> Vec<String> {
        let settings = self.pass.settings;
        let mut lines = Vec::new();
        for (name, path) in [("HERMES_HOME", &settings.home), ("scan directory", &settings.scandir)] {
            let shown = Shown(path.value.as_os_str().as_bytes());
            lines.push(format!("{name}: {shown} ({})", path.source.text()));
        }
        let (owner, mode) = (&settings.owner, &settings.mode);
        lines.push(format!("owner: {}:{} ({})", owner.value.uid, owner.value.gid, owner.source.text()));
        lines.push(format!("mode: {} ({})", mode.value.text(), mode.source.text()));
        lines
    }

    fn topology(&self) -> Vec<String> {
        let (setting, topology) = (&self.pass.settings.topology, &self.plan.topology);
        let word = if topology.is_multiplex { "multiplex" } else { "per-profile" };
        let auto = match &topology.sign {
            Some(sign) if setting.value == TopologyChoice::Auto => format!("; auto: {sign}"),
            _ => String::new(),
        };
        let mut lines = vec![format!("topology: {word} ({}{auto})", setting.source.text())];
        if let Some(multiplexing) = &self.pass.multiplexing {
            let word = if multiplexing.is_on { "on" } else { "off" };
            lines.push(format!("multiplex: {word} ({})", multiplexing.why));
        }
        lines
    }

    fn item(&self, item: &Item) -> Vec<String> {
        let mut lines = vec![String::new(), format!("profile {}", FromVolume(&item.name))];
        lines.push(format!("  at the next boot: {}", item.at_boot()));
        let profile = match (self.plan.failure(item), item.with_slot()) {
            (None, Some(profile)) => profile,
            (why, _) => {
                lines.push(format!("  because: {}", why.unwrap_or_default()));
                return lines;
            }
        };
        let why = match item.decision {
            Decision::Start(StartReason::State) => self.why_started(profile),
            Decision::Start(StartReason::Others) => {
                let (own, names) = (self.state(profile), self.plan.charges());
                format!("{own}; but its gateway serves profiles whose desired state is running: {names}")
            }
            _ => self.why_down(profile, &item.decision),
        };
        lines.push(format!("  because: {why}"));
        let is_said = matches!(profile.state, State::Unusable(_) | State::Unreadable(_));
        if let Some(obstacle) = profile.obstacle().filter(|_| !is_said) {
            lines.push(format!("  but: {obstacle}"));
        }
        lines.push(format!("  last exit: {}", profile.exit.text()));
        lines.push(format!("  slot now: {}", self.slot(profile, item.slot)));
        lines
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

    /// Lists the directories of `profiles` that are no profiles.
    fn not_profiles(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in &self.plan.not_profiles.names {
            let why = if observe::is_reserved(name) {
                "the name is reserved for the profile at HERMES_HOME"
            } else {
                "it contains no SOUL.md"
            };
            lines.push(format!(
                "\n{} is not a profile\n  because: {why}",
                FromVolume::path(&profiles::label_of(name))
            ));
        }
        let more = self.plan.not_profiles.more;
        if more > 0 {
            lines.push(format!(
                "\n{more} more directories are not profiles\n  because: they contain no SOUL.md"
            ));
        }
        if let Some(sum) = report::sum(self.plan.others) {
            lines.push(format!("\nprofiles: {sum}"));
        }
        lines
    }
}
