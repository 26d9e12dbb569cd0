//! `status` and `health`: every gateway, and the static services that are the hermes user's to command, side by side. They change
//! nothing; any user who may read can run them. `query` asks, `judge` and `note` decide what is said, `render` prints.

mod dying;
mod hosted;
mod judge;
mod log_keeping;
#[cfg(test)]
mod model;
mod note;
mod query;
mod remedy;
mod render;
mod row;

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{names, record};
use crate::boot::reconcile::{self, Asked, Item, Plan};
use crate::output::escape::FromVolume;
use crate::output::{Console, Context, Error, Format, Result, exit};
use crate::s6::deaths::Death;
use crate::s6::profile_name::PREFIX;
use crate::s6::scandir::{Ages, Entries};
use crate::s6::{ProfileName, scandir, supervision};
use crate::settings::zone::Zone;
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Name, Reason, proc};
use crate::volume::Home;
use crate::volume::bootlog::{self, LastBoots};
use crate::volume::home::Trusted;
pub use hosted::why_not_served;
use judge::Fault;
use note::Note;
use query::{FrontEnd, Query};
use remedy::{Remedy, Words};
use render::Line;
use row::{LOOP, OrphanProfile, Row, Shown, Supervision};

/// The arguments of `status` and `health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// The command.
    pub question: Question,
    /// The names that are asked for; all if there are none.
    pub names: Vec<OsString>,
    /// The form of the answer.
    pub format: Format,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// How everything is.
    Status,
    /// What is not as it should be.
    Health {
        /// Minimum uptime of what should be up, in seconds.
        min_up: u64,
    },
}

impl Question {
    fn min_up(self) -> u64 {
        match self {
            Question::Status => 0,
            Question::Health { min_up } => min_up,
        }
    }
}

/// Runs one of the two commands. Returns its exit code.
pub fn run(args: &Args, console: &Console) -> u8 {
    answer(args, console).unwrap_or_else(|error| console.fatal(&error))
}

fn answer(args: &Args, console: &Console) -> Result<u8> {
    let settings = Settings::gather(&args.overrides, console)?;
    let path = &settings.scandir.value;
    let scandir = match Dir::at(path) {
        // s6-svscan does not run.
        Err(Reason::Errno(Errno::NOENT)) => None,
        scandir => Some(scandir.context("open", path)?),
    };
    let entries = match &scandir {
        None => Entries::default(),
        Some(dir) => scandir::list(dir).context("list", path)?,
    };
    let is_health = args.question != Question::Status;
    // What is wrong with other profiles is not the answer to a question about some.
    let silent = console.silent();
    let reporter = if args.names.is_empty() && !is_health { console } else { &silent };
    let home = record::home(&settings);
    let front_end =
        FrontEnd { settings: &settings, overrides: &args.overrides, console, found: OnceCell::new() };
    let ages = Ages::of(scandir.as_ref(), &entries.slots);
    let is_of_this_boot = |moment| ages.reach_back_to(moment);
    let look = |names: &[OsString]| -> Result<Found<'_>> {
        let plan = match plan(&home, &settings, reporter, &|| front_end.why().is_some(), names) {
            Err(error) if is_health => return Err(error),
            Err(error) => {
                console.failed(&error);
                None
            }
            Ok(plan) => Some(plan),
        };
        let boot_log = home.as_ref().map_or_else(
            |_| LastBoots::none(),
            |home| boot_log(home, plan.as_ref(), &entries, &is_of_this_boot),
        );
        let query = Query {
            settings: &settings,
            room: OnceCell::new(),
            scandir: scandir.as_ref(),
            slots: &entries.slots,
            boot_log,
            front_end: &front_end,
            is_scanned: OnceCell::new(),
            console,
            home: home.as_ref().ok(),
            host: OnceCell::new(),
            makes_pauses: OnceCell::new(),
            svc: OnceCell::new(),
            is_default_in_foreground: plan.as_ref().is_some_and(Plan::is_default_in_foreground),
        };
        let rows = rows(&query, plan.as_ref(), &entries, names);
        Ok(Found { plan, query, rows })
    };
    let mut found = look(&args.names)?;
    // What is said of a name that nothing has is about all others, too.
    if found.plan.is_some() && !args.names.iter().all(|name| found.has_row(name)) {
        found = look(&[])?;
    }
    let Found { plan, query, rows } = &mut found;
    if let Some(more) = plan.as_ref().map(|plan| plan.not_profiles.more).filter(|more| *more > 0) {
        reporter.note(format_args!("{more} more directories in profiles have no SOUL.md"));
    }
    if args.names.is_empty()
        && let Some(more) = plan.as_ref().and_then(Plan::refused_unnamed)
    {
        console.note(format_args!("{more}"));
    }
    for error in query.boot_log.errors() {
        console.failed(error);
    }
    let mut least = 0;
    // What is there of a profile is not known without the volume.
    for name in args.names.iter().filter(|_| home.is_ok()) {
        if let Some(error) = unknown(&settings, plan.as_ref(), name, rows) {
            console.warn(format_args!("{error}"));
            least = exit::INCOMPLETE;
        }
    }
    rows.retain(|row| is_asked(&args.names, &row.name));
    Ok(say(args, console, &found).max(least))
}

/// Judges what was found, and prints it. Returns the exit code.
fn say(args: &Args, console: &Console, Found { plan, query, rows }: &Found<'_>) -> u8 {
    let (mut code, is_health) = (0, args.question != Question::Status);
    let min_up = args.question.min_up();
    let program = console.program();
    let is_of_the_question = |fault: &Fault| is_health || !matches!(fault, Fault::Unseen(_));
    let judge = |row| judge::judge(row, min_up).filter(is_of_the_question);
    let judged: Vec<_> = rows.iter().map(|row| (row, judge(row))).collect();
    if judged.iter().any(|(row, fault)| row.failed_look().is_some() || (is_health && fault.is_some())) {
        code = exit::INCOMPLETE;
    }
    // A health check runs again and again, and prints hardly a time.
    let silent = console.silent();
    let zone = Zone::reported(&query.settings.lookup, if is_health { &silent } else { console });
    let is_shown = |(_, fault): &&(&Row, Option<Fault>)| !is_health || fault.is_some();
    let lines: Vec<_> = judged
        .iter()
        .filter(is_shown)
        .map(|(row, fault)| {
            let line = line(query, &zone, &program, row, fault.as_ref());
            if is_health { of_health(line, min_up) } else { line }
        })
        .collect();
    console.print(&match (args.format == Format::Json, is_health) {
        (true, _) => render::objects(&lines),
        (_, true) => render::notes(&lines),
        _ => render::table(&lines),
    });
    let is_unseen = judged.iter().filter_map(|(_, fault)| fault.as_ref()).any(Fault::is_ignorance);
    if plan.is_none() || (is_health && is_unseen) {
        code = exit::SYSTEM;
    }
    let is_complete =
        plan.as_ref().is_some_and(|plan| plan.is_complete) && query.boot_log.is_newest_pass_known();
    if is_health && !is_complete {
        console.warn(format_args!("not everything could be inspected: {program} status says why"));
        code = exit::SYSTEM;
    }
    code
}

/// Returns whether a service with these deaths that count keeps dying, if it has the order to be up.
pub fn is_loop(counted: &[Death], now: i64) -> bool {
    dying::recent(counted.iter(), now) >= LOOP
}

/// What was found of the names that are asked for.
struct Found<'a> {
    /// What the next boot would do; `None` if that is not known, which is reported.
    plan: Option<Plan>,
    query: Query<'a>,
    rows: Vec<Row>,
}

impl Found<'_> {
    fn has_row(&self, name: &OsStr) -> bool {
        self.rows.iter().any(|row| row.name == name.as_bytes())
    }
}

/// Returns whether a name is asked for: one of these, or any if there are none.
fn is_asked(names: &[OsString], name: &[u8]) -> bool {
    names.is_empty() || names.iter().any(|asked| asked.as_bytes() == name)
}

/// Returns what the next boot would do with these names, all if there are none, given `HERMES_HOME`.
fn plan(
    home: &Result<(Home, Trusted)>,
    settings: &Settings,
    reporter: &Console,
    is_front_end: &dyn Fn() -> bool,
    names: &[OsString],
) -> Result<Plan> {
    home.as_ref().map_err(Clone::clone)?;
    let asked = Asked::named(names.iter().map(|name| name.as_bytes()));
    reconcile::forecast(settings, reporter, is_front_end, asked)
}

/// Reads what the boot log tells of all that has a row.
fn boot_log<'a>(
    (home, trusted): &(Home, Trusted),
    plan: Option<&Plan>,
    entries: &Entries,
    is_of_this_boot: &'a dyn Fn(i64) -> bool,
) -> LastBoots<'a> {
    let items = plan.iter().flat_map(|plan| &plan.items).map(|item| item.name.as_slice());
    let others = plan.iter().flat_map(|plan| plan.without_slot.iter().chain(&plan.not_profiles.names));
    let profiles = items.chain(others.map(Name::bytes)).chain(entries.slots.iter().map(profile_of));
    let started = proc::first_started();
    home.as_its_user(|| Ok(bootlog::read(home, *trusted, started, is_of_this_boot, profiles)))
        .unwrap_or_else(LastBoots::from)
}

/// Returns the name of the profile of a slot, as far as one can have this slot.
fn profile_of(slot: &Name) -> &[u8] {
    slot.bytes().strip_prefix(PREFIX.as_bytes()).unwrap_or_default()
}

/// Returns what is said of a name that none of the rows has.
fn unknown(settings: &Settings, plan: Option<&Plan>, name: &OsStr, rows: &[Row]) -> Option<String> {
    let name = name.as_bytes();
    if rows.iter().any(|row| row.name == name) {
        return None;
    }
    match (query::find_profile(settings, name), plan) {
        (OrphanProfile::Unknown(error), _) => return Some(error),
        (OrphanProfile::Remains, _) => {
            let name = ProfileName::parse(name).ok()?;
            return record::has_profile(settings, &name).err().map(|error| error.to_string());
        }
        // One of the many that are only counted.
        (OrphanProfile::New, Some(plan)) if plan.refused_unnamed > 0 => {
            let shown = Path::new(OsStr::from_bytes(name));
            let reason = format!("its profile has no slot: {}", plan.no_capacity);
            return Some(Error::no_such("gateway", shown, reason).to_string());
        }
        _ => (),
    }
    let root = ProfileName::root();
    if name == root.text().as_bytes() {
        let reason = "it has no slot, and was never started";
        return Some(Error::no_such("gateway", root.text(), reason).to_string());
    }
    let known = rows.iter().filter_map(|row| str::from_utf8(&row.name).ok());
    let near = names::near(name, [root.text()].into_iter().chain(known).take(names::COMPARED));
    Some(names::unknown(settings, name, near.first().copied()).to_string())
}

/// Returns whether a remedy makes or removes a slot, or has s6-svscan scan.
fn needs_slot(query: &Query<'_>, row: &Row, remedy: Remedy) -> bool {
    let is_unsupervised = matches!(row.supervision, Supervision::NoSlot(_) | Supervision::Unsupervised);
    match remedy {
        Remedy::Unregister => true,
        Remedy::StartDefault => query.is_default_unsupervised(),
        _ => is_unsupervised && !row.is_of_default(),
    }
}

/// Returns a row with the texts that are said of it.
fn line<'a>(
    query: &Query<'_>,
    zone: &Zone<'_>,
    program: &str,
    row: &'a Row,
    fault: Option<&Fault>,
) -> Line<'a> {
    let mut message = judge::message(row, fault);
    let reason = note::reason(row);
    let is_waiting = row.shown() == Shown::Unsupervised && reason.is_some();
    let needs_svscan = message.as_ref().is_some_and(Note::needs_svscan) || is_waiting;
    let lacks_svscan = needs_svscan && !query.is_scanned();
    let remedy = message.as_ref().and_then(|message| message.remedy);
    let lacks_room = !lacks_svscan && remedy.is_some_and(|remedy| needs_slot(query, row, remedy));
    let no_room = if lacks_room { query.no_room(row) } else { None };
    if lacks_svscan || no_room.is_some() {
        message = message.map(Note::without_remedy);
    }
    let note = message.map(|note| {
        let name = FromVolume(&row.name).to_string();
        let directory = row.directory.as_ref().map(|path| FromVolume::path(path).to_string());
        let remedy = note.remedy.map(|remedy| {
            let directory = directory.as_deref().unwrap_or_default();
            let is_roots = query.is_sealed_to_us() && needs_slot(query, row, remedy);
            let is_foreground = query.is_default_in_foreground;
            let svc = if remedy == Remedy::RenewLogger { query.svc() } else { "" };
            remedy.text(&Words { program, name: &name, svc, directory, is_roots, is_foreground })
        });
        let until = note.until.map(|until| format!("; waiting, starts again at {}", zone.stamp(until)));
        format!("{}{}{}", note.what, remedy.unwrap_or_default(), until.unwrap_or_default())
    });
    let absence = lacks_svscan.then(|| supervision::no_svscan(&query.settings.scandir.value)).or(no_room);
    Line { row, reason, note, absence, since: row.state().map(|state| zone.stamp(state.since)) }
}

/// Returns a line as `health` has it, which says faults alone: what else there is to say of a row that lacks something is none.
fn of_health(line: Line<'_>, min_up: u64) -> Line<'_> {
    let is_noted = line.reason.is_none() || judge::is_fault_by_itself(line.row, min_up);
    Line { note: line.note.filter(|_| is_noted), ..line }
}

/// Returns the rows of these names, all if there are none: the profiles in the boot pass's order, the slots without a profile, directories
/// that are no profiles, the static services.
fn rows(query: &Query<'_>, plan: Option<&Plan>, entries: &Entries, names: &[OsString]) -> Vec<Row> {
    let slots = &entries.slots;
    // A profile that cannot be read may have a slot too.
    let slot_of = |name: &[u8]| {
        let name = ProfileName::parse(name).ok()?;
        slots.binary_search(name.slot()).ok().and_then(|place| slots.get(place))
    };
    let mut with_profile: Vec<&Name> = Vec::new();
    let mut rows = Vec::new();
    if let Some(plan) = plan {
        let refused: Vec<Item> = plan.refused_items().collect();
        for item in plan.items.iter().chain(&refused) {
            let slot = slot_of(&item.name);
            with_profile.extend(slot);
            if is_asked(names, &item.name) && (slot.is_some() || !query::is_unused_root(item)) {
                rows.push(query.profile(plan, item, slot));
            }
        }
    }
    with_profile.sort_unstable();
    let is_orphan =
        |slot: &&Name| is_asked(names, profile_of(slot)) && with_profile.binary_search(slot).is_err();
    let orphans = slots.iter().filter(is_orphan);
    rows.extend(orphans.filter_map(|slot| query.orphan(profile_of(slot), slot)));
    // One that has a slot is among those without a profile; one whose name no profile can have is nothing of ours.
    let is_candidate = |name: &&Name| {
        ProfileName::parse(name.bytes()).is_ok_and(|name| !name.is_root()) && slot_of(name.bytes()).is_none()
    };
    let not_profiles = plan.map(|plan| plan.not_profiles.names.as_slice()).unwrap_or_default();
    let is_asked = |name: &&Name| is_asked(names, name.bytes());
    rows.extend(
        not_profiles.iter().filter(is_asked).filter(is_candidate).map(|name| query.not_profile(name)),
    );
    rows.extend(entries.others.iter().filter(is_asked).filter_map(|name| query.service(name)));
    rows
}
