//! The options: a row for each, from which parsing, suggestions and help work.

use crate::live::{control, logs};
use crate::settings::choice::words;
use crate::settings::{self, role, topology};

/// The time that `--wait` without a value waits, in seconds: as long as without the option.
pub const WAIT: u64 = control::WAIT.as_secs();

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
    /// `--private`
    Private,
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

/// Whether an option takes a value, with the value's placeholder in help.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// It is a flag.
    Nothing,
    /// It requires one.
    Value(&'static str),
    /// It requires one of these words.
    OneOf(fn() -> Vec<&'static str>),
    /// It may have a number, after an equals sign. Without one, this number holds. A number in the next word is wrong usage, because
    /// it is probably meant as the value.
    Optional(&'static str, u64),
}

/// The variable that is equivalent to an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// There is none.
    None,
    /// One that takes the same value.
    Value(&'static str),
    /// One with this value.
    Set(&'static str, &'static str),
}

/// What holds without the option and its variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// Nothing worth printing.
    None,
    /// This value.
    Text(&'static str),
    /// This number.
    Number(u64),
}

/// The properties of an option.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name after `--`.
    pub long: &'static str,
    /// The letter after `-`.
    pub letter: Option<char>,
    /// Whether it takes a value.
    pub takes: Takes,
    /// Its meaning, for help.
    pub meaning: &'static str,
    /// The equivalent variable.
    pub variable: Variable,
    /// The default.
    pub default: Default,
}

const fn flag(long: &'static str, meaning: &'static str) -> Row {
    Row {
        long,
        letter: None,
        takes: Takes::Nothing,
        meaning,
        variable: Variable::None,
        default: Default::None,
    }
}

const fn value(long: &'static str, placeholder: &'static str, meaning: &'static str) -> Row {
    Row { takes: Takes::Value(placeholder), ..flag(long, meaning) }
}

const fn one_of(long: &'static str, words: fn() -> Vec<&'static str>, meaning: &'static str) -> Row {
    Row { takes: Takes::OneOf(words), ..flag(long, meaning) }
}

impl Row {
    const fn letter(self, letter: char) -> Row {
        Row { letter: Some(letter), ..self }
    }

    const fn variable(self, variable: Variable) -> Row {
        Row { variable, ..self }
    }

    const fn default(self, default: Default) -> Row {
        Row { default, ..self }
    }
}

impl Opt {
    /// Returns the option's row.
    pub const fn row(self) -> Row {
        match self {
            Opt::DryRun => flag("dry-run", "change nothing; print what would be done"),
            Opt::Private => flag("private", "give also what the hermes user cannot read"),
            Opt::Explain => flag("explain", "change nothing; print why each profile starts or stays down"),
            Opt::Json => flag("json", "print one JSON object per line"),
            Opt::Print => flag("print", "print what would be executed"),
            Opt::Down => flag("down", "do not start the gateway"),
            Opt::Follow => flag("follow", "keep printing new lines").letter('f'),
            Opt::Lines => value("lines", "LINES", "number of lines to print")
                .letter('n')
                .default(Default::Number(logs::LINES as u64)),
            Opt::Raw => flag("raw", "print the bytes unchanged; not for a terminal"),
            Opt::MinUp => value("min-up", "SECONDS", "minimum uptime of what should be up")
                .default(Default::Number(0)),
            Opt::Env => value("env", "KEY=VALUE", "set a variable for the gateway, until unregister"),
            Opt::Wait => Row {
                takes: Takes::Optional("SECONDS", WAIT),
                ..flag("wait", "maximum time to wait")
            },
            Opt::Sealed => flag("sealed", "root keeps ownership of the slots")
                .variable(Variable::Set(settings::SEALED_VARIABLE, "1")),
            Opt::Delegated => flag(
                "delegated",
                "the hermes user owns the slots; if neither is set, a live sealed scan directory stays sealed",
            )
            .variable(Variable::Set(settings::SEALED_VARIABLE, "0")),
            Opt::Adopt => flag("adopt", "also update supervised slots that another program created"),
            Opt::Role => one_of("role", || words(&role::CHOICES), "what the container is for; auto: by its command")
                .variable(Variable::Value(settings::ROLE_VARIABLE))
                .default(Default::Text("auto")),
            Opt::Topology => one_of(
                "topology",
                || words(&topology::CHOICES),
                "multiplex: the gateway of default serves all profiles but standalone ones; per-profile: each has \
                 its own; auto: according to the volume",
            )
            .variable(Variable::Value(settings::TOPOLOGY_VARIABLE))
            .default(Default::Text("auto")),
            Opt::HermesHome => value("hermes-home", "DIR", "the volume")
                .variable(Variable::Value(settings::HOME_VARIABLE))
                .default(Default::Text(settings::HOME)),
            Opt::Scandir => value("scandir", "DIR", "the scan directory")
                .variable(Variable::Value(settings::SCANDIR_VARIABLE))
                .default(Default::Text(settings::SCANDIR)),
            Opt::Owner => value("owner", "USER|UID[:GID]", "the hermes user")
                .default(Default::Text("hermes in /etc/passwd, else 10000:10000")),
            Opt::MaxServices => value("max-services", "NUMBER", "number of services that s6-svscan handles")
                .variable(Variable::Value(settings::MAX_SERVICES_VARIABLE))
                .default(Default::Number(settings::SERVICES as u64)),
        }
    }

    /// Returns the name after `--`.
    pub const fn long(self) -> &'static str {
        self.row().long
    }
}
