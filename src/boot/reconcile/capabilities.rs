//! What fails because root lacks a capability.

use crate::output::error::Object;
use crate::output::{Console, Error};
use crate::settings::Settings;
use crate::sys::capability::{self, CapabilitySet};

/// What fails without a capability of root.
static NEEDED: [(CapabilitySet, &str); 2] = [
    (CapabilitySet::CHOWN, "CHOWN: the hermes user cannot control services that belong to root"),
    (CapabilitySet::KILL, "KILL: s6-supervise cannot stop a gateway"),
];

/// Reports the capabilities that root lacks, and what fails without them. Returns whether there are any.
pub fn lacks(settings: &Settings, console: &Console) -> bool {
    let effective = match capability::effective() {
        Ok(effective) => effective,
        Err(errno) => {
            console.failed(&Error::new("read", Object::Term("the capabilities"), errno));
            return true;
        }
    };
    let mut found = false;
    for (capability, what) in &NEEDED {
        if !effective.contains(*capability) {
            console.warn(format_args!("root lacks the capability {what}"));
            found = true;
        }
    }
    settings.keeps_all(console) || found
}
