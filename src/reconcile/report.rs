//! How a pass is told: on stdout, as JSON, in the log.

use std::ffi::CStr;
use std::fmt::Write;

use super::plan::Action;
use crate::settings::Lookup;
use crate::show::{OrNull, Quoted, Shown};
use crate::sys::{file, keep, localtime};

/// Largest time zone file that is read, in bytes.
const ZONE_CAP: u64 = 256 << 10;

/// `profile=… prior_state=… action=…`, and the reason where there is one.
fn fields(action: &Action) -> String {
    let mut line = format!("profile={} prior_state=", Shown(action.profile));
    // Writing to a String cannot fail.
    let _ = match action.prior.word {
        Some(word) => write!(line, "{}", Shown(word.as_bytes())),
        None => write!(line, "None"),
    };
    let _ = write!(line, " action={}", action.verdict.word());
    if let Some(reason) = action.verdict.reason() {
        let _ = write!(line, " reason={}", Shown(reason.as_bytes()));
    }
    line
}

/// What stdout gets: a line or a JSON object for each profile.
pub fn lines(actions: &[Action], json: bool, scandir: &CStr) -> String {
    let mut text = String::new();
    for action in actions {
        if json {
            object(&mut text, action, scandir);
        } else {
            let _ = writeln!(text, "reconcile: {}", fields(action));
        }
    }
    text
}

fn object(text: &mut String, action: &Action, scandir: &CStr) {
    let slot = action.name.map(|name| keep::path(&[scandir.to_bytes(), name.slot().bytes()]));
    let _ = writeln!(
        text,
        "{{\"profile\": {}, \"prior_state\": {}, \"action\": \"{}\", \"reason\": {}, \"changed\": {}, \"slot\": {}, \
         \"prior_exit\": \"{}\"}}",
        Quoted(action.profile),
        OrNull(action.prior.word.map(str::as_bytes)),
        action.verdict.word(),
        OrNull(action.verdict.reason().map(str::as_bytes)),
        action.changed,
        OrNull(slot),
        action.exit.text()
    );
}

/// What the log gets: a line for each profile, all with this time.
pub fn log_lines(actions: &[Action], stamp: &str) -> String {
    let mut text = String::new();
    for action in actions {
        let _ = writeln!(text, "{stamp} {} prior_exit={}", fields(action), action.exit.text());
    }
    text
}

/// A moment (seconds since 1970, UTC) in the container's local time: TZ, else /etc/localtime, else UTC.
pub fn stamp(lookup: &Lookup, moment: i64) -> String {
    let zone = lookup.get("TZ").map(|setting| setting.value);
    localtime::stamp(moment, zone, &mut |path| file::read_system(keep::c_string(&[path])?, ZONE_CAP))
}
