//! Tests of command lines as a whole: what each word becomes among the arguments of its command.

use std::path::Path;
use std::time::Duration;

use super::options::{Opt, Takes};
use super::*;
use crate::boot::fix_perms;
use crate::boot::reconcile::{self, Effect};
use crate::live::{control, status};
use crate::output::Format;
use crate::s6::{DefaultState, Mode};
use crate::service;
use crate::settings::Overrides;
use crate::settings::role::RoleChoice;
use crate::settings::topology::TopologyChoice;

/// Parses a command line of these words. Returns its command.
fn parsed(words: &[&str]) -> Result<Command, Usage> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    parse(OsStr::new("hermes-init"), &words, "/init").map(|line| line.command)
}

fn reconcile(words: &[&str]) -> reconcile::Args {
    match parsed(&[&["reconcile"], words].concat()) {
        Ok(Command::Reconcile(args)) => args,
        other => panic!("{other:?}"),
    }
}

/// Returns the options of all commands.
fn all_options() -> Vec<Opt> {
    let mut options: Vec<Opt> = Name::ALL.iter().flat_map(|name| name.syntax().options()).collect();
    options.sort_unstable();
    options.dedup();
    options
}

/// Returns a value that an option takes.
fn sample(option: Opt) -> &'static str {
    match option {
        Opt::Lines | Opt::MinUp | Opt::MaxServices | Opt::Wait => "7",
        Opt::Env => "A=b",
        Opt::Role => "gateway",
        Opt::Topology => "multiplex",
        _ => "x",
    }
}

#[test]
fn every_option_of_a_command_reaches_its_arguments_and_no_other_is_known() {
    for name in Name::ALL {
        let syntax = name.syntax();
        let operands = if parsed(&[name.text()]).is_ok() { &[][..] } else { &["gateway-x"] };
        let bare = parsed(&[&[name.text()], operands].concat());
        assert!(bare.is_ok(), "{bare:?}");
        let is_raw = matches!(name, Name::GatewayFinish | Name::DashboardFinish | Name::Complete);
        for option in all_options() {
            let word = match option.row().takes {
                Takes::Nothing => format!("--{}", option.long()),
                Takes::Value(_) | Takes::OneOf(_) | Takes::Optional(..) => {
                    format!("--{}={}", option.long(), sample(option))
                }
            };
            let given = parsed(&[&[name.text(), &word], operands].concat());
            if is_raw {
                assert!(given.is_ok_and(|given| format!("{given:?}").contains(&word)));
            } else if syntax.options().contains(&option) {
                assert!(given.is_ok() && given != bare, "{name:?} {word}: {given:?}");
            } else {
                let usage = given.unwrap_err();
                let start = format!("{}: unknown option --{}; ", name.text(), option.long());
                assert!(usage.starts_with(&start), "{usage}");
            }
        }
    }
}

#[test]
fn each_command_takes_these_options() {
    let settings = "delegated role topology hermes-home scandir owner";
    for (names, options) in [
        (&[Name::Reconcile][..], format!("dry-run explain json sealed adopt max-services {settings}")),
        (&[Name::HandOver], "dry-run private hermes-home owner".to_owned()),
        (&[Name::FixPerms], "dry-run json sealed delegated owner".to_owned()),
        (&[Name::Seed], "sealed delegated owner".to_owned()),
        (&[Name::GatewayRun, Name::GatewayLog, Name::DashboardRun], "print".to_owned()),
        (
            &[Name::GatewayFinish, Name::DashboardFinish, Name::Complete, Name::Help, Name::Version],
            String::new(),
        ),
        (&[Name::Register], "down env sealed delegated role hermes-home scandir owner".to_owned()),
        (&[Name::Unregister], "wait role sealed delegated hermes-home scandir owner".to_owned()),
        (&[Name::Start, Name::Stop, Name::Restart], format!("wait sealed {settings}")),
        (&[Name::Status], "json role topology hermes-home scandir owner".to_owned()),
        (&[Name::Health], "json min-up role topology hermes-home scandir owner".to_owned()),
        (&[Name::Logs], "follow lines raw hermes-home owner".to_owned()),
    ] {
        let mut expected: Vec<&str> = options.split_whitespace().collect();
        expected.sort_unstable();
        for name in names {
            let mut found: Vec<&str> = name.syntax().options().iter().map(|option| option.long()).collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{name:?}");
        }
    }
}

#[test]
fn the_settings_of_a_command_line_are_where_they_belong() {
    let words = [
        "--hermes-home=/home",
        "--scandir=/scan",
        "--owner=1:2",
        "--sealed",
        "--role=frontend",
        "--topology=multiplex",
        "--max-services=9",
    ];
    let overrides = Overrides {
        home: Some("/home".into()),
        scandir: Some("/scan".into()),
        owner: Some("1:2".into()),
        mode: Some(Mode::Sealed),
        role: Some(RoleChoice::Frontend),
        topology: Some(TopologyChoice::Multiplex),
        max_services: Some(9),
    };
    assert_eq!(reconcile(&words), reconcile::Args { overrides, ..reconcile::Args::default() });
}

#[test]
fn each_flag_is_what_it_says() {
    for (word, follow, raw) in [("--", false, false), ("--follow", true, false), ("--raw", false, true)] {
        let Ok(Command::Logs(logs)) = parsed(&["logs", word, "x"]) else { panic!() };
        assert_eq!((logs.follow, logs.raw), (follow, raw));
    }
    for (word, state) in [("--", DefaultState::Up), ("--down", DefaultState::Down)] {
        let Ok(Command::Register(register)) = parsed(&["register", word, "x"]) else { panic!() };
        assert_eq!(register.default_state, state);
    }
    for (words, effect) in [(&[][..], service::Effect::Execute), (&["--print"], service::Effect::Print)] {
        let Ok(Command::DashboardRun(run)) = parsed(&[&["dashboard-run"], words].concat()) else { panic!() };
        assert_eq!(run.effect, effect);
    }
    let bare = reconcile::Args::default();
    assert_eq!(reconcile(&["--json"]), reconcile::Args { format: Format::Json, ..bare.clone() });
    assert_eq!(reconcile(&["--adopt"]), reconcile::Args { adopt: true, ..bare.clone() });
    assert_eq!(reconcile(&[]), bare);
    let Ok(Command::FixPerms(fix_perms)) = parsed(&["fix-perms", "--dry-run", "--json"]) else { panic!() };
    assert_eq!((fix_perms.effect, fix_perms.format), (fix_perms::Effect::DryRun, Format::Json));
}

#[test]
fn operands_are_where_they_belong() {
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let Ok(Command::Seed(seed)) = parsed(&["seed", "a", "--", "-b"]) else { panic!() };
    assert_eq!(seed.directories, [Path::new("a"), Path::new("-b")]);
    let Ok(Command::FixPerms(fix_perms)) = parsed(&["fix-perms", "a"]) else { panic!() };
    assert_eq!(fix_perms.directory, Some("a".into()));
    let Ok(Command::GatewayRun(run)) = parsed(&["gateway-run", "./run", "gateway-x"]) else { panic!() };
    assert_eq!(run.words, words(&["./run", "gateway-x"]));
    let Ok(Command::Register(register)) = parsed(&["register", "--env=A=b", "x", "--env", ""]) else {
        panic!()
    };
    assert_eq!((register.profile, register.variables), ("x".into(), words(&["A=b", ""])));
    let Ok(Command::Logs(logs)) = parsed(&["logs", "x", "y"]) else { panic!() };
    assert_eq!((logs.profiles, logs.lines), (words(&["x", "y"]), 20));
    let Ok(Command::Status(status)) = parsed(&["status", "x", "y"]) else { panic!() };
    assert_eq!((status.names, status.question), (words(&["x", "y"]), status::Question::Status));
}

#[test]
fn a_letter_is_an_option_of_the_commands_that_have_it() {
    assert_eq!(parsed(&["logs", "-n5", "-f", "x"]), parsed(&["logs", "x", "--follow", "--lines", "5"]));
    assert_eq!(
        parsed(&["seed", "-f", "x"]).unwrap_err(),
        "seed: unknown option -f; options: --sealed, --delegated, --owner, --help, --version"
    );
}

#[test]
fn a_name_is_parsed_back_and_is_that_of_its_command() {
    for name in Name::ALL {
        assert_eq!(Name::parse(OsStr::new(name.text())), Some(name));
        let command = parsed(&[name.text(), "gateway-x"]).or_else(|_| parsed(&[name.text()]));
        let is_silent = matches!(name, Name::Help | Name::Version);
        assert_eq!(command.unwrap().name(), if is_silent { "" } else { name.text() });
    }
    assert_eq!(parsed(&["health", "--help"]), Ok(Command::Help(Some(Name::Health))));
    assert_eq!(parsed(&["gateway-finish", "--help"]), Ok(Command::Help(Some(Name::GatewayFinish))));
    assert_eq!(parsed(&["gateway-finish", "1"]), Ok(Command::GatewayFinish(vec!["1".into()])));
    assert_eq!(parsed(&["help", "health"]), Ok(Command::Help(Some(Name::Health))));
    assert_eq!(parsed(&["help"]), Ok(Command::Help(None)));
}

#[test]
fn help_and_version_are_commands_and_options_of_every_command() {
    for name in Name::ALL {
        for word in ["--help", "-h"] {
            let page = Ok(Command::Help(Some(name)));
            assert_eq!(parsed(&[name.text(), word]), page, "{name:?} {word}");
            assert_eq!(parsed(&[word, name.text()]), page, "{word} {name:?}");
            let line = parse(OsStr::new(&format!("/x/02-{}", name.text())), &[word.into()], "");
            assert_eq!(line.map(|line| line.command), page, "link {name:?} {word}");
        }
        for word in ["--version", "-V"] {
            assert_eq!(parsed(&[name.text(), word]), Ok(Command::Version), "{name:?} {word}");
            let line = parse(OsStr::new(&format!("/x/02-{}", name.text())), &[word.into()], "");
            assert_eq!(line.map(|line| line.command), Ok(Command::Version), "link {name:?} {word}");
        }
    }
    for word in ["--version", "-V", "version"] {
        assert_eq!(parsed(&[word]), Ok(Command::Version));
    }
    for word in ["--help", "-h", "help"] {
        assert_eq!(parsed(&[word]), Ok(Command::Help(None)));
        assert_eq!(parsed(&[word, "strat"]).unwrap_err(), "unknown command strat; did you mean start?");
        assert!(
            parsed(&[word, "start", "stop"]).unwrap_err().starts_with("help: unexpected argument stop; ")
        );
    }
    // What precedes them is looked at, what follows is not.
    assert_eq!(parsed(&["reconcile", "--dry-run", "--version", "--jsno"]), Ok(Command::Version));
    assert!(parsed(&["reconcile", "--jsno", "--version"]).is_err());
    // After `--` they are operands, and s6-supervise passes no options.
    assert!(matches!(parsed(&["status", "--", "--version"]), Ok(Command::Status(_))));
    assert!(matches!(parsed(&["gateway-finish", "1", "--version"]), Ok(Command::GatewayFinish(_))));
}

#[test]
fn a_link_names_a_command_after_a_number_and_a_hyphen() {
    for (argv0, name) in [
        ("/etc/cont-init.d/02-reconcile-profiles", Some(Name::Reconcile)),
        ("015-supervise-perms", Some(Name::FixPerms)),
        ("supervise-perms", Some(Name::FixPerms)),
        ("a/7-status", Some(Name::Status)),
        ("-status", None),
        ("7status", None),
        ("7-", None),
        ("hermes-init", None),
        ("", None),
    ] {
        assert_eq!(Name::of_applet(OsStr::new(argv0)), name, "{argv0}");
    }
}

#[test]
fn a_line_has_the_words_that_start_the_same_command_by_its_name() {
    let words = [OsString::from("--print"), OsString::from("gateway-x")];
    let line = parse(OsStr::new("/x/1-gateway-run"), &words, "").unwrap();
    assert_eq!(line.words, ["gateway-run", "--print", "gateway-x"]);
    assert_eq!(parse(OsStr::new("hermes-init"), &line.words, ""), Ok(line));
}

#[test]
fn sealed_and_delegated_are_wrong_usage_of_every_command_that_has_them() {
    let mut commands = 0;
    for name in Name::ALL.into_iter().filter(|name| name.syntax().options().contains(&Opt::Sealed)) {
        let command = name.text();
        for (words, last, first) in [
            (["--sealed", "--delegated"], "delegated", "sealed"),
            (["--delegated", "--sealed"], "sealed", "delegated"),
        ] {
            let usage = parsed(&[&[command], &words[..], &["x"]].concat()).unwrap_err();
            assert_eq!(usage, format!("{command}: --{last}: contradicts --{first}; give one of them"));
        }
        commands += 1;
    }
    assert_eq!(commands, 8);
    for (word, mode) in [("--sealed", Mode::Sealed), ("--delegated", Mode::Delegated)] {
        assert_eq!(reconcile(&[word]).overrides.mode, Some(mode));
        assert_eq!(reconcile(&[word, "--adopt", word]).overrides.mode, Some(mode));
    }
}

#[test]
fn explain_prevails_over_a_dry_run_and_a_later_value_over_an_earlier_one() {
    for words in [["--explain", "--dry-run"], ["--dry-run", "--explain"]] {
        assert_eq!(reconcile(&words).effect, Effect::Explain);
    }
    assert_eq!(reconcile(&["--dry-run"]).effect, Effect::DryRun);
    let role = reconcile(&["--role=auto", "--role=frontend"]).overrides.role;
    assert_eq!(role, Some(RoleChoice::Frontend));
}

#[test]
fn start_stop_and_restart_wait_as_long_as_they_are_told() {
    for (word, wait) in [
        ("--wait", Some(75)),
        ("--wait=", Some(75)),
        ("--wait=1", Some(1)),
        ("--wait=86400", Some(86_400)),
        ("--", None),
    ] {
        let command = parsed(&["restart", word, "x"]);
        let Ok(Command::Control(control::Args { verb, wait: found, profiles, .. })) = command else {
            panic!("{command:?}");
        };
        assert_eq!(
            (verb, found, profiles),
            (control::Verb::Restart, wait.map(Duration::from_secs), vec!["x".into()])
        );
    }
    for word in ["--wait=0", "--wait=86401", "--wait=-1"] {
        let usage = parsed(&["stop", word, "x"]).unwrap_err();
        assert!(
            usage.starts_with("stop: --wait: ")
                && usage.ends_with(" is not a number of seconds from 1 to 86400")
        );
    }
}

#[test]
fn a_number_after_an_option_that_may_have_one_is_wrong_usage() {
    let attach = |number| format!("the value must be attached: --wait={number}");
    let range = |number| format!("{number} is not a number of seconds from 1 to 86400");
    for command in ["start", "stop", "restart", "unregister"] {
        for (words, number, why) in [
            (&["--wait", "5", "coder"][..], "5", attach("5")),
            (&["--wait", "5"], "5", attach("5")),
            (&["coder", "--wait", "5"], "5", attach("5")),
            (&["--wait=", "5", "coder"], "5", attach("5")),
            (&["--wait", "007", "coder"], "007", attach("007")),
            (&["--wait", "0", "coder"], "0", range("0")),
            (&["--wait", "86401"], "86401", range("86401")),
            (&["--wait", "99999999999999999999"], "99999999999999999999", range("99999999999999999999")),
        ] {
            let usage = parsed(&[&[command], words].concat()).unwrap_err();
            let name = format!("(for the NAME {number}: --wait -- {number})");
            assert_eq!(usage, format!("{command}: --wait: {why} {name}"), "{words:?}");
        }
        for words in [
            &["--wait", "--", "5"][..],
            &["5", "--wait"],
            &["--wait=7", "5"],
            &["--wait", "5s"],
            &["--wait", "coder"],
            &["--wait", "--sealed", "5"],
        ] {
            assert!(parsed(&[&[command], words].concat()).is_ok(), "{command} {words:?}");
        }
    }
}

#[test]
fn health_has_a_minimum_uptime() {
    for (words, min_up) in
        [(&["health"][..], 0), (&["health", "--min-up=0"], 0), (&["health", "--min-up", "9"], 9)]
    {
        let command = parsed(words);
        let Ok(Command::Status(status::Args { question, .. })) = command else { panic!("{command:?}") };
        assert_eq!(question, status::Question::Health { min_up });
    }
}

#[test]
fn a_wrong_command_line_is_said() {
    for (words, usage) in [
        (&[][..], "no command given; try: /init help"),
        (&["--helf"], "unknown option --helf; did you mean --help?"),
        (&["-x"], "unknown option -x; options: --help, --version"),
        (&["--jsno", "status"], "unknown option --jsno; options: --help, --version"),
        (&["--json", "status"], "no command before --json; try: /init help"),
        (&["--role=x y", "status"], "no command before \"--role=x y\"; try: /init help"),
        (&["recnocile"], "unknown command recnocile; did you mean reconcile?"),
        (&["help", "statsu"], "unknown command statsu; did you mean status?"),
        (&["reconcile", "x"], "reconcile: unexpected argument x; try: /init help reconcile"),
        (&["register", "a", "b c"], "register: unexpected argument \"b c\"; try: /init help register"),
        (&["seed"], "seed: missing DIR; try: /init help seed"),
        (&["seed", "--hlp"], "seed: unknown option --hlp; did you mean --help?"),
        (&["reconcile", "--json=1"], "reconcile: --json takes no value"),
        (&["reconcile", "--owner"], "reconcile: --owner: missing value"),
        (&["reconcile", "--owner="], "reconcile: --owner: empty value"),
        (&["reconcile", "--scandir", ""], "reconcile: --scandir: empty value"),
        (&["reconcile", "--role="], "reconcile: --role: empty value"),
        (&["status", "--role=x"], "status: --role: x is not one of gateway, frontend, auto"),
        (
            &["status", "--role=gatewya"],
            "status: --role: gatewya is not one of gateway, frontend, auto (did you mean gateway?)",
        ),
        (&["status", "--topology=x"], "status: --topology: x is not one of auto, per-profile, multiplex"),
        (&["reconcile", "--max-services="], "reconcile: --max-services: empty value"),
        (
            &["reconcile", "--max-services=3"],
            "reconcile: --max-services: 3 is not a number of services from 4 to 160000",
        ),
        (&["logs", "-n", "x", "a"], "logs: --lines: x is not a number of lines from 0 to 1000000"),
        (&["health", "--min-up=x"], "health: --min-up: x is not a number of seconds from 0 to 86400"),
    ] {
        assert_eq!(parsed(words).unwrap_err(), usage);
    }
}
