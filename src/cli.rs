//! The command line: which command, with which options. One table says what each command takes; parsing, "did you mean" and
//! the applet names read it.

use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use lexopt::{Arg, Error, Parser};

use crate::number::decimal;
use crate::role::RoleChoice;
use crate::show::Shown;
use crate::sys::keep;
use crate::sys::time::Milliseconds;

/// The commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// The boot step.
    Reconcile,
    /// The other one.
    FixPerms,
    /// A supervise skeleton by hand.
    Seed,
    /// `run` of a gateway's slot.
    GatewayRun,
    /// `log/run` of a gateway's slot.
    GatewayLog,
    /// `finish` of a gateway's slot.
    GatewayFinish,
    /// `run` of the dashboard.
    DashboardRun,
    /// `finish` of the dashboard.
    DashboardFinish,
    /// A new slot on a live container.
    Register,
    /// A slot's end.
    Unregister,
    /// Brings gateways up.
    Start,
    /// Brings gateways down.
    Stop,
    /// Brings gateways up again.
    Restart,
    /// What there is.
    Status,
    /// A page to read.
    Help,
}

/// The command line of one command.
struct Grammar {
    command: Command,
    name: &'static str,
    /// The long names of its options, with blanks between.
    options: &'static str,
    /// At least and at most so many operands.
    operands: (u8, u8),
    /// What an operand is.
    operand: &'static str,
}

const MANY: u8 = u8::MAX;
/// Options that take no value; `wait` may take one, and all others must.
const FLAGS: &str = "dry-run explain json sealed print down";

const fn grammar(
    command: Command,
    name: &'static str,
    options: &'static str,
    operands: (u8, u8),
    operand: &'static str,
) -> Grammar {
    Grammar { command, name, options, operands, operand }
}

macro_rules! with_places {
    ($options:literal) => {
        concat!($options, " hermes-home scandir owner")
    };
}

static GRAMMARS: [Grammar; 15] = [
    grammar(Command::Reconcile, "reconcile", with_places!("dry-run explain json sealed role"), (0, 0), ""),
    grammar(Command::FixPerms, "fix-perms", "dry-run json sealed owner", (0, 1), "DIR"),
    grammar(Command::Seed, "seed", "sealed owner", (1, MANY), "DIR"),
    grammar(Command::GatewayRun, "gateway-run", "print", (1, 2), "SERVICE"),
    grammar(Command::GatewayLog, "gateway-log", "print", (1, 2), "SERVICE"),
    grammar(Command::GatewayFinish, "gateway-finish", "", (0, MANY), "EXITCODE"),
    grammar(Command::DashboardRun, "dashboard-run", "print", (0, MANY), "SERVICE"),
    grammar(Command::DashboardFinish, "dashboard-finish", "", (0, MANY), "EXITCODE"),
    grammar(Command::Register, "register", with_places!("down env sealed"), (1, 1), "NAME"),
    grammar(Command::Unregister, "unregister", with_places!("sealed"), (1, 1), "NAME"),
    grammar(Command::Start, "start", with_places!("wait sealed"), (1, MANY), "NAME"),
    grammar(Command::Stop, "stop", with_places!("wait sealed"), (1, MANY), "NAME"),
    grammar(Command::Restart, "restart", with_places!("wait sealed"), (1, MANY), "NAME"),
    grammar(Command::Status, "status", with_places!("json"), (0, MANY), "NAME"),
    grammar(Command::Help, "help", "", (0, 1), "COMMAND"),
];

fn lists(options: &str, name: &str) -> bool {
    options.split(' ').any(|option| option == name)
}

/// Names under which the executable can be linked into cont-init.d, beside the commands' own.
static APPLETS: [(&str, Command); 2] =
    [("reconcile-profiles", Command::Reconcile), ("supervise-perms", Command::FixPerms)];

impl Command {
    fn grammar(self) -> Option<&'static Grammar> {
        GRAMMARS.iter().find(|grammar| grammar.command == self)
    }

    /// The command's name.
    pub fn name(self) -> &'static str {
        self.grammar().map_or("", |grammar| grammar.name)
    }

    fn named(name: &[u8]) -> Option<Command> {
        GRAMMARS.iter().find(|grammar| grammar.name.as_bytes() == name).map(|grammar| grammar.command)
    }

    /// The command that a link to the executable names: its basename, digits and a dash in front stripped.
    fn of_applet(argv0: &[u8]) -> Option<Command> {
        let base = argv0.rsplit(|byte| *byte == b'/').next().unwrap_or(argv0);
        let digits = base.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let name = match base.get(digits..) {
            Some([b'-', rest @ ..]) if digits > 0 => rest,
            _ => base,
        };
        let applet =
            APPLETS.iter().find(|(applet, _)| applet.as_bytes() == name).map(|(_, command)| *command);
        applet.or_else(|| Command::named(name))
    }

    /// Whether the command makes files whose modes are exact, and so needs to be rid of the umask.
    pub fn writes(self) -> bool {
        use Command::{FixPerms, Reconcile, Register, Restart, Seed, Start, Stop, Unregister};
        matches!(self, FixPerms | Reconcile | Register | Restart | Seed | Start | Stop | Unregister)
    }

    /// Scripts that s6 runs with arguments of its own: nothing in those is an option.
    fn takes_raw_operands(self) -> bool {
        matches!(self, Command::GatewayFinish | Command::DashboardFinish)
    }
}

/// What the options say. A command has those that its grammar lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Change nothing, say what would be done.
    pub dry_run: bool,
    /// Say why, change nothing.
    pub explain: bool,
    /// One JSON object a line.
    pub json: bool,
    /// Hand nothing over.
    pub sealed: bool,
    /// Show instead of running.
    pub print: bool,
    /// Do not start what is registered.
    pub down: bool,
    /// How long to wait until it is so; not at all where there is none.
    pub wait: Option<Milliseconds>,
    /// HERMES_HOME.
    pub hermes_home: Option<&'static CStr>,
    /// The scan directory.
    pub scandir: Option<&'static CStr>,
    /// USER|UID[:GID].
    pub owner: Option<&'static CStr>,
    /// Whose container this is.
    pub role: Option<RoleChoice>,
    /// KEY=VALUE, each.
    pub env: Vec<&'static CStr>,
    /// What is no option.
    pub operands: Vec<&'static CStr>,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// A command, with its options.
    Run(Command, Options),
    /// The page of a command, or the overview.
    Help(Option<Command>),
    /// The version.
    Version,
}

/// A wrong command line: a line for a person.
pub type Usage = String;

/// How long `--wait` waits when it does not say.
const WAIT: Milliseconds = 30_000;
/// The longest that it can say: a day, in seconds.
const WAIT_MOST: u64 = 86_400;

/// Reads a command line, argv[0] included.
pub fn parse(argv: &[&'static CStr]) -> Result<Request, Usage> {
    let (argv0, rest) = argv.split_first().unwrap_or((&c"", &[]));
    if let Some(command) = Command::of_applet(argv0.to_bytes()) {
        return parse_command(command, rest);
    }
    let Some((first, rest)) = rest.split_first() else {
        return Err("no command given; try: hermes-init help".to_owned());
    };
    let first = first.to_bytes();
    match first {
        b"--help" | b"-h" => Ok(Request::Help(None)),
        b"--version" | b"-V" => Ok(Request::Version),
        _ if first.starts_with(b"-") => {
            Err(unknown("option", first, &mut ["--help", "--version"].into_iter()))
        }
        _ => parse_command(named(first)?, rest),
    }
}

/// The command of this name.
fn named(name: &[u8]) -> Result<Command, Usage> {
    let names = || GRAMMARS.iter().map(|grammar| grammar.name);
    Command::named(name).ok_or_else(|| unknown("command", name, &mut names()))
}

fn parse_command(command: Command, argv: &[&'static CStr]) -> Result<Request, Usage> {
    let Some(grammar) = command.grammar() else { return Err(String::new()) };
    let mut options = Options::default();
    if command.takes_raw_operands() {
        if argv.first().is_some_and(|first| first.to_bytes() == b"--help") {
            return Ok(Request::Help(Some(command)));
        }
        options.operands = argv.to_vec();
        return Ok(Request::Run(command, options));
    }
    let mut parser = Parser::from_args(argv.iter().map(|word| OsStr::from_bytes(word.to_bytes())));
    loop {
        let argument = match parser.next() {
            Ok(argument) => argument,
            Err(Error::UnexpectedValue { option, .. }) => {
                return Err(format!("{}: {} takes no value", grammar.name, Shown(option.as_bytes())));
            }
            Err(_) => return Err(format!("{}: wrong usage", grammar.name)),
        };
        match argument {
            None => break,
            Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Request::Help(Some(command))),
            Some(Arg::Long(name)) if lists(grammar.options, name) => {
                let name = keep::text(&[name]);
                options
                    .take(name, &mut parser)
                    .map_err(|why| format!("{}: --{name}: {why}", grammar.name))?;
            }
            Some(Arg::Long(name)) => return Err(unknown_option(grammar, &format!("--{name}"))),
            Some(Arg::Short(letter)) => return Err(unknown_option(grammar, &format!("-{letter}"))),
            Some(Arg::Value(operand)) => options.operands.push(kept(operand)),
        }
    }
    let (least, most) = grammar.operands;
    if options.operands.len() < usize::from(least) {
        return Err(format!("{0}: missing {1}; try: hermes-init help {0}", grammar.name, grammar.operand));
    }
    if let Some(extra) = options.operands.get(usize::from(most)).filter(|_| most != MANY) {
        let extra = Shown(extra.to_bytes());
        return Err(format!("{0}: unexpected argument {extra}; try: hermes-init help {0}", grammar.name));
    }
    if command == Command::Help {
        let about = options.operands.first().map(|name| named(name.to_bytes()));
        return about.transpose().map(Request::Help);
    }
    Ok(Request::Run(command, options))
}

/// A word of the command line; it came from one without a NUL.
fn kept(word: OsString) -> &'static CStr {
    keep::c_string(&[&word.into_vec()]).unwrap_or_default()
}

impl Options {
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<(), String> {
        let value = if lists(FLAGS, name) {
            // lexopt refuses a value that is attached to an option that takes none, at the next argument.
            c""
        } else if name == "wait" {
            parser.optional_value().map(kept).unwrap_or_default()
        } else {
            match parser.value().map(kept) {
                Ok(value) if value.is_empty() && name != "env" => return Err("empty value".to_owned()),
                Ok(value) => value,
                Err(_) => return Err("missing value".to_owned()),
            }
        };
        match name {
            "dry-run" => self.dry_run = true,
            "explain" => self.explain = true,
            "json" => self.json = true,
            "sealed" => self.sealed = true,
            "print" => self.print = true,
            "down" => self.down = true,
            "wait" => {
                self.wait = Some(if value.is_empty() { WAIT } else { seconds(value.to_bytes())? * 1000 })
            }
            "hermes-home" => self.hermes_home = Some(value),
            "scandir" => self.scandir = Some(value),
            "owner" => self.owner = Some(value),
            "env" => self.env.push(value),
            _ => {
                let word = value.to_bytes();
                let wrong = || format!("{} is none of gateway, frontend, auto", Shown(word));
                self.role = Some(RoleChoice::parse(word).ok_or_else(wrong)?);
            }
        }
        Ok(())
    }
}

/// Whole seconds, up to a day.
fn seconds(text: &[u8]) -> Result<u64, String> {
    let number = decimal(text).filter(|seconds| (1..=WAIT_MOST).contains(seconds));
    number.ok_or_else(|| format!("{} is no number of seconds, 1 to {WAIT_MOST}", Shown(text)))
}

fn unknown_option(grammar: &Grammar, word: &str) -> Usage {
    let known = grammar.options.split(' ').filter(|name| !name.is_empty()).chain(["help"]);
    let mut known = known.map(|name| keep::text(&["--", name]));
    format!("{}: {}", grammar.name, unknown("option", word.as_bytes(), &mut known))
}

fn unknown(what: &str, word: &[u8], known: &mut dyn Iterator<Item = &'static str>) -> Usage {
    let (mut nearest, mut least) = ("help", usize::MAX);
    for candidate in known {
        let steps = distance(word, candidate.as_bytes());
        if steps < least {
            (nearest, least) = (candidate, steps);
        }
    }
    format!("unknown {what} {}; did you mean {nearest}?", Shown(word))
}

/// Letters to insert, delete or exchange to make one word of the other (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    // The row of the table for the letters of `one` so far; no known word is this long.
    let mut row: [usize; 32] = std::array::from_fn(|column| column);
    for (line, letter) in one.iter().take(64).enumerate() {
        let (mut corner, mut left) = (line, line + 1);
        for (cell, against) in row.iter_mut().skip(1).zip(other) {
            let exchanged = corner + usize::from(letter != against);
            corner = *cell;
            left = exchanged.min(corner + 1).min(left + 1);
            *cell = left;
        }
    }
    row.get(other.len()).copied().unwrap_or(usize::MAX)
}
