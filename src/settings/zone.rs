//! The container's local time.

use std::os::unix::ffi::OsStrExt;

use super::Lookup;
use crate::output::localtime;
use crate::sys::file;

/// Largest time zone file that is read, in bytes.
const ZONE_CAP: u64 = 256 << 10;

/// Returns a moment (seconds since 1970, UTC) in the container's local time: TZ, else /etc/localtime, else UTC.
pub fn stamp(lookup: &Lookup, moment: i64) -> String {
    // An unreadable TZ counts as unset: it affects only how a time is printed.
    let zone = lookup.get("TZ").unwrap_or_default().map(|setting| setting.value);
    let zone = zone.as_ref().map(|zone| zone.as_bytes());
    localtime::stamp(moment, zone, |path| file::read_system(path, ZONE_CAP).ok())
}
