//! Names of gateways on the command line: which there are, and what is said of one that there is not.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::record;
use crate::output::escape::FromVolume;
use crate::output::nearest;
use crate::output::{Console, Context, Error, Result};
use crate::s6::profile_name::PREFIX;
use crate::s6::{ProfileName, scandir};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Name, present};
use crate::volume::gateway_log::{Allowance, Log};
use crate::volume::profiles::{self, PROFILES, Place};

/// Largest number of names with which one that there is not is compared.
pub const COMPARED: usize = 1000;
/// Largest number of near names of which it is looked whether they have a gateway.
const NEAR: usize = 10;

/// Parses the names of profiles on the command line.
pub fn profiles(operands: &[OsString], overrides: &Overrides, console: &Console) -> Result<Vec<ProfileName>> {
    operands.iter().map(|operand| profile(operand, overrides, console)).collect()
}

/// Parses the name of a profile on the command line.
pub fn profile(operand: &OsStr, overrides: &Overrides, console: &Console) -> Result<ProfileName> {
    let word = operand.as_bytes();
    ProfileName::parse(word).map_err(|why| {
        // The word is wrong whatever the settings are.
        let settings = Settings::gather(overrides, &console.silent());
        let hint =
            settings.map_or_else(|_| String::new(), |settings| hint(meant(&settings, word).as_deref()));
        Error::usage("use the profile", operand, format!("{why}{hint}"))
    })
}

/// Returns the error of a name that no gateway has. `meant` is the name that was probably meant.
pub fn unknown(settings: &Settings, name: &[u8], meant: Option<&str>) -> Error {
    let place = settings.home.value.join(&PROFILES);
    let reason = format!("no profile of that name in {}{}", FromVolume::path(&place), hint(meant));
    Error::no_such("gateway", Path::new(OsStr::from_bytes(name)), reason)
}

/// As [`unknown`], with the nearest name that has a profile or a slot.
pub fn unknown_profile(settings: &Settings, profile: &ProfileName) -> Error {
    let name = profile.text().as_bytes();
    unknown(settings, name, meant(settings, name).as_deref())
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!("; did you mean {}?", FromVolume(meant.as_bytes())))
}

/// Returns whether a name has a profile or a slot.
pub fn has_gateway(settings: &Settings, profile: &ProfileName) -> Result<bool> {
    Ok(has_slot(settings, profile)? || record::has_profile(settings, profile)?)
}

/// Returns whether a profile's directory is there without its SOUL.md.
pub fn has_remains(settings: &Settings, profile: &ProfileName) -> Result<bool> {
    let (home, trusted) = record::home(settings)?;
    home.as_its_user(|| Ok(matches!(profiles::find(&home, trusted, profile)?, Place::Remains)))
}

fn has_slot(settings: &Settings, profile: &ProfileName) -> Result<bool> {
    let path = &settings.scandir.value;
    match present(Dir::at(path)).context("open", path)? {
        None => Ok(false),
        Some(scandir) => scandir.has(profile.slot()).context("inspect", profile.slot()),
    }
}

/// Returns whether a name has a log, which stays when profile and slot are gone.
pub fn has_log(settings: &Settings, profile: &ProfileName) -> Result<bool> {
    let (home, trusted) = record::home(settings)?;
    home.as_its_user(|| Log::new(&home, trusted, profile.clone(), &Allowance::new()).find())
}

/// Returns the names that may have a gateway: that of `default`, those in `profiles`, and those of slots, some of them twice.
/// `profiles` are the names in that directory.
fn possible(settings: &Settings, profiles: &[Name]) -> Vec<ProfileName> {
    let list = |dir: Dir| Ok(scandir::list(&dir)?);
    let slots = Dir::at(&settings.scandir.value).and_then(list).unwrap_or_default().slots;
    let of_profiles = profiles.iter().filter_map(|name| ProfileName::parse(name.bytes()).ok());
    let of_slots = slots.iter().filter_map(|name| ProfileName::of_service(name.bytes()));
    [ProfileName::root()].into_iter().chain(of_profiles).chain(of_slots).collect()
}

/// Returns the names that may have a gateway, each once, in byte order.
pub fn all(settings: &Settings) -> Result<Vec<ProfileName>> {
    let mut names = possible(settings, &record::names(settings)?);
    names.sort_unstable_by(|a, b| a.text().cmp(b.text()));
    names.dedup();
    Ok(names)
}

/// Returns the name of a gateway that was probably meant by a word. What cannot be read suggests nothing.
fn meant(settings: &Settings, word: &[u8]) -> Option<String> {
    let mut known = possible(settings, &record::names(settings).unwrap_or_default());
    known.truncate(COMPARED);
    near(word, known.iter().map(ProfileName::text))
        .into_iter()
        .take(NEAR)
        .find(|name| {
            ProfileName::parse(name.as_bytes()).is_ok_and(|name| has_gateway(settings, &name) == Ok(true))
        })
        .map(str::to_owned)
}

/// Returns the known names that are near to a word, or to the name in it, the nearest first.
pub fn near<'a>(word: &[u8], known: impl Iterator<Item = &'a str> + Clone) -> Vec<&'a str> {
    let near = nearest::near(name_in(word), known.clone());
    if near.is_empty() { nearest::near(word, known) } else { near }
}

/// Returns the name of a profile in the name or the path of its slot, of its slot's logger or of its directory.
fn name_in(word: &[u8]) -> &[u8] {
    let components = || word.split(|byte| *byte == b'/').filter(|component| !component.is_empty());
    let of_slot = components().find_map(|component| component.strip_prefix(PREFIX.as_bytes()));
    of_slot.filter(|name| !name.is_empty()).or_else(|| components().next_back()).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_in_what_is_made_of_it() {
        for (word, expected) in [
            ("gateway-writer", &["writer"][..]),
            ("gateway-writer/log", &["writer"]),
            ("/run/service/gateway-writer/", &["writer"]),
            ("profiles/writer", &["writer"]),
            ("Writer", &["writer"]),
            ("gateway-wirter", &["writer"]),
            // A profile of such a name.
            ("gateway-gateway-x", &["gateway-x"]),
            ("gateway-y", &["gateway-x"]),
            ("gateway-", &["gateway-x"]),
            ("nobody", &[]),
            ("/", &[]),
            ("", &[]),
        ] {
            let known = ["writer", "gateway-x", "default"];
            assert_eq!(near(word.as_bytes(), known.into_iter()), expected, "{word}");
        }
    }
}
