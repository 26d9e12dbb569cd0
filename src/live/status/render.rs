//! The rows of `status` and `health` as text for people and as JSON for programs.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use super::row::{Forecast, NextBoot, Row, Shown, State, Subject};
use crate::output::escape::{FromVolume, Shortened};
use crate::output::json;
use crate::s6::ProfileName;
use crate::s6::deaths::Death;

/// A row with what is said of it.
pub struct Line<'a> {
    /// The row.
    pub row: &'a Row,
    /// Why its state does not count, or what its gateway will lack.
    pub reason: Option<&'a str>,
    /// The text of its note.
    pub note: Option<String>,
    /// That no s6-svscan runs on the scan directory, or that there is no room, if that would be needed to do something about the note.
    pub absence: Option<String>,
    /// When it last went up or down, in local time.
    pub since: Option<String>,
}

/// The headings of the table.
const HEADINGS: [&str; 7] = ["NAME", "KIND", "STATE", "PID", "SINCE", "NEXT BOOT", "LAST BOOT"];

/// Returns a time span, in seconds, as short as it is still of use.
fn short(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..100 => (seconds, 's'),
        100..6000 => (seconds / 60, 'm'),
        6000..172_800 => (seconds / 3600, 'h'),
        _ => (seconds / 86_400, 'd'),
    };
    format!("{number}{unit}")
}

/// Returns the name in the text for people. One that no profile can have is shortened: it may be 255 control characters.
fn name(row: &Row) -> String {
    match ProfileName::parse(&row.name) {
        Ok(_) => FromVolume(&row.name).to_string(),
        Err(_) => Shortened(&row.name).to_string(),
    }
}

fn kind(row: &Row) -> &'static str {
    if row.is_service() { "service" } else { "gateway" }
}

fn last_boot(row: &Row) -> Option<String> {
    row.last_boot.as_ref().map(|boot| format!("{} {}", boot.action, boot.time))
}

/// Returns the cells of a row; an empty one is not known.
fn cells(row: &Row) -> [String; 7] {
    let state = row.state();
    [
        name(row),
        kind(row).to_owned(),
        row.shown().text().to_owned(),
        state.and_then(|state| state.process.pid()).map(|pid| pid.to_string()).unwrap_or_default(),
        state.and_then(|state| state.age).map(short).unwrap_or_default(),
        row.next_boot().map_or("", NextBoot::text).to_owned(),
        last_boot(row).unwrap_or_default(),
    ]
}

/// Returns aligned columns, the notes, and the totals.
pub fn table(lines: &[Line<'_>]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(lines.iter().map(|line| cells(line.row)));
    let widths: [usize; 7] = std::array::from_fn(|column| {
        rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(1)
    });
    let mut text: String = rows.iter().map(|row| aligned(row, &widths)).collect();
    let notes = notes(lines);
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    if !lines.is_empty() {
        text.push_str(&totals(lines));
    }
    text
}

fn aligned(row: &[String; 7], widths: &[usize; 7]) -> String {
    let cell = |(cell, width): (&String, &usize)| {
        let cell = if cell.is_empty() { "-" } else { cell };
        format!("{cell:width$}  ")
    };
    let line: String = row.iter().zip(widths).map(cell).collect();
    format!("{}\n", line.trim_end_matches(' '))
}

fn totals(lines: &[Line<'_>]) -> String {
    let count = |shown: Shown| {
        let count = lines.iter().filter(|line| !line.row.is_service() && line.row.shown() == shown).count();
        (count > 0).then(|| format!(" {count} {}", shown.text()))
    };
    let counts: Vec<_> = Shown::ALL.into_iter().filter_map(count).collect();
    if counts.is_empty() { String::new() } else { format!("\ngateways:{}\n", counts.join(",")) }
}

/// Largest number of services that a line names.
const NAMED: usize = 8;

/// Returns a line for each note. What concerns several rows is said once.
pub fn notes(lines: &[Line<'_>]) -> String {
    let mut concerned: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for line in lines {
        if let Some(reason) = line.reason.filter(|_| is_refused(line.row)) {
            concerned.entry(reason).or_default().push(line.row);
        }
    }
    let absence = lines.iter().find_map(|line| line.absence.as_ref());
    let mut said: Vec<_> = absence.map(|absence| format!("{absence}\n")).into_iter().collect();
    for line in lines {
        if let Some(reason) = line.reason {
            let rows = if is_refused(line.row) { concerned.remove(reason) } else { Some(vec![line.row]) };
            said.extend(rows.map(|rows| format!("{}: {reason}\n", names(&rows))));
        }
        if let Some(note) = &line.note {
            said.push(format!("{}: {note}\n", name(line.row)));
        }
    }
    said.concat()
}

/// Returns whether the reason of a row is what the hermes user is refused, which may be the same for others.
fn is_refused(row: &Row) -> bool {
    matches!(&row.subject, Subject::Profile(Forecast { is_refused: true, .. }))
}

/// Returns the names of rows, at most eight, and how many more there are.
fn names(rows: &[&Row]) -> String {
    let named: Vec<_> = rows.iter().take(NAMED).map(|row| name(row)).collect();
    let more = rows.len() - named.len();
    let named = named.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

/// Returns one JSON object a line.
pub fn objects(lines: &[Line<'_>]) -> String {
    lines.iter().map(object).collect()
}

fn object(line: &Line<'_>) -> String {
    let row = line.row;
    let state = row.state();
    let death = state.and_then(State::last_death);
    let of_death = |wanted: fn(&Death) -> Option<u8>| death.as_ref().and_then(wanted).map(u64::from);
    let recent = state.and_then(|state| state.deaths.as_ref().ok()).map_or(0, |deaths| deaths.recent);
    let name = Some(row.name.as_slice()).filter(|name| !row.is_service() && !name.is_empty());
    let next_boot = row.next_boot().map(NextBoot::text).filter(|text| !text.is_empty());
    let last_boot = last_boot(row);
    let notes = [line.reason, line.note.as_deref(), line.absence.as_deref()];
    let notes: Vec<_> = notes.into_iter().flatten().collect();
    let note = (!notes.is_empty()).then(|| notes.join("; "));
    let members = [
        ("profile", name.into()),
        ("kind", kind(row).into()),
        ("slot", row.directory.as_ref().map(|directory| directory.as_os_str().as_bytes()).into()),
        ("state", row.shown().text().into()),
        ("pid", state.and_then(|state| state.process.pid()).into()),
        ("ready", state.map(State::is_ready).into()),
        ("exit_code", of_death(|death| (death.signal == 0).then_some(death.code)).into()),
        ("signal", of_death(|death| (death.signal != 0).then_some(death.signal)).into()),
        ("deaths", recent.into()),
        ("since", line.since.as_deref().into()),
        ("wanted", next_boot.into()),
        ("last_boot", last_boot.as_deref().into()),
        ("note", note.as_deref().into()),
    ];
    json::object(members) + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::model::{rows, up, wanted};
    use super::super::row::{Deaths, Missing, Pass, Subject, Supervision};
    use super::*;
    use crate::s6::status::Process;

    fn row(name: &str, subject: Subject, supervision: Supervision) -> Row {
        let directory = (!matches!(supervision, Supervision::NoSlot(_))).then(|| "/run/service/x".into());
        Row {
            name: name.into(),
            subject,
            directory,
            supervision,
            serving: None,
            last_boot: None,
            last_pass: None,
        }
    }

    fn sample() -> [Row; 3] {
        let last = Some(Death { time: 0, code: 78, signal: 0 });
        let down = State { process: Process::Down, deaths: Ok(Deaths { last, ..Deaths::default() }), ..up() };
        let coder = Row {
            last_boot: Some(Pass { action: "started".to_owned(), time: "T".to_owned() }),
            ..row("coder", Subject::Profile(wanted()), Supervision::Supervised(down))
        };
        [
            coder,
            row("new", Subject::Profile(wanted()), Supervision::NoSlot(Missing::New)),
            row("dashboard", Subject::Service, Supervision::Supervised(up())),
        ]
    }

    fn lines(rows: &[Row]) -> Vec<Line<'_>> {
        let line = |row| Line {
            row,
            reason: None,
            note: Some("why".to_owned()),
            absence: None,
            since: Some("T".to_owned()),
        };
        rows.iter().map(line).collect()
    }

    #[test]
    fn a_table_has_columns_notes_and_totals_of_gateways() {
        let rows = sample();
        let mut lines = lines(&rows);
        if let Some(line) = lines.last_mut() {
            line.note = None;
        }
        assert_eq!(
            table(&lines),
            "NAME       KIND     STATE    PID  SINCE  NEXT BOOT  LAST BOOT\n\
             coder      gateway  down     -    60m    up         started T\n\
             new        gateway  no slot  -    -      up         -\n\
             dashboard  service  up       7    60m    -          -\n\
             \ncoder: why\nnew: why\n\
             \ngateways: 1 down, 1 no slot\n"
        );
        assert_eq!(table(&[]), "NAME  KIND  STATE  PID  SINCE  NEXT BOOT  LAST BOOT\n");
        let services: Vec<_> = lines.into_iter().filter(|line| line.row.is_service()).collect();
        assert!(!table(&services).contains("gateways"));
    }

    #[test]
    fn a_name_that_no_profile_can_have_is_short_and_no_other_ones() {
        let longest = "x".repeat(215);
        for (given, shown) in [
            ("coder", "coder".to_owned()),
            (&longest, format!("\"{longest}\"")),
            ("My Profile", r#""My\u0020Profile""#.to_owned()),
            (&"x".repeat(216), format!("\"{}\"...", "x".repeat(59))),
            (&"\u{1}".repeat(255), format!("\"{}\"...", r"\u0001".repeat(9))),
        ] {
            let row = row(given, Subject::Profile(wanted()), Supervision::NoSlot(Missing::New));
            assert_eq!(name(&row), shown);
        }
    }

    #[test]
    fn what_concerns_several_is_said_once_and_hides_nothing() {
        let up = || Supervision::Supervised(up());
        // What is wrong with its own file concerns each alone, also where the words are the same.
        let forecast = |n: usize| Subject::Profile(Forecast { is_refused: n < 11, ..wanted() });
        let rows: Vec<_> = (0..13).map(|n| row(&format!("p{n:02}"), forecast(n), up())).collect();
        let note = |text: &str| Some(text.to_owned());
        let said = |n: usize| match n {
            0 => (None, note("own"), None),
            1 => (Some("alone"), None, note("no s6-svscan")),
            3 => (Some("closed"), note("failed"), note("no s6-svscan")),
            11.. => (Some("not JSON"), None, None),
            _ => (Some("closed"), None, None),
        };
        let line = |(n, row)| {
            let (reason, note, absence) = said(n);
            Line { row, reason, note, absence, since: None }
        };
        let lines: Vec<_> = rows.iter().enumerate().map(line).collect();
        let names = "p02, p03, p04, p05, p06, p07, p08, p09 and 1 more";
        let expected = format!(
            "no s6-svscan\np00: own\np01: alone\n{names}: closed\np03: failed\np11: not JSON\np12: not JSON\n"
        );
        assert_eq!(notes(&lines), expected);
        // An object has all that concerns it.
        let notes: Vec<_> = lines.iter().take(4).map(object).collect();
        for (object, note) in
            notes.iter().zip(["own", "alone; no s6-svscan", "closed", "closed; failed; no s6-svscan"])
        {
            assert!(object.ends_with(&format!("\"note\": \"{note}\"}}\n")), "{object}");
        }
    }

    #[test]
    fn an_object_has_what_is_known_and_null_for_the_rest() {
        let [coder, new, dashboard] = sample();
        let rows = [coder, new, dashboard];
        let lines: Vec<_> = rows
            .iter()
            .map(|row| Line { row, reason: None, note: None, absence: None, since: None })
            .collect();
        let text = objects(&lines);
        let objects: Vec<_> = text.lines().collect();
        assert_eq!(
            objects,
            [
                "{\"profile\": \"coder\", \"kind\": \"gateway\", \"slot\": \"/run/service/x\", \"state\": \"down\", \"pid\": null, \
                  \"ready\": false, \"exit_code\": 78, \"signal\": null, \"deaths\": 0, \"since\": null, \"wanted\": \"up\", \
                  \"last_boot\": \"started T\", \"note\": null}",
                "{\"profile\": \"new\", \"kind\": \"gateway\", \"slot\": null, \"state\": \"no slot\", \"pid\": null, \"ready\": null, \
                  \"exit_code\": null, \"signal\": null, \"deaths\": 0, \"since\": null, \"wanted\": \"up\", \"last_boot\": null, \
                  \"note\": null}",
                "{\"profile\": null, \"kind\": \"service\", \"slot\": \"/run/service/x\", \"state\": \"up\", \"pid\": 7, \"ready\": false, \
                  \"exit_code\": null, \"signal\": null, \"deaths\": 0, \"since\": null, \"wanted\": null, \"last_boot\": null, \
                  \"note\": null}",
            ]
        );
    }

    #[test]
    fn table_and_object_agree_about_every_row() {
        for row in rows() {
            let cells = cells(&row);
            let [_, kind, state, pid, _, next_boot, last_boot] = &cells;
            let object = object(&Line { row: &row, reason: None, note: None, absence: None, since: None });
            let text = |key: &str, value: &str| match value {
                "" => format!("\"{key}\": null"),
                value => format!("\"{key}\": \"{value}\""),
            };
            for (key, value) in
                [("kind", kind), ("state", state), ("wanted", next_boot), ("last_boot", last_boot)]
            {
                assert!(object.contains(&text(key, value)), "{key} {value} {object}");
            }
            assert!(object.contains(&text("pid", pid).replace(&format!("\"{pid}\""), pid)), "{object}");
        }
    }

    #[test]
    fn a_time_span_has_two_digits_or_more_of_the_largest_unit() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "60s"),
            (99, "99s"),
            (100, "1m"),
            (119, "1m"),
            (120, "2m"),
            (5999, "99m"),
            (6000, "1h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            assert_eq!(short(seconds), text);
        }
    }
}
