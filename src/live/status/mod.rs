//! `status` and `health`: every gateway, and the static services that are the hermes user's to command, side by side. Change
//! nothing; any user who may read can run them.

mod note;
mod query;
mod render;
mod row;

use std::cell::OnceCell;
use std::os::unix::ffi::OsStrExt;

use super::record;
use crate::boot::reconcile::action::Action;
use crate::boot::reconcile::{self, Plan};
use crate::cli::{Command, Options};
use crate::output::Console;
use crate::output::escape::FromVolume;
use crate::output::exit;
use crate::output::{Context, Result};
use crate::s6::profile_name::PREFIX;
use crate::s6::scandir::Entries;
use crate::s6::{ProfileName, scandir};
use crate::settings::Settings;
use crate::sys::{Dir, Errno, Name, time};
use crate::volume::bootlog::{self, Entry, LastBoots};
use row::{NO_SLOT, Row};

/// Runs one of the two commands. Returns its exit code.
pub fn run(command: Command, options: &Options, console: &Console) -> u8 {
    match look(command, options, console) {
        Ok(code) => code,
        Err(error) => console.fatal(&error),
    }
}

fn look(command: Command, options: &Options, console: &Console) -> Result<u8> {
    let settings = Settings::gather(options, console)?;
    let path = &settings.scandir.value;
    let label = path.as_os_str().as_bytes();
    let scandir = match Dir::at(path) {
        // s6-svscan does not run.
        Err(Errno::NOENT) => None,
        scandir => Some(scandir.context("open", label)?),
    };
    let entries = match &scandir {
        None => Entries::default(),
        Some(dir) => scandir::list(dir).context("list", label)?,
    };
    let is_health = command == Command::Health;
    // What is wrong with other profiles is not the answer to a question about some.
    let silent = console.silent();
    let reporter = if options.operands.is_empty() && !is_health { console } else { &silent };
    let (forecasts, no_profiles, is_complete) = match reconcile::forecast(&settings, reporter) {
        Ok(Plan { actions, no_profiles, more_no_profiles, is_complete, .. }) => {
            if more_no_profiles > 0 {
                reporter
                    .note(format_args!("{more_no_profiles} more directories of profiles have no SOUL.md"));
            }
            (actions, no_profiles, is_complete)
        }
        Err(error) if is_health => return Err(error),
        Err(error) => {
            console.failed(&error);
            (Vec::new(), Vec::new(), false)
        }
    };
    let (last_boot, is_log_complete) = last_boot(&settings, console);
    let mut view = View {
        settings: &settings,
        options,
        console,
        frontend: OnceCell::new(),
        scandir,
        program: console.program(),
        last_boot,
        root_boot: String::new(),
        is_log_complete,
        now: time::now(),
    };
    view.root_boot = view.row(ProfileName::root().text().as_bytes()).last_boot;
    let mut rows = view.rows(&entries, &forecasts, &no_profiles)?;
    let mut code = 0;
    for name in &options.operands {
        let name = name.as_bytes();
        if rows.iter().any(|row| row.name == name) {
            continue;
        }
        let (shown, program) = (FromVolume(name), &view.program);
        match note::has_profile(&settings, name) {
            Some(Err(error)) => console.failed(&error),
            _ => console.warn(format_args!("no such gateway {shown}; {program} register makes one")),
        }
        code = exit::INCOMPLETE;
    }
    if rows.iter().any(|row| row.failed || (is_health && row.fault)) {
        code = exit::INCOMPLETE;
    }
    if is_health {
        rows.retain(|row| row.fault);
    }
    let text = match (options.json, is_health) {
        (true, _) => render::objects(&rows),
        (_, true) => render::notes(&rows),
        _ => render::table(&rows),
    };
    console.print(&text);
    if is_health && !(is_complete && view.is_log_complete) {
        console.warn(format_args!("not everything could be looked at: {} status says why", view.program));
        code = exit::SYSTEM;
    }
    Ok(code)
}

/// Returns what the boot log says of each profile, and whether all of it could be read. What could not is reported, and leaves the
/// column empty.
fn last_boot(settings: &Settings, console: &Console) -> (LastBoots, bool) {
    // The forecast has reported what is wrong with HERMES_HOME itself.
    let Ok((home, trusted)) = record::home(settings) else { return (LastBoots::default(), false) };
    let boots = home.as_its_user(|| Ok(bootlog::read(&home, trusted))).unwrap_or_else(LastBoots::from);
    for error in &boots.errors {
        console.failed(error);
    }
    let is_complete = boots.errors.is_empty();
    (boots, is_complete)
}

struct View<'a> {
    settings: &'a Settings,
    options: &'a Options,
    console: &'a Console,
    /// Why no gateway belongs in this container; not looked for yet.
    frontend: OnceCell<Option<String>>,
    scandir: Option<Dir>,
    /// How notes call the executable.
    program: String,
    last_boot: LastBoots,
    /// What the last boot did with the root profile, and when; empty if that is not known.
    root_boot: String,
    /// Whether all of the boot log could be read.
    is_log_complete: bool,
    now: i64,
}

impl View<'_> {
    /// Returns the rows that are asked for: the profiles in the boot pass's order, the slots without a profile, the static services.
    fn rows(&self, entries: &Entries, forecasts: &[Action], no_profiles: &[Name]) -> Result<Vec<Row>> {
        let slots = &entries.slots;
        let mut with_profile = Vec::new();
        let mut rows = Vec::new();
        let names = &self.options.operands;
        let mut add = |row: Row| {
            if names.is_empty() || names.iter().any(|name| name.as_bytes() == row.name) {
                rows.push(row);
            }
        };
        for forecast in forecasts {
            // A profile that cannot be read may have a slot too.
            let name = ProfileName::parse(&forecast.profile).ok();
            let place = name.and_then(|name| slots.binary_search(name.slot()).ok());
            let slot = place.and_then(|place| slots.get(place));
            if let Some(slot) = slot {
                with_profile.push(slot.clone());
            }
            if slot.is_some() || !note::is_unused_root(forecast) {
                let mut row = self.row(&forecast.profile);
                self.profile(&mut row, forecast, slot)?;
                add(row);
            }
        }
        with_profile.sort_unstable();
        for slot in slots {
            if with_profile.binary_search(slot).is_err() {
                let mut row = self.row(slot.bytes().strip_prefix(PREFIX.as_bytes()).unwrap_or_default());
                self.orphan(&mut row, slot)?;
                add(row);
            }
        }
        for name in no_profiles {
            // One that has a slot is among those without a profile; one whose name no profile can have is nothing of ours.
            let is_open = |name: ProfileName| !name.is_root() && slots.binary_search(name.slot()).is_err();
            if ProfileName::parse(name.bytes()).is_ok_and(is_open) {
                let mut row = self.row(name.bytes());
                let what = "there is no SOUL.md in it, so it is no profile; put the file back, then";
                row.note = self.advice(&row, what, "start");
                add(row);
            }
        }
        for name in &entries.others {
            let mut row = Row { name: name.bytes().to_vec(), ..Row::default() };
            if self.static_service(&mut row, name) {
                self.judge_static(&mut row);
                add(row);
            }
        }
        Ok(rows)
    }

    /// Decides whether a static service is as s6 has the order to keep it.
    fn judge_static(&self, row: &mut Row) {
        if row.state == row::UP && !row.failed {
            self.is_new(row);
        } else if row.failed || row.is_ordered || row.state == row::UNSUPERVISED {
            row.blame("it is not up; the container's log says why");
        } else if let Some(why) = self.why_permanent(row) {
            row.blame(&why);
        }
    }

    fn row(&self, profile: &[u8]) -> Row {
        let mut last_boot = String::new();
        if let Some(Entry { action, time }) = self.last_boot.of(profile) {
            last_boot = format!("{action} {time}");
        }
        Row { name: profile.to_vec(), state: NO_SLOT, last_boot, ..Row::default() }
    }

    /// Returns a note with the command that helps.
    fn advice(&self, row: &Row, what: &str, command: &str) -> String {
        format!("{what}: {} {command} {}", self.program, FromVolume(&row.name))
    }

    fn stamp(&self, time: i64) -> String {
        reconcile::stamp(&self.settings.lookup, time)
    }
}
