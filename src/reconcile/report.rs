//! The report of a pass: on stdout, as JSON, in the log.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::plan::{Action, Plan, Verdict};
use crate::settings::Lookup;
use crate::show::{FromVolume, OrNull, Quoted, Sentence};
use crate::sys::{file, label, localtime};

/// Largest time zone file that is read, in bytes.
const ZONE_CAP: u64 = 256 << 10;

/// Returns `profile=… prior_state=… action=…`, and the reason if there is one.
fn fields(action: &Action) -> String {
    let mut line = format!("profile={} prior_state=", FromVolume(&action.profile));
    // Writing to a String cannot fail.
    let _ = match &action.prior.word {
        Some(word) => write!(line, "{}", FromVolume(word.as_bytes())),
        None => write!(line, "None"),
    };
    let _ = write!(line, " action={}", action.verdict.word());
    if let Some(reason) = action.verdict.reason() {
        let _ = write!(line, " reason={}", Sentence(reason));
    }
    line
}

/// Returns the text for stdout: a line or a JSON object for each profile; if `is_quiet`, only lines for failures.
pub fn lines(plan: &Plan, json: bool, is_quiet: bool, scandir: &Path) -> String {
    let mut text = String::new();
    for action in &plan.actions {
        if is_quiet && !matches!(action.verdict, Verdict::Failed(_)) {
            continue;
        }
        if json {
            object(&mut text, plan, action, scandir);
        } else {
            let _ = writeln!(text, "reconcile: {}", fields(action));
        }
    }
    text
}

fn object(text: &mut String, plan: &Plan, action: &Action, scandir: &Path) {
    let scandir = scandir.as_os_str().as_bytes();
    let slot = action.name.as_ref().map(|name| label(&[scandir, name.slot().bytes()]));
    let _ = write!(
        text,
        "{{\"profile\": {}, \"prior_state\": {}, \"action\": \"{}\", \"reason\": {}, \"changed\": {}, \"slot\": {}, \
         \"prior_exit\": \"{}\"",
        Quoted(&action.profile),
        OrNull(action.prior.word.as_deref().map(str::as_bytes)),
        action.verdict.word(),
        OrNull(action.verdict.reason().map(str::as_bytes)),
        action.changed,
        OrNull(slot.as_deref()),
        action.exit.text()
    );
    if plan.topology.multiplex {
        let _ = write!(text, ", \"folded_into_root\": {}", action.folded);
    }
    text.push_str("}\n");
}

/// Returns the text for the log: a line for each profile, all with this time.
pub fn log_lines(plan: &Plan, stamp: &str) -> String {
    let mut text = String::new();
    for action in &plan.actions {
        let _ = write!(text, "{stamp} {} prior_exit={}", fields(action), action.exit.text());
        if plan.topology.multiplex {
            // As Python prints a boolean.
            text.push_str(if action.folded { " folded_into_root=True" } else { " folded_into_root=False" });
        }
        text.push('\n');
    }
    text
}

/// Returns a moment (seconds since 1970, UTC) in the container's local time: TZ, else /etc/localtime, else UTC.
pub fn stamp(lookup: &Lookup, moment: i64) -> String {
    // A zone that cannot be read is none: it decides nothing but how a time is printed.
    let zone = lookup.get("TZ").unwrap_or_default().map(|setting| setting.value);
    let zone = zone.as_ref().map(|zone| zone.as_bytes());
    localtime::stamp(moment, zone, &mut |path| file::read_system(path, ZONE_CAP).ok())
}
