//! The programs of the dashboard's service: `run` and `finish`. If the dashboard is off, `run` ends at once with 0 and `finish`
//! with 125: s6 reports it down and does not start it again.

use std::ffi::{OsStr, OsString};

use super::exec::{self, Launch, Place};
use super::{Args, Effect, backoff, exit_code, failure, is_permanent, stays_down};
use crate::output::{Console, Result, exit};
use crate::s6::deaths::Death;
use crate::settings::{Lookup, user};

/// The command that a dashboard's `run` executes.
const RUN: &[u8] = b"dashboard-run";
/// The variable that switches the dashboard on.
const SWITCH: &str = "HERMES_DASHBOARD";
/// The image's words for "on"; it accepts no others.
const ON: [&str; 7] = ["1", "true", "TRUE", "True", "yes", "YES", "Yes"];
/// Default of `HERMES_DASHBOARD_HOST`.
const HOST: &str = "127.0.0.1";
/// Default of `HERMES_DASHBOARD_PORT`, a TCP port.
const PORT: &str = "9119";

fn is_on(lookup: &Lookup, variable: &str) -> Result<bool> {
    lookup.get_or(variable, "").map(|word| is_yes(&word))
}

fn is_yes(word: &OsStr) -> bool {
    ON.iter().any(|on| *on == word)
}

/// Runs `dashboard-run`: becomes the dashboard as the hermes user. Returns 0 if the dashboard is off, else an exit code if that
/// fails.
pub fn run(args: &Args, console: &Console) -> u8 {
    launch(args, console).unwrap_or_else(|error| failure::end(&error, console))
}

fn launch(args: &Args, console: &Console) -> Result<u8> {
    let lookup = Lookup::new()?;
    if !is_on(&lookup, SWITCH)? {
        if args.effect == Effect::Print {
            console.print(&format!("off: {SWITCH} is not one of {}\n", ON.join(", ")));
        }
        return Ok(0);
    }
    if is_on(&lookup, "HERMES_DASHBOARD_INSECURE")? {
        console.warn(format_args!(
            "HERMES_DASHBOARD_INSECURE is ignored: a dashboard that listens on more than the loopback needs an auth provider"
        ));
    }
    let base = lookup.environment(console);
    let runner = user::runner()?;
    let mut environment = base.clone();
    environment.insert("HOME".into(), runner.user.home.clone().into());
    let mut command = exec::program("hermes", &environment);
    command.args(["dashboard", "--host"]).arg(lookup.get_or("HERMES_DASHBOARD_HOST", HOST)?);
    command.arg("--port").arg(lookup.get_or("HERMES_DASHBOARD_PORT", PORT)?).arg("--no-open");
    command.current_dir(&runner.user.home);
    if args.effect == Effect::Execute {
        if lookup.makes_pauses(console)? {
            backoff::make_pause("the dashboard", is_intended, console);
        }
        exec::drop_privileges(&runner)?;
    }
    Launch { command, place: Place::Path, runner: &runner, base: &base }.carry_out(args.effect, console)
}

/// Returns the pause that a dashboard with these deaths makes before it starts, if it makes one.
pub fn pause(deaths: &[Death], now: i64) -> Option<backoff::Pause> {
    backoff::after(deaths, now, is_intended)
}

/// Returns whether a person has started the dashboard after this death, who does not wait. One that is on does not end by itself as
/// intended.
fn is_intended(death: &Death) -> bool {
    death.is_stop() || stays_down(death)
}

/// Returns whether a script executes `dashboard-run`, which makes the pauses: its first line is `#!`, the path of an executable, and that
/// word.
pub fn is_run_by(script: &[u8]) -> bool {
    let line = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let words = line
        .strip_prefix(b"#!")
        .map(|line| line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()));
    words.is_some_and(|words| words.skip(1).eq([RUN]))
}

/// Runs `dashboard-finish`. Returns 125 if the dashboard is to stay down, else 0.
pub fn finish(words: &[OsString]) -> u8 {
    // `run` reports a switch that cannot be read.
    let is_off = Lookup::new().and_then(|lookup| is_on(&lookup, SWITCH)).is_ok_and(|is_on| !is_on);
    if is_permanent(exit_code(words)) || is_off { exit::PERMANENT_FAILURE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_executes_dashboard_run_is_known_by_its_first_line() {
        for script in [
            "#!/usr/bin/hermes-init dashboard-run\n",
            "#! /opt/x  dashboard-run ",
            "#!/x/hermes-init dashboard-run\nexit 1\n",
        ] {
            assert!(is_run_by(script.as_bytes()), "{script}");
        }
        for script in [
            "",
            "#!",
            "#!/bin/sh\nexec hermes-init dashboard-run\n",
            "#!dashboard-run\n",
            "#!/usr/bin/hermes-init gateway-run\n",
            "#!/usr/bin/hermes-init dashboard-run --print\n",
            "/usr/bin/hermes-init dashboard-run\n",
        ] {
            assert!(!is_run_by(script.as_bytes()), "{script}");
        }
    }

    #[test]
    fn only_the_images_words_switch_it_on() {
        for word in ["1", "true", "TRUE", "True", "yes", "YES", "Yes"] {
            assert!(is_yes(OsStr::new(word)), "{word}");
        }
        for word in ["", "0", "on", "tRUE", "yEs", "01", "1 "] {
            assert!(!is_yes(OsStr::new(word)), "{word}");
        }
    }
}
