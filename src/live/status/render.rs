//! The rows of `status` and `health` as text for people and as JSON for programs.

use std::fmt::Write;

use super::row::{Row, STATES};
use crate::output::escape::{FromVolume, Quoted};

const COLUMNS: usize = 7;

/// Returns a time span as short as it is still of use.
fn short(row: &Row) -> String {
    let (number, unit) = match row.age {
        _ if row.since.is_empty() => return String::new(),
        seconds @ 0..100 => (seconds, 's'),
        seconds @ 100..6000 => (seconds / 60, 'm'),
        seconds @ 6000..172_800 => (seconds / 3600, 'h'),
        seconds => (seconds / 86_400, 'd'),
    };
    format!("{number}{unit}")
}

/// Returns the cells of a row with tabs between; an empty one is not known. What is from outside is escaped, and has no tab.
fn cells(row: &Row) -> String {
    let (name, kind, age) = (FromVolume(&row.name), kind(row), short(row));
    let Row { state, pid, wanted, last_boot, .. } = row;
    format!("{name}\t{kind}\t{state}\t{pid}\t{age}\t{wanted}\t{last_boot}")
}

fn kind(row: &Row) -> &'static str {
    if row.is_static { "service" } else { "gateway" }
}

/// Returns aligned columns, the notes, and the totals.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec!["NAME\tKIND\tSTATE\tPID\tSINCE\tNEXT BOOT\tLAST BOOT".to_owned()];
    for row in rows {
        lines.push(cells(row));
    }
    let mut widths = [1; COLUMNS];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line.split('\t')) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        for (at, cell) in line.split('\t').enumerate() {
            let cell = if cell.is_empty() { "-" } else { cell };
            let width = widths.get(at).copied().unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = write!(text, "{cell:width$}  ");
        }
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
    }
    let notes = notes(rows);
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    if rows.is_empty() {
        return text;
    }
    text.push_str("\ngateways:");
    for state in STATES {
        let count = rows.iter().filter(|row| !row.is_static && row.state == state).count();
        if count > 0 {
            let _ = write!(text, " {count} {state},");
        }
    }
    text.pop();
    text.push('\n');
    text
}

/// Returns a line for each row that has a note.
pub fn notes(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        if !row.note.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}: {}", FromVolume(&row.name), row.note);
        }
    }
    text
}

/// Returns one JSON object a line.
pub fn objects(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let (mut code, mut signal) = (String::new(), String::new());
        if let Some(death) = &row.death {
            if death.signal == 0 {
                code = death.code.to_string();
            } else {
                signal = death.signal.to_string();
            }
        }
        let deaths = row.deaths.to_string();
        let profile = if row.is_static { &[][..] } else { &row.name };
        let mut start = "{";
        for (key, value, is_text) in [
            ("profile", profile, true),
            ("kind", kind(row).as_bytes(), true),
            ("slot", &row.slot, true),
            ("state", row.state.as_bytes(), true),
            ("pid", row.pid.as_bytes(), false),
            ("ready", row.ready.as_bytes(), false),
            ("exit_code", code.as_bytes(), false),
            ("signal", signal.as_bytes(), false),
            ("deaths", deaths.as_bytes(), false),
            ("since", row.since.as_bytes(), true),
            ("wanted", row.wanted.as_bytes(), true),
            ("last_boot", row.last_boot.as_bytes(), true),
            ("note", row.note.as_bytes(), true),
        ] {
            // Writing to a String cannot fail.
            let _ = write!(text, "{start}\"{key}\": ");
            let _ = match value {
                [] => write!(text, "null"),
                _ if is_text => write!(text, "{}", Quoted(value)),
                // A number or a bool.
                _ => write!(text, "{}", FromVolume(value)),
            };
            start = ", ";
        }
        text.push_str("}\n");
    }
    text
}
