//! Executes another program as the hermes user (groups, user, directory, PATH look-up, exec), or prints what would be executed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{Effect, failure, unrunnable};
use crate::output::escape::Shown;
use crate::output::{Console, Error, Result, exit};
use crate::s6::programs;
use crate::settings::Environment;
use crate::settings::user::Runner;
use crate::sys::{Ids, Ownership, process};

/// Becomes the hermes user for good if this process is root; does nothing otherwise. Must be called before anything that the hermes
/// user controls is opened. A refusal is an error, so that nothing of the hermes user ever runs as root.
pub fn drop_privileges(runner: &Runner) -> Result<()> {
    if !Ownership::new().is_root() {
        return Ok(());
    }
    process::become_user(runner.user.ids, &runner.groups)
        .map_err(|errno| Error::new("drop privileges to", runner.user.ids, errno))
}

/// A program to execute in place of this process.
pub struct Launch<'a> {
    /// Its name, which is also argv[0], its arguments, its whole environment, and its working directory if it is another one.
    pub command: Command,
    /// Where the name is looked up.
    pub place: Place,
    /// The user that it runs as.
    pub runner: &'a Runner,
    /// The environment before changes: `--print` shows the difference.
    pub base: &'a Environment,
}

/// Where the name of a program is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the PATH of the program's own environment.
    Path,
    /// In s6-overlay's directory of s6's programs, else on that PATH.
    S6,
}

/// The variable with the directories in which programs are looked up.
const PATH: &str = "PATH";

/// Returns the value of PATH in this environment, or execvp(3)'s default.
pub fn path(environment: &Environment) -> &OsStr {
    environment.get(OsStr::new(PATH)).map_or(OsStr::new(programs::DEFAULT_PATH), OsString::as_os_str)
}

/// Returns a program by its name, which is also argv[0], with exactly this environment.
pub fn program(name: impl AsRef<OsStr>, environment: &Environment) -> Command {
    let mut command = Command::new(name);
    command.env_clear().envs(environment);
    command
}

impl Launch<'_> {
    /// Executes the program, or prints it. Returns if it is printed, or if the execution fails.
    pub fn carry_out(&self, effect: Effect, console: &Console) -> Result<u8> {
        match effect {
            Effect::Print => {
                let ownership = Ownership::new();
                let user =
                    if ownership.is_root() { as_root(self.runner) } else { as_other(ownership.process()) };
                console.print(&format!("{user}\n{}\n", describe(&self.command, self.base)));
                Ok(0)
            }
            Effect::Execute => Err(self.exec()),
        }
    }

    /// Executes the program. Returns only on failure.
    fn exec(&self) -> Error {
        let directory = self.command.get_current_dir();
        if let Some((directory, Err(errno))) =
            directory.map(|directory| (directory, process::change_to(directory)))
        {
            return Error::new("change to", directory, errno);
        }
        let name = self.command.get_program();
        let path = value(&self.command, PATH).unwrap_or(OsStr::new(programs::DEFAULT_PATH));
        let found = match self.place {
            Place::S6 => programs::find(name, path),
            Place::Path => Ok(process::find_on_path(name, path)),
        };
        let file = match found {
            Ok(Some(file)) => file,
            Ok(None) => {
                let reason = format!("not found on PATH {}", Shown(path.as_bytes()));
                return Error::new("run", Path::new(name), reason).with_code(exit::NOT_FOUND);
            }
            Err(error) => return error.with_code(exit::NOT_EXECUTABLE),
        };
        let errno = process::exec(located(&self.command, &file));
        let reason = unrunnable::reason(&file, errno);
        Error::new("run", file, reason).with_code(failure::of_exec(errno))
    }
}

/// Returns the program with its file, to be executed in this process's directory.
fn located(command: &Command, file: &Path) -> Command {
    let mut located = Command::new(file);
    located.arg0(command.get_program()).args(command.get_args()).env_clear().envs(variables(command));
    located
}

/// Returns the variables of a program.
fn variables(command: &Command) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    command.get_envs().filter_map(|(key, value)| Some((key, value?)))
}

/// Returns the value of a program's variable.
fn value<'a>(command: &'a Command, key: &str) -> Option<&'a OsStr> {
    variables(command).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Returns the line about the user that root becomes.
fn as_root(runner: &Runner) -> String {
    let groups: Vec<String> = runner.groups.iter().map(ToString::to_string).collect();
    let (name, Ids { uid, gid }) = (Shown(&runner.user.name), runner.user.ids);
    format!("user: {name} {uid}:{gid} groups {}", groups.join(","))
}

/// Returns the line about a user that is not root, and stays the same.
fn as_other(Ids { uid, gid }: Ids) -> String {
    format!("user: {uid}:{gid} (not root: no drop)")
}

/// Returns the lines about a program: directory, difference between `base` and its environment, argv.
fn describe(command: &Command, base: &Environment) -> String {
    let directory = command.get_current_dir().map(|path| format!("directory: {}", shown(path.as_os_str())));
    let is_unset = |key: &&OsString| variables(command).all(|(name, _)| name != key.as_os_str());
    let unset = base.keys().filter(is_unset).map(|key| format!("unset: {}", shown(key)));
    let is_new = |(key, value): &(&OsStr, &OsStr)| base.get(*key).is_none_or(|base| base != value);
    let set =
        variables(command).filter(is_new).map(|(key, value)| format!("set: {}={}", shown(key), shown(value)));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(shown);
    let argv = format!("argv: {}", words.collect::<Vec<_>>().join(" "));
    directory.into_iter().chain(unset).chain(set).chain([argv]).collect::<Vec<_>>().join("\n")
}

fn shown(word: &OsStr) -> String {
    Shown(word.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn a_program_is_described_by_directory_difference_and_argv() {
        let base = environment(&[("A", "1"), ("B", "2"), ("C", "3")]);
        let mut command = program("hermes", &environment(&[("A", "1"), ("B", "x y"), ("D", "")]));
        command.args(["-p", "a b"]).current_dir("/opt/data");
        let expected = "directory: /opt/data\nunset: C\nset: B=\"x y\"\nset: D=\"\"\nargv: hermes -p \"a b\"";
        assert_eq!(describe(&command, &base), expected);
        assert_eq!(describe(&program("s6-log", &base), &base), "argv: s6-log");
    }

    #[test]
    fn a_located_program_keeps_argv_and_environment() {
        let variables = environment(&[("A", "1"), ("PATH", "/x")]);
        let mut command = program("hermes", &variables);
        command.arg("run").current_dir("/opt/data");
        let located = located(&command, Path::new("/x/hermes"));
        assert_eq!(located.get_program(), "/x/hermes");
        // There is no other way to see argv[0].
        assert!(format!("{located:?}").ends_with(r#"["/x/hermes"] "hermes" "run""#), "{located:?}");
        assert_eq!(describe(&located, &variables), "argv: /x/hermes run");
        assert_eq!(value(&located, "PATH"), Some(OsStr::new("/x")));
    }
}
