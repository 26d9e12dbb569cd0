//! `status`: every slot and every profile, side by side. Read-only, as any user who may read.

use std::ffi::CStr;
use std::fmt::Write;

use super::{REFUSED, path_of, s6};
use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Result};
use crate::reconcile::{self, Forecast};
use crate::settings::Settings;
use crate::show::{OrNull, Quoted, Shown};
use crate::slot::name::PREFIX;
use crate::slot::{ProfileName, probe, scandir};
use crate::sys::keep::{self, Bytes};
use crate::sys::{Chowner, Dir, Errno, Name, time};
use crate::volume::home::Trusted;
use crate::volume::{Home, bootlog};

/// Runs the command; its exit code.
pub fn run(options: &Options, argv0: &'static CStr, console: &Console) -> u8 {
    match status(options, argv0, console) {
        Ok(code) => code,
        Err(error) => console.fatal(&error),
    }
}

fn status(options: &Options, argv0: &'static CStr, console: &Console) -> Result<u8> {
    let settings = Settings::gather(options, console)?;
    let path = settings.scandir.value;
    let label = path.to_bytes();
    let slots = match Dir::at(path) {
        // s6-svscan does not run: there is nothing to show of it.
        Err(Errno::NOENT) => Vec::new(),
        Err(errno) => return Err(crate::error::Error::new("open", label, errno)),
        Ok(dir) => scandir::survey(&dir).context("list", label)?.slots,
    };
    let forecasts = match reconcile::forecast(&settings, argv0, console) {
        Ok(forecasts) => forecasts,
        Err(error) => {
            console.warn(&error);
            Vec::new()
        }
    };
    let view = View { settings: &settings, actions: last_actions(&settings), now: time::now() };
    let mut rows = view.rows(&slots, &forecasts)?;
    let mut code = 0;
    if !options.operands.is_empty() {
        for name in &options.operands {
            if !rows.iter().any(|row| row.profile == name.to_bytes()) {
                let shown = Shown(name.to_bytes());
                console.warn(&format_args!("no such gateway {shown}; hermes-init register makes one"));
                code = REFUSED;
            }
        }
        rows.retain(|row| options.operands.iter().any(|name| row.profile == name.to_bytes()));
    }
    console.print(&if options.json { objects(&rows) } else { table(&rows) });
    Ok(code)
}

fn last_actions(settings: &Settings) -> Vec<bootlog::Entry> {
    let trusted = Trusted { owner: settings.owner.value.uid, me: Chowner::new().me().uid };
    Home::open(settings.home.value).map(|home| bootlog::entries(&home, trusted)).unwrap_or_default()
}

/// A line of the table; a field that is not known is none.
#[derive(Clone, Copy)]
struct Row {
    profile: Bytes,
    slot: Option<Bytes>,
    state: &'static str,
    pid: Option<u64>,
    since: Option<Bytes>,
    wanted: Option<&'static str>,
    last_boot: Option<Bytes>,
    note: Option<Bytes>,
}

struct View<'a> {
    settings: &'a Settings,
    actions: Vec<bootlog::Entry>,
    now: i64,
}

impl View<'_> {
    /// The profiles in the boot pass's order, then the slots of none.
    fn rows(&self, slots: &[Name], forecasts: &[Forecast]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for forecast in forecasts {
            let slot = forecast.name.as_ref().map(ProfileName::slot).filter(|slot| slots.contains(*slot));
            // The root profile is on every volume, also on one that nobody uses yet.
            if slot.is_some() || !is_untouched_root(forecast) {
                rows.push(self.row(forecast.profile, slot, Some(forecast))?);
            }
        }
        let known = |slot: &&Name| {
            !forecasts.iter().any(|known| known.name.as_ref().map(ProfileName::slot) == Some(*slot))
        };
        for slot in slots.iter().filter(known) {
            let profile = slot.bytes().strip_prefix(PREFIX.as_bytes()).unwrap_or_default();
            rows.push(self.row(profile, Some(slot), None)?);
        }
        Ok(rows)
    }

    fn row(&self, profile: Bytes, slot: Option<&Name>, forecast: Option<&Forecast>) -> Result<Row> {
        let shown = Shown(profile).to_string();
        let said = self.actions.iter().find(|entry| entry.profile == shown.as_bytes());
        let mut row = Row {
            profile,
            slot: None,
            state: "no slot",
            pid: None,
            since: None,
            wanted: forecast.map(|forecast| if forecast.starts { "up" } else { "down" }),
            last_boot: said.map(|entry| keep::bytes(&[entry.action, b" ", entry.time])),
            note: None,
        };
        let advise = |what: &str, command: &str| {
            Some(keep::bytes(&[
                what.as_bytes(),
                b": hermes-init ",
                command.as_bytes(),
                b" ",
                shown.as_bytes(),
            ]))
        };
        match (slot, forecast) {
            (Some(slot), _) => self.ask(&mut row, slot)?,
            (None, Some(Forecast { reason: Some(why), .. })) => {
                row.wanted = None;
                row.note = Some(why.as_bytes());
            }
            (None, _) => row.note = advise("made since the last boot", "start"),
        }
        if row.state == "unsupervised" {
            row.note = advise("s6-svscan does not know it yet", "start");
        }
        if forecast.is_none() {
            let ours = ProfileName::parse(profile).is_ok();
            row.note = if ours {
                advise("its profile is gone", "unregister")
            } else {
                Some(b"no profile can have this slot")
            };
        }
        Ok(row)
    }

    /// Asks s6 about a slot.
    fn ask(&self, row: &mut Row, slot: &Name) -> Result<()> {
        let path = path_of(self.settings.scandir.value, slot.bytes());
        row.slot = Some(path.to_bytes());
        match Dir::at(path).map(|dir| probe::is_held(&dir)) {
            Ok(Ok(false)) => row.state = "unsupervised",
            Ok(_) => match s6::svstat(path)? {
                Some(stat) => {
                    row.state = if stat.up { "up" } else { "down" };
                    row.pid = stat.pid;
                    let since = self.now.saturating_sub_unsigned(stat.seconds);
                    row.since = Some(reconcile::stamp(&self.settings.lookup, since).into_bytes().leak());
                }
                None => {
                    row.state = "unknown";
                    row.note = Some(b"you may not ask its supervisor");
                }
            },
            Err(_) => row.state = "unknown",
        }
        Ok(())
    }
}

fn is_untouched_root(forecast: &Forecast) -> bool {
    forecast.name.as_ref().is_some_and(ProfileName::is_root) && !forecast.has_state
}

const COLUMNS: usize = 8;
const HEADINGS: [&str; COLUMNS] =
    ["PROFILE", "SLOT", "STATE", "PID", "SINCE", "NEXT BOOT", "LAST BOOT", "NOTE"];

/// What a column says of a row; nothing where it is not known.
fn cell(row: &Row, column: usize) -> String {
    let words = |text: Option<Bytes>| String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
    match column {
        0 => Shown(row.profile).to_string(),
        1 => row.slot.map_or_else(String::new, |slot| {
            Shown(slot.rsplit(|byte| *byte == b'/').next().unwrap_or_default()).to_string()
        }),
        2 => row.state.to_owned(),
        3 => row.pid.map_or_else(String::new, |pid| pid.to_string()),
        4 => words(row.since),
        5 => words(row.wanted.map(str::as_bytes)),
        6 => words(row.last_boot),
        _ => words(row.note),
    }
}

/// Columns that line up, for people.
fn table(rows: &[Row]) -> String {
    let mut lines = vec![String::new(); rows.len() + 1];
    for (column, heading) in HEADINGS.iter().enumerate() {
        let mut cells = vec![(*heading).to_owned()];
        cells.extend(rows.iter().map(|row| cell(row, column)));
        let last = column + 1 == COLUMNS;
        let width = cells.iter().map(String::len).max().unwrap_or(0).max(1);
        for (line, cell) in lines.iter_mut().zip(&cells) {
            line.push_str(if cell.is_empty() && !last { "-" } else { cell });
            let filled = cell.len().max(1);
            line.extend(std::iter::repeat_n(' ', if last { 0 } else { width - filled + 2 }));
        }
    }
    let mut text = String::new();
    for line in lines {
        text.push_str(line.trim_ascii_end());
        text.push('\n');
    }
    text
}

/// One JSON object a line, for programs.
fn objects(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        // Writing to a String cannot fail.
        let _ = write!(text, "{{\"profile\": {}, \"slot\": {}", Quoted(row.profile), OrNull(row.slot));
        let _ = write!(text, ", \"state\": \"{}\", \"pid\": ", row.state);
        let _ = match row.pid {
            Some(pid) => write!(text, "{pid}"),
            None => write!(text, "null"),
        };
        for (key, value) in [
            ("since", row.since),
            ("wanted", row.wanted.map(str::as_bytes)),
            ("last_boot", row.last_boot),
            ("note", row.note),
        ] {
            let _ = write!(text, ", \"{key}\": {}", OrNull(value));
        }
        text.push_str("}\n");
    }
    text
}
