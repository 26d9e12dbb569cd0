//! `status`: every slot and every profile, side by side. Read-only, as any user who may read.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{REFUSED, s6};
use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Result};
use crate::reconcile::{self, Forecast};
use crate::settings::Settings;
use crate::show::{Quoted, Shown};
use crate::slot::name::PREFIX;
use crate::slot::{ProfileName, probe, scandir};
use crate::sys::{Chowner, Dir, Errno, Name};
use crate::volume::home::Trusted;
use crate::volume::{Home, bootlog};

/// Runs the command; its exit code.
pub fn run(options: &Options, argv0: &OsStr, console: &Console) -> u8 {
    match status(options, argv0, console) {
        Ok(code) => code,
        Err(error) => console.fatal(&error),
    }
}

fn status(options: &Options, argv0: &OsStr, console: &Console) -> Result<u8> {
    let settings = Settings::gather(options, console)?;
    let path = &settings.scandir.value;
    let label = path.as_os_str().as_bytes();
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
    let view = View { settings: &settings, actions: last_actions(&settings), now: now() };
    let mut rows = view.rows(&slots, &forecasts)?;
    let mut code = 0;
    if !options.operands.is_empty() {
        for name in &options.operands {
            if !rows.iter().any(|row| row.profile == name.as_bytes()) {
                let shown = Shown(name.as_bytes());
                console.warn(&format_args!("no such gateway {shown}; hermes-init register makes one"));
                code = REFUSED;
            }
        }
        rows.retain(|row| options.operands.iter().any(|name| row.profile == name.as_bytes()));
    }
    console.print(&if options.json { objects(&rows) } else { table(&rows) });
    Ok(code)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn last_actions(settings: &Settings) -> Vec<bootlog::Entry> {
    let trusted = Trusted { owner: settings.owner.value.uid, me: Chowner::new().me().uid };
    Home::open(&settings.home.value).map(|home| bootlog::entries(&home, trusted)).unwrap_or_default()
}

/// A line of the table; a field that is not known is none.
struct Row {
    profile: Vec<u8>,
    slot: Option<Vec<u8>>,
    state: &'static str,
    pid: Option<u32>,
    since: Option<String>,
    wanted: Option<&'static str>,
    last_boot: Option<String>,
    note: Option<String>,
}

struct View<'a> {
    settings: &'a Settings,
    actions: Vec<bootlog::Entry>,
    now: u64,
}

impl View<'_> {
    /// The profiles in the boot pass's order, then the slots of none.
    fn rows(&self, slots: &[Name], forecasts: &[Forecast]) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for forecast in forecasts {
            let slot = forecast.name.as_ref().map(ProfileName::slot).filter(|slot| slots.contains(*slot));
            // The root profile is on every volume, also on one that nobody uses yet.
            if slot.is_some() || !is_untouched_root(forecast) {
                rows.push(self.row(&forecast.profile, slot, Some(forecast))?);
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

    fn row(&self, profile: &[u8], slot: Option<&Name>, forecast: Option<&Forecast>) -> Result<Row> {
        let shown = Shown(profile).to_string();
        let said = self.actions.iter().find(|entry| entry.profile == shown);
        let action = said.map(|entry| [entry.action.as_str(), &entry.time].join(" "));
        let mut row = Row {
            profile: profile.to_vec(),
            slot: None,
            state: "no slot",
            pid: None,
            since: None,
            wanted: forecast.map(|forecast| if forecast.starts { "up" } else { "down" }),
            last_boot: action,
            note: None,
        };
        match (slot, forecast) {
            (Some(slot), _) => self.ask(&mut row, slot)?,
            (None, Some(Forecast { reason: Some(why), .. })) => {
                row.wanted = None;
                row.note = Some(why.clone());
            }
            (None, _) => row.note = Some(format!("made since the last boot: hermes-init start {shown}")),
        }
        if forecast.is_none() {
            row.note = Some(format!("its profile is gone: hermes-init unregister {shown}"));
        }
        Ok(row)
    }

    /// Asks s6 about a slot.
    fn ask(&self, row: &mut Row, slot: &Name) -> Result<()> {
        let path = self.settings.scandir.value.join(OsStr::from_bytes(slot.bytes()));
        row.slot = Some(path.as_os_str().as_bytes().to_vec());
        match Dir::at(&path).map(|dir| probe::is_held(&dir)) {
            Ok(Ok(false)) => {
                row.state = "unsupervised";
                row.note = Some(format!(
                    "s6-svscan does not know it yet: hermes-init start {}",
                    Shown(&row.profile)
                ));
            }
            Ok(_) => {
                let stat = s6::svstat(path.as_os_str())?;
                row.state = stat.map_or("unknown", |stat| if stat.up { "up" } else { "down" });
                row.pid = stat.and_then(|stat| stat.pid);
                let since = |stat: s6::Stat| self.now.saturating_sub(stat.seconds);
                row.since = stat.map(|stat| reconcile::stamp(&self.settings.lookup, since(stat)));
                if stat.is_none() {
                    row.note = Some("you may not ask its supervisor".to_owned());
                }
            }
            Err(_) => row.state = "unknown",
        }
        Ok(())
    }
}

fn is_untouched_root(forecast: &Forecast) -> bool {
    forecast.name.as_ref().is_some_and(ProfileName::is_root) && !forecast.has_state
}

const HEADINGS: [&str; 8] = ["PROFILE", "SLOT", "STATE", "PID", "SINCE", "NEXT BOOT", "LAST BOOT", "NOTE"];

/// Columns that line up, for people.
fn table(rows: &[Row]) -> String {
    let dash = || "-".to_owned();
    let mut lines: Vec<[String; 8]> = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            Shown(&row.profile).to_string(),
            row.slot.as_ref().map_or_else(dash, |slot| {
                let name = slot.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                Shown(name).to_string()
            }),
            row.state.to_owned(),
            row.pid.map_or_else(dash, |pid| pid.to_string()),
            row.since.clone().unwrap_or_else(dash),
            row.wanted.map_or_else(dash, str::to_owned),
            row.last_boot.clone().unwrap_or_else(dash),
            row.note.clone().unwrap_or_default(),
        ]
    }));
    let mut widths = [0; 8];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// One JSON object a line, for programs.
fn objects(rows: &[Row]) -> String {
    let text_or_null = |value: Option<&[u8]>| match value {
        Some(value) => Quoted(value).to_string(),
        None => "null".to_owned(),
    };
    let mut text = String::new();
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{{\"profile\": {}, \"slot\": {}, \"state\": \"{}\", \"pid\": {}, \"since\": {}, \"wanted\": {}, \
             \"last_boot\": {}, \"note\": {}}}",
            Quoted(&row.profile),
            text_or_null(row.slot.as_deref()),
            row.state,
            row.pid.map_or_else(|| "null".to_owned(), |pid| pid.to_string()),
            text_or_null(row.since.as_deref().map(str::as_bytes)),
            text_or_null(row.wanted.map(str::as_bytes)),
            text_or_null(row.last_boot.as_deref().map(str::as_bytes)),
            text_or_null(row.note.as_deref().map(str::as_bytes)),
        );
    }
    text
}
