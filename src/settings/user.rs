//! The hermes user, as which gateways run: its ids by an option, s6-svscan's user, /etc/passwd or the image, its home directory and its
//! groups.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{HOME, Setting, Source};
use crate::output::{Context, Error, Result};
use crate::sys::users::{self, User};
use crate::sys::{Ids, proc};

/// Its name.
const HERMES: &str = "hermes";
/// The ids of that user where /etc/passwd has no such entry: those of the image.
const HERMES_IDS: Ids = Ids { uid: 10_000, gid: 10_000 };

fn read(path: &'static str) -> Result<Vec<u8>> {
    users::read(path).context("read", Path::new(path))
}

/// Returns the hermes user: the option `USER|UID[:GID]`, else `svscan`, as whom s6-svscan runs if that is not root, else the user hermes of
/// /etc/passwd, else the image's ids.
pub fn owner(option: Option<&OsStr>, svscan: Option<Ids>) -> Result<Setting<Ids>> {
    let passwd = read(users::PASSWD)?;
    match (option, svscan) {
        (Some(text), _) => {
            let value = named_owner(text, &passwd, || read(users::GROUP))?;
            Ok(Setting { value, source: Source::Option })
        }
        (None, Some(value)) => Ok(Setting { value, source: Source::Svscan }),
        (None, None) => Ok(match hermes(&passwd) {
            Some(user) => Setting { value: user.ids, source: Source::Passwd },
            None => Setting { value: HERMES_IDS, source: Source::Default },
        }),
    }
}

/// Returns the user hermes of a passwd(5) text.
fn hermes(passwd: &[u8]) -> Option<User> {
    users::users(passwd).find(|user| user.name == HERMES.as_bytes())
}

/// Parses `USER|UID[:GID]`. A number need not be in `passwd`; its group is then the same number. `group` reads
/// /etc/group, which is needed only for a name.
fn named_owner(text: &OsStr, passwd: &[u8], group: impl FnOnce() -> Result<Vec<u8>>) -> Result<Ids> {
    let wrong = |why: &'static str| Error::usage("use the owner", text, why);
    let mut parts = text.as_bytes().splitn(2, |byte| *byte == b':');
    let (user, name) = (parts.next().unwrap_or_default(), parts.next());
    let uid = users::number(user);
    let entry = users::users(passwd).find(|entry| match uid {
        Some(uid) => entry.ids.uid == uid,
        None => entry.name == user,
    });
    let ids = match (entry, uid) {
        (Some(entry), _) => entry.ids,
        (None, Some(uid)) => Ids { uid, gid: uid },
        (None, None) => {
            return Err(wrong("no such user in /etc/passwd, and not UID[:GID] (0 to 4294967294)"));
        }
    };
    let Some(name) = name else { return Ok(ids) };
    let gid = match users::number(name) {
        Some(gid) => Some(gid),
        None => users::find_group(&group()?, name),
    };
    gid.map(|gid| Ids { uid: ids.uid, gid }).ok_or_else(|| wrong("no such group in /etc/group"))
}

/// The user that gateways and the dashboard run as.
#[derive(Debug, PartialEq, Eq)]
pub struct Runner {
    /// Name, user, primary group and home.
    pub user: User,
    /// All its groups, and those that the container was started with (`group_add`), which process 1 has.
    pub groups: Vec<u32>,
}

/// Returns the hermes user of /etc/passwd with its groups of /etc/group; the image's ids if /etc/passwd has no such entry. A service
/// changes to it if s6-svscan is root.
pub fn runner() -> Result<Runner> {
    let passwd = read(users::PASSWD)?;
    let group = read(users::GROUP)?;
    let added = proc::groups_of_first().context("read", Path::new(proc::FIRST_STATUS))?;
    Ok(runner_of(&passwd, &group, &added))
}

/// Returns the hermes user of a passwd(5) and a group(5) text, with the `added` groups except root's.
fn runner_of(passwd: &[u8], group: &[u8], added: &[u32]) -> Runner {
    let user = hermes(passwd).unwrap_or_else(|| User {
        name: HERMES.as_bytes().to_vec(),
        ids: HERMES_IDS,
        home: PathBuf::new(),
    });
    let has_home = !user.home.as_os_str().is_empty();
    let user = if has_home { user } else { User { home: HOME.into(), ..user } };
    let mut groups = users::groups_of(group, &user);
    for gid in added.iter().filter(|gid| **gid != 0) {
        if !groups.contains(gid) {
            groups.push(*gid);
        }
    }
    Runner { user, groups }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\nhermes:x:1001:1002::/home/hermes:/bin/sh\n77:x:5:6::/:\n";
    const GROUP: &[u8] = b"root:x:0:\nvideo:x:44:hermes\naudio:x:29:\n";

    #[test]
    fn an_owner_is_a_name_or_numbers() {
        for (text, expected) in [
            ("hermes", Ok((1001, 1002))),
            ("root", Ok((0, 0))),
            ("1001", Ok((1001, 1002))),
            ("1234", Ok((1234, 1234))),
            ("1234:77", Ok((1234, 77))),
            ("hermes:77", Ok((1001, 77))),
            ("hermes:video", Ok((1001, 44))),
            ("0:video", Ok((0, 44))),
            // A number is never a name.
            ("77", Ok((77, 77))),
            ("4294967294", Ok((4_294_967_294, 4_294_967_294))),
            ("4294967295", Err("user")),
            ("nobody", Err("user")),
            ("", Err("user")),
            (":44", Err("user")),
            ("-1", Err("user")),
            ("hermes:", Err("group")),
            ("hermes:nothing", Err("group")),
            ("hermes:44:44", Err("group")),
        ] {
            let found = named_owner(OsStr::new(text), PASSWD, || Ok(GROUP.to_vec()));
            match expected {
                Ok((uid, gid)) => assert_eq!(found, Ok(Ids { uid, gid }), "{text}"),
                Err(what) => {
                    let error = found.unwrap_err();
                    assert!(error.to_string().contains(&format!("no such {what} in /etc/")), "{error}");
                    assert_eq!(error.code(), crate::output::exit::USAGE);
                }
            }
        }
    }

    #[test]
    fn the_group_database_is_read_for_a_name_only() {
        let unread = || Err(Error::new("read", Path::new(users::GROUP), "a test"));
        assert_eq!(named_owner(OsStr::new("1:2"), PASSWD, unread), Ok(Ids { uid: 1, gid: 2 }));
        assert!(named_owner(OsStr::new("1:video"), PASSWD, unread).is_err());
    }

    #[test]
    fn a_runner_is_hermes_or_the_images_user_with_the_containers_groups_but_roots() {
        let runner = runner_of(PASSWD, GROUP, &[0, 44, 998, 998, 10_000]);
        assert_eq!(runner.groups, [1002, 44, 998, 10_000]);
        assert_eq!(runner.user.home, PathBuf::from("/home/hermes"));
        let runner = runner_of(b"", b"", &[0, 5]);
        assert_eq!((runner.user.ids, runner.user.home), (HERMES_IDS, PathBuf::from(HOME)));
        assert_eq!(runner.groups, [10_000, 5]);
        let homeless = runner_of(b"hermes:x:7:8:::\n", b"", &[]);
        assert_eq!((homeless.user.ids, homeless.user.home), (Ids { uid: 7, gid: 8 }, PathBuf::from(HOME)));
    }
}
