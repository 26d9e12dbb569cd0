//! What the boot log tells of profiles. Pure: it is given the lines, the newest one first.
//!
//! All lines of a pass have the same time, and one of them is about `default`. The first pass after the start of process 1 is the
//! container's boot; people may have run more of them by hand since.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::output::escape::{self, FromVolume};
use crate::output::{Error, localtime};
use crate::s6::ProfileName;

/// How much earlier than the start of process 1 the time of a pass can be that was made after it, in seconds: the log has whole
/// seconds, and the clock may have been set a little since.
const SLACK: i64 = 1;

/// What a pass has done with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The action.
    pub action: String,
    /// The time of the pass, in the container's local time.
    pub time: String,
    /// The same in seconds since 1970.
    moment: i64,
}

/// The entries of a profile.
#[derive(Debug, Default)]
struct Entries {
    newest: Option<Entry>,
    /// The oldest one since the boot.
    oldest: Option<Entry>,
}

/// What the boot log tells of the profiles that are asked for.
pub struct LastBoots<'a> {
    /// By the profile's name as it is printed. `default` is always among them.
    profiles: BTreeMap<Vec<u8>, Entries>,
    /// When the boot began, in seconds since 1970: earlier passes are of earlier boots. `None` if that is not known, or if the log has no
    /// pass since then.
    boot: Option<i64>,
    /// The time of the oldest pass since the boot.
    first_pass: Option<i64>,
    /// The time of the newest line, whatever it is about.
    last_told: Option<i64>,
    /// Returns whether a slot was made at a moment, in seconds since 1970, or before, as far as that is known. A boot makes its slots anew,
    /// and writes its lines after that, by the same clock: older lines are of another boot, or another machine has written them.
    is_of_this_boot: &'a dyn Fn(i64) -> bool,
    newest: Newest,
    errors: Vec<Error>,
}

/// How much of the newest pass has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newest {
    /// Nothing, or not all as far as is known.
    Begun,
    /// All its lines.
    Whole,
    /// As much as there is to read: something failed before it was whole.
    Cut,
}

impl From<Error> for LastBoots<'_> {
    /// Returns what is known of a log that could not be looked at: nothing.
    fn from(error: Error) -> Self {
        let mut boots = LastBoots::none();
        boots.fail(error);
        boots
    }
}

impl<'a> LastBoots<'a> {
    /// Returns what is known where there is no log.
    pub fn none() -> LastBoots<'a> {
        LastBoots::new(None, &|_| true, std::iter::empty())
    }

    /// Returns what is known of these profiles before a line has been read. `started` is when process 1 has started, in seconds since 1970.
    /// `is_of_this_boot` returns whether a slot was made at a moment or before, as far as that is known.
    pub fn new<'b>(
        started: Option<i64>,
        is_of_this_boot: &'a dyn Fn(i64) -> bool,
        profiles: impl Iterator<Item = &'b [u8]>,
    ) -> LastBoots<'a> {
        let shown = profiles.map(|profile| FromVolume(profile).to_string());
        let all = shown.chain([ProfileName::root().text().to_owned()]);
        LastBoots {
            profiles: all.map(|profile| (profile.into_bytes(), Entries::default())).collect(),
            boot: started.map(|started| started.saturating_sub(SLACK)),
            first_pass: None,
            last_told: None,
            is_of_this_boot,
            newest: Newest::Begun,
            errors: Vec::new(),
        }
    }

    /// Takes the next older line. Breaks if those before it tell nothing more.
    pub fn add(&mut self, line: &[u8]) -> ControlFlow<()> {
        let Some((profile, entry)) = parse(line) else { return ControlFlow::Continue(()) };
        let is_of_older_pass = self.newest_pass().is_some_and(|newest| newest != entry.moment);
        if is_of_older_pass {
            self.end_newest();
        }
        match self.boot {
            Some(boot) if entry.moment >= boot => self.first_pass = Some(entry.moment),
            Some(_) if self.first_pass.is_some() => return ControlFlow::Break(()),
            // The newest pass is older than the boot.
            _ if is_of_older_pass => return ControlFlow::Break(()),
            _ => self.boot = None,
        }
        self.last_told = self.last_told.max(Some(entry.moment));
        if let Some(entries) = self.profiles.get_mut(profile) {
            entries.oldest = self.boot.map(|_| entry.clone());
            entries.newest.get_or_insert(entry);
        }
        ControlFlow::Continue(())
    }

    /// Takes the beginning of a file, before which there is an older one: a pass has all its lines in one. Breaks as [`LastBoots::add`].
    pub fn end_file(&mut self) -> ControlFlow<()> {
        if self.newest_pass().is_none() {
            return ControlFlow::Continue(());
        }
        self.end_newest();
        if self.boot.is_none() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn end_newest(&mut self) {
        if self.newest == Newest::Begun {
            self.newest = Newest::Whole;
        }
    }

    /// Takes an error: what is next could not be read.
    pub fn fail(&mut self, error: Error) {
        if self.newest == Newest::Begun {
            self.newest = Newest::Cut;
        }
        self.errors.push(error);
    }

    /// Returns what could not be read, and why.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// Returns whether all is known of the newest pass that the log has ever told.
    pub fn is_newest_pass_known(&self) -> bool {
        self.newest != Newest::Cut
    }

    /// Returns what the container's boot has done with a profile: the first pass since process 1 has started. If the log has none, or
    /// if it is not known when that was, the newest pass counts.
    pub fn at_boot(&self, profile: &[u8]) -> Option<&Entry> {
        if self.boot.is_none() || self.first_pass.is_none() {
            return self.in_newest(profile);
        }
        // Of a log that was not read as far as that, a later pass may be the oldest.
        let is_known = self.errors.is_empty();
        self.of(profile)?.oldest.as_ref().filter(|oldest| is_known && Some(oldest.moment) == self.first_pass)
    }

    /// Returns what the newest pass has done with a profile, if it is of this boot.
    pub fn in_newest_pass(&self, profile: &[u8]) -> Option<&Entry> {
        self.in_newest(profile).filter(|entry| (self.is_of_this_boot)(entry.moment))
    }

    /// Returns whether what the log tells last is of an earlier boot, or of another machine's.
    pub fn is_of_another_boot(&self) -> bool {
        self.newest_pass().or(self.last_told).is_some_and(|newest| !(self.is_of_this_boot)(newest))
    }

    /// Returns what the newest pass has done with a profile. In a log without a line about `default`, each line counts.
    fn in_newest(&self, profile: &[u8]) -> Option<&Entry> {
        let newest = self.of(profile)?.newest.as_ref()?;
        self.newest_pass().is_none_or(|moment| moment == newest.moment).then_some(newest)
    }

    fn of(&self, profile: &[u8]) -> Option<&Entries> {
        self.profiles.get(FromVolume(profile).to_string().as_bytes())
    }

    /// Returns the time of the newest pass.
    fn newest_pass(&self) -> Option<i64> {
        let root = self.of(ProfileName::root().text().as_bytes())?;
        root.newest.as_ref().map(|entry| entry.moment)
    }
}

/// Parses `TIME profile=NAME prior_state=STATE action=ACTION …`. Returns the profile's name as it is printed, and the entry. A quoted
/// value may hold blanks, but no quote that is not escaped.
fn parse(line: &[u8]) -> Option<(&[u8], Entry)> {
    let (time, rest) = line.split_at_checked(localtime::STAMP)?;
    let rest = rest.strip_prefix(b" profile=")?;
    // The hermes user can write the log: a value that no boot pass writes is not used.
    let moment = localtime::parse(time)?;
    let (profile, rest) = split(rest, b" prior_state=")?;
    let (_, rest) = split(rest, b" action=")?;
    let action = rest.split(|byte| *byte == b' ').next().filter(|action| escape::is_bare(action))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((profile, Entry { action: text(action), time: text(time), moment }))
}

/// Splits a line at the first `key` outside of quotes.
fn split<'a>(line: &'a [u8], key: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if !quoted && line.get(at..)?.starts_with(key) => {
                return Some((line.get(..at)?, line.get(at + key.len()..)?));
            }
            _ => (),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "2026-03-01T10:00:00+0000";
    /// The moment of [`T`].
    const AT: i64 = 1_772_359_200;

    #[test]
    fn a_line_of_the_log_is_read_back_and_no_value_forges_it() {
        let line = |rest: &str| format!("{T} {rest}");
        for (line, expected) in [
            (line("profile=a prior_state=None action=started prior_exit=clean"), Some(("a", "started"))),
            (line("profile=a prior_state=None action=started"), Some(("a", "started"))),
            (
                line(r#"profile="a b" prior_state="\" action=x" action=skipped reason="y""#),
                Some((r#""a b""#, "skipped")),
            ),
            (
                line(r#"profile=" prior_state=x action=y" prior_state=None action=failed"#),
                Some((r#"" prior_state=x action=y""#, "failed")),
            ),
            (line(r#"profile="a\\" prior_state=None action=started"#), Some((r#""a\\""#, "started"))),
            (line(r#"profile="a prior_state=None action=started"#), None),
            (line("profile=a prior_state=None action=\"started\""), None),
            (line("profile=a prior_state=None action="), None),
            (line("profile=a prior_state=None action= started"), None),
            (line("profile=a prior_state=None action=\u{1b}[2J"), None),
            (line(&format!("profile=a prior_state=None action={}", "x".repeat(65))), None),
            (line("profile=a action=started prior_state=None"), None),
            (line("profiles action=skipped reason=\"x\""), None),
            (line("T profile=a prior_state=None action=started"), None),
            (line("profile=a"), None),
            ("T profile=a prior_state=None action=started".to_owned(), None),
            ("2026-03-01T10:00:00Z profile=a prior_state=None action=started".to_owned(), None),
            (" profile=a prior_state=None action=started".to_owned(), None),
            (T.to_owned(), None),
            (String::new(), None),
        ] {
            let read = parse(line.as_bytes());
            let expected = expected.map(|(profile, action)| {
                let entry = Entry { action: action.to_owned(), time: T.to_owned(), moment: AT };
                (profile.as_bytes(), entry)
            });
            assert_eq!(read, expected, "{line}");
        }
    }

    /// A line of a log: the minute of the pass, the profile and the action.
    type Told = (i64, &'static str, &'static str);

    const OLD: [Told; 3] = [(0, "default", "started"), (0, "a", "started"), (0, "b", "started")];
    const BOOT: [Told; 3] = [(10, "default", "registered"), (10, "a", "failed"), (10, "b", "started")];
    const BY_HAND: [Told; 3] = [(13, "default", "registered"), (13, "a", "started"), (13, "c", "started")];
    const AGAIN: [Told; 2] = [(15, "default", "registered"), (15, "b", "registered")];

    /// Reads a log of these passes, the oldest first. Process 1 has started at a second of the hour. Returns what is known, and how many
    /// lines were read.
    fn read(started: Option<i64>, passes: &[&[Told]]) -> (LastBoots<'static>, usize) {
        read_with_slots(started, &|_| true, passes)
    }

    /// As [`read`], where it is known whether a slot is as old as a moment.
    fn read_with_slots<'a>(
        started: Option<i64>,
        is_of_this_boot: &'a dyn Fn(i64) -> bool,
        passes: &[&[Told]],
    ) -> (LastBoots<'a>, usize) {
        let asked = ["a", "b", "c"].map(str::as_bytes).into_iter();
        let mut boots = LastBoots::new(started.map(|second| AT + second), is_of_this_boot, asked);
        let lines = passes.concat().into_iter().rev();
        let mut lines = lines.map(|(minute, profile, action)| {
            format!("2026-03-01T10:{minute:02}:00+0000 profile={profile} prior_state=None action={action}")
        });
        let mut count = 0;
        while let Some(line) = lines.next()
            && boots.add(line.as_bytes()).is_continue()
        {
            count += 1;
        }
        (boots, count)
    }

    /// Returns what the boot and what the newest pass has done with each of the profiles, and in which minute.
    fn told(boots: &LastBoots) -> [String; 2] {
        let text = |entry: Option<&Entry>| {
            let text = |entry: &Entry| Some(format!("{}{}", entry.action.get(..1)?, entry.time.get(14..16)?));
            entry.and_then(text).unwrap_or("-".to_owned())
        };
        let all = |find: &dyn Fn(&[u8]) -> Option<Entry>| {
            ["a", "b", "c"].map(|profile| text(find(profile.as_bytes()).as_ref())).join(" ")
        };
        [
            all(&|profile| boots.at_boot(profile).cloned()),
            all(&|profile| boots.in_newest_pass(profile).cloned()),
        ]
    }

    #[test]
    fn the_boot_is_the_first_pass_since_process_1_has_started() {
        let minute = |minute: i64| Some(minute * 60);
        for (what, started, passes, at_boot, newest, read_lines) in [
            ("the boot alone", minute(10), &[&OLD[..], &BOOT][..], "f10 s10 -", "f10 s10 -", 3),
            ("a pass by hand", minute(10), &[&OLD, &BOOT, &BY_HAND], "f10 s10 -", "s13 - s13", 6),
            ("two by hand", minute(9), &[&OLD, &BOOT, &BY_HAND, &AGAIN], "f10 s10 -", "- r15 -", 8),
            (
                "the boot in the second of the start",
                Some(600),
                &[&OLD, &BOOT, &BY_HAND],
                "f10 s10 -",
                "s13 - s13",
                6,
            ),
            ("in the second before it", Some(601), &[&OLD, &BOOT, &BY_HAND], "f10 s10 -", "s13 - s13", 6),
            ("earlier", Some(602), &[&OLD, &BOOT, &BY_HAND], "s13 - s13", "s13 - s13", 3),
            ("nothing is older", minute(-9), &[&OLD, &BOOT], "s00 s00 -", "f10 s10 -", 6),
            // The newest pass counts, and nothing older than it is read.
            ("this boot has made no pass", minute(16), &[&OLD, &BOOT, &AGAIN], "- r15 -", "- r15 -", 2),
            ("process 1 is not seen", None, &[&OLD, &BOOT, &AGAIN], "- r15 -", "- r15 -", 2),
            ("no log", minute(10), &[], "- - -", "- - -", 0),
            // Without a line about default, each line counts as one of the newest pass.
            ("half a log", None, &[&OLD[2..], &BOOT[1..2]], "f10 s00 -", "f10 s00 -", 2),
            // The clock was set back between them.
            ("a clock set back", minute(9), &[&OLD, &BY_HAND, &BOOT], "s13 - s13", "f10 s10 -", 6),
            (
                "two boots in one second",
                minute(10),
                &[&BOOT, &[(10, "a", "started")]],
                "f10 s10 -",
                "s10 s10 -",
                4,
            ),
            // A line that somebody has added is of no pass.
            ("a line of long ago", minute(10), &[&BOOT, &OLD[1..2]], "- s10 -", "- s10 -", 4),
        ] {
            let (boots, count) = read(started, passes);
            let [found_at_boot, found_newest] = told(&boots);
            assert_eq!((&*found_at_boot, &*found_newest, count), (at_boot, newest, read_lines), "{what}");
        }
    }

    #[test]
    fn a_line_that_is_older_than_the_oldest_slot_is_of_another_boot() {
        for (what, oldest_slot, passes, newest, is_of_another) in [
            ("no slot", None, &[&OLD[..], &BOOT][..], "f10 s10 -", false),
            ("made long before", Some(0), &[&OLD, &BOOT], "f10 s10 -", false),
            ("in the second of the boot", Some(600), &[&OLD, &BOOT], "f10 s10 -", false),
            ("a second after it", Some(601), &[&OLD, &BOOT], "- - -", true),
            ("a pass by hand after it", Some(601), &[&OLD, &BOOT, &BY_HAND], "s13 - s13", false),
            ("no log", Some(601), &[], "- - -", false),
            ("half a log", Some(601), &[&OLD[2..], &BOOT[1..2]], "- - -", true),
            ("a newer half", Some(600), &[&OLD[2..], &BOOT[1..2]], "f10 - -", false),
        ] {
            for started in [None, Some(0), Some(600), Some(660)] {
                let is_of_this_boot =
                    |moment: i64| oldest_slot.is_none_or(|second: i64| moment >= AT + second);
                let (boots, _) = read_with_slots(started, &is_of_this_boot, passes);
                let [at_boot, found] = told(&boots);
                assert_eq!(
                    (&*found, boots.is_of_another_boot()),
                    (newest, is_of_another),
                    "{what} {started:?}"
                );
                // What is printed of the last boot has its time.
                let [printed, _] = told(&read(started, passes).0);
                assert_eq!(at_boot, printed, "{what} {started:?}");
            }
        }
    }

    #[test]
    fn a_log_that_was_not_read_to_the_boot_does_not_tell_of_it() {
        let (mut boots, _) = read(Some(0), &[&BY_HAND, &AGAIN]);
        boots.fail(Error::new("read", "log", "too long"));
        assert_eq!(told(&boots), ["- - -", "- r15 -"]);
        let (mut boots, _) = read(None, &[&BY_HAND, &AGAIN]);
        boots.fail(Error::new("read", "log", "too long"));
        assert_eq!(told(&boots), ["- r15 -", "- r15 -"]);
    }

    #[test]
    fn the_newest_pass_is_known_unless_something_failed_before_all_of_it_was_read() {
        for (what, passes, is_file_read, expected) in [
            ("nothing", &[][..], false, false),
            ("a file without a pass", &[], true, false),
            ("some of its lines", &[&BOOT[1..]], false, false),
            ("some of its lines, and others", &[&OLD[1..], &BOOT[1..]], false, false),
            ("all, but there may be more", &[&BOOT], false, false),
            ("all of the file", &[&BOOT], true, true),
            ("a line of an older pass", &[&OLD[2..], &BOOT], false, true),
            ("an older pass", &[&OLD, &BOOT], true, true),
        ] {
            for started in [None, Some(600), Some(0)] {
                let (mut boots, _) = read(started, passes);
                if is_file_read {
                    let _ = boots.end_file();
                }
                assert!(boots.is_newest_pass_known(), "{what}");
                boots.fail(Error::new("read", "log", "too long"));
                assert_eq!(boots.is_newest_pass_known(), expected, "{what} {started:?}");
                // What an older file has is no newest pass.
                let line = format!("{T} profile=default prior_state=None action=skipped");
                let _ = boots.add(line.as_bytes()).is_continue() && boots.end_file().is_continue();
                assert_eq!(boots.is_newest_pass_known(), expected, "{what} {started:?}");
            }
        }
    }

    #[test]
    fn nothing_is_kept_of_profiles_that_are_not_asked_for() {
        let asked = [&b"a b"[..], b"c"].into_iter();
        let mut boots = LastBoots::new(None, &|_| true, asked);
        for profile in [r#""a\u0020b""#, "c", "other", "default"] {
            let line = format!("{T} profile={profile} prior_state=None action=skipped");
            assert!(boots.add(line.as_bytes()).is_continue());
        }
        assert_eq!(boots.profiles.len(), 3);
        let skipped =
            |name: &str| boots.at_boot(name.as_bytes()).is_some_and(|entry| entry.action == "skipped");
        assert!(skipped("a b") && skipped("c") && skipped("default") && !skipped("other"));
    }
}
