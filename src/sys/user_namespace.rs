//! The user namespace of this process: which owners of files it does not map. The kernel shows such an owner as another user's number, and
//! lets nobody in the namespace change what he owns, whatever capabilities root has.

use std::path::Path;

use super::number::decimal;
use super::{Ids, file, users};

/// The users and groups that this process's namespace maps.
const MAPS: [&str; 2] = ["/proc/self/uid_map", "/proc/self/gid_map"];
/// The numbers that the kernel shows for a user and a group that are not mapped.
const OVERFLOW: [&str; 2] = ["/proc/sys/kernel/overflowuid", "/proc/sys/kernel/overflowgid"];
/// The same where the kernel does not tell.
const NOBODY: u32 = 65_534;
/// Largest of these files that is read, in bytes: a map has at most 340 lines.
const CAP: u64 = 64 << 10;
/// Number of ids that there are.
const ALL: u64 = u32::MAX as u64;

/// Whether an owner of a file is one whom the namespace does not map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// He is mapped.
    Mapped,
    /// He is not.
    Unmapped,
    /// The namespace maps part of all users, and he has the number that is shown for the others.
    Ambiguous,
}

/// Returns whether a file's owner and group are mapped. Where /proc does not tell, they count as mapped.
pub fn owner(ids: Ids) -> Owner {
    let of = |[map, overflow]: [&str; 2], id| {
        let shown = read(overflow).and_then(|text| users::number(text.trim_ascii())).unwrap_or(NOBODY);
        if id == shown { read(map).map_or(Owner::Mapped, |map| of_map(&map, id)) } else { Owner::Mapped }
    };
    match (of([MAPS[0], OVERFLOW[0]], ids.uid), of([MAPS[1], OVERFLOW[1]], ids.gid)) {
        // A group of this number may be one that files are given on purpose.
        (Owner::Mapped, Owner::Unmapped) => Owner::Unmapped,
        (user, _) => user,
    }
}

/// Returns whether the namespace maps a user.
pub fn maps_user(uid: u32) -> bool {
    read(MAPS[0]).is_none_or(|map| ranges(&map).any(|range| range.has(uid)))
}

/// Returns whether there are users whom the namespace does not map.
pub fn is_partial() -> bool {
    read(MAPS[0]).is_some_and(|map| !is_whole(&map))
}

fn read(path: &str) -> Option<Vec<u8>> {
    file::read_system(Path::new(path), CAP).ok()
}

/// A line of a map: the ids of the namespace, without those outside.
struct Range {
    first: u64,
    count: u64,
}

impl Range {
    fn has(&self, id: u32) -> bool {
        u64::from(id).checked_sub(self.first).is_some_and(|offset| offset < self.count)
    }
}

fn ranges(map: &[u8]) -> impl Iterator<Item = Range> {
    map.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).map(decimal);
        let (first, _, count) = (fields.next()??, fields.next()??, fields.next()??);
        Some(Range { first, count })
    })
}

fn is_whole(map: &[u8]) -> bool {
    ranges(map).map(|range| range.count).sum::<u64>() >= ALL
}

/// Returns whether the user or group with the number that is shown for the unmapped ones is mapped.
fn of_map(map: &[u8], id: u32) -> Owner {
    if is_whole(map) {
        Owner::Mapped
    } else if ranges(map).any(|range| range.has(id)) {
        Owner::Ambiguous
    } else {
        Owner::Unmapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_unmapped_if_the_map_does_not_have_his_number() {
        for (map, expected) in [
            ("         0          0 4294967295\n", Owner::Mapped),
            ("0 1000 1\n", Owner::Unmapped),
            ("0 100000 65534\n", Owner::Unmapped),
            // As podman without root has it.
            ("0 1000 1\n1 100000 65536\n", Owner::Ambiguous),
            ("0 1 1000\n1000 0 1\n1001 1001 64536\n", Owner::Ambiguous),
            ("0 0 65534\n65535 65535 4294901760\n", Owner::Unmapped),
            ("", Owner::Unmapped),
        ] {
            assert_eq!(of_map(map.as_bytes(), NOBODY), expected, "{map}");
        }
    }

    #[test]
    fn a_range_has_as_many_ids_as_it_says() {
        let map = b"0 1000 1\n10 100000 5\n";
        let has = |id| ranges(map).any(|range| range.has(id));
        for (id, expected) in [(0, true), (1, false), (9, false), (10, true), (14, true), (15, false)] {
            assert_eq!(has(id), expected, "{id}");
        }
    }
}
