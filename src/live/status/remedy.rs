//! What helps, and the one place in which it is put into words.

/// What helps: a command of this program, or where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// `start NAME`.
    Start,
    /// `stop NAME`.
    Stop,
    /// `start default`.
    StartDefault,
    /// `restart default`.
    RestartDefault,
    /// `logs default` shows why.
    LogsOfDefault,
    /// `start NAME`, which replaces a state file that cannot be used, also of a gateway that runs.
    ReplaceState,
    /// The state file, which cannot be used, is removed.
    RemoveState,
    /// The file that makes a directory a profile, and then `start NAME`.
    RestoreAndStart,
    /// The same file, or `unregister NAME`.
    RestoreOrUnregister,
    /// `logs NAME` shows why, and then `start NAME`.
    LogsThenStart,
    /// `unregister NAME`.
    Unregister,
    /// `reconcile`, by root.
    Reconcile,
    /// `logs NAME` shows why.
    Logs,
    /// The container's log shows why.
    ContainerLog,
    /// s6-svc(8) for its logger: one that is up ends and is started again, and one that is down is started.
    RenewLogger,
}

/// What the text of a remedy has in it, as a person is to see it.
#[derive(Debug)]
pub struct Words<'a> {
    /// How a person calls the executable.
    pub program: &'a str,
    /// The row's name.
    pub name: &'a str,
    /// s6-svc.
    pub svc: &'a str,
    /// The row's service directory.
    pub directory: &'a str,
    /// Whether only root may make and remove slots, and this process is not root.
    pub is_roots: bool,
    /// Whether the gateway of `default` is the container's command, which starts with the container alone.
    pub is_foreground: bool,
}

impl Remedy {
    /// Returns what follows the sentence.
    pub fn text(self, words: &Words<'_>) -> String {
        let Words { program, name, svc, directory, is_roots, is_foreground } = words;
        let by = if *is_roots { "; as root" } else { "" };
        match self {
            Remedy::Start | Remedy::ReplaceState => format!("{by}: {program} start {name}"),
            Remedy::Stop => format!(": {program} stop {name}"),
            Remedy::StartDefault | Remedy::RestartDefault if *is_foreground => {
                ": restart the container".to_owned()
            }
            Remedy::StartDefault => format!("{by}: {program} start default"),
            Remedy::RestartDefault => format!(": {program} restart default"),
            Remedy::LogsOfDefault => format!("; see: {program} logs default"),
            Remedy::RemoveState => "; remove the file".to_owned(),
            Remedy::RestoreAndStart => format!("; restore the file, then: {program} start {name}"),
            Remedy::RestoreOrUnregister => {
                format!("; restore the file, or remove the slot: {program} unregister {name}")
            }
            Remedy::LogsThenStart => {
                format!("; see: {program} logs {name}; to start it again: {program} start {name}")
            }
            Remedy::Unregister => format!("{by}: {program} unregister {name}"),
            Remedy::Reconcile => format!("; as root: {program} reconcile"),
            Remedy::Logs => format!("; see: {program} logs {name}"),
            Remedy::ContainerLog => "; the container's log says why".to_owned(),
            Remedy::RenewLogger => format!(": {svc} -uh {directory}/log"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_root_may_do_is_said_to_be_so() {
        let words = |is_roots| Words {
            program: "P",
            name: "x",
            svc: "S",
            directory: "/D",
            is_roots,
            is_foreground: false,
        };
        for (remedy, expected) in [
            (Remedy::Start, [": P start x", "; as root: P start x"]),
            (Remedy::ReplaceState, [": P start x", "; as root: P start x"]),
            (Remedy::StartDefault, [": P start default", "; as root: P start default"]),
            (Remedy::Unregister, [": P unregister x", "; as root: P unregister x"]),
            (Remedy::Reconcile, ["; as root: P reconcile"; 2]),
            (Remedy::Logs, ["; see: P logs x"; 2]),
            (Remedy::RenewLogger, [": S -uh /D/log"; 2]),
        ] {
            assert_eq!([false, true].map(|is_roots| remedy.text(&words(is_roots))), expected, "{remedy:?}");
        }
    }

    #[test]
    fn the_containers_command_starts_with_the_container() {
        let words = Words {
            program: "P",
            name: "x",
            svc: "S",
            directory: "/D",
            is_roots: false,
            is_foreground: true,
        };
        for (remedy, expected) in [
            (Remedy::StartDefault, ": restart the container"),
            (Remedy::RestartDefault, ": restart the container"),
            (Remedy::Start, ": P start x"),
        ] {
            assert_eq!(remedy.text(&words), expected);
        }
    }
}
