//! The pages of `hermes-init help`: usage, options and exit codes, which follow from the tables of the commands, and a text around
//! them.

use super::command::Name;
use super::exits::Exit;
use super::options::{Default, Opt, Row, Takes, Variable};

/// Width of a page, in columns.
const WIDTH: usize = 79;
/// Widest synopsis of an option, in columns, that has its meaning beside it. Under a wider one, the meaning begins on the next line.
const BESIDE: usize = 24;

/// Returns the page of a command; without a command, the overview. Its examples call `program`.
pub fn page(command: Option<Name>, program: &str) -> String {
    match command {
        None | Some(Name::Help) => include_str!("help/overview.txt").to_owned(),
        Some(name) => {
            let syntax = name.syntax();
            let mut options = syntax.options();
            options.sort_unstable();
            let usage = usage(name, !options.is_empty(), &syntax.synopsis());
            let text = text(name).replace("$\n", &list(&options)).replace("#\n", &codes(&name.exits()));
            format!("{usage}{}", text.replace('%', name.text()))
        }
    }
    .replace('@', program)
}

/// Returns the text of a command's page. `$` stands for the options, `#` for the exit codes, `%` for the command's name, `@` for the
/// program.
fn text(name: Name) -> &'static str {
    match name {
        Name::Reconcile => include_str!("help/reconcile.txt"),
        Name::FixPerms => include_str!("help/fix-perms.txt"),
        Name::Seed => include_str!("help/seed.txt"),
        Name::GatewayRun => include_str!("help/gateway-run.txt"),
        Name::GatewayLog => include_str!("help/gateway-log.txt"),
        Name::GatewayFinish => include_str!("help/gateway-finish.txt"),
        Name::DashboardRun => include_str!("help/dashboard-run.txt"),
        Name::DashboardFinish => include_str!("help/dashboard-finish.txt"),
        Name::Register => include_str!("help/register.txt"),
        Name::Unregister => include_str!("help/unregister.txt"),
        Name::Start | Name::Stop | Name::Restart => include_str!("help/start.txt"),
        Name::HandOver => include_str!("help/hand-over.txt"),
        Name::Status => include_str!("help/status.txt"),
        Name::Health => include_str!("help/health.txt"),
        Name::Logs => include_str!("help/logs.txt"),
        Name::Complete => include_str!("help/complete.txt"),
        Name::Help => include_str!("help/overview.txt"),
        Name::Version => include_str!("help/version.txt"),
    }
}

/// Returns the usage line.
fn usage(name: Name, has_options: bool, operands: &str) -> String {
    let options = if has_options { " [OPTION]..." } else { "" };
    let space = if operands.is_empty() { "" } else { " " };
    format!("usage: hermes-init {}{options}{space}{operands}\n", name.text())
}

/// Returns the options under a title, with a blank line after them; nothing without options.
fn list(options: &[Opt]) -> String {
    let rows: Vec<Row> = options.iter().map(|option| option.row()).collect();
    let widths = rows.iter().map(|row| synopsis(row).len()).filter(|width| *width <= BESIDE);
    let width = widths.max().unwrap_or_default();
    let entries = rows.iter().map(|row| beside(&synopsis(row), width, &meaning(row)));
    let title = if rows.is_empty() { "" } else { "options (environment, default)\n" };
    let end = if rows.is_empty() { "" } else { "\n" };
    format!("{title}{}{end}", entries.collect::<String>())
}

/// Returns the exit codes under a title, with a blank line after them.
fn codes(exits: &[Exit]) -> String {
    let entries = exits.iter().map(|(code, meaning)| beside(&code.to_string(), 3, meaning));
    format!("exit codes\n{}\n", entries.collect::<String>())
}

/// Returns an option as it is written on a command line: `-n, --lines LINES`.
fn synopsis(row: &Row) -> String {
    let letter = row.letter.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let value = match row.takes {
        Takes::Nothing => String::new(),
        Takes::Value(placeholder) => format!(" {placeholder}"),
        Takes::OneOf(words) => format!(" {}", words().join("|")),
        Takes::Optional(placeholder, _) => format!("[={placeholder}]"),
    };
    format!("{letter}--{}{value}", row.long)
}

/// Returns the meaning of an option, with its variable and its default.
fn meaning(row: &Row) -> String {
    let variable = match row.variable {
        Variable::None => None,
        Variable::Value(name) => Some(name.to_owned()),
        Variable::Set(name, value) => Some(format!("{name}={value}")),
    };
    let default = match row.default {
        Default::None => None,
        Default::Text(text) => Some(text.to_owned()),
        Default::Number(number) => Some(number.to_string()),
    };
    let meaning = match row.takes {
        Takes::Optional(_, bare) => format!("{}; without a value, {bare}", row.meaning),
        Takes::Nothing | Takes::Value(_) | Takes::OneOf(_) => row.meaning.to_owned(),
    };
    let sources: Vec<String> = variable.into_iter().chain(default).collect();
    match sources.as_slice() {
        [] => meaning,
        sources => format!("{meaning} ({})", sources.join(", ")),
    }
}

/// Returns the lines of an entry: a `term` in a column of `width`, and its meaning beside it, or under it if the term is wider.
fn beside(term: &str, width: usize, meaning: &str) -> String {
    let lines = wrap(meaning, WIDTH.saturating_sub(width + 4));
    let (above, first) = if term.len() > width { (format!("  {term}\n"), "") } else { (String::new(), term) };
    let starts = std::iter::once(first).chain(std::iter::repeat(""));
    let lines = starts.zip(lines).map(|(start, line)| format!("  {start:<width$}  {line}\n"));
    above + &lines.collect::<String>()
}

/// Breaks a text at blanks into lines of at most `width` bytes. A longer word gets a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    text.split(' ').fold(Vec::new(), |mut lines: Vec<String>, word| {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
        lines
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_lists_exactly_the_options_of_its_command() {
        for name in Name::ALL.into_iter().filter(|name| *name != Name::Help) {
            let page = page(Some(name), "hermes-init");
            let listed: Vec<&str> = page
                .lines()
                .filter(|line| line.starts_with("  -"))
                .filter_map(|line| line.split(' ').find_map(|word| word.strip_prefix("--")))
                .map(|word| word.split_once('[').map_or(word, |(option, _)| option))
                .collect();
            let mut options = name.syntax().options();
            options.sort_unstable();
            assert_eq!(listed, options.iter().map(|option| option.long()).collect::<Vec<_>>(), "{name:?}");
            assert!(page.lines().all(|line| line.len() <= 80), "{page}");
            assert!(
                !page.contains(['$', '#', '%', '@']) && page.contains("\n\nexit codes\n  0    "),
                "{page}"
            );
            let examples: Vec<&str> = page.lines().filter(|line| line.starts_with("example: ")).collect();
            assert!(
                matches!(*examples, [example] if example.contains(&format!("hermes-init {}", name.text()))),
                "{page}"
            );
        }
    }

    #[test]
    fn the_usage_says_how_many_operands_there_are() {
        for (name, usage) in [
            (Name::Reconcile, "reconcile [OPTION]..."),
            (Name::FixPerms, "fix-perms [OPTION]... [DIR]"),
            (Name::Seed, "seed [OPTION]... DIR..."),
            (Name::GatewayRun, "gateway-run [OPTION]... [SCRIPT] SERVICE"),
            (Name::GatewayLog, "gateway-log [OPTION]... [SCRIPT] SERVICE"),
            (Name::GatewayFinish, "gateway-finish [SCRIPT] EXITCODE SIGNAL SERVICE [PGID]"),
            (Name::DashboardRun, "dashboard-run [OPTION]... [SCRIPT] [SERVICE]"),
            (Name::DashboardFinish, "dashboard-finish [SCRIPT] [EXITCODE SIGNAL SERVICE [PGID]]"),
            (Name::Version, "version"),
            (Name::Register, "register [OPTION]... NAME"),
            (Name::Status, "status [OPTION]... [NAME]..."),
        ] {
            assert_eq!(page(Some(name), "").lines().next(), Some(&*format!("usage: hermes-init {usage}")));
        }
    }

    #[test]
    fn an_option_is_shown_as_it_is_written() {
        for (option, written) in [
            (Opt::Json, "--json"),
            (Opt::Follow, "-f, --follow"),
            (Opt::Lines, "-n, --lines LINES"),
            (Opt::Role, "--role gateway|frontend|auto"),
            (Opt::Topology, "--topology auto|per-profile|multiplex"),
            (Opt::Wait, "--wait[=SECONDS]"),
            (Opt::Owner, "--owner USER|UID[:GID]"),
        ] {
            assert_eq!(synopsis(&option.row()), written);
        }
    }

    #[test]
    fn the_meaning_of_an_option_has_its_variable_and_its_default_if_there_are_any() {
        for (option, said) in [
            (Opt::Json, "print one JSON object per line"),
            (Opt::MinUp, "minimum uptime of what should be up (0)"),
            (Opt::Wait, "maximum time to wait; without a value, 75"),
            (Opt::Scandir, "the scan directory (S6_PROFILE_GATEWAY_SCANDIR, /run/service)"),
            (Opt::Sealed, "root keeps ownership of the slots (HERMES_INIT_SEALED=1)"),
        ] {
            assert_eq!(meaning(&option.row()), said);
        }
    }

    #[test]
    fn a_meaning_is_beside_its_term_or_under_a_wide_one() {
        assert_eq!(beside("--json", 8, "print"), "  --json    print\n");
        assert_eq!(beside("--printed", 8, "print"), "  --printed\n            print\n");
        let long = "x".repeat(60);
        assert_eq!(beside("1", 3, &format!("{long} {long}")), format!("  1    {long}\n       {long}\n"));
    }

    #[test]
    fn text_is_broken_at_blanks() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("a bc def", 3), ["a", "bc", "def"]);
        assert_eq!(wrap("a bcdefg h", 3), ["a", "bcdefg", "h"]);
        assert_eq!(wrap("a bc def", 8), ["a bc def"]);
    }
}
