//! The programs of the dashboard's service: `run` and `finish`. A dashboard that is switched off ends at once with 0, and its
//! `finish` says 125: s6 reports it down and does not start it again.

use crate::cli::Options;
use crate::console::Console;
use crate::gateway::{PERMANENT_FAILURE, is_bad_configuration};
use crate::launch::{self, Launch};
use crate::settings::{self, Lookup};
use crate::sys::keep;

/// The image's words for "on"; no others.
const TRUTHY: [&[u8]; 7] = [b"1", b"true", b"TRUE", b"True", b"yes", b"YES", b"Yes"];
/// Where it listens unless HERMES_DASHBOARD_HOST says otherwise.
const HOST: &[u8] = b"127.0.0.1";
/// The TCP port unless HERMES_DASHBOARD_PORT says otherwise.
const PORT: &[u8] = b"9119";

fn is_on(lookup: &Lookup, variable: &str) -> bool {
    TRUTHY.contains(&lookup.get_or(variable, b""))
}

/// `run`: the dashboard as the hermes user; 0 where it is switched off.
pub fn run(options: &Options, console: &Console) -> u8 {
    let lookup = Lookup::new();
    if !is_on(&lookup, "HERMES_DASHBOARD") {
        if options.print {
            console.print("off: HERMES_DASHBOARD is none of 1, true, TRUE, True, yes, YES, Yes\n");
        }
        return 0;
    }
    if is_on(&lookup, "HERMES_DASHBOARD_INSECURE") {
        console.warn(
            &"HERMES_DASHBOARD_INSECURE is ignored: a dashboard that listens on more than the loopback needs an auth provider",
        );
    }
    let base = lookup.environment(console);
    let runner = settings::runner();
    let mut environment = base.clone();
    environment.set(b"HOME", Some(runner.user.home));
    let setting = |variable, default| keep::c_string(&[lookup.get_or(variable, default)]).unwrap_or_default();
    let (host, port) = (setting("HERMES_DASHBOARD_HOST", HOST), setting("HERMES_DASHBOARD_PORT", PORT));
    let argv = vec![c"hermes", c"dashboard", c"--host", host, c"--port", port, c"--no-open"];
    if !options.print
        && let Err(error) = launch::drop_privileges(&runner)
    {
        return console.fatal(&error);
    }
    let launch = Launch { argv, first: None, environment, directory: keep::c_string(&[runner.user.home]) };
    launch.carry_out(&runner, &base, options.print, console)
}

/// `finish`: whether s6-supervise starts it again. Whatever its arguments are, the answer is 0 or 125.
pub fn finish(options: &Options) -> u8 {
    let ended_for_good =
        is_bad_configuration(&options.operands) || !is_on(&Lookup::new(), "HERMES_DASHBOARD");
    if ended_for_good { PERMANENT_FAILURE } else { 0 }
}
