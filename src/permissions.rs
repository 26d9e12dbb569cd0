//! `fix-perms`: the trees of static services, which s6-supervise made before anybody could prepare them, are opened for the
//! hermes user. Owner and mode are set through the descriptor that was checked, and nothing is followed.

use std::cell::Cell;
use std::ffi::CStr;
use std::fmt::Write;
use std::os::fd::AsFd;

use crate::cli::Options;
use crate::console::Console;
use crate::error::{Context, Reason, Result};
use crate::settings::Settings;
use crate::show::{OrNull, Quoted, Shown};
use crate::slot::layout::{CONTROL, CONTROL_MODE, EVENT, EVENT_MODE, LOG, SUPERVISE};
use crate::sys::keep::{self, Bytes};
use crate::sys::{Chowner, Dir, Errno, Ids, Kind, Meta, Name, file};

/// Where s6-rc keeps the service directories of its longruns.
const SERVICEDIRS: &CStr = c"/run/s6-rc/servicedirs";
/// Services of s6-overlay's own: whoever commands them commands the supervision itself.
const INTERNAL: [&[u8]; 2] = [b"s6rc-", b"s6-linux-"];
/// Mode of `supervise`: the group may command and ask, and cannot list.
const SUPERVISE_MODE: u32 = 0o710;
/// Levels of directories below `supervise` that are followed down; s6-supervise makes one.
const DEEPEST: u32 = 32;
/// Exit code when something was refused or failed.
const INCOMPLETE: u8 = 1;

/// Runs the command; its exit code.
pub fn run(options: &Options, console: &Console) -> u8 {
    match fix_all(options, console) {
        Ok(code) => code,
        Err(error) => console.fatal(&error),
    }
}

fn fix_all(options: &Options, console: &Console) -> Result<u8> {
    let settings = Settings::gather(options, console)?;
    let path = options.operands.first().map_or(SERVICEDIRS, |path| path);
    let label = path.to_bytes();
    let services = match Dir::at(path) {
        Err(Errno::NOENT) => {
            console.print(&format!("fix-perms: nothing to do: {} is missing\n", Shown(label)));
            return Ok(0);
        }
        services => services.context("open", label)?,
    };
    let names = services.names().context("list", label)?;
    let chowner = Chowner::new();
    let policy = settings.policy(chowner.me());
    let fix = Fix {
        ids: policy.skeleton,
        sealed: policy.sealed,
        dry_run: options.dry_run,
        chowner: &chowner,
        denied: Cell::new(None),
    };
    let outcomes: Vec<Outcome> = names.iter().filter_map(|name| fix.service(&services, name)).collect();
    console.print(&report(&outcomes, options.json));
    if let Some(errno) = fix.denied.get() {
        console.note(&format_args!(
            "not permitted to change everything ({}): left as it is",
            Reason::from(errno)
        ));
    } else if let Some(errno) = chowner.refused() {
        console.note(&chowner.refusal(errno));
    }
    let incomplete =
        outcomes.iter().any(|outcome| matches!(outcome.action, Action::Refused | Action::Failed));
    Ok(if incomplete { INCOMPLETE } else { 0 })
}

/// What became of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Done,
    Skipped,
    Refused,
    Failed,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Done => "done",
            Action::Skipped => "skipped",
            Action::Refused => "refused",
            Action::Failed => "failed",
        }
    }
}

struct Outcome {
    service: Name,
    action: Action,
    reasons: Vec<String>,
    changed: bool,
}

impl Outcome {
    fn skipped(service: &Name, reason: &str) -> Outcome {
        let reasons = vec![reason.to_owned()];
        Outcome { service: *service, action: Action::Skipped, reasons, changed: false }
    }

    /// Something was left alone, on purpose.
    fn refuse(&mut self, path: &[u8], why: impl std::fmt::Display) {
        self.reasons.push(format!("{} {why}", Shown(path)));
        if self.action != Action::Failed {
            self.action = Action::Refused;
        }
    }

    fn fail(&mut self, path: &[u8], errno: Errno) {
        self.reasons.push(format!("{}: {}", Shown(path), Reason::from(errno)));
        self.action = Action::Failed;
    }
}

struct Fix<'a> {
    ids: Ids,
    sealed: bool,
    dry_run: bool,
    chowner: &'a Chowner,
    /// The errno with which the kernel denied something that root may do.
    denied: Cell<Option<Errno>>,
}

/// Whether the wanted mode is set, or only the owner.
type Mode = Option<u32>;

impl Fix<'_> {
    /// One entry of the directory of services; none where it is no service.
    fn service(&self, services: &Dir, name: &Name) -> Option<Outcome> {
        if INTERNAL.iter().any(|prefix| name.bytes().starts_with(prefix)) {
            return Some(Outcome::skipped(name, "s6-overlay's own"));
        }
        let mut outcome =
            Outcome { service: *name, action: Action::Done, reasons: Vec::new(), changed: false };
        let kind = services.meta(name).map(|meta| meta.kind);
        match (kind, services.dir(name)) {
            (Ok(Kind::Symlink), _) => outcome.refuse(name.bytes(), "is a symlink"),
            (Ok(Kind::Directory), Ok(service)) => self.parts(&service, &[], &mut outcome),
            (Ok(Kind::Directory), Err(errno)) => self.trouble(name.bytes(), errno, &mut outcome),
            // Neither a service nor in its place; or gone meanwhile.
            _ => return None,
        }
        if outcome.action == Action::Done && !outcome.reasons.is_empty() {
            outcome.action = Action::Skipped;
        }
        Some(outcome)
    }

    /// Something did not work: for lack of permission, which is tolerated, because it vanished, or at all.
    fn trouble(&self, path: &[u8], errno: Errno, outcome: &mut Outcome) {
        match errno {
            Errno::NOENT => (),
            Errno::PERM | Errno::ACCESS => {
                self.denied.set(Some(errno));
                outcome.reasons.push(format!("{}: {}", Shown(path), Reason::from(errno)));
            }
            errno => outcome.fail(path, errno),
        }
    }

    /// A service directory, and its logger's below it.
    fn parts(&self, service: &Dir, label: &[u8], outcome: &mut Outcome) {
        let mut supervised = false;
        for (name, mode) in [(&EVENT, EVENT_MODE), (&SUPERVISE, SUPERVISE_MODE)] {
            let path = join(label, name);
            let Some(dir) = self.open(service, name, path, outcome) else { continue };
            supervised = true;
            if name == &SUPERVISE {
                let ours = self.sealed && dir.own_meta().is_ok_and(|meta| meta.ids.uid == self.ids.uid);
                if self.sealed {
                    // Before what is in it: what is checked there then stays as checked.
                    self.directory(&dir, path, Some(mode), outcome);
                }
                self.supervise(&dir, path, ours, outcome);
            }
            // After what is in it: root with CAP_CHOWN alone cannot look into what it has given away.
            self.directory(&dir, path, Some(mode), outcome);
        }
        if !label.is_empty() {
            return;
        }
        if !supervised && outcome.reasons.is_empty() {
            outcome.reasons.push("nobody supervises it".to_owned());
        }
        match service.meta(&LOG).map(|meta| meta.kind) {
            Ok(Kind::Directory) => match service.dir(&LOG) {
                Ok(log) => self.parts(&log, LOG.bytes(), outcome),
                Err(errno) => self.trouble(LOG.bytes(), errno, outcome),
            },
            Ok(Kind::Symlink) => outcome.refuse(LOG.bytes(), "is a symlink"),
            // A service may have no logger.
            _ => (),
        }
    }

    fn open(&self, parent: &Dir, name: &Name, path: &[u8], outcome: &mut Outcome) -> Option<Dir> {
        match parent.dir(name) {
            Ok(dir) => return Some(dir),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = parent.meta(name).map_or(Kind::Other, |meta| meta.kind);
                outcome.refuse(path, format_args!("is {}, not a directory", kind.text()));
            }
            Err(errno) => self.trouble(path, errno, outcome),
        }
        None
    }

    /// What is in `supervise`: all of it is the owner's, or, sealed and `ours` before, `control` is the group's to write.
    fn supervise(&self, supervise: &Dir, path: &[u8], ours: bool, outcome: &mut Outcome) {
        if ours {
            self.entry(supervise, &CONTROL, path, outcome);
        } else {
            self.tree(supervise, path, 0, outcome);
        }
    }

    fn tree(&self, dir: &Dir, path: &[u8], depth: u32, outcome: &mut Outcome) {
        let names = match dir.names() {
            Ok(names) => names,
            Err(errno) => return self.trouble(path, errno, outcome),
        };
        for name in names {
            let below = join(path, &name);
            let is_directory = dir.meta(&name).is_ok_and(|meta| meta.kind == Kind::Directory);
            if !is_directory {
                self.entry(dir, &name, path, outcome);
            } else if depth == DEEPEST {
                outcome.refuse(below, format_args!("is more than {DEEPEST} directories deep"));
            } else if let Some(subdirectory) = self.open(dir, &name, below, outcome) {
                self.tree(&subdirectory, below, depth + 1, outcome);
                self.directory(&subdirectory, below, None, outcome);
            }
        }
    }

    /// An entry of `supervise` that is no directory.
    fn entry(&self, dir: &Dir, name: &Name, path: &[u8], outcome: &mut Outcome) {
        let path = join(path, name);
        let meta = match dir.meta(name) {
            Ok(meta) => meta,
            Err(errno) => return self.trouble(path, errno, outcome),
        };
        let is_control = name == &CONTROL;
        match meta.kind {
            Kind::Fifo => (),
            Kind::Regular if !is_control => (),
            kind if is_control => {
                return outcome.refuse(path, format_args!("is {}, not a FIFO", kind.text()));
            }
            kind => return outcome.refuse(path, format_args!("is {}", kind.text())),
        }
        let mode = is_control.then_some(CONTROL_MODE);
        if meta.links == 1 && self.is_right(meta, mode, dir) {
            return;
        }
        match file::open_checked(dir, name) {
            Ok((_, opened)) if is_control && opened.kind != Kind::Fifo => {
                outcome.refuse(path, "was exchanged for something else");
            }
            Ok((file, opened)) => {
                let chmod = |mode| file::chmod(&file, mode);
                self.set(&file, opened, mode, dir, path, chmod, outcome);
            }
            Err(Reason::Errno(errno)) => self.trouble(path, errno, outcome),
            Err(reason) => outcome.refuse(path, reason),
        }
    }

    fn directory(&self, dir: &Dir, path: &[u8], mode: Mode, outcome: &mut Outcome) {
        match dir.own_meta() {
            Ok(meta) if self.is_right(meta, mode, dir) => (),
            Ok(meta) => self.set(dir, meta, mode, dir, path, |mode| dir.chmod(mode), outcome),
            Err(errno) => self.trouble(path, errno, outcome),
        }
    }

    fn is_right(&self, meta: Meta, mode: Mode, near: &Dir) -> bool {
        mode.is_none_or(|mode| mode == meta.mode) && self.chowner.is_settled(meta.ids, self.ids, near)
    }

    /// Sets mode and owner of an open file, in this order: who has given a file away may not change its mode any more.
    #[allow(clippy::too_many_arguments)]
    fn set(
        &self,
        file: impl AsFd,
        found: Meta,
        mode: Mode,
        near: &Dir,
        path: &[u8],
        chmod: impl FnOnce(u32) -> std::result::Result<(), Errno>,
        outcome: &mut Outcome,
    ) {
        if self.dry_run {
            outcome.changed = true;
            return;
        }
        let mode = mode.filter(|mode| *mode != found.mode);
        let owner = !self.chowner.is_settled(found.ids, self.ids, near);
        let done = mode
            .map_or(Ok(()), chmod)
            .and_then(|()| if owner { self.chowner.give(file, self.ids) } else { Ok(()) });
        match done {
            Ok(()) => outcome.changed |= mode.is_some() || (owner && self.chowner.refused().is_none()),
            Err(errno) => self.trouble(path, errno, outcome),
        }
    }
}

fn join(path: &[u8], name: &Name) -> Bytes {
    keep::path(&[path, name.bytes()])
}

/// A line for each service, then the summary.
fn report(outcomes: &[Outcome], json: bool) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let service = outcome.service.bytes();
        let (action, reason) = (outcome.action.word(), outcome.reasons.join("; "));
        // Writing to a String cannot fail.
        let _ = if json {
            let reason = OrNull(Some(reason.as_bytes()).filter(|reason| !reason.is_empty()));
            let service = Quoted(service);
            let changed = outcome.changed;
            writeln!(
                text,
                "{{\"service\": {service}, \"action\": \"{action}\", \"reason\": {reason}, \"changed\": {changed}}}"
            )
        } else if reason.is_empty() {
            writeln!(text, "fix-perms: service={} action={action}", Shown(service))
        } else {
            writeln!(
                text,
                "fix-perms: service={} action={action} reason={}",
                Shown(service),
                Quoted(reason.as_bytes())
            )
        };
    }
    let count = |action| outcomes.iter().filter(|outcome| outcome.action == action).count();
    let [done, skipped, refused, failed] =
        [Action::Done, Action::Skipped, Action::Refused, Action::Failed].map(count);
    let _ = if json {
        writeln!(
            text,
            "{{\"done\": {done}, \"skipped\": {skipped}, \"refused\": {refused}, \"failed\": {failed}}}"
        )
    } else {
        writeln!(text, "fix-perms: {done} done, {skipped} skipped, {refused} refused, {failed} failed")
    };
    text
}
