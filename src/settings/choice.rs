//! Settings whose value is one of some words, and switches.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::output::escape::Shown;
use crate::output::nearest::nearest;

/// The words of a setting, and what each means.
pub type Choices<T> = [(&'static str, T)];

/// Returns the words of a setting.
pub fn words<T>(choices: &Choices<T>) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

/// Returns the meaning of a word. The error lists the known words.
pub fn choose<T: Copy>(choices: &Choices<T>, word: &OsStr) -> Result<T, String> {
    let found = choices.iter().find(|(choice, _)| *choice == word).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| not_one_of(word, &words(choices)))
}

/// Returns the message about a word that is none of the known ones, with the one that may be meant.
fn not_one_of(word: &OsStr, known: &[&str]) -> String {
    let meant = nearest(word.as_bytes(), known.iter().copied());
    let meant = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
    format!("{} is not one of {}{meant}", Shown(word.as_bytes()), known.join(", "))
}

/// A switch, by the words that turn it on. Case does not matter. The words of [`NO`] turn it off.
#[derive(Debug, Clone, Copy)]
pub struct Switch {
    yes: &'static [&'static str],
}

/// A switch that `1`, `true` and `yes` turn on.
pub const YES: Switch = Switch { yes: &["1", "true", "yes"] };
/// A switch that `on` turns on, too.
pub const YES_OR_ON: Switch = Switch { yes: &["1", "true", "yes", "on"] };
/// The words that turn a switch off.
const NO: [&str; 4] = ["0", "false", "no", "off"];

impl Switch {
    /// Returns whether a word turns the switch on or off. The error lists the known words.
    pub fn parse(self, word: &OsStr) -> Result<bool, String> {
        let is_in = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        match (is_in(self.yes), is_in(&NO)) {
            (true, _) => Ok(true),
            (_, true) => Ok(false),
            _ => Err(not_one_of(word, &[self.yes, &NO].concat())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_choice_as_it_is_written() {
        let choices = [("one", 1), ("two", 2)];
        assert_eq!(choose(&choices, OsStr::new("two")), Ok(2));
        for (word, meant) in [
            ("", ""),
            ("three", ""),
            ("to", " (did you mean two?)"),
            ("tow", " (did you mean two?)"),
            ("One", " (did you mean one?)"),
            ("one ", " (did you mean one?)"),
        ] {
            let why = choose(&choices, OsStr::new(word)).unwrap_err();
            assert!(why.ends_with(&format!(" is not one of one, two{meant}")), "{why}");
        }
        assert_eq!(
            choose(&choices, OsStr::from_bytes(b"a\n")),
            Err("\"a\\n\" is not one of one, two".to_owned())
        );
    }

    #[test]
    fn a_switch_knows_its_words_in_any_case_and_no_others() {
        for (word, yes, yes_or_on) in [
            ("1", Some(true), Some(true)),
            ("TRUE", Some(true), Some(true)),
            ("yEs", Some(true), Some(true)),
            ("on", None, Some(true)),
            ("On", None, Some(true)),
            ("0", Some(false), Some(false)),
            ("False", Some(false), Some(false)),
            ("NO", Some(false), Some(false)),
            ("off", Some(false), Some(false)),
            ("", None, None),
            ("2", None, None),
            ("01", None, None),
            ("y", None, None),
            (" 1", None, None),
            ("yes,", None, None),
        ] {
            let word = OsStr::new(word);
            assert_eq!((YES.parse(word).ok(), YES_OR_ON.parse(word).ok()), (yes, yes_or_on), "{word:?}");
        }
        let why = "x is not one of 1, true, yes, 0, false, no, off";
        assert_eq!(YES.parse(OsStr::new("x")), Err(why.to_owned()));
        // Never the contrary: `on` is no word of this switch.
        let why = "is not one of 1, true, yes, 0, false, no, off";
        assert_eq!(YES.parse(OsStr::new("on")), Err(format!("on {why}")));
        assert_eq!(YES.parse(OsStr::new("flase")), Err(format!("flase {why} (did you mean false?)")));
    }
}
