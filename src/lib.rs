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
mod volume;

use std::ffi::OsString;

use cli::{Command, Request};
use output::{Console, exit};

/// Runs the program with this argv. Returns its exit code.
pub fn run(argv: &[OsString]) -> u8 {
    let mut words = argv.iter().cloned();
    let argv0 = words.next().unwrap_or_default();
    let console = Console::new("", sys::process::executable(&argv0));
    let program = console.program();
    let (command, options) = match cli::parse(&argv0, words.collect(), &program) {
        Err(usage) => return console.die(exit::USAGE, format_args!("{usage}")),
        Ok(Request::Help(command)) => {
            console.print(&cli::help::page(command, &program));
            return console.code(0);
        }
        Ok(Request::Version) => {
            console.print(concat!("hermes-init ", env!("CARGO_PKG_VERSION"), "\n"));
            return console.code(0);
        }
        Ok(Request::Run(command, options)) => (command, options),
    };
    let console = Console::new(command.name(), console.executable().map(Into::into));
    if command.writes() {
        sys::process::clear_umask();
    }
    if command.executes()
        && let Err(error) = service::confine::prepare(command, argv, &options, &console)
    {
        return console.fatal(&error);
    }
    let code = match command {
        Command::Reconcile => boot::reconcile::run(&options, &console),
        Command::FixPerms => boot::fix_perms::run(&options, &console),
        Command::Seed => live::seed::run(&options, &console),
        Command::GatewayRun => service::gateway::run(&options, &console),
        Command::GatewayLog => service::gateway::log(&options, &console),
        Command::GatewayFinish => service::gateway::finish(&options),
        Command::DashboardRun => service::dashboard::run(&options, &console),
        Command::DashboardFinish => service::dashboard::finish(&options),
        Command::Register => live::register::run(&options, &console),
        Command::Unregister => live::unregister::run(&options, &console),
        Command::Start | Command::Stop | Command::Restart => live::control::run(command, &options, &console),
        Command::Status | Command::Health => live::status::run(command, &options, &console),
        Command::Logs => live::logs::run(&options, &console),
        Command::Help => {
            console.print(&cli::help::page(None, &program));
            0
        }
    };
    // A boot step is run for what it does: nobody may read what it prints.
    let is_boot_step = matches!(command, Command::Reconcile | Command::FixPerms);
    let is_asked = options.json || options.dry_run || options.explain;
    if is_boot_step && !is_asked { code } else { console.code(code) }
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
