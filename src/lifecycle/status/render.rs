//! The rows of `status` as a table for people and as JSON for programs.

use std::fmt::Write;

use super::Row;
use crate::show::{FromVolume, OrNull, Quoted};

const COLUMNS: usize = 8;

/// Returns the cells of a row with tabs between; an empty one is not known. What is from outside is escaped, and has no tab.
fn cells(row: &Row) -> String {
    let slot = row.slot.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let slot = if slot.is_empty() { String::new() } else { FromVolume(slot).to_string() };
    format!(
        "{}\t{slot}\t{}\t{}\t{}\t{}\t{}\t{}",
        FromVolume(&row.profile),
        row.state,
        row.pid,
        row.since,
        row.wanted,
        row.last_boot,
        row.note
    )
}

/// Returns aligned columns.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec!["PROFILE\tSLOT\tSTATE\tPID\tSINCE\tNEXT BOOT\tLAST BOOT\tNOTE".to_owned()];
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
            let is_last = at + 1 == COLUMNS;
            let cell = if cell.is_empty() && !is_last { "-" } else { cell };
            let width = widths.get(at).copied().unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = write!(text, "{cell:width$}  ");
        }
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
    }
    text
}

/// Returns one JSON object a line.
pub fn objects(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let pid = if row.pid.is_empty() { "null" } else { &row.pid };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{{\"profile\": {}, \"slot\": {}, \"state\": \"{}\", \"pid\": {pid}",
            Quoted(&row.profile),
            or_null(&row.slot),
            row.state
        );
        for (key, value) in [
            ("since", &*row.since),
            ("wanted", row.wanted),
            ("last_boot", &row.last_boot),
            ("note", &row.note),
        ] {
            let _ = write!(text, ", \"{key}\": {}", or_null(value.as_bytes()));
        }
        text.push_str("}\n");
    }
    text
}

fn or_null(value: &[u8]) -> OrNull<'_> {
    OrNull(Some(value).filter(|value| !value.is_empty()))
}
