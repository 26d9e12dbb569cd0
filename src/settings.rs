//! Settings: option, else environment, else container environment, else default; an empty value counts as unset.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::cli::Options;
use crate::console::Console;
use crate::error::{Error, Result, USAGE};
use crate::show::Shown;
use crate::slot::{Policy, env};
use crate::sys::users::{self, User};
use crate::sys::{Dir, Ids, Name, file, process};

/// Where s6-overlay keeps the container's environment, one file a variable.
const CONTAINER_ENVIRONMENT: &str = "/run/s6/container_environment";
/// Largest value that is read there, in bytes.
const VALUE_CAP: u64 = 128 << 10;
/// The user that the gateways run as.
const HERMES: &[u8] = b"hermes";
/// Its ids where /etc/passwd has no such user: those of the image.
const HERMES_IDS: Ids = Ids { uid: 10_000, gid: 10_000 };
/// HERMES_HOME, and the home of a hermes user who has none.
pub const HOME: &str = "/opt/data";
/// s6-overlay's scan directory.
const SCANDIR: &str = "/run/service";

/// Where a setting was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Option,
    /// This process's environment.
    Environment,
    /// The container environment directory.
    Container,
    /// /etc/passwd.
    Passwd,
    /// Nowhere: what holds otherwise.
    Default,
}

impl Source {
    /// As `--explain` says it.
    pub fn text(self) -> &'static str {
        match self {
            Source::Option => "option",
            Source::Environment => "environment",
            Source::Container => "container environment",
            Source::Passwd => "/etc/passwd",
            Source::Default => "default",
        }
    }
}

/// A value, and where it was taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Its source.
    pub source: Source,
}

/// The environment and the container environment.
pub struct Lookup {
    container: Option<Dir>,
}

impl Default for Lookup {
    fn default() -> Lookup {
        Lookup::new()
    }
}

impl Lookup {
    /// Opens the container environment, where there is one.
    pub fn new() -> Lookup {
        Lookup { container: Dir::at(Path::new(CONTAINER_ENVIRONMENT)).ok() }
    }

    /// A variable's value.
    pub fn get(&self, variable: &str) -> Option<Setting<OsString>> {
        if let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
            return Some(Setting { value, source: Source::Environment });
        }
        let name = Name::new(variable)?;
        let content = file::read(self.container.as_ref()?, &name, VALUE_CAP).ok()?;
        let value = env::decode(content).filter(|value| !value.is_empty())?;
        Some(Setting { value: process::os(value), source: Source::Container })
    }

    /// A variable that says yes or no. Words of neither kind are as good as none, and are said.
    pub fn flag(&self, variable: &str, words: Words, console: &Console) -> Option<Setting<bool>> {
        let Setting { value, source } = self.get(variable)?;
        let lower = value.as_bytes().to_ascii_lowercase();
        if words.yes.iter().any(|word| word.as_bytes() == lower) {
            return Some(Setting { value: true, source });
        }
        if NO.iter().any(|word| word.as_bytes() == lower) {
            return Some(Setting { value: false, source });
        }
        let shown = Shown(value.as_bytes());
        console.warn(&format_args!(
            "{variable}={shown} is none of {} and none of {}: taken as unset",
            words.yes.join(", "),
            NO.join(", ")
        ));
        None
    }

    /// The whole container environment as a program gets it from `s6-envdir -Lf` with nothing but PATH before; without a
    /// container environment directory, the environment of this process. A variable that cannot be read is said, and missing.
    pub fn environment(&self, console: &Console) -> Vec<(OsString, OsString)> {
        let Some(container) = &self.container else { return std::env::vars_os().collect() };
        let path = std::env::var_os("PATH").map(|path| (OsString::from("PATH"), path));
        let mut variables: Vec<_> = path.into_iter().collect();
        load(&mut variables, container, CONTAINER_ENVIRONMENT, console);
        variables
    }
}

/// Sets and unsets the variables of an environment directory. `label` is its path, for messages.
pub fn load(variables: &mut Vec<(OsString, OsString)>, directory: &Dir, label: &str, console: &Console) {
    let each = |key: Name, content| {
        let key = process::os(key.bytes());
        variables.retain(|(present, _)| *present != key);
        if let Some(value) = env::decode(content) {
            variables.push((key, process::os(value)));
        }
    };
    let refused = |name: &Name, reason| {
        let path = [label.as_bytes(), b"/", name.bytes()].concat();
        console.warn(&Error::new("read", path, reason));
    };
    if let Err(errno) = env::read(directory, each, refused) {
        console.warn(&Error::new("list", label, errno));
    }
}

/// The words for yes.
#[derive(Clone, Copy)]
pub struct Words {
    yes: &'static [&'static str],
}

/// 1, true, yes, in any case.
pub const YES: Words = Words { yes: &["1", "true", "yes"] };
/// These and on.
pub const YES_OR_ON: Words = Words { yes: &["1", "true", "yes", "on"] };
const NO: &[&str] = &["0", "false", "no", "off"];

/// Whose command this container runs, as decided by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleChoice {
    /// Look at the container's command.
    Auto,
    /// A gateway container.
    Gateway,
    /// The dashboard's, or another front end's.
    Frontend,
}

impl RoleChoice {
    /// The word of an option or a variable.
    pub fn parse(word: &OsStr) -> Option<RoleChoice> {
        match word.as_bytes() {
            b"auto" => Some(RoleChoice::Auto),
            b"gateway" => Some(RoleChoice::Gateway),
            b"frontend" => Some(RoleChoice::Frontend),
            _ => None,
        }
    }
}

/// The settings of the commands that work on the volume and the scan directory.
pub struct Settings {
    /// HERMES_HOME.
    pub home: Setting<PathBuf>,
    /// The scan directory.
    pub scandir: Setting<PathBuf>,
    /// The hermes user.
    pub owner: Setting<Ids>,
    /// Whether nothing is handed over.
    pub sealed: Setting<bool>,
    /// Where more can be looked up.
    pub lookup: Lookup,
}

impl Settings {
    /// Takes each setting from the first source that has it.
    pub fn gather(options: &Options, console: &Console) -> Result<Settings> {
        let lookup = Lookup::new();
        let home = path(options.hermes_home.as_ref(), &lookup, "HERMES_HOME", HOME);
        let scandir = path(options.scandir.as_ref(), &lookup, "S6_PROFILE_GATEWAY_SCANDIR", SCANDIR);
        let owner = owner(options.owner.as_deref())?;
        let sealed = if options.sealed {
            Setting { value: true, source: Source::Option }
        } else {
            lookup
                .flag("HERMES_INIT_SEALED", YES, console)
                .unwrap_or(Setting { value: false, source: Source::Default })
        };
        Ok(Settings { home, scandir, owner, sealed, lookup })
    }

    /// Who owns what in a slot, when this process has these ids.
    pub fn policy(&self, me: Ids) -> Policy {
        Policy::new(self.sealed.value, self.owner.value, me)
    }

    /// The role that was decided by hand, if it was.
    pub fn role(&self, options: &Options, console: &Console) -> Setting<RoleChoice> {
        if let Some(value) = options.role {
            return Setting { value, source: Source::Option };
        }
        let default = Setting { value: RoleChoice::Auto, source: Source::Default };
        let Some(Setting { value, source }) = self.lookup.get("HERMES_INIT_ROLE") else { return default };
        match RoleChoice::parse(&value) {
            Some(value) => Setting { value, source },
            None => {
                let shown = Shown(value.as_bytes());
                console.warn(&format_args!(
                    "HERMES_INIT_ROLE={shown} is none of gateway, frontend, auto: taken as auto"
                ));
                default
            }
        }
    }
}

fn path(option: Option<&OsString>, lookup: &Lookup, variable: &str, default: &str) -> Setting<PathBuf> {
    if let Some(value) = option.filter(|value| !value.is_empty()) {
        return Setting { value: PathBuf::from(value), source: Source::Option };
    }
    match lookup.get(variable) {
        Some(Setting { value, source }) => Setting { value: PathBuf::from(value), source },
        None => Setting { value: PathBuf::from(default), source: Source::Default },
    }
}

/// The owner: the option `USER|UID[:GID]`, else the user hermes of /etc/passwd, else the image's ids.
pub fn owner(option: Option<&OsStr>) -> Result<Setting<Ids>> {
    match option.filter(|value| !value.is_empty()) {
        Some(text) => named_owner(text).map(|value| Setting { value, source: Source::Option }),
        None => match users::find_user(&users::passwd(), |user| user.name == HERMES) {
            Some(user) => Ok(Setting { value: user.ids, source: Source::Passwd }),
            None => Ok(Setting { value: HERMES_IDS, source: Source::Default }),
        },
    }
}

fn named_owner(text: &OsStr) -> Result<Ids> {
    let text = text.as_bytes();
    let wrong = |why: &'static str| Error::new("take the owner", text, why).with_code(USAGE);
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let (user, group) = (parts.next().unwrap_or_default(), parts.next());
    let passwd = users::passwd();
    let uid = number(user);
    let entry = users::find_user(&passwd, |entry| match uid {
        Some(uid) => entry.ids.uid == uid,
        None => entry.name == user,
    });
    let ids = match (entry, uid) {
        (Some(entry), _) => entry.ids,
        (None, Some(uid)) => Ids { uid, gid: uid },
        (None, None) => {
            return Err(wrong("no such user in /etc/passwd, and not UID[:GID] (0 to 4294967294)"));
        }
    };
    let Some(group) = group else { return Ok(ids) };
    let gid = number(group).or_else(|| users::find_group(&users::group(), group));
    gid.map(|gid| Ids { uid: ids.uid, gid }).ok_or_else(|| wrong("no such group in /etc/group"))
}

fn number(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten().filter(|id| *id != u32::MAX)
}

/// The user that gateways and dashboard run as.
pub struct Runner {
    /// User, primary group, home.
    pub user: User,
    /// All its groups.
    pub groups: Vec<u32>,
}

/// The hermes user of /etc/passwd with its groups of /etc/group; the image's ids where there is none.
pub fn runner() -> Runner {
    let mut user = users::find_user(&users::passwd(), |user| user.name == HERMES).unwrap_or(User {
        name: HERMES.to_vec(),
        ids: HERMES_IDS,
        home: Vec::new(),
    });
    if user.home.is_empty() {
        user.home = HOME.as_bytes().to_vec();
    }
    let groups = users::groups_of(&users::group(), &user);
    Runner { user, groups }
}
