//! /etc/passwd and /etc/group, read as text: a static executable has no NSS, and a container's users are in these files.

use super::keep::Bytes;
use super::{Ids, file};
use crate::number::decimal;

/// Largest of these files that is read, in bytes.
const CAP: u64 = 16 << 20;

/// An entry of /etc/passwd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: Bytes,
    /// User and primary group.
    pub ids: Ids,
    /// Home directory, as it stands there; may be empty.
    pub home: Bytes,
}

/// The fields of each line.
fn entries(text: Bytes) -> impl Iterator<Item = Vec<Bytes>> {
    text.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':').collect())
}

/// A user's or a group's number.
pub fn number(field: &[u8]) -> Option<u32> {
    // The highest number is chown(2)'s and setresuid(2)'s "leave it": no id.
    decimal(field).and_then(|value| u32::try_from(value).ok()).filter(|id| *id != u32::MAX)
}

/// The first user in a passwd(5) text that `wanted` takes; lines that are none are passed over.
pub fn find_user(passwd: Bytes, wanted: &dyn Fn(&User) -> bool) -> Option<User> {
    entries(passwd).find_map(|fields| match *fields.as_slice() {
        [name, _, uid, gid, _, home, ..] if !name.is_empty() => {
            let user = User { name, ids: Ids { uid: number(uid)?, gid: number(gid)? }, home };
            wanted(&user).then_some(user)
        }
        _ => None,
    })
}

/// The number of a group in a group(5) text.
pub fn find_group(group: Bytes, name: &[u8]) -> Option<u32> {
    entries(group).find_map(|fields| match *fields.as_slice() {
        [entry, _, gid, ..] if entry == name => number(gid),
        _ => None,
    })
}

/// The groups that a user gets: its primary one and those of a group(5) text that list it, each once, as initgroups(3).
pub fn groups_of(group: Bytes, user: &User) -> Vec<u32> {
    let mut groups = vec![user.ids.gid];
    for fields in entries(group) {
        if let [_, _, gid, members, ..] = *fields.as_slice()
            && members.split(|byte| *byte == b',').any(|member| member == user.name)
            && let Some(gid) = number(gid)
            && !groups.contains(&gid)
        {
            groups.push(gid);
        }
    }
    groups
}

/// The text of /etc/passwd, empty where it cannot be read.
pub fn passwd() -> Bytes {
    file::read_system(c"/etc/passwd", CAP).unwrap_or_default().leak()
}

/// The text of /etc/group, empty where it cannot be read.
pub fn group() -> Bytes {
    file::read_system(c"/etc/group", CAP).unwrap_or_default().leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n#hermes:x:1:1::/:\nhermes:x\nhermes:x:-1:2:::\n\
        hermes:x:4294967295:3::/no:\nhermes:x:1001:1002:Hermes:/opt/data:/bin/sh\nhermes:x:7:7::/late:\n";

    #[test]
    fn the_first_whole_entry_counts() {
        let user = find_user(PASSWD, &|user| user.name == b"hermes");
        let ids = Ids { uid: 1001, gid: 1002 };
        assert_eq!(user, Some(User { name: b"hermes", ids, home: b"/opt/data" }));
        assert_eq!(find_user(PASSWD, &|user| user.name == b"nobody"), None);
        assert_eq!(find_user(b"", &|_| true), None);
    }

    #[test]
    fn groups_are_the_primary_one_and_the_listed_ones() {
        let user = User { name: b"hermes", ids: Ids { uid: 1, gid: 1002 }, home: b"" };
        let group = b"root:x:0:\ndocker:x:998:a,hermes\nhermes:x:1002:hermes\nhermesx:x:5:xhermes,hermes2\nbad:x::hermes\n\
            video:x:44:hermes\ndocker2:x:998:hermes";
        assert_eq!(groups_of(group, &user), [1002, 998, 44]);
        assert_eq!(find_group(group, b"video"), Some(44));
        assert_eq!(find_group(group, b"bad"), None);
    }
}
