//! The container's local time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Lookup;
use crate::output::localtime;
use crate::sys::file;

/// Largest time zone file that is read, in bytes.
const ZONE_CAP: u64 = 256 << 10;

/// The container's time zone: TZ, else /etc/localtime, else UTC. What decides it is read once.
pub struct Zone {
    variable: Option<OsString>,
    files: RefCell<BTreeMap<PathBuf, Option<Vec<u8>>>>,
}

impl Zone {
    /// Looks the zone up.
    pub fn new(lookup: &Lookup) -> Zone {
        // An unreadable TZ counts as unset: it affects only how a time is printed.
        let variable = lookup.get("TZ").unwrap_or_default().map(|setting| setting.value);
        Zone { variable, files: RefCell::default() }
    }

    /// Returns a moment (seconds since 1970, UTC) in this zone.
    pub fn stamp(&self, moment: i64) -> String {
        let variable = self.variable.as_ref().map(|variable| variable.as_bytes());
        localtime::stamp(moment, variable, |path| {
            let mut files = self.files.borrow_mut();
            let read = || file::read_system(path, ZONE_CAP).ok();
            files.entry(path.to_owned()).or_insert_with(read).clone()
        })
    }
}

/// Returns a moment (seconds since 1970, UTC) in the container's local time.
pub fn stamp(lookup: &Lookup, moment: i64) -> String {
    Zone::new(lookup).stamp(moment)
}
