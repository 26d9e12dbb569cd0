//! The command line: which command, with which options. One table says what each command takes; parsing, "did you mean" and
//! the applet names read it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use lexopt::{Arg, Parser};

use crate::settings::RoleChoice;
use crate::show::Shown;

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

/// An option: its long name, and what it takes.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    Value,
    /// `--wait` or `--wait=SECONDS`.
    MaybeValue,
}

/// The command line of one command.
struct Grammar {
    command: Command,
    name: &'static str,
    options: &'static [&'static str],
    /// At least and at most so many operands.
    operands: (usize, usize),
    /// What an operand is.
    operand: &'static str,
}

const MANY: usize = usize::MAX;
const PLACES: [&str; 3] = ["hermes-home", "scandir", "owner"];

const fn grammar(
    command: Command,
    name: &'static str,
    options: &'static [&'static str],
    operands: (usize, usize),
    operand: &'static str,
) -> Grammar {
    Grammar { command, name, options, operands, operand }
}

const GRAMMARS: [Grammar; 15] = [
    grammar(
        Command::Reconcile,
        "reconcile",
        &["dry-run", "explain", "json", "sealed", "role", PLACES[0], PLACES[1], PLACES[2]],
        (0, 0),
        "",
    ),
    grammar(Command::FixPerms, "fix-perms", &["dry-run", "json", "sealed", "owner"], (0, 1), "DIR"),
    grammar(Command::Seed, "seed", &["sealed", "owner"], (1, MANY), "DIR"),
    grammar(Command::GatewayRun, "gateway-run", &["print"], (1, 2), "SERVICE"),
    grammar(Command::GatewayLog, "gateway-log", &["print"], (1, 2), "SERVICE"),
    grammar(Command::GatewayFinish, "gateway-finish", &[], (0, MANY), "EXITCODE"),
    grammar(Command::DashboardRun, "dashboard-run", &["print"], (0, MANY), "SERVICE"),
    grammar(Command::DashboardFinish, "dashboard-finish", &[], (0, MANY), "EXITCODE"),
    grammar(
        Command::Register,
        "register",
        &["down", "env", "sealed", PLACES[0], PLACES[1], PLACES[2]],
        (1, 1),
        "NAME",
    ),
    grammar(Command::Unregister, "unregister", &["sealed", PLACES[0], PLACES[1], PLACES[2]], (1, 1), "NAME"),
    grammar(Command::Start, "start", &["wait", "sealed", PLACES[0], PLACES[1], PLACES[2]], (1, MANY), "NAME"),
    grammar(Command::Stop, "stop", &["wait", "sealed", PLACES[0], PLACES[1], PLACES[2]], (1, MANY), "NAME"),
    grammar(
        Command::Restart,
        "restart",
        &["wait", "sealed", PLACES[0], PLACES[1], PLACES[2]],
        (1, MANY),
        "NAME",
    ),
    grammar(Command::Status, "status", &["json", PLACES[0], PLACES[1], PLACES[2]], (0, MANY), "NAME"),
    grammar(Command::Help, "help", &[], (0, 1), "COMMAND"),
];

/// Names under which the executable can be linked into cont-init.d, beside the commands' own.
const APPLETS: [(&str, Command); 2] =
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
    pub wait: Option<Duration>,
    /// HERMES_HOME.
    pub hermes_home: Option<OsString>,
    /// The scan directory.
    pub scandir: Option<OsString>,
    /// USER|UID[:GID].
    pub owner: Option<OsString>,
    /// Whose container this is.
    pub role: Option<RoleChoice>,
    /// KEY=VALUE, each.
    pub env: Vec<OsString>,
    /// What is no option.
    pub operands: Vec<OsString>,
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
const WAIT: Duration = Duration::from_secs(30);

/// Reads a command line, argv[0] included.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Request, Usage> {
    let mut argv = argv.into_iter();
    let argv0 = argv.next().unwrap_or_default();
    if let Some(command) = Command::of_applet(argv0.as_bytes()) {
        return parse_command(command, argv);
    }
    let Some(first) = argv.next() else {
        return Err("no command given; try: hermes-init help".to_owned());
    };
    match first.as_bytes() {
        b"--help" | b"-h" => return Ok(Request::Help(None)),
        b"--version" | b"-V" => return Ok(Request::Version),
        _ => (),
    }
    match Command::named(first.as_bytes()) {
        Some(command) => parse_command(command, argv),
        None if first.as_bytes().starts_with(b"-") => {
            Err(unknown("option", &first, &["--help", "--version"]))
        }
        None => Err(unknown("command", &first, &GRAMMARS.map(|grammar| grammar.name))),
    }
}

fn parse_command(command: Command, argv: impl Iterator<Item = OsString>) -> Result<Request, Usage> {
    let Some(grammar) = command.grammar() else { return Err(String::new()) };
    if command.takes_raw_operands() {
        let operands: Vec<OsString> = argv.collect();
        if operands.first().is_some_and(|first| first == "--help") {
            return Ok(Request::Help(Some(command)));
        }
        return Ok(Request::Run(command, Options { operands, ..Options::default() }));
    }
    let mut options = Options::default();
    let mut parser = Parser::from_args(argv);
    let bad = |error: lexopt::Error| format!("{}: {error}", grammar.name);
    while let Some(argument) = parser.next().map_err(bad)? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(Request::Help(Some(command))),
            Arg::Long(name) if grammar.options.contains(&name) => {
                let name = name.to_owned();
                options
                    .take(&name, &mut parser)
                    .map_err(|why| format!("{}: --{name}: {why}", grammar.name))?;
            }
            Arg::Long(name) => return Err(unknown_option(grammar, &format!("--{name}"))),
            Arg::Short(letter) => return Err(unknown_option(grammar, &format!("-{letter}"))),
            Arg::Value(operand) => options.operands.push(operand),
        }
    }
    let (least, most) = grammar.operands;
    if options.operands.len() < least {
        return Err(format!("{0}: missing {1}; try: hermes-init help {0}", grammar.name, grammar.operand));
    }
    if let Some(extra) = options.operands.get(most) {
        return Err(format!(
            "{0}: unexpected argument {1}; try: hermes-init help {0}",
            grammar.name,
            Shown(extra.as_bytes())
        ));
    }
    if command == Command::Help {
        return match options.operands.first() {
            None => Ok(Request::Help(None)),
            Some(name) => match Command::named(name.as_bytes()) {
                Some(command) => Ok(Request::Help(Some(command))),
                None => Err(unknown("command", name, &GRAMMARS.map(|grammar| grammar.name))),
            },
        };
    }
    Ok(Request::Run(command, options))
}

impl Options {
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<(), String> {
        let takes = match name {
            "dry-run" | "explain" | "json" | "sealed" | "print" | "down" => Takes::Nothing,
            "wait" => Takes::MaybeValue,
            _ => Takes::Value,
        };
        let value = match takes {
            // lexopt refuses a value that is attached to an option that takes none, at the next argument.
            Takes::Nothing => OsString::new(),
            Takes::MaybeValue => parser.optional_value().unwrap_or_default(),
            Takes::Value => match parser.value() {
                Ok(value) if value.is_empty() && name != "env" => return Err("empty value".to_owned()),
                Ok(value) => value,
                Err(_) => return Err("missing value".to_owned()),
            },
        };
        match name {
            "dry-run" => self.dry_run = true,
            "explain" => self.explain = true,
            "json" => self.json = true,
            "sealed" => self.sealed = true,
            "print" => self.print = true,
            "down" => self.down = true,
            "wait" => self.wait = Some(if value.is_empty() { WAIT } else { seconds(&value)? }),
            "hermes-home" => self.hermes_home = Some(value),
            "scandir" => self.scandir = Some(value),
            "owner" => self.owner = Some(value),
            "env" => self.env.push(value),
            _ => {
                let wrong = || format!("{} is none of gateway, frontend, auto", Shown(value.as_bytes()));
                self.role = Some(RoleChoice::parse(&value).ok_or_else(wrong)?);
            }
        }
        Ok(())
    }
}

/// Whole seconds, up to a day.
fn seconds(text: &OsStr) -> Result<Duration, String> {
    let number =
        text.to_str().and_then(|text| text.parse().ok()).filter(|seconds| (1..=86_400).contains(seconds));
    number
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{} is no number of seconds, 1 to 86400", Shown(text.as_bytes())))
}

fn unknown_option(grammar: &Grammar, word: &str) -> Usage {
    let mut known: Vec<String> = grammar.options.iter().map(|name| format!("--{name}")).collect();
    known.push("--help".to_owned());
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    format!("{}: {}", grammar.name, unknown("option", OsStr::new(word), &known))
}

fn unknown(what: &str, word: &OsStr, known: &[&str]) -> Usage {
    let nearest =
        known.iter().min_by_key(|known| distance(word.as_bytes(), known.as_bytes())).unwrap_or(&"help");
    format!("unknown {what} {}; did you mean {nearest}?", Shown(word.as_bytes()))
}

/// Letters to insert, delete or exchange to make one word of the other (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.iter().take(64).enumerate() {
        let mut corner = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (above, against) in row.iter().skip(1).zip(other) {
            let exchanged = corner + usize::from(letter != against);
            left = exchanged.min(above + 1).min(left + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
