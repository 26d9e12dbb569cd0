//! The directory of a profile, as a service program opens it that runs as the gateway's user.

use std::path::Path;

use crate::output::Result;
use crate::s6::ProfileName;
use crate::sys::{Dir, Errno, Ownership};
use crate::volume::home::{Home, Trusted};
use crate::volume::profiles;

/// The directory of a profile.
pub struct ProfileDirectory {
    /// `HERMES_HOME`, which is the directory of `default`.
    pub home: Home,
    /// That of another profile.
    named: Option<Dir>,
}

impl ProfileDirectory {
    /// Opens it; `None` if there is no such profile. `home` is `HERMES_HOME`.
    pub fn open(home: &Path, profile: &ProfileName) -> Result<Option<ProfileDirectory>> {
        let ownership = Ownership::new();
        let trusted = Trusted::new(ownership.process(), &ownership);
        let home = match Home::open(home, trusted) {
            Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(None),
            home => home?,
        };
        if profile.is_root() {
            return Ok(Some(ProfileDirectory { home, named: None }));
        }
        let named = profiles::directory(&home, trusted, profile)?;
        Ok(named.map(|dir| ProfileDirectory { home, named: Some(dir) }))
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Dir {
        self.named.as_ref().unwrap_or(&self.home.dir)
    }
}
