//! Becoming another program as the hermes user: groups, drop, directory, PATH look-up, exec; or showing it all instead.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::settings::Runner;
use crate::show::Shown;
use crate::sys::process::{self, Program};
use crate::sys::{Chowner, Errno};

/// Exit code where a program is not found, as in every shell.
const NOT_FOUND: u8 = 127;
/// Exit code where it is found and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// execvp(3)'s PATH where there is none.
const DEFAULT_PATH: &str = "/usr/bin:/bin";

/// An environment, in the order in which it is handed over.
pub type Environment = Vec<(OsString, OsString)>;

/// Sets a variable.
pub fn set(environment: &mut Environment, key: &str, value: impl Into<OsString>) {
    environment.retain(|(present, _)| present != key);
    environment.push((OsString::from(key), value.into()));
}

/// Takes on the hermes user for good, where this is root; goes on as is where it is not. To be called before anything is touched
/// that the hermes user can influence. A refused drop is an error: nothing of its must run as root by accident.
pub fn drop_privileges(runner: &Runner) -> Result<()> {
    if !Chowner::new().is_root() {
        return Ok(());
    }
    let user = &runner.user;
    process::become_user(user.ids, &runner.groups).map_err(|errno| {
        Error::new("drop privileges to", format!("{}:{}", user.ids.uid, user.ids.gid), errno)
    })
}

/// A program to become.
pub struct Launch {
    /// Its name, to be found on PATH.
    pub name: &'static str,
    /// A directory to look in before PATH.
    pub first: Option<&'static str>,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Environment,
    /// Its working directory; this process's where there is none.
    pub directory: Option<PathBuf>,
}

impl Launch {
    fn argv(&self) -> Vec<OsString> {
        let name = OsString::from(self.name);
        std::iter::once(name).chain(self.arguments.iter().cloned()).collect()
    }

    fn path(&self) -> OsString {
        let path = self.environment.iter().find(|(key, _)| key == "PATH");
        let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value.as_os_str());
        match self.first {
            None => path.to_owned(),
            Some(first) => process::os([first.as_bytes(), b":", path.as_bytes()].concat()),
        }
    }

    /// Becomes the program; returns an exit code only where that fails.
    pub fn exec(self, console: &Console) -> u8 {
        if let Some(directory) = &self.directory
            && let Err(error) = std::env::set_current_dir(directory)
        {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            return console.fatal(&Error::new("change to", directory.as_os_str().as_bytes(), errno));
        }
        let path = self.path();
        let Some(file) = process::find_on_path(self.name.as_bytes(), path.as_bytes()) else {
            let reason = format!("not found on PATH {}", Shown(path.as_bytes()));
            return console.fatal(&Error::new("run", self.name, reason).with_code(NOT_FOUND));
        };
        let argv = self.argv();
        let errno = Program { path: file.clone(), argv, environment: self.environment }.exec();
        let code = if errno == Errno::NOENT { NOT_FOUND } else { NOT_EXECUTABLE };
        console.fatal(&Error::new("run", file.as_os_str().as_bytes(), errno).with_code(code))
    }

    /// Shows user, directory, how the environment differs from `base`, and argv.
    pub fn describe(&self, runner: &Runner, base: &Environment) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, runner, base);
        text
    }

    fn write(&self, text: &mut String, runner: &Runner, base: &Environment) -> std::fmt::Result {
        let me = Chowner::new();
        if me.is_root() {
            let (user, groups) = (&runner.user, &runner.groups);
            let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
            let (uid, gid) = (user.ids.uid, user.ids.gid);
            writeln!(text, "user: {} {uid}:{gid} groups {}", Shown(&user.name), groups.join(","))?;
        } else {
            writeln!(text, "user: {}:{} (not root: no drop)", me.me().uid, me.me().gid)?;
        }
        if let Some(directory) = &self.directory {
            writeln!(text, "directory: {}", Shown(directory.as_os_str().as_bytes()))?;
        }
        for (key, _) in
            base.iter().filter(|(key, _)| !self.environment.iter().any(|(present, _)| present == key))
        {
            writeln!(text, "unset: {}", Shown(key.as_bytes()))?;
        }
        for (key, value) in self.environment.iter().filter(|variable| !base.contains(variable)) {
            writeln!(text, "set: {}={}", Shown(key.as_bytes()), Shown(value.as_bytes()))?;
        }
        let argv: Vec<String> = self.argv().iter().map(|word| Shown(word.as_bytes()).to_string()).collect();
        writeln!(text, "argv: {}", argv.join(" "))
    }
}
