//! Since when the deaths of a gateway or of the dashboard count, as far as s6 does not record it: a file in the directory of the profile,
//! where commands and service programs can write it as the hermes user, also where the slots are root's. It means nothing to another
//! container: it is older than all deaths there.

use crate::output::json::{self, Object, Value};
use crate::output::localtime;
use crate::s6::tai64n::{self, Label};
use crate::sys::staged::{Attributes, Staged};
use crate::sys::{Dir, Errno, Ids, Name, Ownership, Reason, file, time};

/// The file of a gateway, in the directory of its profile.
pub static GATEWAY: Name = Name::fixed(c".hermes-init-deaths.json");
/// The file of the dashboard, in `HERMES_HOME`.
pub static DASHBOARD: Name = Name::fixed(c".hermes-init-dashboard-deaths.json");

/// The name under which a file is written before it takes its place. An interrupted program may leave it, and the next one replaces it.
pub static STAGING: Name = Name::fixed(c".hermes-init-deaths.json.tmp");

/// Largest file that is read, in bytes.
const CAP: u64 = 4096;
/// The member with the moment, a TAI64N label.
const SINCE: &str = "count_since";

/// Has the deaths count from now on. The file belongs to `owner`. Whoever writes at the same time writes the same: no lock is needed, for
/// which a `finish` has no time.
pub fn write(dir: &Dir, name: &Name, owner: Ids, ownership: &Ownership) -> Result<(), Errno> {
    let now = time::now_exactly();
    let (since, written_at) = (tai64n::hex(&tai64n::label(now)), localtime::isoformat(now.0));
    let text = json::object([(SINCE, since.as_str().into()), ("written_at", written_at.as_str().into())]);
    // It is of no use after a power failure.
    let attributes = Attributes { mode: 0o644, ids: owner, ownership, durable: false };
    Staged::write(dir, &STAGING, text.as_bytes(), attributes)?.publish(dir, name)
}

/// Returns since when the deaths count; `None` if there is no such file, or something else has its name.
pub fn read(dir: &Dir, name: &Name) -> Result<Option<Label>, Errno> {
    match file::find(dir, name, CAP) {
        Ok(text) => Ok(text.as_deref().and_then(parse)),
        Err(Reason::Errno(errno)) => Err(errno),
        Err(Reason::Rule(_) | Reason::Unread(_)) => Ok(None),
    }
}

fn parse(text: &[u8]) -> Option<Label> {
    match Object::parse(text).ok()?.get(SINCE) {
        Value::Text(digits) => tai64n::label_of_hex(&digits),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_label_is_a_moment() {
        let since = tai64n::label((1_700_000_000, 7));
        let text = format!("{{\"count_since\": \"{}\"}}", tai64n::hex(&since));
        assert_eq!(parse(text.as_bytes()), Some(since));
        for text in
            ["", "{}", "7", r#"{"count_since": 7}"#, r#"{"count_since": "7"}"#, r#"{"count_since": null}"#]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
