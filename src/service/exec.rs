//! Becoming another program as the hermes user: groups, user, directory, PATH look-up, exec; or printing all of it instead.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::output::Console;
use crate::output::escape::Shown;
use crate::output::{Error, Result, exit};
use crate::s6::programs;
use crate::settings::user::Runner;
use crate::sys::process::{self, Environment, Program};
use crate::sys::{Errno, Ownership};

/// Returns the words of an argv.
pub fn words(words: &[&[u8]]) -> Vec<OsString> {
    let mut argv = Vec::new();
    for word in words {
        argv.push(OsStr::from_bytes(word).to_owned());
    }
    argv
}

/// Changes to the hermes user for good if this process is root; does nothing otherwise. To be called before anything that the
/// hermes user controls is touched. A refusal is an error, so that nothing of the hermes user runs as root by accident.
pub fn drop_privileges(runner: &Runner) -> Result<()> {
    if !Ownership::new().is_root() {
        return Ok(());
    }
    let user = &runner.user;
    process::become_user(user.ids, &runner.groups).map_err(|errno| {
        Error::new("drop privileges to", format!("{}:{}", user.ids.uid, user.ids.gid), errno)
    })
}

/// A program to become.
pub struct Launch<'a> {
    /// Its argv; the first word is its name.
    pub argv: Vec<OsString>,
    /// Whether it is one of s6's programs, which are looked for in s6-overlay's place before PATH.
    pub is_s6: bool,
    /// Its whole environment.
    pub environment: Environment,
    /// Its working directory; `None` for this process's.
    pub directory: Option<&'a Path>,
}

impl Launch<'_> {
    /// Becomes the program, or only prints it. Returns the exit code if this process goes on.
    pub fn carry_out(self, runner: &Runner, base: &Environment, print: bool, console: &Console) -> u8 {
        if print {
            console.print(&self.describe(runner, base));
            return 0;
        }
        console.fatal(&self.exec())
    }

    /// Becomes the program. Returns only on failure.
    fn exec(self) -> Error {
        if let Some(directory) = self.directory
            && let Err(errno) = process::change_to(directory)
        {
            return Error::new("change to", directory.as_os_str().as_bytes(), errno);
        }
        let name = self.argv.first().map_or(OsStr::new(""), |name| name);
        let path = self.environment.get("PATH").unwrap_or(OsStr::new(programs::DEFAULT_PATH));
        let found = if self.is_s6 {
            programs::find(name, &self.environment)
        } else {
            Ok(process::find_on_path(name, path))
        };
        let file = match found {
            Ok(file) => file,
            Err(error) => return error.with_code(exit::NOT_EXECUTABLE),
        };
        let Some(file) = file else {
            let reason = format!("not found on PATH {}", Shown(path.as_bytes()));
            return Error::new("run", name.as_bytes(), reason).with_code(exit::NOT_FOUND);
        };
        let program = Program { path: file, argv: self.argv, environment: self.environment };
        let errno = program.exec();
        let code = if errno == Errno::NOENT { exit::NOT_FOUND } else { exit::NOT_EXECUTABLE };
        Error::new("run", program.path.as_os_str().as_bytes(), errno).with_code(code)
    }

    /// Returns user, directory, the difference of the environment from `base`, and argv.
    fn describe(&self, runner: &Runner, base: &Environment) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, runner, base);
        text
    }

    fn write(&self, text: &mut String, runner: &Runner, base: &Environment) -> std::fmt::Result {
        let ownership = Ownership::new();
        if ownership.is_root() {
            let user = &runner.user;
            write!(text, "user: {} {}:{} groups", Shown(&user.name), user.ids.uid, user.ids.gid)?;
            for (at, group) in runner.groups.iter().enumerate() {
                write!(text, "{}{group}", if at == 0 { ' ' } else { ',' })?;
            }
        } else {
            let ids = ownership.process();
            write!(text, "user: {}:{} (not root: no drop)", ids.uid, ids.gid)?;
        }
        if let Some(directory) = self.directory {
            write!(text, "\ndirectory: {}", Shown(directory.as_os_str().as_bytes()))?;
        }
        for (key, _) in base.beyond(&self.environment) {
            if !self.environment.has(key) {
                write!(text, "\nunset: {}", Shown(key.as_bytes()))?;
            }
        }
        for (key, value) in self.environment.beyond(base) {
            write!(text, "\nset: {}={}", Shown(key.as_bytes()), Shown(value.as_bytes()))?;
        }
        text.push_str("\nargv:");
        for word in &self.argv {
            write!(text, " {}", Shown(word.as_bytes()))?;
        }
        text.push('\n');
        Ok(())
    }
}
