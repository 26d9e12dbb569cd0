//! `complete`: what may come next on a command line, for the completions of shells. The tables of the commands decide.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::command::Name;
use super::options::{Opt, Takes};
use crate::live::names;
use crate::output::{Console, Result};
use crate::s6::ProfileName;
use crate::settings::{Overrides, Settings};

/// The options of every command, which are in no table.
const EVERYWHERE: [&str; 2] = ["--help", "--version"];

/// What may take the place of a word.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// One of these words, with their meanings.
    Words(Vec<(String, &'static str)>),
    /// The name of a gateway, with these settings of the command line.
    Gateway(Overrides),
    /// Anything that the placeholder stands for; nothing if that is empty.
    Any(&'static str),
}

/// What a word before the last one is.
enum Word<'a> {
    /// An option that takes no value, or one that is unknown.
    Flag,
    /// An option with its value.
    Complete(Opt, &'a OsStr),
    /// An option whose value is the next word.
    Begun(Opt),
    /// An operand.
    Operand,
}

/// Runs `complete`.
pub fn run(words: &[OsString], console: &Console) -> u8 {
    let words = match words {
        [first, rest @ ..] if first == "--" => rest,
        words => words,
    };
    let (last, before) = words.split_last().map_or((OsStr::new(""), words), |(last, before)| (last, before));
    match answer(next(before, last), before, last, console) {
        Ok(lines) => {
            console.print(&lines);
            0
        }
        Err(error) => console.fatal(&error),
    }
}

/// Returns the lines for what may take the place of `last`, after the words `before`.
fn answer(next: Next, before: &[OsString], last: &OsStr, console: &Console) -> Result<String> {
    let lines =
        match next {
            Next::Any("") => String::new(),
            Next::Any(placeholder) => format!("<{placeholder}>\n"),
            Next::Words(words) => {
                let begun = words.iter().filter(|(word, _)| word.as_bytes().starts_with(last.as_bytes()));
                begun
                    .map(|(word, meaning)| {
                        if meaning.is_empty() { format!("{word}\n") } else { format!("{word}\t{meaning}\n") }
                    })
                    .collect()
            }
            Next::Gateway(overrides) => {
                let names = names::all(&Settings::gather(&overrides, console)?)?;
                let is_given = |name: &str| before.iter().any(|word| word == name);
                let begun = names
                    .iter()
                    .map(ProfileName::text)
                    .filter(|name| name.as_bytes().starts_with(last.as_bytes()));
                begun.filter(|name| !is_given(name)).map(|name| format!("{name}\n")).collect()
            }
        };
    Ok(lines)
}

/// Returns what may take the place of `last`, after the words `before`.
fn next(before: &[OsString], last: &OsStr) -> Next {
    match before.split_first() {
        None if last.as_bytes().starts_with(b"-") => plain(EVERYWHERE),
        None => plain(Name::ALL.map(Name::text)),
        Some((first, rest)) => {
            let name = if first == "--help" || first == "-h" { Some(Name::Help) } else { Name::parse(first) };
            name.map_or(Next::Any(""), |name| of_command(name, rest, last))
        }
    }
}

/// Returns what may take the place of `last` in the words of a command.
fn of_command(name: Name, before: &[OsString], last: &OsStr) -> Next {
    let syntax = name.syntax();
    let mut options = syntax.options();
    options.sort_unstable();
    let mut overrides = Overrides::default();
    let (mut begun, mut operands, mut is_ended) = (None, 0, false);
    for word in before {
        if let Some(option) = begun.take() {
            set(&mut overrides, option, word);
        } else if word == "--" && !is_ended {
            is_ended = true;
        } else {
            match read(word, &options) {
                Word::Operand => operands += 1,
                _ if is_ended => operands += 1,
                Word::Flag => {}
                Word::Complete(option, value) => set(&mut overrides, option, value),
                Word::Begun(option) => begun = Some(option),
            }
        }
    }
    let (placeholder, most) = syntax.operands();
    if let Some(option) = begun {
        return values(option, "");
    }
    if let (false, Word::Complete(option, _)) = (is_ended, read(last, &options)) {
        return values(option, &format!("--{}=", option.long()));
    }
    if !is_ended && (last.as_bytes().starts_with(b"-") || (last.is_empty() && operands >= most)) {
        let of_command = options.iter().map(|option| (format!("--{}", option.long()), option.row().meaning));
        let everywhere = EVERYWHERE.map(|word| (word.to_owned(), ""));
        return Next::Words(of_command.chain(everywhere).collect());
    }
    match placeholder {
        _ if operands >= most => Next::Any(""),
        "NAME" => Next::Gateway(overrides),
        "COMMAND" => plain(Name::ALL.map(Name::text)),
        placeholder => Next::Any(placeholder),
    }
}

/// Returns words without meanings.
fn plain<const N: usize>(words: [&str; N]) -> Next {
    Next::Words(words.map(|word| (word.to_owned(), "")).into())
}

/// Returns what may be the value of an option; each word with `prefix` before it.
fn values(option: Opt, prefix: &str) -> Next {
    match option.row().takes {
        Takes::Nothing => Next::Any(""),
        Takes::Value(placeholder) | Takes::Optional(placeholder, _) => Next::Any(placeholder),
        Takes::OneOf(words) => {
            Next::Words(words().into_iter().map(|word| (format!("{prefix}{word}"), "")).collect())
        }
    }
}

/// Keeps the value of an option that says where names of gateways are.
fn set(overrides: &mut Overrides, option: Opt, value: &OsStr) {
    match option {
        Opt::HermesHome => overrides.home = Some(value.into()),
        Opt::Scandir => overrides.scandir = Some(value.into()),
        Opt::Owner => overrides.owner = Some(value.to_owned()),
        _ => {}
    }
}

/// Returns what a word is, if `--` is not before it.
fn read<'a>(word: &'a OsStr, options: &[Opt]) -> Word<'a> {
    let bytes = word.as_bytes();
    let takes_next = |option: &Opt| matches!(option.row().takes, Takes::Value(_) | Takes::OneOf(_));
    if let Some(long) = bytes.strip_prefix(b"--") {
        let mut parts = long.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        let option = options.iter().copied().find(|option| option.long().as_bytes() == name);
        return match (option, parts.next()) {
            (Some(option), Some(value)) => Word::Complete(option, OsStr::from_bytes(value)),
            (Some(option), None) if takes_next(&option) => Word::Begun(option),
            _ => Word::Flag,
        };
    }
    let Some(letters) = bytes.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else {
        return Word::Operand;
    };
    let of_letter =
        |letter: u8| options.iter().copied().find(|option| option.row().letter == Some(char::from(letter)));
    // The first letter whose option takes a value ends the letters.
    let valued = letters.iter().enumerate().find_map(|(place, letter)| {
        of_letter(*letter)
            .filter(takes_next)
            .map(|option| (option, letters.get(place + 1..).unwrap_or_default()))
    });
    match valued {
        None => Word::Flag,
        Some((option, [])) => Word::Begun(option),
        Some((option, value)) => Word::Complete(option, OsStr::from_bytes(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what may take the place of the last of these words: words that begin so, or a placeholder.
    fn after(words: &[&str]) -> Vec<String> {
        let (last, before) = words.split_last().unwrap();
        let before: Vec<OsString> = before.iter().map(OsString::from).collect();
        match next(&before, OsStr::new(last)) {
            Next::Any("") => Vec::new(),
            Next::Any(placeholder) => vec![format!("<{placeholder}>")],
            Next::Gateway(overrides) => {
                vec![format!("gateway of {:?} {:?}", overrides.home, overrides.scandir)]
            }
            Next::Words(words) => {
                words.into_iter().map(|(word, _)| word).filter(|word| word.starts_with(last)).collect()
            }
        }
    }

    #[test]
    fn the_first_word_is_a_command() {
        assert_eq!(after(&[""]), Name::ALL.map(Name::text));
        assert_eq!(after(&["st"]), ["start", "stop", "status"]);
        assert_eq!(after(&["-"]), ["--help", "--version"]);
        assert_eq!(after(&["help", "hel"]), ["help"]);
        assert_eq!(after(&["--help", "hea"]), ["health"]);
        assert_eq!(after(&["strat", ""]), [""; 0]);
    }

    #[test]
    fn the_options_of_each_command_follow_and_those_of_every_one() {
        for name in Name::ALL {
            let mut options = name.syntax().options();
            options.sort_unstable();
            let options = options.iter().map(|option| format!("--{}", option.long()));
            let all: Vec<String> = options.chain(["--help".to_owned(), "--version".to_owned()]).collect();
            assert_eq!(after(&[name.text(), "--"]), all);
        }
        assert_eq!(after(&["status", "--t"]), ["--topology"]);
    }

    #[test]
    fn the_value_of_an_option_is_one_of_its_words_or_what_its_placeholder_says() {
        let settings = "gateway of None None";
        for (words, expected) in [
            (&["status", "--role", ""][..], &["gateway", "frontend", "auto"][..]),
            (&["status", "--role", "f"], &["frontend"]),
            (&["status", "--role=f"], &["--role=frontend"]),
            (&["status", "--role="], &["--role=gateway", "--role=frontend", "--role=auto"]),
            (&["reconcile", "--topology", "m"], &["multiplex"]),
            (&["reconcile", "--hermes-home", "/o"], &["<DIR>"]),
            (&["reconcile", "--hermes-home=/o"], &["<DIR>"]),
            (&["start", "--wait="], &["<SECONDS>"]),
            // The value of --wait is never the next word.
            (&["start", "--wait", ""], &[settings]),
            (&["logs", "-n", ""], &["<LINES>"]),
            (&["logs", "-fn", ""], &["<LINES>"]),
            (&["logs", "-nf", ""], &[settings]),
            (&["logs", "-n5", ""], &[settings]),
            (&["logs", "-f", ""], &[settings]),
            (&["status", "--json=", ""], &[settings]),
            (&["status", "--none", ""], &[settings]),
            (&["status", "--none=x"], &[]),
        ] {
            assert_eq!(after(words), expected, "{words:?}");
        }
    }

    #[test]
    fn as_many_operands_follow_as_the_command_takes() {
        for (words, expected) in [
            (&["register", "a"][..], &["gateway of None None"][..]),
            (&["register", "a", "b"], &[]),
            (&["register", "--env", "A=b", ""], &["gateway of None None"]),
            (&["register", "a", "--", "b"], &[]),
            (&["start", "a", "b", ""], &["gateway of None None"]),
            (&["start", "--", "-"], &["gateway of None None"]),
            (&["start", "--hermes-home", "/h", "--scandir=/s", ""], &[r#"gateway of Some("/h") Some("/s")"#]),
            (&["start", "--", "--hermes-home=/h", ""], &["gateway of None None"]),
            (&["seed", "a", ""], &["<DIR>"]),
            (&["hand-over", ""], &["<PATH>"]),
            (&["fix-perms", "/a", "/b"], &[]),
            (&["gateway-finish", "1"], &[]),
            (&["version", "x"], &[]),
            (&["help", "start", "s"], &[]),
        ] {
            assert_eq!(after(words), expected, "{words:?}");
        }
        // Where no operand can follow, options do.
        assert_eq!(after(&["version", ""]), ["--help", "--version"]);
        assert!(after(&["reconcile", ""]).contains(&"--explain".to_owned()));
        assert_eq!(after(&["reconcile", "--", ""]), [""; 0]);
    }
}
