//! What fails because root lacks a capability.

use crate::output::Console;
use crate::output::Error;
use crate::sys::capability::{self, CapabilitySet};

/// What fails without a capability of root; in both modes, or in delegated mode only.
static NEEDED: [(CapabilitySet, &str, bool); 3] = [
    (CapabilitySet::CHOWN, "CHOWN: the hermes user cannot command what is root's", false),
    (CapabilitySet::KILL, "KILL: s6-supervise cannot end a gateway", false),
    (
        CapabilitySet::DAC_OVERRIDE,
        "DAC_OVERRIDE: s6-supervise cannot work in what the hermes user owns; add it, or use --sealed",
        true,
    ),
];

/// Reports the capabilities that root lacks, and what fails without them. Returns whether there are any.
pub fn lacks(sealed: bool, console: &Console) -> bool {
    let effective = match capability::effective() {
        Ok(effective) => effective,
        Err(errno) => {
            console.failed(&Error::new("ask for the", "capabilities", errno));
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
