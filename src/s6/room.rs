//! The room on the file system of the scan directory, in most containers a tmpfs, which may have limits. A slot takes some of it, and so
//! do its supervisors when they start: one that finds none fails for ever.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::scandir;
use crate::output::escape::Shown;
use crate::sys::space::{self, FileSystem, Space};
use crate::sys::{Dir, Errno, Name};

/// What something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Need {
    inodes: u64,
    /// Files that are not empty are smaller than a block.
    blocks: u64,
}

/// A slot with a file `down`, and without variables.
const SLOT: Need = Need { inodes: 15, blocks: 4 };
/// The files that a supervisor makes when it starts, in `supervise`. A slot and its logger have one each.
const FILES: [&CStr; 6] = [
    c"supervise/lock",
    c"supervise/status",
    c"supervise/death_tally",
    c"log/supervise/lock",
    c"log/supervise/status",
    c"log/supervise/death_tally",
];
/// One of these files.
const FILE: Need = Need { inodes: 1, blocks: 1 };
/// Number of slots for which a look at the slots that are there is not worth it.
const PLENTY: u64 = 4096;

impl Need {
    fn times(self, number: u64) -> Need {
        Need { inodes: self.inodes.saturating_mul(number), blocks: self.blocks.saturating_mul(number) }
    }

    fn and(self, other: Need) -> Need {
        Need {
            inodes: self.inodes.saturating_add(other.inodes),
            blocks: self.blocks.saturating_add(other.blocks),
        }
    }
}

/// A slot and its supervisors.
const WHOLE: Need = Need { inodes: SLOT.inodes + 6, blocks: SLOT.blocks + 6 };

/// The room for slots.
#[derive(Debug)]
pub struct Room {
    space: Space,
    /// What is kept for supervisors of slots that are there, and that have not started.
    kept: Need,
}

impl Room {
    /// Looks at the room of a scan directory with these slots. Room for `spare` further slots is kept free.
    pub fn look(scandir: &Dir, slots: &[Name], spare: u64) -> Result<Room, Errno> {
        let mut room = Room { space: space::of(scandir)?, kept: WHOLE.times(spare) };
        if room.slots() < PLENTY {
            let missing: usize = slots.iter().map(|slot| missing(scandir, slot)).sum();
            room.kept = room.kept.and(FILE.times(missing as u64));
        }
        Ok(room)
    }

    /// Returns the number of slots for which there is room.
    pub fn slots(&self) -> u64 {
        let fits = |left: Option<u64>, kept: u64, one: u64| {
            left.map_or(u64::MAX, |left| left.saturating_sub(kept) / one)
        };
        fits(self.space.inodes, self.kept.inodes, WHOLE.inodes).min(fits(
            self.space.blocks,
            self.kept.blocks,
            WHOLE.blocks,
        ))
    }

    /// Returns what is said of `number` slots for which there is no room; `None` if there is. `path` is that of the scan directory.
    pub fn lack(&self, path: &Path, number: u64) -> Option<String> {
        let need = WHOLE.times(number).and(self.kept);
        // A supervisor that starts makes a file before it removes another one.
        let enough = need.and(WHOLE);
        let Space { inodes, blocks, all_inodes, all_blocks, block, kind, .. } = self.space;
        let mut lack = Vec::new();
        if let Some(left) = inodes.filter(|left| *left < need.inodes) {
            let more = enough.inodes - left;
            let (left, needed) = (format!("{left} inodes"), need.inodes.to_string());
            lack.push((left, needed, format!("nr_inodes={}", all_inodes.saturating_add(more))));
        }
        if let Some(left) = blocks.filter(|left| *left < need.blocks) {
            let more = enough.blocks - left;
            let kib = |blocks: u64| blocks.saturating_mul(block).div_ceil(1024);
            let (left, needed) = (format!("{} KiB", kib(left)), format!("{} KiB", kib(need.blocks)));
            lack.push((left, needed, format!("size={}k", kib(all_blocks.saturating_add(more)))));
        }
        if lack.is_empty() {
            return None;
        }
        let all = |part: fn(&(String, String, String)) -> &str, between: &str| {
            lack.iter().map(part).collect::<Vec<_>>().join(between)
        };
        let (left, needed) = (all(|lack| &lack.0, " and "), all(|lack| &lack.1, " and "));
        let path = Shown(path.as_os_str().as_bytes());
        let advice = if kind == FileSystem::Tmpfs {
            format!("mount it with {} or more", all(|lack| &lack.2, ","))
        } else {
            "make room there".to_owned()
        };
        let inodes = WHOLE.inodes;
        Some(format!(
            "no room: the file system of {path} has {left} left, and {needed} are needed (a slot and its supervisors take {inodes} inodes): {advice}"
        ))
    }
}

/// Returns what is said if there is no room for the supervisors of the slots that are there and `number` further slots. `path` is that of
/// the scan directory. That nothing is known of the room is no lack of it.
pub fn lack(scandir: &Dir, path: &Path, number: u64) -> Option<String> {
    let slots = scandir::list(scandir).ok()?.slots;
    Room::look(scandir, &slots, 0).ok()?.lack(path, number)
}

/// Returns the number of files that the supervisors of a slot still have to make.
fn missing(scandir: &Dir, slot: &Name) -> usize {
    let Ok(slot) = scandir.open_path(slot) else { return 0 };
    FILES.iter().filter(|path| slot.meta_at(path) == Err(Errno::NOENT)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(inodes: Option<u64>, blocks: Option<u64>, kept: Need) -> Room {
        let kind = FileSystem::Tmpfs;
        let space =
            Space { inodes, blocks, all_inodes: 1000, all_blocks: 800, block: 4096, is_full: false, kind };
        Room { space, kept }
    }

    const NOTHING: Need = Need { inodes: 0, blocks: 0 };

    #[test]
    fn the_scarcer_of_both_decides_and_what_has_no_limit_does_not() {
        for (inodes, blocks, kept, slots) in [
            (Some(21), Some(10), NOTHING, 1),
            (Some(20), Some(10), NOTHING, 0),
            (Some(21), Some(9), NOTHING, 0),
            (Some(210), Some(30), NOTHING, 3),
            (Some(210), None, NOTHING, 10),
            (None, Some(30), NOTHING, 3),
            (None, None, NOTHING, u64::MAX),
            (Some(63), None, WHOLE.times(2), 1),
            (Some(68), None, WHOLE.times(2).and(FILE.times(6)), 0),
            (Some(69), None, WHOLE.times(2).and(FILE.times(6)), 1),
            (Some(0), Some(0), WHOLE, 0),
        ] {
            let room = room(inodes, blocks, kept);
            assert_eq!(room.slots(), slots, "{inodes:?} {blocks:?} {kept:?}");
            let some = slots.clamp(1, 1000);
            assert_eq!(room.lack(Path::new("/run/service"), some).is_none(), slots > 0);
        }
    }

    #[test]
    fn what_is_lacking_is_named_with_what_would_be_enough() {
        let said =
            |inodes, blocks| room(Some(inodes), Some(blocks), WHOLE).lack(Path::new("/run/service"), 2);
        let text = |left: &str, needed: &str, enough: &str| {
            Some(format!(
                "no room: the file system of /run/service has {left} left, and {needed} are needed \
                 (a slot and its supervisors take 21 inodes): mount it with {enough} or more"
            ))
        };
        assert_eq!(said(63, 30), None);
        assert_eq!(said(40, 30), text("40 inodes", "63", "nr_inodes=1044"));
        assert_eq!(said(63, 10), text("40 KiB", "120 KiB", "size=3320k"));
        assert_eq!(said(0, 0), text("0 inodes and 0 KiB", "63 and 120 KiB", "nr_inodes=1084,size=3360k"));
    }
}
