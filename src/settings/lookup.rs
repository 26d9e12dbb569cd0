//! Looks up variables in this process's environment, else in the container environment. An empty value counts as unset.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::SEALED_VARIABLE;
use super::choice::{Choices, Switch, YES, choose};
use super::environment::{self, Environment};
use super::setting::{Setting, Source};
use super::written;
use crate::output::{Console, Context, Result};
use crate::s6::envdir;
use crate::sys::{Dir, Name, file, present};

/// s6-overlay's container environment, with a file for each variable.
const CONTAINER_ENVIRONMENT: &str = "/run/s6/container_environment";
/// Largest value that is read there, in bytes.
const VALUE_CAP: u64 = 128 << 10;
/// The switch of the pauses between starts of a gateway that keeps dying.
const BACKOFF_VARIABLE: &str = "HERMES_INIT_BACKOFF";

/// The environments in which variables are looked up.
pub struct Lookup {
    own: Environment,
    container: Option<Dir>,
}

impl Lookup {
    /// Opens the container environment, if there is one.
    pub fn new() -> Result<Lookup> {
        let found = Dir::fixed(Path::new(CONTAINER_ENVIRONMENT));
        let container = present(found).context("open", Path::new(CONTAINER_ENVIRONMENT))?;
        Ok(Lookup { own: environment::own(), container })
    }

    /// Returns a variable's value. A variable of the container environment that exists and cannot be read is an error.
    pub fn get(&self, variable: &str) -> Result<Option<Setting<OsString>>> {
        if let Some(value) = self.own.get(OsStr::new(variable)).filter(|value| !value.is_empty()) {
            return Ok(Some(Setting { value: value.clone(), source: Source::Environment }));
        }
        Ok(self.contained(variable)?.map(|value| Setting { value, source: Source::Container }))
    }

    /// Returns a variable's value in the container environment.
    pub fn contained(&self, variable: &str) -> Result<Option<OsString>> {
        let (Some(container), Some(name)) = (&self.container, Name::new(variable)) else { return Ok(None) };
        let path = Path::new(CONTAINER_ENVIRONMENT).join(variable);
        let content = file::find(container, &name, VALUE_CAP).context("read", path)?;
        let value = content.and_then(envdir::decode).filter(|value| !value.is_empty());
        Ok(value.map(OsString::from_vec))
    }

    /// Returns a variable's value, or `default` if it is unset.
    pub fn get_or(&self, variable: &str, default: &str) -> Result<OsString> {
        Ok(self.get(variable)?.map_or_else(|| default.into(), |setting| setting.value))
    }

    /// Returns the path that a variable has. A value that can hardly be meant is an error, see [`written::check_path`].
    pub fn path(&self, variable: &str) -> Result<Option<Setting<PathBuf>>> {
        let Some(setting) = self.get(variable)? else { return Ok(None) };
        written::check_path(variable, &setting.value)?;
        Ok(Some(setting.map(PathBuf::from)))
    }

    /// Returns the value of a switch. An unknown word is reported and counts as unset.
    pub fn flag(&self, variable: &str, switch: Switch, console: &Console) -> Result<Option<Setting<bool>>> {
        let Some(Setting { value: word, source }) = self.get(variable)? else { return Ok(None) };
        match switch.parse(&word) {
            Ok(value) => Ok(Some(Setting { value, source })),
            Err(why) => {
                console.warn(format_args!("{variable}={why}: treated as unset"));
                Ok(None)
            }
        }
    }

    /// Returns whether a gateway or a dashboard that keeps dying is started after a pause.
    pub fn makes_pauses(&self, console: &Console) -> Result<bool> {
        Ok(self.flag(BACKOFF_VARIABLE, YES, console)?.is_none_or(|flag| flag.value))
    }

    /// Returns whether `HERMES_INIT_SEALED` turns sealed mode on, if it is set. An unknown word and an unreadable value count as yes,
    /// because sealed mode permits less. Both are reported.
    pub fn sealed(&self, console: &Console) -> Option<Setting<bool>> {
        match self.get(SEALED_VARIABLE) {
            Ok(None) => None,
            Ok(Some(word)) => Some(word.map(|word| {
                YES.parse(&word).unwrap_or_else(|why| {
                    console.warn(format_args!("{SEALED_VARIABLE}={why}: treated as sealed"));
                    true
                })
            })),
            Err(error) => {
                console.warn(format_args!("{error}: treated as sealed"));
                Some(Setting { value: true, source: Source::Container })
            }
        }
    }

    /// Returns what an option sets, else a variable, else `auto`. An unknown word of the variable is reported and counts as unset.
    pub(super) fn choice<T: Copy>(
        &self,
        option: Option<T>,
        variable: &str,
        choices: &Choices<T>,
        auto: T,
        console: &Console,
    ) -> Result<Setting<T>> {
        if let Some(value) = option {
            return Ok(Setting { value, source: Source::Option });
        }
        if let Some(Setting { value: word, source }) = self.get(variable)? {
            match choose(choices, &word) {
                Ok(value) => return Ok(Setting { value, source }),
                Err(why) => console.warn(format_args!("{variable}={why}: treated as auto")),
            }
        }
        Ok(Setting { value: auto, source: Source::Default })
    }

    /// Returns the container environment as `s6-envdir -Lf` gives it to a program whose environment has only PATH; without a
    /// container environment directory, this process's environment. An unreadable variable is reported and left out.
    pub fn environment(&self, console: &Console) -> Environment {
        let Some(container) = &self.container else { return self.own.clone() };
        let path = self.own.get_key_value(OsStr::new("PATH"));
        let mut variables = path.map(|(key, value)| (key.clone(), value.clone())).into_iter().collect();
        environment::load(&mut variables, container, Path::new(CONTAINER_ENVIRONMENT), console);
        variables
    }
}

#[cfg(test)]
impl Lookup {
    /// Makes a look-up in these variables only.
    pub(super) fn of(variables: &[(&str, &str)]) -> Lookup {
        let own = variables.iter().map(|(key, value)| (key.into(), value.into())).collect();
        Lookup { own, container: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::YES_OR_ON;

    fn silent() -> Console {
        Console::new("", None).silent()
    }

    #[test]
    fn an_empty_value_is_unset() {
        let lookup = Lookup::of(&[("A", "x"), ("B", "")]);
        let set = Setting { value: OsString::from("x"), source: Source::Environment };
        assert_eq!(lookup.get("A").unwrap(), Some(set));
        assert_eq!((lookup.get("B").unwrap(), lookup.get("C").unwrap()), (None, None));
        assert_eq!(
            (lookup.get_or("A", "y").unwrap(), lookup.get_or("B", "y").unwrap()),
            ("x".into(), "y".into())
        );
    }

    #[test]
    fn a_switch_is_on_off_or_unset_and_sealed_mode_is_on_for_any_other_word() {
        for (word, flag, sealed) in [
            ("1", Some(true), Some(true)),
            ("on", Some(true), Some(true)),
            ("no", Some(false), Some(false)),
            ("OFF", Some(false), Some(false)),
            ("x", None, Some(true)),
            ("", None, None),
        ] {
            let lookup = Lookup::of(&[("F", word), (SEALED_VARIABLE, word), (BACKOFF_VARIABLE, word)]);
            let found = lookup.flag("F", YES_OR_ON, &silent()).unwrap().map(|flag| flag.value);
            assert_eq!(found, flag, "{word}");
            assert_eq!(lookup.sealed(&silent()).map(|sealed| sealed.value), sealed, "{word}");
            assert_eq!(lookup.makes_pauses(&silent()).unwrap(), flag != Some(false), "{word}");
        }
    }

    #[test]
    fn without_a_container_environment_a_program_gets_this_one() {
        let lookup = Lookup::of(&[("A", "x"), ("PATH", "/bin")]);
        assert_eq!(lookup.environment(&silent()), lookup.own);
    }
}
