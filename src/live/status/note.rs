//! What is to be said of a gateway: why it is as it is, what the next boot does with it, and what helps.

use super::View;
use super::row::{DOWN, Row, UNKNOWN, UP};
use crate::boot::reconcile;
use crate::boot::reconcile::action::{self, Action, Verdict};
use crate::live::record;
use crate::output::Result;
use crate::s6::ProfileName;
use crate::settings::Settings;
use crate::settings::role::ContainerCommand;
use crate::sys::Name;
use crate::volume::state::{Key, Prior, STOPPED};

/// What the next boot does with a profile for which the gateway of `default` starts.
const BY_DEFAULT: &str = "by default";

impl View<'_> {
    /// Completes the row of a profile.
    pub fn profile(&self, row: &mut Row, forecast: &Action, slot: Option<&Name>) -> Result<()> {
        row.wanted = match forecast {
            Action { verdict: Verdict::Started, .. } => UP,
            Action { folded: true, served: true, .. } => BY_DEFAULT,
            Action { verdict: Verdict::Skipped(_), .. } => "",
            _ if forecast.has_failed() => UNKNOWN,
            _ => DOWN,
        };
        if let Some(slot) = slot {
            self.slot(row, slot)?;
            // What its gateway is refused explains what else there is to say.
            if row.note.is_empty() || forecast.obstacle.is_some() {
                row.note = forecast.reason().unwrap_or_default();
            }
            if row.note.is_empty() && !is_unused_root(forecast) {
                row.note = self.disagreement(row, &forecast.prior);
            }
        } else if let Some(why) = forecast.verdict.reason() {
            why.clone_into(&mut row.note);
            if !forecast.has_failed() || self.frontend().is_some() {
                return Ok(());
            }
        } else if let Some(why) = self.frontend() {
            row.wanted = "";
            why.clone_into(&mut row.note);
            return Ok(());
        } else {
            let what = self.why_missing(row);
            row.note = if forecast.served {
                format!("{what}: the gateway of default serves it")
            } else {
                self.advice(row, what, "start")
            };
        }
        let is_failed = forecast.has_failed() || forecast.obstacle.is_some() || row.failed;
        if is_failed || (row.wanted == UP && row.state != UP) {
            row.blame("it is not up");
        }
        if row.last_boot.starts_with("failed ") {
            row.blame(&format!(
                "the last pass failed at it, as the boot log says: {} reconcile",
                self.program
            ));
        }
        if row.state == UP && row.wanted == UP {
            self.is_new(row);
        }
        Ok(())
    }

    /// Makes a row a fault if it has not been up for as long as `--min-up` asks for.
    pub fn is_new(&self, row: &mut Row) {
        let age = row.age;
        if age < self.options.min_up {
            row.blame(&format!("up for {age} seconds only"));
        }
    }

    /// Returns why the state of a gateway is not what the next boot makes of it, and why it is down.
    fn disagreement(&self, row: &Row, prior: &Prior) -> String {
        let words = action::words(prior);
        if row.runs() {
            return match row.wanted {
                DOWN => format!("it runs, and the next boot keeps it down: {words}"),
                BY_DEFAULT => {
                    "it runs, and from the next boot on the gateway of default serves it".to_owned()
                }
                _ => String::new(),
            };
        }
        let is_stopped = prior.key == Key::Desired && prior.word.as_deref() == Some(STOPPED);
        if row.state != DOWN || (row.wanted != UP && row.wanted != DOWN) {
            return String::new();
        }
        if !is_stopped && let Some(why) = self.why_permanent(row) {
            return why;
        }
        let what = match &row.death {
            _ if row.wanted == DOWN => words,
            Some(death) if death.is_wanted() => "it has ended, or was stopped for now".to_owned(),
            Some(death) => format!("it has died ({death})"),
            None => "it has not been started since the boot".to_owned(),
        };
        self.advice(row, &what, "start")
    }

    /// Returns why no gateway belongs in this container, if it is a front end's.
    fn frontend(&self) -> Option<&str> {
        let look = || {
            let role = self.settings.role(self.options, self.console)?;
            reconcile::frontend(&role, &ContainerCommand::default())
        };
        let found = self.frontend.get_or_init(|| {
            look().unwrap_or_else(|error| {
                self.console.failed(&error);
                None
            })
        });
        found.as_deref()
    }

    /// Returns why a profile has no slot, as far as the boot log shows. All lines of one boot have the same time.
    fn why_missing(&self, row: &Row) -> &'static str {
        let (action, time) = row.last_boot.split_once(' ').unwrap_or_default();
        let root = self.root_boot.split_once(' ').unwrap_or_default();
        let is_last = !action.is_empty() && (root.1.is_empty() || root.1 == time);
        match action {
            "started" | "registered" if is_last => "the slot that the last boot made is gone",
            _ if is_last => "the last boot made no slot",
            _ if !self.is_log_complete => "it has no slot",
            _ => "made since the last boot",
        }
    }

    /// Completes the row of a slot without a profile.
    pub fn orphan(&self, row: &mut Row, slot: &Name) -> Result<()> {
        self.slot(row, slot)?;
        row.fault = row.failed;
        if row.state == UNKNOWN && !row.note.is_empty() {
            return Ok(());
        }
        row.note = match has_profile(self.settings, &row.name) {
            Some(Ok(false)) => self.advice(row, "its profile is gone", "unregister"),
            Some(Err(error)) => {
                row.wanted = UNKNOWN;
                row.fault = true;
                error.to_string()
            }
            // A new one.
            Some(Ok(true)) => return Ok(()),
            None => "no profile can have this slot".to_owned(),
        };
        Ok(())
    }
}

/// Returns whether it is the root profile and has never been used. It is on every volume.
pub fn is_unused_root(forecast: &Action) -> bool {
    forecast.name.as_ref().is_some_and(ProfileName::is_root)
        && forecast.prior.word.is_none()
        && forecast.trouble.is_none()
}

/// Returns whether there is a profile with this name; `None` if none can have it.
pub fn has_profile(settings: &Settings, name: &[u8]) -> Option<Result<bool>> {
    let name = ProfileName::parse(name).ok()?;
    Some(record::has_profile(settings, &name))
}
