//! The operator's request in `gateway_state.json`: `desired_state` and `updated_at` are set, every other member stays as it is.

use std::iter;

use super::directory_lock::Held;
use super::profiles;
use super::state::{CAP, Key, RUNNING, STATE, STOPPED, has_state};
use crate::output::json::{Object, Value};
use crate::output::localtime;
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::sys::staged::Attributes;
use crate::sys::{Dir, Errno, Ids, Name, Ownership, Reason, file, time};

/// Why a file is not taken over.
const PRIVATE: &str = "it is private to root, and has neither gateway_state nor desired_state: if it is not a gateway's state, remove \
                       it or give it another name";
/// Number of names for broken state files. If all of them are taken, the state cannot be set any more.
const BROKEN_MAX: u32 = 9;

/// What the operator wants of a gateway at the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesiredState {
    /// It is started.
    Running,
    /// It stays down.
    Stopped,
}

impl DesiredState {
    /// Returns the word that the state file has for it.
    pub fn text(self) -> &'static str {
        match self {
            DesiredState::Running => RUNNING,
            DesiredState::Stopped => STOPPED,
        }
    }
}

/// When the desired state is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// In any case.
    Always,
    /// Only if the file has another one.
    IfDifferent,
}

/// Sets the desired state of a profile, in one step, in its directory `dir`. Owner and mode of the state file stay; a new file, and one
/// of root's, belongs to `owner`. A file that is no JSON object gets another name once the new one is written; that name is returned.
/// Fails if the file is private to root and does not show that it is a gateway's state: the hermes user could have given its name to
/// any file of root's on the volume, and would own what this function makes of it.
pub fn set(
    dir: &Held,
    profile: &ProfileName,
    desired: DesiredState,
    write: Write,
    owner: Ids,
    ownership: &Ownership,
) -> Result<Option<Name>> {
    let label = profiles::label(profile, &STATE);
    let mut attributes = Attributes { mode: 0o644, ids: owner, ownership, durable: true };
    let mut is_private = false;
    let bytes = match file::read_meta(dir, &STATE, CAP) {
        Err(Reason::Errno(Errno::NOENT)) => None,
        Err(reason) => return Err(Error::new("use", label, reason)),
        Ok((bytes, meta)) => {
            attributes.mode = meta.mode & 0o777;
            // A file of root's is handed over, because the hermes user may not be able to read it. With another hard link it may be any
            // file of root's.
            if meta.ids.uid != 0 || meta.links != 1 {
                attributes.ids = meta.ids;
            }
            is_private = attributes.ids.uid != meta.ids.uid && !meta.is_readable_by(owner);
            Some(bytes)
        }
    };
    let updated_at = localtime::isoformat(time::now());
    let (text, is_broken) = match change(bytes.as_deref(), is_private, desired, write, &updated_at) {
        Change::Nothing => return Ok(None),
        Change::Refuse => return Err(Error::new("use", label, PRIVATE)),
        Change::Set(text) => (text, false),
        Change::Replace(text) => (text, true),
    };
    let write = || -> std::result::Result<_, Reason> {
        let staged = dir.stage(text.as_bytes(), attributes)?;
        let broken = if is_broken { Some(set_aside(dir)?) } else { None };
        Ok(staged.publish(dir, &STATE).map(|()| broken)?)
    };
    write().context("write", label)
}

/// Returns whether the state file in the directory of a profile has this desired state. One that cannot be read has none.
pub fn is(dir: &Dir, desired: DesiredState) -> bool {
    let Ok(text) = file::read(dir, &STATE, CAP) else { return false };
    Object::parse(&text).is_ok_and(|object| has(&object, desired))
}

fn has(object: &Object<'_>, desired: DesiredState) -> bool {
    object.get(Key::Desired.text()) == Value::Text(desired.text().to_owned())
}

/// What has to be done to set a desired state.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// Nothing: the file has it.
    Nothing,
    /// Nothing: the file is private to root, and is not a gateway's state.
    Refuse,
    /// The file, if there is one, is replaced by this text.
    Set(String),
    /// The file is no JSON object. It gets another name, and this text its own.
    Replace(String),
}

/// Decides what has to be done to a state file with this text, or if there is none. `is_private`: it is root's, and the hermes user,
/// whose the new one is, cannot read it.
fn change(
    text: Option<&[u8]>,
    is_private: bool,
    desired: DesiredState,
    write: Write,
    updated_at: &str,
) -> Change {
    let parsed = text.map(Object::parse).transpose();
    let is_broken = parsed.is_err();
    let object = parsed.ok().flatten().unwrap_or_default();
    if has(&object, desired) && write == Write::IfDifferent {
        return Change::Nothing;
    }
    if is_private && !is_broken && !has_state(&object) {
        return Change::Refuse;
    }
    let members = [(Key::Desired.text(), desired.text().into()), ("updated_at", updated_at.into())];
    let text = format!("{}\n", object.with(&members));
    if is_broken { Change::Replace(text) } else { Change::Set(text) }
}

/// Gives the state file another name: a second one, so that there is a state file at every moment, or a new one where the file
/// system has no hard links or the kernel permits none to another user's file.
fn set_aside(dir: &Dir) -> std::result::Result<Name, Errno> {
    let first = "gateway_state.json.broken";
    let further = (2..=BROKEN_MAX).map(|number| format!("{first}.{number}"));
    let mut taken = Errno::EXIST;
    for name in iter::once(first.to_owned()).chain(further) {
        let name = Name::new(name).ok_or(Errno::INVAL)?;
        let linked = match dir.link(&STATE, &name) {
            done @ (Ok(()) | Err(Errno::EXIST)) => done,
            Err(_) => dir.rename_new(&STATE, &name),
        };
        match linked {
            Ok(()) => return Ok(name),
            Err(errno @ (Errno::EXIST | Errno::NOTEMPTY)) => taken = errno,
            Err(errno) => return Err(errno),
        }
    }
    Err(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_set_unless_it_is_there() {
        use DesiredState::{Running, Stopped};
        let set = |text: &str| Change::Set(text.to_owned());
        let replace = |text: &str| Change::Replace(text.to_owned());
        let running = "{\"desired_state\": \"running\", \"updated_at\": \"now\"}\n";
        for (text, desired, always, if_different) in [
            (None, Running, set(running), set(running)),
            (Some("{}"), Running, set(running), set(running)),
            (Some(r#"{"desired_state": "stopped"}"#), Running, set(running), set(running)),
            (Some(r#"{"desired_state": null}"#), Running, set(running), set(running)),
            (Some(r#"{"desired_state": 1}"#), Running, set(running), set(running)),
            (Some(r#"{"desired_state": "running"}"#), Running, set(running), Change::Nothing),
            (
                Some(r#"{"gateway_state":"running","desired_state":"running","updated_at":1}"#),
                Stopped,
                set("{\"gateway_state\":\"running\",\"desired_state\":\"stopped\",\"updated_at\":\"now\"}\n"),
                set("{\"gateway_state\":\"running\",\"desired_state\":\"stopped\",\"updated_at\":\"now\"}\n"),
            ),
            (
                Some(r#"{"updated_at": "then", "desired_state": "stopped"}"#),
                Stopped,
                set("{\"updated_at\": \"now\", \"desired_state\": \"stopped\"}\n"),
                Change::Nothing,
            ),
            (Some(""), Running, replace(running), replace(running)),
            (Some("[]"), Running, replace(running), replace(running)),
            (Some(r#"{"desired_state": "running""#), Running, replace(running), replace(running)),
        ] {
            let changed = |write| change(text.map(str::as_bytes), false, desired, write, "now");
            assert_eq!(changed(Write::Always), always, "{text:?}");
            assert_eq!(changed(Write::IfDifferent), if_different, "{text:?}");
        }
    }

    #[test]
    fn what_is_private_to_root_reaches_the_hermes_user_only_if_it_is_a_gateways_state() {
        let set = |text: &str| Change::Set(text.to_owned());
        let added = "\"desired_state\": \"stopped\", \"updated_at\": \"now\"}\n";
        for (text, expected) in [
            (r#"{"gateway_state": 1}"#, set(&format!("{{\"gateway_state\": 1, {added}"))),
            (r#"{"gateway_state": null}"#, set(&format!("{{\"gateway_state\": null, {added}"))),
            (
                r#"{"desired_state": "running"}"#,
                set("{\"desired_state\": \"stopped\", \"updated_at\": \"now\"}\n"),
            ),
            (r#"{"desired_state": "stopped"}"#, Change::Nothing),
            (r#"{"token": "x"}"#, Change::Refuse),
            (r#"{"x": {"gateway_state": "running"}}"#, Change::Refuse),
            ("{}", Change::Refuse),
            // The new file has nothing of it.
            ("not JSON", Change::Replace(format!("{{{added}"))),
            ("[]", Change::Replace(format!("{{{added}"))),
        ] {
            let changed =
                change(Some(text.as_bytes()), true, DesiredState::Stopped, Write::IfDifferent, "now");
            assert_eq!(changed, expected, "{text}");
        }
    }
}
