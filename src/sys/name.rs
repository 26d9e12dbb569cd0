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
    /// If it is not a single component, which in a `static` is an error of the compilation.
    pub const fn fixed(name: &'static CStr) -> Name {
        assert!(is_component(name.to_bytes()));
        Name(Cow::Borrowed(name))
    }

    /// Makes a name from bytes; `None` if they are not a single component.
    pub fn new(bytes: impl AsRef<[u8]>) -> Option<Name> {
        let bytes = Some(bytes.as_ref()).filter(|bytes| is_component(bytes))?;
        CString::new(bytes).ok().map(|name| Name(Cow::Owned(name)))
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

/// A path of two components of the program's own, for a look at an entry two steps below a directory.
pub struct SubPath {
    /// The whole path.
    pub(super) path: &'static CStr,
    /// Its first component, the directory.
    directory: &'static [u8],
    /// Its second component, the entry in the directory.
    pub name: Name,
}

impl SubPath {
    /// Makes a path `directory/entry`.
    ///
    /// # Panics
    /// If it is not that, which in a `static` is an error of the compilation.
    pub const fn fixed(path: &'static CStr) -> SubPath {
        let bytes = path.to_bytes_with_nul();
        let mut slash = 0;
        while bytes[slash] != b'/' {
            slash += 1;
        }
        let (directory, rest) = bytes.split_at(slash);
        assert!(is_component(directory));
        match CStr::from_bytes_with_nul(rest.split_at(1).1) {
            Ok(name) => SubPath { path, directory, name: Name::fixed(name) },
            Err(_) => panic!(),
        }
    }

    /// Returns the directory.
    pub(super) fn directory(&self) -> Result<Name, Errno> {
        Name::new(self.directory).ok_or(Errno::INVAL)
    }
}

impl AsRef<Path> for SubPath {
    fn as_ref(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.to_bytes()))
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
        for bad in ["", ".", "..", "/", "a/b", "a/", "/a", "a\0b", "a\0"] {
            assert!(Name::new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_of_two_components_has_a_directory_and_an_entry() {
        static PATH: SubPath = SubPath::fixed(c"supervise/status");
        assert_eq!(PATH.path, c"supervise/status");
        assert_eq!(PATH.directory().as_ref().map(Name::bytes), Ok(&b"supervise"[..]));
        assert_eq!(PATH.name.bytes(), b"status");
        for bad in [c"status", c"a/b/c", c"/b", c"a/", c"../b", c"a/."] {
            assert!(std::panic::catch_unwind(|| SubPath::fixed(bad)).is_err(), "{bad:?}");
        }
    }
}
