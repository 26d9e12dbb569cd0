//! Whether multiplexing is switched on: the gateway of `default` then serves all profiles, in releases in which each profile has a
//! gateway of its own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::as_gateway;
use crate::output::{Console, Error, Result};
use crate::settings::{Lookup, Setting, Settings, YES_OR_ON};
use crate::sys::{Errno, Reason};
use crate::volume::Home;
use crate::volume::config::{self, Answer, CONFIG};
use crate::volume::dotenv::{self, DOTENV};

/// The variable that switches it.
const VARIABLE: &str = "GATEWAY_MULTIPLEX_PROFILES";

/// Whether multiplexing is switched on, and what decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiplexing {
    /// Whether it is.
    pub is_on: bool,
    /// What decided.
    pub why: String,
}

impl Multiplexing {
    /// Reads it: `GATEWAY_MULTIPLEX_PROFILES` decides before config.yaml, in `.env` before the environment. What cannot be read for
    /// certain is reported and counts as unset in `.env`, as off in config.yaml. `settings` tell who the hermes user is; without
    /// them, this process is that user.
    pub fn read(
        lookup: &Lookup,
        settings: Option<&Settings>,
        home: Option<&Home>,
        console: &Console,
    ) -> Result<Multiplexing> {
        let environment = lookup.flag(VARIABLE, YES_OR_ON, console)?;
        let in_dotenv = home.and_then(|home| InDotenv::read(settings, home, console));
        if let Some(difference) = in_dotenv.as_ref().and_then(|file| file.difference(environment.as_ref())) {
            console.warn(format_args!("{difference}"));
        }
        if let Some(multiplexing) = of_variable(in_dotenv.as_ref(), environment.as_ref()) {
            return Ok(multiplexing);
        }
        Ok(home.map_or_else(|| Multiplexing::off("default"), |home| Multiplexing::of_config(home, console)))
    }

    fn off(why: &str) -> Multiplexing {
        Multiplexing { is_on: false, why: why.to_owned() }
    }

    fn of_config(home: &Home, console: &Console) -> Multiplexing {
        let text = match home.contents().read(&CONFIG, config::CAP) {
            Ok((text, _)) => text,
            Err(Reason::Errno(Errno::NOENT)) => return Multiplexing::off("default"),
            Err(reason) => {
                console.failed(&Error::new("read", &CONFIG, reason));
                return Multiplexing::off("config.yaml cannot be read");
            }
        };
        match config::multiplex(&text) {
            Answer::Absent => Multiplexing::off("default"),
            Answer::True { line } => Multiplexing { is_on: true, why: format!("config.yaml line {line}") },
            Answer::False { line } => Multiplexing::off(&format!("config.yaml line {line}")),
            Answer::Unsure { line, why } => {
                let reason =
                    format!("line {line}: {why}; treated as off: set GATEWAY_MULTIPLEX_PROFILES to decide");
                console.failed(&Error::new("determine multiplex_profiles from", &CONFIG, reason));
                Multiplexing::off("config.yaml is ambiguous")
            }
        }
    }
}

/// The variable in `.env`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct InDotenv {
    /// Its line.
    line: usize,
    /// Whether it is on; `None` if it is empty or another word. Also then the gateway does not see the environment's.
    value: Option<bool>,
}

impl InDotenv {
    /// Reads it; `None` if it is not there. What is not certain is reported and counts as not there.
    fn read(settings: Option<&Settings>, home: &Home, console: &Console) -> Option<InDotenv> {
        let text = as_gateway::find(settings, home, &DOTENV, dotenv::CAP).unwrap_or_else(|reason| {
            console.failed(&Error::new(
                "read",
                &DOTENV,
                format!("{reason}; {VARIABLE} in it is treated as unset"),
            ));
            None
        })?;
        match dotenv::variable(&text, VARIABLE) {
            dotenv::Answer::Absent => None,
            dotenv::Answer::Value { line, word } => {
                let value = YES_OR_ON.parse(OsStr::from_bytes(&word)).inspect_err(|why| {
                    if !word.is_empty() {
                        console.warn(format_args!(".env line {line}: {VARIABLE}={why}: treated as unset"));
                    }
                });
                Some(InDotenv { line, value: value.ok() })
            }
            dotenv::Answer::Unsure { line, why } => {
                let reason = format!("line {line}: {why}; {VARIABLE} in it is treated as unset");
                console.failed(&Error::new("use", &DOTENV, reason));
                None
            }
        }
    }

    /// Returns what is said if the environment has another value.
    fn difference(&self, environment: Option<&Setting<bool>>) -> Option<String> {
        let environment = environment.filter(|flag| self.value != Some(flag.value))?;
        let word = |value| match value {
            Some(true) => "on",
            Some(false) => "off",
            None => "neither on nor off",
        };
        Some(format!(
            "{VARIABLE} is {} in .env and {} in the {}: the gateway uses that of .env, and so does this program",
            word(self.value),
            word(Some(environment.value)),
            environment.source.text()
        ))
    }
}

/// Returns what the variable says; `None` if it is unset.
fn of_variable(in_dotenv: Option<&InDotenv>, environment: Option<&Setting<bool>>) -> Option<Multiplexing> {
    let (is_on, source) = match (in_dotenv, environment) {
        (Some(file), _) => (file.value?, format!(".env line {}", file.line)),
        (None, flag) => flag.map(|flag| (flag.value, flag.source.text().to_owned()))?,
    };
    Some(Multiplexing { is_on, why: format!("{VARIABLE} ({source})") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Source;

    #[test]
    fn dotenv_decides_before_the_environment_and_a_difference_is_said() {
        const FILE: &str = "GATEWAY_MULTIPLEX_PROFILES (.env line 3)";
        const ENVIRONMENT: &str = "GATEWAY_MULTIPLEX_PROFILES (container environment)";
        for (file, environment, expected, difference) in [
            (None, None, None, None),
            (None, Some(true), Some((true, ENVIRONMENT)), None),
            (None, Some(false), Some((false, ENVIRONMENT)), None),
            (Some(None), None, None, None),
            (Some(None), Some(true), None, Some("neither on nor off in .env and on in")),
            (Some(None), Some(false), None, Some("neither on nor off in .env and off in")),
            (Some(Some(true)), None, Some((true, FILE)), None),
            (Some(Some(true)), Some(true), Some((true, FILE)), None),
            (Some(Some(true)), Some(false), Some((true, FILE)), Some("on in .env and off in")),
            (Some(Some(false)), None, Some((false, FILE)), None),
            (Some(Some(false)), Some(true), Some((false, FILE)), Some("off in .env and on in")),
            (Some(Some(false)), Some(false), Some((false, FILE)), None),
        ] {
            let in_dotenv = file.map(|value| InDotenv { line: 3, value });
            let environment = environment.map(|value| Setting { value, source: Source::Container });
            let found = of_variable(in_dotenv.as_ref(), environment.as_ref());
            let expected = expected.map(|(is_on, why)| Multiplexing { is_on, why: why.to_owned() });
            assert_eq!(found, expected, "{file:?} {environment:?}");
            let said = in_dotenv.and_then(|file| file.difference(environment.as_ref()));
            let expected = difference.map(|words| {
                format!(
                    "GATEWAY_MULTIPLEX_PROFILES is {words} the container environment: the gateway uses that of .env, \
                     and so does this program"
                )
            });
            assert_eq!(said, expected, "{file:?} {environment:?}");
        }
    }
}
