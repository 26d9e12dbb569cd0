//! The syntax of each command.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::command;
use super::command::{Command, Name};
use super::options::{Opt, WAIT};
use super::syntax::{Grammar, MANY, Operands, Raw, Syntax, Taken, Wrong};
use crate::boot::{fix_perms, reconcile};
use crate::live::{control, hand_over, logs, register, seed, status, unregister};
use crate::output::Format;
use crate::s6::{DefaultState, Mode};
use crate::service;
use crate::settings::Overrides;
use crate::settings::bounds::{number, services};
use crate::settings::choice::{Choices, choose};
use crate::settings::{role, topology};

/// Largest number of lines of a log.
const LINES_MAX: u64 = 1_000_000;
/// Longest time that `--wait` and `--min-up` take: a day, in seconds.
const WAIT_MAX: u64 = 86_400;

impl Name {
    /// Returns the command's syntax.
    pub fn syntax(self) -> Box<dyn Grammar> {
        match self {
            Name::Reconcile => Box::new(reconcile()),
            Name::FixPerms => Box::new(fix_perms()),
            Name::Seed => Box::new(seed()),
            Name::GatewayRun => Box::new(program(self, 1..=2, "[SCRIPT] SERVICE", Command::GatewayRun)),
            Name::GatewayLog => Box::new(program(self, 1..=2, "[SCRIPT] SERVICE", Command::GatewayLog)),
            Name::GatewayFinish => {
                let synopsis = "[SCRIPT] EXITCODE SIGNAL SERVICE [PGID]";
                Box::new(Raw { name: self, synopsis, make: Command::GatewayFinish })
            }
            Name::DashboardRun => {
                Box::new(program(self, 0..=MANY, "[SCRIPT] [SERVICE]", Command::DashboardRun))
            }
            Name::DashboardFinish => {
                let synopsis = "[SCRIPT] [EXITCODE SIGNAL SERVICE [PGID]]";
                Box::new(Raw { name: self, synopsis, make: Command::DashboardFinish })
            }
            Name::Register => Box::new(register()),
            Name::Unregister => Box::new(unregister()),
            Name::Start => Box::new(control(self, control::Verb::Start)),
            Name::Stop => Box::new(control(self, control::Verb::Stop)),
            Name::Restart => Box::new(control(self, control::Verb::Restart)),
            Name::HandOver => Box::new(hand_over()),
            Name::Status => Box::new(status()),
            Name::Health => Box::new(health()),
            Name::Logs => Box::new(logs()),
            Name::Complete => Box::new(Raw { name: self, synopsis: "[WORD]...", make: Command::Complete }),
            Name::Help => Box::new(help()),
            Name::Version => Box::new(version()),
        }
    }
}

/// Stores a value; fails if it is wrong.
fn put<T>(place: &mut T, value: Result<T, Wrong>) -> Result<(), Wrong> {
    *place = value?;
    Ok(())
}

/// Appends a value to a list; fails if it is wrong.
fn push<T>(list: &mut Vec<T>, value: Result<T, Wrong>) -> Result<(), Wrong> {
    list.push(value?);
    Ok(())
}

/// Fails if a value is empty.
fn filled(value: OsString) -> Result<OsString, Wrong> {
    if value.is_empty() { Err("empty value".to_owned()) } else { Ok(value) }
}

/// Parses the value of `--wait`.
fn wait(value: &OsStr) -> Result<Duration, Wrong> {
    if value.is_empty() { Ok(WAIT) } else { number(value, "seconds", 1, WAIT_MAX) }.map(Duration::from_secs)
}

/// Parses a value that is one of some words.
fn choice<T: Copy>(value: OsString, choices: &Choices<T>) -> Result<T, Wrong> {
    choose(choices, &filled(value)?)
}

/// Arguments that include settings.
trait Overridden {
    fn overrides(&mut self) -> &mut Overrides;
}

macro_rules! overridden {
    ($($args:ty),*) => {
        $(impl Overridden for $args {
            fn overrides(&mut self) -> &mut Overrides {
                &mut self.overrides
            }
        })*
    };
}

overridden!(
    reconcile::Args,
    fix_perms::Args,
    seed::Args,
    register::Args,
    unregister::Args,
    control::Args,
    hand_over::Args,
    status::Args,
    logs::Args
);

/// Returns the options of the mode, which exclude each other.
fn modes<A: Overridden>() -> [Taken<A>; 2] {
    [
        (Opt::Sealed, |args, _| set_mode(args, Mode::Sealed, Opt::Delegated)),
        (Opt::Delegated, |args, _| set_mode(args, Mode::Delegated, Opt::Sealed)),
    ]
}

/// Stores the mode; fails if the `contrary` option has set another one.
fn set_mode<A: Overridden>(args: &mut A, mode: Mode, contrary: Opt) -> Result<(), Wrong> {
    match args.overrides().mode.replace(mode) {
        Some(set) if set != mode => Err(format!("contradicts --{}; give one of them", contrary.long())),
        _ => Ok(()),
    }
}

fn role<A: Overridden>() -> Taken<A> {
    (Opt::Role, |args, value| put(&mut args.overrides().role, choice(value, &role::CHOICES).map(Some)))
}

fn topology<A: Overridden>() -> Taken<A> {
    (Opt::Topology, |args, value| {
        put(&mut args.overrides().topology, choice(value, &topology::CHOICES).map(Some))
    })
}

fn home<A: Overridden>() -> Taken<A> {
    (Opt::HermesHome, |args, value| {
        put(&mut args.overrides().home, filled(value).map(|path| Some(path.into())))
    })
}

fn owner<A: Overridden>() -> Taken<A> {
    (Opt::Owner, |args, value| put(&mut args.overrides().owner, filled(value).map(Some)))
}

fn places<A: Overridden>() -> [Taken<A>; 3] {
    let scandir: Taken<A> = (Opt::Scandir, |args, value| {
        put(&mut args.overrides().scandir, filled(value).map(|path| Some(path.into())))
    });
    [home(), scandir, owner()]
}

fn reconcile() -> Syntax<reconcile::Args> {
    use reconcile::{Args, Effect};
    let own: [Taken<Args>; 5] = [
        (Opt::DryRun, |args, _| {
            let effect = args.effect.max(Effect::DryRun);
            put(&mut args.effect, Ok(effect))
        }),
        (Opt::Explain, |args, _| put(&mut args.effect, Ok(Effect::Explain))),
        (Opt::Json, |args, _| put(&mut args.format, Ok(Format::Json))),
        (Opt::Adopt, |args, _| put(&mut args.adopt, Ok(true))),
        (Opt::MaxServices, |args, value| {
            put(&mut args.overrides.max_services, filled(value).and_then(|value| services(&value)).map(Some))
        }),
    ];
    Syntax {
        name: Name::Reconcile,
        start: Args::default(),
        options: [&own[..], &modes(), &[role(), topology()], &places()].concat(),
        operands: Operands::none(),
        make: Command::Reconcile,
    }
}

fn fix_perms() -> Syntax<fix_perms::Args> {
    use fix_perms::{Args, Effect};
    let own: [Taken<Args>; 2] = [
        (Opt::DryRun, |args, _| put(&mut args.effect, Ok(Effect::DryRun))),
        (Opt::Json, |args, _| put(&mut args.format, Ok(Format::Json))),
    ];
    Syntax {
        name: Name::FixPerms,
        start: Args::default(),
        options: [&own[..], &modes(), &[owner()]].concat(),
        operands: Operands {
            placeholder: "DIR",
            count: 0..=1,
            synopsis: None,
            put: |args, word| put(&mut args.directory, Ok(Some(word.into()))),
        },
        make: Command::FixPerms,
    }
}

fn seed() -> Syntax<seed::Args> {
    Syntax {
        name: Name::Seed,
        start: seed::Args::default(),
        options: [&modes()[..], &[owner()]].concat(),
        operands: Operands {
            placeholder: "DIR",
            count: 1..=MANY,
            synopsis: None,
            put: |args, word| push(&mut args.directories, Ok(word.into())),
        },
        make: Command::Seed,
    }
}

/// Returns the syntax of a program that s6-supervise runs.
fn program(
    name: Name,
    count: RangeInclusive<usize>,
    synopsis: &'static str,
    make: fn(service::Args) -> Command,
) -> Syntax<service::Args> {
    Syntax {
        name,
        start: service::Args::default(),
        options: vec![(Opt::Print, |args, _| put(&mut args.effect, Ok(service::Effect::Print)))],
        operands: Operands {
            placeholder: "SERVICE",
            count,
            synopsis: Some(synopsis),
            put: |args, word| push(&mut args.words, Ok(word)),
        },
        make,
    }
}

fn register() -> Syntax<register::Args> {
    use register::Args;
    let own: [Taken<Args>; 2] = [
        (Opt::Down, |args, _| put(&mut args.default_state, Ok(DefaultState::Down))),
        (Opt::Env, |args, value| push(&mut args.variables, Ok(value))),
    ];
    Syntax {
        name: Name::Register,
        start: Args {
            overrides: Overrides::default(),
            profile: OsString::new(),
            default_state: DefaultState::Up,
            variables: Vec::new(),
        },
        options: [&own[..], &[role()], &modes(), &places()].concat(),
        operands: Operands {
            placeholder: "NAME",
            count: 1..=1,
            synopsis: None,
            put: |args, word| put(&mut args.profile, Ok(word)),
        },
        make: Command::Register,
    }
}

fn unregister() -> Syntax<unregister::Args> {
    let own: Taken<unregister::Args> = (Opt::Wait, |args, value| put(&mut args.wait, wait(&value).map(Some)));
    Syntax {
        name: Name::Unregister,
        start: unregister::Args::default(),
        options: [&[own, role()][..], &modes(), &places()].concat(),
        operands: Operands {
            placeholder: "NAME",
            count: 1..=1,
            synopsis: None,
            put: |args, word| put(&mut args.profile, Ok(word)),
        },
        make: Command::Unregister,
    }
}

fn control(name: Name, verb: control::Verb) -> Syntax<control::Args> {
    let own: Taken<control::Args> = (Opt::Wait, |args, value| put(&mut args.wait, wait(&value).map(Some)));
    Syntax {
        name,
        start: control::Args { overrides: Overrides::default(), verb, profiles: Vec::new(), wait: None },
        options: [&[own, role()][..], &modes(), &[topology()], &places()].concat(),
        operands: Operands {
            placeholder: "NAME",
            count: 1..=MANY,
            synopsis: None,
            put: |args, word| push(&mut args.profiles, Ok(word)),
        },
        make: Command::Control,
    }
}

fn hand_over() -> Syntax<hand_over::Args> {
    let own: [Taken<hand_over::Args>; 2] = [
        (Opt::DryRun, |args, _| put(&mut args.is_dry_run, Ok(true))),
        (Opt::Private, |args, _| put(&mut args.private_too, Ok(true))),
    ];
    Syntax {
        name: Name::HandOver,
        start: hand_over::Args::default(),
        options: [&own[..], &[home(), owner()]].concat(),
        operands: Operands {
            placeholder: "PATH",
            count: 1..=MANY,
            synopsis: None,
            put: |args, word| push(&mut args.paths, Ok(word)),
        },
        make: Command::HandOver,
    }
}

fn status() -> Syntax<status::Args> {
    question(Name::Status, status::Question::Status, &[])
}

fn health() -> Syntax<status::Args> {
    let min_up: Taken<status::Args> = (Opt::MinUp, |args, value| {
        let min_up = filled(value).and_then(|value| number(&value, "seconds", 0, WAIT_MAX))?;
        put(&mut args.question, Ok(status::Question::Health { min_up }))
    });
    question(Name::Health, status::Question::Health { min_up: 0 }, &[min_up])
}

/// Returns the syntax of `status` or `health`, with options of its own.
fn question(name: Name, question: status::Question, own: &[Taken<status::Args>]) -> Syntax<status::Args> {
    let json: Taken<status::Args> = (Opt::Json, |args, _| put(&mut args.format, Ok(Format::Json)));
    Syntax {
        name,
        start: status::Args {
            overrides: Overrides::default(),
            question,
            names: Vec::new(),
            format: Format::default(),
        },
        options: [&[json][..], own, &[role(), topology()], &places()].concat(),
        operands: Operands {
            placeholder: "NAME",
            count: 0..=MANY,
            synopsis: None,
            put: |args, word| push(&mut args.names, Ok(word)),
        },
        make: Command::Status,
    }
}

fn logs() -> Syntax<logs::Args> {
    use logs::Args;
    let own: [Taken<Args>; 3] = [
        (Opt::Follow, |args, _| put(&mut args.follow, Ok(true))),
        (Opt::Lines, |args, value| {
            let lines = filled(value).and_then(|value| number(&value, "lines", 0, LINES_MAX));
            put(&mut args.lines, lines.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)))
        }),
        (Opt::Raw, |args, _| put(&mut args.raw, Ok(true))),
    ];
    Syntax {
        name: Name::Logs,
        start: Args {
            overrides: Overrides::default(),
            profiles: Vec::new(),
            lines: logs::LINES,
            follow: false,
            raw: false,
        },
        options: [&own[..], &[home(), owner()]].concat(),
        operands: Operands {
            placeholder: "NAME",
            count: 1..=MANY,
            synopsis: None,
            put: |args, word| push(&mut args.profiles, Ok(word)),
        },
        make: Command::Logs,
    }
}

fn help() -> Syntax<Option<Name>> {
    Syntax {
        name: Name::Help,
        start: None,
        options: Vec::new(),
        operands: Operands {
            placeholder: "COMMAND",
            count: 0..=1,
            synopsis: None,
            put: |page, word| put(page, command(&word).map(Some)),
        },
        make: Command::Help,
    }
}

fn version() -> Syntax<()> {
    Syntax {
        name: Name::Version,
        start: (),
        options: Vec::new(),
        operands: Operands::none(),
        make: |()| Command::Version,
    }
}
