//! The pages of `hermes-init help`.

use crate::cli::Command;

/// Returns the page of a command; without a command, the overview. Its examples call `program`.
pub fn page(command: Option<Command>, program: &str) -> String {
    // Pages write `@` for the executable.
    let mut page = String::new();
    for (at, part) in text(command).split('@').enumerate() {
        page.push_str(if at == 0 { "" } else { program });
        page.push_str(part);
    }
    page
}

fn text(command: Option<Command>) -> &'static str {
    match command {
        None | Some(Command::Help) => include_str!("help/overview.txt"),
        Some(Command::Reconcile) => include_str!("help/reconcile.txt"),
        Some(Command::FixPerms) => include_str!("help/fix-perms.txt"),
        Some(Command::Seed) => include_str!("help/seed.txt"),
        Some(Command::GatewayRun) => include_str!("help/gateway-run.txt"),
        Some(Command::GatewayLog) => include_str!("help/gateway-log.txt"),
        Some(Command::GatewayFinish) => include_str!("help/gateway-finish.txt"),
        Some(Command::DashboardRun) => include_str!("help/dashboard-run.txt"),
        Some(Command::DashboardFinish) => include_str!("help/dashboard-finish.txt"),
        Some(Command::Register) => include_str!("help/register.txt"),
        Some(Command::Unregister) => include_str!("help/unregister.txt"),
        Some(Command::Start | Command::Stop | Command::Restart) => include_str!("help/start.txt"),
        Some(Command::Status) => include_str!("help/status.txt"),
    }
}
