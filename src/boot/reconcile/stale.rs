//! The runtime files that gateways have left and that mean nothing now. They are removed before slots are made, on a remote volume those of
//! several profiles at once.

use std::collections::BTreeMap;

use super::decide::Profile;
use super::files::GATEWAY_PID;
use super::plan::{Item, Plan};
use super::slots::Slot;
use super::{Pass, elsewhere, observed, profile_files};
use crate::output::{Context, Error, Result};
use crate::s6::scandir_lock::Held;
use crate::s6::slot::staging;
use crate::sys::{Dir, Errno, Name, Reason, threads};
use crate::volume::directory_lock::STAGING;
use crate::volume::profiles::{self, Profiles};

/// What has come of the stale files of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// There were none, or none could be removed.
    Nothing,
    /// Some were removed.
    Files,
}

/// What has come of an attempt to remove the stale files of a profile.
struct Tried {
    /// Whether its gateway may run elsewhere.
    may_run: std::result::Result<bool, Reason>,
    /// The files, but [`STAGING`], and what has come of the removal of each.
    files: Vec<(&'static Name, std::result::Result<(), Errno>)>,
}

/// Removes the stale files of each profile whose gateway does not run. What cannot be removed is reported. Returns what has come of it for
/// the items that have such files, by their places in the plan; an error where it could not be found out whether the gateway runs.
pub fn remove(pass: &Pass<'_>, scandir: &Held<'_>, plan: &Plan) -> BTreeMap<usize, Result<Removed>> {
    let mut done = BTreeMap::new();
    let mut left: Vec<(usize, &Profile)> = Vec::new();
    for (place, item) in plan.items.iter().enumerate() {
        let Some(profile) = with_stale(item) else { continue };
        let slot = profile.name.slot();
        match staging::is_supervised(scandir, slot).context("check for a supervisor of", slot) {
            Ok(false) => left.push((place, profile)),
            // Its gateway may run.
            Ok(true) => profile_files::sweep_left(pass, &profile.name, &profile.stale),
            Err(error) => {
                done.insert(place, Err(error));
            }
        }
    }
    for some in left.chunks(observed::at_once(plan.threads)) {
        let removed = remove_some(pass, some, plan.threads).unwrap_or_else(|error| {
            pass.console.failed(&error);
            Vec::new()
        });
        done.extend(some.iter().map(|(place, _)| *place).zip(removed.into_iter().map(Ok)));
    }
    done
}

/// Returns the profile of an item whose slot could be looked at, if it has stale files.
fn with_stale(item: &Item) -> Option<&Profile> {
    item.with_slot().filter(|profile| !profile.stale.is_empty() && item.slot != Slot::Unknown)
}

fn remove_some(pass: &Pass<'_>, some: &[(usize, &Profile)], threads: usize) -> Result<Vec<Removed>> {
    let Some(home) = &pass.home else { return Ok(Vec::new()) };
    let (dir, profiles) = (&home.dir, pass.profiles.get());
    home.as_its_user(|| {
        let tried = threads::map(some, threads, |(_, profile)| try_to_remove(dir, profiles, profile));
        Ok(some.iter().zip(tried).map(|((_, profile), tried)| reported(pass, profile, tried)).collect())
    })
}

/// Tries to remove the stale files of a profile; `None` if it has vanished meanwhile. Several threads may do so at once.
fn try_to_remove(home: &Dir, profiles: Option<&Profiles>, profile: &Profile) -> Result<Option<Tried>> {
    profile_files::in_directory_of(home, profiles, &profile.name, |dir| {
        let has_pid = profile.stale.contains(&&GATEWAY_PID);
        let may_run = if has_pid { elsewhere::may_run(dir, profile.written) } else { Ok(false) };
        let files = profile.stale.iter().filter(|file| **file != &STAGING);
        Ok(Some(Tried { may_run, files: files.map(|file| (*file, dir.unlink(file))).collect() }))
    })
}

/// Reports what could not be removed of a profile, and removes what a command may be writing.
fn reported(pass: &Pass<'_>, profile: &Profile, tried: Result<Option<Tried>>) -> Removed {
    let Profile { name, stale, .. } = profile;
    let failed = |error: Error| {
        pass.console.failed(&error);
        false
    };
    let tried = match tried {
        Ok(Some(tried)) => tried,
        Ok(None) => return Removed::Nothing,
        Err(error) => {
            pass.console.failed(&error);
            return Removed::Nothing;
        }
    };
    match tried.may_run.context("use", profiles::label(name, &GATEWAY_PID)) {
        Ok(true) => pass.elsewhere.borrow_mut().push(name.text().to_owned()),
        Ok(false) => (),
        Err(error) => pass.console.failed(&error),
    }
    let is_removed = |(file, done): (&Name, std::result::Result<(), Errno>)| match done {
        Ok(()) => true,
        Err(Errno::NOENT) => false,
        Err(errno) => failed(Error::new("remove", profiles::label(name, file), errno)),
    };
    let mut removed = tried.files.into_iter().map(is_removed).filter(|is_removed| *is_removed).count();
    if stale.contains(&&STAGING) {
        removed += usize::from(profile_files::sweep_staging(pass, name).unwrap_or_else(failed));
    }
    if removed > 0 { Removed::Files } else { Removed::Nothing }
}
