//! The programs of a gateway's slot: `run`, `log/run` and `finish`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Error, Result, USAGE};
use crate::launch::{self, Launch};
use crate::settings::{self, Lookup, Settings};
use crate::show::Shown;
use crate::slot::{ProfileName, layout};
use crate::sys::{Dir, Errno, Name, process};

/// Exit code of a `finish` that asks s6-supervise not to start the service again, like `s6-svc -O`.
pub const PERMANENT_FAILURE: u8 = 125;
/// EX_CONFIG of sysexits.h: the configuration is at fault, and a restart changes nothing.
const BAD_CONFIGURATION: i32 = 78;
/// Where s6-overlay keeps s6's programs.
pub const COMMAND: &str = "/command";

/// The profile of the service whose name s6-supervise gives as the last argument.
fn profile(options: &Options) -> std::result::Result<ProfileName, String> {
    let service = options.operands.last().map(|service| service.as_bytes()).unwrap_or_default();
    ProfileName::of_service(service)
        .ok_or_else(|| format!("{} is no service of a gateway, gateway-PROFILE", Shown(service)))
}

/// `run`: the gateway as the hermes user; an exit code where it could not become it.
pub fn run(options: &Options, console: &Console) -> u8 {
    let profile = match profile(options) {
        Ok(profile) => profile,
        Err(why) => return console.die(USAGE, &why),
    };
    let lookup = Lookup::new();
    let base = lookup.environment(console);
    let runner = settings::runner();
    if !options.print
        && let Err(error) = launch::drop_privileges(&runner)
    {
        return console.fatal(&error);
    }
    // From here on as the hermes user: what follows is under its hand.
    let mut environment = base.clone();
    let home = process::os(runner.user.home.clone());
    launch::set(&mut environment, "HOME", home.clone());
    match slot(options, &profile, console) {
        Ok(slot) => {
            if let Ok(directory) = slot.dir(&layout::ENV) {
                settings::load(&mut environment, &directory, "env", console);
            }
        }
        Err(error) => console.warn(&error),
    }
    // Without the first, the gateway goes back to the service manager, and round again.
    for marker in ["HERMES_S6_SUPERVISED_CHILD", "HERMES_SUPERVISED_CHILD"] {
        launch::set(&mut environment, marker, "1");
    }
    let mut arguments = Vec::new();
    if !profile.is_root() {
        arguments.extend([OsString::from("-p"), OsString::from(profile.text())]);
    }
    arguments.extend(["gateway", "run", "--replace"].map(OsString::from));
    let launch =
        Launch { name: "hermes", first: None, arguments, environment, directory: Some(PathBuf::from(home)) };
    if options.print {
        console.print(&launch.describe(&runner, &base));
        return 0;
    }
    launch.exec(console)
}

/// The slot: s6-supervise starts `run` in it. Who only asks is somewhere else.
fn slot(options: &Options, profile: &ProfileName, console: &Console) -> Result<Dir> {
    let path = if options.print {
        let scandir = Settings::gather(options, console)?.scandir.value;
        scandir.join(OsStr::from_bytes(profile.slot().bytes()))
    } else {
        PathBuf::from(".")
    };
    Dir::at(&path).map_err(|errno| Error::new("open the slot", path.as_os_str().as_bytes(), errno))
}

/// `log/run`: s6-log as the hermes user; an exit code where it could not become it.
pub fn log(options: &Options, console: &Console) -> u8 {
    let profile = match profile(options) {
        Ok(profile) => profile,
        Err(why) => return console.die(USAGE, &why),
    };
    let lookup = Lookup::new();
    let environment = lookup.environment(console);
    let home = lookup.get("HERMES_HOME").map_or(OsString::from(settings::HOME), |home| home.value);
    // s6-log knows a directory by its first character.
    let home =
        if home.as_bytes().starts_with(b"/") { PathBuf::from(home) } else { Path::new(".").join(home) };
    let directory = home.join("logs").join("gateways").join(profile.text());
    let runner = settings::runner();
    // `1` first, so that the lines reach the container's log too; T just before the directory, for which it counts.
    let mut arguments: Vec<OsString> = ["1", "n10", "s1000000", "T"].map(OsString::from).into();
    arguments.push(directory.clone().into_os_string());
    if !options.print {
        if let Err(error) = launch::drop_privileges(&runner) {
            return console.fatal(&error);
        }
        if let Err(error) = prepare(&directory) {
            console.warn(&error);
            console.warn(&"the gateway's lines go to the container's log only");
            arguments.truncate(1);
        }
    }
    let base = environment.clone();
    let launch = Launch { name: "s6-log", first: Some(COMMAND), arguments, environment, directory: None };
    if options.print {
        console.print(&launch.describe(&runner, &base));
        return 0;
    }
    launch.exec(console)
}

/// Makes the log directory, and removes a lock that a logger in another container left.
fn prepare(directory: &Path) -> Result<()> {
    static LOCK: Name = Name::fixed(c"lock");
    let label = directory.as_os_str().as_bytes();
    let (logs, _) = Dir::make_at(directory).context("make", label)?;
    match logs.unlink(&LOCK) {
        Err(Errno::NOENT) => Ok(()),
        done => done.context("remove the lock in", label),
    }
}

/// `finish`: whether s6-supervise starts the service again. A fatal configuration and an intended end stay down.
pub fn finish(options: &Options) -> u8 {
    match exit_code(&options.operands) {
        Some(0 | BAD_CONFIGURATION) => PERMANENT_FAILURE,
        _ => 0,
    }
}

/// Whether a service ended because its configuration is at fault.
pub fn is_bad_configuration(operands: &[OsString]) -> bool {
    exit_code(operands) == Some(BAD_CONFIGURATION)
}

/// The exit code in `finish`'s arguments: `[./finish] EXITCODE SIGNAL SERVICE [PGID]`, the first one when a `#!` line put it
/// there. 256 where a signal killed the service.
fn exit_code(operands: &[OsString]) -> Option<i32> {
    let number = |word: &OsString| word.to_str()?.parse().ok();
    match operands {
        [first, rest @ ..] => number(first).or_else(|| rest.first().and_then(number)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish_of(words: &[&str]) -> u8 {
        finish(&Options { operands: words.iter().map(OsString::from).collect(), ..Options::default() })
    }

    #[test]
    fn only_an_intended_end_and_a_bad_configuration_stay_down() {
        for words in [
            &["./finish", "0", "0", "gateway-x"][..],
            &["./finish", "78", "0", "gateway-x", "99"],
            &["0", "0", "gateway-x"],
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
