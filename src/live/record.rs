//! What the commands read and write in the directory of a profile: its desired state, and the variables of its registration.

use std::path::PathBuf;

use super::Live;
use crate::output::escape::FromVolume;
use crate::output::{Context, Error, Result, exit};
use crate::s6::ProfileName;
use crate::s6::envdir::Variable;
use crate::s6::tai64n::Label;
use crate::settings::Settings;
use crate::sys::{Dir, Errno, Name, Ownership, proc};
use crate::topology::host::{Host, Slotted};
use crate::volume::contents::Contents;
pub use crate::volume::desired_state::{DesiredState, Write};
use crate::volume::directory_lock::{self, Held};
use crate::volume::home::Trusted;
use crate::volume::marker::{self, Marker};
use crate::volume::parking::{self, PARKED};
use crate::volume::profiles::{self, Profiles};
use crate::volume::state::{self, STATE};
use crate::volume::{Home, advice, death_count, desired_state, kept_env};

/// Opens `HERMES_HOME`. Returns it with the users who may own what a symlink there leads to.
pub fn home(settings: &Settings) -> Result<(Home, Trusted)> {
    let trusted = Trusted::new(settings.owner.value, &Ownership::new());
    Ok((Home::open(&settings.home.value, trusted)?, trusted))
}

/// Calls `work` with the directory of a profile, or with `None` if there is no such profile, as the user whom the volume admits. Fails
/// if what is there is no usable profile, with the exit code 1 if that has been seen.
pub fn in_directory<T>(
    settings: &Settings,
    profile: &ProfileName,
    work: impl FnOnce(Option<&Dir>) -> Result<T>,
) -> Result<T> {
    in_directory_of(&self::home(settings)?, settings, profile, work)
}

/// [`in_directory`] of a `HERMES_HOME` that is open.
pub fn in_directory_of<T>(
    (home, trusted): &(Home, Trusted),
    settings: &Settings,
    profile: &ProfileName,
    work: impl FnOnce(Option<&Dir>) -> Result<T>,
) -> Result<T> {
    home.as_its_user(|| {
        let dir = open(home, *trusted, profile, settings)?;
        work(dir.as_ref())
    })
}

/// Opens the directory of a profile; `None` if there is no such profile.
fn open(home: &Home, trusted: Trusted, profile: &ProfileName, settings: &Settings) -> Result<Option<Dir>> {
    if profile.is_root() {
        return home.dir.readable().map(Some).context("open", settings.home.value.as_path());
    }
    profiles::directory(home, trusted, profile).map_err(|error| match error.errno() {
        Some(_) => explained(error, "use the profile", profiles::place(profile), settings),
        None => error.with_code(exit::INCOMPLETE),
    })
}

/// Adds to the error of an operation on a path of the volume, relative to `HERMES_HOME`, who owns what is in the way.
fn explained(error: Error, verb: &'static str, path: PathBuf, settings: &Settings) -> Error {
    let Some(errno) = error.errno() else { return error };
    let reason = advice::below(&errno.into(), &settings.home.value, &path, settings.owner.value.uid);
    Error::new(verb, path, reason).with_code(error.code())
}

/// Returns whether there is a profile. Fails if what is there is no usable profile.
pub fn has_profile(settings: &Settings, profile: &ProfileName) -> Result<bool> {
    in_directory(settings, profile, |dir| Ok(dir.is_some()))
}

/// Returns since when the deaths of the gateway of a profile count, as far as it was kept. `home` is `HERMES_HOME`.
pub fn count_since(
    home: &(Home, Trusted),
    settings: &Settings,
    profile: &ProfileName,
) -> Result<Option<Label>> {
    in_directory_of(home, settings, profile, |dir| match dir {
        Some(dir) => death_count::read(dir, &death_count::GATEWAY).context("read", &death_count::GATEWAY),
        None => Ok(None),
    })
}

/// Returns the names in `profiles`, not all of which need be profiles, in byte order.
pub fn names(settings: &Settings) -> Result<Vec<Name>> {
    let (home, trusted) = self::home(settings)?;
    home.as_its_user(|| {
        let profiles = Profiles::open(&home, trusted)?;
        Ok(profiles.map(|profiles| profiles.names()).transpose()?.unwrap_or_default().names)
    })
}

/// The directory of a profile, locked for changes in it until this is dropped. Orders to the gateway that belong to a change are given
/// meanwhile, so that no other command's come between.
pub struct Locked<'a> {
    live: &'a Live<'a>,
    profile: &'a ProfileName,
    home: Home,
    dir: Held,
}

/// Returns the gateway of `default`, given what s6 says of it.
pub fn host((home, _): &(Home, Trusted), slotted: Slotted) -> Host {
    let report = home.as_its_user(|| state::report(&home.dir).context("read", &STATE));
    match report {
        Ok(report) => Host::of(slotted, report.as_ref(), proc::life),
        Err(error) => Host::Unknown(error.to_string()),
    }
}

/// Locks the directory of a profile; `None` if there is no such profile. What another process locks is changed without the lock, which is
/// reported. Fails as [`in_directory`].
pub fn lock<'a>(live: &'a Live<'_>, profile: &'a ProfileName) -> Result<Option<Locked<'a>>> {
    let (home, trusted) = self::home(&live.settings)?;
    let found = home.as_its_user(|| {
        let dir = open(&home, trusted, profile, &live.settings)?;
        Ok(dir.map(|dir| directory_lock::hold(dir, &live.patience)))
    });
    let Some(dir) = found? else { return Ok(None) };
    if dir.is_anothers() {
        live.warn_once(format!(
            "another process keeps the directory of {} locked: its files are written without the lock",
            profile.text()
        ));
    }
    let locked = Locked { live, profile, home, dir };
    locked.sweep();
    Ok(Some(locked))
}

impl Locked<'_> {
    /// Removes what killed commands have left. What cannot be removed is in nobody's way.
    fn sweep(&self) {
        let _ = self.home.as_its_user(|| {
            let _ = self.dir.sweep();
            let _ = marker::PLANNED_STOP.sweep(&self.dir);
            let _ = marker::RESTART.sweep(&self.dir);
            Ok(())
        });
    }

    /// Records the desired state in the profile's state file.
    pub fn set_desired(&self, desired: DesiredState, write: Write) -> Result<()> {
        let (live, profile, dir) = (self.live, self.profile, &self.dir);
        let (owner, ownership) = (live.settings.owner.value, live.template.ownership);
        let set = || {
            desired_state::set(dir, profile, desired, write, owner, ownership).map_err(|error| {
                match error.errno() {
                    Some(Errno::ACCESS) => {
                        explained(error, "write", profiles::label(profile, &STATE), &live.settings)
                    }
                    _ => error,
                }
            })
        };
        if let Some(aside) = self.home.as_its_user(set)? {
            let shown = FromVolume(aside.bytes());
            live.console.warn(format_args!(
                "the state file of {} was broken and has been renamed to {shown}",
                profile.text()
            ));
        }
        Ok(())
    }

    /// Leaves in `HERMES_HOME`, of which this is the directory, that the gateway of `default` serves other profiles.
    pub fn remember_multiplex(&self) -> Result<()> {
        let (owner, ownership) = (self.live.settings.owner.value, self.live.template.ownership);
        self.home.as_its_user(|| {
            parking::remember(&self.dir, owner, ownership).context("write", &parking::REMEMBERED)
        })
    }

    /// Makes or removes the profile's `gateway.parked`.
    pub fn set_parked(&self, is_parked: bool) -> Result<()> {
        let (live, label) = (self.live, profiles::label(self.profile, &PARKED));
        let (owner, ownership) = (live.settings.owner.value, live.template.ownership);
        self.home.as_its_user(|| {
            if is_parked {
                parking::park(&self.dir, owner, ownership).context("make", label)
            } else {
                parking::unpark(&self.dir).context("remove", label)
            }
        })
    }

    /// Returns whether the profile is parked.
    pub fn is_parked(&self) -> Result<bool> {
        let label = profiles::label(self.profile, &PARKED);
        self.home.as_its_user(|| parking::is_parked(&self.dir).context("inspect", label))
    }

    /// Returns whether the state file has this desired state, as far as this can be seen.
    pub fn is_desired(&self, desired: DesiredState) -> bool {
        self.home.as_its_user(|| Ok(desired_state::is(&self.dir, desired))).unwrap_or(false)
    }

    /// Marks a process of the gateway.
    pub fn mark(&self, marker: &Marker, pid: u64) -> Result<()> {
        let (owner, ownership) = (self.live.settings.owner.value, self.live.template.ownership);
        let write = || marker.write(&self.dir, pid, owner, ownership).context("write", self.label(marker));
        self.home.as_its_user(write)
    }

    /// Has the deaths of the gateway count from now on.
    pub fn count_anew(&self) -> Result<()> {
        let (owner, ownership) = (self.live.settings.owner.value, self.live.template.ownership);
        let label = || profiles::label(self.profile, &death_count::GATEWAY);
        let write = || {
            death_count::write(&self.dir, &death_count::GATEWAY, owner, ownership).context("write", label())
        };
        self.home.as_its_user(write)
    }

    /// Returns since when the deaths of the gateway count, as far as it was kept.
    pub fn count_since(&self) -> Result<Option<Label>> {
        let label = || profiles::label(self.profile, &death_count::GATEWAY);
        self.home.as_its_user(|| death_count::read(&self.dir, &death_count::GATEWAY).context("read", label()))
    }

    /// Removes a marker; with `of`, only one of the process with this ID.
    pub fn unmark(&self, marker: &Marker, of: Option<u64>) -> Result<()> {
        let remove = || match of {
            None => marker.remove(&self.dir),
            Some(pid) => marker.remove_for(&self.dir, pid),
        };
        self.home.as_its_user(|| remove().context("remove", self.label(marker)))
    }

    /// Returns whether a process of the gateway is marked.
    pub fn has_marked(&self, marker: &Marker, pid: u64) -> Result<bool> {
        self.home.as_its_user(|| marker.is_for(&self.dir, pid).context("read", self.label(marker)))
    }

    /// Keeps the variables of a registration for the next boot.
    fn keep_variables(&self, variables: &[Variable]) -> Result<()> {
        let (owner, ownership) = (self.live.settings.owner.value, self.live.template.ownership);
        self.home.as_its_user(|| {
            let done = kept_env::write(&self.dir, variables, owner, ownership);
            done.context("store the variables in", label(self.profile))
        })
    }

    fn label(&self, marker: &Marker) -> PathBuf {
        profiles::label(self.profile, &marker.name)
    }
}

/// Returns the variables that a registration of the profile has kept; none if there is no profile. Those that cannot be used are
/// reported and left out, as at a boot.
pub fn kept_variables(live: &Live<'_>, profile: &ProfileName) -> Vec<Variable> {
    let trusted = Trusted::new(live.settings.owner.value, live.template.ownership);
    let read = in_directory(&live.settings, profile, |dir| {
        let Some(dir) = dir else { return Ok(Vec::new()) };
        Ok(kept_env::read(Contents::unknown(dir), trusted).unwrap_or_else(|reason| {
            live.console.failed(&Error::new("use", label(profile), reason));
            Vec::new()
        }))
    });
    // What is wrong with a profile is reported elsewhere.
    read.unwrap_or_default()
}

/// Keeps the variables of a registration for the next boot, if there are any. Without a profile, the next boot makes no slot.
pub fn keep_variables(live: &Live<'_>, profile: &ProfileName, variables: &[Variable]) -> Result<()> {
    if variables.is_empty() {
        return Ok(());
    }
    let keep = || lock(live, profile)?.map_or(Ok(()), |locked| locked.keep_variables(variables));
    keep().map_err(|error| error.with_code(exit::INCOMPLETE))
}

/// Forgets the variables of a registration. A failure leaves the command incomplete: what else it has done stays.
pub fn forget_variables(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let remove = |dir: &Dir| kept_env::remove(dir).context("remove", label(profile));
    let done = in_directory(&live.settings, profile, |dir| dir.map_or(Ok(()), remove));
    done.map_err(|error| error.with_code(exit::INCOMPLETE))
}

fn label(profile: &ProfileName) -> PathBuf {
    profiles::label(profile, &kept_env::KEPT)
}
