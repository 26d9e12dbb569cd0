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

/// Returns the lines about the entries that are only counted. They are no objects.
fn last(plan: &Plan, form: Form<'_>) -> impl Iterator<Item = String> {
    let action = if plan.others.failed > 0 { Action::Failed } else { Action::Skipped };
    let counted =
        [sum(plan.others).map(|sum| (action, sum)), plan.refused_unnamed().map(|sum| (Action::Failed, sum))];
    counted.into_iter().flatten().filter_map(move |(action, sum)| {
        let start = match form {
            Form::Objects(_) => return None,
            Form::Failures if action != Action::Failed => return None,
            Form::Lines | Form::Failures => "reconcile:",
            Form::Log(stamp) => stamp,
        };
        Some(format!("{start} profiles action={} reason={}", action.word(), Sentence(&sum)))
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::reconcile::decide::{
        Decision, Gateways, NoSlotReason, Profile, Situation, StartReason, State,
    };
    use crate::boot::reconcile::observed::NotProfiles;
    use crate::sys::Name;
    use crate::topology::signs::Topology;
    use crate::volume::state::{Key, RecordedState};

    fn item(name: &str, word: Option<&str>, decision: Decision) -> Item {
        let state = word.map_or(State::Absent, |word| {
            State::Recorded(RecordedState { word: word.to_owned(), key: Key::Desired })
        });
        let profile = ProfileName::parse(name.as_bytes()).ok();
        let profile = profile.map(|name| Profile { state, ..Profile::new(name) });
        Item::new(name.as_bytes(), profile, decision)
    }

    fn plan(items: Vec<Item>, is_multiplex: bool) -> Plan {
        let gateways = if is_multiplex { Gateways::OfDefault } else { Gateways::Own };
        Plan {
            items,
            without_slot: Vec::new(),
            refused: 0,
            refused_unnamed: 0,
            no_capacity: "no room".to_owned(),
            others: Others::default(),
            not_profiles: NotProfiles::default(),
            topology: Topology { is_multiplex, is_unknown: false, sign: None },
            situation: Situation { gateways, default_is_needed: is_multiplex, is_foreground: false },
            is_complete: true,
            threads: 1,
        }
    }

    fn text(plan: &Plan, form: Form<'_>) -> String {
        parts(plan, form).collect()
    }

    fn items() -> Vec<Item> {
        let unusable = Decision::NoSlot(NoSlotReason::Unusable("bad name".to_owned()));
        vec![
            item("default", None, Decision::Start(StartReason::Others)),
            item("coder", Some("running"), Decision::ServedByDefault { wants: true }),
            item("idle", Some("stopped"), Decision::ServedByDefault { wants: false }),
            item("Bad Name", None, unusable),
            item("own", Some("running"), Decision::Unknown("why".to_owned())),
            item("late", Some("running"), Decision::NoSlot(NoSlotReason::Capacity)),
        ]
    }

    #[test]
    fn lines_have_name_state_action_and_reason() {
        let lines = "reconcile: profile=default prior_state=None action=started\n\
            reconcile: profile=coder prior_state=running action=registered\n\
            reconcile: profile=idle prior_state=stopped action=registered\n\
            reconcile: profile=\"Bad\\u0020Name\" prior_state=None action=skipped reason=\"bad name\"\n\
            reconcile: profile=own prior_state=running action=failed reason=\"why\"\n\
            reconcile: profile=late prior_state=running action=failed reason=\"no room\"\n";
        let plan = plan(items(), false);
        assert_eq!(text(&plan, Form::Lines), lines);
        let failures: String = lines.split_inclusive('\n').filter(|line| line.contains("=failed")).collect();
        assert_eq!(text(&plan, Form::Failures), failures);
    }

    #[test]
    fn lines_of_the_log_have_the_exit_and_in_multiplex_who_is_folded() {
        for (is_multiplex, folded) in [(false, [""; 3]), (true, ["True", "True", "False"])] {
            let plan = plan(items(), is_multiplex);
            let log = text(&plan, Form::Log("T"));
            for (line, folded) in log.lines().zip(folded) {
                let folded = if is_multiplex { format!(" folded_into_root={folded}") } else { String::new() };
                assert!(line.starts_with("T profile="), "{line}");
                assert!(line.ends_with(&format!(" prior_exit=unknown{folded}")), "{line}");
            }
        }
    }

    #[test]
    fn objects_have_a_slot_where_the_profile_has_one() {
        let mut items = items();
        items.truncate(4);
        if let Some(coder) = items.get_mut(1) {
            coder.outcome = Outcome::Changed;
        }
        let objects = text(&plan(items, true), Form::Objects(Path::new("/run/service")));
        let lines: Vec<_> = objects.lines().collect();
        assert_eq!(
            lines.get(1),
            Some(
                &"{\"profile\": \"coder\", \"prior_state\": \"running\", \"action\": \"registered\", \"reason\": null, \
                  \"changed\": true, \"slot\": \"/run/service/gateway-coder\", \"prior_exit\": \"unknown\", \
                  \"folded_into_root\": true}"
            )
        );
        assert_eq!(
            lines.get(3),
            Some(
                &"{\"profile\": \"Bad Name\", \"prior_state\": null, \"action\": \"skipped\", \"reason\": \"bad name\", \
                  \"changed\": false, \"slot\": null, \"prior_exit\": \"unknown\", \"folded_into_root\": false}"
            )
        );
    }

    #[test]
    fn what_is_only_counted_is_the_last_line() {
        for (skipped, failed, word) in [(3, 0, "skipped"), (0, 2, "failed"), (3, 2, "failed")] {
            let plan = Plan { others: Others { skipped, failed }, ..plan(Vec::new(), false) };
            let reason =
                format!("{skipped} more entries cannot have a slot, and {failed} were not inspected");
            let line = format!("profiles action={word} reason=\"{reason}\"\n");
            assert_eq!(text(&plan, Form::Lines), format!("reconcile: {line}"));
            assert_eq!(text(&plan, Form::Log("T")), format!("T {line}"));
            assert_eq!(text(&plan, Form::Objects(Path::new("/"))), "");
            let is_shown = failed > 0;
            assert_eq!(text(&plan, Form::Failures).is_empty(), !is_shown);
        }
        assert_eq!(text(&plan(Vec::new(), false), Form::Lines), "");
    }

    #[test]
    fn profiles_without_room_that_are_not_named_are_counted_in_a_line() {
        let names: Vec<Name> = Name::new("late").into_iter().collect();
        let plan = Plan { without_slot: names, refused: 8, refused_unnamed: 7, ..plan(Vec::new(), false) };
        let reason = "reason=\"7 more profiles: no room\"\n";
        for (form, start) in
            [(Form::Lines, "reconcile:"), (Form::Failures, "reconcile:"), (Form::Log("T"), "T")]
        {
            let text = text(&plan, form);
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(text.ends_with(&format!("{start} profiles action=failed {reason}")), "{text}");
        }
        assert_eq!(text(&plan, Form::Objects(Path::new("/"))).lines().count(), 1);
    }

    #[test]
    fn profiles_without_room_come_last_and_a_report_comes_in_parts() {
        let names = (0..2000).filter_map(|number| Name::new(format!("p{number:04}")));
        let plan = Plan { without_slot: names.collect(), ..plan(items(), false) };
        let all: Vec<String> = parts(&plan, Form::Lines).collect();
        assert!(all.len() > 1 && all.iter().all(|part| part.ends_with('\n')));
        assert!(all.iter().rev().skip(1).all(|part| (PART..PART + 200).contains(&part.len())));
        let text = all.concat();
        assert_eq!(text.lines().count(), 2006);
        let last = "reconcile: profile=p1999 prior_state=None action=failed reason=\"no room\"";
        assert_eq!(text.lines().last(), Some(last));
    }
}
