//! The programs of the dashboard's service: `run` and `finish`. A dashboard that is off ends at once with 0, and its `finish`
//! returns 125: s6 reports it down and does not start it again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::exec::{self, Launch, words};
use super::{Args, exit_code, is_permanent};
use crate::output::Result;
use crate::output::{Console, exit};
use crate::settings::Lookup;
use crate::settings::user;

/// The image's words for "on"; it accepts no others.
const ON: [&[u8]; 7] = [b"1", b"true", b"TRUE", b"True", b"yes", b"YES", b"Yes"];
/// Default of `HERMES_DASHBOARD_HOST`.
const HOST: &str = "127.0.0.1";
/// Default of `HERMES_DASHBOARD_PORT`, a TCP port.
const PORT: &str = "9119";

fn is_on(lookup: &Lookup, variable: &str) -> Result<bool> {
    Ok(ON.contains(&lookup.get_or(variable, "")?.as_bytes()))
}

/// Runs `dashboard-run`: becomes the dashboard as the hermes user. Returns 0 if the dashboard is off, else an exit code if that
/// fails.
pub fn run(args: &Args, console: &Console) -> u8 {
    launch(args, console).unwrap_or_else(|error| console.fatal(&error))
}

fn launch(args: &Args, console: &Console) -> Result<u8> {
    let lookup = Lookup::new()?;
    if !is_on(&lookup, "HERMES_DASHBOARD")? {
        if args.print {
            console.print("off: HERMES_DASHBOARD is none of 1, true, TRUE, True, yes, YES, Yes\n");
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
    environment.set("HOME", &runner.user.home);
    let host = lookup.get_or("HERMES_DASHBOARD_HOST", HOST)?;
    let port = lookup.get_or("HERMES_DASHBOARD_PORT", PORT)?;
    let (host, port) = (host.as_bytes(), port.as_bytes());
    let program_argv = words(&[b"hermes", b"dashboard", b"--host", host, b"--port", port, b"--no-open"]);
    if !args.print {
        exec::drop_privileges(&runner)?;
    }
    let launch = Launch { argv: program_argv, is_s6: false, environment, directory: Some(&runner.user.home) };
    Ok(launch.carry_out(&runner, &base, args.print, console))
}

/// Runs `dashboard-finish`. Returns 125 if the dashboard stays down, else 0, whatever its arguments are.
pub fn finish(words: &[OsString]) -> u8 {
    // If the switch cannot be read, `run` reports that.
    let is_off = Lookup::new().and_then(|lookup| is_on(&lookup, "HERMES_DASHBOARD")).is_ok_and(|on| !on);
    if is_permanent(exit_code(words)) || is_off { exit::PERMANENT_FAILURE } else { 0 }
}
