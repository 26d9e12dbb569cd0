//! The user that gateways run as: its ids by an option, /etc/passwd or the image, its home and its groups.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::{HOME, Setting, Source};
use crate::output::{Context, Error, Result};
use crate::sys::users::{self, User};
use crate::sys::{Ids, process};

/// Its name.
const HERMES: &str = "hermes";
/// The ids of that user where /etc/passwd has no such entry: those of the image.
const HERMES_IDS: Ids = Ids { uid: 10_000, gid: 10_000 };

fn read(path: &'static str) -> Result<Vec<u8>> {
    users::read(path).context("read", path)
}

/// Returns the hermes user: the option `USER|UID[:GID]`, else the user hermes of /etc/passwd, else the image's ids.
pub fn owner(option: Option<&OsStr>) -> Result<Setting<Ids>> {
    let passwd = read(users::PASSWD)?;
    if let Some(text) = option {
        return named_owner(text.as_bytes(), &passwd).map(|value| Setting { value, source: Source::Option });
    }
    let hermes = users::users(&passwd).find(|user| user.name == HERMES.as_bytes());
    let (value, source) = hermes.map_or((HERMES_IDS, Source::Default), |user| (user.ids, Source::Passwd));
    Ok(Setting { value, source })
}

fn named_owner(text: &[u8], passwd: &[u8]) -> Result<Ids> {
    let wrong = |why: &'static str| Error::usage("take the owner", OsStr::from_bytes(text), why);
    let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
    let (user, group) = (text.get(..colon).unwrap_or_default(), text.get(colon + 1..));
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
    let Some(group) = group else { return Ok(ids) };
    if let Some(gid) = users::number(group) {
        return Ok(Ids { uid: ids.uid, gid });
    }
    let groups = read(users::GROUP)?;
    match users::find_group(&groups, group) {
        Some(gid) => Ok(Ids { uid: ids.uid, gid }),
        None => Err(wrong("no such group in /etc/group")),
    }
}

/// The user that gateways and the dashboard run as.
pub struct Runner {
    /// Name, user, primary group and home.
    pub user: User,
    /// All its groups, and those that the container was started with (`group_add`): process 1 has them.
    pub groups: Vec<u32>,
}

/// Returns the hermes user of /etc/passwd with its groups of /etc/group; the image's ids if /etc/passwd has no such entry.
pub fn runner() -> Result<Runner> {
    let passwd = read(users::PASSWD)?;
    let groups = read(users::GROUP)?;
    let hermes = users::users(&passwd).find(|user| user.name == HERMES.as_bytes());
    let mut user = hermes.unwrap_or_else(|| User {
        name: HERMES.as_bytes().to_vec(),
        ids: HERMES_IDS,
        home: PathBuf::new(),
    });
    if user.home.as_os_str().is_empty() {
        user.home = HOME.into();
    }
    let mut groups = users::groups_of(&groups, &user);
    for gid in process::groups_of_first().context("read", process::FIRST_STATUS)? {
        // Root's group is not handed on.
        if gid != 0 && !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    Ok(Runner { user, groups })
}
