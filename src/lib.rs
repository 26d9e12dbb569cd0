//! The boot and the lifecycle of Hermes Agent's gateways under s6. README.md says what it is for; each module's comment says what
//! it does.

#![forbid(unsafe_code)]

mod boot;
mod cli;
mod live;
mod output;
mod s6;
mod service;
mod settings;
mod sys;
mod topology;
mod volume;

use std::ffi::{OsStr, OsString};

use boot::{fix_perms, reconcile};
use cli::{Command, Line};
use output::{Console, Format, exit};

/// Returns the version, and what was built: the target, the kind of build (tests/build) and the commit.
fn version() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let kind = option_env!("BUILD_KIND").unwrap_or(if cfg!(debug_assertions) { "debug" } else { "release" });
    format!(
        "hermes-init {} ({}-unknown-linux-{libc}, {kind} build, commit {})\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        option_env!("BUILD_COMMIT").unwrap_or("unknown")
    )
}

/// Runs the program with this command line, argv[0] first. Returns its exit code.
pub fn run(command_line: &[OsString]) -> u8 {
    let (argv0, words) = command_line
        .split_first()
        .map_or((OsStr::new(""), &[][..]), |(argv0, words)| (argv0.as_os_str(), words));
    let console = Console::new("", sys::process::executable(argv0));
    let program = console.program();
    let Line { command, words } = match cli::parse(argv0, words, &program) {
        Ok(line) => line,
        Err(usage) => return console.die(exit::USAGE, format_args!("{usage}")),
    };
    let console = Console::new(command.name(), console.executable().map(Into::into));
    if command.writes() {
        sys::process::clear_umask();
    }
    // First, so that whatever is said reaches the gateway's log.
    if let Command::GatewayRun(args) = &command
        && let Err(error) = service::streams::confine(args)
    {
        return console.fatal(&error);
    }
    if let Command::GatewayRun(args) | Command::GatewayLog(args) | Command::DashboardRun(args) = &command
        && let Err(error) = service::confine::prepare(args, &words, &console)
    {
        return console.fatal(&error);
    }
    let code = match &command {
        Command::Reconcile(args) => reconcile::run(args, &console),
        Command::FixPerms(args) => fix_perms::run(args, &console),
        Command::Seed(args) => live::seed::run(args, &console),
        Command::GatewayRun(args) => service::gateway::run(args, &console),
        Command::GatewayLog(args) => service::logger::run(args, &console),
        Command::GatewayFinish(words) => service::gateway::finish(words, &console),
        Command::DashboardRun(args) => service::dashboard::run(args, &console),
        Command::DashboardFinish(words) => service::dashboard::finish(words, &console),
        Command::Register(args) => live::register::run(args, &console),
        Command::Unregister(args) => live::unregister::run(args, &console),
        Command::Control(args) => live::control::run(args, &console),
        Command::HandOver(args) => live::hand_over::run(args, &console),
        Command::Status(args) => live::status::run(args, &console),
        Command::Logs(args) => live::logs::run(args, &console),
        Command::Complete(words) => cli::complete::run(words, &console),
        Command::Help(page) => {
            console.print(&cli::help::page(*page, &program));
            0
        }
        Command::Version => {
            console.print(&version());
            0
        }
    };
    let is_read = match &command {
        // Nobody need read what a boot step prints: it is run for its effect.
        Command::Reconcile(args) => args.effect != reconcile::Effect::Apply || args.format != Format::Text,
        Command::FixPerms(args) => args.effect != fix_perms::Effect::Apply || args.format != Format::Text,
        _ => true,
    };
    if is_read { console.code(code) } else { code }
}

/// The parsers that fuzz targets call.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::output::escape;
    pub use crate::output::json;
    pub use crate::output::localtime;
    pub use crate::settings::role::ContainerCommand;
    pub use crate::volume::config;
    pub use crate::volume::exit_ledger::PriorExit;
    pub use crate::volume::state;
}
