//! The commands: their names, and their arguments.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::boot::{fix_perms, reconcile};
use crate::live::{control, hand_over, logs, register, seed, status, unregister};
use crate::service;

/// The name of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// The boot pass.
    Reconcile,
    /// Opens static services to the hermes user.
    FixPerms,
    /// Makes supervise skeletons.
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
    /// Gives what is on the volume to the hermes user.
    HandOver,
    /// Shows slots and profiles.
    Status,
    /// Shows faults.
    Health,
    /// Shows what gateways have printed.
    Logs,
    /// Says what may come next on a command line.
    Complete,
    /// Prints a help page.
    Help,
    /// Prints the version.
    Version,
}

/// Names of links in cont-init.d that are not names of commands.
static APPLETS: [(&str, Name); 2] =
    [("reconcile-profiles", Name::Reconcile), ("supervise-perms", Name::FixPerms)];

impl Name {
    /// All names.
    pub const ALL: [Name; 20] = [
        Name::Reconcile,
        Name::FixPerms,
        Name::Seed,
        Name::GatewayRun,
        Name::GatewayLog,
        Name::GatewayFinish,
        Name::DashboardRun,
        Name::DashboardFinish,
        Name::Register,
        Name::Unregister,
        Name::Start,
        Name::Stop,
        Name::Restart,
        Name::HandOver,
        Name::Status,
        Name::Health,
        Name::Logs,
        Name::Complete,
        Name::Help,
        Name::Version,
    ];

    /// Returns the name as the command line has it.
    pub fn text(self) -> &'static str {
        match self {
            Name::Reconcile => "reconcile",
            Name::FixPerms => "fix-perms",
            Name::Seed => "seed",
            Name::GatewayRun => "gateway-run",
            Name::GatewayLog => "gateway-log",
            Name::GatewayFinish => "gateway-finish",
            Name::DashboardRun => "dashboard-run",
            Name::DashboardFinish => "dashboard-finish",
            Name::Register => "register",
            Name::Unregister => "unregister",
            Name::Start => "start",
            Name::Stop => "stop",
            Name::Restart => "restart",
            Name::HandOver => "hand-over",
            Name::Status => "status",
            Name::Health => "health",
            Name::Logs => "logs",
            Name::Complete => "complete",
            Name::Help => "help",
            Name::Version => "version",
        }
    }

    /// Returns the command with this name.
    pub fn parse(word: &OsStr) -> Option<Name> {
        Name::ALL.into_iter().find(|name| name.text() == word)
    }

    /// Returns the command that a link to the executable names, by its basename without leading digits and hyphen.
    pub fn of_applet(argv0: &OsStr) -> Option<Name> {
        let argv0 = argv0.as_bytes();
        let base = argv0.rsplit(|byte| *byte == b'/').next().unwrap_or(argv0);
        let digits = base.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let word = match base.get(digits..) {
            Some([b'-', rest @ ..]) if digits > 0 => rest,
            _ => base,
        };
        let applet = APPLETS.iter().find(|(applet, _)| applet.as_bytes() == word).map(|(_, name)| *name);
        applet.or_else(|| Name::parse(OsStr::from_bytes(word)))
    }
}

/// A command with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `reconcile`
    Reconcile(reconcile::Args),
    /// `fix-perms`
    FixPerms(fix_perms::Args),
    /// `seed`
    Seed(seed::Args),
    /// `gateway-run`
    GatewayRun(service::Args),
    /// `gateway-log`
    GatewayLog(service::Args),
    /// `gateway-finish`: what s6-supervise passes.
    GatewayFinish(Vec<OsString>),
    /// `dashboard-run`
    DashboardRun(service::Args),
    /// `dashboard-finish`: what s6-supervise passes.
    DashboardFinish(Vec<OsString>),
    /// `register`
    Register(register::Args),
    /// `unregister`
    Unregister(unregister::Args),
    /// `start`, `stop` and `restart`
    Control(control::Args),
    /// `hand-over`
    HandOver(hand_over::Args),
    /// `status` and `health`
    Status(status::Args),
    /// `logs`
    Logs(logs::Args),
    /// `complete`: the words of a command line up to the cursor.
    Complete(Vec<OsString>),
    /// `help`, or `--help`: the page of a command, or the overview.
    Help(Option<Name>),
    /// `version`, or `--version`
    Version,
}

impl Command {
    /// Returns the name that messages begin with; empty for help and the version.
    pub fn name(&self) -> &'static str {
        let name = match self {
            Command::Reconcile(_) => Name::Reconcile,
            Command::FixPerms(_) => Name::FixPerms,
            Command::Seed(_) => Name::Seed,
            Command::GatewayRun(_) => Name::GatewayRun,
            Command::GatewayLog(_) => Name::GatewayLog,
            Command::GatewayFinish(_) => Name::GatewayFinish,
            Command::DashboardRun(_) => Name::DashboardRun,
            Command::DashboardFinish(_) => Name::DashboardFinish,
            Command::Register(_) => Name::Register,
            Command::Unregister(_) => Name::Unregister,
            Command::Control(args) => match args.verb {
                control::Verb::Start => Name::Start,
                control::Verb::Stop => Name::Stop,
                control::Verb::Restart => Name::Restart,
            },
            Command::HandOver(_) => Name::HandOver,
            Command::Status(args) => match args.question {
                status::Question::Status => Name::Status,
                status::Question::Health { .. } => Name::Health,
            },
            Command::Logs(_) => Name::Logs,
            Command::Complete(_) => Name::Complete,
            Command::Help(_) | Command::Version => return "",
        };
        name.text()
    }

    /// Returns whether the command creates files with exact modes, for which the umask has to be cleared.
    pub fn writes(&self) -> bool {
        match self {
            Command::Reconcile(_)
            | Command::FixPerms(_)
            | Command::Seed(_)
            | Command::Register(_)
            | Command::Unregister(_)
            | Command::Control(_)
            | Command::HandOver(_) => true,
            Command::GatewayRun(_)
            | Command::GatewayLog(_)
            | Command::GatewayFinish(_)
            | Command::DashboardRun(_)
            | Command::DashboardFinish(_)
            | Command::Status(_)
            | Command::Logs(_)
            | Command::Complete(_)
            | Command::Help(_)
            | Command::Version => false,
        }
    }
}
