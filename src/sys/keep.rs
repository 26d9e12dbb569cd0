//! What is made out once and kept until the end. The process is over in a moment: what lives as long as it can be copied
//! freely, and what need not be freed costs no code.

use std::ffi::CStr;

/// Bytes that live as long as the process.
pub type Bytes = &'static [u8];

/// These, one behind the other.
#[inline(never)]
pub fn bytes(parts: &[&[u8]]) -> Bytes {
    parts.concat().leak()
}

/// A path of these parts, with slashes between; empty parts do not count. For messages.
#[inline(never)]
pub fn path(parts: &[&[u8]]) -> Bytes {
    let mut path = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    path.leak()
}

/// Texts, one behind the other.
pub fn text(parts: &[&str]) -> &'static str {
    parts.concat().leak()
}

/// Bytes, one behind the other, as a C string; none where a NUL is in it.
#[inline(never)]
pub fn c_string(parts: &[&[u8]]) -> Option<&'static CStr> {
    let ended = [parts.concat(), vec![0]].concat();
    CStr::from_bytes_with_nul(ended.leak()).ok()
}
