//! The pages of `hermes-init help`. A page is the usage, which follows from the command line's grammar, a text, and a line for each
//! option that the command has.

use std::fmt::Write;
use std::ops::RangeInclusive;

use super::commands::Name;
use super::options::Opt;

/// Returns the page of a command; without a command, the overview. Its examples call `program`.
pub fn page(command: Option<Name>, program: &str) -> String {
    let text = match command {
        None | Some(Name::Help) => return written(include_str!("help/overview.txt"), program),
        Some(Name::Reconcile) => include_str!("help/reconcile.txt"),
        Some(Name::FixPerms) => include_str!("help/fix-perms.txt"),
        Some(Name::Seed) => include_str!("help/seed.txt"),
        Some(
            Name::GatewayRun
            | Name::GatewayLog
            | Name::GatewayFinish
            | Name::DashboardRun
            | Name::DashboardFinish,
        ) => include_str!("help/service.txt"),
        Some(Name::Register) => include_str!("help/register.txt"),
        Some(Name::Unregister) => include_str!("help/unregister.txt"),
        Some(Name::Start | Name::Stop | Name::Restart) => include_str!("help/start.txt"),
        Some(Name::Status) => include_str!("help/status.txt"),
        Some(Name::Health) => include_str!("help/health.txt"),
        Some(Name::Logs) => include_str!("help/logs.txt"),
    };
    // Texts have `$` in the place of the options.
    let (above, below) = text.split_once('$').unwrap_or((text, ""));
    let mut page = String::from("usage: hermes-init ");
    let mut options = Vec::new();
    if let Some(name) = command {
        let syntax = name.syntax();
        options = syntax.options();
        let (operand, count) = syntax.operands();
        page.push_str(&synopsis(name, operand, &count));
    }
    options.sort_unstable();
    page.push_str(above);
    let mut title = "options (environment, default)\n";
    for row in options.into_iter().map(Opt::row) {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{title}  --{:<13} {}", row.long, row.meaning);
        title = "";
    }
    let below = below.strip_prefix('\n').unwrap_or(below);
    page.push_str(if title.is_empty() { "\n" } else { "" });
    page.push_str(below);
    written(&page, program)
}

/// Returns the command's name, and what follows it on a command line.
fn synopsis(name: Name, operand: &str, count: &RangeInclusive<usize>) -> String {
    let name = name.text();
    if operand.is_empty() {
        return format!("{name} [OPTION]...\n");
    }
    let (open, close) = if *count.start() == 0 { ("[", "]") } else { ("", "") };
    let more = if *count.end() > 2 { "..." } else { "" };
    format!("{name} [OPTION]... {open}{operand}{close}{more}\n")
}

/// Returns a text with `program` in the place of each `@`.
fn written(text: &str, program: &str) -> String {
    let mut page = String::new();
    for (at, part) in text.split('@').enumerate() {
        page.push_str(if at == 0 { "" } else { program });
        page.push_str(part);
    }
    page
}
