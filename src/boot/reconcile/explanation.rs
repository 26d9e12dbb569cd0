//! What `--explain` says: the facts, and their two forms, lines for people and JSON objects for programs.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::report;
use crate::output::Format;
use crate::output::escape::{FromVolume, Shown};
use crate::output::json::{self, Scalar};
use crate::volume::profiles::Others;

/// One thing that is explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A setting of the pass.
    Setting(NamedSetting),
    /// The container is a front end's.
    FrontEnd {
        /// Where its role comes from.
        source: &'static str,
        /// Why no gateway belongs in it.
        why: String,
    },
    /// What the next boot does with an entry of the volume.
    Entry(Entry),
    /// A directory of `profiles` that is no profile.
    NotProfile {
        /// Its path in `HERMES_HOME`.
        path: PathBuf,
        /// Why it is none.
        because: &'static str,
    },
    /// Further profiles for which there is no capacity.
    MoreRefused {
        /// Their number.
        count: usize,
        /// Why.
        because: String,
    },
    /// The number of further ones, which contain no SOUL.md.
    MoreNotProfiles(usize),
    /// Further entries of `profiles`, which are only counted.
    Others(Others),
}

/// A setting with its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSetting {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Vec<u8>,
    /// Where the value comes from.
    pub source: String,
    /// What else there is to say of it.
    pub note: Option<String>,
}

/// What the next boot does with an entry of the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as the volume has it.
    pub name: Vec<u8>,
    /// What happens to it.
    pub at_next_boot: &'static str,
    /// Why.
    pub because: String,
    /// What there is of it; `None` if it has no slot, or could not be looked at.
    pub present: Option<Present>,
}

/// What there is of a profile that has a slot or is to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// What its gateway will lack, if anything.
    pub but: Option<String>,
    /// How its gateway ended last time.
    pub last_exit: &'static str,
    /// The state of its slot.
    pub slot_now: String,
}

/// Why further directories of `profiles` are no profiles.
const NO_SOULS: &str = "they contain no SOUL.md";

/// Returns the facts in a form.
pub fn text(facts: impl IntoIterator<Item = Fact>, format: Format) -> String {
    let of = |fact: Fact| match format {
        Format::Text => fact.lines(),
        Format::Json => fact.object() + "\n",
    };
    facts.into_iter().map(of).collect()
}

impl Fact {
    /// Returns the lines of a fact. The settings are the first paragraph, and each other fact is one of its own.
    fn lines(&self) -> String {
        match self {
            Fact::Setting(NamedSetting { name, value, source, note }) => {
                let note = note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
                format!("{name}: {} ({source}{note})\n", Shown(value))
            }
            Fact::FrontEnd { source, why } => format!("role: frontend ({source})\n{}\n", not_here(why)),
            Fact::Entry(entry) => entry.lines(),
            Fact::NotProfile { path, because } => {
                format!("\n{} is not a profile\n  because: {because}\n", FromVolume::path(path))
            }
            Fact::MoreRefused { count, because } => {
                format!("\n{count} more profiles have no slot\n  because: {because}\n")
            }
            Fact::MoreNotProfiles(more) => {
                format!("\n{more} more directories are not profiles\n  because: {NO_SOULS}\n")
            }
            Fact::Others(others) => {
                report::sum(*others).map(|sum| format!("\nprofiles: {sum}\n")).unwrap_or_default()
            }
        }
    }

    /// Returns the JSON object of a fact.
    fn object(&self) -> String {
        match self {
            Fact::Setting(NamedSetting { name, value, source, note }) => {
                setting(name, value, source, note.as_deref())
            }
            Fact::FrontEnd { source, why } => setting("role", b"frontend", source, Some(&not_here(why))),
            Fact::Entry(entry) => entry.object(),
            Fact::NotProfile { path, because } => json::object([
                ("directory", path.as_os_str().as_bytes().into()),
                ("because", (*because).into()),
            ]),
            Fact::MoreRefused { count, because } => {
                json::object([("more_profiles", (*count).into()), ("because", because.as_str().into())])
            }
            Fact::MoreNotProfiles(more) => {
                json::object([("more_directories", (*more).into()), ("because", NO_SOULS.into())])
            }
            Fact::Others(Others { skipped, failed }) => json::object([
                ("more_without_slot", (*skipped).into()),
                ("more_not_inspected", (*failed).into()),
            ]),
        }
    }
}

impl Entry {
    fn lines(&self) -> String {
        let Entry { name, at_next_boot, because, present } = self;
        let start = format!(
            "\nprofile {}\n  at the next boot: {at_next_boot}\n  because: {because}\n",
            FromVolume(name)
        );
        let Some(Present { but, last_exit, slot_now }) = present else { return start };
        let but = but.as_ref().map(|but| format!("  but: {but}\n")).unwrap_or_default();
        format!("{start}{but}  last exit: {last_exit}\n  slot now: {slot_now}\n")
    }

    fn object(&self) -> String {
        let Entry { name, at_next_boot, because, present } = self;
        let present = present.as_ref();
        json::object([
            ("profile", Scalar::Text(name)),
            ("at_next_boot", (*at_next_boot).into()),
            ("because", because.as_str().into()),
            ("but", present.and_then(|present| present.but.as_deref()).into()),
            ("last_exit", present.map(|present| present.last_exit).into()),
            ("slot_now", present.map(|present| present.slot_now.as_str()).into()),
        ])
    }
}

fn setting(name: &str, value: &[u8], source: &str, note: Option<&str>) -> String {
    json::object([
        ("setting", name.into()),
        ("value", value.into()),
        ("source", source.into()),
        ("note", note.into()),
    ])
}

fn not_here(why: &str) -> String {
    format!("no gateway is reconciled here: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Vec<Fact> {
        let setting = |name, value: &str, note: Option<&str>| {
            let (value, note) = (value.as_bytes().to_vec(), note.map(str::to_owned));
            Fact::Setting(NamedSetting { name, value, source: "default".to_owned(), note })
        };
        let entry = |name: &str, but: Option<Option<&str>>| {
            let present = but.map(|but| Present {
                but: but.map(str::to_owned),
                last_exit: "unclean",
                slot_now: "gateway-x is missing".to_owned(),
            });
            let because = "desired_state is running".to_owned();
            Fact::Entry(Entry { name: name.as_bytes().to_vec(), at_next_boot: "started", because, present })
        };
        vec![
            setting("HERMES_HOME", "/a b", None),
            setting("topology", "per-profile", Some("auto: nothing")),
            entry("coder", Some(None)),
            entry("b c", Some(Some("it is closed"))),
            entry("gone", None),
            Fact::MoreRefused { count: 4, because: "no room".to_owned() },
            Fact::NotProfile { path: "profiles/x y".into(), because: "it contains no SOUL.md" },
            Fact::MoreNotProfiles(3),
            Fact::Others(Others { skipped: 2, failed: 1 }),
        ]
    }

    #[test]
    fn lines_are_for_people() {
        assert_eq!(
            text(facts(), Format::Text),
            r#"HERMES_HOME: "/a b" (default)
topology: per-profile (default; auto: nothing)

profile coder
  at the next boot: started
  because: desired_state is running
  last exit: unclean
  slot now: gateway-x is missing

profile "b\u0020c"
  at the next boot: started
  because: desired_state is running
  but: it is closed
  last exit: unclean
  slot now: gateway-x is missing

profile gone
  at the next boot: started
  because: desired_state is running

4 more profiles have no slot
  because: no room

"profiles/x\u0020y" is not a profile
  because: it contains no SOUL.md

3 more directories are not profiles
  because: they contain no SOUL.md

profiles: 2 more entries cannot have a slot, and 1 were not inspected
"#
        );
    }

    #[test]
    fn objects_are_for_programs() {
        assert_eq!(
            text(facts(), Format::Json),
            r#"{"setting": "HERMES_HOME", "value": "/a b", "source": "default", "note": null}
{"setting": "topology", "value": "per-profile", "source": "default", "note": "auto: nothing"}
{"profile": "coder", "at_next_boot": "started", "because": "desired_state is running", "but": null, "last_exit": "unclean", "slot_now": "gateway-x is missing"}
{"profile": "b c", "at_next_boot": "started", "because": "desired_state is running", "but": "it is closed", "last_exit": "unclean", "slot_now": "gateway-x is missing"}
{"profile": "gone", "at_next_boot": "started", "because": "desired_state is running", "but": null, "last_exit": null, "slot_now": null}
{"more_profiles": 4, "because": "no room"}
{"directory": "profiles/x y", "because": "it contains no SOUL.md"}
{"more_directories": 3, "because": "they contain no SOUL.md"}
{"more_without_slot": 2, "more_not_inspected": 1}
"#
        );
    }

    #[test]
    fn a_front_end_has_its_role_and_why_nothing_is_done_there() {
        let fact = || [Fact::FrontEnd { source: "option", why: "the role is frontend (option)".to_owned() }];
        assert_eq!(
            text(fact(), Format::Text),
            "role: frontend (option)\nno gateway is reconciled here: the role is frontend (option)\n"
        );
        assert_eq!(
            text(fact(), Format::Json),
            "{\"setting\": \"role\", \"value\": \"frontend\", \"source\": \"option\", \
             \"note\": \"no gateway is reconciled here: the role is frontend (option)\"}\n"
        );
    }

    #[test]
    fn nothing_more_is_no_line() {
        assert_eq!(text([Fact::Others(Others::default())], Format::Text), "");
    }
}
