//! What all slots of a pass have in common: the contents of their files, and their owners and modes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::s6::policy::Policy;
use crate::s6::servicedir::{DATA, DOWN, FINISH, PROGRAM, RUN, TYPE};
use crate::sys::{Dir, Errno, Name, Ownership};

/// Largest script that is read, in bytes. The program's own are a `#!` line and a path.
pub const SCRIPT_CAP: u64 = 8192;

/// Beginning of the second line of `run` and `log/run`; the path and a newline follow. The kernel reads only the first line.
const HOME_IS: &[u8] = b"HERMES_HOME=";

/// Returns the `HERMES_HOME` in a script.
pub fn home_in(script: &[u8]) -> Option<&OsStr> {
    let line = script.iter().position(|byte| *byte == b'\n')? + 1;
    let home = script.get(line..)?.strip_prefix(HOME_IS)?.strip_suffix(b"\n")?;
    Some(OsStr::from_bytes(home))
}

/// What all slots of a pass have in common.
pub struct Template<'a> {
    /// The owners and modes.
    pub policy: Policy,
    /// What changes owners.
    pub ownership: &'a Ownership,
    run: Vec<u8>,
    finish: Vec<u8>,
    log_run: Vec<u8>,
}

/// Longest `#!` line, in bytes: the kernel's `BINPRM_BUF_SIZE` is 256, which includes the newline.
const SHEBANG_MAX: usize = 255;

impl<'a> Template<'a> {
    /// Makes the template of slots whose scripts name the program at `executable`. The error says why a `#!` line cannot name that path.
    /// `home` is `HERMES_HOME` where the container environment does not have it; [`home_in`] finds it in a script.
    pub fn new(
        executable: &Path,
        home: Option<&Path>,
        policy: Policy,
        ownership: &'a Ownership,
    ) -> Result<Template<'a>, &'static str> {
        let executable = executable.as_os_str().as_bytes();
        if executable.iter().any(u8::is_ascii_whitespace) {
            return Err("a #! line cannot contain a path with white space: install it elsewhere");
        }
        let home = home.map(|home| [HOME_IS, home.as_os_str().as_bytes(), b"\n"].concat());
        let home = home.as_deref().unwrap_or_default();
        let script = |command: &[u8], rest| [b"#!", executable, b" ", command, b"\n", rest].concat();
        let run = script(b"gateway-run", home);
        let finish = script(b"gateway-finish", b"");
        let log_run = script(b"gateway-log", home);
        if finish.len() > SHEBANG_MAX {
            return Err("the path is too long for a #! line: install it elsewhere");
        }
        Ok(Template { policy, ownership, run, finish, log_run })
    }

    /// Returns the regular files of the slot itself, without `down`.
    pub fn files(&self) -> [File<'_>; 3] {
        [
            File { name: &TYPE, mode: DATA, content: b"longrun\n" },
            File { name: &RUN, mode: PROGRAM, content: &self.run },
            File { name: &FINISH, mode: PROGRAM, content: &self.finish },
        ]
    }

    /// Returns the regular file of `log`.
    pub fn log_file(&self) -> File<'_> {
        File { name: &RUN, mode: PROGRAM, content: &self.log_run }
    }
}

/// A regular file of a slot.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// Its name.
    pub name: &'static Name,
    /// Permission bits.
    pub mode: u32,
    /// Its content.
    pub content: &'a [u8],
}

/// The file `down`.
pub static DOWN_FILE: File<'static> = File { name: &DOWN, mode: DATA, content: b"" };

/// The default state of a slot: what its supervisor does when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultState {
    /// The gateway is started.
    Up,
    /// There is a file `down`: the gateway is not started until somebody asks for it.
    Down,
}

impl DefaultState {
    /// Returns the default state of a slot that is there.
    pub fn of(slot: &Dir) -> Result<DefaultState, Errno> {
        Ok(if slot.has(&DOWN)? { DefaultState::Down } else { DefaultState::Up })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s6::Mode;
    use crate::sys::Ids;

    /// Returns `run`, `finish` and `log/run`.
    fn scripts(executable: &str, home: Option<&str>) -> Result<[String; 3], &'static str> {
        let (ids, ownership) = (Ids { uid: 10_000, gid: 10_000 }, Ownership::new());
        let policy = Policy::new(Mode::Delegated, ids, ids);
        let template = Template::new(Path::new(executable), home.map(Path::new), policy, &ownership)?;
        let text = |script: &[u8]| String::from_utf8_lossy(script).into_owned();
        Ok([text(&template.run), text(&template.finish), text(&template.log_run)])
    }

    #[test]
    fn scripts_name_the_program_and_the_home_that_the_container_environment_lacks() {
        let expected = |home: &str| {
            Ok([
                format!("#!/usr/bin/hermes-init gateway-run\n{home}"),
                "#!/usr/bin/hermes-init gateway-finish\n".to_owned(),
                format!("#!/usr/bin/hermes-init gateway-log\n{home}"),
            ])
        };
        assert_eq!(scripts("/usr/bin/hermes-init", None), expected(""));
        assert_eq!(
            scripts("/usr/bin/hermes-init", Some("/opt/my data")),
            expected("HERMES_HOME=/opt/my data\n")
        );
    }

    #[test]
    fn the_kernel_reads_255_bytes_of_the_first_line() {
        let long = |length: usize| format!("/{}", "x".repeat(length - 1));
        let rest = "#! gateway-finish\n".len();
        assert!(scripts(&long(255 - rest), Some("/opt/data")).is_ok());
        assert!(scripts(&long(256 - rest), None).is_err());
        for path in ["/usr/my bin/x", "/usr/bin/x\n", "/usr/\tx"] {
            assert!(scripts(path, None).is_err(), "{path:?}");
        }
    }

    #[test]
    fn the_home_is_the_second_line_of_a_script() {
        for (script, expected) in [
            ("#!/x gateway-run\nHERMES_HOME=/opt/data\n", Some("/opt/data")),
            ("#!/x gateway-run\nHERMES_HOME=/a b\nc\n", Some("/a b\nc")),
            ("#!/x gateway-run\nHERMES_HOME=\n", Some("")),
            ("#!/x gateway-run\nHERMES_HOME=/opt/data", None),
            ("#!/x gateway-run\n", None),
            ("#!/x gateway-run", None),
            ("HERMES_HOME=/opt/data\n", None),
            ("#!/bin/sh\nexport HERMES_HOME=/opt/data\n", None),
            ("", None),
        ] {
            assert_eq!(home_in(script.as_bytes()), expected.map(OsStr::new), "{script:?}");
        }
    }
}
