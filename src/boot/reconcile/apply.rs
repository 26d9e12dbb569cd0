//! Carries out the plan: sweep, slots, hand-over or seal, log.

use super::action::{Action, Verdict};
use super::plan::{self, Plan};
use super::report::{self, Form};
use super::{Pass, hold, intent};
use crate::output::{Context, Error, Result, exit};
use crate::s6::control;
use crate::s6::scandir::{self, Entries};
use crate::s6::slot::{SlotState, check};
use crate::s6::slot::{publish, staging};
use crate::s6::{DefaultState, ProfileName, supervision};
use crate::sys::file::Attributes;
use crate::sys::{Dir, Errno, Name, present, time};
use crate::volume::bootlog;
use crate::volume::profiles;
use crate::volume::{Home, kept_env};

/// Runs the pass, or only plans it in a dry run, and reports it. Returns the exit code.
pub fn run(pass: &Pass<'_>, json: bool) -> u8 {
    let plan = match &pass.scandir {
        Some(scandir) if !pass.dry_run => apply(pass, scandir),
        _ => dry_run(pass),
    };
    warn_of_the_fold(pass, &plan);
    if let Some(sum) = report::sum(plan.others) {
        pass.console.warn(format_args!("profiles: {sum}"));
    }
    if plan.room.turned_away > 0 {
        let (count, why) = (plan.room.turned_away, &plan.room.why);
        pass.console.warn(format_args!("profiles without a slot: {count}: {why}"));
    }
    // The log comes first: whoever reads stdout may have stopped doing so.
    if let (false, Some(home)) = (pass.dry_run, &pass.home) {
        warn(pass, home.as_its_user(|| write_log(pass, &plan, home)));
    }
    let form = match json {
        true => Form::Objects(&pass.settings.scandir.value),
        false if !pass.dry_run && pass.settings.is_quiet() => Form::Failures,
        false => Form::Lines,
    };
    report::write(&plan, form, &mut |text| pass.console.print(text));
    let has_failed = plan.actions.iter().any(|action| action.has_failed() || action.obstacle.is_some());
    if has_failed || !plan.is_complete { exit::INCOMPLETE } else { 0 }
}

fn write_log(pass: &Pass<'_>, plan: &Plan, home: &Home) -> Result<()> {
    let mut log = bootlog::open(home, pass.trusted, pass.template.ownership, pass.settings.owner.value)?;
    if let Err(error) = &log.rotation {
        pass.console.failed(error);
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
    let mut plan = plan::dry(pass);
    for action in &mut plan.actions {
        let supervised = match (&pass.scandir, &action.name) {
            (Some(scandir), Some(name)) => staging::is_supervised(scandir, name.slot()).unwrap_or(true),
            _ => false,
        };
        action.changed |= !action.stale.is_empty() && !supervised && action.present.is_some();
    }
    plan
}

fn apply(pass: &Pass<'_>, scandir: &Dir) -> Plan {
    let ownership = pass.template.ownership;
    let is_sealed = pass.template.policy.mode.is_sealed();
    if scandir.is_noexec() {
        pass.console.warn(format_args!(
            "the scan directory is mounted noexec: s6 can run none of the slots; mount it with exec"
        ));
    }
    // Sealing comes first: nobody else can replace what is made after it, and the lock is such a file.
    let mut is_complete = true;
    if is_sealed && ownership.is_root() {
        scandir::seal(scandir, &pass.template.policy, ownership, &mut |error| {
            pass.console.failed(&error);
            is_complete = false;
        });
    }
    let _held = hold(scandir, &pass.template, pass.console);
    let entries = tidy(pass, scandir, &mut is_complete);
    write_bootstrap(pass);
    if let Some(home) = &pass.home {
        let complete = || bootlog::complete(home, pass.trusted, ownership, pass.settings.owner.value);
        warn(pass, home.as_its_user(complete));
    }
    let mut plan = plan::plan(pass, Some(&entries));
    for action in &mut plan.actions {
        carry_out(pass, scandir, action);
    }
    plan.is_complete &= is_complete;
    if ownership.is_root() {
        update_other_slots(pass, scandir, &entries.slots, &mut plan.actions);
        if is_sealed {
            plan.is_complete &= !has_foreign_services(pass, scandir, &entries);
        }
    }
    // The hand-over comes last.
    if !is_sealed && ownership.is_root() {
        let handed_over = scandir::hand_over(scandir, &pass.template.policy, ownership);
        // What is not s6-svscan's own is refused by a rule; an errno leaves something undone.
        plan.is_complete &= handed_over.as_ref().err().and_then(Error::errno).is_none();
        warn(pass, handed_over);
    }
    plan
}

fn warn(pass: &Pass<'_>, done: Result<()>) {
    if let Err(error) = done {
        pass.console.failed(&error);
    }
}

/// Sweeps leftovers and dangling slots. Returns the other entries. Clears `is_complete` if something cannot be looked at.
fn tidy(pass: &Pass<'_>, scandir: &Dir, is_complete: &mut bool) -> Entries {
    let entries = match scandir::list(scandir) {
        Ok(entries) => entries,
        Err(errno) => {
            pass.console.failed(&Error::new("list the scan", "directory", errno));
            *is_complete = false;
            return Entries::default();
        }
    };
    for name in &entries.leftovers {
        let swept = sweep(scandir, name);
        *is_complete &= swept.is_ok();
        warn(pass, swept.and_then(|swept| swept));
    }
    for name in &entries.dangling {
        if scandir::is_slot_name(name) {
            let swept = staging::hide_and_remove(scandir, name);
            warn(pass, swept.map_err(|errno| Error::new("remove the dangling symlink", name, errno)));
        } else {
            let reason =
                "it leads nowhere, and s6-svscan 2.12 and later starts nothing new until it is removed";
            pass.console.failed(&Error::new("accept the symlink", name, reason));
        }
    }
    entries
}

/// Removes a leftover. In a slot that is being unregistered, supervisors may only be starting.
fn sweep(scandir: &Dir, name: &Name) -> Result<Result<()>> {
    if staging::is_unregistered(name)
        && let Some(slot) = present(scandir.dir(name)).context("look at the leftover", name)?
        && !supervision::supervision(&slot).context("look at the leftover", name)?
        && let Err(error) = control::reap(scandir, Some(&slot))
    {
        return Ok(Err(error));
    }
    staging::sweep(scandir, name)
}

fn write_bootstrap(pass: &Pass<'_>) {
    if let (Some(bootstrap), Some(home)) = (pass.intent.bootstrap, &pass.home) {
        let (ids, ownership) = (pass.settings.owner.value, pass.template.ownership);
        let attributes = Attributes { mode: 0o644, ids, ownership, durable: true };
        warn(pass, home.as_its_user(|| intent::write_bootstrap(bootstrap, time::now(), home, attributes)));
    }
}

/// Carries out what is planned for one profile. A slot that could not be looked at is left as it is.
fn carry_out(pass: &Pass<'_>, scandir: &Dir, action: &mut Action) {
    let Some(present) = action.present else { return };
    match make(pass, scandir, action, present) {
        Ok(removed) => action.changed |= removed,
        Err(error) => {
            action.verdict = Verdict::failed(error, pass.console);
            action.changed = false;
        }
    }
}

/// Makes the slot of one profile, and removes its stale files. Returns whether there was any.
fn make(pass: &Pass<'_>, scandir: &Dir, action: &Action, present: SlotState) -> Result<bool> {
    let Some(name) = &action.name else { return Ok(false) };
    let supervised =
        || staging::is_supervised(scandir, name.slot()).context("find a supervisor of", name.slot());
    let removed = !action.stale.is_empty() && !supervised()? && remove_stale(pass, name, &action.stale);
    if !action.left {
        let mut variables = Vec::new();
        if action.has_variables {
            // Without them, where they have changed since they were looked at.
            let done = work_in(pass, name, &mut |dir| {
                let read = kept_env::read(dir, pass.trusted);
                variables = read.context("use", profiles::label(name, &kept_env::KEPT))?;
                Ok(())
            });
            warn(pass, done);
        }
        publish::publish(scandir, name, action.want(), present, &variables, &pass.template)?;
    }
    Ok(removed)
}

/// Works in the directory of a profile, unless it has vanished meanwhile.
fn work_in(pass: &Pass<'_>, name: &ProfileName, work: &mut dyn FnMut(&Dir) -> Result<()>) -> Result<()> {
    let Some(home) = &pass.home else { return Ok(()) };
    home.as_its_user(|| {
        if name.is_root() {
            return work(&home.dir);
        }
        match profiles::directory(home, pass.trusted, name)? {
            Some(dir) => work(&dir),
            None => Ok(()),
        }
    })
}

/// Removes stale runtime files. Returns whether there was any.
fn remove_stale(pass: &Pass<'_>, name: &ProfileName, stale: &[&Name]) -> bool {
    let mut removed = false;
    let done = work_in(pass, name, &mut |dir| {
        for file in stale {
            match dir.unlink(file) {
                Ok(()) => removed = true,
                Err(Errno::NOENT) => (),
                Err(errno) => pass.console.failed(&Error::new("remove", profiles::label(name, file), errno)),
            }
        }
        Ok(())
    });
    warn(pass, done);
    removed
}

/// Updates owners and modes of slots whose profile this pass has not found (deleted, or of another volume), so that they follow
/// the mode of the pass. Whether they are down stays. Those that could not be updated become actions.
fn update_other_slots(pass: &Pass<'_>, scandir: &Dir, slots: &[Name], actions: &mut Vec<Action>) {
    let mut done = Vec::new();
    for action in &*actions {
        if let Some(name) = &action.name {
            done.push(name.slot().clone());
        }
    }
    done.sort_unstable();
    for entry in slots {
        if done.binary_search(entry).is_ok() {
            continue;
        }
        let Some(name) = ProfileName::of_service(entry.bytes()) else { continue };
        if let Err(error) = update_other_slot(pass, scandir, &name) {
            let verdict = Verdict::failed(error, pass.console);
            actions.push(Action::new(name.text().as_bytes(), None, verdict));
        }
    }
}

fn update_other_slot(pass: &Pass<'_>, scandir: &Dir, name: &ProfileName) -> Result<()> {
    let Some(want) = other_slot(pass, scandir, name).context("look at", name.slot())? else { return Ok(()) };
    match check::inspect(scandir, name, want, &pass.template)? {
        SlotState::Differs => publish::publish(scandir, name, want, SlotState::Differs, &[], &pass.template),
        _ => Ok(()),
    }
}

/// Returns what is wanted of a slot without a profile; `None` if it is right already.
fn other_slot(
    pass: &Pass<'_>,
    scandir: &Dir,
    name: &ProfileName,
) -> std::result::Result<Option<DefaultState>, Errno> {
    let policy = &pass.template.policy;
    let Some(slot) = present(scandir.dir(name.slot()))? else { return Ok(None) };
    // In sealed mode all of the slot is looked at: an earlier pass may have been killed after it took the slot itself.
    if !policy.mode.is_sealed()
        && pass.template.ownership.accepts(slot.own_meta()?.ids, policy.slot_owner, scandir)
    {
        return Ok(None);
    }
    Ok(Some(DefaultState::of(&slot)?))
}

/// Sealed mode: reports services that another user can change. Returns whether there are any, or one cannot be looked at.
fn has_foreign_services(pass: &Pass<'_>, scandir: &Dir, entries: &Entries) -> bool {
    let mut found = false;
    for name in entries.slots.iter().chain(&entries.others) {
        let error = match scandir::owner_of(scandir, name) {
            Ok(ids) if ids.uid == pass.template.policy.slot_owner.uid => continue,
            Ok(_) => {
                let reason = "it is not root's, and s6-svscan runs it as root: remove it or give it to root";
                Error::new("seal the service", name, reason)
            }
            Err(Errno::NOENT) => continue,
            Err(errno) => Error::new("look at the service", name, errno),
        };
        pass.console.failed(&error);
        found = true;
    }
    found
}

/// Names the profiles for which `default` starts although its own state does not say so.
fn warn_of_the_fold(pass: &Pass<'_>, plan: &Plan) {
    if let Some(root) = plan.actions.first()
        && root.folded
        && !root.foreground
        && !root.prior.starts()
    {
        let names = plan.folded_names();
        pass.console.warn(format_args!(
            "default starts, because its gateway serves profiles that want to run: {names}"
        ));
    }
}
