//! The message about an unknown word, with the known word that may be meant, or with all that are known.

use crate::output::escape::Shown;
use crate::output::nearest::nearest;

/// Returns the message about an unknown word. `prefix` precedes the known words, and may precede the word.
pub fn unknown(what: &str, word: &[u8], prefix: &str, known: &[&str]) -> String {
    let bare = word.strip_prefix(prefix.as_bytes()).unwrap_or(word);
    let word = Shown(word);
    if let Some(meant) = nearest(bare, known.iter().copied()) {
        return format!("unknown {what} {word}; did you mean {prefix}{meant}?");
    }
    let known: Vec<String> = known.iter().map(|known| format!("{prefix}{known}")).collect();
    format!("unknown {what} {word}; {what}s: {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::command::Name;
    use super::*;

    #[test]
    fn the_command_that_is_meant_is_suggested_and_else_all_are_listed() {
        let names = Name::ALL.map(Name::text);
        let names: Vec<&str> = names.into_iter().filter(|name| *name != "version").collect();
        for (word, meant) in [
            ("statsu", Some("status")),
            ("STATUS", Some("status")),
            ("stats", Some("status")),
            ("strat", Some("start")),
            ("hlep", Some("help")),
            ("Help", Some("help")),
            ("restrat", Some("restart")),
            ("RESTRAT", Some("restart")),
            ("recnocile", Some("reconcile")),
            ("fixperms", Some("fix-perms")),
            ("log", Some("logs")),
            ("heath", Some("health")),
            ("stp", Some("stop")),
            ("version", None),
            ("up", None),
            ("foo", None),
            ("rm", None),
            ("down", None),
            ("ps", None),
            ("ls", None),
            ("list", None),
            ("kill", None),
            ("init", None),
            ("remove", None),
            ("reload", None),
            ("create", None),
            ("delete", None),
            ("-", None),
            ("", None),
        ] {
            let said = unknown("command", word.as_bytes(), "", &names);
            let start = format!("unknown command {}; ", Shown(word.as_bytes()));
            let end = match meant {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("commands: {}", names.join(", ")),
            };
            assert_eq!(said, start + &end);
        }
    }

    #[test]
    fn a_prefix_does_not_count() {
        assert_eq!(
            unknown("option", b"--jso", "--", &["json", "j"]),
            "unknown option --jso; did you mean --json?"
        );
        assert_eq!(unknown("option", b"--x", "--", &["json"]), "unknown option --x; options: --json");
        assert_eq!(unknown("option", b"-x", "--", &["json", "y"]), "unknown option -x; options: --json, --y");
        assert_eq!(unknown("word", b"a\nb", "", &["c"]), "unknown word \"a\\nb\"; words: c");
    }
}
