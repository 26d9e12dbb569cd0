//! How a pass is told: on stdout, as JSON, in the log.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::plan::Action;
use crate::settings::Lookup;
use crate::show::{Quoted, Shown};
use crate::sys::{file, localtime};

/// Largest time zone file that is read, in bytes.
const ZONE_CAP: u64 = 256 << 10;

/// `profile=… prior_state=… action=…`, and the reason where there is one.
fn fields(action: &Action) -> String {
    let mut line = format!("profile={} prior_state=", Shown(&action.profile));
    // Writing to a String cannot fail.
    let _ = match &action.prior.word {
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
pub fn lines(actions: &[Action], json: bool, scandir: &Path) -> String {
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

fn object(text: &mut String, action: &Action, scandir: &Path) {
    let string_or_null = |value: Option<&[u8]>| match value {
        Some(value) => Quoted(value).to_string(),
        None => "null".to_owned(),
    };
    let slot = action.name.as_ref().map(|name| {
        let mut path = scandir.as_os_str().as_bytes().to_vec();
        path.push(b'/');
        path.extend_from_slice(name.slot().bytes());
        path
    });
    let _ = writeln!(
        text,
        "{{\"profile\": {}, \"prior_state\": {}, \"action\": \"{}\", \"reason\": {}, \"changed\": {}, \"slot\": {}, \
         \"prior_exit\": \"{}\"}}",
        Quoted(&action.profile),
        string_or_null(action.prior.word.as_ref().map(|word| word.as_bytes())),
        action.verdict.word(),
        string_or_null(action.verdict.reason().map(str::as_bytes)),
        action.changed,
        string_or_null(slot.as_deref()),
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
pub fn stamp(lookup: &Lookup, moment: u64) -> String {
    let zone = lookup.get("TZ").map(|setting| setting.value);
    let moment = i64::try_from(moment).unwrap_or(i64::MAX);
    localtime::stamp(moment, zone.as_ref().map(|zone| zone.as_bytes()), &mut |path| {
        file::read_system(path.as_bytes(), ZONE_CAP)
    })
}
