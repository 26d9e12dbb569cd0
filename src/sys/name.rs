//! `Name`: one path component. It is never empty, `.` or `..`, and holds neither `/` nor NUL, so a step below a directory never
//! leaves that directory.

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Errno;

/// Returns a path as the kernel takes it. Fails with EINVAL if there is a NUL in it.
pub(super) fn c_path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)
}

/// One path component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Cow<'static, CStr>);

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
    /// Makes a name of the program's own.
    ///
    /// # Panics
    /// If it is no single component, which in a `static` is an error of the compilation.
    pub const fn fixed(name: &'static CStr) -> Name {
        assert!(is_component(name.to_bytes()));
        Name(Cow::Borrowed(name))
    }

    /// Makes a name from bytes; `None` if they are no single component.
    pub fn new(bytes: impl AsRef<[u8]>) -> Option<Name> {
        Name::parse(bytes.as_ref())
    }

    fn parse(bytes: &[u8]) -> Option<Name> {
        let name = if is_component(bytes) { CString::new(bytes).ok()? } else { return None };
        Some(Name(Cow::Owned(name)))
    }

    /// Returns the bytes, without the NUL.
    pub fn bytes(&self) -> &[u8] {
        self.0.to_bytes()
    }

    pub(super) fn c_str(&self) -> &CStr {
        &self.0
    }
}

impl AsRef<OsStr> for Name {
    fn as_ref(&self) -> &OsStr {
        OsStr::from_bytes(self.bytes())
    }
}

impl AsRef<Path> for Name {
    fn as_ref(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.bytes()))
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// Two components of the program's own, for a look at an entry two steps below a directory.
pub struct SubPath {
    /// Both, with a slash between.
    pub(super) both: &'static CStr,
    /// The directory.
    pub(super) via: Name,
    /// The entry in it.
    pub name: Name,
}

impl SubPath {
    /// Makes the pair `via`/`name`; `both` is the two with a slash between.
    ///
    /// # Panics
    /// If `both` is not that, which in a `static` is an error of the compilation.
    pub const fn fixed(both: &'static CStr, via: &'static CStr, name: &'static CStr) -> SubPath {
        assert!(both.to_bytes().len() == via.to_bytes().len() + 1 + name.to_bytes().len());
        SubPath { both, via: Name::fixed(via), name: Name::fixed(name) }
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
