//! The programs of a slot: `run`, `log/run` and `finish`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::exec::{self, Launch, words};
use super::{exit_code, is_permanent};
use crate::cli::Options;
use crate::output::Console;
use crate::output::escape::Shown;
use crate::output::exit;
use crate::output::{Context, Error, Result};
use crate::s6::programs;
use crate::s6::slot::template;
use crate::s6::{ProfileName, deaths, servicedir};
use crate::service::backoff;
use crate::settings::user::Runner;
use crate::settings::{self, Lookup, Settings, user};
use crate::sys::{Dir, Errno, Name, Reason, file, label, lock, present, time};
use crate::volume::{advice, gateway_log};

/// Time that a logger which cannot become s6-log waits before it ends.
const FAILED_LOGGER: Duration = Duration::from_mins(1);

/// Exit code of a gateway whose slot could not be read: s6 starts it again, and it makes pauses.
const TRY_AGAIN: u8 = 1;

/// Returns the profile of the service whose name s6-supervise passes as the last argument.
fn profile(options: &Options) -> std::result::Result<ProfileName, String> {
    let service = options.operands.last().map_or(&b""[..], |service| service.as_bytes());
    ProfileName::of_service(service)
        .ok_or_else(|| format!("{} is no service of a gateway, gateway-PROFILE", Shown(service)))
}

/// Runs `gateway-run`: becomes the gateway as the hermes user. Returns an exit code if that fails.
pub fn run(options: &Options, console: &Console) -> u8 {
    match profile(options) {
        Ok(profile) => run_profile(options, &profile, console).unwrap_or_else(|error| console.fatal(&error)),
        Err(why) => console.die(exit::USAGE, format_args!("{why}")),
    }
}

fn run_profile(options: &Options, profile: &ProfileName, console: &Console) -> Result<u8> {
    let lookup = Lookup::new()?;
    let base = lookup.environment(console);
    let runner = user::runner()?;
    if !options.print {
        if lookup.makes_pauses(console)? {
            make_pause(profile, console);
        }
        exec::drop_privileges(&runner)?;
    }
    // From here on as the hermes user, who controls what follows.
    let mut environment = base.clone();
    environment.set("HOME", &runner.user.home);
    let variables = directory(options, profile.slot().bytes(), console).and_then(|slot| {
        let Some(slot) = slot else { return Ok(None) };
        if let Some(home) = home(&slot)? {
            environment.set(settings::HOME_VARIABLE, home);
        }
        present(slot.dir(&servicedir::ENV)).context("open", &servicedir::ENV)
    });
    // A gateway without them would be another one: s6 tries again.
    if let Some(directory) = variables.map_err(|error| error.with_code(TRY_AGAIN))? {
        settings::load(&mut environment, &directory, servicedir::ENV.bytes(), console);
    }
    // Without the first, the gateway would call the service manager again, which would start it again.
    environment.set("HERMES_S6_SUPERVISED_CHILD", "1");
    environment.set("HERMES_SUPERVISED_CHILD", "1");
    let argv = if profile.is_root() {
        words(&[b"hermes", b"gateway", b"run", b"--replace"])
    } else {
        words(&[b"hermes", b"-p", profile.text().as_bytes(), b"gateway", b"run", b"--replace"])
    };
    let launch = Launch { argv, is_s6: false, environment, directory: Some(&runner.user.home) };
    Ok(launch.carry_out(&runner, &base, options.print, console))
}

/// Returns the `HERMES_HOME` in the `run` of a service directory.
fn home(service: &Dir) -> Result<Option<OsString>> {
    let script =
        file::find(service, &servicedir::RUN, template::SCRIPT_CAP).context("read", &servicedir::RUN)?;
    Ok(script.as_deref().and_then(template::home_in).map(OsStr::to_owned))
}

/// Waits while the gateway has to make a pause. That is in `run`, where `s6-svc -d` ends it at once, and not in `finish`.
fn make_pause(profile: &ProfileName, console: &Console) {
    let pause = match Dir::at(Path::new(".")) {
        Ok(slot) => backoff::pause(&slot),
        Err(errno) => Err(errno.into()),
    };
    let pause = match pause {
        Ok(None) => return,
        Ok(Some(pause)) => pause,
        Err(reason) => return console.failed(&Error::new("use", deaths::LABEL, reason)),
    };
    let backoff::Pause { until, length, is_repeated } = pause;
    if !is_repeated {
        // On stdout, which the logger reads: the gateway's own log has it, and the container's.
        console.print(&format!(
            "hermes-init gateway-run: warning: {} dies again and again: it is started {length} seconds after its last end\n",
            profile.text()
        ));
    }
    // A clock that was set back makes no pause longer.
    let left = until.saturating_sub(time::now()).clamp(0, length);
    sleep(Duration::from_secs(left.unsigned_abs()));
}

/// Opens the service directory: s6-supervise starts `run` in it. `--print` is called elsewhere, also where there is none.
fn directory(options: &Options, service: &[u8], console: &Console) -> Result<Option<Dir>> {
    let path = if options.print {
        Settings::gather(options, console)?.scandir.value.join(OsStr::from_bytes(service))
    } else {
        ".".into()
    };
    present(Dir::at(&path)).context("open the service directory", path.as_os_str().as_bytes())
}

/// Runs `gateway-log`: becomes s6-log as the hermes user. Returns an exit code if that fails.
pub fn log(options: &Options, console: &Console) -> u8 {
    match profile(options) {
        Ok(profile) => {
            let code = log_profile(options, &profile, console).unwrap_or_else(|error| console.fatal(&error));
            if !options.print {
                // s6-supervise starts a logger again at once: a `finish` cannot keep it down without freezing the gateway.
                sleep(FAILED_LOGGER);
            }
            code
        }
        Err(why) => console.die(exit::USAGE, format_args!("{why}")),
    }
}

fn log_profile(options: &Options, profile: &ProfileName, console: &Console) -> Result<u8> {
    let lookup = Lookup::new()?;
    let environment = lookup.environment(console);
    let service = directory(options, &label(&[profile.slot().bytes(), servicedir::LOG.bytes()]), console)?;
    let found = match service {
        Some(service) => home(&service)?,
        None => None,
    };
    let home = match found {
        Some(home) => home,
        None => lookup.get_or(settings::HOME_VARIABLE, settings::HOME)?,
    };
    // s6-log recognizes a directory by its first character.
    let start = if home.as_bytes().starts_with(b"/") { &b""[..] } else { b"./" };
    let name = profile.text();
    let logs = gateway_log::LOGS.as_bytes();
    let directory = [start, &label(&[home.as_bytes(), logs, name.as_bytes()])].concat();
    let prefix = lookup.flag("HERMES_INIT_LOG_PREFIX", settings::YES, console)?;
    let runner = user::runner()?;
    let mut program = OsString::from("s6-log");
    let mut is_usable = true;
    if !options.print {
        // As root: where the hermes user can put no other program in its place.
        if let Some(found) = programs::find(&program, &environment)? {
            program = found.into();
        }
        exec::drop_privileges(&runner)?;
        if let Err(error) = prepare(Path::new(OsStr::from_bytes(&directory)), Path::new(&home), &runner) {
            console.failed(&error);
            console.warn(format_args!("the gateway's lines go to the container's log only"));
            is_usable = false;
        }
    }
    // `-p`: when the container stops, SIGTERM reaches everything at once, and what a gateway says while it drains is read to the end.
    let mut argv = vec![program.as_bytes(), b"-p"];
    if is_usable {
        // `T` directly before the directory, to which alone it applies.
        argv.extend_from_slice(&[b"n10", b"s1000000", b"T", &directory]);
    }
    // `1`, the container's log, comes last: the prefix would apply to all that comes after it.
    let shown = format!("p{name}:");
    if prefix.is_none_or(|prefix| prefix.value) {
        argv.push(shown.as_bytes());
    }
    argv.push(b"1");
    let base = environment.clone();
    let launch = Launch { argv: words(&argv), is_s6: true, environment, directory: None };
    Ok(launch.carry_out(&runner, &base, options.print, console))
}

/// Makes the log directory, removes the lock of a logger in another container, and tries what s6-log does in it at its start: on
/// each of these it would end, and be started again once a second, while nobody reads what the gateway writes.
fn prepare(directory: &Path, home: &Path, runner: &Runner) -> Result<()> {
    static LOCK: Name = Name::fixed(c"lock");
    static CURRENT: Name = Name::fixed(c"current");
    static PREVIOUS: Name = Name::fixed(c"previous");
    let unusable = |path: &Path, reason: Reason| {
        let reason = advice::explained(&reason, path, home, runner.user.ids.uid);
        Error::new("log to", path, reason)
    };
    let (logs, _) = Dir::make_at(directory).map_err(|reason| unusable(directory, reason))?;
    let unlocked = match logs.unlink(&LOCK) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    };
    unlocked
        .and_then(|()| lock::new_file(&logs, &LOCK))
        .map_err(|errno| unusable(directory, errno.into()))?;
    for name in [&CURRENT, &PREVIOUS] {
        if let Err(reason) = file::try_append(&logs, name) {
            return Err(unusable(&directory.join(OsStr::from_bytes(name.bytes())), reason));
        }
    }
    Ok(())
}

/// Runs `gateway-finish`. Returns the exit code that tells s6-supervise whether to start the gateway again: it stays down after an
/// intended end, and where a restart changes nothing.
pub fn finish(options: &Options) -> u8 {
    let code = exit_code(&options.operands);
    if code == Some(0) || is_permanent(code) { exit::PERMANENT_FAILURE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish_of(words: &[&str]) -> u8 {
        let operands = words.iter().map(OsString::from).collect();
        finish(&Options { operands, ..Options::default() })
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
