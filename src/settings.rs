//! Settings: option, else environment, else container environment, else default; an empty value counts as unset.

use std::ffi::CStr;

use crate::cli::Options;
use crate::console::Console;
use crate::error::{Error, Result, USAGE};
use crate::role::RoleChoice;
use crate::show::Shown;
use crate::slot::{Policy, env};
use crate::sys::keep::{self, Bytes};
use crate::sys::process::Environment;
use crate::sys::users::{self, User};
use crate::sys::{Dir, Ids, Name, file};

/// Where s6-overlay keeps the container's environment, one file a variable.
const CONTAINER_ENVIRONMENT: &CStr = c"/run/s6/container_environment";
/// Largest value that is read there, in bytes.
const VALUE_CAP: u64 = 128 << 10;
/// The user that the gateways run as.
const HERMES: &[u8] = b"hermes";
/// Its ids where /etc/passwd has no such user: those of the image.
const HERMES_IDS: Ids = Ids { uid: 10_000, gid: 10_000 };
/// HERMES_HOME, and the home of a hermes user who has none.
pub const HOME: &CStr = c"/opt/data";
/// s6-overlay's scan directory.
const SCANDIR: &CStr = c"/run/service";

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Its source.
    pub source: Source,
}

/// The environment and the container environment.
pub struct Lookup {
    own: Environment,
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
        Lookup { own: Environment::own(), container: Dir::at(CONTAINER_ENVIRONMENT).ok() }
    }

    /// A variable's value.
    pub fn get(&self, variable: &str) -> Option<Setting<Bytes>> {
        if let Some(value) = self.own.get(variable.as_bytes()).filter(|value| !value.is_empty()) {
            return Some(Setting { value, source: Source::Environment });
        }
        let name = Name::new(variable)?;
        let content = file::read(self.container.as_ref()?, &name, VALUE_CAP).ok()?;
        let value: Bytes = env::decode(content).filter(|value| !value.is_empty())?.leak();
        Some(Setting { value, source: Source::Container })
    }

    /// A variable's value, or what holds where there is none.
    pub fn get_or(&self, variable: &str, default: Bytes) -> Bytes {
        self.get(variable).map_or(default, |setting| setting.value)
    }

    /// A variable that says yes or no. Words of neither kind are as good as none, and are said.
    pub fn flag(&self, variable: &str, words: Words, console: &Console) -> Option<Setting<bool>> {
        let Setting { value, source } = self.get(variable)?;
        for (words, meant) in [(words.yes, true), (NO, false)] {
            if words.split(", ").any(|word| value.eq_ignore_ascii_case(word.as_bytes())) {
                return Some(Setting { value: meant, source });
            }
        }
        let shown = Shown(value);
        let yes = words.yes;
        console.warn(&format_args!("{variable}={shown} is none of {yes} and none of {NO}: taken as unset"));
        None
    }

    /// The whole container environment as a program gets it from `s6-envdir -Lf` with nothing but PATH before; without a
    /// container environment directory, the environment of this process. A variable that cannot be read is said, and missing.
    pub fn environment(&self, console: &Console) -> Environment {
        let Some(container) = &self.container else { return self.own.clone() };
        let mut variables = Environment::default();
        variables.set(b"PATH", self.own.get(b"PATH"));
        load(&mut variables, container, CONTAINER_ENVIRONMENT.to_bytes(), console);
        variables
    }
}

/// Sets and unsets the variables of an environment directory. `label` is its path, for messages.
pub fn load(variables: &mut Environment, directory: &Dir, label: &[u8], console: &Console) {
    let read = env::read(directory, &mut |key, content| match content {
        Ok(content) => variables.set(key.bytes(), env::decode(content).as_deref()),
        Err(reason) => console.warn(&Error::new("read", keep::path(&[label, key.bytes()]), reason)),
    });
    if let Err(errno) = read {
        console.warn(&Error::new("list", label, errno));
    }
}

/// The words for yes, in any case.
#[derive(Clone, Copy)]
pub struct Words {
    yes: &'static str,
}

/// 1, true, yes.
pub const YES: Words = Words { yes: "1, true, yes" };
/// These and on.
pub const YES_OR_ON: Words = Words { yes: "1, true, yes, on" };
/// The words for no.
const NO: &str = "0, false, no, off";

/// The settings of the commands that work on the volume and the scan directory.
pub struct Settings {
    /// HERMES_HOME.
    pub home: Setting<&'static CStr>,
    /// The scan directory.
    pub scandir: Setting<&'static CStr>,
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
        let home = path(options.hermes_home, &lookup, "HERMES_HOME", HOME);
        let scandir = path(options.scandir, &lookup, "S6_PROFILE_GATEWAY_SCANDIR", SCANDIR);
        let owner = owner(options.owner)?;
        let sealed = if options.sealed {
            Setting { value: true, source: Source::Option }
        } else {
            lookup
                .flag("HERMES_INIT_SEALED", YES, console)
                .unwrap_or(Setting { value: false, source: Source::Default })
        };
        Ok(Settings { home, scandir, owner, sealed, lookup })
    }

    /// Who owns what in a slot; sealed, `keeper` keeps what is not the owner's.
    pub fn policy(&self, keeper: Ids) -> Policy {
        Policy::new(self.sealed.value, self.owner.value, keeper)
    }

    /// The role that was decided by hand, if it was.
    pub fn role(&self, options: &Options, console: &Console) -> Setting<RoleChoice> {
        if let Some(value) = options.role {
            return Setting { value, source: Source::Option };
        }
        let default = Setting { value: RoleChoice::Auto, source: Source::Default };
        let Some(Setting { value, source }) = self.lookup.get("HERMES_INIT_ROLE") else { return default };
        match RoleChoice::parse(value) {
            Some(value) => Setting { value, source },
            None => {
                let shown = Shown(value);
                console.warn(&format_args!(
                    "HERMES_INIT_ROLE={shown} is none of gateway, frontend, auto: taken as auto"
                ));
                default
            }
        }
    }
}

fn path(
    option: Option<&'static CStr>,
    lookup: &Lookup,
    variable: &str,
    default: &'static CStr,
) -> Setting<&'static CStr> {
    if let Some(value) = option {
        return Setting { value, source: Source::Option };
    }
    // A value with a NUL in it is no path; neither environment can hold one.
    let found = lookup.get(variable).and_then(|found| Some((keep::c_string(&[found.value])?, found.source)));
    let (value, source) = found.unwrap_or((default, Source::Default));
    Setting { value, source }
}

/// The owner: the option `USER|UID[:GID]`, else the user hermes of /etc/passwd, else the image's ids.
pub fn owner(option: Option<&'static CStr>) -> Result<Setting<Ids>> {
    if let Some(text) = option {
        return named_owner(text.to_bytes()).map(|value| Setting { value, source: Source::Option });
    }
    let hermes = users::find_user(users::passwd(), &|user| user.name == HERMES);
    let (value, source) = hermes.map_or((HERMES_IDS, Source::Default), |user| (user.ids, Source::Passwd));
    Ok(Setting { value, source })
}

fn named_owner(text: &[u8]) -> Result<Ids> {
    let wrong = |why: &'static str| Error::new("take the owner", text, why).with_code(USAGE);
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let (user, group) = (parts.next().unwrap_or_default(), parts.next());
    let uid = users::number(user);
    let entry = users::find_user(users::passwd(), &|entry| match uid {
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
    let gid = users::number(group).or_else(|| users::find_group(users::group(), group));
    gid.map(|gid| Ids { uid: ids.uid, gid }).ok_or_else(|| wrong("no such group in /etc/group"))
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
    let mut user = users::find_user(users::passwd(), &|user| user.name == HERMES).unwrap_or(User {
        name: HERMES,
        ids: HERMES_IDS,
        home: b"",
    });
    if user.home.is_empty() {
        user.home = HOME.to_bytes();
    }
    Runner { groups: users::groups_of(users::group(), &user), user }
}
