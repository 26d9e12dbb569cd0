//! `gateway-run` and `gateway-finish`: `run` and `finish` of a slot.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::anew::{Recorded, Service};
use super::count::Program;
use super::exec::{self, Launch, Place};
use super::invocation::{home, home_or, home_or_set};
use super::profile_directory::ProfileDirectory;
use super::{Args, Effect, exit_code, failure, is_permanent, restart};
use crate::output::{Console, Context, Error, Result, exit};
use crate::s6::{ProfileName, servicedir};
use crate::settings::user::Runner;
use crate::settings::{self, Lookup, user, written};
use crate::sys::number::decimal;
use crate::sys::{Dir, present};
use crate::topology::own_gateway;
use crate::volume::death_count;

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
        // An unknown word is reported.
        lookup.makes_pauses(console)?;
        let service = service(profile, &runner, &lookup, console);
        match Recorded::read(console) {
            Ok(recorded) => {
                let home = || home_or_set(args.directory(Path::new("."), console)?.as_ref(), &lookup);
                service.begin(recorded, home)?;
            }
            Err(error) => console.failed(&error),
        }
        exec::drop_privileges(&runner)?;
    }
    // From here on as the hermes user, who controls what follows.
    let slot = Slot::read(args, profile, console).map_err(|error| error.with_code(failure::TRY_AGAIN))?;
    if args.effect == Effect::Execute
        && let Ok(home) = home_or(slot.home.clone(), &lookup)
    {
        match ProfileDirectory::open(&home, profile) {
            Ok(Some(directory)) => {
                restart::forget(directory.dir());
                require_own_gateway(profile, &directory, &lookup, console)?;
            }
            // The gateway fails by itself.
            Ok(None) => (),
            Err(error) => console.failed(&error),
        }
    }
    let mut environment = base.clone();
    environment.insert("HOME".into(), runner.user.home.clone().into());
    environment.extend(slot.home.map(|home| (settings::HOME_VARIABLE.into(), home)));
    if let Some(directory) = slot.variables {
        settings::load(&mut environment, &directory, Path::new(&servicedir::ENV), console);
    }
    // The gateway would make what it names in its own directory.
    if let Some(home) = environment.get(OsStr::new(settings::HOME_VARIABLE)).filter(|home| !home.is_empty()) {
        written::check_path(settings::HOME_VARIABLE, home)?;
    }
    environment.extend(SUPERVISED.map(|variable| (variable.into(), "1".into())));
    let mut command = exec::program("hermes", &environment);
    if !profile.is_root() {
        command.args(["-p", profile.text()]);
    }
    command.args(["gateway", "run", "--replace"]).current_dir(&runner.user.home);
    Launch { command, place: Place::Path, runner: &runner, base: &base }.carry_out(args.effect, console)
}

/// Fails if the profile has no gateway of its own: that of `default` serves it. Whatever has started this one, it ends here. What cannot be
/// looked at is reported and is no reason to end.
fn require_own_gateway(
    profile: &ProfileName,
    directory: &ProfileDirectory,
    lookup: &Lookup,
    console: &Console,
) -> Result<()> {
    if profile.is_root() {
        return Ok(());
    }
    let absence = own_gateway::absence(profile, directory.dir(), &directory.home, lookup, console);
    let absence = absence.unwrap_or_else(|error| {
        console.failed(&error);
        None
    });
    let Some(why) = absence else { return Ok(()) };
    let (program, name) = (console.program(), profile.text());
    let reason =
        format!("the gateway of default is to serve it: {why}; {program} status {name} says whether it does");
    Err(Error::new("start a gateway for", name, reason).with_code(exit::CONFIGURATION))
}

fn service<'a>(
    profile: &'a ProfileName,
    runner: &'a Runner,
    lookup: &'a Lookup,
    console: &'a Console,
) -> Service<'a> {
    let (name, file) = (profile.text(), &death_count::GATEWAY);
    Service { program: Program::Gateway, name, profile, file, runner, lookup, console }
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
/// intended end, and where a restart changes nothing, unless that end belongs to a restart.
pub fn finish(words: &[OsString], console: &Console) -> u8 {
    let end = End::of(words);
    if let Err(error) = end.note(console) {
        console.failed(&error);
    }
    if !end.stays_down() {
        return 0;
    }
    // Where that cannot be found out, the end is like any other one.
    let is_restarted = end.is_restarted(console).unwrap_or_else(|error| {
        console.failed(&error);
        false
    });
    if is_restarted { 0 } else { exit::PERMANENT_FAILURE }
}

/// The end of a gateway, as s6-supervise tells `finish` of it: `[./finish] EXITCODE SIGNAL SERVICE [PGID]`.
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// The exit code; 256 after a signal. `None` if it is not known.
    code: Option<u64>,
    /// The gateway's profile, if the service is a gateway's.
    profile: Option<ProfileName>,
}

impl End {
    fn of(words: &[OsString]) -> End {
        let code = words.iter().take(2).position(|word| decimal(word.as_bytes()).is_some());
        let service = code.and_then(|code| words.get(code + 2));
        let profile = service.and_then(|service| ProfileName::of_service(service.as_bytes()));
        End { code: exit_code(words), profile }
    }

    /// Returns whether the gateway stays down after it, unless it belongs to a restart.
    fn stays_down(&self) -> bool {
        self.code == Some(0) || is_permanent(self.code)
    }

    /// Keeps that somebody asked for it, which its exit code does not tell.
    fn note(&self, console: &Console) -> Result<()> {
        let Some(profile) = &self.profile else { return Ok(()) };
        // First: whoever orders it up again takes an order to be down back.
        let recorded = Recorded::read(console)?;
        let (lookup, runner) = (Lookup::new()?, user::runner()?);
        let home = home_or_set(Args::default().directory(Path::new("."), console)?.as_ref(), &lookup)?;
        let is_restarted = || restart::is_ordered(&home, profile, &runner);
        service(profile, &runner, &lookup, console).end(recorded, &home, is_restarted)
    }

    /// Returns whether it belongs to a restart.
    fn is_restarted(&self, console: &Console) -> Result<bool> {
        let Some(profile) = &self.profile else { return Ok(false) };
        let args = Args::default();
        let home = home_or_set(args.directory(Path::new("."), console)?.as_ref(), &Lookup::new()?)?;
        restart::is_ordered(&home, profile, &user::runner()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(words: &[&str]) -> End {
        End::of(&words.iter().map(OsString::from).collect::<Vec<_>>())
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
            assert!(end(words).stays_down(), "{words:?}");
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
            assert!(!end(words).stays_down(), "{words:?}");
        }
    }

    #[test]
    fn an_end_is_that_of_a_gateway_of_a_profile() {
        for (words, profile) in [
            (&["./finish", "0", "0", "gateway-x", "99"][..], Some("x")),
            (&["0", "0", "gateway-x", "99"], Some("x")),
            (&["./finish", "256", "15", "gateway-x"], Some("x")),
            (&["./finish", "0", "0", "dashboard", "99"], None),
            (&["./finish", "0"], None),
            (&["./finish"], None),
            (&[], None),
        ] {
            assert_eq!(end(words).profile.as_ref().map(ProfileName::text), profile, "{words:?}");
        }
    }
}
