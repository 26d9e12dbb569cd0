//! `hand-over`: gives what a root shell has left on the volume to the hermes user.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::record;
use crate::output::escape::{FromVolume, Sentence};
use crate::output::{Console, Context, Error, Result, exit};
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Name, process};
use crate::volume::home::{self, Refusal, Trusted};
use crate::volume::transfer::{Kept, Outcome, Rules, Walk};

/// Number of paths that are printed one by one.
const PRINTED: u64 = 1000;

/// The arguments of `hand-over`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// Whether nothing is changed.
    pub is_dry_run: bool,
    /// Whether also what the hermes user cannot read is given to him.
    pub private_too: bool,
    /// Paths on the volume, absolute or relative to `HERMES_HOME`.
    pub paths: Vec<OsString>,
}

/// Runs the command. Returns its exit code.
pub fn run(args: &Args, console: &Console) -> u8 {
    hand_over(args, console).unwrap_or_else(|error| console.fatal(&error))
}

fn hand_over(args: &Args, console: &Console) -> Result<u8> {
    let settings = Settings::gather(&args.overrides, console)?;
    let path = &settings.home.value;
    let places = args.paths.iter().map(|word| place(word, path)).collect::<Result<Vec<_>>>()?;
    if !process::is_root() {
        let reason = "only root can: run the command as root";
        return Err(Error::new("change owners in", path, reason).with_code(exit::INCOMPLETE));
    }
    let (home, trusted) = record::home(&settings)?;
    let rules =
        Rules { owner: settings.owner.value, private_too: args.private_too, is_dry_run: args.is_dry_run };
    let mut report = Report { console, printed: 0, changed: 0, left: 0, failed: 0, is_private: false };
    for place in &places {
        if let Err(error) = give(&home.dir, trusted, place, rules, &mut report) {
            console.failed(&error);
            report.failed += 1;
        }
    }
    Ok(report.end())
}

/// Parses an operand. Returns the components of the path relative to `HERMES_HOME`.
fn place(word: &OsStr, home: &Path) -> Result<Vec<Name>> {
    let wrong =
        || Error::usage("use the path", word, format!("it is not a path below {}", FromVolume::path(home)));
    let path = Path::new(word);
    let below = if path.is_absolute() { path.strip_prefix(home).map_err(|_| wrong())? } else { path };
    let mut names = Vec::new();
    for component in below.components() {
        match component {
            Component::Normal(name) => names.push(Name::new(name.as_encoded_bytes()).ok_or_else(wrong)?),
            Component::CurDir => (),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(wrong()),
        }
    }
    Ok(names)
}

/// Gives away what is at a path. Directories on the way may be symlinks to other disks, as everywhere on the volume.
fn give(home: &Dir, trusted: Trusted, place: &[Name], rules: Rules, report: &mut Report<'_>) -> Result<()> {
    let label: PathBuf = place.iter().collect();
    let refused = |refusal: Refusal| Error::new("open", &label, refusal.reason());
    let mut add = |path: &Path, outcome| report.add(path, outcome);
    let Some((last, way)) = place.split_last() else {
        let home = home.readable().context("open", ".")?;
        return Walk::tree(home, &label, rules, &mut add);
    };
    let mut parent = None;
    for name in way {
        parent = Some(home::open_linkable(parent.as_ref().unwrap_or(home), name, trusted).map_err(refused)?);
    }
    let parent = parent.as_ref().unwrap_or(home);
    match home::open_linkable(parent, last, trusted) {
        Ok(dir) => Walk::tree(dir, &label, rules, &mut add),
        Err(Refusal::NotADirectory(_)) => Walk::entry(parent, last, &label, rules, &mut add),
        Err(refusal) => Err(refused(refusal)),
    }
}

/// What has been done so far, printed as it is done.
struct Report<'a> {
    console: &'a Console,
    printed: u64,
    changed: u64,
    left: u64,
    failed: u64,
    /// Whether something private was left.
    is_private: bool,
}

impl Report<'_> {
    fn add(&mut self, path: &Path, outcome: Outcome) {
        let (word, reason) = match outcome {
            Outcome::Changed => {
                self.changed += 1;
                ("changed", None)
            }
            Outcome::Left(kept) => {
                self.left += 1;
                self.is_private |= kept == Kept::Private;
                ("left", Some(kept.text().to_owned()))
            }
            Outcome::Failed(reason) => {
                self.failed += 1;
                ("failed", Some(reason.to_string()))
            }
        };
        self.printed += 1;
        if self.printed <= PRINTED {
            let reason = reason.map(|reason| format!(" reason={}", Sentence(&reason))).unwrap_or_default();
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            self.console
                .print(&format!("hand-over: path={} action={word}{reason}\n", FromVolume::path(path)));
        }
    }

    /// Prints the sums. Returns the exit code.
    fn end(&self) -> u8 {
        let Report { console, printed, changed, left, failed, is_private } = self;
        if let Some(more) = printed.checked_sub(PRINTED).filter(|more| *more > 0) {
            console.print(&format!("hand-over: {more} more paths are not listed\n"));
        }
        console.print(&format!("hand-over: {changed} changed, {left} left, {failed} failed\n"));
        if *is_private {
            console.note(format_args!(
                "what the hermes user cannot read was left: look at it, and give it to him with --private if it is his"
            ));
        }
        if left + failed > 0 { exit::INCOMPLETE } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_volume() {
        for (word, expected) in [
            (".", Some("")),
            ("profiles/coder", Some("profiles/coder")),
            ("./profiles//coder/", Some("profiles/coder")),
            ("/opt/data", Some("")),
            ("/opt/data/", Some("")),
            ("/opt/data/logs", Some("logs")),
            ("/opt/database", None),
            ("/", None),
            ("/etc", None),
            ("..", None),
            ("profiles/../../etc", None),
            ("/opt/data/../x", None),
        ] {
            let parsed = place(OsStr::new(word), Path::new("/opt/data"));
            let parsed = parsed.map(|names| names.iter().collect::<PathBuf>()).ok();
            assert_eq!(parsed.as_deref(), expected.map(Path::new), "{word}");
        }
    }
}
