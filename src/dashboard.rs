//! The programs of the dashboard's service: `run` and `finish`. A dashboard that is switched off ends at once with 0, and its
//! `finish` says 125: s6 reports it down and does not start it again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::cli::Options;
use crate::console::Console;
use crate::gateway::{PERMANENT_FAILURE, is_bad_configuration};
use crate::launch::{self, Launch};
use crate::settings::{self, Lookup};
use crate::sys::process;

/// The image's words for "on"; no others.
const TRUTHY: [&[u8]; 7] = [b"1", b"true", b"TRUE", b"True", b"yes", b"YES", b"Yes"];
/// Where it listens unless HERMES_DASHBOARD_HOST says otherwise.
const HOST: &str = "127.0.0.1";
/// The TCP port unless HERMES_DASHBOARD_PORT says otherwise.
const PORT: &str = "9119";

fn is_on(lookup: &Lookup, variable: &str) -> bool {
    lookup.get(variable).is_some_and(|setting| TRUTHY.contains(&setting.value.as_bytes()))
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
    let setting =
        |variable, default: &str| lookup.get(variable).map_or(OsString::from(default), |found| found.value);
    let (host, port) = (setting("HERMES_DASHBOARD_HOST", HOST), setting("HERMES_DASHBOARD_PORT", PORT));
    let base = lookup.environment(console);
    let runner = settings::runner();
    let mut environment = base.clone();
    let home = process::os(runner.user.home.clone());
    launch::set(&mut environment, "HOME", home.clone());
    let [dashboard, host_option, port_option, no_open] =
        ["dashboard", "--host", "--port", "--no-open"].map(OsString::from);
    let arguments = vec![dashboard, host_option, host, port_option, port, no_open];
    let directory = Some(PathBuf::from(home));
    let launch = Launch { name: "hermes", first: None, arguments, environment, directory };
    if options.print {
        console.print(&launch.describe(&runner, &base));
        return 0;
    }
    if let Err(error) = launch::drop_privileges(&runner) {
        return console.fatal(&error);
    }
    launch.exec(console)
}

/// `finish`: whether s6-supervise starts it again. Whatever its arguments are, the answer is 0 or 125.
pub fn finish(options: &Options) -> u8 {
    let ended_for_good =
        is_bad_configuration(&options.operands) || !is_on(&Lookup::new(), "HERMES_DASHBOARD");
    if ended_for_good { PERMANENT_FAILURE } else { 0 }
}
