//! The operator's request, which is kept on the volume for the next boot.

use super::{Live, REFUSED};
use crate::error::{Context, Error, Result};
use crate::refusal;
use crate::settings::Settings;
use crate::show::FromVolume;
use crate::slot::ProfileName;
use crate::slot::env::Variable;
use crate::sys::{Acting, Dir, Ownership};
use crate::volume::home::Trusted;
use crate::volume::state::STOPPED;
use crate::volume::{Home, desire, kept_env, profiles};

/// The directory of a profile. As long as it lives, this process works there as the user whom the volume does not refuse.
pub struct Place {
    /// The directory.
    pub dir: Dir,
    _acting: Option<Acting>,
}

/// Opens `HERMES_HOME`. Returns it with the users who may own what a symlink there leads to.
// Out of line: its callers would each get a copy.
#[inline(never)]
pub fn home(settings: &Settings) -> Result<(Home, Trusted)> {
    let trusted = Trusted::new(settings.owner.value, &Ownership::new());
    Ok((Home::open(&settings.home.value, trusted)?, trusted))
}

/// Opens the directory of a profile. `None` if there is none; an error if what is there is no usable profile.
pub fn directory(settings: &Settings, profile: &ProfileName) -> Result<Option<Place>> {
    let (home, trusted) = self::home(settings)?;
    let acting = home.enter();
    let dir =
        if profile.is_root() { Ok(Some(home.dir)) } else { profiles::directory(&home, trusted, profile) };
    let dir = dir.map_err(|error| match error.errno() {
        Some(errno) => {
            let (label, owner) = (profiles::place(profile), settings.owner.value.uid);
            let reason = refusal::below(&errno.into(), &settings.home.value, &label, owner);
            Error::new("use the profile", label, reason)
        }
        None => error,
    })?;
    Ok(dir.map(|dir| Place { dir, _acting: acting }))
}

/// Writes the operator's request into the profile's state file. The next boot starts no profile that is not there.
/// `again`: only if the file has another one.
pub fn keep(live: &Live<'_>, profile: &ProfileName, state: &str, again: bool) -> Result<()> {
    let Some(place) = directory(live.settings, profile)? else {
        if state == STOPPED {
            return Ok(());
        }
        let reason = "it is not on the volume, so the next boot starts nothing";
        return Err(Error::new("find the profile", profile.text(), reason));
    };
    let owner = live.settings.owner.value;
    let aside = desire::set(&place.dir, profile, state, again, owner, live.spec.ownership)?;
    if let Some(aside) = aside {
        let shown = FromVolume(aside.bytes());
        live.console.warn(format_args!("the state file of {} was broken: it is now {shown}", profile.text()));
    }
    Ok(())
}

/// Returns the variables that a registration of the profile has kept; none if there is no profile. As at a boot, those that cannot be
/// used are reported, and none.
pub fn kept_variables(live: &Live<'_>, profile: &ProfileName) -> Vec<Variable> {
    let trusted = Trusted::new(live.settings.owner.value, live.spec.ownership);
    // What is wrong with a profile is said elsewhere.
    let Ok(Some(place)) = directory(live.settings, profile) else { return Vec::new() };
    kept_env::read(&place.dir, trusted).unwrap_or_else(|reason| {
        live.console.failed(Error::new("use", label(profile), reason));
        Vec::new()
    })
}

/// Keeps the variables of a registration for the next boot, if there are any. Without a profile, the next boot makes no slot.
pub fn keep_variables(live: &Live<'_>, profile: &ProfileName, variables: &[Variable]) -> Result<()> {
    if variables.is_empty() {
        return Ok(());
    }
    change(live, profile, &|place| {
        let done = kept_env::write(&place.dir, variables, live.settings.owner.value, live.spec.ownership);
        done.context("keep the variables in", label(profile))
    })
}

/// Forgets the variables of a registration.
pub fn forget_variables(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    change(live, profile, &|place| kept_env::remove(&place.dir).context("remove", label(profile)))
}

/// Changes something in the directory of a profile, if there is one. A failure is no reason to undo what else a command has done.
fn change(live: &Live<'_>, profile: &ProfileName, change: &dyn Fn(&Place) -> Result<()>) -> Result<()> {
    let done = directory(live.settings, profile).and_then(|place| place.as_ref().map_or(Ok(()), change));
    done.map_err(|error| error.with_code(REFUSED))
}

fn label(profile: &ProfileName) -> Vec<u8> {
    profiles::label(profile, &kept_env::KEPT)
}
