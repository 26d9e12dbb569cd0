//! The programs of the dashboard's service: `run` and `finish`. If the dashboard is off, `run` ends at once with 0 and `finish`
//! with 125: s6 reports it down and does not start it again.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::anew::{Recorded, Service};
use super::count::Program;
use super::exec::{self, Launch, Place};
use super::invocation::home_or;
use super::{Args, Effect, exit_code, failure, is_permanent};
use crate::output::escape::Shown;
use crate::output::{Console, Result, exit};
use crate::s6::ProfileName;
use crate::settings::user::Runner;
use crate::settings::{Lookup, YES, user};
use crate::volume::death_count;

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

/// Returns whether a word of the switch says that the dashboard is off, as opposed to one that may be meant otherwise.
fn is_no(word: &OsStr) -> bool {
    word.is_empty() || YES.parse(word) == Ok(false)
}

/// Runs `dashboard-run`: becomes the dashboard as the hermes user. Returns 0 if the dashboard is off, else an exit code if that
/// fails.
pub fn run(args: &Args, console: &Console) -> u8 {
    launch(args, console).unwrap_or_else(|error| failure::end(&error, console))
}

fn launch(args: &Args, console: &Console) -> Result<u8> {
    let lookup = Lookup::new()?;
    let switch = lookup.get_or(SWITCH, "")?;
    if !is_yes(&switch) {
        if !is_no(&switch) {
            let (word, words) = (Shown(switch.as_bytes()), ON.join(", "));
            console.warn(format_args!("{SWITCH}={word} is not one of {words}: the dashboard stays off"));
        }
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
        // An unknown word is reported.
        lookup.makes_pauses(console)?;
        match Recorded::read(console) {
            Ok(recorded) => {
                let root = ProfileName::root();
                service(&root, &runner, &lookup, console).begin(recorded, || home_or(None, &lookup))?;
            }
            Err(error) => console.failed(&error),
        }
        exec::drop_privileges(&runner)?;
    }
    Launch { command, place: Place::Path, runner: &runner, base: &base }.carry_out(args.effect, console)
}

fn service<'a>(
    root: &'a ProfileName,
    runner: &'a Runner,
    lookup: &'a Lookup,
    console: &'a Console,
) -> Service<'a> {
    let (name, file) = ("the dashboard", &death_count::DASHBOARD);
    Service { program: Program::Dashboard, name, profile: root, file, runner, lookup, console }
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
pub fn finish(words: &[OsString], console: &Console) -> u8 {
    // `run` reports a switch that cannot be read.
    let is_off = Lookup::new().and_then(|lookup| is_on(&lookup, SWITCH)).is_ok_and(|is_on| !is_on);
    if is_permanent(exit_code(words)) || is_off {
        return exit::PERMANENT_FAILURE;
    }
    if let Err(error) = note(console) {
        console.failed(&error);
    }
    0
}

/// Keeps that somebody asked for its end, which the exit code does not tell.
fn note(console: &Console) -> Result<()> {
    // First: whoever orders it up again takes an order to be down back.
    let recorded = Recorded::read(console)?;
    let (lookup, runner, root) = (Lookup::new()?, user::runner()?, ProfileName::root());
    let home = home_or(None, &lookup)?;
    service(&root, &runner, &lookup, console).end(recorded, &home, || Ok(false))
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

    #[test]
    fn a_word_that_is_neither_yes_nor_no_may_be_meant_otherwise() {
        for word in ["", "0", "no", "OFF", "False"] {
            assert!(is_no(OsStr::new(word)), "{word}");
        }
        for word in ["on", "\"true\"", "true\r", "tRUE", "enabled", "2", " "] {
            assert!(!is_no(OsStr::new(word)), "{word}");
        }
    }
}
