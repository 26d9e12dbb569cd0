//! The report of a pass: lines on stdout, JSON objects, lines of the boot log.

use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::plan::{Action, Item, Outcome, Plan};
use crate::output::escape::{FromVolume, Sentence};
use crate::output::json::{self, Scalar};
use crate::s6::ProfileName;
use crate::volume::exit_ledger::PriorExit;
use crate::volume::profiles::Others;

/// The form of a report.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// A line for each profile, for stdout.
    Lines,
    /// A line for each failure, for stdout.
    Failures,
    /// A JSON object for each profile, with slots in this scan directory.
    Objects(&'a Path),
    /// A line for each profile with this time, for the log.
    Log(&'a str),
}

/// Size of a part of a report, in bytes.
const PART: usize = 64 << 10;

/// Returns the report in parts of whole lines, so that the memory for it does not grow with the number of profiles.
pub fn parts(plan: &Plan, form: Form<'_>) -> impl Iterator<Item = String> {
    let of = move |item: &Item| line(plan, item, form);
    let lines = plan.items.iter().filter_map(of);
    let mut lines =
        lines.chain(plan.refused_items().filter_map(move |item| of(&item))).chain(last(plan, form));
    std::iter::from_fn(move || {
        let mut part = String::new();
        while part.len() < PART
            && let Some(line) = lines.next()
        {
            part.push_str(&line);
            part.push('\n');
        }
        (!part.is_empty()).then_some(part)
    })
}

/// Returns the line about the entries that are only counted, if there are any. They are no objects.
fn last(plan: &Plan, form: Form<'_>) -> Option<String> {
    let has_failed = plan.others.failed > 0;
    let start = match form {
        Form::Objects(_) => return None,
        Form::Failures if !has_failed => return None,
        Form::Lines | Form::Failures => "reconcile:",
        Form::Log(stamp) => stamp,
    };
    let action = if has_failed { Action::Failed } else { Action::Skipped };
    let sum = sum(plan.others)?;
    Some(format!("{start} profiles action={} reason={}", action.word(), Sentence(&sum)))
}

/// Returns what the entries are that are only counted, if there are any.
pub fn sum(others: Others) -> Option<String> {
    let Others { skipped, failed } = others;
    let text = || format!("{skipped} more entries cannot have a slot, and {failed} were not inspected");
    (skipped + failed > 0).then(text)
}

/// Returns the line of an item, if it has one in this form.
fn line(plan: &Plan, item: &Item, form: Form<'_>) -> Option<String> {
    match form {
        Form::Failures if item.action() != Action::Failed => None,
        Form::Lines | Form::Failures => Some(format!("reconcile: {}", fields(plan, item))),
        Form::Log(stamp) => {
            let folded = match folded_into_root(plan, item) {
                None => "",
                // As Python prints a boolean.
                Some(true) => " folded_into_root=True",
                Some(false) => " folded_into_root=False",
            };
            Some(format!("{stamp} {} prior_exit={}{folded}", fields(plan, item), exit(item)))
        }
        Form::Objects(scandir) => Some(object(plan, item, scandir)),
    }
}

/// Returns `folded_into_root` of upstream's log: whether the profile wants to run and the gateway of `default` starts for it; of
/// `default`, whether it starts for others. `None` where each profile has a gateway of its own.
fn folded_into_root(plan: &Plan, item: &Item) -> Option<bool> {
    let is_root = item.slot_name().is_some_and(ProfileName::is_root);
    let is_folded = if is_root { plan.situation.default_is_needed } else { item.is_charge() };
    plan.topology.is_multiplex.then_some(is_folded)
}

fn prior_state(item: &Item) -> Option<&str> {
    item.profile.as_ref().and_then(|profile| profile.state.word())
}

fn exit(item: &Item) -> &'static str {
    item.profile.as_ref().map_or(PriorExit::Unknown, |profile| profile.exit).text()
}

/// Returns `profile=… prior_state=… action=…`, and the reason if there is one.
fn fields(plan: &Plan, item: &Item) -> String {
    let prior_state = match prior_state(item) {
        Some(word) => FromVolume(word.as_bytes()).to_string(),
        None => "None".to_owned(),
    };
    let reason = plan.reason(item).map(|reason| format!(" reason={}", Sentence(&reason)));
    let (name, action) = (FromVolume(&item.name), item.action().word());
    format!("profile={name} prior_state={prior_state} action={action}{}", reason.unwrap_or_default())
}

fn object(plan: &Plan, item: &Item, scandir: &Path) -> String {
    let slot = item.slot_name().map(|name| scandir.join(name.slot()).into_os_string().into_vec());
    let reason = plan.reason(item);
    let folded = folded_into_root(plan, item).map(|is_folded| ("folded_into_root", is_folded.into()));
    let members = [
        ("profile", Scalar::Text(&item.name)),
        ("prior_state", prior_state(item).map(str::as_bytes).into()),
        ("action", item.action().word().into()),
        ("reason", reason.as_deref().map(str::as_bytes).into()),
        ("changed", (item.outcome == Outcome::Changed).into()),
        ("slot", slot.as_deref().into()),
        ("prior_exit", exit(item).into()),
    ];
    json::object(members.into_iter().chain(folded))
}
