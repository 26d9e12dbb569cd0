//! `fix-perms`: opens static services, which s6-supervise has made for root alone, to the hermes user.

mod finding;
mod report;
mod static_service;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::cli::Options;
use crate::output::Console;
use crate::output::escape::Shown;
use crate::output::{Context, Result, exit};
use crate::settings::Settings;
use crate::sys::{Dir, Errno, Ownership, Reason};
use finding::Outcome;
use report::Form;
use static_service::Fix;

/// s6-rc's service directories.
const SERVICEDIRS: &str = "/run/s6-rc/servicedirs";

/// What `fix-perms` does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// Changes owners and modes.
    #[default]
    Apply,
    /// Changes nothing, and reports what would be done.
    DryRun,
}

/// Runs the command. Returns its exit code.
pub fn run(options: &Options, console: &Console) -> u8 {
    match fix_all(options, console) {
        Ok(code) => code,
        Err(error) => console.fatal(&error),
    }
}

fn fix_all(options: &Options, console: &Console) -> Result<u8> {
    let settings = Settings::gather(options, console)?;
    let path = options.operands.first().map_or(Path::new(SERVICEDIRS), Path::new);
    let label = path.as_os_str().as_bytes();
    let services = match Dir::at(path) {
        Err(Errno::NOENT) => {
            console.print(&format!("fix-perms: nothing to do: {} is missing\n", Shown(label)));
            return Ok(0);
        }
        services => services.context("open", label)?,
    };
    let names = services.names().context("list", label)?;
    let ownership = Ownership::new();
    let policy = settings.policy(ownership.process());
    let effect = if options.dry_run { Effect::DryRun } else { Effect::Apply };
    let fix = Fix::new(&policy, effect, &ownership);
    let outcomes: Vec<Outcome> = names.iter().filter_map(|name| fix.service(&services, name)).collect();
    let form = match options.json {
        true => Form::Objects,
        false if effect == Effect::Apply && settings.is_quiet() => Form::Failures,
        false => Form::Lines,
    };
    console.print(&report::text(&outcomes, form));
    if let Some(errno) = outcomes.iter().filter_map(|outcome| outcome.denied).next_back() {
        let reason = Reason::from(errno);
        console.note(format_args!("not permitted to change everything ({reason}): left as it is"));
    } else {
        console.note_refusal(&ownership);
    }
    Ok(if outcomes.iter().any(Outcome::is_incomplete) { exit::INCOMPLETE } else { 0 })
}
