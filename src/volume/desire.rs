//! The operator's word in gateway_state.json: `desired_state` and `updated_at` are set, everything else stays as it is.

use super::json::Object;
use super::profiles;
use super::state::{CAP, STATE};
use crate::error::{Context, Error, Reason, Result};
use crate::show::Quoted;
use crate::slot::ProfileName;
use crate::sys::file::Make;
use crate::sys::{Chowner, Dir, Errno, Ids, Name, file, localtime, lock};

static STAGING: Name = Name::fixed(c".gateway_state.json.tmp");
/// Names that broken state files may get; with all of them taken, none is moved any more.
const ASIDE: u32 = 9;

/// Sets the state of a profile, in one step, in the directory `dir`. `now` is seconds since 1970. Owner and mode stay; a new file
/// is the owner's. A file that is no JSON object is moved aside first, and its new name returned.
pub fn set(
    dir: &Dir,
    profile: &ProfileName,
    state: &str,
    now: i64,
    owner: Ids,
    chowner: &Chowner,
) -> Result<Option<Name>> {
    let label = profiles::label(profile, &STATE);
    // Two words at once would share the staging file. Where the lock cannot be had, the word is worth more than the order.
    let held = dir.readable();
    let _ = held.as_ref().map(lock::exclusive);
    let (state, moment) = (Quoted(state.as_bytes()).to_string(), updated_at(now));
    let set = |object: Object<'_>| {
        let once = object.with("desired_state", &state);
        // An object with a key set is one.
        Object::parse(once.as_bytes()).map(|object| object.with("updated_at", &moment)).unwrap_or_default()
    };
    let fresh = || set(Object::EMPTY) + "\n";
    let mut make = Make { mode: 0o644, ids: owner, chowner, durable: true };
    let mut aside = None;
    let text = match file::read_meta(dir, &STATE, CAP) {
        Err(Reason::Errno(Errno::NOENT)) => fresh(),
        Err(reason) => return Err(Error::new("use", label, reason)),
        Ok((bytes, meta)) => {
            make.mode = meta.mode & 0o777;
            make.ids = meta.ids;
            match Object::parse(&bytes) {
                Ok(object) => set(object),
                Err(_) => {
                    aside = Some(move_aside(dir).context("move aside", label)?);
                    fresh()
                }
            }
        }
    };
    file::replace(dir, &STAGING, dir, &STATE, text.as_bytes(), make).context("write", label)?;
    Ok(aside)
}

/// ISO 8601, UTC, as Python's isoformat() has it.
fn updated_at(now: i64) -> String {
    let stamp = localtime::stamp(now, Some(b"UTC0"), &mut |_| None);
    let moment = stamp.strip_suffix("+0000").unwrap_or(&stamp);
    format!("\"{moment}+00:00\"")
}

fn move_aside(dir: &Dir) -> std::result::Result<Name, Errno> {
    let mut last = Errno::EXIST;
    for number in 1..=ASIDE {
        let ending = if number == 1 { String::new() } else { format!(".{number}") };
        let aside = Name::new(format!("gateway_state.json.broken{ending}")).ok_or(Errno::INVAL)?;
        match dir.rename_new(&STATE, &aside) {
            Ok(()) => return Ok(aside),
            Err(errno @ (Errno::EXIST | Errno::NOTEMPTY)) => last = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(last)
}
