//! `Name`: one path component. It cannot be empty, `.` or `..`, and cannot hold `/` or NUL, so a step below a directory
//! never leaves it. Names live as long as the process: a pass has few of them, and what need not be freed costs no code.

use std::ffi::{CStr, CString};

/// One path component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(&'static CStr);

const fn is_component(bytes: &[u8]) -> bool {
    match bytes {
        [] | [b'.'] | [b'.', b'.'] => return false,
        _ => (),
    }
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        if *first == b'/' || *first == 0 {
            return false;
        }
        rest = tail;
    }
    true
}

impl Name {
    /// A name of the program's own; one that is no component does not compile in a `static`.
    pub const fn fixed(name: &'static CStr) -> Name {
        assert!(is_component(name.to_bytes()));
        Name(name)
    }

    /// A name from outside, or `None` where it is no single component.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Name> {
        let bytes = bytes.into();
        if !is_component(&bytes) {
            return None;
        }
        CString::new(bytes).ok().map(|name| Name(Box::leak(name.into_boxed_c_str())))
    }

    /// The name's bytes, without the NUL.
    pub fn bytes(&self) -> &[u8] {
        self.0.to_bytes()
    }

    pub(super) fn c_str(&self) -> &CStr {
        self.0
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_component_is_a_name() {
        for good in ["a", "...", ".a", "a b", "\n", "-"] {
            assert!(Name::new(good).is_some(), "{good:?}");
        }
        for bad in ["", ".", "..", "/", "a/b", "a/", "a\0b"] {
            assert!(Name::new(bad).is_none(), "{bad:?}");
        }
    }
}
