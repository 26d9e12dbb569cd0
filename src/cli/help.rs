//! The pages of `hermes-init help`: usage and options, which follow from the command's syntax, and a text around them.

use std::ops::RangeInclusive;

use super::command::Name;
use super::options::{Default, Opt, Row, Takes, Variable};

/// Width of a page, in columns.
const WIDTH: usize = 79;

/// Returns the page of a command; without a command, the overview. Its examples call `program`.
pub fn page(command: Option<Name>, program: &str) -> String {
    match command {
        None | Some(Name::Help) => include_str!("help/overview.txt").to_owned(),
        Some(name) => {
            let syntax = name.syntax();
            let mut options = syntax.options();
            options.sort_unstable();
            let (operand, count) = syntax.operands();
            let usage = usage(name, !options.is_empty(), operand, &count);
            format!("{usage}{}", text(name).replace("$\n", &list(&options)))
        }
    }
    .replace('@', program)
}

/// Returns the text of a command's page. `$` stands for the options, `@` for the program.
fn text(name: Name) -> &'static str {
    match name {
        Name::Reconcile => include_str!("help/reconcile.txt"),
        Name::FixPerms => include_str!("help/fix-perms.txt"),
        Name::Seed => include_str!("help/seed.txt"),
        Name::GatewayRun
        | Name::GatewayLog
        | Name::GatewayFinish
        | Name::DashboardRun
        | Name::DashboardFinish => include_str!("help/service.txt"),
        Name::Register => include_str!("help/register.txt"),
        Name::Unregister => include_str!("help/unregister.txt"),
        Name::Start | Name::Stop | Name::Restart => include_str!("help/start.txt"),
        Name::Status => include_str!("help/status.txt"),
        Name::Health => include_str!("help/health.txt"),
        Name::Logs => include_str!("help/logs.txt"),
        Name::Help => include_str!("help/overview.txt"),
        Name::Version => include_str!("help/version.txt"),
    }
}

/// Returns the usage line.
fn usage(name: Name, has_options: bool, operand: &str, count: &RangeInclusive<usize>) -> String {
    let options = if has_options { " [OPTION]..." } else { "" };
    let (open, close) = if *count.start() == 0 { ("[", "]") } else { ("", "") };
    let operand = if operand.is_empty() { String::new() } else { format!(" {open}{operand}{close}") };
    let more = if *count.end() > 2 { "..." } else { "" };
    format!("usage: hermes-init {}{options}{operand}{more}\n", name.text())
}

/// Returns the options under a title, with a blank line after them; nothing without options.
fn list(options: &[Opt]) -> String {
    let rows: Vec<Row> = options.iter().map(|option| option.row()).collect();
    let width = rows.iter().map(|row| synopsis(row).len()).max();
    let entries = rows.iter().map(|row| entry(row, width.unwrap_or_default()));
    let title = if rows.is_empty() { "" } else { "options (environment, default)\n" };
    let end = if rows.is_empty() { "" } else { "\n" };
    format!("{title}{}{end}", entries.collect::<String>())
}

/// Returns an option as it is written on a command line: `-n, --lines N`.
fn synopsis(row: &Row) -> String {
    let letter = row.letter.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    let value = match row.takes {
        Takes::Nothing => String::new(),
        Takes::Value(placeholder) => format!(" {placeholder}"),
        Takes::Optional(placeholder, _) => format!("[={placeholder}]"),
    };
    format!("{letter}--{}{value}", row.long)
}

/// Returns the lines of an option: its synopsis in a column of `width`, and its meaning beside it.
fn entry(row: &Row, width: usize) -> String {
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
        Takes::Nothing | Takes::Value(_) => row.meaning.to_owned(),
    };
    let sources: Vec<String> = variable.into_iter().chain(default).collect();
    let meaning = match sources.as_slice() {
        [] => meaning,
        sources => format!("{meaning} ({})", sources.join(", ")),
    };
    let lines = wrap(&meaning, WIDTH.saturating_sub(width + 4));
    let starts = std::iter::once(synopsis(row)).chain(std::iter::repeat(String::new()));
    let lines = starts.zip(lines).map(|(start, line)| format!("  {start:<width$}  {line}\n"));
    lines.collect::<Vec<_>>().concat()
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
            assert!(!page.contains(['$', '@']) && page.contains("\n\nexit codes:"), "{page}");
        }
    }

    #[test]
    fn the_usage_says_how_many_operands_there_are() {
        for (name, usage) in [
            (Name::Reconcile, "reconcile [OPTION]..."),
            (Name::FixPerms, "fix-perms [OPTION]... [DIR]"),
            (Name::Seed, "seed [OPTION]... DIR..."),
            (Name::GatewayRun, "gateway-run [OPTION]... SERVICE"),
            (Name::GatewayFinish, "gateway-finish [EXITCODE]..."),
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
            (Opt::Lines, "-n, --lines N"),
            (Opt::Wait, "--wait[=SECONDS]"),
            (Opt::Owner, "--owner USER|UID[:GID]"),
        ] {
            assert_eq!(synopsis(&option.row()), written);
        }
    }

    #[test]
    fn an_option_without_variable_and_default_has_no_parentheses() {
        assert_eq!(entry(&Opt::Json.row(), 8), "  --json    print one JSON object per line\n");
        assert_eq!(
            entry(&Opt::MinUp.row(), 16).lines().last().map(|line| line.ends_with(" (0)")),
            Some(true)
        );
        assert_eq!(
            entry(&Opt::Wait.row(), 16),
            "  --wait[=SECONDS]  maximum time to wait; without a value, 30\n"
        );
        assert!(entry(&Opt::Scandir.row(), 13).ends_with(" (S6_PROFILE_GATEWAY_SCANDIR, /run/service)\n"));
    }

    #[test]
    fn text_is_broken_at_blanks() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("a bc def", 3), ["a", "bc", "def"]);
        assert_eq!(wrap("a bcdefg h", 3), ["a", "bcdefg", "h"]);
        assert_eq!(wrap("a bc def", 8), ["a bc def"]);
    }
}
