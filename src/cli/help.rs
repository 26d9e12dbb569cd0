//! The pages of `hermes-init help`. A page is the usage, which follows from the command line's grammar, a text, and a line for each
//! option that the command has.

use std::fmt::Write;

use crate::cli::Command;

/// Returns the page of a command; without a command, the overview. Its examples call `program`.
pub fn page(command: Option<Command>, program: &str) -> String {
    let text = match command {
        None | Some(Command::Help) => return written(include_str!("help/overview.txt"), program),
        Some(Command::Reconcile) => include_str!("help/reconcile.txt"),
        Some(Command::FixPerms) => include_str!("help/fix-perms.txt"),
        Some(Command::Seed) => include_str!("help/seed.txt"),
        Some(
            Command::GatewayRun
            | Command::GatewayLog
            | Command::GatewayFinish
            | Command::DashboardRun
            | Command::DashboardFinish,
        ) => include_str!("help/service.txt"),
        Some(Command::Register) => include_str!("help/register.txt"),
        Some(Command::Unregister) => include_str!("help/unregister.txt"),
        Some(Command::Start | Command::Stop | Command::Restart) => include_str!("help/start.txt"),
        Some(Command::Status) => include_str!("help/status.txt"),
        Some(Command::Health) => include_str!("help/health.txt"),
        Some(Command::Logs) => include_str!("help/logs.txt"),
    };
    // Texts have `$` in the place of the options.
    let (above, below) = text.split_once('$').unwrap_or((text, ""));
    let mut page = String::from("usage: hermes-init ");
    if let Some(command) = command {
        command.write_synopsis(&mut page);
    }
    page.push_str(above);
    let mut title = "options (environment, default)\n";
    for (option, meaning) in &OPTIONS {
        if command.is_some_and(|command| command.has(option)) {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{title}  --{option:<13} {meaning}");
            title = "";
        }
    }
    let below = below.strip_prefix('\n').unwrap_or(below);
    page.push_str(if title.is_empty() { "\n" } else { "" });
    page.push_str(below);
    written(&page, program)
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

/// What the options mean.
static OPTIONS: [(&str, &str); 20] = [
    ("dry-run", "change nothing, print what would be done"),
    ("explain", "change nothing, print why each profile starts or not"),
    ("json", "print one JSON object per line"),
    ("print", "print what would be executed"),
    ("down", "do not start the gateway"),
    ("follow", "-f: go on with what is printed from now on"),
    ("lines", "-n: how many lines, 20"),
    ("raw", "the bytes as they are, not for a terminal"),
    ("min-up", "what should be up must have been up so long, in seconds, 0"),
    ("env", "KEY=VALUE: a variable for the gateway, until unregister"),
    ("wait", "how long to wait, in seconds; without a value, 30"),
    ("sealed", "root keeps ownership of the slots (HERMES_INIT_SEALED=1)"),
    (
        "delegated",
        "the hermes user gets it (HERMES_INIT_SEALED=0); if neither\n                  \
         is set, a live sealed scan directory stays sealed",
    ),
    ("adopt", "also update supervised slots of another program"),
    ("role", "gateway, frontend or auto (HERMES_INIT_ROLE, auto)"),
    (
        "topology",
        "multiplex: the gateway of default serves all profiles but\n                  \
         standalone ones; per-profile: each has its own; auto: by\n                  \
         what is on the volume (HERMES_INIT_TOPOLOGY, auto)",
    ),
    ("hermes-home", "the volume (HERMES_HOME, /opt/data)"),
    ("scandir", "the scan directory (S6_PROFILE_GATEWAY_SCANDIR, /run/service)"),
    ("owner", "USER|UID[:GID] (hermes in /etc/passwd, else 10000:10000)"),
    ("max-services", "s6-svscan's limit (HERMES_INIT_MAX_SERVICES, 1000)"),
];
