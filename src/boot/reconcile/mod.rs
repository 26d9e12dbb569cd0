//! The boot pass: one slot for every profile. `plan` reads, `apply` writes, `report` prints.

mod access;
pub mod action;
mod apply;
mod capabilities;
mod capacity;
mod explain;
mod intent;
mod plan;
mod report;
mod signs;

pub use plan::Plan;
pub use report::stamp;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::cli::Options;
use crate::output::Console;
use crate::output::escape::Shown;
use crate::output::{Context, Error, Result, exit};
use crate::s6::Template;
use crate::s6::lock::{self, Held};
use crate::settings::role::{ContainerCommand, RoleChoice};
use crate::settings::{HOME_VARIABLE, Setting, Settings};
use crate::sys::{Dir, Errno, Ownership, present};
use crate::volume::Home;
use crate::volume::home::Trusted;

/// Runs `reconcile`. Returns its exit code.
pub fn run(options: &Options, console: &Console) -> u8 {
    match pass(options, console) {
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
    intent: intent::Intent,
    command: &'a ContainerCommand,
    console: &'a Console,
    dry_run: bool,
    /// Whether supervised slots that another program has made are changed. Sealed mode changes every slot.
    adopt: bool,
}

fn pass(options: &Options, console: &Console) -> Result<u8> {
    let settings = Settings::gather(options, console)?;
    let role = settings.role(options, console)?;
    let command = ContainerCommand::default();
    if let Some(why) = frontend(&role, &command)? {
        if options.explain {
            console.print(&explain::frontend(&role, &why));
        } else {
            console.print(&format!("reconcile: nothing to do: {why}\n"));
        }
        return Ok(0);
    }
    let ownership = Ownership::new();
    let dry_run = options.dry_run || options.explain;
    let mut pass = prepare(&settings, &command, &ownership, dry_run, console)?;
    pass.scandir = open_scandir(&settings, dry_run)?;
    pass.adopt = options.adopt || settings.mode.value.is_sealed();
    if options.explain {
        let plan = plan::dry(&pass);
        console.print(&explain::text(&pass, &role, &command, &plan));
        return Ok(0);
    }
    let mut code = apply::run(&pass, options.json);
    console.note_refusal(&ownership);
    if ownership.is_root() && !dry_run && capabilities::lacks(settings.mode.value.is_sealed(), console) {
        code = exit::INCOMPLETE;
    }
    Ok(code)
}

/// Returns what the next boot would do, from the volume as it is. Changes nothing.
pub fn forecast(settings: &Settings, console: &Console) -> Result<Plan> {
    // The slots that are there change nothing about it.
    let ownership = Ownership::new();
    let command = ContainerCommand::default();
    let pass = prepare(settings, &command, &ownership, true, console)?;
    let mut plan = plan::dry(&pass);
    // Those for which there is no room are known.
    plan.is_complete |= plan.room.turned_away > 0;
    plan.complete();
    Ok(plan)
}

/// Gathers what a pass works with, without a scan directory.
fn prepare<'a>(
    settings: &'a Settings,
    command: &'a ContainerCommand,
    ownership: &'a Ownership,
    dry_run: bool,
    console: &'a Console,
) -> Result<Pass<'a>> {
    let trusted = Trusted::new(settings.owner.value, ownership);
    // It is made first: a slot has its path.
    let home = open_home(settings, ownership, trusted, dry_run, console)?;
    let template = template(settings, console, ownership)?;
    let gather = || intent::gather(settings, command, home.as_ref(), console);
    let intent = match &home {
        Some(home) => home.as_its_user(gather)?,
        None => gather()?,
    };
    Ok(Pass {
        settings,
        home,
        scandir: None,
        template,
        trusted,
        intent,
        command,
        console,
        dry_run,
        adopt: false,
    })
}

/// Returns what all slots with these settings have in common.
pub fn template<'a>(
    settings: &Settings,
    console: &Console,
    ownership: &'a Ownership,
) -> Result<Template<'a>> {
    let Some(executable) = console.executable() else {
        let reason = "there is no /proc, and argv[0] is no absolute path";
        return Err(Error::new("find the own", "executable", reason));
    };
    let mut keeper = ownership.process();
    if settings.mode.value.is_sealed() && !ownership.is_root() {
        // Sealed slots are root's; without root, they belong to the owner of the scan directory.
        let path = &settings.scandir.value;
        let owner = present(Dir::at(path).and_then(|scandir| scandir.own_meta()));
        keeper = owner.context("look at", path.as_os_str().as_bytes())?.map_or(keeper, |meta| meta.ids);
    }
    let home = &settings.home.value;
    // What the container environment has, a gateway gets from there.
    let is_contained =
        settings.lookup.contained(HOME_VARIABLE)?.is_some_and(|value| home.as_os_str() == value);
    let home = if is_contained { None } else { Some(absolute(home)?) };
    let made = Template::new(executable, home.as_deref(), settings.policy(keeper), ownership);
    made.map_err(|why| Error::new("use", executable.as_os_str().as_bytes(), why))
}

/// Returns the path of `HERMES_HOME` for a gateway, whose working directory is another: always the same, however it is written.
fn absolute(home: &Path) -> Result<PathBuf> {
    if home.is_absolute() {
        let mut path = Vec::new();
        let parts = home.as_os_str().as_bytes().split(|byte| *byte == b'/');
        for part in parts.filter(|part| !matches!(part, [] | [b'.'])) {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        return Ok(OsString::from_vec(path).into());
    }
    let path = Dir::at(home).and_then(|dir| dir.path());
    path.context("find the path of", home.as_os_str().as_bytes())
}

/// Returns why no gateway belongs in this container, if it is a front end's.
pub fn frontend(role: &Setting<RoleChoice>, command: &ContainerCommand) -> Result<Option<String>> {
    Ok(match role.value {
        RoleChoice::Gateway => None,
        RoleChoice::Frontend => Some(format!("the role is frontend ({})", role.source.text())),
        RoleChoice::Auto => command.frontend()?.map(|word| {
            format!(
                "this container's command is {}, a front end; gateways belong to the gateway's container",
                Shown(word)
            )
        }),
    })
}

fn open_home(
    settings: &Settings,
    ownership: &Ownership,
    trusted: Trusted,
    dry_run: bool,
    console: &Console,
) -> Result<Option<Home>> {
    let path = &settings.home.value;
    if dry_run {
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
        console.warn(format_args!("{shown} was missing and has been made: is the volume mounted?"));
    }
    Ok(Some(home))
}

fn open_scandir(settings: &Settings, dry_run: bool) -> Result<Option<Dir>> {
    let path = &settings.scandir.value;
    let label = path.as_os_str().as_bytes();
    if dry_run {
        return match Dir::at(path) {
            Err(Errno::NOENT) => Ok(None),
            scandir => scandir.map(Some).context("open", label),
        };
    }
    Dir::make_at(path).map(Some).context("open", label)
}

/// Locks the scan directory for this pass. A lock that somebody else keeps is reported; it stops no boot. A sealed one can be
/// changed, and so locked, by its owner alone.
fn hold<'a>(scandir: &'a Dir, template: &Template<'_>, console: &Console) -> Held<'a> {
    let mode = template.policy.mode;
    if template.policy.slot_owner.uid != template.ownership.process().uid && mode.is_sealed() {
        return Held::without_lock(scandir);
    }
    lock::scan_directory(scandir, mode).unwrap_or_else(|errno| {
        console.failed(&Error::new("lock the scan", "directory", errno));
        Held::without_lock(scandir)
    })
}
