//! `gateway-log`: `log/run` of a slot.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::exec::{self, Launch, Place};
use super::invocation::home_or_set;
use super::{Args, Effect, failure};
use crate::output::{Console, Error, Result, exit};
use crate::s6::{ProfileName, programs, servicedir};
use crate::settings::{self, Lookup, user};
use crate::sys::{Dir, Errno, Name, Reason, file, lock, process};
use crate::volume::{advice, gateway_log};

/// s6's logger.
const S6_LOG: &str = "s6-log";
/// Time that a logger waits before it exits if it cannot execute s6-log.
const FAILED_LOGGER: Duration = Duration::from_mins(1);

/// Runs `gateway-log`: executes s6-log as the hermes user. Returns the exit code if that fails.
pub fn run(args: &Args, console: &Console) -> u8 {
    match args.gateway(console) {
        Ok(profile) => {
            let code =
                run_profile(args, &profile, console).unwrap_or_else(|error| failure::end(&error, console));
            if args.effect == Effect::Execute {
                // s6-supervise starts a logger again at once: a `finish` cannot keep it down without freezing the gateway.
                let seconds = FAILED_LOGGER.as_secs();
                console.note(format_args!(
                    "waiting for {seconds} seconds before exiting, because s6 starts a logger again at once"
                ));
                sleep(FAILED_LOGGER);
            }
            code
        }
        Err(why) => console.die(exit::USAGE, format_args!("{why}")),
    }
}

fn run_profile(args: &Args, profile: &ProfileName, console: &Console) -> Result<u8> {
    let lookup = Lookup::new()?;
    let environment = lookup.environment(console);
    let service = args.directory(&Path::new(profile.slot()).join(&servicedir::LOG), console)?;
    let home = home_or_set(service.as_ref(), &lookup)?;
    let directory = directory(&home, profile);
    let prefix = lookup.flag("HERMES_INIT_LOG_PREFIX", settings::YES, console)?;
    let runner = user::runner()?;
    let (program, is_usable) = match args.effect {
        Effect::Print => (S6_LOG.into(), true),
        Effect::Execute => {
            // While still root, so that only a file that the hermes user cannot replace is found.
            let found = programs::find(S6_LOG.as_ref(), exec::path(&environment))?;
            exec::drop_privileges(&runner)?;
            let usable = prepare(&directory, &home);
            if let Err(error) = &usable {
                console.failed(error);
                let (program, name) = (console.program(), profile.text());
                console.warn(format_args!(
                    "the gateway's output goes to the container's log only; when the log can be used: {program} restart {name}"
                ));
            }
            (found.unwrap_or_else(|| S6_LOG.into()), usable.is_ok())
        }
    };
    let mut command = exec::program(program, &environment);
    // `-p`: when the container stops, all processes get SIGTERM at once; the logger reads on until the gateway has ended.
    command.arg("-p");
    if is_usable {
        // `T` applies only to the action that follows it.
        command.args(["n10", "s1000000", "T"]).arg(directory);
    }
    // `1`, the container's log, comes last, because the prefix applies to all actions after it.
    if prefix.is_none_or(|prefix| prefix.value) {
        command.arg(format!("p{}:", profile.text()));
    }
    command.arg("1");
    Launch { command, place: Place::S6, runner: &runner, base: &environment }.carry_out(args.effect, console)
}

/// Returns the log directory of a profile. s6-log recognizes a directory by its first character, `/` or `.`.
fn directory(home: &Path, profile: &ProfileName) -> PathBuf {
    Path::new(".").join(home).join(gateway_log::path(profile))
}

/// Makes the log directory, removes the lock of a logger in another container, and tries what s6-log does in it at its start.
/// Otherwise s6-log would fail and be started again every second, while nobody reads what the gateway writes.
fn prepare(directory: &Path, home: &Path) -> Result<()> {
    static LOCK: Name = Name::fixed(c"lock");
    static CURRENT: Name = Name::fixed(c"current");
    static PREVIOUS: Name = Name::fixed(c"previous");
    let unusable = |path: &Path, reason: Reason| {
        // The gateway runs as the same user, who is another one than that of /etc/passwd where s6 is not root.
        let reason = advice::explained(&reason, path, home, process::uid());
        Error::new("log to", path, reason)
    };
    let logs = Dir::make_at(directory).map_err(|reason| unusable(directory, reason))?;
    let unlocked = match logs.unlink(&LOCK) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    };
    unlocked
        .and_then(|()| lock::try_new_file(&logs, &LOCK))
        .map_err(|errno| unusable(directory, errno.into()))?;
    for name in [&CURRENT, &PREVIOUS] {
        file::try_append(&logs, name).map_err(|reason| unusable(&directory.join(name), reason))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_directory_is_one_for_s6_log() {
        let profile = ProfileName::parse(b"coder").unwrap();
        for (home, expected) in [
            ("/opt/data", "/opt/data/logs/gateways/coder"),
            ("/", "/logs/gateways/coder"),
            ("data", "./data/logs/gateways/coder"),
            ("+data", "./+data/logs/gateways/coder"),
        ] {
            assert_eq!(directory(Path::new(home), &profile).into_os_string(), expected);
        }
    }
}
