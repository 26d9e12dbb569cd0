//! What fails because root lacks a capability.

use crate::output::Console;
use crate::output::Error;
use crate::output::error::Object;
use crate::sys::capability::{self, CapabilitySet};

/// What fails without a capability of root; in both modes, or in delegated mode only.
static NEEDED: [(CapabilitySet, &str, bool); 3] = [
    (CapabilitySet::CHOWN, "CHOWN: the hermes user cannot control services that belong to root", false),
    (CapabilitySet::KILL, "KILL: s6-supervise cannot stop a gateway", false),
    (
        CapabilitySet::DAC_OVERRIDE,
        "DAC_OVERRIDE: s6-supervise cannot write to directories of the hermes user; add it, or use --sealed",
        true,
    ),
];

/// Reports the capabilities that root lacks, and what fails without them. Returns whether there are any.
pub fn lacks(sealed: bool, console: &Console) -> bool {
    let effective = match capability::effective() {
        Ok(effective) => effective,
        Err(errno) => {
            console.failed(&Error::new("read", Object::Term("the capabilities"), errno));
            return true;
        }
    };
    let mut found = false;
    for (capability, what, is_for_delegated) in &NEEDED {
        if !(effective.contains(*capability) || sealed && *is_for_delegated) {
            console.warn(format_args!("root lacks the capability {what}"));
            found = true;
        }
    }
    found
}
