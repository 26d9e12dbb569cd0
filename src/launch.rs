//! Becoming another program as the hermes user: groups, drop, directory, PATH look-up, exec; or showing it all instead.

use std::ffi::CStr;
use std::fmt::Write;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::settings::Runner;
use crate::show::Shown;
use crate::sys::keep::Bytes;
use crate::sys::process::{self, Environment, Program};
use crate::sys::{Chowner, Errno};

/// Exit code where a program is not found, as in every shell.
const NOT_FOUND: u8 = 127;
/// Exit code where it is found and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// execvp(3)'s PATH where there is none.
pub const DEFAULT_PATH: Bytes = b"/usr/bin:/bin";

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
    /// argv; the first word is its name, to be found on PATH.
    pub argv: Vec<&'static CStr>,
    /// A directory to look in before PATH.
    pub first: Option<Bytes>,
    /// Its whole environment.
    pub environment: Environment,
    /// Its working directory; this process's where there is none.
    pub directory: Option<&'static CStr>,
}

impl Launch {
    /// Becomes the program, or only shows how it would; the exit code where this process goes on.
    pub fn carry_out(self, runner: &Runner, base: &Environment, show: bool, console: &Console) -> u8 {
        if show {
            console.print(&self.describe(runner, base));
            return 0;
        }
        self.exec(console)
    }

    /// Returns only where that fails.
    fn exec(self, console: &Console) -> u8 {
        if let Some(directory) = self.directory
            && let Err(errno) = process::change_to(directory)
        {
            return console.fatal(&Error::new("change to", directory.to_bytes(), errno));
        }
        let name = self.argv.first().map_or(&b""[..], |name| name.to_bytes());
        let path = self.environment.get(b"PATH").unwrap_or(DEFAULT_PATH);
        let first = self.first.and_then(|first| process::find_on_path(name, first));
        let Some(file) = first.or_else(|| process::find_on_path(name, path)) else {
            let reason = format!("not found on PATH {}", Shown(path));
            return console.fatal(&Error::new("run", name, reason).with_code(NOT_FOUND));
        };
        let errno = Program { path: file, argv: self.argv, environment: self.environment }.exec();
        let code = if errno == Errno::NOENT { NOT_FOUND } else { NOT_EXECUTABLE };
        console.fatal(&Error::new("run", file.to_bytes(), errno).with_code(code))
    }

    /// Shows user, directory, how the environment differs from `base`, and argv.
    fn describe(&self, runner: &Runner, base: &Environment) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, runner, base);
        text
    }

    fn write(&self, text: &mut String, runner: &Runner, base: &Environment) -> std::fmt::Result {
        let me = Chowner::new();
        if me.is_root() {
            let user = &runner.user;
            write!(text, "user: {} {}:{} groups", Shown(user.name), user.ids.uid, user.ids.gid)?;
            for (at, group) in runner.groups.iter().enumerate() {
                write!(text, "{}{group}", if at == 0 { ' ' } else { ',' })?;
            }
        } else {
            write!(text, "user: {}:{} (not root: no drop)", me.me().uid, me.me().gid)?;
        }
        if let Some(directory) = self.directory {
            write!(text, "\ndirectory: {}", Shown(directory.to_bytes()))?;
        }
        let split = |variable: Bytes| variable.splitn(2, |byte| *byte == b'=');
        for variable in base.beyond(&self.environment) {
            let key = split(variable).next().unwrap_or_default();
            if self.environment.get(key).is_none() {
                write!(text, "\nunset: {}", Shown(key))?;
            }
        }
        for variable in self.environment.beyond(base) {
            let mut parts = split(variable).map(Shown);
            if let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                write!(text, "\nset: {key}={value}")?;
            }
        }
        text.push_str("\nargv:");
        for word in &self.argv {
            write!(text, " {}", Shown(word.to_bytes()))?;
        }
        text.push('\n');
        Ok(())
    }
}
