"""The command line: usage errors, applet names, sources of settings."""

import os
import pwd
import re
import shutil

import pytest

from support.file_tree import snapshot
from support.program import APART, COMMANDS, executable, run
from support.testbed import Bed


def init(*arguments, argv0=None, env=None):
    import subprocess

    argv = [argv0 or str(executable()), *arguments]
    return subprocess.run(
        argv, executable=str(executable()), stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False, env=APART | (env or {})
    )


@pytest.mark.parametrize(
    "arguments, says, meant",
    [
        (["recnocile"], "unknown command recnocile", "reconcile"),
        (["STATUS"], "unknown command STATUS", "status"),
        (["strat", "coder"], "unknown command strat", "start"),
        (["hlep"], "unknown command hlep", "help"),
        (["--helf"], "unknown option --helf", "--help"),
        (["reconcile", "--dry-rum"], "reconcile: unknown option --dry-rum", "--dry-run"),
        (["fix-perms", "--seeled"], "fix-perms: unknown option --seeled", "--sealed"),
        (["status", "--JSON"], "status: unknown option --JSON", "--json"),
        (["help", "statsu"], "unknown command statsu", "status"),
        (["stat\nus"], 'unknown command "stat\\nus"', "status"),
        (["status", "--role", "fronted"], "status: --role: fronted is not one of gateway, frontend, auto", "frontend"),
        (["status", "--topology=mulitplex"], "status: --topology: mulitplex is not one of auto, per-profile, multiplex", "multiplex"),
    ],
)
def test_a_wrong_word_is_named_with_the_valid_one_that_is_meant(arguments, says, meant):
    done = init(*arguments)
    said = f"hermes-init: fatal: {says}"
    assert done.returncode == 100 and done.stdout == b"", done
    assert done.stderr.decode() in (f"{said}; did you mean {meant}?\n", f"{said} (did you mean {meant}?)\n")


@pytest.mark.parametrize("word", ["up", "foo", "rm", "down", "ps", "remove", "x" * 100_000])
def test_a_word_that_is_near_to_no_command_is_answered_with_all_of_them(word):
    done = init(word)
    assert done.returncode == 100 and done.stdout == b""
    listed = done.stderr.decode().removeprefix("hermes-init: fatal: unknown command ").partition("; commands: ")[2]
    assert sorted(listed.strip().split(", ")) == sorted([*COMMANDS, "help", "version"]) and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments, word, options",
    [
        (["reconcile", "-x"], "-x", "--dry-run, --explain, --json, "),
        (["seed", "--json", "x"], "--json", "--sealed, --delegated, --owner, --help, --version"),
        (["gateway-run", "--raw", "gateway-x"], "--raw", "--print, --help, --version"),
        (["logs", "--tail=5", "x"], "--tail", "--follow, --lines, --raw, --hermes-home, --owner, --help, --version"),
        (["-x"], "-x", "--help, --version"),
    ],
)
def test_an_option_that_is_near_to_none_is_answered_with_all_of_the_command(arguments, word, options):
    done = init(*arguments)
    assert done.returncode == 100 and done.stdout == b"" and done.stderr.count(b"\n") == 1, done
    assert f"unknown option {word}; options: {options}" in done.stderr.decode()
    assert init("--json", "status").stderr.decode() == f"hermes-init: fatal: no command before --json; try: {executable()} help\n"


@pytest.mark.parametrize(
    "arguments, says",
    [
        ([], "no command"),
        (["reconcile", "x"], "unexpected argument x"),
        (["seed"], "missing DIR"),
        (["reconcile", "--owner"], "missing value"),
        (["reconcile", "--owner", "nobody-such"], "nobody-such"),
        (["reconcile", "--owner", "1:x y"], '"1:x y"'),
        (["reconcile", "--owner", "4294967295"], "4294967295"),
        (["reconcile", "--role", "boss"], "boss"),
        (["reconcile", "--json=1"], "json"),
        (["start", "--wait=x", "a"], "x is not a number of seconds from 1 to 86400"),
        (["start", "--wait", "5", "a"], "start: --wait: the value must be attached: --wait=5 (for the NAME 5: --wait -- 5)"),
        (["unregister", "a", "--wait", "5"], "unregister: --wait: the value must be attached: --wait=5 (for the NAME 5: --wait -- 5)"),
        (["restart", "--wait", "0", "a"], "restart: --wait: 0 is not a number of seconds from 1 to 86400 (for the NAME 0: --wait -- 0)"),
        (["register"], "missing NAME"),
        (["register", "a", "b"], "unexpected argument b"),
        (["gateway-run", "./run", "dashboard"], "dashboard is not the service of a gateway, gateway-PROFILE"),
        (["gateway-log", "gateway-Bad/log"], "gateway-Bad/log is not the service of a gateway, gateway-PROFILE"),
        (["reconcile", "--scandir", ""], "empty value"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_100(arguments, says):
    done = init(*arguments)
    assert done.returncode == 100 and says in done.stderr.decode() and done.stderr.count(b"\n") == 1, done


# The target, the kind of build and the commit; test_first_steps.py says which.
VERSION = (
    rb"hermes-init 0\.2\.0 \((x86_64|aarch64)-unknown-linux-(musl|gnu), (small|stock|debug) build, "
    rb"commit ([0-9a-f]{12}(, modified)?|unknown)\)\n"
)


def is_version(said):
    return re.fullmatch(VERSION, said) is not None


def test_version_and_overview():
    for words in (["--version"], ["-V"], ["version"]):
        done = init(*words)
        assert is_version(done.stdout) and (done.returncode, done.stderr) == (0, b""), done
    overview = init("--help").stdout.decode()
    assert overview == init("help").stdout.decode() and all(command in overview for command in COMMANDS)
    assert "hermes-init help [COMMAND] | --help [COMMAND] | version | --version\n" in overview
    done = init("version", "x")
    assert done.returncode == 100 and b"version: unexpected argument x" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_version_are_options_of_every_command_and_of_every_link(command):
    page = init("help", command).stdout
    link = f"/etc/cont-init.d/02-{command}"
    for option in ("--help", "-h"):
        for done in (init(command, option), init(option, command), init(option, argv0=link)):
            assert (done.returncode, done.stdout, done.stderr) == (0, page, b"")
    for option in ("--version", "-V"):
        for done in (init(command, option), init(option, argv0=link)):
            assert is_version(done.stdout) and (done.returncode, done.stderr) == (0, b""), done


def test_help_of_a_word_that_is_no_command_is_wrong_usage():
    done = init("--help", "strat")
    assert done.returncode == 100 and b"unknown command strat; did you mean start?" in done.stderr and done.stdout == b""


@pytest.mark.parametrize("name", ["02-reconcile-profiles", "/etc/cont-init.d/02-reconcile-profiles", "reconcile"])
@pytest.mark.parametrize("option", ["-V", "--version", "-h", "--help"])
def test_a_link_that_is_asked_for_help_or_its_version_runs_no_pass(name, option, home):
    before = snapshot(home)
    done = init("--hermes-home", str(home / "home"), "--scandir", str(home / "service"), option, argv0=name)
    assert done.returncode == 0 and done.stderr == b"", done
    assert is_version(done.stdout) if option in ("-V", "--version") else done.stdout.startswith(b"usage: hermes-init reconcile ")
    assert snapshot(home) == before


def test_a_link_that_is_asked_for_its_version_leaves_the_services_alone(place):
    (place / "web/supervise").mkdir(parents=True)
    before = snapshot(place)
    assert is_version(init(str(place), "-V", argv0="/etc/cont-init.d/015-supervise-perms").stdout)
    assert snapshot(place) == before


@pytest.mark.parametrize(
    "name", ["02-reconcile-profiles", "reconcile-profiles", "02-reconcile", "reconcile", "/etc/cont-init.d/99-reconcile"]
)
def test_argv0_names_the_boot_pass(name, home):
    shutil.rmtree(home / "home/profiles")
    done = init("--dry-run", "--hermes-home", str(home / "home"), "--scandir", str(home / "service"), argv0=name)
    assert done.stdout == b"reconcile: profile=default prior_state=None action=registered\n", done


@pytest.mark.parametrize("name", ["015-supervise-perms", "supervise-perms", "fix-perms", "7-fix-perms"])
def test_argv0_names_fix_perms(name):
    assert init("/nowhere", argv0=name).stdout == b"fix-perms: nothing to do: /nowhere is missing\n"


@pytest.mark.parametrize("name", ["hermes-init", "hermes", "02-", "-", "015-supervise-permsx"])
def test_any_other_argv0_names_nothing(name):
    assert init("--version", argv0=name).stdout.startswith(b"hermes-init ")


def test_an_option_comes_before_the_environment_and_an_empty_value_is_none(place):
    home, other, scandir = place / "home", place / "other", place / "scandir"
    home.mkdir()
    other.mkdir()
    text = init(
        "reconcile", "--explain", "--hermes-home", str(home), env={"HERMES_HOME": str(other), "S6_PROFILE_GATEWAY_SCANDIR": str(scandir)}
    ).stdout.decode()
    assert f"HERMES_HOME: {home} (option)\n" in text and f"scan directory: {scandir} (environment)\n" in text
    text = init("reconcile", "--explain", env={"HERMES_HOME": "", "S6_PROFILE_GATEWAY_SCANDIR": str(scandir)}).stdout.decode()
    assert "HERMES_HOME: /opt/data (default)\n" in text


@pytest.mark.s6
def test_the_container_environment_comes_before_the_default_and_behind_the_environment():
    with Bed(svscan=False, environment={"HERMES_HOME": "/run/elsewhere"}) as bed:
        text = bed.init("reconcile", "--explain").stdout.decode()
        assert "HERMES_HOME: /run/elsewhere (container environment)\n" in text and "owner: 10000:10000 (/etc/passwd)\n" in text
        text = bed.init("reconcile", "--explain", environment={"HERMES_HOME": "/opt/data"}).stdout.decode()
        assert "HERMES_HOME: /opt/data (environment)\n" in text
        (bed.path("/run/s6/container_environment") / "HERMES_HOME").write_text("")
        assert "HERMES_HOME: /opt/data (default)\n" in bed.init("reconcile", "--explain").stdout.decode()


@pytest.mark.root
@pytest.mark.parametrize(
    "owner, expected", [("1234", "1234:1234"), ("1234:77", "1234:77"), ("root", "0:0"), ("daemon", None), ("root:5", "0:5")]
)
def test_an_owner_is_a_name_or_numbers(owner, expected, place):
    if expected is None:
        user = pwd.getpwnam("daemon")
        expected = f"{user.pw_uid}:{user.pw_gid}"
    done = run([executable(), "seed", "--owner", owner, place], env=APART)
    assert done.returncode == 0, done
    meta = os.stat(place / "event")
    assert f"{meta.st_uid}:{meta.st_gid}" == expected
