//! `fix-perms`: opens static services, which s6-supervise has made for root alone, to the hermes user.

mod static_service;

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::escape::{FromVolume, OrNull, Quoted, Sentence, Shown};
use crate::output::{Console, Format};
use crate::output::{Context, Result, exit};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Ownership, Reason};
use static_service::{Action, Fix, Outcome};

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
    let path = args.directory.as_deref().unwrap_or(Path::new(SERVICEDIRS));
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
    let (is_dry, json) = (args.effect == Effect::DryRun, args.format == Format::Json);
    let fix = Fix::new(&policy, is_dry, &ownership);
    let mut outcomes = Vec::new();
    for name in &names {
        outcomes.extend(fix.service(&services, name));
    }
    let is_quiet = !json && !is_dry && settings.is_quiet();
    console.print(&report(&outcomes, json, is_quiet));
    if let Some(errno) = fix.denied() {
        let reason = Reason::from(errno);
        console.note(format_args!("not permitted to change everything ({reason}): left as it is"));
    } else {
        console.note_refusal(&ownership);
    }
    Ok(if outcomes.iter().any(is_incomplete) { exit::INCOMPLETE } else { 0 })
}

/// Returns whether the service is not what it should be.
fn is_incomplete(outcome: &Outcome) -> bool {
    matches!(outcome.action, Action::Refused | Action::Failed)
}

/// Returns a line for each service, then the summary; if `is_quiet`, only lines for what was refused or failed.
fn report(outcomes: &[Outcome], json: bool, is_quiet: bool) -> String {
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| !is_quiet || is_incomplete(outcome)) {
        let service = outcome.service.bytes();
        let (action, reason) = (outcome.action.word(), &outcome.reasons);
        // Writing to a String cannot fail.
        if json {
            let reason = OrNull(Some(reason.as_bytes()).filter(|reason| !reason.is_empty()));
            let (service, changed) = (Quoted(service), outcome.changed);
            let _ = writeln!(
                text,
                "{{\"service\": {service}, \"action\": \"{action}\", \"reason\": {reason}, \"changed\": {changed}}}"
            );
            continue;
        }
        let _ = write!(text, "fix-perms: service={} action={action}", FromVolume(service));
        if !reason.is_empty() {
            let _ = write!(text, " reason={}", Sentence(reason));
        }
        text.push('\n');
    }
    if is_quiet {
        return text;
    }
    let count = |action| outcomes.iter().filter(|outcome| outcome.action == action).count();
    let [done, skipped, refused, failed] =
        [Action::Done, Action::Skipped, Action::Refused, Action::Failed].map(count);
    let _ = if json {
        writeln!(
            text,
            "{{\"done\": {done}, \"skipped\": {skipped}, \"refused\": {refused}, \"failed\": {failed}}}"
        )
    } else {
        writeln!(text, "fix-perms: {done} done, {skipped} skipped, {refused} refused, {failed} failed")
    };
    text
}
