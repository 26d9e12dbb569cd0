//! Doing what was planned: sweep, slots, hand-over or seal, log.

use super::plan::{self, Action, Verdict};
use super::{INCOMPLETE, Pass, hold, intent, report};
use crate::error::Error;
use crate::slot::check::{self, Present};
use crate::slot::scandir::{self, SERVICES_MAX, Survey};
use crate::slot::{ProfileName, Want, layout, probe, publish, staging};
use crate::sys::file::Make;
use crate::sys::{Dir, Errno, Name, time};
use crate::volume::bootlog;
use crate::volume::profiles::{self, Found, Profiles};

/// Runs the pass, or only plans it in a dry run, and says what came of it; the exit code.
pub fn run(pass: &Pass<'_>, json: bool) -> u8 {
    let (actions, whole) = match &pass.scandir {
        Some(scandir) if !pass.dry_run => apply(pass, scandir),
        _ => plan_dry(pass),
    };
    pass.console.print(&report::lines(&actions, json, pass.settings.scandir.value));
    if let (false, Some(home)) = (pass.dry_run, &pass.home) {
        let stamp = report::stamp(&pass.settings.lookup, time::now());
        let log = report::log_lines(&actions, &stamp);
        let (chowner, owner) = (pass.spec.chowner, pass.settings.owner.value);
        if let Err(error) = bootlog::append(home, log.as_bytes(), pass.trusted, chowner, owner) {
            pass.console.warn(&error);
        }
    }
    let failed = actions.iter().any(|action| matches!(action.verdict, Verdict::Failed(_)));
    if failed || !whole { INCOMPLETE } else { 0 }
}

fn plan_dry(pass: &Pass<'_>) -> (Vec<Action>, bool) {
    let (mut actions, whole) = plan::plan(pass);
    for action in &mut actions {
        let supervised = match (&pass.scandir, &action.name) {
            (Some(scandir), Some(name)) => is_supervised(scandir, name),
            _ => false,
        };
        action.changed |= !action.stale.is_empty() && !supervised;
    }
    (actions, whole)
}

fn apply(pass: &Pass<'_>, scandir: &Dir) -> (Vec<Action>, bool) {
    let (policy, chowner) = (&pass.spec.policy, pass.spec.chowner);
    hold(scandir, pass.console);
    if scandir.is_noexec() {
        let what = "the scan directory is mounted noexec: s6 can run none of the slots; mount it with exec";
        pass.console.warn(&what);
    }
    // Sealing comes first: what is made after that, nobody else can exchange.
    if policy.sealed && chowner.is_root() {
        warn(pass, scandir::seal(scandir, policy, chowner));
    }
    let survey = tidy(pass, scandir);
    write_seed(pass);
    let (mut actions, whole) = plan::plan(pass);
    for action in &mut actions {
        if let Some(name) = action.name {
            carry_out(pass, scandir, &name, action);
        }
    }
    settle_others(pass, scandir, &survey.slots, &actions);
    if policy.sealed && chowner.is_root() {
        for name in survey.slots.iter().chain(&survey.others) {
            if scandir.meta(name).is_ok_and(|meta| meta.ids.uid != policy.body.uid) {
                let reason = "it is not root's, and s6-svscan runs it as root: remove it or give it to root";
                pass.console.warn(&Error::new("seal the service", name, reason));
            }
        }
    }
    let services = 2 * actions.iter().filter(|action| action.name.is_some()).count();
    if services > SERVICES_MAX {
        pass.console.warn(&format_args!(
            "{services} services (a slot and its logger are two), and s6-svscan handles {SERVICES_MAX} unless its option -C \
             says otherwise: the rest will not run"
        ));
    }
    // Handing over comes last.
    if !policy.sealed && chowner.is_root() {
        warn(pass, scandir::hand_over(scandir, policy, chowner));
    }
    (actions, whole)
}

fn warn(pass: &Pass<'_>, done: Result<(), Error>) {
    if let Err(error) = done {
        pass.console.warn(&error);
    }
}

/// Sweeps leftovers and dangling slots; returns what else stands there.
fn tidy(pass: &Pass<'_>, scandir: &Dir) -> Survey {
    let survey = match scandir::survey(scandir) {
        Ok(survey) => survey,
        Err(errno) => {
            pass.console.warn(&Error::new("list", "the scan directory", errno));
            return Survey::default();
        }
    };
    for name in &survey.leftovers {
        warn(pass, staging::sweep(scandir, name));
    }
    for name in &survey.dangling {
        if scandir::is_slot_name(name) {
            let swept = staging::hide_and_remove(scandir, name);
            warn(pass, swept.map_err(|errno| Error::new("remove the dangling symlink", name, errno)));
        } else {
            let reason =
                "it leads nowhere, and s6-svscan 2.12 and later starts nothing new until it is removed";
            pass.console.warn(&Error::new("accept the symlink", name, reason));
        }
    }
    survey
}

fn write_seed(pass: &Pass<'_>) {
    if let (Some(seed), Some(home)) = (pass.intent.seed, &pass.home) {
        let (ids, chowner) = (pass.settings.owner.value, pass.spec.chowner);
        let make = Make { mode: 0o644, ids, chowner, durable: true };
        warn(pass, intent::write_seed(seed, time::now(), home, make));
    }
}

fn is_supervised(scandir: &Dir, name: &ProfileName) -> bool {
    match scandir.dir(name.slot()) {
        Ok(slot) => probe::is_supervised(&slot),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => false,
        Err(_) => true,
    }
}

fn carry_out(pass: &Pass<'_>, scandir: &Dir, name: &ProfileName, action: &mut Action) {
    if !action.stale.is_empty() && !is_supervised(scandir, name) {
        action.changed |= remove_stale(pass, name, &action.stale);
    }
    if let Err(error) = publish::publish(scandir, name, action.want(), action.present, &pass.spec) {
        pass.console.warn(&error);
        action.verdict = Verdict::Failed(error.to_string().leak());
        action.changed = false;
    }
}

/// Removes the runtime files that are left; says whether any was.
fn remove_stale(pass: &Pass<'_>, name: &ProfileName, stale: &[&'static Name]) -> bool {
    let Some(home) = &pass.home else { return false };
    let found;
    let dir = if name.is_root() {
        &home.dir
    } else {
        let profiles = Profiles::open(home, pass.trusted);
        match profiles.map(|profiles| profiles.map(|profiles| profiles.profile(name))) {
            Ok(Some(Found::Profile(_, dir))) => {
                found = dir;
                &found
            }
            _ => return false,
        }
    };
    let mut removed = false;
    for file in stale {
        match dir.unlink(file) {
            Ok(()) => removed = true,
            Err(Errno::NOENT) => (),
            Err(errno) => pass.console.warn(&Error::new("remove", profiles::label(name, file), errno)),
        }
    }
    removed
}

/// Slots whose profile this pass did not see (deleted, or from another volume) keep what they are, and change hands with
/// the mode of the pass.
fn settle_others(pass: &Pass<'_>, scandir: &Dir, slots: &[Name], actions: &[Action]) {
    let (policy, chowner) = (&pass.spec.policy, pass.spec.chowner);
    if !chowner.is_root() {
        return;
    }
    for entry in slots {
        let Some(name) = ProfileName::of_service(entry.bytes()) else { continue };
        if actions.iter().any(|action| action.name == Some(name)) {
            continue;
        }
        let Ok(slot) = scandir.dir(entry) else { continue };
        // Sealed, all of it is looked at: an earlier pass may have been killed when it had taken but the slot itself.
        let taken = slot.own_meta().is_ok_and(|meta| chowner.is_settled(meta.ids, policy.body, scandir));
        if taken && !policy.sealed {
            continue;
        }
        let want = Want { down: slot.meta(&layout::DOWN).is_ok() };
        let present = check::inspect(scandir, &name, want, &pass.spec);
        if present == Present::Different {
            warn(pass, publish::publish(scandir, &name, want, present, &pass.spec));
        }
    }
}
