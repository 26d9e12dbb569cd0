//! /etc/passwd and /etc/group, read as text: a static executable has no NSS, and a container's users are in these files.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::number::decimal;
use super::{Errno, Ids, Reason, file};

/// Path of the user database.
pub const PASSWD: &str = "/etc/passwd";
/// Path of the group database.
pub const GROUP: &str = "/etc/group";
/// Largest of these files that is read, in bytes.
const CAP: u64 = 16 << 20;

/// An entry of /etc/passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: Vec<u8>,
    /// User and primary group.
    pub ids: Ids,
    /// Home directory as in the entry; may be empty.
    pub home: PathBuf,
}

/// Returns the fields of each line.
fn entries(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':').collect())
}

/// Parses a user's or a group's number, 0 to 4294967294.
pub fn number(field: &[u8]) -> Option<u32> {
    // The highest number means "leave it" to chown(2) and setresuid(2), so it is no id.
    decimal(field).and_then(|value| u32::try_from(value).ok()).filter(|id| *id != u32::MAX)
}

/// Returns the users in a passwd(5) text. Skips malformed lines.
pub fn users(passwd: &[u8]) -> impl Iterator<Item = User> {
    entries(passwd).filter_map(|fields| match *fields.as_slice() {
        [name, _, uid, gid, _, home, ..] if !name.is_empty() => Some(User {
            name: name.to_vec(),
            ids: Ids { uid: number(uid)?, gid: number(gid)? },
            home: OsStr::from_bytes(home).into(),
        }),
        _ => None,
    })
}

/// Returns the number of a group in a group(5) text.
pub fn find_group(group: &[u8], name: &[u8]) -> Option<u32> {
    entries(group).find_map(|fields| match *fields.as_slice() {
        [entry, _, gid, ..] if entry == name => number(gid),
        _ => None,
    })
}

/// Returns the groups of a user as initgroups(3) does: its primary group and those of a group(5) text that list it, each once.
pub fn groups_of(group: &[u8], user: &User) -> Vec<u32> {
    let listed = entries(group).filter_map(|fields| match *fields.as_slice() {
        [_, _, gid, members, ..] if members.split(|byte| *byte == b',').any(|name| name == user.name) => {
            number(gid)
        }
        _ => None,
    });
    let mut seen = BTreeSet::new();
    [user.ids.gid].into_iter().chain(listed).filter(|gid| seen.insert(*gid)).collect()
}

/// Reads one of the two databases. A missing file is empty; one that cannot be read is an error.
pub fn read(path: &str) -> Result<Vec<u8>, Reason> {
    match file::read_system(Path::new(path), CAP) {
        Err(Reason::Errno(Errno::NOENT)) => Ok(Vec::new()),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n#hermes:x:1:1::/:\nhermes:x\nhermes:x:-1:2:::\n\
        hermes:x:4294967295:3::/no:\nhermes:x:1001:1002:Hermes:/opt/data:/bin/sh\nhermes:x:7:7::/late:\n";

    #[test]
    fn the_first_whole_entry_counts() {
        let user = users(PASSWD).find(|user| user.name == b"hermes");
        let ids = Ids { uid: 1001, gid: 1002 };
        assert_eq!(user, Some(User { name: b"hermes".to_vec(), ids, home: "/opt/data".into() }));
        let names: Vec<_> = users(PASSWD).map(|user| (user.name, user.ids.uid)).collect();
        let user = |name: &str, uid| (name.as_bytes().to_vec(), uid);
        assert_eq!(names, [user("root", 0), user("#hermes", 1), user("hermes", 1001), user("hermes", 7)]);
        assert_eq!(users(b"").next(), None);
    }

    #[test]
    fn groups_are_the_primary_one_and_the_listed_ones() {
        let ids = Ids { uid: 1, gid: 1002 };
        let user = User { name: b"hermes".to_vec(), ids, home: PathBuf::new() };
        let group = b"root:x:0:\ndocker:x:998:a,hermes\nhermes:x:1002:hermes\nhermesx:x:5:xhermes,hermes2\nbad:x::hermes\n\
            video:x:44:hermes\ndocker2:x:998:hermes";
        assert_eq!(groups_of(group, &user), [1002, 998, 44]);
        assert_eq!(find_group(group, b"video"), Some(44));
        assert_eq!(find_group(group, b"bad"), None);
    }
}
