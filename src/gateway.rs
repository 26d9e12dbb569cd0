//! The programs of a gateway's slot: `run`, `log/run` and `finish`.

use std::ffi::CStr;

use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Result, USAGE};
use crate::launch::{self, Launch};
use crate::number::decimal;
use crate::settings::{self, Lookup, Settings};
use crate::show::Shown;
use crate::slot::{ProfileName, layout};
use crate::sys::keep::{self, Bytes};
use crate::sys::{Dir, Errno, Name};

/// Exit code of a `finish` that asks s6-supervise not to start the service again, like `s6-svc -O`.
pub const PERMANENT_FAILURE: u8 = 125;
/// EX_CONFIG of sysexits.h: the configuration is at fault, and a restart changes nothing.
const BAD_CONFIGURATION: u64 = 78;
/// Where s6-overlay keeps s6's programs.
pub const COMMAND: Bytes = b"/command";

/// The profile of the service whose name s6-supervise gives as the last argument.
fn profile(options: &Options) -> std::result::Result<ProfileName, String> {
    let service = options.operands.last().map_or(&b""[..], |service| service.to_bytes());
    ProfileName::of_service(service)
        .ok_or_else(|| format!("{} is no service of a gateway, gateway-PROFILE", Shown(service)))
}

/// `run`: the gateway as the hermes user; an exit code where it could not become it.
pub fn run(options: &Options, console: &Console) -> u8 {
    let profile = match profile(options) {
        Ok(profile) => profile,
        Err(why) => return console.die(USAGE, &why),
    };
    let base = Lookup::new().environment(console);
    let runner = settings::runner();
    if !options.print
        && let Err(error) = launch::drop_privileges(&runner)
    {
        return console.fatal(&error);
    }
    // From here on as the hermes user: what follows is under its hand.
    let mut environment = base.clone();
    environment.set(b"HOME", Some(runner.user.home));
    match slot(options, &profile, console) {
        Ok(slot) => {
            if let Ok(directory) = slot.dir(&layout::ENV) {
                settings::load(&mut environment, &directory, layout::ENV.bytes(), console);
            }
        }
        Err(error) => console.warn(&error),
    }
    // Without the first, the gateway goes back to the service manager, and round again.
    for marker in ["HERMES_S6_SUPERVISED_CHILD", "HERMES_SUPERVISED_CHILD"] {
        environment.set(marker.as_bytes(), Some(b"1"));
    }
    let mut argv = vec![c"hermes"];
    if !profile.is_root() {
        argv.extend([c"-p"].into_iter().chain(keep::c_string(&[profile.text().as_bytes()])));
    }
    argv.extend([c"gateway", c"run", c"--replace"]);
    let launch = Launch { argv, first: None, environment, directory: keep::c_string(&[runner.user.home]) };
    launch.carry_out(&runner, &base, options.print, console)
}

/// The slot: s6-supervise starts `run` in it. Who only asks is somewhere else.
fn slot(options: &Options, profile: &ProfileName, console: &Console) -> Result<Dir> {
    let mut path = c".";
    if options.print {
        let scandir = Settings::gather(options, console)?.scandir.value.to_bytes();
        path = keep::c_string(&[scandir, b"/", profile.slot().bytes()]).unwrap_or(path);
    }
    Dir::at(path).context("open the slot", path.to_bytes())
}

/// `log/run`: s6-log as the hermes user; an exit code where it could not become it.
pub fn log(options: &Options, console: &Console) -> u8 {
    let profile = match profile(options) {
        Ok(profile) => profile,
        Err(why) => return console.die(USAGE, &why),
    };
    let lookup = Lookup::new();
    let environment = lookup.environment(console);
    let home = lookup.get_or("HERMES_HOME", settings::HOME.to_bytes());
    // s6-log knows a directory by its first character.
    let here: &[u8] = if home.starts_with(b"/") { b"" } else { b"./" };
    let directory =
        keep::c_string(&[here, home, b"/logs/gateways/", profile.text().as_bytes()]).unwrap_or_default();
    let runner = settings::runner();
    // `1` first, so that the lines reach the container's log too; T just before the directory, for which it counts.
    let mut argv = vec![c"s6-log", c"1", c"n10", c"s1000000", c"T", directory];
    if !options.print {
        if let Err(error) = launch::drop_privileges(&runner) {
            return console.fatal(&error);
        }
        if let Err(error) = prepare(directory) {
            console.warn(&error);
            console.warn(&"the gateway's lines go to the container's log only");
            argv.truncate(2);
        }
    }
    let base = environment.clone();
    let launch = Launch { argv, first: Some(COMMAND), environment, directory: None };
    launch.carry_out(&runner, &base, options.print, console)
}

/// Makes the log directory, and removes a lock that a logger in another container left.
fn prepare(directory: &CStr) -> Result<()> {
    static LOCK: Name = Name::fixed(c"lock");
    let label = directory.to_bytes();
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
pub fn is_bad_configuration(operands: &[&CStr]) -> bool {
    exit_code(operands) == Some(BAD_CONFIGURATION)
}

/// The exit code in `finish`'s arguments: `[./finish] EXITCODE SIGNAL SERVICE [PGID]`, the first one when a `#!` line put it
/// there. 256 where a signal killed the service.
fn exit_code(operands: &[&CStr]) -> Option<u64> {
    operands.iter().take(2).find_map(|word| decimal(word.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish_of(words: &[&str]) -> u8 {
        let operands = words.iter().filter_map(|word| keep::c_string(&[word.as_bytes()])).collect();
        finish(&Options { operands, ..Options::default() })
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
