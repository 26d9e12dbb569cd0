//! `--explain`: why each profile starts or stays down at the next boot, from the volume as it is.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use super::intent::Bootstrap;
use super::plan::{Action, Plan, Verdict};
use super::{Pass, report};
use crate::role::{ContainerCommand, RoleChoice};
use crate::settings::Setting;
use crate::show::{FromVolume, Shown};
use crate::slot::check::Present;
use crate::slot::{ProfileName, probe};
use crate::volume::profiles::{self, Found, LISTED, Others, Profiles};
use crate::volume::state::{Key, RUNNING, STATE};

/// Returns the text for a front end's container.
pub fn frontend(role: &Setting<RoleChoice>, why: &str) -> String {
    format!("role: frontend ({})\nno gateway is reconciled here: {why}\n", role.source.text())
}

/// Returns the text: the settings with their sources, then each profile.
pub fn text(pass: &Pass<'_>, role: &Setting<RoleChoice>, command: &ContainerCommand, plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = settings(&mut text, pass, role, command);
    for action in &plan.actions {
        let _ = profile(&mut text, pass, action);
    }
    for name in &plan.rest {
        let _ = profile(&mut text, pass, &plan.turned_away(name.bytes()));
    }
    let _ = no_profiles(&mut text, pass, plan.others);
    text
}

fn settings(
    text: &mut String,
    pass: &Pass<'_>,
    role: &Setting<RoleChoice>,
    command: &ContainerCommand,
) -> std::fmt::Result {
    let settings = pass.settings;
    write!(text, "role: gateway ({}; container command:", role.source.text())?;
    // It has decided already, unless an option or a variable has.
    let words = command.words().unwrap_or_default();
    if words.is_empty() {
        text.push_str(" none found");
    }
    for word in words {
        write!(text, " {}", Shown(word))?;
    }
    text.push_str(")\n");
    for (name, path) in [("HERMES_HOME", &settings.home), ("scan directory", &settings.scandir)] {
        let shown = Shown(path.value.as_os_str().as_bytes());
        writeln!(text, "{name}: {shown} ({})", path.source.text())?;
    }
    let owner = &settings.owner;
    writeln!(text, "owner: {}:{} ({})", owner.value.uid, owner.value.gid, owner.source.text())?;
    let mode = if settings.sealed.value { "sealed" } else { "delegated" };
    writeln!(text, "mode: {mode} ({})", settings.sealed.source.text())?;
    let multiplex = &pass.intent.multiplex;
    writeln!(text, "multiplex: {} ({})", if multiplex.on { "on" } else { "off" }, multiplex.why)
}

fn profile(text: &mut String, pass: &Pass<'_>, action: &Action) -> std::fmt::Result {
    writeln!(text, "\nprofile {}", FromVolume(&action.profile))?;
    let Some(name) = &action.name else {
        return writeln!(
            text,
            "  at the next boot: no slot\n  because: {}",
            action.verdict.reason().unwrap_or_default()
        );
    };
    let (start, why) = match action.verdict {
        Verdict::Started => ("started", why_started(pass, name, action)),
        _ => ("stays down", why_down(pass, name, action)),
    };
    writeln!(text, "  at the next boot: {start}\n  because: {why}")?;
    writeln!(text, "  last exit: {}", action.exit.text())?;
    writeln!(text, "  slot now: {}", slot(pass, name, action.present))
}

fn decided(action: &Action) -> String {
    let word = action.prior.word.as_deref().unwrap_or_default();
    format!("{} is {}", action.prior.key.text(), FromVolume(word.as_bytes()))
}

fn why_started(pass: &Pass<'_>, name: &ProfileName, action: &Action) -> String {
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
        None => format!("{}, a moment of a running gateway", decided(action)),
    }
}

fn why_down(pass: &Pass<'_>, name: &ProfileName, action: &Action) -> String {
    if action.prior.starts() {
        let why = &pass.intent.multiplex.why;
        return format!("{}, but the root gateway serves all profiles (multiplex: {why})", decided(action));
    }
    if let Some(reason) = &action.trouble {
        return format!("{} cannot be used: {reason}", FromVolume(&profiles::label(name, &STATE)));
    }
    match (action.prior.key, action.prior.word.as_deref()) {
        (Key::Neither, _) => "there is no state file: it was never started".to_owned(),
        (Key::Gateway, Some("starting" | "startup_failed")) => {
            format!("{}: it did not come up, and a boot makes no crash loop", decided(action))
        }
        _ => decided(action),
    }
}

fn slot(pass: &Pass<'_>, name: &ProfileName, present: Present) -> String {
    let entry = name.slot();
    let held = pass.scandir.as_ref().and_then(|scandir| scandir.dir(entry).ok());
    let supervised = match held {
        Some(slot) if probe::is_supervised(&slot) => "supervised",
        _ => "not supervised",
    };
    let shown = FromVolume(entry.bytes());
    match present {
        Present::Absent => format!("{shown} is missing"),
        Present::AsDesired => format!("{shown} is as desired, {supervised}"),
        Present::Different => format!("{shown} differs from what is desired, {supervised}"),
    }
}

/// Lists the directories of `profiles` that are no profiles.
fn no_profiles(text: &mut String, pass: &Pass<'_>, others: Others) -> std::fmt::Result {
    let Some(home) = &pass.home else { return Ok(()) };
    // The plan has reported what is wrong with `profiles` itself.
    let Ok(Some(found)) = Profiles::open(home, pass.trusted) else { return Ok(()) };
    let mut more = 0_usize;
    for name in found.names().unwrap_or_default().names {
        if !matches!(found.look(&name), Found::NoProfile) || !found.is_directory(&name) {
            continue;
        }
        more += 1;
        if more <= LISTED {
            let label = profiles::label_of(&name);
            writeln!(text, "\n{} is no profile\n  because: there is no SOUL.md in it", FromVolume(&label))?;
        }
    }
    more = more.saturating_sub(LISTED);
    if more > 0 {
        writeln!(text, "\n{more} more directories are no profiles\n  because: there is no SOUL.md in them")?;
    }
    if let Some(sum) = report::sum(others) {
        writeln!(text, "\nprofiles: {sum}")?;
    }
    Ok(())
}
