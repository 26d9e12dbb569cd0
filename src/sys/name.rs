//! `Name`: one path component. It cannot be empty, `.` or `..`, and cannot hold `/` or NUL, so a step below a directory
//! never leaves it.

use std::ffi::CStr;

use super::keep;

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
    pub fn new(bytes: impl AsRef<[u8]>) -> Option<Name> {
        Name::of(bytes.as_ref())
    }

    fn of(bytes: &[u8]) -> Option<Name> {
        if is_component(bytes) { keep::c_string(&[bytes]).map(Name) } else { None }
    }

    /// The name's bytes, without the NUL.
    pub const fn bytes(&self) -> &'static [u8] {
        self.0.to_bytes()
    }

    pub(super) const fn c_str(&self) -> &'static CStr {
        self.0
    }
}

/// Two components of the program's own, for a look from one step further up.
#[derive(Clone, Copy)]
pub struct Below {
    /// Both, with a slash between.
    pub(super) both: &'static CStr,
    /// Each.
    pub(super) parts: (Name, Name),
}

impl Below {
    /// `via`/`name`.
    pub const fn fixed(both: &'static CStr, via: Name, name: Name) -> Below {
        assert!(both.to_bytes().len() == via.0.to_bytes().len() + 1 + name.0.to_bytes().len());
        Below { both, parts: (via, name) }
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
