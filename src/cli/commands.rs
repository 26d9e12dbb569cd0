//! The commands, and what each takes: one table, which parsing, suggestions, help and the applet names read.

use std::ffi::OsStr;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;

/// The commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The boot pass.
    Reconcile,
    /// Opens static services to the hermes user.
    FixPerms,
    /// Makes a supervise skeleton.
    Seed,
    /// `run` of a slot.
    GatewayRun,
    /// `log/run` of a slot.
    GatewayLog,
    /// `finish` of a slot.
    GatewayFinish,
    /// `run` of the dashboard.
    DashboardRun,
    /// `finish` of the dashboard.
    DashboardFinish,
    /// Makes a slot on a live container.
    Register,
    /// Removes a slot from a live container.
    Unregister,
    /// Starts gateways.
    Start,
    /// Stops gateways.
    Stop,
    /// Restarts gateways.
    Restart,
    /// Shows slots and profiles.
    Status,
    /// Tells what is not as it should be.
    Health,
    /// Shows what gateways have printed.
    Logs,
    /// Prints a help page.
    Help,
}

/// What one command takes.
pub struct Grammar {
    /// The command.
    pub command: Command,
    /// Its name.
    pub name: &'static str,
    /// The long names of its options, separated by blanks.
    pub options: &'static str,
    /// The number of operands.
    pub operands: RangeInclusive<usize>,
    /// What an operand is.
    pub operand: &'static str,
}

const MANY: usize = usize::MAX;
/// Options without a value. `wait` may take one; all others must.
pub const FLAGS: &str = "dry-run explain json sealed delegated print down adopt follow raw";
/// Options that have a short name, too: its letter.
pub static SHORT: [(char, &str); 2] = [('f', "follow"), ('n', "lines")];

const fn grammar(
    command: Command,
    name: &'static str,
    options: &'static str,
    operands: RangeInclusive<usize>,
    operand: &'static str,
) -> Grammar {
    Grammar { command, name, options, operands, operand }
}

macro_rules! with_places {
    ($options:literal) => {
        concat!($options, " hermes-home scandir owner")
    };
}

/// What each command takes.
pub static GRAMMARS: [Grammar; 17] = [
    grammar(
        Command::Reconcile,
        "reconcile",
        with_places!("dry-run explain json sealed delegated adopt role topology max-services"),
        0..=0,
        "",
    ),
    grammar(Command::FixPerms, "fix-perms", "dry-run json sealed delegated owner", 0..=1, "DIR"),
    grammar(Command::Seed, "seed", "sealed delegated owner", 1..=MANY, "DIR"),
    grammar(Command::GatewayRun, "gateway-run", "print", 1..=2, "SERVICE"),
    grammar(Command::GatewayLog, "gateway-log", "print", 1..=2, "SERVICE"),
    grammar(Command::GatewayFinish, "gateway-finish", "", 0..=MANY, "EXITCODE"),
    grammar(Command::DashboardRun, "dashboard-run", "print", 0..=MANY, "SERVICE"),
    grammar(Command::DashboardFinish, "dashboard-finish", "", 0..=MANY, "EXITCODE"),
    grammar(Command::Register, "register", with_places!("down env role sealed delegated"), 1..=1, "NAME"),
    grammar(Command::Unregister, "unregister", with_places!("wait sealed delegated"), 1..=1, "NAME"),
    grammar(Command::Start, "start", with_places!("wait role sealed delegated topology"), 1..=MANY, "NAME"),
    grammar(Command::Stop, "stop", with_places!("wait role sealed delegated topology"), 1..=MANY, "NAME"),
    grammar(
        Command::Restart,
        "restart",
        with_places!("wait role sealed delegated topology"),
        1..=MANY,
        "NAME",
    ),
    grammar(Command::Status, "status", with_places!("json role topology"), 0..=MANY, "NAME"),
    grammar(Command::Health, "health", with_places!("json min-up role topology"), 0..=MANY, "NAME"),
    grammar(Command::Logs, "logs", "follow lines raw hermes-home owner", 1..=MANY, "NAME"),
    grammar(Command::Help, "help", "", 0..=1, "COMMAND"),
];

/// Returns the name as `options` has it, if it is one of them.
pub fn listed<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    options.split(' ').find(|option| *option == name)
}

/// Names under which the executable can be linked into cont-init.d, besides the commands' own.
static APPLETS: [(&str, Command); 2] =
    [("reconcile-profiles", Command::Reconcile), ("supervise-perms", Command::FixPerms)];

impl Command {
    /// Returns what the command takes.
    pub fn grammar(self) -> Option<&'static Grammar> {
        GRAMMARS.iter().find(|grammar| grammar.command == self)
    }

    /// Returns whether the command has this option.
    pub fn has(self, option: &str) -> bool {
        self.grammar().is_some_and(|grammar| listed(grammar.options, option).is_some())
    }

    /// Adds the command's name, and what follows it on a command line.
    pub fn write_synopsis(self, out: &mut String) {
        let Some(Grammar { name, operands, operand, .. }) = self.grammar() else { return };
        if operand.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{name} [OPTION]...");
            return;
        }
        let (open, close) = if *operands.start() == 0 { ("[", "]") } else { ("", "") };
        let more = if *operands.end() > 2 { "..." } else { "" };
        let _ = writeln!(out, "{name} [OPTION]... {open}{operand}{close}{more}");
    }

    /// Returns the command's name.
    pub fn name(self) -> &'static str {
        self.grammar().map_or("", |grammar| grammar.name)
    }

    /// Returns the command with this name.
    pub fn named(name: &OsStr) -> Option<Command> {
        GRAMMARS.iter().find(|grammar| grammar.name == name).map(|grammar| grammar.command)
    }

    /// Returns the command that a link to the executable names: its basename, without leading digits and hyphen.
    pub fn of_applet(argv0: &OsStr) -> Option<Command> {
        let argv0 = argv0.as_bytes();
        let base = argv0.rsplit(|byte| *byte == b'/').next().unwrap_or(argv0);
        let digits = base.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let name = match base.get(digits..) {
            Some([b'-', rest @ ..]) if digits > 0 => rest,
            _ => base,
        };
        let applet =
            APPLETS.iter().find(|(applet, _)| applet.as_bytes() == name).map(|(_, command)| *command);
        applet.or_else(|| Command::named(OsStr::from_bytes(name)))
    }

    /// Returns whether the command makes files with exact modes, so that the umask must be cleared.
    pub fn writes(self) -> bool {
        use Command::{FixPerms, Reconcile, Register, Restart, Seed, Start, Stop, Unregister};
        matches!(self, FixPerms | Reconcile | Register | Restart | Seed | Start | Stop | Unregister)
    }

    /// Returns whether the command executes another program.
    pub fn executes(self) -> bool {
        matches!(self, Command::DashboardRun | Command::GatewayLog | Command::GatewayRun)
    }

    /// Returns whether s6 runs the command with arguments of its own, none of which is an option.
    pub fn takes_raw_operands(self) -> bool {
        matches!(self, Command::GatewayFinish | Command::DashboardFinish)
    }
}
