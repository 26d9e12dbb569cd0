//! The container's local time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Lookup;
use crate::output::escape::Shown;
use crate::output::localtime::{self, LOCALTIME, Unusable, ZONEINFO};
use crate::output::{Console, Error};
use crate::sys::{Errno, Reason, file};

/// Largest time zone file that is read, in bytes.
const ZONE_CAP: u64 = 256 << 10;

/// The container's time zone: TZ, else /etc/localtime, else UTC. What decides it is read once.
pub struct Zone<'a> {
    variable: Option<OsString>,
    /// Why TZ could not be read.
    unread: Option<Error>,
    files: RefCell<BTreeMap<PathBuf, Result<Vec<u8>, Reason>>>,
    /// Where a fault is reported with the first time that is printed.
    console: Cell<Option<&'a Console>>,
}

/// That what decides the zone cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Why, for people.
    pub why: String,
    /// The zone that holds instead, for people.
    pub instead: &'static str,
}

impl<'a> Zone<'a> {
    /// Looks the zone up.
    pub fn new(lookup: &Lookup) -> Zone<'a> {
        // An unreadable TZ counts as unset: it affects only how a time is printed.
        let (variable, unread) = match lookup.get("TZ") {
            Ok(variable) => (variable.map(|setting| setting.value), None),
            Err(error) => (None, Some(error)),
        };
        Zone { variable, unread, files: RefCell::default(), console: Cell::default() }
    }

    /// As [`Zone::new`]. If what decides the zone cannot be used, the first [`Zone::stamp`] says so, once.
    pub fn reported(lookup: &Lookup, console: &'a Console) -> Zone<'a> {
        Zone { console: Cell::new(Some(console)), ..Zone::new(lookup) }
    }

    /// Returns a moment (seconds since 1970, UTC) in this zone.
    pub fn stamp(&self, moment: i64) -> String {
        if let Some((console, fault)) = self.console.take().and_then(|console| Some((console, self.fault()?)))
        {
            console.warn(format_args!("{}: the time zone is {}", fault.why, fault.instead));
        }
        localtime::stamp(moment, self.variable(), |path| self.read(path))
    }

    /// Returns what cannot be used of that which decides the zone, if so.
    pub fn fault(&self) -> Option<Fault> {
        if let Some(error) = &self.unread {
            return Some(Fault { why: error.to_string(), instead: LOCALTIME });
        }
        let unusable = localtime::unusable(self.variable(), |path| self.read(path));
        let why = match (unusable, self.variable()) {
            (None, Some(_)) => None,
            (None, None) => self.refused(),
            (Some(Unusable::Localtime), _) => Some(format!("{LOCALTIME} is not a time zone file")),
            (Some(Unusable::Variable), name) => self.refused().or_else(|| {
                let ([first, second, third], name) = (ZONEINFO, Shown(name.unwrap_or_default()));
                let places = format!("{first}, {second} or {third}");
                Some(format!("TZ={name} is neither a time zone file below {places} nor a rule as in POSIX"))
            }),
        };
        why.map(|why| Fault { why, instead: "UTC" })
    }

    fn variable(&self) -> Option<&[u8]> {
        self.variable.as_ref().map(|variable| variable.as_bytes())
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let mut files = self.files.borrow_mut();
        let file = files.entry(path.to_owned()).or_insert_with(|| file::read_system(path, ZONE_CAP));
        file.as_ref().ok().cloned()
    }

    /// Returns why a file that may decide the zone could not be read, though there is one.
    fn refused(&self) -> Option<String> {
        self.files.borrow().iter().find_map(|(path, file)| match file {
            Ok(_) | Err(Reason::Errno(Errno::NOENT | Errno::NOTDIR)) => None,
            Err(reason) => Some(Error::new("read", path, reason.clone()).to_string()),
        })
    }
}
