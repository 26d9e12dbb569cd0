//! The capabilities of this process: root that lacks some of them is refused what root is used to.

use std::path::Path;

use super::{Errno, file, proc};

pub use rustix::thread::CapabilitySet;

/// Largest status of a process that is read, in bytes.
const STATUS_CAP: u64 = 64 << 10;

/// Returns the capabilities that are in effect. Where a seccomp filter refuses capget(2), /proc has them.
pub fn effective() -> Result<CapabilitySet, Errno> {
    rustix::thread::capabilities(None).map(|sets| sets.effective).or_else(|refused| {
        let status = file::read_system(Path::new("/proc/self/status"), STATUS_CAP);
        status.ok().and_then(|status| in_status(&status)).ok_or(refused)
    })
}

/// Returns the capabilities in a process's status.
fn in_status(status: &[u8]) -> Option<CapabilitySet> {
    let digits = proc::field(status, b"CapEff:")?;
    let bits = u64::from_str_radix(str::from_utf8(digits).ok()?.trim(), 16).ok()?;
    Some(CapabilitySet::from_bits_retain(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_has_them_in_hexadecimal() {
        let both = CapabilitySet::CHOWN | CapabilitySet::DAC_OVERRIDE;
        for (status, expected) in [
            ("Name:\tx\nCapPrm:\t00000000000000ff\nCapEff:\t0000000000000003\nCapBnd:\t1\n", Some(both)),
            ("CapEff:\t0000000000000000\n", Some(CapabilitySet::empty())),
            ("CapEff:\n", None),
            ("CapBnd:\t1\n", None),
            ("", None),
        ] {
            assert_eq!(in_status(status.as_bytes()), expected, "{status:?}");
        }
    }
}
