//! The boot and the lifecycle of Hermes Agent's gateways under s6. README.md says what it is for; each module's comment says what
//! it does.

#![forbid(unsafe_code)]

pub mod cli;
pub mod commands;
pub mod console;
pub mod error;
pub mod help;
pub mod hermes_user;
pub mod lifecycle;
pub mod number;
pub mod permissions;
pub mod reconcile;
pub mod refusal;
pub mod role;
pub mod s6;
pub mod seed;
pub mod service;
pub mod settings;
pub mod show;
pub mod slot;
pub mod suggest;
pub mod sys;
pub mod topology;
pub mod volume;

use std::ffi::OsString;

use cli::{Command, Request};
use console::Console;

/// Runs the program with this argv. Returns its exit code.
pub fn run(argv: &[OsString]) -> u8 {
    let mut words = argv.iter().cloned();
    let argv0 = words.next().unwrap_or_default();
    let console = Console::new("", sys::process::executable(&argv0));
    let program = console.program();
    let (command, options) = match cli::parse(&argv0, words.collect(), &program) {
        Err(usage) => return console.die(error::USAGE, format_args!("{usage}")),
        Ok(Request::Help(command)) => {
            console.print(&help::page(command, &program));
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
        return console.fatal(error);
    }
    let code = match command {
        Command::Reconcile => reconcile::run(&options, &console),
        Command::FixPerms => permissions::run(&options, &console),
        Command::Seed => seed::run(&options, &console),
        Command::GatewayRun => service::gateway::run(&options, &console),
        Command::GatewayLog => service::gateway::log(&options, &console),
        Command::GatewayFinish => service::gateway::finish(&options),
        Command::DashboardRun => service::dashboard::run(&options, &console),
        Command::DashboardFinish => service::dashboard::finish(&options),
        Command::Register => lifecycle::register::run(&options, &console),
        Command::Unregister => lifecycle::unregister::run(&options, &console),
        Command::Start | Command::Stop | Command::Restart => {
            lifecycle::control::run(command, &options, &console)
        }
        Command::Status | Command::Health => lifecycle::status::run(command, &options, &console),
        Command::Logs => lifecycle::logs::run(&options, &console),
        Command::Help => {
            console.print(&help::page(None, &program));
            0
        }
    };
    // A boot step is run for what it does: nobody may read what it prints.
    let is_boot_step = matches!(command, Command::Reconcile | Command::FixPerms);
    let is_asked = options.json || options.dry_run || options.explain;
    if is_boot_step && !is_asked { code } else { console.code(code) }
}
