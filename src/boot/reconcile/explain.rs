//! `--explain`: why each profile starts or stays down at the next boot, from the volume as it is.

use std::os::unix::ffi::OsStrExt;

use super::action::{self, Action, Verdict};
use super::intent::Bootstrap;
use super::plan::{self, Plan};
use super::{Pass, report};
use crate::output::escape::{Append, FromVolume, Shown};
use crate::s6::ProfileName;
use crate::s6::slot::SlotState;
use crate::s6::slot::staging;
use crate::settings::Setting;
use crate::settings::role::{ContainerCommand, RoleChoice};
use crate::settings::topology::TopologyChoice;
use crate::volume::profiles;
use crate::volume::state::{Key, RUNNING, STATE};

/// Returns the text for a front end's container.
pub fn frontend(role: &Setting<RoleChoice>, why: &str) -> String {
    format!("role: frontend ({})\nno gateway is reconciled here: {why}\n", role.source.text())
}

/// Returns the text: the settings with their sources, then each profile.
pub fn text(pass: &Pass<'_>, role: &Setting<RoleChoice>, command: &ContainerCommand, plan: &Plan) -> String {
    let mut text = String::new();
    settings(&mut text, pass, role, command);
    topology(&mut text, pass, plan);
    plan.each(&mut |action| profile(&mut text, pass, plan, action));
    no_profiles(&mut text, plan);
    text
}

fn settings(text: &mut String, pass: &Pass<'_>, role: &Setting<RoleChoice>, command: &ContainerCommand) {
    let settings = pass.settings;
    write!(text, "role: gateway ({}; container command:", role.source.text());
    match command.words() {
        Err(error) => write!(text, " {error}"),
        Ok([]) => text.push_str(" none found"),
        Ok(words) => {
            for word in words {
                write!(text, " {}", Shown(word));
            }
        }
    }
    text.push_str(")\n");
    for (name, path) in [("HERMES_HOME", &settings.home), ("scan directory", &settings.scandir)] {
        let shown = Shown(path.value.as_os_str().as_bytes());
        writeln!(text, "{name}: {shown} ({})", path.source.text());
    }
    let owner = &settings.owner;
    writeln!(text, "owner: {}:{} ({})", owner.value.uid, owner.value.gid, owner.source.text());
    writeln!(text, "mode: {} ({})", settings.mode.value.text(), settings.mode.source.text());
}

fn topology(text: &mut String, pass: &Pass<'_>, plan: &Plan) {
    let setting = &pass.settings.topology;
    let word = if plan.topology.multiplex { "multiplex" } else { "per-profile" };
    write!(text, "topology: {word} ({}", setting.source.text());
    if setting.value == TopologyChoice::Auto {
        write!(text, "; auto: {}", plan.topology.sign.as_deref().unwrap_or_default());
    }
    text.push_str(")\n");
    if let Some(multiplex) = &pass.intent.multiplex {
        writeln!(text, "multiplex: {} ({})", if multiplex.on { "on" } else { "off" }, multiplex.why);
    }
}

fn profile(text: &mut String, pass: &Pass<'_>, plan: &Plan, action: &Action) {
    writeln!(text, "\nprofile {}", FromVolume(&action.profile));
    if let Some(why) = action.verdict.reason() {
        let slot = if action.name.is_some() { "slot left as it is" } else { "no slot" };
        return writeln!(text, "  at the next boot: {slot}\n  because: {why}");
    }
    let Some(name) = &action.name else { return };
    let (start, why) = match action.verdict {
        Verdict::Started => ("started", why_started(pass, plan, name, action)),
        _ => ("stays down", why_down(pass, name, action)),
    };
    writeln!(text, "  at the next boot: {start}\n  because: {why}");
    if let (Some(obstacle), None) = (&action.obstacle, &action.trouble) {
        writeln!(text, "  but: {obstacle}");
    }
    writeln!(text, "  last exit: {}", action.exit.text());
    writeln!(text, "  slot now: {}", slot(pass, name, action));
}

fn decided(action: &Action) -> String {
    let word = action.prior.word.as_deref().unwrap_or_default();
    format!("{} is {}", action.prior.key.text(), FromVolume(word.as_bytes()))
}

fn why_started(pass: &Pass<'_>, plan: &Plan, name: &ProfileName, action: &Action) -> String {
    if !action.prior.starts() {
        let (own, names) = (why_down(pass, name, action), plan.folded_names());
        return format!("{own}; but its gateway serves profiles that want to run: {names}");
    }
    let own = why_running(pass, name, action);
    if plan.topology.multiplex && action.standalone {
        format!("{own}; standalone: it has a gateway of its own")
    } else {
        own
    }
}

fn why_running(pass: &Pass<'_>, name: &ProfileName, action: &Action) -> String {
    match pass.intent.bootstrap.filter(|_| name.is_root()) {
        Some(Bootstrap::LegacyCommand) => {
            "there is no state file yet, and the container's command is gateway run".to_owned()
        }
        Some(Bootstrap::Variable(source)) => {
            format!(
                "there is no state file yet, and HERMES_GATEWAY_BOOTSTRAP_STATE is running ({})",
                source.text()
            )
        }
        None if action.prior.word.as_deref() == Some(RUNNING) => decided(action),
        None => format!("{}, which counts as running", decided(action)),
    }
}

fn why_down(pass: &Pass<'_>, name: &ProfileName, action: &Action) -> String {
    if action.foreground {
        return action::FOREGROUND.to_owned();
    }
    if action.folded && action.served {
        return format!("{}: it wants to run; served by the gateway of default", decided(action));
    }
    if let (true, Some(multiplex)) = (action.prior.starts(), &pass.intent.multiplex) {
        let why = &multiplex.why;
        return format!("{}, but the root gateway serves all profiles (multiplex: {why})", decided(action));
    }
    if let Some(reason) = &action.trouble {
        return format!("{} cannot be used: {reason}", FromVolume::path(&profiles::label(name, &STATE)));
    }
    match (action.prior.key, action.prior.word.as_deref()) {
        (Key::Neither, _) => "there is no state file: it was never started".to_owned(),
        (Key::Gateway, Some("starting" | "startup_failed")) => {
            let (program, name) = (pass.console.program(), name.text());
            format!("{}: {}: {program} start {name}", decided(action), action::words(&action.prior))
        }
        _ => decided(action),
    }
}

fn slot(pass: &Pass<'_>, name: &ProfileName, action: &Action) -> String {
    let entry = name.slot();
    let held = pass.scandir.as_ref().map_or(Ok(false), |scandir| staging::is_supervised(scandir, entry));
    let supervised = match held {
        Ok(true) => "s6-supervise runs",
        Ok(false) => "no s6-supervise running",
        Err(_) => "whether s6-supervise runs is not known",
    };
    let shown = FromVolume(entry.bytes());
    let (is, rest) = match action.present {
        _ if action.left => {
            ("was made by another program; ", ": it is left as it is, unless --adopt is given")
        }
        None | Some(SlotState::Absent) => return format!("{shown} is missing"),
        Some(SlotState::UpToDate) => ("is up to date; ", ""),
        Some(SlotState::Differs) => ("is not up to date; ", ""),
    };
    format!("{shown} {is}{supervised}{rest}")
}

/// Lists the directories of `profiles` that are no profiles.
fn no_profiles(text: &mut String, plan: &Plan) {
    for name in &plan.no_profiles {
        let why = if plan::is_reserved(name) {
            "the name is reserved for the profile at HERMES_HOME"
        } else {
            "there is no SOUL.md in it"
        };
        writeln!(text, "\n{} is no profile\n  because: {why}", FromVolume::path(&profiles::label_of(name)));
    }
    let more = plan.more_no_profiles;
    if more > 0 {
        writeln!(text, "\n{more} more directories are no profiles\n  because: there is no SOUL.md in them");
    }
    if let Some(sum) = report::sum(plan.others) {
        writeln!(text, "\nprofiles: {sum}");
    }
}
