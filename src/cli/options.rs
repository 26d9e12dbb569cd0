//! The options: one row each, which parsing, suggestions and help read.

/// An option of one or more commands, in the order of help pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opt {
    /// `--dry-run`
    DryRun,
    /// `--explain`
    Explain,
    /// `--json`
    Json,
    /// `--print`
    Print,
    /// `--down`
    Down,
    /// `--follow`
    Follow,
    /// `--lines`
    Lines,
    /// `--raw`
    Raw,
    /// `--min-up`
    MinUp,
    /// `--env`
    Env,
    /// `--wait`
    Wait,
    /// `--sealed`
    Sealed,
    /// `--delegated`
    Delegated,
    /// `--adopt`
    Adopt,
    /// `--role`
    Role,
    /// `--topology`
    Topology,
    /// `--hermes-home`
    HermesHome,
    /// `--scandir`
    Scandir,
    /// `--owner`
    Owner,
    /// `--max-services`
    MaxServices,
}

/// Whether an option takes a value, and how help calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// It takes none.
    Nothing,
    /// It must have one.
    Value(&'static str),
    /// It may have one, after an equals sign.
    Optional(&'static str),
}

/// What an option is.
pub struct Row {
    /// The name after `--`.
    pub long: &'static str,
    /// The letter after `-`.
    pub letter: Option<char>,
    /// Its value.
    pub takes: Takes,
    /// What it means.
    pub meaning: &'static str,
}

const fn flag(long: &'static str, meaning: &'static str) -> Row {
    Row { long, letter: None, takes: Takes::Nothing, meaning }
}

const fn value(long: &'static str, placeholder: &'static str, meaning: &'static str) -> Row {
    Row { long, letter: None, takes: Takes::Value(placeholder), meaning }
}

impl Opt {
    /// Returns the option's row.
    pub const fn row(self) -> Row {
        match self {
            Opt::DryRun => flag("dry-run", "change nothing, print what would be done"),
            Opt::Explain => flag("explain", "change nothing, print why each profile starts or not"),
            Opt::Json => flag("json", "print one JSON object per line"),
            Opt::Print => flag("print", "print what would be executed"),
            Opt::Down => flag("down", "do not start the gateway"),
            Opt::Follow => {
                Row { letter: Some('f'), ..flag("follow", "-f: go on with what is printed from now on") }
            }
            Opt::Lines => Row { letter: Some('n'), ..value("lines", "N", "-n: how many lines, 20") },
            Opt::Raw => flag("raw", "the bytes as they are, not for a terminal"),
            Opt::MinUp => {
                value("min-up", "SECONDS", "what should be up must have been up so long, in seconds, 0")
            }
            Opt::Env => value("env", "KEY=VALUE", "KEY=VALUE: a variable for the gateway, until unregister"),
            Opt::Wait => Row {
                long: "wait",
                letter: None,
                takes: Takes::Optional("SECONDS"),
                meaning: "how long to wait, in seconds; without a value, 30",
            },
            Opt::Sealed => flag("sealed", "root keeps ownership of the slots (HERMES_INIT_SEALED=1)"),
            Opt::Delegated => flag(
                "delegated",
                "the hermes user gets it (HERMES_INIT_SEALED=0); if neither\n                  \
                 is set, a live sealed scan directory stays sealed",
            ),
            Opt::Adopt => flag("adopt", "also update supervised slots of another program"),
            Opt::Role => value("role", "ROLE", "gateway, frontend or auto (HERMES_INIT_ROLE, auto)"),
            Opt::Topology => value(
                "topology",
                "TOPOLOGY",
                "multiplex: the gateway of default serves all profiles but\n                  \
                 standalone ones; per-profile: each has its own; auto: by\n                  \
                 what is on the volume (HERMES_INIT_TOPOLOGY, auto)",
            ),
            Opt::HermesHome => value("hermes-home", "DIR", "the volume (HERMES_HOME, /opt/data)"),
            Opt::Scandir => {
                value("scandir", "DIR", "the scan directory (S6_PROFILE_GATEWAY_SCANDIR, /run/service)")
            }
            Opt::Owner => {
                value("owner", "USER|UID[:GID]", "USER|UID[:GID] (hermes in /etc/passwd, else 10000:10000)")
            }
            Opt::MaxServices => {
                value("max-services", "N", "s6-svscan's limit (HERMES_INIT_MAX_SERVICES, 1000)")
            }
        }
    }

    /// Returns the name after `--`.
    pub const fn long(self) -> &'static str {
        self.row().long
    }
}
