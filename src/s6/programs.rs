//! Where s6's programs are.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::output::{Error, Result};
use crate::sys::process;

/// Directory of s6's programs in s6-overlay.
const COMMAND: &str = "/command";
/// The PATH of execvp(3) where the environment has none.
pub const DEFAULT_PATH: &str = "/usr/bin:/bin";

/// Finds one of s6's programs: in /command, else on PATH, whose value is `path`; as root, only where nobody else can put one.
pub fn find(name: &OsStr, path: &OsStr) -> Result<Option<PathBuf>> {
    match process::find_on_path(name, OsStr::new(COMMAND)) {
        None if process::is_root() => {
            process::find_for_root(name, path).map_err(|found| Error::new("run", found.path, found.reason))
        }
        found => Ok(found.or_else(|| process::find_on_path(name, path))),
    }
}
