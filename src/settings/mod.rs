//! Settings: option, else environment, else container environment, else default. An empty value counts as unset.

pub mod role;
pub mod topology;
pub mod user;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::cli::{Options, services};
use crate::output::Console;
use crate::output::escape::Shown;
use crate::output::{Context, Error, Result};
use crate::s6::{Mode, Policy, envdir, scandir};
use crate::sys::process::Environment;
use crate::sys::{Dir, Ids, Name, file, label, present};
use role::RoleChoice;
use topology::TopologyChoice;
use user::owner;

/// s6-overlay's container environment: one file for each variable.
const CONTAINER_ENVIRONMENT: &str = "/run/s6/container_environment";
/// Largest value that is read there, in bytes.
const VALUE_CAP: u64 = 128 << 10;
/// The variable of the volume.
pub const HOME_VARIABLE: &str = "HERMES_HOME";
/// Default of `HERMES_HOME`, and home of a hermes user without one.
pub const HOME: &str = "/opt/data";
/// s6-overlay's scan directory.
const SCANDIR: &str = "/run/service";

/// Number of services that s6-svscan handles by default (its option -C). A slot and its logger are two.
const SERVICES: usize = 1000;

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Option,
    /// This process's environment.
    Environment,
    /// The container environment.
    Container,
    /// /etc/passwd.
    Passwd,
    /// The scan directory as it is.
    ScanDirectory,
    /// The default.
    Default,
}

impl Source {
    /// Returns the name that `--explain` prints.
    pub fn text(self) -> &'static str {
        match self {
            Source::Option => "option",
            Source::Environment => "environment",
            Source::Container => "container environment",
            Source::Passwd => "/etc/passwd",
            Source::ScanDirectory => "the scan directory is sealed",
            Source::Default => "default",
        }
    }
}

/// A value and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Its source.
    pub source: Source,
}

/// The words that a setting can be, and what they mean.
type Choice<T> = (&'static str, fn(&[u8]) -> Option<T>);

/// This process's environment and the container environment.
pub struct Lookup {
    own: Environment,
    container: Option<Dir>,
}

impl Lookup {
    /// Opens the container environment, if there is one.
    pub fn new() -> Result<Lookup> {
        let found = Dir::at(Path::new(CONTAINER_ENVIRONMENT));
        let container = present(found).context("open", CONTAINER_ENVIRONMENT)?;
        Ok(Lookup { own: Environment::own(), container })
    }

    /// Returns a variable's value. A variable of the container environment that is there and cannot be read is an error.
    pub fn get(&self, variable: &str) -> Result<Option<Setting<OsString>>> {
        if let Some(value) = self.own.get(variable).filter(|value| !value.is_empty()) {
            return Ok(Some(Setting { value: value.to_owned(), source: Source::Environment }));
        }
        Ok(self.contained(variable)?.map(|value| Setting { value, source: Source::Container }))
    }

    /// Returns a variable's value in the container environment.
    pub fn contained(&self, variable: &str) -> Result<Option<OsString>> {
        let (Some(container), Some(name)) = (&self.container, Name::new(variable)) else { return Ok(None) };
        let label = label(&[CONTAINER_ENVIRONMENT.as_bytes(), variable.as_bytes()]);
        let content = file::find(container, &name, VALUE_CAP).context("read", label)?;
        let value = content.and_then(envdir::decode).filter(|value| !value.is_empty());
        Ok(value.map(OsString::from_vec))
    }

    /// Returns a variable's value, or `default` if it is unset.
    pub fn get_or(&self, variable: &str, default: &str) -> Result<OsString> {
        Ok(self.get(variable)?.map_or_else(|| default.into(), |setting| setting.value))
    }

    /// Returns the value of a variable that says yes or no. Any other word is reported and counts as unset.
    pub fn flag(&self, variable: &str, words: Words, console: &Console) -> Result<Option<Setting<bool>>> {
        let Some(Setting { value, source }) = self.get(variable)? else { return Ok(None) };
        let meaning = words.meaning(&value);
        if meaning.is_none() {
            words.report(variable, &value, "unset", console);
        }
        Ok(meaning.map(|value| Setting { value, source }))
    }

    /// Returns whether a gateway that dies again and again makes pauses (`HERMES_INIT_BACKOFF`).
    pub fn makes_pauses(&self, console: &Console) -> Result<bool> {
        Ok(self.flag("HERMES_INIT_BACKOFF", YES, console)?.is_none_or(|flag| flag.value))
    }

    /// Returns whether `HERMES_INIT_SEALED` says sealed, if it is set. It shuts something: any word but one for no counts as yes, and
    /// so does a value that cannot be read. Both are reported.
    pub fn sealed(&self, console: &Console) -> Option<Setting<bool>> {
        match self.get(SEALED) {
            Ok(None) => None,
            Ok(Some(Setting { value, source })) => {
                let meaning = YES.meaning(&value).unwrap_or_else(|| {
                    YES.report(SEALED, &value, "sealed", console);
                    true
                });
                Some(Setting { value: meaning, source })
            }
            Err(error) => {
                console.warn(format_args!("{error}: taken as sealed"));
                Some(Setting { value: true, source: Source::Container })
            }
        }
    }

    /// Returns what an option says, else a variable, else `default`. A word that `parse` does not know is reported; it counts as unset.
    fn choice<T>(
        &self,
        option: Option<T>,
        variable: &str,
        (words, parse): Choice<T>,
        default: T,
        console: &Console,
    ) -> Result<Setting<T>> {
        if let Some(value) = option {
            return Ok(Setting { value, source: Source::Option });
        }
        if let Some(Setting { value: word, source }) = self.get(variable)? {
            if let Some(value) = parse(word.as_bytes()) {
                return Ok(Setting { value, source });
            }
            report(variable, &word, words, "auto", console);
        }
        Ok(Setting { value: default, source: Source::Default })
    }

    /// Returns the container environment as `s6-envdir -Lf` gives it to a program whose environment has only PATH; without a
    /// container environment directory, this process's environment. A variable that cannot be read is reported and missing.
    pub fn environment(&self, console: &Console) -> Environment {
        let Some(container) = &self.container else { return self.own.clone() };
        let mut variables = Environment::default();
        if let Some(path) = self.own.get("PATH") {
            variables.set("PATH", path);
        }
        load(&mut variables, container, CONTAINER_ENVIRONMENT.as_bytes(), console);
        variables
    }
}

/// Sets and removes the variables of an environment directory. `path` is its path in messages.
pub fn load(variables: &mut Environment, directory: &Dir, path: &[u8], console: &Console) {
    let read = match envdir::read(directory) {
        Ok(read) => read,
        Err(errno) => return console.failed(&Error::new("list", path, errno)),
    };
    for (key, content) in read {
        match content {
            Ok(content) => {
                let name = OsStr::from_bytes(key.bytes());
                match envdir::decode(content) {
                    Some(value) => variables.set(name, OsString::from_vec(value)),
                    None => variables.remove(name),
                }
            }
            Err(reason) => console.failed(&Error::new("read", label(&[path, key.bytes()]), reason)),
        }
    }
}

/// The words for yes, in any case.
#[derive(Clone, Copy)]
pub struct Words {
    yes: &'static str,
}

impl Words {
    fn meaning(self, value: &OsStr) -> Option<bool> {
        let is = |words: &str| {
            words.split(',').any(|word| value.eq_ignore_ascii_case(word.trim_start_matches(' ')))
        };
        if is(self.yes) { Some(true) } else { is(NO).then_some(false) }
    }

    fn report(self, variable: &str, value: &OsStr, taken: &str, console: &Console) {
        report(variable, value, &format!("{} and none of {NO}", self.yes), taken, console);
    }
}

/// Reports a word that a variable cannot be.
fn report(variable: &str, word: &OsStr, words: &str, taken: &str, console: &Console) {
    let shown = Shown(word.as_bytes());
    console.warn(format_args!("{variable}={shown} is none of {words}: taken as {taken}"));
}

/// The switch of sealed mode.
const SEALED: &str = "HERMES_INIT_SEALED";
/// 1, true, yes.
pub const YES: Words = Words { yes: "1, true, yes" };
/// 1, true, yes, on.
pub const YES_OR_ON: Words = Words { yes: "1, true, yes, on" };
/// The words for no, in any case.
const NO: &str = "0, false, no, off";

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
    /// The source of further variables.
    pub lookup: Lookup,
}

impl Settings {
    /// Takes each setting from the first source that has it.
    pub fn gather(options: &Options, console: &Console) -> Result<Settings> {
        let lookup = Lookup::new()?;
        let home = path(options.hermes_home.as_ref(), &lookup, HOME_VARIABLE, HOME)?;
        let scandir = path(options.scandir.as_ref(), &lookup, "S6_PROFILE_GATEWAY_SCANDIR", SCANDIR)?;
        let owner = owner(options.owner.as_deref())?;
        let mode = mode(options, &lookup, &scandir.value, console)?;
        let words = (topology::WORDS, TopologyChoice::parse as fn(&[u8]) -> _);
        let topology =
            lookup.choice(options.topology, "HERMES_INIT_TOPOLOGY", words, TopologyChoice::Auto, console)?;
        let max_services = max_services(options.max_services, &lookup, console)?;
        Ok(Settings { home, scandir, owner, mode, topology, max_services, lookup })
    }

    /// Returns whether the container's boot is to be quiet: `S6_VERBOSITY` is 0.
    pub fn is_quiet(&self) -> bool {
        // One that cannot be read is the default: it decides nothing but what is printed.
        self.lookup.get_or("S6_VERBOSITY", "").is_ok_and(|verbosity| verbosity == "0")
    }

    /// Returns the owners and modes of a slot. In sealed mode `sealed_owner` owns it.
    pub fn policy(&self, sealed_owner: Ids) -> Policy {
        Policy::new(self.mode.value, self.owner.value, sealed_owner)
    }

    /// Returns the container's role as an option or a variable sets it.
    pub fn role(&self, options: &Options, console: &Console) -> Result<Setting<RoleChoice>> {
        let words = (role::WORDS, RoleChoice::parse as fn(&[u8]) -> _);
        self.lookup.choice(options.role, "HERMES_INIT_ROLE", words, RoleChoice::Auto, console)
    }
}

/// Returns the mode. Where nothing sets it, it follows the live scan directory: a command that has lost its environment must not open
/// what is sealed.
fn mode(options: &Options, lookup: &Lookup, path: &Path, console: &Console) -> Result<Setting<Mode>> {
    let of = |is_sealed| if is_sealed { Mode::Sealed } else { Mode::Delegated };
    if options.sealed || options.delegated {
        return Ok(Setting { value: of(options.sealed), source: Source::Option });
    }
    if let Some(Setting { value, source }) = lookup.sealed(console) {
        return Ok(Setting { value: of(value), source });
    }
    let is_sealed = match present(Dir::at(path)).context("open", path)? {
        None => false,
        Some(dir) => scandir::is_sealed(&dir).context("look at", path)?,
    };
    if !is_sealed {
        return Ok(Setting { value: Mode::Delegated, source: Source::Default });
    }
    let shown = Shown(path.as_os_str().as_bytes());
    console.note(format_args!("{shown} is sealed, and stays so; --delegated hands it over"));
    Ok(Setting { value: Mode::Sealed, source: Source::ScanDirectory })
}

fn max_services(option: Option<usize>, lookup: &Lookup, console: &Console) -> Result<usize> {
    let setting = if option.is_none() { lookup.get("HERMES_INIT_MAX_SERVICES")? } else { None };
    let Some(Setting { value, .. }) = setting else { return Ok(option.unwrap_or(SERVICES)) };
    Ok(services(&value).unwrap_or_else(|why| {
        console.warn(format_args!("HERMES_INIT_MAX_SERVICES: {why}; taken as {SERVICES}"));
        SERVICES
    }))
}

fn path(
    option: Option<&OsString>,
    lookup: &Lookup,
    variable: &str,
    default: &str,
) -> Result<Setting<PathBuf>> {
    let set = match option {
        Some(value) => Some(Setting { value: value.clone(), source: Source::Option }),
        None => lookup.get(variable)?,
    };
    let Setting { value, source } =
        set.unwrap_or_else(|| Setting { value: default.into(), source: Source::Default });
    Ok(Setting { value: value.into(), source })
}
