//! How s6-supervise starts the programs of a slot: in the service's directory, with the service's name as the last argument.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::escape::Shown;
use crate::output::{Console, Context, Result};
use crate::s6::slot::template;
use crate::s6::{ProfileName, servicedir};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, file, present};

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
    /// Returns the profile of the service. The error names a service that is not a gateway's.
    pub(super) fn profile(&self) -> std::result::Result<ProfileName, String> {
        let service = self.words.last().map_or(&b""[..], |service| service.as_bytes());
        ProfileName::of_service(service)
            .ok_or_else(|| format!("{} is not the service of a gateway, gateway-PROFILE", Shown(service)))
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
