//! Asks s6, the volume and the boot log about services. Says nothing of what it finds.

use std::cell::OnceCell;
use std::ffi::OsStr;

use super::dying;
use super::log_keeping;
use super::row::{
    Broken, Deaths, Forecast, LOOP, Logger, Missing, NextBoot, OfDefault, OrphanProfile, Pass, Row, State,
    Subject, Supervision,
};
use crate::boot::reconcile::decide::{Decision, DownReason, NoSlotReason, State as Recorded};
use crate::boot::reconcile::plan::PARKED;
use crate::boot::reconcile::{Item, Plan};
use crate::live::{names, record, refusal};
use crate::output::escape::FromVolume;
use crate::output::{Console, Context, Error};
use crate::s6::deaths::{self, Tally};
use crate::s6::room::Room;
use crate::s6::servicedir::{self, CONTROL, LOG, RUN, SUPERVISE};
use crate::s6::slot::template;
use crate::s6::status::{self, Stat};
use crate::s6::tai64n::Label;
use crate::s6::{ProfileName, programs, scandir, supervision};
use crate::service::count::{Beginning, Program};
use crate::service::{backoff, dashboard};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Kind, Name, Reason, as_user, file, present, process, time};
use crate::topology::host::{Host, Slotted};
use crate::volume::bootlog::{Entry, LastBoots};
use crate::volume::home::Trusted;
use crate::volume::{Home, death_count, marker};

/// The program that commands a supervisor.
const SVC: &str = "s6-svc";

/// What is asked.
pub struct Query<'a> {
    pub settings: &'a Settings,
    /// `None` if s6-svscan does not run.
    pub scandir: Option<&'a Dir>,
    /// The slots that are there.
    pub slots: &'a [Name],
    /// The room for slots and supervisors, not looked at yet; `None` if nothing is known of it.
    pub room: OnceCell<Option<Room>>,
    /// What the boot log says.
    pub boot_log: LastBoots<'a>,
    pub front_end: &'a FrontEnd<'a>,
    /// Whether s6-svscan runs on the scan directory; not looked for yet.
    pub is_scanned: OnceCell<bool>,
    pub console: &'a Console,
    /// `HERMES_HOME`; `None` if it cannot be used, which is reported.
    pub home: Option<&'a (Home, Trusted)>,
    /// The gateway of `default`, and whom it serves; not looked for yet.
    pub host: OnceCell<Host>,
    /// Whether a gateway or a dashboard that keeps dying is started after a pause; not looked up yet.
    pub makes_pauses: OnceCell<bool>,
    /// s6-svc(8) as a person is to call it; not looked for yet.
    pub svc: OnceCell<String>,
    /// Whether the gateway of `default` is the container's command.
    pub is_default_in_foreground: bool,
}

/// Whether the container is a front end's.
pub struct FrontEnd<'a> {
    pub settings: &'a Settings,
    /// Settings of the command line, which may have the container's role.
    pub overrides: &'a Overrides,
    pub console: &'a Console,
    /// Why no gateway belongs in this container; not looked for yet.
    pub found: OnceCell<Option<String>>,
}

impl FrontEnd<'_> {
    /// Returns why no gateway belongs in this container, if it is a front end's.
    pub fn why(&self) -> Option<&str> {
        let found = self.found.get_or_init(|| {
            self.settings.front_end(self.overrides, self.console).unwrap_or_else(|error| {
                self.console.failed(&error);
                None
            })
        });
        found.as_deref()
    }
}

/// Looks for the profile of a slot.
pub fn find_profile(settings: &Settings, name: &[u8]) -> OrphanProfile {
    let Ok(name) = ProfileName::parse(name) else { return OrphanProfile::Impossible };
    match record::has_profile(settings, &name) {
        Ok(true) => OrphanProfile::New,
        Ok(false) => OrphanProfile::Gone,
        Err(_) if names::has_remains(settings, &name) == Ok(true) => OrphanProfile::Remains,
        Err(error) => OrphanProfile::Unknown(error.to_string()),
    }
}

/// Returns what was found on the volume. That it cannot be used is said elsewhere.
fn unless_refused<T: Default>(found: crate::output::Result<T>) -> std::result::Result<T, String> {
    match found {
        Err(error) if matches!(error.errno(), None | Some(Errno::ACCESS | Errno::PERM)) => Ok(T::default()),
        found => found.map_err(|error| error.to_string()),
    }
}

impl Query<'_> {
    /// Returns what the container's boot has done with a profile.
    fn last_boot(&self, profile: &[u8]) -> Option<Pass> {
        self.boot_log.at_boot(profile).map(pass)
    }

    /// Returns what the newest pass has done with a profile.
    fn last_pass(&self, profile: &[u8]) -> Option<Pass> {
        self.boot_log.in_newest_pass(profile).map(pass)
    }

    /// Returns the row of a profile. `slot` is the entry of the scan directory that has its slot's name.
    pub fn profile(&self, plan: &Plan, item: &Item, slot: Option<&Name>) -> Row {
        let forecast = forecast(plan, item);
        let (last_boot, last_pass) = (self.last_boot(&item.name), self.last_pass(&item.name));
        let found = slot.and_then(|slot| Some((slot, self.slot(slot)?)));
        let (directory, supervision) = match found {
            Some((slot, found)) => (Some(self.settings.scandir.value.join(slot)), found),
            None => (None, Supervision::NoSlot(self.missing(&forecast, last_pass.as_ref()))),
        };
        let is_here = !matches!(supervision, Supervision::NoSlot(Missing::FrontEnd(_)));
        let serving =
            forecast.of_default.filter(|_| is_here).map(|_| self.host().serving(item.name.as_slice()));
        let (name, subject) = (item.name.clone(), Subject::Profile(forecast));
        Row { name, subject, directory, supervision, serving, last_boot, last_pass }
    }

    /// Returns the gateway of `default`, and whom it serves.
    fn host(&self) -> &Host {
        self.host.get_or_init(|| {
            let supervision = self.slot_of_default();
            let slotted = match &supervision {
                Supervision::Supervised(state) if state.is_looping() => Slotted::Restarting,
                Supervision::Supervised(state) => state.process.pid().map_or(Slotted::Down, Slotted::Up),
                _ => Slotted::Down,
            };
            let host = self.home.map_or(Host::Down, |home| record::host(home, slotted));
            let host = if self.is_default_in_foreground { host.in_foreground() } else { host };
            match (host, supervision) {
                (Host::Down, Supervision::Unknown(error)) => Host::Unknown(error),
                (host, _) => host,
            }
        })
    }

    /// Asks s6 about the slot of `default`.
    fn slot_of_default(&self) -> Supervision {
        self.slot(ProfileName::root().slot()).unwrap_or(Supervision::NoSlot(Missing::Unknown))
    }

    /// Returns whether a start of `default` makes its slot, or has s6-svscan scan.
    pub fn is_default_unsupervised(&self) -> bool {
        matches!(self.slot_of_default(), Supervision::NoSlot(_) | Supervision::Unsupervised)
    }

    /// Returns the row of a slot without a profile; `name` is that of the profile. `None` if the slot is gone.
    pub fn orphan(&self, name: &[u8], slot: &Name) -> Option<Row> {
        let supervision = self.slot(slot)?;
        let profile = find_profile(self.settings, name);
        Some(Row {
            name: name.to_vec(),
            subject: Subject::Orphan(profile),
            directory: Some(self.settings.scandir.value.join(slot)),
            supervision,
            serving: None,
            last_boot: self.last_boot(name),
            last_pass: self.last_pass(name),
        })
    }

    /// Returns the row of a directory of `profiles` without SOUL.md.
    pub fn not_profile(&self, name: &Name) -> Row {
        Row {
            name: name.bytes().to_vec(),
            subject: Subject::NotProfile,
            directory: None,
            supervision: Supervision::NoSlot(Missing::Unknown),
            serving: None,
            last_boot: self.last_boot(name.bytes()),
            last_pass: self.last_pass(name.bytes()),
        }
    }

    /// Returns the row of a static service; `None` if it is not the hermes user's to command, or this user may not look.
    pub fn service(&self, name: &Name) -> Option<Row> {
        let scandir = self.scandir?;
        if servicedir::is_internal(name) {
            return None;
        }
        let refused = Err(Reason::Errno(Errno::ACCESS));
        let mut looked = self.look_at_service(scandir, name);
        if looked == refused && process::is_root() {
            // Without the capability DAC_OVERRIDE, root may not look at what is another user's; the hermes user may look at what is his.
            let groups = self.settings.groups().unwrap_or_default();
            let look = || self.look_at_service(scandir, name);
            looked = as_user(self.settings.owner.value, &groups, look).unwrap_or(refused);
        }
        let supervision = match looked {
            Ok(supervision) => supervision?,
            // No service.
            Err(Reason::Errno(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => return None,
            // It may be root's alone.
            Err(Reason::Errno(Errno::ACCESS)) if !process::is_root() => return None,
            Err(reason) => Supervision::Unknown(Error::new("inspect", name, reason).to_string()),
        };
        Some(Row {
            name: name.bytes().to_vec(),
            subject: Subject::Service,
            directory: Some(self.settings.scandir.value.join(name)),
            supervision,
            serving: None,
            last_boot: None,
            last_pass: None,
        })
    }

    /// Asks s6 about a static service, as the user of this process; `None` if it is not the hermes user's to command.
    fn look_at_service(
        &self,
        scandir: &Dir,
        name: &Name,
    ) -> std::result::Result<Option<Supervision>, Reason> {
        let meta = scandir.meta(name)?;
        let dir = if meta.kind == Kind::Symlink && scandir::is_of_supervision(scandir, &meta)? {
            scandir.follow(name)?
        } else {
            scandir.open_path(name)?
        };
        let control = dir.open_path(&SUPERVISE)?.meta(&CONTROL)?;
        let owner = self.settings.owner.value;
        let is_group = control.ids.gid == owner.gid && control.mode & 0o020 != 0;
        let is_his = control.ids.uid == owner.uid || is_group;
        Ok(is_his.then(|| {
            if is_dashboard(&dir) {
                self.ask(&dir, Program::Dashboard, || self.count_of_dashboard_since())
            } else {
                self.ask(&dir, Program::Other, || Ok(None))
            }
        }))
    }

    /// Asks s6 about a slot. `None` if it is gone: another command has unregistered it since the scan directory was listed.
    fn slot(&self, slot: &Name) -> Option<Supervision> {
        let Some(scandir) = self.scandir else { return Some(Supervision::NoSlot(Missing::Unknown)) };
        let found = self.look_at_slot(scandir, slot);
        // What is unregistered has a supervisor that ends, and takes what was asked of it away.
        let is_gone = || scandir.meta(slot) == Err(Errno::NOENT);
        if !matches!(found, Supervision::Supervised(_)) && is_gone() { None } else { Some(found) }
    }

    fn look_at_slot(&self, scandir: &Dir, slot: &Name) -> Supervision {
        match scandir.open_path(slot) {
            Err(Errno::NOTDIR | Errno::LOOP) => match scandir.meta(slot) {
                Ok(meta) => Supervision::NotASlot(meta.kind),
                Err(errno) => Supervision::Unknown(Error::new("inspect", slot, errno).to_string()),
            },
            Err(errno) => Supervision::Unknown(Error::new("open", slot, errno).to_string()),
            Ok(dir) if matches!(supervision::is_held(&dir), Ok(false)) => Supervision::Unsupervised,
            Ok(dir) => match ProfileName::of_service(slot.bytes()) {
                None => Supervision::NotAsked,
                Some(profile) => self.gateway(&dir, &profile),
            },
        }
    }

    /// Asks s6 about the gateway of a slot that is open.
    fn gateway(&self, slot: &Dir, profile: &ProfileName) -> Supervision {
        let supervision = self.ask(slot, Program::Gateway, || self.count_since(profile));
        match supervision {
            Supervision::Supervised(state) => {
                let pid = state.process.pid().filter(|_| state.is_wanted);
                let is_ending = pid.map_or(Ok(false), |pid| self.is_ending(profile, pid));
                Supervision::Supervised(State { is_ending, ..state })
            }
            supervision => supervision,
        }
    }

    /// Returns whether the process of a gateway is to be followed by another one. That the volume or the profile cannot be used is said
    /// elsewhere, and who is refused there is none who restarts it.
    fn is_ending(&self, profile: &ProfileName, pid: u64) -> std::result::Result<bool, String> {
        let is_marked = |dir: Option<&Dir>| match dir {
            Some(dir) => marker::RESTART.is_for(dir, pid).context("read", &marker::RESTART.name),
            None => Ok(false),
        };
        let Some(home) = self.home else { return Ok(false) };
        unless_refused(record::in_directory_of(home, self.settings, profile, is_marked))
    }

    /// Returns since when the deaths of a gateway count. As for [`Query::is_ending`], what is said elsewhere is none.
    fn count_since(&self, profile: &ProfileName) -> std::result::Result<Option<Label>, String> {
        let Some(home) = self.home else { return Ok(None) };
        unless_refused(record::count_since(home, self.settings, profile))
    }

    /// Returns since when the deaths of the dashboard count.
    fn count_of_dashboard_since(&self) -> std::result::Result<Option<Label>, String> {
        let Some((home, _)) = self.home else { return Ok(None) };
        let read =
            || death_count::read(&home.dir, &death_count::DASHBOARD).context("read", &death_count::DASHBOARD);
        unless_refused(home.as_its_user(read))
    }

    /// Asks s6 about a service directory that is open. The logger of a gateway is one of ours. `count_since` looks since when deaths count,
    /// if there are any.
    fn ask(
        &self,
        dir: &Dir,
        program: Program,
        count_since: impl FnOnce() -> std::result::Result<Option<Label>, String>,
    ) -> Supervision {
        let stat = match status::svstat(dir) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Supervision::Unsupervised,
            // One that finds no room ends before it has a state, and another one is started every second.
            Err(error) if error.errno() == Some(Errno::NOENT) && self.lacks_room() => {
                return Supervision::Unsupervised;
            }
            Err(error) if error.errno() == Some(Errno::NOENT) => {
                let how = "its supervisor, which may have had no room for it, writes it with the next start";
                return Supervision::Unknown(format!("{error}: {how}"));
            }
            Err(error) => {
                let refused = |errno| refusal(errno, dir, "read", "supervise/status", self.console);
                let refusal = error.errno().and_then(refused);
                return Supervision::Unknown(refusal.unwrap_or(error).to_string());
            }
        };
        let since = stat.time();
        let mut state = State {
            process: stat.process,
            is_wanted: stat.is_wanted,
            since,
            age: stat.age(time::now_exactly()),
            deaths: self.deaths(dir, &stat, program, count_since),
            logger: Logger::Fine,
            is_ending: Ok(false),
        };
        if state.is_up() && state.deaths.is_ok() && !state.is_looping() {
            let age = state.age.unwrap_or_default();
            state.logger = self.logger(dir, Some(age).filter(|_| program == Program::Gateway));
        }
        Supervision::Supervised(state)
    }

    fn deaths(
        &self,
        dir: &Dir,
        stat: &Stat,
        program: Program,
        count_since: impl FnOnce() -> std::result::Result<Option<Label>, String>,
    ) -> std::result::Result<Deaths, String> {
        let tally =
            deaths::tally(dir).map_err(|reason| Error::new("read", deaths::LABEL, reason).to_string())?;
        if tally.deaths.is_empty() {
            return Ok(Deaths::default());
        }
        let tally = tally.since(count_since()?);
        let look_up = || self.settings.lookup.makes_pauses(self.console).unwrap_or(true);
        let makes_pauses = *self.makes_pauses.get_or_init(look_up);
        // The clock is read after what s6 has stamped: nothing is later but by a clock that was set back.
        let now = time::now();
        let begun = Beginning::of(stat);
        let counted = program.counted(&tally, begun, makes_pauses, now);
        let recent = dying::recent(counted.iter(), now);
        // What somebody has ordered since a process waits does not shorten that.
        let before: Tally = tally.as_of(&stat.since);
        let pause = begun.filter(|_| makes_pauses).and_then(|begun| program.pause(&before, begun, now));
        let is_pausing = |pause: &backoff::Pause| pause.until > now;
        // Of one that dies again and again, the last death that counts says how; else it is told how the service ended last.
        let last = if recent >= LOOP && stat.is_wanted { counted.last() } else { tally.deaths.last() };
        Ok(Deaths {
            last: last.copied(),
            recent,
            pause_until: pause.filter(is_pausing).map(|pause| pause.until),
        })
    }

    /// Looks at the logger of a service that is up; more closely at that of a gateway, which has been up for `gateway` seconds.
    fn logger(&self, dir: &Dir, gateway: Option<u64>) -> Logger {
        let log = match present(dir.open_path(&LOG)) {
            Ok(Some(log)) => Ok(log),
            Ok(None) => return Logger::Fine,
            Err(errno) => Err(Reason::from(errno)),
        };
        let looked = log.and_then(|log| Ok((deaths::read(&log)?, log)));
        let (deaths, log) = match looked {
            Ok(looked) => looked,
            // The logger of a static service may be root's alone.
            Err(Reason::Errno(Errno::ACCESS)) if gateway.is_none() => return Logger::Fine,
            Err(reason) => return Logger::Unknown(Error::new("inspect", &LOG, reason).to_string()),
        };
        let now = time::now();
        match gateway {
            // Whoever has it renewed with s6-svc(8) makes no loop of it.
            _ if dying::recent(
                deaths.iter().filter(|death| gateway.is_none() || !dying::is_renewal(death)),
                now,
            ) >= LOOP =>
            {
                Logger::Dying
            }
            Some(age) => log_keeping::Look { settings: self.settings, age }.at(&log),
            None => Logger::Fine,
        }
    }

    /// Returns why a profile has no slot, as far as the boot log shows.
    fn missing(&self, forecast: &Forecast, last_pass: Option<&Pass>) -> Missing {
        if forecast.next == NextBoot::NoSlot {
            return Missing::Unknown;
        }
        if let Some(why) = self.front_end.why() {
            return Missing::FrontEnd(why.to_owned());
        }
        if !self.is_scanned() || self.boot_log.is_of_another_boot() {
            // The boot log tells nothing of this boot, if there was one.
            return Missing::Unknown;
        }
        missing(last_pass, self.boot_log.is_newest_pass_known())
    }

    /// Returns whether this user may not make slots, and root may.
    pub fn is_sealed_to_us(&self) -> bool {
        let may_write = |scandir: &Dir| scandir.try_to_write() != Err(Errno::ACCESS);
        !process::is_root() && !self.scandir.is_none_or(may_write)
    }

    /// Returns that there is no room for the supervisors of a row, or for its slot, if so.
    pub fn no_room(&self, row: &Row) -> Option<String> {
        let further = match &row.supervision {
            Supervision::NoSlot(_) => 1,
            Supervision::Unsupervised => 0,
            _ => return None,
        };
        self.room()?.lack(&self.settings.scandir.value, further)
    }

    /// Returns whether there is no room for the supervisors of the slots that are there.
    fn lacks_room(&self) -> bool {
        self.room().is_some_and(|room| room.lack(&self.settings.scandir.value, 0).is_some())
    }

    /// Returns the room for slots and supervisors. That nothing is known of it is no lack of it: what fails then says why.
    fn room(&self) -> Option<&Room> {
        let look = || Room::look(self.scandir?, self.slots, 0).ok();
        self.room.get_or_init(look).as_ref()
    }

    /// Returns s6-svc(8) as a person is to call it.
    pub fn svc(&self) -> &str {
        self.svc.get_or_init(|| {
            let found = programs::find(OsStr::new(SVC), OsStr::new(programs::DEFAULT_PATH));
            found.ok().flatten().map_or_else(|| SVC.to_owned(), |path| FromVolume::path(&path).to_string())
        })
    }

    /// Returns whether s6-svscan runs on the scan directory, as far as this process can tell.
    pub fn is_scanned(&self) -> bool {
        let look = || self.scandir.is_some_and(|scandir| supervision::is_scanned(scandir) != Ok(false));
        *self.is_scanned.get_or_init(look)
    }
}

/// Returns whether the `run` of a service directory is that of a dashboard, as far as this user may read it.
fn is_dashboard(dir: &Dir) -> bool {
    file::read(dir, &RUN, template::SCRIPT_CAP).is_ok_and(|script| dashboard::is_run_by(&script))
}

/// Returns an entry of the boot log as a row has it.
fn pass(entry: &Entry) -> Pass {
    let Entry { action, time, .. } = entry;
    Pass { action: action.clone(), time: time.clone() }
}

/// Returns why a profile has no slot by what the newest pass has done with it.
fn missing(last_pass: Option<&Pass>, is_complete: bool) -> Missing {
    match last_pass {
        Some(pass) if matches!(pass.action.as_str(), "started" | "registered") => Missing::Gone,
        Some(_) => Missing::NotMade,
        None if !is_complete => Missing::Unknown,
        None => Missing::New,
    }
}

/// Returns what the next boot does with a profile.
fn forecast(plan: &Plan, item: &Item) -> Forecast {
    let recorded = item.profile.as_ref().map_or(&Recorded::Absent, |profile| &profile.state);
    let next = match &item.decision {
        Decision::NoSlot(NoSlotReason::Unusable(_)) => NextBoot::NoSlot,
        Decision::Start(_) => NextBoot::Up,
        // It serves all that are not parked, once it is up.
        Decision::ServedByDefault { wants } if *wants || plan.starts_default() => NextBoot::ByDefault,
        _ if item.has_failed() => NextBoot::Unknown,
        _ => NextBoot::Down,
    };
    let of_default = match item.decision {
        Decision::ServedByDefault { wants: true } => Some(OfDefault::Wanted),
        Decision::ServedByDefault { wants: false } => Some(OfDefault::Unasked),
        Decision::Down(DownReason::Parked) => Some(OfDefault::Parked),
        _ => None,
    };
    let is_parked = of_default == Some(OfDefault::Parked);
    // That a profile is parked is its state, and no reason against it.
    let reason = plan.reason(item).filter(|reason| !is_parked || reason != PARKED);
    let refusal = item.profile.as_ref().and_then(|profile| profile.refusal.clone());
    Forecast {
        next,
        is_refused: reason.is_some() && reason == refusal,
        reason,
        is_hindered: item.obstacle().is_some(),
        has_failed: item.has_failed(),
        of_default,
        is_unused_root: is_unused_root(item),
        broken: broken(recorded).filter(|_| next == NextBoot::Down && !is_parked),
        is_stopped_on_request: recorded.is_stopped_on_request(),
        words: if is_parked { "it is parked".to_owned() } else { recorded.words() },
    }
}

/// Returns what is wrong with a state file.
fn broken(state: &Recorded) -> Option<Broken> {
    match state {
        Recorded::Unusable(reason) if file::is_unread(reason) => Some(Broken::File),
        Recorded::Unusable(_) => Some(Broken::Content),
        _ => None,
    }
}

/// Returns whether it is `default`, has never been used, and could have a slot. It is on every volume.
pub fn is_unused_root(item: &Item) -> bool {
    let is_unused = |state: &Recorded| matches!(state, Recorded::Absent);
    item.with_slot().is_some_and(|profile| profile.name.is_root() && is_unused(&profile.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_log_tells_why_a_slot_is_missing() {
        for (last, is_complete, expected) in [
            (Some("started"), true, Missing::Gone),
            (Some("registered"), false, Missing::Gone),
            (Some("skipped"), true, Missing::NotMade),
            (Some("failed"), false, Missing::NotMade),
            (None, true, Missing::New),
            (None, false, Missing::Unknown),
        ] {
            let pass = last.map(|action| Pass { action: action.to_owned(), time: "T".to_owned() });
            assert_eq!(missing(pass.as_ref(), is_complete), expected, "{last:?} {is_complete}");
        }
    }
}
