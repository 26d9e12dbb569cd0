//! The rows of `status` as a table for people and as JSON for programs.

use std::fmt::Write;

use super::Row;
use crate::show::{FromVolume, OrNull, Quoted};

const COLUMNS: usize = 8;
const HEADINGS: [&str; COLUMNS] =
    ["PROFILE", "SLOT", "STATE", "PID", "SINCE", "NEXT BOOT", "LAST BOOT", "NOTE"];

/// Returns the cells of a row; an empty one is not known.
fn cells(row: &Row) -> [String; COLUMNS] {
    let slot = row.slot.as_ref().and_then(|slot| slot.rsplit(|byte| *byte == b'/').next());
    [
        FromVolume(&row.profile).to_string(),
        slot.map(|slot| FromVolume(slot).to_string()).unwrap_or_default(),
        row.state.to_owned(),
        row.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        row.since.clone().unwrap_or_default(),
        row.wanted.unwrap_or_default().to_owned(),
        String::from_utf8_lossy(row.last_boot.as_deref().unwrap_or_default()).into_owned(),
        row.note.clone().unwrap_or_default(),
    ]
}

/// Returns aligned columns.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [1; COLUMNS];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut padded = String::new();
        for (at, (cell, width)) in line.iter().zip(widths).enumerate() {
            let is_last = at + 1 == COLUMNS;
            let cell = if cell.is_empty() && !is_last { "-" } else { cell };
            // Writing to a String cannot fail.
            let _ = if is_last { write!(padded, "{cell}") } else { write!(padded, "{cell:width$}  ") };
        }
        text.push_str(padded.trim_end_matches(' '));
        text.push('\n');
    }
    text
}

/// Returns one JSON object a line.
pub fn objects(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{{\"profile\": {}, \"slot\": {}",
            Quoted(&row.profile),
            OrNull(row.slot.as_deref())
        );
        let pid = row.pid.map_or_else(|| "null".to_owned(), |pid| pid.to_string());
        let _ = write!(text, ", \"state\": \"{}\", \"pid\": {pid}", row.state);
        for (key, value) in [
            ("since", row.since.as_deref().map(str::as_bytes)),
            ("wanted", row.wanted.map(str::as_bytes)),
            ("last_boot", row.last_boot.as_deref()),
            ("note", row.note.as_deref().map(str::as_bytes)),
        ] {
            let _ = write!(text, ", \"{key}\": {}", OrNull(value));
        }
        text.push_str("}\n");
    }
    text
}
