//! `status`: every slot and every profile, side by side. Changes nothing; any user who may read can run it.

mod render;

use std::cell::OnceCell;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::{REFUSED, request};
use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Result};
use crate::reconcile;
use crate::reconcile::action::{Action, Verdict};
use crate::role::ContainerCommand;
use crate::s6;
use crate::settings::Settings;
use crate::show::FromVolume;
use crate::slot::layout::LOG;
use crate::slot::name::PREFIX;
use crate::slot::{ProfileName, backoff, probe, scandir, tally};
use crate::sys::{Dir, Errno, Name, Ownership, Reason, time};
use crate::volume::home::Trusted;
use crate::volume::{Home, bootlog};

/// Time in which two deaths of a logger are worth a note, in seconds: one that cannot work ends once a minute.
const RECENT: i64 = 180;

/// Runs the command. Returns its exit code.
pub fn run(options: &Options, console: &Console) -> u8 {
    match status(options, console) {
        Ok(code) => code,
        Err(error) => console.fatal(error),
    }
}

fn status(options: &Options, console: &Console) -> Result<u8> {
    let settings = Settings::gather(options, console)?;
    let path = &settings.scandir.value;
    let label = path.as_os_str().as_bytes();
    let scandir = match Dir::at(path) {
        // s6-svscan does not run.
        Err(Errno::NOENT) => None,
        scandir => Some(scandir.context("open", label)?),
    };
    let slots = match &scandir {
        None => Vec::new(),
        Some(dir) => scandir::survey(dir).context("list", label)?.slots,
    };
    // What is wrong with other profiles is not the answer to a question about some.
    let silent = console.silent();
    let reporter = if options.operands.is_empty() { console } else { &silent };
    let forecasts = match reconcile::forecast(&settings, reporter) {
        Ok(forecasts) => forecasts,
        Err(error) => {
            console.failed(error);
            Vec::new()
        }
    };
    let (last_boot, is_log_complete) = last_boot(&settings, console);
    let view = View {
        settings: &settings,
        options,
        console,
        frontend: OnceCell::new(),
        scandir,
        program: console.program(),
        last_boot,
        is_log_complete,
        now: time::now(),
    };
    let rows = view.rows(&slots, &forecasts)?;
    let mut code = 0;
    for name in &options.operands {
        let name = name.as_bytes();
        if rows.iter().any(|row| row.profile == name) {
            continue;
        }
        let (shown, program) = (FromVolume(name), &view.program);
        match has_profile(&settings, name) {
            Some(Err(error)) => console.failed(error),
            _ => console.warn(format_args!("no such gateway {shown}; {program} register makes one")),
        }
        code = REFUSED;
    }
    if rows.iter().any(|row| row.failed) {
        code = REFUSED;
    }
    console.print(&if options.json { render::objects(&rows) } else { render::table(&rows) });
    Ok(code)
}

/// Returns the lines of the boot log in byte order of the profiles, the newest first for each, and whether all of the log could be read.
/// What could not is reported, and leaves the column empty.
fn last_boot(settings: &Settings, console: &Console) -> (Vec<bootlog::Entry>, bool) {
    let trusted = Trusted::new(settings.owner.value, &Ownership::new());
    // The forecast has reported what is wrong with HERMES_HOME itself.
    let Ok(home) = Home::open(&settings.home.value, trusted) else { return (Vec::new(), false) };
    let _acting = home.enter();
    let mut is_complete = true;
    let mut entries = bootlog::entries(&home, trusted, &mut |error| {
        console.failed(error);
        is_complete = false;
    });
    entries.sort_unstable_by(|one, other| (&one.profile, one.age).cmp(&(&other.profile, other.age)));
    (entries, is_complete)
}

/// A row of the table. A field that is not known is empty.
struct Row {
    profile: Vec<u8>,
    slot: Vec<u8>,
    state: &'static str,
    pid: String,
    since: String,
    wanted: &'static str,
    last_boot: String,
    note: String,
    /// Whether the service could not be asked; the note says why.
    failed: bool,
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
    last_boot: Vec<bootlog::Entry>,
    /// Whether all of the boot log could be read.
    is_log_complete: bool,
    now: i64,
}

impl View<'_> {
    /// Returns the rows that are asked for: the profiles in the boot pass's order, then the slots without a profile.
    fn rows(&self, slots: &[Name], forecasts: &[Action]) -> Result<Vec<Row>> {
        let mut with_profile = Vec::new();
        let mut rows = Vec::new();
        let names = &self.options.operands;
        let mut add = |row: Row| {
            if names.is_empty() || names.iter().any(|name| name.as_bytes() == row.profile) {
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
            // The root profile is on every volume, also on an unused one.
            if slot.is_some() || !is_unused_root(forecast) {
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
        Ok(rows)
    }

    /// Completes the row of a profile.
    fn profile(&self, row: &mut Row, forecast: &Action, slot: Option<&Name>) -> Result<()> {
        row.wanted = match forecast {
            Action { verdict: Verdict::Started, .. } => "up",
            Action { folded: true, served: true, .. } => "by default",
            Action { verdict: Verdict::Skipped(_), .. } => "",
            _ if forecast.has_failed() => "unknown",
            _ => "down",
        };
        if let Some(slot) = slot {
            self.query(row, slot)?;
            // What its gateway is refused explains what else there is to say.
            if row.note.is_empty() || forecast.obstacle.is_some() {
                row.note = forecast.reason().unwrap_or_default();
            }
        } else if let Some(why) = forecast.verdict.reason() {
            why.clone_into(&mut row.note);
        } else if let Some(why) = self.frontend() {
            row.wanted = "";
            why.clone_into(&mut row.note);
        } else {
            let what = self.why_missing(&row.profile);
            row.note = if forecast.served {
                format!("{what}: the gateway of default serves it")
            } else {
                self.advice(row, what, "start")
            };
        }
        Ok(())
    }

    /// Returns why no gateway belongs in this container, if it is a front end's.
    fn frontend(&self) -> Option<&str> {
        let look = || {
            let role = self.settings.role(self.options, self.console)?;
            reconcile::frontend(&role, &ContainerCommand::default())
        };
        let found = self.frontend.get_or_init(|| {
            look().unwrap_or_else(|error| {
                self.console.failed(error);
                None
            })
        });
        found.as_deref()
    }

    /// Returns why a profile has no slot, as far as the boot log shows. All lines of one boot have the same time.
    fn why_missing(&self, profile: &[u8]) -> &'static str {
        let root = self.boot_of(ProfileName::root().text().as_bytes());
        match self.boot_of(profile).filter(|entry| root.is_none_or(|root| root.time == entry.time)) {
            Some(entry) if matches!(&*entry.action, b"started" | b"registered") => {
                "the slot that the last boot made is gone"
            }
            Some(_) => "the last boot made no slot",
            None if !self.is_log_complete => "it has no slot",
            None => "made since the last boot",
        }
    }

    /// Returns the newest line of the boot log for a profile.
    fn boot_of(&self, profile: &[u8]) -> Option<&bootlog::Entry> {
        let shown = FromVolume(profile).to_string();
        // The newest line of a profile is its first one.
        let place = self.last_boot.partition_point(|entry| entry.profile.as_slice() < shown.as_bytes());
        self.last_boot.get(place).filter(|entry| entry.profile == shown.as_bytes())
    }

    /// Completes the row of a slot without a profile.
    fn orphan(&self, row: &mut Row, slot: &Name) -> Result<()> {
        self.query(row, slot)?;
        if row.state == "unknown" && !row.note.is_empty() {
            return Ok(());
        }
        row.note = match has_profile(self.settings, &row.profile) {
            Some(Ok(false)) => self.advice(row, "its profile is gone", "unregister"),
            Some(Err(error)) => {
                row.wanted = "unknown";
                error.to_string()
            }
            // A new one.
            Some(Ok(true)) => return Ok(()),
            None => "no profile can have this slot".to_owned(),
        };
        Ok(())
    }

    fn row(&self, profile: &[u8]) -> Row {
        let mut last_boot = String::new();
        if let Some(bootlog::Entry { action, time, .. }) = self.boot_of(profile) {
            last_boot = format!("{} {}", FromVolume(action), FromVolume(time));
        }
        Row {
            profile: profile.to_vec(),
            slot: Vec::new(),
            state: "no slot",
            pid: String::new(),
            since: String::new(),
            wanted: "",
            last_boot,
            note: String::new(),
            failed: false,
        }
    }

    /// Returns a note with the command that helps.
    fn advice(&self, row: &Row, what: &str, command: &str) -> String {
        format!("{what}: {} {command} {}", self.program, FromVolume(&row.profile))
    }

    fn stamp(&self, time: i64) -> String {
        reconcile::stamp(&self.settings.lookup, time)
    }

    /// Returns what is wrong with a gateway that is up for s6, as far as this user may look: it makes a pause, or its logger dies.
    fn trouble(&self, slot: &Dir) -> Option<String> {
        if let Ok(Some(pause)) = backoff::pause(slot)
            && pause.until > self.now
            && self.settings.lookup.makes_pauses(self.console).unwrap_or(true)
        {
            return Some(format!(
                "dies again and again: waiting, starts again at {}",
                self.stamp(pause.until)
            ));
        }
        let deaths = tally::read(&slot.passage(&LOG).ok()?).ok()?;
        let second = deaths.iter().rev().nth(1)?;
        let is_recent = self.now.saturating_sub(second.time) < RECENT;
        is_recent.then(|| "its logger dies again and again: the container's log says why".to_owned())
    }

    /// Asks s6 about a slot.
    fn query(&self, row: &mut Row, slot: &Name) -> Result<()> {
        let path = s6::path_of(&self.settings.scandir.value, slot.bytes());
        row.slot = path.into_os_string().into_vec();
        let Some(scandir) = &self.scandir else { return Ok(()) };
        row.state = "unknown";
        let dir = match scandir.passage(slot) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = scandir.meta(slot).context("look at", slot)?.kind;
                row.note = format!("{}, not a slot: leave it to what has made it", kind.text());
                return Ok(());
            }
            Err(errno) => {
                row.note = Reason::from(errno).to_string();
                row.failed = true;
                return Ok(());
            }
            Ok(dir) => dir,
        };
        if matches!(probe::is_held(&dir), Ok(false)) {
            row.state = "unsupervised";
            row.note = self.advice(row, "s6-svscan does not know it yet", "start");
        } else if ProfileName::of_service(slot.bytes()).is_some() {
            match s6::svstat(&dir) {
                Ok(Some(stat)) => {
                    row.state = if stat.up { "up" } else { "down" };
                    if let Some(pid) = stat.pid {
                        row.pid = pid.to_string();
                    }
                    row.since = self.stamp(stat.time());
                    if stat.up
                        && let Some(trouble) = self.trouble(&dir)
                    {
                        row.note = trouble;
                    }
                }
                Ok(None) => row.state = "unsupervised",
                Err(error) => {
                    row.note = error.to_string();
                    row.failed = true;
                }
            }
        }
        Ok(())
    }
}

/// Returns whether there is a profile with this name; `None` if none can have it.
// Out of line: its callers would each get a copy.
#[inline(never)]
fn has_profile(settings: &Settings, name: &[u8]) -> Option<Result<bool>> {
    let name = ProfileName::parse(name).ok()?;
    Some(request::directory(settings, &name).map(|dir| dir.is_some()))
}

fn is_unused_root(forecast: &Action) -> bool {
    forecast.name.as_ref().is_some_and(ProfileName::is_root)
        && forecast.prior.word.is_none()
        && forecast.trouble.is_none()
}
