//! The capabilities of this process: root that lacks some of them is refused what root is used to.

use super::Errno;

pub use rustix::thread::CapabilitySet;

/// Returns the capabilities that are in effect.
pub fn effective() -> Result<CapabilitySet, Errno> {
    Ok(rustix::thread::capabilities(None)?.effective)
}
