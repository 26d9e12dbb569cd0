//! Carries out the plan: sweep, slots, hand-over or seal, log.

use super::plan::{self, Action, Plan, Verdict};
use super::report::{self, Form};
use super::{INCOMPLETE, Pass, hold, intent};
use crate::error::{Error, Result};
use crate::slot::check::{self, Present};
use crate::slot::scandir::{self, Survey};
use crate::slot::{ProfileName, Want, layout, probe, publish, staging};
use crate::sys::file::Attributes;
use crate::sys::{Dir, Errno, Name, time};
use crate::volume::Home;
use crate::volume::bootlog;
use crate::volume::profiles::{self, Found, Profiles};

/// Runs the pass, or only plans it in a dry run, and reports it. Returns the exit code.
pub fn run(pass: &Pass<'_>, json: bool) -> u8 {
    let plan = match &pass.scandir {
        Some(scandir) if !pass.dry_run => apply(pass, scandir),
        _ => dry_run(pass),
    };
    if let Some(sum) = report::sum(plan.others) {
        pass.console.warn(&format_args!("profiles: {sum}"));
    }
    if plan.without_room > 0 {
        pass.console.warn(&format_args!("{} profiles have no slot: {}", plan.without_room, plan.no_room));
    }
    // The log comes first: whoever reads stdout may have stopped doing so.
    if let (false, Some(home)) = (pass.dry_run, &pass.home) {
        warn(pass, write_log(pass, &plan, home));
    }
    let form = if json { Form::Objects(&pass.settings.scandir.value) } else { Form::Lines };
    report::write(&plan, form, &mut |text| pass.console.print(text));
    let has_failed = plan.actions.iter().any(Action::has_failed);
    if has_failed || !plan.is_complete { INCOMPLETE } else { 0 }
}

fn write_log(pass: &Pass<'_>, plan: &Plan, home: &Home) -> Result<()> {
    let mut log = bootlog::open(home, pass.trusted, pass.spec.ownership, pass.settings.owner.value)?;
    if let Some(error) = log.trouble.take() {
        pass.console.warn(&error);
    }
    let stamp = report::stamp(&pass.settings.lookup, time::now());
    let mut done = Ok(());
    report::write(plan, Form::Log(&stamp), &mut |lines| {
        if done.is_ok() {
            done = log.append(lines);
        }
    });
    done
}

fn dry_run(pass: &Pass<'_>) -> Plan {
    let mut plan = plan::plan(pass);
    for action in &mut plan.actions {
        let supervised = match (&pass.scandir, &action.name) {
            (Some(scandir), Some(name)) => is_supervised(scandir, name),
            _ => false,
        };
        action.changed |= !action.stale.is_empty() && !supervised;
    }
    plan
}

fn apply(pass: &Pass<'_>, scandir: &Dir) -> Plan {
    let ownership = pass.spec.ownership;
    let is_sealed = pass.spec.policy.sealed;
    hold(scandir, pass.console);
    if scandir.is_noexec() {
        let what = "the scan directory is mounted noexec: s6 can run none of the slots; mount it with exec";
        pass.console.warn(&what);
    }
    // Sealing comes first: nobody else can replace what is made after it.
    if is_sealed && ownership.is_root() {
        warn(pass, scandir::seal(scandir, &pass.spec.policy, ownership));
    }
    let survey = tidy(pass, scandir);
    write_bootstrap(pass);
    let mut plan = plan::plan(pass);
    for action in &mut plan.actions {
        carry_out(pass, scandir, action);
    }
    if ownership.is_root() {
        update_other_slots(pass, scandir, &survey.slots, &plan.actions);
        if is_sealed {
            warn_of_foreign_services(pass, scandir, &survey);
        }
    }
    // The hand-over comes last.
    if !is_sealed && ownership.is_root() {
        warn(pass, scandir::hand_over(scandir, &pass.spec.policy, ownership));
    }
    plan
}

fn warn(pass: &Pass<'_>, done: Result<()>) {
    if let Err(error) = done {
        pass.console.warn(&error);
    }
}

/// Sweeps leftovers and dangling slots. Returns the other entries.
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

fn write_bootstrap(pass: &Pass<'_>) {
    if let (Some(bootstrap), Some(home)) = (pass.intent.bootstrap, &pass.home) {
        let (ids, ownership) = (pass.settings.owner.value, pass.spec.ownership);
        let attributes = Attributes { mode: 0o644, ids, ownership, durable: true };
        warn(pass, intent::write_bootstrap(bootstrap, time::now(), home, attributes));
    }
}

pub(super) fn is_supervised(scandir: &Dir, name: &ProfileName) -> bool {
    match scandir.dir(name.slot()) {
        Ok(slot) => probe::is_supervised(&slot),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => false,
        Err(_) => true,
    }
}

/// Makes the slot of one profile, and removes its stale files.
fn carry_out(pass: &Pass<'_>, scandir: &Dir, action: &mut Action) {
    let Some(name) = &action.name else { return };
    if let Verdict::Failed(_) = action.verdict {
        return;
    }
    if !action.stale.is_empty() && !is_supervised(scandir, name) {
        action.changed |= remove_stale(pass, name, &action.stale);
    }
    if let Err(error) = publish::publish(scandir, name, action.want(), action.present, &pass.spec) {
        pass.console.warn(&error);
        action.verdict = Verdict::Failed(error.to_string());
        action.changed = false;
    }
}

/// Removes stale runtime files. Returns whether there was any.
fn remove_stale(pass: &Pass<'_>, name: &ProfileName, stale: &[&Name]) -> bool {
    let Some(home) = &pass.home else { return false };
    let profile = match Profiles::open(home, pass.trusted) {
        _ if name.is_root() => None,
        Ok(Some(profiles)) => match profiles.profile(name) {
            Found::Profile(_, dir) => Some(dir),
            _ => return false,
        },
        _ => return false,
    };
    let dir = profile.as_ref().unwrap_or(&home.dir);
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

/// Updates owners and modes of slots whose profile this pass has not found (deleted, or of another volume), so that they follow
/// the mode of the pass. Whether they are down stays.
fn update_other_slots(pass: &Pass<'_>, scandir: &Dir, slots: &[Name], actions: &[Action]) {
    let (policy, ownership) = (&pass.spec.policy, pass.spec.ownership);
    let mut done: Vec<&Name> =
        actions.iter().filter_map(|action| Some(action.name.as_ref()?.slot())).collect();
    done.sort_unstable();
    for entry in slots.iter().filter(|entry| done.binary_search(entry).is_err()) {
        let Some(name) = ProfileName::of_service(entry.bytes()) else { continue };
        let Ok(slot) = scandir.dir(entry) else { continue };
        // In sealed mode all of the slot is looked at: an earlier pass may have been killed after it took the slot itself.
        let is_taken = slot.own_meta().is_ok_and(|meta| ownership.accepts(meta.ids, policy.body, scandir));
        if is_taken && !policy.sealed {
            continue;
        }
        let want = Want { down: slot.meta(&layout::DOWN).is_ok() };
        let present = check::inspect(scandir, &name, want, &pass.spec);
        if present == Present::Different {
            warn(pass, publish::publish(scandir, &name, want, present, &pass.spec));
        }
    }
}

/// Sealed mode: reports services that another user can change.
fn warn_of_foreign_services(pass: &Pass<'_>, scandir: &Dir, survey: &Survey) {
    for name in survey.slots.iter().chain(&survey.others) {
        if scandir.meta(name).is_ok_and(|meta| meta.ids.uid != pass.spec.policy.body.uid) {
            let reason = "it is not root's, and s6-svscan runs it as root: remove it or give it to root";
            pass.console.warn(&Error::new("seal the service", name, reason));
        }
    }
}
