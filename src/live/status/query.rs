//! What s6 knows of a service: its state, its deaths, and those of its logger.

use std::os::unix::ffi::OsStringExt;

use super::View;
use super::row::{DOWN, RESTARTING, Row, UNKNOWN, UNSUPERVISED, UP};
use crate::output::{Context, Error, Result};
use crate::s6::deaths::{self, Death};
use crate::s6::servicedir::{CONTROL, LOG, SUPERVISE};
use crate::s6::status;
use crate::s6::{ProfileName, supervision};
use crate::service;
use crate::service::backoff;
use crate::sys::{Dir, Errno, Kind, Name, Reason, present};

/// Time in which deaths count, in seconds. A logger that cannot work ends once a minute, and so does a gateway that makes pauses.
const RECENT: i64 = 180;
/// Number of deaths in this time from which on a service dies again and again.
const LOOP: usize = 2;

impl View<'_> {
    /// Asks s6 about a slot.
    pub fn slot(&self, row: &mut Row, slot: &Name) -> Result<()> {
        row.slot = self.settings.scandir.value.join(slot).into_os_string().into_vec();
        let Some(scandir) = &self.scandir else { return Ok(()) };
        row.state = UNKNOWN;
        match scandir.open_path(slot) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = scandir.meta(slot).context("look at", slot)?.kind;
                row.note = format!("{}, not a slot: leave it to what has made it", kind.text());
            }
            Err(errno) => {
                row.fail(&Error::new("open", slot, errno));
            }
            Ok(dir) if matches!(supervision::is_held(&dir), Ok(false)) => {
                row.state = UNSUPERVISED;
                row.note = self.advice(row, "s6-svscan does not know it yet", "start");
            }
            Ok(dir) if ProfileName::of_service(slot.bytes()).is_some() => self.ask(row, &dir),
            Ok(_) => (),
        }
        Ok(())
    }

    /// Asks s6 about a static service. Returns false if it is not the hermes user's to command, or this user may not look.
    pub fn static_service(&self, row: &mut Row, name: &Name) -> bool {
        let Some(scandir) = &self.scandir else { return false };
        let found = match scandir.meta(name) {
            Ok(meta) if meta.kind == Kind::Symlink && meta.ids.uid == 0 => scandir.open_path_following(name),
            Ok(_) => scandir.open_path(name),
            Err(errno) => Err(errno),
        };
        let looked = found.and_then(|dir| Ok((dir.open_path(&SUPERVISE)?.meta(&CONTROL)?, dir)));
        row.is_static = true;
        row.state = UNKNOWN;
        row.slot = self.settings.scandir.value.join(name).into_os_string().into_vec();
        let owner = self.settings.owner.value;
        match looked {
            // No service, or one that this user may not look at.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => false,
            Err(errno) => {
                row.fail(&Error::new("look at", name, errno));
                true
            }
            Ok((control, dir)) => {
                let is_group = control.ids.gid == owner.gid && control.mode & 0o020 != 0;
                let is_hermes = control.ids.uid == owner.uid || is_group;
                if is_hermes {
                    self.ask(row, &dir);
                }
                is_hermes
            }
        }
    }

    /// Asks s6 about a service directory that is open.
    fn ask(&self, row: &mut Row, dir: &Dir) {
        let stat = match status::svstat(dir) {
            Ok(Some(stat)) => stat,
            Ok(None) => {
                row.state = UNSUPERVISED;
                return;
            }
            Err(error) => {
                row.fail(&error);
                row.state = UNKNOWN;
                return;
            }
        };
        row.state = if stat.up { UP } else { DOWN };
        if let Some(pid) = stat.pid {
            row.pid = pid.to_string();
        }
        row.age = self.now.saturating_sub(stat.time()).max(0).unsigned_abs();
        row.since = self.stamp(stat.time());
        row.ready = if stat.ready { "true" } else { "false" };
        row.is_ordered = stat.wanted;
        let deaths = match deaths::read(dir) {
            Ok(deaths) => deaths,
            Err(reason) => return row.fail(&Error::new("read", deaths::LABEL, reason)),
        };
        row.death = deaths.last().copied();
        row.deaths = self.recent(&deaths, false);
        if row.deaths >= LOOP && stat.wanted {
            row.state = RESTARTING;
            let how = deaths.last().map(ToString::to_string).unwrap_or_default();
            let (count, shown) = (row.deaths, self.shown(row));
            row.note =
                format!("dies again and again: {count} times within {RECENT} seconds ({how}); {shown}");
            if let Some(pause) = backoff::after(&deaths)
                && stat.up
                && pause.until > self.now
                && !row.is_static
                && self.settings.lookup.makes_pauses(self.console).unwrap_or(true)
            {
                row.note.push_str("; waiting, starts again at ");
                row.note.push_str(&self.stamp(pause.until));
            }
        } else if stat.up {
            let log = present(dir.open_path(&LOG)).map_err(Reason::from);
            match log.and_then(|log| log.map_or(Ok(Vec::new()), |log| deaths::read(&log))) {
                // The logger of a static service may be root's alone.
                Err(Reason::Errno(Errno::ACCESS)) => (),
                Err(reason) => row.fail(&Error::new("look at", LOG.bytes(), reason)),
                Ok(deaths) if self.recent(&deaths, true) < LOOP => (),
                Ok(_) => row.blame("its logger dies again and again: the container's log says why"),
            }
        }
    }

    /// Returns the number of deaths in the last minutes: those that nobody wanted, or all.
    fn recent(&self, deaths: &[Death], all: bool) -> usize {
        let mut count = 0;
        for death in deaths {
            count += usize::from(self.now.saturating_sub(death.time) < RECENT && (all || !death.is_wanted()));
        }
        count
    }

    /// Returns the command that shows what it has printed.
    pub fn shown(&self, row: &Row) -> String {
        if row.is_static {
            "the container's log says why".to_owned()
        } else {
            self.advice(row, "see", "logs")
        }
    }

    /// Returns what has kept a service down for good, if its last end has.
    pub fn why_permanent(&self, row: &Row) -> Option<String> {
        let death = row.death.filter(|death| death.signal == 0)?;
        let why = service::permanent(death.code.into())?;
        Some(format!("failed permanently ({}: {why}); {}", death.code, self.shown(row)))
    }
}
