//! The role of the container. Gateways are started only in the gateway's container: two containers on one volume would start each
//! gateway twice.

use std::cell::OnceCell;
use std::path::Path;

use super::Setting;
use crate::output::escape::Shown;
use crate::output::{Context, Result};
use crate::s6::ProfileName;
use crate::sys::proc;

/// The role that an option or a variable sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleChoice {
    /// The container's command decides.
    Auto,
    /// A gateway container.
    Gateway,
    /// The container of the dashboard or of another front end.
    Frontend,
}

/// The words of an option or a variable.
pub static CHOICES: [(&str, RoleChoice); 3] =
    [("gateway", RoleChoice::Gateway), ("frontend", RoleChoice::Frontend), ("auto", RoleChoice::Auto)];

/// The image's script that runs the container's command; the command is the words after it.
const WRAPPER: &[u8] = b"main-wrapper.sh";
/// The image's other entry point, which precedes the command if the container's init is not s6-overlay.
const DISPATCH: &[u8] = b"entrypoint-dispatch.sh";
/// The program that the image runs, which may precede the command.
const HERMES: &[u8] = b"hermes";
/// Commands that serve a user interface and run no gateway.
const FRONTENDS: [&[u8]; 4] = [b"dashboard", b"serve", b"gui", b"desktop"];

/// The container's command, without the words that the image puts before it. It is looked up at the first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerCommand {
    /// As root, only this user's processes count.
    uid: u32,
    words: OnceCell<Vec<Vec<u8>>>,
}

/// Who runs the gateway of a container whose command is `gateway run`, as in containers from before s6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayRun {
    /// s6 does.
    Supervised,
    /// The command itself does.
    Foreground,
}

/// The command `gateway run`, of whichever profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCommand {
    /// The profile that an option names.
    pub profile: Option<String>,
    /// Whether an option says that the command itself runs the gateway.
    pub is_alone: bool,
}

impl ContainerCommand {
    /// Makes the command of a container that this user runs.
    pub fn of_user(uid: u32) -> ContainerCommand {
        ContainerCommand { uid, words: OnceCell::new() }
    }

    /// Returns the words: those of the process that runs the wrapper, which is process 1 or another one; empty without such a
    /// process.
    pub fn words(&self) -> Result<&[Vec<u8>]> {
        if let Some(words) = self.words.get() {
            return Ok(words);
        }
        let found = proc::find_argv(self.uid, ContainerCommand::of_cmdline);
        let found = found.context("look for the container's command in", Path::new("/proc"))?;
        Ok(self.words.get_or_init(|| found.unwrap_or_default()))
    }

    /// Returns the command in the text of a /proc/PID/cmdline; `None` if that process does not run the wrapper.
    pub fn of_cmdline(cmdline: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut words = cmdline.split(|byte| *byte == 0).filter(|word| !word.is_empty()).peekable();
        words.find(|word| is_file(word, WRAPPER))?;
        words.next_if(|word| is_file(word, DISPATCH));
        words.next_if(|word| is_file(word, HERMES));
        Some(words.map(<[u8]>::to_vec).collect())
    }

    /// Returns the front end that the command runs, if any.
    pub fn frontend(&self) -> Result<Option<&[u8]>> {
        self.words().map(frontend)
    }

    /// Returns the command, if it is `gateway run` of any profile.
    pub fn run_command(&self) -> Result<Option<RunCommand>> {
        self.words().map(run_command)
    }

    /// Returns who runs the gateway, if the command is `gateway run`.
    pub fn gateway_run(&self) -> Result<Option<GatewayRun>> {
        self.words().map(gateway_run)
    }
}

fn frontend(words: &[Vec<u8>]) -> Option<&[u8]> {
    words.first().map(Vec::as_slice).filter(|first| FRONTENDS.contains(first))
}

fn gateway_run(words: &[Vec<u8>]) -> Option<GatewayRun> {
    match words {
        [first, second, rest @ ..] if first == b"gateway" && second == b"run" => {
            let is_alone = rest.iter().any(|word| word == b"--no-supervise");
            Some(if is_alone { GatewayRun::Foreground } else { GatewayRun::Supervised })
        }
        _ => None,
    }
}

/// Finds the profile as Hermes Agent does: by the first `-p NAME`, `--profile NAME` or `--profile=NAME` before or after the subcommand, up
/// to `--`. Other options may stand before the subcommand.
fn run_command(words: &[Vec<u8>]) -> Option<RunCommand> {
    let text = |word: &[u8]| String::from_utf8_lossy(&word.trim_ascii().to_ascii_lowercase()).into_owned();
    let (mut profile, mut others) = (None, Vec::new());
    let mut words = words.iter().map(Vec::as_slice).peekable();
    while let Some(word) = words.next().filter(|word| *word != b"--") {
        let value = match word {
            _ if profile.is_some() => None,
            b"-p" | b"--profile" => words.next_if(|value| ProfileName::parse(text(value).as_bytes()).is_ok()),
            _ => word.strip_prefix(b"--profile="),
        };
        match value {
            Some(value) => profile = Some(text(value)),
            None => others.push(word),
        }
    }
    let mut subcommand = others.iter().filter(|word| !word.starts_with(b"-"));
    let is_run = subcommand.next().is_some_and(|word| word == b"gateway")
        && subcommand.next().is_some_and(|word| word == b"run");
    let is_alone = others.iter().any(|word| word == b"--no-supervise");
    is_run.then_some(RunCommand { profile, is_alone })
}

/// Returns whether a word names this file, with or without a path.
fn is_file(word: &[u8], name: &[u8]) -> bool {
    word.rsplit(|byte| *byte == b'/').next() == Some(name)
}

/// Returns why no gateway belongs in this container, if it is a front end's.
pub fn front_end(role: &Setting<RoleChoice>, command: &ContainerCommand) -> Result<Option<String>> {
    Ok(match role.value {
        RoleChoice::Gateway => None,
        RoleChoice::Frontend => Some(format!("the role is frontend ({})", role.source.text())),
        RoleChoice::Auto => command.frontend()?.map(|word| {
            format!(
                "this container's command is {}, a front end; gateways belong in the gateway's container",
                Shown(word)
            )
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::settings::choice::choose;

    /// Returns the command of a process with these words.
    fn command(words: &[&str]) -> Option<Vec<String>> {
        let cmdline: String = words.iter().flat_map(|word| [*word, "\0"]).collect();
        let found = ContainerCommand::of_cmdline(cmdline.as_bytes())?;
        Some(found.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    fn split(text: &str) -> Vec<Vec<u8>> {
        text.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn each_word_is_its_role() {
        for (word, role) in
            [("gateway", RoleChoice::Gateway), ("frontend", RoleChoice::Frontend), ("auto", RoleChoice::Auto)]
        {
            assert_eq!(choose(&CHOICES, OsStr::new(word)), Ok(role));
        }
        let why = "front is not one of gateway, frontend, auto";
        assert_eq!(choose(&CHOICES, OsStr::new("front")), Err(why.to_owned()));
    }

    #[test]
    fn the_command_is_what_follows_the_words_of_the_image() {
        const WRAPPED: &str = "/opt/main-wrapper.sh";
        for (words, expected) in [
            (&["/bin/sh", "-e", WRAPPED, "gateway", "run"][..], Some(&["gateway", "run"][..])),
            (&["main-wrapper.sh", "gateway"], Some(&["gateway"])),
            (&[WRAPPED], Some(&[])),
            (&[WRAPPED, "", "dashboard", ""], Some(&["dashboard"])),
            (&[WRAPPED, "/opt/entrypoint-dispatch.sh", "hermes", "gateway"], Some(&["gateway"])),
            (&[WRAPPED, "/opt/hermes", "gateway"], Some(&["gateway"])),
            // Only in this order, and each only once.
            (&[WRAPPED, "hermes", "entrypoint-dispatch.sh", "x"], Some(&["entrypoint-dispatch.sh", "x"])),
            (&[WRAPPED, "hermes", "hermes", "x"], Some(&["hermes", "x"])),
            (&[WRAPPED, "x", "hermes"], Some(&["x", "hermes"])),
            (&["/opt/xmain-wrapper.sh", "gateway"], None),
            (&["/main-wrapper.sh/x", "gateway"], None),
            (&["sleep", "1"], None),
            (&[], None),
        ] {
            let expected = expected.map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(command(words), expected, "{words:?}");
        }
    }

    #[test]
    fn a_front_end_is_the_first_word() {
        for word in ["dashboard", "serve", "gui", "desktop"] {
            assert_eq!(frontend(&split(&format!("{word} --port 1"))), Some(word.as_bytes()));
        }
        for text in ["", "gateway run", "x dashboard", "Dashboard", "dashboards"] {
            assert_eq!(frontend(&split(text)), None, "{text}");
        }
    }

    #[test]
    fn gateway_run_is_of_the_profile_that_an_option_names() {
        for (text, expected) in [
            ("gateway run", Some((None, false))),
            ("gateway run --no-supervise", Some((None, true))),
            ("-p coder gateway run --no-supervise", Some((Some("coder"), true))),
            ("--profile coder gateway run", Some((Some("coder"), false))),
            ("--profile=coder gateway run --no-supervise", Some((Some("coder"), true))),
            ("gateway run --no-supervise -p Coder", Some((Some("coder"), true))),
            ("gateway -p coder run --replace --no-supervise", Some((Some("coder"), true))),
            ("--verbose gateway run --no-supervise", Some((None, true))),
            ("-p coder -p ops gateway run", None),
            ("gateway run -p coder -p ops", Some((Some("coder"), false))),
            ("gateway run -- -p coder --no-supervise", Some((None, false))),
            ("gateway run -p --no-supervise", Some((None, true))),
            ("gateway run --no-supervise -p", Some((None, true))),
            ("gateway start -p coder", None),
            ("-p coder", None),
            ("run gateway", None),
            ("x gateway run", None),
            ("", None),
        ] {
            let expected = expected.map(|(profile, is_alone): (Option<&str>, _)| RunCommand {
                profile: profile.map(str::to_owned),
                is_alone,
            });
            assert_eq!(run_command(&split(text)), expected, "{text}");
        }
    }

    #[test]
    fn gateway_run_is_supervised_unless_it_says_no() {
        for (text, expected) in [
            ("gateway run", Some(GatewayRun::Supervised)),
            ("gateway run --replace", Some(GatewayRun::Supervised)),
            ("gateway run --replace --no-supervise", Some(GatewayRun::Foreground)),
            ("gateway run --no-supervise=1", Some(GatewayRun::Supervised)),
            ("gateway", None),
            ("gateway start", None),
            ("run gateway", None),
            ("x gateway run", None),
            ("", None),
        ] {
            assert_eq!(gateway_run(&split(text)), expected, "{text}");
        }
    }
}
