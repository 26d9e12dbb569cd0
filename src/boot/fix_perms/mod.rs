//! `fix-perms`: opens static services, which s6-supervise has made for root alone, to the hermes user.

mod finding;
mod report;
mod static_service;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::escape::Shown;
use crate::output::{Console, Context, Format, Result, exit};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Ownership, Reason};
use finding::Outcome;
use report::Form;
use static_service::Fix;

/// s6-rc's service directories.
const SERVICEDIRS: &str = "/run/s6-rc/servicedirs";

/// The arguments of `fix-perms`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// Whether anything is changed.
    pub effect: Effect,
    /// The form of the report.
    pub format: Format,
    /// The directory of the services; `None` for s6-rc's.
    pub directory: Option<PathBuf>,
}

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
pub fn run(args: &Args, console: &Console) -> u8 {
    match fix_all(args, console) {
        Ok(code) => code,
        Err(error) => console.fatal(&error),
    }
}

fn fix_all(args: &Args, console: &Console) -> Result<u8> {
    let settings = Settings::gather(&args.overrides, console)?;
    settings.note_mode(console);
    let path = args.directory.as_deref().unwrap_or(Path::new(SERVICEDIRS));
    let label = path.as_os_str().as_bytes();
    let services = match Dir::at(path) {
        Err(Reason::Errno(Errno::NOENT)) => {
            let nothing = format!("nothing to do: {} is missing", Shown(label));
            match args.format {
                Format::Text => console.print(&format!("fix-perms: {nothing}\n")),
                Format::Json => {
                    console.note(format_args!("{nothing}"));
                    console.print(&report::text(&[], Form::Objects));
                }
            }
            return Ok(0);
        }
        services => services.context("open", path)?,
    };
    let names = services.names().context("list", path)?;
    let ownership = Ownership::new();
    let policy = settings.policy(settings.sealed_owner(&ownership)?);
    let fix = Fix::new(&policy, args.effect, &ownership);
    let outcomes: Vec<Outcome> = names.iter().filter_map(|name| fix.service(&services, name)).collect();
    let form = match args.format {
        Format::Json => Form::Objects,
        Format::Text if args.effect == Effect::Apply && settings.is_quiet() => Form::Failures,
        Format::Text => Form::Lines,
    };
    console.print(&report::text(&outcomes, form));
    if let Some(errno) = outcomes.iter().filter_map(|outcome| outcome.denied).next_back() {
        let reason = Reason::from(errno);
        console.note(format_args!(
            "some owners or modes cannot be changed ({reason}): they are left as they are"
        ));
    } else {
        console.note_refusal(&ownership);
    }
    // In delegated mode `reconcile` says of what gateways run as.
    let is_in_vain =
        settings.mode.value.is_sealed() && super::is_unprotected(&settings, &ownership, console)?;
    let keeps_all = settings.keeps_all(console);
    let is_incomplete = is_in_vain || keeps_all || outcomes.iter().any(Outcome::is_incomplete);
    Ok(if is_incomplete { exit::INCOMPLETE } else { 0 })
}
