//! Whose container this is: gateways are reconciled where the container's command is the gateway's, and nowhere else, or two
//! containers on one volume start each gateway twice.

use crate::sys::{keep, process};

/// Whose command this container runs, as decided by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleChoice {
    /// Look at the container's command.
    Auto,
    /// A gateway container.
    Gateway,
    /// The dashboard's, or another front end's.
    Frontend,
}

impl RoleChoice {
    /// The word of an option or a variable.
    pub fn parse(word: &[u8]) -> Option<RoleChoice> {
        match word {
            b"auto" => Some(RoleChoice::Auto),
            b"gateway" => Some(RoleChoice::Gateway),
            b"frontend" => Some(RoleChoice::Frontend),
            _ => None,
        }
    }
}

/// The image's script that runs the container's command; what stands behind it is the command.
const WRAPPER: &[u8] = b"main-wrapper.sh";
/// The image's other way in, which precedes the command where the container's init is not s6-overlay's.
const DISPATCH: &[u8] = b"entrypoint-dispatch.sh";
/// Commands that serve people and run no gateway.
const FRONTENDS: [&[u8]; 4] = [b"dashboard", b"serve", b"gui", b"desktop"];

/// The container's command, without what the image puts in front of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerCommand<'a> {
    words: Vec<&'a [u8]>,
}

impl<'a> ContainerCommand<'a> {
    /// Finds it in the argv of the process that runs the wrapper: process 1 first, then every other. No words where there
    /// is no such process.
    pub fn find() -> ContainerCommand<'static> {
        let mut found = None;
        process::each_argv(&mut |cmdline| {
            if ContainerCommand::of_cmdline(cmdline).is_some() {
                found = ContainerCommand::of_cmdline(keep::bytes(&[cmdline]));
            }
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// The command in the text of a /proc/PID/cmdline; `None` where that process does not run the wrapper.
    pub fn of_cmdline(cmdline: &'a [u8]) -> Option<ContainerCommand<'a>> {
        let mut words = cmdline.split(|byte| *byte == 0).filter(|word| !word.is_empty()).peekable();
        words.find(|word| is_file(word, WRAPPER))?;
        words.next_if(|word| is_file(word, DISPATCH));
        words.next_if(|word| is_file(word, b"hermes"));
        Some(ContainerCommand { words: words.collect() })
    }

    /// The front end that it runs, if it runs one.
    pub fn frontend(&self) -> Option<&'a [u8]> {
        self.words.first().copied().filter(|first| FRONTENDS.contains(first))
    }

    /// Whether it is `gateway run` as from before s6, left to the supervision.
    pub fn is_gateway_run(&self) -> bool {
        let gateway_run = self.words.starts_with(&[b"gateway", b"run"]);
        gateway_run && !self.words.contains(&&b"--no-supervise"[..])
    }

    /// The words, for `--explain`.
    pub fn words(&self) -> &[&'a [u8]] {
        &self.words
    }
}

/// Whether a word is this file, with or without a path.
fn is_file(word: &[u8], name: &[u8]) -> bool {
    word.rsplit(|byte| *byte == b'/').next() == Some(name)
}
