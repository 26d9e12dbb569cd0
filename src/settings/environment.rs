//! Environments of programs.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::output::{Console, Error};
use crate::s6::envdir;
use crate::sys::Dir;

/// The environment of a program: each variable's key and value.
pub type Environment = BTreeMap<OsString, OsString>;

/// Returns this process's environment. Of duplicate keys the first counts, as with getenv(3).
pub fn own() -> Environment {
    let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    variables.into_iter().rev().collect()
}

/// Sets and removes the variables of an environment directory. `path` is its path in messages. An unreadable variable
/// is reported and left as it is.
pub fn load(variables: &mut Environment, directory: &Dir, path: &Path, console: &Console) {
    let read = match envdir::read(directory) {
        Ok(read) => read,
        Err(errno) => return console.failed(&Error::new("list", path, errno)),
    };
    for (key, content) in read {
        let name: &OsStr = key.as_ref();
        match content.map(envdir::decode) {
            Ok(Some(value)) => {
                variables.insert(name.to_owned(), OsString::from_vec(value));
            }
            Ok(None) => {
                variables.remove(name);
            }
            Err(reason) => console.failed(&Error::new("read", path.join(name), reason)),
        }
    }
}
