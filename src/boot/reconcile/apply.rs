//! Carries out the plan: sweep, slots, hand-over or seal, log.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use super::decide::{Decision, Profile, StartReason, Variables};
use super::plan::{Item, Outcome, Plan};
use super::profile_files;
use super::report::{self, Form};
use super::slots::Slot;
use super::stale::{self, Removed};
use super::{Effect, Pass, bootstrap, hold, plan};
use crate::output::escape::Shown;
use crate::output::{Context, Error, Format, Result, exit};
use crate::s6::scandir::{self, Entries};
use crate::s6::scandir_lock::Held;
use crate::s6::slot::staging::{self, Swept};
use crate::s6::slot::{SlotState, check, publish};
use crate::s6::{DefaultState, ProfileName, commands, supervision};
use crate::settings::zone::Zone;
use crate::sys::space::{self, FileSystem};
use crate::sys::staged::Attributes;
use crate::sys::{Dir, Errno, Name, Patience, Reason, present, time};
use crate::volume::{Home, bootlog};

/// Time that the slots may take before it is said why.
const SLOW: Duration = Duration::from_secs(1);

/// Runs the pass, or only plans it in a dry run, and reports it. Returns the exit code.
pub fn run(pass: &Pass<'_>, effect: Effect, format: Format) -> u8 {
    let plan = match &pass.scandir {
        Some(scandir) if effect == Effect::Apply => apply(pass, scandir),
        _ => dry_run(pass),
    };
    warn(pass, &plan);
    if effect == Effect::Apply {
        warn_without_svscan(pass);
    }
    // What this process may not do, root's pass does: what that has written of it stays the newest that the log tells.
    let is_refused = plan.items.iter().any(|item| matches!(item.outcome, Outcome::Refused(_)));
    // The log comes first: whoever reads stdout may have stopped doing so.
    if let (Effect::Apply, Some(home), false) = (effect, &pass.home, is_refused) {
        report_failure(pass, home.as_its_user(|| write_log(pass, &plan, home)));
    }
    let form = match format {
        Format::Json => Form::Objects(&pass.settings.scandir.value),
        Format::Text if effect == Effect::Apply && pass.settings.is_quiet() => Form::Failures,
        Format::Text => Form::Lines,
    };
    for part in report::parts(&plan, form) {
        pass.console.print(&part);
    }
    let has_failed = plan.items.iter().any(|item| item.has_failed() || item.obstacle().is_some());
    if has_failed || plan.refused > 0 || !plan.is_complete { exit::INCOMPLETE } else { 0 }
}

/// Reports what concerns all profiles: for whom `default` starts, and who has no slot.
fn warn(pass: &Pass<'_>, plan: &Plan) {
    if plan.items.iter().any(|item| item.decision == Decision::Start(StartReason::Others)) {
        let names = plan::names(plan.charges().map(ProfileName::text));
        pass.console.warn(format_args!(
            "default starts because its gateway serves profiles whose desired state is running: {names}"
        ));
    }
    let elsewhere = pass.elsewhere.borrow();
    if !elsewhere.is_empty() {
        pass.console.warn(format_args!(
            "gateways wrote their states within the last minute, and their processes are not here: killed, or another container uses this \
             volume, which only one may start gateways on; set HERMES_INIT_ROLE=frontend in the others: {}",
            plan::names(elsewhere.iter().map(String::as_str))
        ));
    }
    if let Some(sum) = report::sum(plan.others) {
        pass.console.warn(format_args!("profiles: {sum}"));
    }
    if plan.refused > 0 {
        let (count, why) = (plan.refused, &plan.no_capacity);
        pass.console.warn(format_args!("profiles without a slot: {count}: {why}"));
    }
}

/// Reports if no s6-svscan runs on the scan directory, so that nothing starts the slots.
fn warn_without_svscan(pass: &Pass<'_>) {
    let Some(scandir) = &pass.scandir else { return };
    let path = &pass.settings.scandir.value;
    match supervision::is_scanned(scandir) {
        // Only the owner of s6-svscan's files may be permitted to look.
        Ok(true) | Err(Errno::ACCESS | Errno::PERM) => (),
        Ok(false) => pass.console.warn(format_args!(
            "{}: gateways start when it does; outside a container, add --dry-run, which changes nothing",
            supervision::no_svscan(path)
        )),
        Err(errno) => pass.console.failed(&Error::new("check whether s6-svscan runs on", path, errno)),
    }
}

fn write_log(pass: &Pass<'_>, plan: &Plan, home: &Home) -> Result<()> {
    let (ownership, owner) = (pass.template.ownership, pass.settings.owner.value);
    let mut log = bootlog::open(home, pass.trusted, ownership, owner, &pass.patience)?;
    if let Err(error) = &log.rotation {
        pass.console.failed(error);
    }
    let stamp = Zone::reported(&pass.settings.lookup, pass.console).stamp(time::now());
    report::parts(plan, Form::Log(&stamp)).try_for_each(|part| log.append(&part))
}

/// Plans the pass, and notes which stale files it would remove.
fn dry_run(pass: &Pass<'_>) -> Plan {
    let mut plan = Plan::dry(pass);
    for item in &mut plan.items {
        let Some(profile) = item.with_slot() else { continue };
        let is_supervised = pass
            .scandir
            .as_ref()
            .is_some_and(|scandir| staging::is_supervised(scandir, profile.name.slot()).unwrap_or(true));
        if !profile.stale.is_empty() && !is_supervised && item.outcome == Outcome::Unchanged {
            item.outcome = Outcome::Changed;
        }
    }
    plan
}

fn apply(pass: &Pass<'_>, scandir: &Dir) -> Plan {
    let ownership = pass.template.ownership;
    let is_sealed = pass.template.policy.mode.is_sealed();
    let path = &pass.settings.scandir.value;
    if scandir.is_noexec() {
        pass.console.warn(format_args!(
            "{} is mounted noexec, so s6 cannot run any slot: mount it with exec",
            Shown(path.as_os_str().as_bytes())
        ));
    }
    // Sealing comes first: nobody else can replace what is made after it, and the lock is such a file.
    let mut is_complete = true;
    if is_sealed && ownership.is_root() {
        let open = scandir::seal(scandir, path, &pass.template.policy, ownership);
        is_complete = open.is_empty();
        for error in &open {
            pass.console.failed(error);
        }
    }
    let held = hold(pass, scandir);
    let swept = sweep(pass, &held);
    write_bootstrap(pass);
    if let Some(home) = &pass.home {
        let complete = || bootlog::complete(home, pass.trusted, ownership, pass.settings.owner.value);
        report_failure(pass, home.as_its_user(complete));
    }
    let mut plan = Plan::new(pass, Some(&swept.entries));
    let mut removed = stale::remove(pass, &held, &plan);
    let begin = Instant::now();
    for (place, item) in plan.items.iter_mut().enumerate() {
        carry_out(pass, &held, item, removed.remove(&place).unwrap_or(Ok(Removed::Nothing)));
    }
    note_slow_overlay(pass, scandir, begin.elapsed());
    plan.is_complete &= is_complete && swept.is_complete;
    if ownership.is_root() {
        let others = update_other_slots(pass, &held, &swept.entries.slots, &plan.items);
        plan.items.extend(others);
        if is_sealed && !pass.settings.is_s6_unprivileged() {
            plan.is_complete &= !has_foreign_services(pass, scandir, &swept.entries);
        }
    }
    // The hand-over comes last.
    if !is_sealed && ownership.is_root() {
        let handed_over = scandir::hand_over(scandir, path, &pass.template.policy, ownership);
        // What is not s6-svscan's own is refused by a rule; an errno leaves something undone.
        plan.is_complete &= handed_over.as_ref().err().and_then(Error::errno).is_none();
        report_failure(pass, handed_over);
    }
    plan
}

/// Reports that a tmpfs would be faster, if the slots are on overlayfs and took long: there a directory or a FIFO takes more than a
/// millisecond.
fn note_slow_overlay(pass: &Pass<'_>, scandir: &Dir, took: Duration) {
    if took > SLOW && space::of(scandir).is_ok_and(|space| space.kind == FileSystem::Overlayfs) {
        let path = Shown(pass.settings.scandir.value.as_os_str().as_bytes());
        let (seconds, tenths) = (took.as_secs(), took.subsec_millis() / 100);
        pass.console.note(format_args!(
            "{path} is on overlayfs, and the slots took {seconds}.{tenths} seconds: a tmpfs is faster, with docker and podman --tmpfs /run:exec"
        ));
    }
}

fn report_failure(pass: &Pass<'_>, done: Result<()>) {
    if let Err(error) = done {
        pass.console.failed(&error);
    }
}

/// What the scan directory has after the sweep.
#[derive(Default)]
struct Remaining {
    entries: Entries,
    /// Whether everything could be looked at.
    is_complete: bool,
}

/// Sweeps leftovers and dangling slots.
fn sweep(pass: &Pass<'_>, scandir: &Held<'_>) -> Remaining {
    let entries = match scandir::list(scandir).context("list", &pass.settings.scandir.value) {
        Ok(entries) => entries,
        Err(error) => {
            pass.console.failed(&error);
            return Remaining::default();
        }
    };
    let mut is_complete = true;
    for name in &entries.leftovers {
        match sweep_leftover(scandir, name, &pass.patience) {
            Ok(Swept::Gone) => (),
            Ok(Swept::Remains(error)) => pass.console.failed(&error),
            Err(error) => {
                pass.console.failed(&error);
                is_complete = false;
            }
        }
    }
    for name in &entries.dangling {
        if scandir::is_slot_name(name) {
            let removed = staging::hide_and_remove(scandir, name);
            report_failure(pass, removed.context("remove the dangling symlink", name));
        } else {
            let reason = "s6-svscan 2.12 and later starts no new service until it is removed";
            pass.console.failed(&Error::new("use the dangling symlink", name, reason));
        }
    }
    Remaining { entries, is_complete }
}

/// Removes a leftover. In a slot that is being unregistered, supervisors may only be starting.
fn sweep_leftover(scandir: &Held<'_>, name: &Name, patience: &Patience) -> Result<Swept> {
    if staging::is_unregistered(name)
        && let Some(slot) = present(scandir.dir(name)).context("inspect the leftover", name)?
        && !supervision::is_slot_held(&slot).context("inspect the leftover", name)?
        && let Err(error) = commands::reap(scandir, Some(&slot), patience)
    {
        return Ok(Swept::Remains(error));
    }
    staging::sweep(scandir, name)
}

fn write_bootstrap(pass: &Pass<'_>) {
    if let (Ok(Some(bootstrap)), Some(home)) = (pass.bootstrap, &pass.home) {
        let (ids, ownership) = (pass.settings.owner.value, pass.template.ownership);
        let attributes = Attributes { mode: 0o644, ids, ownership, durable: true };
        let write = || {
            let held = profile_files::hold(pass, &ProfileName::root(), &home.dir)?;
            bootstrap::write(bootstrap, time::now(), &held, attributes)
        };
        report_failure(pass, home.as_its_user(write));
    }
}

/// Carries out what is planned for one profile. `removed` is what has come of its stale files. A slot that could not be looked at is left as it
/// is.
fn carry_out(pass: &Pass<'_>, scandir: &Held<'_>, item: &mut Item, removed: Result<Removed>) {
    let Some(profile) = item.with_slot() else { return };
    let made = match item.slot {
        Slot::Unknown => return,
        slot => removed.and_then(|removed| {
            make(pass, scandir, profile, slot, item.default_state)?;
            Ok(removed)
        }),
    };
    match made {
        Ok(Removed::Nothing) => (),
        Ok(Removed::Files) => item.outcome = Outcome::Changed,
        Err(error) => item.outcome = pass.failed(profile.name.slot(), &error),
    }
}

/// Makes the slot of a profile.
fn make(
    pass: &Pass<'_>,
    scandir: &Held<'_>,
    profile: &Profile,
    slot: Slot,
    default_state: DefaultState,
) -> Result<()> {
    let name = &profile.name;
    let found = match slot {
        Slot::Foreign | Slot::Unknown => return Ok(()),
        Slot::Absent => SlotState::Absent,
        Slot::UpToDate => SlotState::UpToDate,
        Slot::Differs => SlotState::Differs,
    };
    let variables = match profile.variables {
        Variables::Kept(pages) => profile_files::kept_variables(pass, name, pages),
        Variables::Nothing | Variables::Unusable(_) => Vec::new(),
    };
    publish::publish(scandir, name, default_state, found, &variables, &pass.template)
}

/// Updates owners and modes of slots whose profile this pass has not found (deleted, or of another volume), so that they follow
/// the mode of the pass. Whether they are down stays. Returns the items of those that could not be updated.
fn update_other_slots(pass: &Pass<'_>, scandir: &Held<'_>, slots: &[Name], items: &[Item]) -> Vec<Item> {
    let done: BTreeSet<&Name> = items.iter().filter_map(Item::slot_name).map(ProfileName::slot).collect();
    let others = slots.iter().filter(|slot| !done.contains(slot));
    let names = others.filter_map(|slot| ProfileName::of_service(slot.bytes()));
    let failed = names.filter_map(|name| {
        let error = update_other_slot(pass, scandir, &name).err()?;
        let why = pass.console.reported(&error);
        Some(Item::new(name.text().as_bytes(), None, Decision::Unknown(why)))
    });
    failed.collect()
}

fn update_other_slot(pass: &Pass<'_>, scandir: &Held<'_>, name: &ProfileName) -> Result<()> {
    let Some(default_state) = other_slot(pass, scandir, name).context("inspect", name.slot())? else {
        return Ok(());
    };
    match check::inspect(scandir, name, default_state, &pass.template)? {
        found @ SlotState::Differs => {
            publish::publish(scandir, name, default_state, found, &[], &pass.template)
        }
        SlotState::Absent | SlotState::UpToDate => Ok(()),
    }
}

/// Returns the default state of a slot without a profile; `None` if its owner is right already.
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
    DefaultState::of(&slot).map(Some)
}

/// Sealed mode: reports services that another user can change. Returns whether there are any, or one cannot be looked at.
fn has_foreign_services(pass: &Pass<'_>, scandir: &Dir, entries: &Entries) -> bool {
    let error = |name: &Name| match scandir::owner_of(scandir, name) {
        Ok(ids) if ids.uid == pass.template.policy.slot_owner.uid => None,
        Ok(_) => {
            let reason = "it does not belong to root, and s6-svscan runs it as root: remove it or change its owner to root";
            Some(Error::new("restrict access to the service", name, reason))
        }
        Err(Reason::Errno(Errno::NOENT)) => None,
        Err(reason) => Some(Error::new("inspect the service", name, reason)),
    };
    let errors: Vec<_> = entries.slots.iter().chain(&entries.others).filter_map(error).collect();
    for error in &errors {
        pass.console.failed(error);
    }
    !errors.is_empty()
}
