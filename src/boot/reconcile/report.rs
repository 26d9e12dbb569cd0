//! The report of a pass: on stdout, as JSON, in the log.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::action::{Action, Verdict};
use super::plan::Plan;
use crate::output::escape::{Append, FromVolume, OrNull, Quoted, Sentence};
use crate::output::localtime;
use crate::settings::Lookup;
use crate::sys::{file, label};
use crate::volume::profiles::Others;

/// Largest time zone file that is read, in bytes.
const ZONE_CAP: u64 = 256 << 10;

/// Returns `profile=… prior_state=… action=…`, and the reason if there is one.
fn fields(action: &Action) -> String {
    let mut line = format!("profile={} prior_state=", FromVolume(&action.profile));
    match &action.prior.word {
        Some(word) => write!(line, "{}", FromVolume(word.as_bytes())),
        None => line.push_str("None"),
    }
    write!(line, " action={}", action.verdict.word());
    if let Some(reason) = action.reason() {
        write!(line, " reason={}", Sentence(&reason));
    }
    line
}

/// The form of a report.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// A line for each profile, for stdout.
    Lines,
    /// A line for each failure, for stdout.
    Failures,
    /// A JSON object for each profile, with slots in this scan directory.
    Objects(&'a Path),
    /// A line for each profile with this time, for the log.
    Log(&'a str),
}

/// Size of a part of a report, in bytes.
const PART: usize = 64 << 10;

/// Calls `out` with the report: whole lines, in parts, so that the memory for it does not grow with the number of profiles.
pub fn write(plan: &Plan, form: Form<'_>, out: &mut dyn FnMut(&str)) {
    let mut text = String::new();
    let mut add = |text: &mut String, action: &Action| {
        line(text, plan, action, form);
        if text.len() >= PART {
            out(text);
            text.clear();
        }
    };
    plan.each(&mut |action| add(&mut text, action));
    let start = match form {
        // Entries that are no profiles are no objects.
        Form::Objects(_) => "",
        Form::Failures if plan.others.failed == 0 => "",
        Form::Lines | Form::Failures => "reconcile:",
        Form::Log(stamp) => stamp,
    };
    if let (Some(sum), false) = (sum(plan.others), start.is_empty()) {
        let action = if plan.others.failed == 0 { "skipped" } else { "failed" };
        writeln!(text, "{start} profiles action={action} reason={}", Sentence(&sum));
    }
    out(&text);
}

/// Returns what the entries are that are only counted, if there are any.
pub fn sum(others: Others) -> Option<String> {
    let Others { skipped, failed } = others;
    let text = || format!("{skipped} more entries can have no slot, and {failed} were not looked at");
    (skipped + failed > 0).then(text)
}

fn line(text: &mut String, plan: &Plan, action: &Action, form: Form<'_>) {
    let multiplex = plan.topology.multiplex;
    match form {
        Form::Failures if !matches!(action.verdict, Verdict::Failed(_)) => (),
        Form::Lines | Form::Failures => writeln!(text, "reconcile: {}", fields(action)),
        Form::Log(stamp) => {
            // As Python prints a boolean.
            let folded = match (multiplex, action.folded) {
                (false, _) => "",
                (true, true) => " folded_into_root=True",
                (true, false) => " folded_into_root=False",
            };
            writeln!(text, "{stamp} {} prior_exit={}{folded}", fields(action), action.exit.text());
        }
        Form::Objects(scandir) => {
            object(text, action, scandir);
            if multiplex {
                write!(text, ", \"folded_into_root\": {}", action.folded);
            }
            text.push_str("}\n");
        }
    }
}

/// Adds a JSON object without its end.
fn object(text: &mut String, action: &Action, scandir: &Path) {
    let scandir = scandir.as_os_str().as_bytes();
    let slot = action.name.as_ref().map(|name| label(&[scandir, name.slot().bytes()]));
    write!(
        text,
        "{{\"profile\": {}, \"prior_state\": {}, \"action\": \"{}\", \"reason\": {}, \"changed\": {}, \"slot\": {}, \
         \"prior_exit\": \"{}\"",
        Quoted(&action.profile),
        OrNull(action.prior.word.as_deref().map(str::as_bytes)),
        action.verdict.word(),
        OrNull(action.reason().as_deref().map(str::as_bytes)),
        action.changed,
        OrNull(slot.as_deref()),
        action.exit.text()
    );
}

/// Returns a moment (seconds since 1970, UTC) in the container's local time: TZ, else /etc/localtime, else UTC.
pub fn stamp(lookup: &Lookup, moment: i64) -> String {
    // A zone that cannot be read is none: it decides nothing but how a time is printed.
    let zone = lookup.get("TZ").unwrap_or_default().map(|setting| setting.value);
    let zone = zone.as_ref().map(|zone| zone.as_bytes());
    localtime::stamp(moment, zone, |path| file::read_system(path, ZONE_CAP).ok())
}
