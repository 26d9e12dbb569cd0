//! The boot pass: one slot for every profile. `observe` reads the volume, `decide` decides, `slots` compares with what is there,
//! `apply` carries it out; `report` and `explanation` are what is printed of it.

mod access;
mod apply;
mod bootstrap;
mod capabilities;
mod capacity;
pub mod decide;
mod elsewhere;
mod explain;
mod explanation;
mod files;
mod observe;
mod observed;
pub mod plan;
mod profile_files;
mod report;
mod rest;
mod slots;
mod stale;

pub use access::require as require_access;
pub use plan::Item;
pub use plan::Plan;
pub use rest::Asked;

use decide::Bootstrap;
use plan::Outcome;
use std::cell::{OnceCell, RefCell};
use std::os::unix::ffi::OsStrExt;

use crate::output::Console;
use crate::output::escape::Shown;
use crate::output::{Context, Error, Format, Result, exit};
use crate::s6::scandir_lock::{self, Held};
use crate::s6::{Template, room};
use crate::settings::role;
use crate::settings::topology::TopologyChoice;
use crate::settings::{Overrides, Settings};
use crate::sys::{Dir, Errno, Name, Ownership, Patience, Reason};
use crate::topology::multiplexing::Multiplexing;
use crate::volume::home::Trusted;
use crate::volume::profiles::Profiles;
use crate::volume::{Home, state};

/// The arguments of `reconcile`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// Whether anything is changed.
    pub effect: Effect,
    /// The form of the report.
    pub format: Format,
    /// Whether supervised slots that another program has made are changed, too.
    pub adopt: bool,
}

/// What `reconcile` does. A later one prevails over an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Makes and updates slots.
    #[default]
    Apply,
    /// Changes nothing, and reports what would be done.
    DryRun,
    /// Changes nothing, and explains why each profile starts or not.
    Explain,
}

/// Runs `reconcile`. Returns its exit code.
pub fn run(args: &Args, console: &Console) -> u8 {
    match pass(args, console) {
        Ok(code) => code,
        Err(error) => console.fatal(&error),
    }
}

/// What a pass works with.
struct Pass<'a> {
    settings: &'a Settings,
    /// `None` in a dry run if it is missing.
    home: Option<Home>,
    /// `None` in a dry run if it is missing.
    scandir: Option<Dir>,
    template: Template<'a>,
    trusted: Trusted,
    /// Whether multiplexing is switched on. `None` if that is not asked, because the topology is set to multiplex.
    multiplexing: Option<Multiplexing>,
    /// Why `default` starts without a state file, if it does; an errno if it is not known whether there is one.
    bootstrap: std::result::Result<Option<Bootstrap>, Errno>,
    console: &'a Console,
    /// Whether the container is a front end's, where no gateway runs. Asked only if it matters.
    is_front_end: &'a dyn Fn() -> bool,
    effect: Effect,
    /// Which profiles are read to the end.
    asked: Asked<'a>,
    /// Whether supervised slots that another program has made are changed. Sealed mode changes every slot.
    adopt: bool,
    /// What it still waits for others.
    patience: Patience,
    /// The profiles whose gateways may run in another container.
    elsewhere: RefCell<Vec<String>>,
    /// The profile whose gateway is the container's command, in the foreground; not looked for yet.
    foreground: OnceCell<Option<String>>,
    /// `profiles`, open, once it has been listed.
    profiles: OnceCell<Profiles>,
}

impl Pass<'_> {
    /// Reads what decides about gateways besides their own state files.
    fn read_requests(&mut self, home: Option<&Home>) -> Result<()> {
        if self.settings.topology.value != TopologyChoice::Multiplex {
            let settings = self.settings;
            self.multiplexing =
                Some(Multiplexing::read(&settings.lookup, Some(settings), home, self.console)?);
        }
        // Any entry of that name is a state, also one that is not usable.
        self.bootstrap = match home.map_or(Ok(false), |home| home.dir.has(&state::STATE)) {
            Ok(false) => Ok(bootstrap::find(self.settings, self.console)?),
            Ok(true) => Ok(None),
            Err(errno) => Err(errno),
        };
        Ok(())
    }

    /// Reports a failure to look at a slot or to change it. Returns what has come of it.
    fn failed(&self, slot: &Name, error: &Error) -> Outcome {
        if let Some(lack) = self.scandir.as_ref().and_then(|scandir| self.lack(scandir, error)) {
            return Outcome::Failed(self.console.reported(&Error::new("create", slot, lack)));
        }
        let is_refusal = matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM));
        if !is_refusal || self.template.ownership.is_root() || !self.is_anothers(slot) {
            return Outcome::Failed(self.console.reported(error));
        }
        let why = format!("{error}; as root: {} reconcile", self.console.program());
        self.console.warn(format_args!("{why}"));
        Outcome::Refused(why)
    }

    /// Returns what is said of an error if it is that the file system of the scan directory is full.
    fn lack(&self, scandir: &Dir, error: &Error) -> Option<String> {
        let is_full = matches!(error.errno(), Some(Errno::NOSPC | Errno::DQUOT));
        if is_full { room::lack(scandir, &self.settings.scandir.value, 1) } else { None }
    }

    /// Returns whether a slot that is there, or else the scan directory, belongs to another user than this process's.
    fn is_anothers(&self, slot: &Name) -> bool {
        let Some(scandir) = &self.scandir else { return false };
        let owner = scandir.meta(slot).or_else(|_| scandir.own_meta()).map(|meta| meta.ids.uid);
        owner.is_ok_and(|owner| owner != self.template.ownership.process().uid)
    }

    /// Returns whether this is a dry run.
    fn changes_nothing(&self) -> bool {
        self.effect != Effect::Apply
    }

    /// Returns the profile whose gateway is the container's command, in the foreground, if one is.
    fn foreground(&self) -> Option<&str> {
        let find = || bootstrap::foreground(self.settings, self.home.as_ref(), self.console);
        self.foreground.get_or_init(find).as_deref()
    }

    /// Returns whether multiplexing is switched on.
    fn is_multiplexing(&self) -> bool {
        self.multiplexing.as_ref().is_some_and(|multiplexing| multiplexing.is_on)
    }
}

fn pass(args: &Args, console: &Console) -> Result<u8> {
    let settings = Settings::gather(&args.overrides, console)?;
    settings.note_mode(console);
    let role = settings.role(&args.overrides, console)?;
    let Args { effect, format, .. } = *args;
    if let Some(why) = role::front_end(&role, &settings.command)? {
        match (effect, format) {
            (Effect::Explain, _) => {
                console.print(&explanation::text([explain::front_end(&role, why)], format));
            }
            (_, Format::Text) => console.print(&format!("reconcile: nothing to do: {why}\n")),
            // There is no object without a profile.
            (_, Format::Json) => console.note(format_args!("nothing to do: {why}")),
        }
        return Ok(0);
    }
    let ownership = Ownership::new();
    let mut pass = prepare(&settings, &ownership, effect, console, &|| false)?;
    pass.scandir = open_scandir(&settings, effect)?;
    pass.adopt = args.adopt || settings.mode.value.is_sealed();
    if effect == Effect::Explain {
        let plan = Plan::dry(&pass);
        console.print(&explanation::text(explain::facts(&pass, &role, &plan), format));
        return Ok(0);
    }
    let mut code = apply::run(&pass, effect, format);
    if super::is_unprotected(&settings, &ownership, console)? {
        code = exit::INCOMPLETE;
    }
    console.note_refusal(&ownership);
    if ownership.is_root()
        && !settings.is_s6_unprivileged()
        && effect == Effect::Apply
        && capabilities::lacks(&settings, console)
    {
        code = exit::INCOMPLETE;
    }
    Ok(code)
}

/// Returns what the next boot would do with the profiles that are asked for, from the volume as it is. Changes nothing. `is_front_end`
/// returns whether no gateway belongs in this container.
pub fn forecast(
    settings: &Settings,
    console: &Console,
    is_front_end: &dyn Fn() -> bool,
    asked: Asked<'_>,
) -> Result<Plan> {
    let ownership = Ownership::new();
    // Without the scan directory: the slots that are there change nothing about it.
    let mut pass = prepare(settings, &ownership, Effect::DryRun, console, is_front_end)?;
    pass.asked = asked;
    Ok(Plan::dry(&pass))
}

/// Gathers what a pass works with, without a scan directory.
fn prepare<'a>(
    settings: &'a Settings,
    ownership: &'a Ownership,
    effect: Effect,
    console: &'a Console,
    is_front_end: &'a dyn Fn() -> bool,
) -> Result<Pass<'a>> {
    let trusted = Trusted::new(settings.owner.value, ownership);
    // It is made first: a slot has its path.
    let home = open_home(settings, ownership, trusted, effect, console)?;
    let template = settings.template(console.executable(), ownership)?;
    let mut pass = Pass {
        settings,
        home: None,
        scandir: None,
        template,
        trusted,
        multiplexing: None,
        bootstrap: Ok(None),
        console,
        is_front_end,
        effect,
        asked: Asked::All,
        adopt: false,
        patience: Patience::new(),
        elsewhere: RefCell::default(),
        foreground: OnceCell::new(),
        profiles: OnceCell::new(),
    };
    match &home {
        Some(home) => home.as_its_user(|| pass.read_requests(Some(home)))?,
        None => pass.read_requests(None)?,
    }
    pass.home = home;
    Ok(pass)
}

fn open_home(
    settings: &Settings,
    ownership: &Ownership,
    trusted: Trusted,
    effect: Effect,
    console: &Console,
) -> Result<Option<Home>> {
    let path = &settings.home.value;
    if effect != Effect::Apply {
        return match Home::open(path, trusted) {
            Err(error) if error.errno() == Some(Errno::NOENT) => {
                console.failed(&error);
                Ok(None)
            }
            home => home.map(Some),
        };
    }
    let home = Home::open_or_make(path, ownership, settings.owner.value)?;
    if home.made {
        let shown = Shown(path.as_os_str().as_bytes());
        console.warn(format_args!("{shown} did not exist and has been created: is the volume mounted?"));
    }
    Ok(Some(home))
}

fn open_scandir(settings: &Settings, effect: Effect) -> Result<Option<Dir>> {
    let path = &settings.scandir.value;
    if effect != Effect::Apply {
        return match Dir::at(path) {
            Err(Reason::Errno(Errno::NOENT)) => Ok(None),
            scandir => scandir.map(Some).context("open", path),
        };
    }
    Dir::make_at(path).map(Some).map_err(|reason| {
        // What is still missing is what could not be made.
        let verb = if Dir::at(path).err() == Some(Errno::NOENT.into()) { "make" } else { "open" };
        Error::new(verb, path, reason)
    })
}

/// Locks the scan directory for this pass. A lock that somebody else keeps is reported; it stops no boot. A sealed one can be
/// changed, and so locked, by its owner alone.
fn hold<'a>(pass: &Pass<'_>, scandir: &'a Dir) -> Held<'a> {
    let template = &pass.template;
    let mode = template.policy.mode;
    if template.policy.slot_owner.uid != template.ownership.process().uid && mode.is_sealed() {
        return Held::without_lock(scandir);
    }
    scandir_lock::hold(scandir, mode, pass.patience.left(), &pass.patience).unwrap_or_else(|errno| {
        pass.console.failed(&Error::new("lock", &pass.settings.scandir.value, errno));
        Held::without_lock(scandir)
    })
}
