//! `gateway-run` and `gateway-finish`: `run` and `finish` of a slot.

use std::ffi::OsString;
use std::path::Path;

use super::exec::{self, Launch, Place};
use super::invocation::home;
use super::{Args, Effect, backoff, exit_code, failure, is_permanent, stays_down};
use crate::output::{Console, Context, Result, exit};
use crate::s6::deaths::Death;
use crate::s6::{ProfileName, servicedir};
use crate::settings::{self, Lookup, user};
use crate::sys::{Dir, present};

/// Variables that tell the gateway that it is supervised. Without the first, it would call the service manager, which would start it
/// again.
const SUPERVISED: [&str; 2] = ["HERMES_S6_SUPERVISED_CHILD", "HERMES_SUPERVISED_CHILD"];

/// Runs `gateway-run`: executes the gateway as the hermes user. Returns the exit code if that fails.
pub fn run(args: &Args, console: &Console) -> u8 {
    match args.gateway(console) {
        Ok(profile) => {
            run_profile(args, &profile, console).unwrap_or_else(|error| failure::end(&error, console))
        }
        Err(why) => console.die(exit::USAGE, format_args!("{why}")),
    }
}

fn run_profile(args: &Args, profile: &ProfileName, console: &Console) -> Result<u8> {
    let lookup = Lookup::new()?;
    let base = lookup.environment(console);
    let runner = user::runner()?;
    if args.effect == Effect::Execute {
        if lookup.makes_pauses(console)? {
            backoff::make_pause(profile.text(), is_intended, console);
        }
        exec::drop_privileges(&runner)?;
    }
    // From here on as the hermes user, who controls what follows.
    let slot = Slot::read(args, profile, console).map_err(|error| error.with_code(failure::TRY_AGAIN))?;
    let mut environment = base.clone();
    environment.insert("HOME".into(), runner.user.home.clone().into());
    environment.extend(slot.home.map(|home| (settings::HOME_VARIABLE.into(), home)));
    if let Some(directory) = slot.variables {
        settings::load(&mut environment, &directory, Path::new(&servicedir::ENV), console);
    }
    environment.extend(SUPERVISED.map(|variable| (variable.into(), "1".into())));
    let mut command = exec::program("hermes", &environment);
    if !profile.is_root() {
        command.args(["-p", profile.text()]);
    }
    command.args(["gateway", "run", "--replace"]).current_dir(&runner.user.home);
    Launch { command, place: Place::Path, runner: &runner, base: &base }.carry_out(args.effect, console)
}

/// Returns the pause that a gateway with these deaths makes before it starts, if it makes one.
pub fn pause(deaths: &[Death], now: i64) -> Option<backoff::Pause> {
    backoff::after(deaths, now, is_intended)
}

/// Returns whether a person has started the gateway after this death, who does not wait: it was intended, or it stays down after it.
fn is_intended(death: &Death) -> bool {
    death.is_wanted() || stays_down(death)
}

/// What a slot sets for its gateway.
#[derive(Default)]
struct Slot {
    /// `HERMES_HOME`, if `run` has it.
    home: Option<OsString>,
    /// The environment directory, if there is one.
    variables: Option<Dir>,
}

impl Slot {
    fn read(args: &Args, profile: &ProfileName, console: &Console) -> Result<Slot> {
        let Some(slot) = args.directory(Path::new(profile.slot()), console)? else {
            return Ok(Slot::default());
        };
        let variables = || present(slot.dir(&servicedir::ENV)).context("open", &servicedir::ENV);
        Ok(Slot { home: home(&slot)?, variables: variables()? })
    }
}

/// Runs `gateway-finish`. Returns the exit code that tells s6-supervise whether to start the gateway again: it stays down after an
/// intended end, and where a restart changes nothing.
pub fn finish(words: &[OsString]) -> u8 {
    let code = exit_code(words);
    if code == Some(0) || is_permanent(code) { exit::PERMANENT_FAILURE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish_of(words: &[&str]) -> u8 {
        finish(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn only_an_intended_end_and_a_permanent_failure_stay_down() {
        for words in [
            &["./finish", "0", "0", "gateway-x"][..],
            &["./finish", "78", "0", "gateway-x", "99"],
            &["0", "0", "gateway-x"],
            &["./finish", "111", "0", "gateway-x"],
            &["./finish", "126", "0", "gateway-x"],
            &["./finish", "127", "0", "gateway-x"],
        ] {
            assert_eq!(finish_of(words), 125, "{words:?}");
        }
        for words in [
            &["./finish", "1", "0", "gateway-x"][..],
            &["./finish", "256", "15", "gateway-x", "99"],
            &["./finish", "256", "0", "gateway-x"],
            &["./finish"],
            &["./finish", "x", "0"],
            &["./finish", ""],
            &["./finish", "780"],
            &[],
        ] {
            assert_eq!(finish_of(words), 0, "{words:?}");
        }
    }
}
