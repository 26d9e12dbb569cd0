//! Settings: option, else environment, else container environment, else default. An empty value counts as unset.

pub mod bounds;
pub mod choice;
mod environment;
mod lookup;
pub mod role;
mod setting;
pub mod topology;
mod unprotected;
pub mod user;
pub mod written;
pub mod zone;

pub use choice::{YES, YES_OR_ON};
pub use environment::{Environment, load};
pub use lookup::Lookup;
pub use setting::{Setting, Source};

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::output::escape::Shown;
use crate::output::{Console, Context, Error, Object, Result};
use crate::s6::{Mode, Policy, Template, scandir, svscan_user};
use crate::sys::capability::{self, CapabilitySet};
use crate::sys::proc::Credentials;
use crate::sys::{Dir, Ids, Ownership, present, process};
use bounds::services;
use role::{ContainerCommand, RoleChoice};
use topology::TopologyChoice;
pub use unprotected::Unprotected;
use user::owner;

/// The variable of the volume.
pub const HOME_VARIABLE: &str = "HERMES_HOME";
/// The variable of the scan directory.
pub const SCANDIR_VARIABLE: &str = "S6_PROFILE_GATEWAY_SCANDIR";
/// The variable of the mode: sealed or delegated.
pub const SEALED_VARIABLE: &str = "HERMES_INIT_SEALED";
/// The variable of the container's role.
pub const ROLE_VARIABLE: &str = "HERMES_INIT_ROLE";
/// The variable of the topology.
pub const TOPOLOGY_VARIABLE: &str = "HERMES_INIT_TOPOLOGY";
/// The variable of s6-svscan's limit.
pub const MAX_SERVICES_VARIABLE: &str = "HERMES_INIT_MAX_SERVICES";
/// Default of `HERMES_HOME`, and the home directory of a hermes user that has none in /etc/passwd.
pub const HOME: &str = "/opt/data";
/// Default of the scan directory.
pub const SCANDIR: &str = scandir::OVERLAYS;

/// What is said if root gives nothing to the hermes user because it could not use that any more.
const NOT_DELEGATED: &str = "root lacks the capability DAC_OVERRIDE: it could not use what belongs to the hermes user, and s6 could start no \
     service there, so everything stays root's as in sealed mode; add the capability, or use --sealed";

/// Number of services that s6-svscan handles by default (its option -C). A slot and its logger are two.
pub const SERVICES: usize = 1000;

/// The settings of the command line, which override all other sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `HERMES_HOME`.
    pub home: Option<PathBuf>,
    /// The scan directory.
    pub scandir: Option<PathBuf>,
    /// The hermes user, `USER|UID[:GID]`.
    pub owner: Option<OsString>,
    /// Whether root keeps ownership of the slots.
    pub mode: Option<Mode>,
    /// The container's role.
    pub role: Option<RoleChoice>,
    /// The topology.
    pub topology: Option<TopologyChoice>,
    /// Number of services that s6-svscan handles.
    pub max_services: Option<usize>,
}

/// The settings of the commands that work on the volume and the scan directory.
pub struct Settings {
    /// `HERMES_HOME`.
    pub home: Setting<PathBuf>,
    /// The scan directory.
    pub scandir: Setting<PathBuf>,
    /// The hermes user.
    pub owner: Setting<Ids>,
    /// Whether root keeps ownership of the slots.
    pub mode: Setting<Mode>,
    /// The topology.
    pub topology: Setting<TopologyChoice>,
    /// Number of services that s6-svscan handles.
    pub max_services: usize,
    /// For variables of single commands.
    pub lookup: Lookup,
    /// The container's command, among the processes of the user who started the container.
    pub command: ContainerCommand,
    /// As whom s6-svscan runs, if it was found and is not root. Gateways run as the same user then.
    svscan: Option<Credentials>,
    /// The supplementary groups of the hermes user; not looked up yet.
    groups: OnceLock<Result<Vec<u32>>>,
}

impl Settings {
    /// Gathers each setting from the first source that has it.
    pub fn gather(overrides: &Overrides, console: &Console) -> Result<Settings> {
        Settings::of(overrides, Lookup::new()?, console)
    }

    fn of(overrides: &Overrides, lookup: Lookup, console: &Console) -> Result<Settings> {
        let home = path(overrides.home.as_deref(), &lookup, HOME_VARIABLE, HOME)?;
        let scandir = path(overrides.scandir.as_deref(), &lookup, SCANDIR_VARIABLE, SCANDIR)?;
        let svscan = svscan_user::find(&scandir.value)?.filter(|found| found.ids.uid != 0);
        let owner = owner(overrides.owner.as_deref(), svscan.as_ref().map(|found| found.ids))?;
        let mode = mode(overrides.mode, &lookup, &scandir.value, console)?;
        let mode = if can_use(owner.value) { mode } else { mode.at_least_sealed() };
        let topology = topology::choice(&lookup, overrides.topology, console)?;
        let max_services = max_services(overrides.max_services, &lookup, console)?;
        let command = ContainerCommand::of_user(svscan.as_ref().map_or(0, |svscan| svscan.ids.uid));
        let groups = OnceLock::new();
        Ok(Settings { home, scandir, owner, mode, topology, max_services, lookup, command, svscan, groups })
    }

    /// Returns whether s6-svscan was found and is not root: services do not change their user, and root's capabilities are of no use to
    /// its supervisors.
    pub fn is_s6_unprivileged(&self) -> bool {
        self.svscan.is_some()
    }

    /// Returns the supplementary groups of the hermes user.
    pub fn groups(&self) -> Result<Vec<u32>> {
        self.groups.get_or_init(|| self.look_up_groups()).clone()
    }

    fn look_up_groups(&self) -> Result<Vec<u32>> {
        let owner = self.owner.value;
        if let Some(svscan) = self.svscan.as_ref().filter(|svscan| svscan.ids == owner) {
            return Ok(svscan.groups.clone());
        }
        let runner = user::runner()?;
        // An option may name another user.
        Ok(if runner.user.ids == owner { runner.groups } else { Vec::new() })
    }

    /// Returns whether s6-overlay is told to boot quietly: `S6_VERBOSITY` is 0.
    pub fn is_quiet(&self) -> bool {
        // An unreadable value counts as unset: it affects only what is printed.
        self.lookup.get_or("S6_VERBOSITY", "").is_ok_and(|verbosity| verbosity == "0")
    }

    /// Returns the owner of sealed slots: s6-svscan's user, who is root if it was not found. A process that is not root leaves what it makes
    /// to the owner of the scan directory then.
    pub fn sealed_owner(&self, ownership: &Ownership) -> Result<Ids> {
        let process = ownership.process();
        match &self.svscan {
            Some(svscan) => Ok(svscan.ids),
            None if !self.mode.value.is_sealed() || ownership.is_root() => Ok(process),
            None => {
                let path = &self.scandir.value;
                let owner = present(Dir::at(path).and_then(|scandir| Ok(scandir.own_meta()?)))
                    .context("inspect", path)?;
                Ok(owner.map_or(process, |meta| meta.ids))
            }
        }
    }

    /// Returns what leaves sealed mode nothing to protect, if anything does.
    pub fn unprotected(&self, ownership: &Ownership) -> Result<Option<Unprotected>> {
        Ok(match &self.svscan {
            Some(svscan) => Some(Unprotected::LikeS6(svscan.ids.uid)),
            None if !ownership.is_root() => None,
            None if user::runner()?.user.ids.uid == 0 => Some(Unprotected::Root),
            None if self.mode.value.is_sealed() => Unprotected::above(&self.scandir.value)?,
            None => None,
        })
    }

    /// Tells whoever may have expected another mode that it is the one of the live scan directory.
    pub fn note_mode(&self, console: &Console) {
        if self.mode.source == Source::ScanDirectory {
            let shown = Shown(self.scandir.value.as_os_str().as_bytes());
            console.note(format_args!(
                "{shown} is sealed and stays sealed; --delegated gives it to the hermes user"
            ));
        }
    }

    /// Reports that root gives nothing to the hermes user although it should, if so. Returns whether it is so.
    pub fn keeps_all(&self, console: &Console) -> bool {
        let keeps_all = self.mode.source == Source::Capabilities;
        if keeps_all {
            console.warn(format_args!("{NOT_DELEGATED}"));
        }
        keeps_all
    }

    /// Returns the owners and modes of a slot. In sealed mode `sealed_owner` owns it.
    pub fn policy(&self, sealed_owner: Ids) -> Policy {
        Policy::new(self.mode.value, self.owner.value, sealed_owner)
    }

    /// Returns what all slots with these settings have in common. `executable` is the absolute path of the running executable, which
    /// their scripts name.
    pub fn template<'a>(&self, executable: Option<&Path>, ownership: &'a Ownership) -> Result<Template<'a>> {
        let executable = executable.ok_or_else(|| {
            let reason = "there is no /proc, and argv[0] is not an absolute path";
            Error::new("find", Object::Term("the path of this executable"), reason)
        })?;
        let home = &self.home.value;
        // What the container environment has, a gateway gets from there.
        let is_contained =
            self.lookup.contained(HOME_VARIABLE)?.is_some_and(|value| home.as_os_str() == value);
        let home = if is_contained { None } else { Some(absolute(home)?) };
        let policy = self.policy(self.sealed_owner(ownership)?);
        Template::new(executable, home.as_deref(), policy, ownership)
            .map_err(|why| Error::new("use", executable, why))
    }

    /// Returns why no gateway belongs in this container, if it is a front end's.
    pub fn front_end(&self, overrides: &Overrides, console: &Console) -> Result<Option<String>> {
        role::front_end(&self.role(overrides, console)?, &self.command)
    }

    /// Returns the container's role as an option or a variable sets it.
    pub fn role(&self, overrides: &Overrides, console: &Console) -> Result<Setting<RoleChoice>> {
        self.lookup.choice(overrides.role, ROLE_VARIABLE, &role::CHOICES, RoleChoice::Auto, console)
    }
}

/// Returns the mode. If nothing sets it, it follows the live scan directory, so that a command without its usual environment does not
/// hand over what is sealed.
fn mode(option: Option<Mode>, lookup: &Lookup, path: &Path, console: &Console) -> Result<Setting<Mode>> {
    if let Some(value) = option {
        return Ok(Setting { value, source: Source::Option });
    }
    if let Some(sealed) = lookup.sealed(console) {
        return Ok(sealed.map(|is_sealed| if is_sealed { Mode::Sealed } else { Mode::Delegated }));
    }
    let is_sealed = match present(Dir::at(path)).context("open", path)? {
        None => false,
        Some(dir) => scandir::is_sealed(&dir).context("inspect", path)?,
    };
    if !is_sealed {
        return Ok(Setting { value: Mode::Delegated, source: Source::Default });
    }
    Ok(Setting { value: Mode::Sealed, source: Source::ScanDirectory })
}

/// Returns whether root can use what belongs to the hermes user, as s6-supervise has to in delegated mode, and s6-rc, which has the image's
/// own services. That this cannot be found out is no permission. Another user than root gives nothing away.
fn can_use(owner: Ids) -> bool {
    let has_it = || {
        let effective = capability::effective();
        effective.is_ok_and(|effective| effective.contains(CapabilitySet::DAC_OVERRIDE))
    };
    !process::is_root() || owner.uid == 0 || has_it()
}

fn max_services(option: Option<usize>, lookup: &Lookup, console: &Console) -> Result<usize> {
    if let Some(number) = option {
        return Ok(number);
    }
    let Some(variable) = lookup.get(MAX_SERVICES_VARIABLE)? else { return Ok(SERVICES) };
    Ok(services(&variable.value).unwrap_or_else(|why| {
        console.warn(format_args!("{MAX_SERVICES_VARIABLE}: {why}; treated as {SERVICES}"));
        SERVICES
    }))
}

fn path(option: Option<&Path>, lookup: &Lookup, variable: &str, default: &str) -> Result<Setting<PathBuf>> {
    if let Some(value) = option {
        return Ok(Setting { value: value.to_owned(), source: Source::Option });
    }
    Ok(lookup.path(variable)?.unwrap_or_else(|| Setting { value: default.into(), source: Source::Default }))
}

/// Returns the path of `HERMES_HOME` for a gateway, whose working directory is another: always the same, however it is written. Only an
/// option may be relative.
fn absolute(home: &Path) -> Result<PathBuf> {
    if home.is_absolute() {
        return Ok(home.components().collect());
    }
    Dir::at(home).and_then(|dir| Ok(dir.path()?)).context("find the path of", home)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scan directory that is not there.
    const MISSING: &str = "/nonexistent/scan-directory";

    fn settings(overrides: &Overrides, variables: &[(&str, &str)]) -> Settings {
        Settings::of(overrides, Lookup::of(variables), &silent()).unwrap()
    }

    fn silent() -> Console {
        Console::new("", None).silent()
    }

    #[test]
    fn each_setting_is_the_option_else_the_variable_else_the_default() {
        let variables = [
            (HOME_VARIABLE, "/variable/home"),
            (SCANDIR_VARIABLE, "/variable/scan"),
            (SEALED_VARIABLE, "1"),
            (ROLE_VARIABLE, "gateway"),
            (TOPOLOGY_VARIABLE, "multiplex"),
            (MAX_SERVICES_VARIABLE, "8"),
        ];
        let options = Overrides {
            home: Some("/option/home".into()),
            scandir: Some("/option/scan".into()),
            owner: Some("12:34".into()),
            mode: Some(Mode::Delegated),
            role: Some(RoleChoice::Frontend),
            topology: Some(TopologyChoice::PerProfile),
            max_services: Some(6),
        };
        for (options, variables, source, home, scandir, mode, role, topology, max_services) in [
            (
                &options,
                &variables[..],
                Source::Option,
                "/option/home",
                "/option/scan",
                Mode::Delegated,
                RoleChoice::Frontend,
                TopologyChoice::PerProfile,
                6,
            ),
            (
                &Overrides::default(),
                &variables[..],
                Source::Environment,
                "/variable/home",
                "/variable/scan",
                Mode::Sealed,
                RoleChoice::Gateway,
                TopologyChoice::Multiplex,
                8,
            ),
            (
                &Overrides::default(),
                &variables.map(|(name, _)| (name, ""))[..],
                Source::Default,
                HOME,
                SCANDIR,
                Mode::Delegated,
                RoleChoice::Auto,
                TopologyChoice::Auto,
                1000,
            ),
        ] {
            let found = settings(options, variables);
            assert_eq!(found.home, Setting { value: home.into(), source });
            assert_eq!(found.scandir, Setting { value: scandir.into(), source });
            assert_eq!(found.mode, Setting { value: mode, source });
            assert_eq!(found.role(options, &silent()).unwrap(), Setting { value: role, source });
            assert_eq!(found.topology, Setting { value: topology, source });
            assert_eq!(found.max_services, max_services);
        }
        let owner = settings(&options, &[]).owner;
        assert_eq!(owner, Setting { value: Ids { uid: 12, gid: 34 }, source: Source::Option });
    }

    #[test]
    fn a_word_that_is_no_choice_is_the_default() {
        let variables = [
            (SCANDIR_VARIABLE, MISSING),
            (ROLE_VARIABLE, "Gateway"),
            (TOPOLOGY_VARIABLE, "both"),
            (MAX_SERVICES_VARIABLE, "3"),
        ];
        let found = settings(&Overrides::default(), &variables);
        let role = found.role(&Overrides::default(), &silent()).unwrap();
        assert_eq!(role, Setting { value: RoleChoice::Auto, source: Source::Default });
        assert_eq!(found.topology, Setting { value: TopologyChoice::Auto, source: Source::Default });
        assert_eq!(found.max_services, SERVICES);
    }

    #[test]
    fn only_the_word_0_makes_a_boot_quiet() {
        for (word, is_quiet) in [("0", true), ("1", false), ("", false), ("00", false)] {
            let variables = [(SCANDIR_VARIABLE, MISSING), ("S6_VERBOSITY", word)];
            assert_eq!(settings(&Overrides::default(), &variables).is_quiet(), is_quiet, "{word}");
        }
    }
}
