//! The operator's request in `gateway_state.json`: `desired_state` and `updated_at` are set, every other member stays as it is.

use std::fmt::Write;

use super::profiles;
use super::state::{CAP, Key, STATE};
use crate::output::json::{Object, Value};
use crate::output::localtime;
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::sys::file::Attributes;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, Reason, file, lock, time};

static STAGING: Name = Name::fixed(c".gateway_state.json.tmp");
/// Number of names for broken state files. If all of them are taken, the state cannot be set any more.
const BROKEN_MAX: u32 = 9;

/// Sets the state of a profile, in one step, in its directory `dir`. `again`: only if it is another one now. Owner and mode stay; a new
/// file, and one of root's, belongs to `owner`. A file that is no JSON object gets another name once the new one is written; that name is returned.
pub fn set(
    dir: &Dir,
    profile: &ProfileName,
    state: &str,
    again: bool,
    owner: Ids,
    ownership: &Ownership,
) -> Result<Option<Name>> {
    let label = profiles::label(profile, &STATE);
    // Two requests at once would share the staging file. If the lock cannot be had, the request counts more than the order.
    let held = dir.readable();
    let _ = held.as_ref().map(lock::exclusive);
    let mut attributes = Attributes { mode: 0o644, ids: owner, ownership, durable: true };
    let bytes = match file::read_meta(dir, &STATE, CAP) {
        Err(Reason::Errno(Errno::NOENT)) => None,
        Err(reason) => return Err(Error::new("use", label, reason)),
        Ok((bytes, meta)) => {
            attributes.mode = meta.mode & 0o777;
            // A root shell may have made it, and the hermes user could not read it. With another name it may be root's own.
            if meta.ids.uid != 0 || meta.links != 1 {
                attributes.ids = meta.ids;
            }
            Some(bytes)
        }
    };
    let parsed = bytes.as_deref().map(Object::parse);
    let is_broken = matches!(parsed, Some(Err(_)));
    let object = parsed.and_then(std::result::Result::ok).unwrap_or_default();
    if again && matches!(object.get(Key::Desired.text()), Value::Text(now) if now == state) {
        return Ok(None);
    }
    let moment = localtime::isoformat(time::now());
    let members = [(Key::Desired.text(), state.into()), ("updated_at", moment.as_str().into())];
    let text = format!("{}\n", object.with(&members));
    let mut broken = None;
    let mut step = || {
        if is_broken {
            broken = Some(set_aside(dir)?);
        }
        Ok(())
    };
    file::replace_after(dir, &STAGING, dir, &STATE, text.as_bytes(), attributes, &mut step)
        .context("write", label)?;
    Ok(broken)
}

/// Gives the state file another name: a second one, so that there is a state file at every moment, or a new one where the file
/// system has no hard links or the kernel permits none to another user's file.
fn set_aside(dir: &Dir) -> std::result::Result<Name, Errno> {
    let mut last = Errno::EXIST;
    for number in 1..=BROKEN_MAX {
        let mut broken = "gateway_state.json.broken".to_owned();
        if number > 1 {
            // Writing to a String cannot fail.
            let _ = write!(broken, ".{number}");
        }
        let broken = Name::new(broken).ok_or(Errno::INVAL)?;
        let linked = match dir.link(&STATE, &broken) {
            done @ (Ok(()) | Err(Errno::EXIST)) => done,
            Err(_) => dir.rename_new(&STATE, &broken),
        };
        match linked {
            Ok(()) => return Ok(broken),
            Err(errno @ (Errno::EXIST | Errno::NOTEMPTY)) => last = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(last)
}
