//! Whether multiplexing is switched on: the gateway of `default` then serves all profiles, in releases in which each profile has a
//! gateway of its own.

use crate::output::{Console, Error, Result};
use crate::settings::{Settings, YES_OR_ON};
use crate::sys::file;
use crate::volume::Home;
use crate::volume::config::{self, Answer, CONFIG};

/// Whether multiplexing is switched on, and what decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiplexing {
    /// Whether it is.
    pub is_on: bool,
    /// What decided.
    pub why: String,
}

impl Multiplexing {
    /// Reads it: `GATEWAY_MULTIPLEX_PROFILES` decides before config.yaml. What cannot be read for certain is reported and counts as off.
    pub fn read(settings: &Settings, home: Option<&Home>, console: &Console) -> Result<Multiplexing> {
        if let Some(flag) = settings.lookup.flag("GATEWAY_MULTIPLEX_PROFILES", YES_OR_ON, console)? {
            let why = format!("GATEWAY_MULTIPLEX_PROFILES ({})", flag.source.text());
            return Ok(Multiplexing { is_on: flag.value, why });
        }
        Ok(home.map_or_else(|| Multiplexing::off("default"), |home| Multiplexing::of_config(home, console)))
    }

    fn off(why: &str) -> Multiplexing {
        Multiplexing { is_on: false, why: why.to_owned() }
    }

    fn of_config(home: &Home, console: &Console) -> Multiplexing {
        let text = match file::find(&home.dir, &CONFIG, config::CAP) {
            Ok(Some(text)) => text,
            Ok(None) => return Multiplexing::off("default"),
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
