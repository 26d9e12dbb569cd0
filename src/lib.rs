//! The boot and the lifecycle of Hermes Agent's gateways under s6. README.md says what for; each module says which room
//! of the house it is.

pub mod cli;
pub mod console;
pub mod dashboard;
pub mod error;
pub mod gateway;
pub mod help;
pub mod launch;
pub mod lifecycle;
pub mod number;
pub mod permissions;
pub mod reconcile;
pub mod role;
pub mod seed;
pub mod settings;
pub mod show;
pub mod slot;
pub mod sys;
pub mod volume;

use std::ffi::CStr;

use cli::{Command, Request};
use console::Console;

/// Runs the program with this argv; its exit code.
pub fn run(argv: &[&'static CStr]) -> u8 {
    sys::process::settle_standard_streams();
    let argv0 = argv.first().copied().unwrap_or_default();
    let (command, options) = match cli::parse(argv) {
        Err(usage) => return Console::new("").die(error::USAGE, &usage),
        Ok(Request::Help(command)) => {
            Console::new("").print(help::page(command));
            return 0;
        }
        Ok(Request::Version) => {
            Console::new("").print(concat!("hermes-init ", env!("CARGO_PKG_VERSION"), "\n"));
            return 0;
        }
        Ok(Request::Run(command, options)) => (command, options),
    };
    let console = Console::new(command.name());
    if command.writes() {
        sys::process::clear_umask();
    }
    match command {
        Command::Reconcile => reconcile::run(&options, argv0, &console),
        Command::FixPerms => permissions::run(&options, &console),
        Command::Seed => seed::run(&options, &console),
        Command::GatewayRun => gateway::run(&options, &console),
        Command::GatewayLog => gateway::log(&options, &console),
        Command::GatewayFinish => gateway::finish(&options),
        Command::DashboardRun => dashboard::run(&options, &console),
        Command::DashboardFinish => dashboard::finish(&options),
        Command::Register => lifecycle::register::run(&options, argv0, &console),
        Command::Unregister => lifecycle::unregister::run(&options, argv0, &console),
        Command::Start | Command::Stop | Command::Restart => {
            lifecycle::control::run(command, &options, argv0, &console)
        }
        Command::Status => lifecycle::status::run(&options, argv0, &console),
        Command::Help => {
            console.print(help::page(None));
            0
        }
    }
}
