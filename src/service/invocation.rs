//! How s6-supervise starts the programs of a slot: in the service's directory, with the service's name as the last argument.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::escape::Shown;
use crate::output::{Console, Context, Result};
use crate::s6::slot::template;
use crate::s6::{ProfileName, servicedir};
use crate::settings::{self, Lookup, Overrides, Settings};
use crate::sys::{Dir, Errno, Kind, file, present};

/// The arguments of a program that s6-supervise runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Whether the other program is executed or printed.
    pub effect: Effect,
    /// What s6-supervise passes: `[./run] SERVICE`. A `#!` line adds the first.
    pub words: Vec<OsString>,
}

/// What a program does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// Executes another program.
    #[default]
    Execute,
    /// Prints what would be executed.
    Print,
}

impl Args {
    /// Returns what s6-supervise calls the service.
    fn service(&self) -> &[u8] {
        self.words.last().map_or(&b""[..], |service| service.as_bytes())
    }

    /// Returns the profile of the service. The error names a service that is not a gateway's.
    fn profile(&self) -> std::result::Result<ProfileName, String> {
        let service = self.service();
        ProfileName::of_service(service)
            .ok_or_else(|| format!("{} is not the service of a gateway, gateway-PROFILE", Shown(service)))
    }

    /// Returns the profile of the service. The error says why this is wrong usage: the service is not a gateway's, or s6-supervise, which
    /// works in a service directory, cannot have started this program.
    pub(super) fn gateway(&self, console: &Console) -> std::result::Result<ProfileName, String> {
        let profile = self.profile()?;
        // What is only printed is looked up in the scan directory.
        let lack = if self.effect == Effect::Execute { missing_here() } else { None };
        let Some(lack) = lack else { return Ok(profile) };
        let here = Dir::fixed(Path::new(".")).and_then(|here| here.path()).unwrap_or_default();
        let (here, service) = (Shown(here.as_os_str().as_bytes()), Shown(self.service()));
        let (program, command) = (console.program(), console.command());
        Err(format!(
            "not in a service directory: {here} has no {lack}; s6-supervise starts this command, and \
             {program} {command} --print {service} prints what it executes"
        ))
    }

    /// Opens the service directory `service`, if it exists. s6-supervise starts the program in it; for `--print` it is looked up in the
    /// scan directory.
    pub(super) fn directory(&self, service: &Path, console: &Console) -> Result<Option<Dir>> {
        let path = match self.effect {
            Effect::Execute => PathBuf::from("."),
            Effect::Print => Settings::gather(&Overrides::default(), console)?.scandir.value.join(service),
        };
        present(Dir::at(&path)).context("open the service directory", path)
    }
}

/// Returns what the working directory lacks of a service directory that is supervised; `None` if it lacks nothing, or cannot be looked
/// at.
fn missing_here() -> Option<&'static str> {
    let here = Dir::fixed(Path::new(".")).ok()?;
    let kind = |name| here.meta(name).map(|meta| meta.kind);
    lack(kind(&servicedir::RUN), kind(&servicedir::SUPERVISE))
}

/// Returns what a directory lacks of a service directory that is supervised, by the types of its `run` and `supervise`. Both may be
/// symlinks. `/` has a directory `run` in most images.
fn lack(
    run: std::result::Result<Kind, Errno>,
    supervise: std::result::Result<Kind, Errno>,
) -> Option<&'static str> {
    match (run, supervise) {
        (Err(Errno::NOENT) | Ok(Kind::Directory), _) => Some("program run"),
        (_, Err(Errno::NOENT) | Ok(Kind::Regular)) => Some("directory supervise"),
        _ => None,
    }
}

/// Returns the path of `HERMES_HOME`, as the `run` of a service directory or the environment has it.
pub(super) fn home_or_set(service: Option<&Dir>, lookup: &Lookup) -> Result<PathBuf> {
    home_or(service.map(home).transpose()?.flatten(), lookup)
}

/// Returns the path of `HERMES_HOME`: `found`, or that of the environment.
pub(super) fn home_or(found: Option<OsString>, lookup: &Lookup) -> Result<PathBuf> {
    if let Some(found) = found {
        return Ok(found.into());
    }
    let set = lookup.path(settings::HOME_VARIABLE)?;
    Ok(set.map_or_else(|| settings::HOME.into(), |set| set.value))
}

/// Returns the `HERMES_HOME` in the `run` of a service directory.
pub(super) fn home(service: &Dir) -> Result<Option<OsString>> {
    let script =
        file::find(service, &servicedir::RUN, template::SCRIPT_CAP).context("read", &servicedir::RUN)?;
    Ok(script.as_deref().and_then(template::home_in).map(OsStr::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_directory_has_a_program_run_and_a_directory_supervise() {
        const ABSENT: std::result::Result<Kind, Errno> = Err(Errno::NOENT);
        for (run, supervise, expected) in [
            (Ok(Kind::Regular), Ok(Kind::Directory), None),
            (Ok(Kind::Symlink), Ok(Kind::Symlink), None),
            (ABSENT, ABSENT, Some("program run")),
            (ABSENT, Ok(Kind::Directory), Some("program run")),
            // In `/`.
            (Ok(Kind::Directory), ABSENT, Some("program run")),
            (Ok(Kind::Regular), ABSENT, Some("directory supervise")),
            (Ok(Kind::Regular), Ok(Kind::Regular), Some("directory supervise")),
            // What cannot be looked at may be there.
            (Err(Errno::ACCESS), Err(Errno::ACCESS), None),
            (Ok(Kind::Regular), Err(Errno::IO), None),
            (Err(Errno::IO), ABSENT, Some("directory supervise")),
        ] {
            assert_eq!(lack(run, supervise), expected, "{run:?} {supervise:?}");
        }
    }

    #[test]
    fn the_service_is_the_last_word() {
        let profile = |words: &[&str]| {
            let args = Args { words: words.iter().map(OsString::from).collect(), ..Args::default() };
            args.profile().map(|profile| profile.text().to_owned())
        };
        for words in [&["gateway-coder"][..], &["./run", "gateway-coder"], &["./run", "gateway-coder/log"]] {
            assert_eq!(profile(words).as_deref(), Ok("coder"), "{words:?}");
        }
        for (words, shown) in [
            (&["gateway-coder", "dashboard"][..], "dashboard"),
            (&["coder"], "coder"),
            (&["gateway-"], "gateway-"),
            (&["gateway-A b"], "\"gateway-A b\""),
            (&[], "\"\""),
        ] {
            let why = format!("{shown} is not the service of a gateway, gateway-PROFILE");
            assert_eq!(profile(words), Err(why), "{words:?}");
        }
    }
}
