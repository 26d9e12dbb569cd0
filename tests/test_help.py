"""The pages of `help`: usage, options with their values, examples, and the exit codes that each command can have, which the manual page
lists, too, and each of which is provoked."""

import functools
import re
import shlex
import shutil

import pytest

from support.program import APART, COMMANDS, ROOT, executable, run
from support.testbed import Bed

# Commands that print and do nothing else.
PRINTING = ("help", "version")
PROGRAMS = ("gateway-run", "gateway-log", "dashboard-run")
FINISHES = ("gateway-finish", "dashboard-finish")
# The exit codes that a command can have. A program that becomes another one has also those of that one.
EXITS = {command: {0, 1, 100, 111} for command in COMMANDS}
EXITS |= {command: {0, 1, 100, 111, 126, 127} for command in PROGRAMS}
EXITS["gateway-run"] |= {78}
EXITS |= {command: {0, 125} for command in FINISHES}
EXITS |= {command: {0, 1, 100} for command in PRINTING}
EXITS["complete"] = {0, 1, 111}


def init(*arguments):
    return run([executable(), *arguments], env=APART)


@functools.cache
def page(command):
    """Returns the page of a command. The executable is in it where it is in an image."""
    done = init("help", command)
    assert done.returncode == 0 and done.stderr == b"", done
    return done.stdout.decode().replace(str(executable()), "/usr/bin/hermes-init")


def part(command, title):
    """Returns the lines of a page under a title."""
    return re.search(rf"^{re.escape(title)}.*\n((?:  .*\n)+)", page(command), re.M)[1]


def manual(title):
    """Returns the source of a section of the manual page."""
    text = (ROOT / "src/hermes-init.8").read_text().replace("\\-", "-")
    return re.search(rf"^\.S[hs] {title}\n(.*?)(?=^\.S[hs] |\Z)", text, re.M | re.S)[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_worth_reading(command):
    text = page(command)
    assert init(command, "--help").stdout == init("help", command).stdout
    assert text.startswith(f"usage: hermes-init {command}") and max(map(len, text.splitlines())) <= 80
    # It says something before its options, and no other command has the same text, but for start, stop and restart.
    texts = {other: page(other).split("\n\n")[1] for other in COMMANDS}
    alike = {other for other, text in texts.items() if text == texts[command]}
    assert alike == ({"start", "stop", "restart"} if command in ("start", "stop", "restart") else {command})


@pytest.mark.parametrize("command", [*COMMANDS, "version"])
def test_the_example_of_a_page_is_one_of_its_command(command):
    example = re.search(r"^example: (.*)$", page(command), re.M)[1]
    words = shlex.split(re.split(r" (?:\||\|\|) ", example.removeprefix("HERMES_DASHBOARD=1 "))[0])
    assert words[:2] == ["/usr/bin/hermes-init", command]
    if command in FINISHES:
        assert init(*words[1:]).returncode == 125
    elif command == "complete":
        assert init(*words[1:]).stdout == b"start\nstatus\n"
    else:
        # It is a right command line.
        assert init(*words[1:], "--help").stdout.decode().startswith(f"usage: hermes-init {command}")


def test_a_page_shows_options_with_their_values_letters_variables_and_defaults():
    text = page("logs")
    assert text.startswith("usage: hermes-init logs [OPTION]... NAME...\n\n")
    assert (
        text.split("\n\n")[2]
        == """options (environment, default)
  -f, --follow            keep printing new lines
  -n, --lines LINES       number of lines to print (20)
  --raw                   print the bytes unchanged; not for a terminal
  --hermes-home DIR       the volume (HERMES_HOME, /opt/data)
  --owner USER|UID[:GID]  the hermes user (hermes in /etc/passwd, else
                          10000:10000)"""
    )
    assert "\n  --wait[=SECONDS]        maximum time to wait; without a value, 75\n" in page("start")


@pytest.mark.parametrize("option", ["role", "topology"])
def test_the_words_that_an_option_takes_are_those_of_the_page_the_message_and_the_manual(option):
    shown = re.search(rf"^  --{option} (\S+)$", part("status", "options"), re.M)[1].split("|")
    said = init("status", f"--{option}", "?").stderr.decode()
    assert said.endswith(f" is not one of {', '.join(shown)}\n")
    assert f".It Fl -{option} Cm {' | '.join(shown)}\n" in manual("OPTIONS")
    for word in shown:
        assert init("status", f"--{option}", word, "--help").returncode == 0


def operands(block):
    """Returns the operands in a block of the manual's synopsis as a usage line has them."""
    found = []
    for line in block.splitlines():
        words = re.sub(r"^\.(?:Ar|Op Ar|Op) ", "", line)
        if "Fl " in line or words.startswith(("place", ".Cm")):
            continue
        text = re.sub(r"Op Ar (\w+)", r"[\1]", words.removesuffix(" ..."))
        found.append((f"[{text}]" if line.startswith(".Op") else text) + ("..." if words.endswith(" ...") else ""))
    return " ".join(found)


def test_the_usage_line_has_the_operands_of_the_manual():
    synopsis = {}
    for block in re.split(r"^\.Nm\n", manual("SYNOPSIS"), flags=re.M)[1:]:
        first, _, rest = block.partition("\n")
        for command in first.removeprefix(".Cm ").split(" | ") if first.startswith(".Cm ") else []:
            synopsis[command] = operands(rest)
    usage = {}
    for command in [*COMMANDS, "version"]:
        line = page(command).splitlines()[0].removeprefix(f"usage: hermes-init {command}")
        usage[command] = line.replace(" [OPTION]...", "").strip()
    assert synopsis == usage | {"help": "[COMMAND]"} and "[SCRIPT] EXITCODE SIGNAL SERVICE [PGID]" in usage.values()


def listed(text):
    return [int(code) for code in re.findall(r"^  (\d+) ", text, re.M)]


def test_each_page_and_the_manual_list_all_exit_codes_that_a_command_can_have():
    pages = {command: listed(part(command, "exit codes")) for command in EXITS if command != "help"}
    assert pages == {command: sorted(codes) for command, codes in EXITS.items() if command != "help"}
    # The page of help is the overview, of all commands.
    assert listed(part("help", "exit codes")) == sorted(set().union(*EXITS.values()))
    rows = re.findall(r"^\.It Cm (.*)\n([\d, ]*\d)", manual("Exit codes of each command"), re.M)
    described = {command: {int(code) for code in codes.split(", ")} for commands, codes in rows for command in commands.split(" , ")}
    assert described == EXITS


# What provokes each exit code: arguments after the command, and options of Bed.run.
CLOSED = ["--scandir", "/dev/null"]
ORDINARY = {
    "reconcile": {0: [], 1: ["--dry-run", "--scandir", "/run/none", "--max-services=4"], 111: ["--hermes-home", "/dev/null"]},
    "fix-perms": {0: ["/run/none"], 1: ["/run/static"], 111: ["/dev/null"]},
    "seed": {0: ["/run/seeded"], 1: ["/run/static/bad"], 111: ["/run/seeded"]},
    "hand-over": {0: ["profiles/coder"], 1: ["none"], 111: ["--hermes-home", "/dev/null", "."]},
    "unregister": {0: ["new"], 1: ["coder"], 111: [*CLOSED, "coder"]},
    "register": {0: ["new", "--down"], 1: ["coder"], 111: [*CLOSED, "other"]},
    "start": {0: ["coder"], 1: ["nobody"], 111: [*CLOSED, "coder"]},
    "stop": {0: ["coder"], 1: ["nobody"], 111: [*CLOSED, "coder"]},
    "restart": {0: ["coder"], 1: ["nobody"], 111: [*CLOSED, "coder"]},
    "status": {0: [], 1: ["nobody"], 111: CLOSED},
    "health": {0: [], 1: ["nobody"], 111: CLOSED},
    "logs": {0: ["coder"], 1: ["nobody"], 111: ["--hermes-home", "/dev/null", "coder"]},
}
OPTIONS = {
    # Somebody who may change nothing.
    ("unregister", 1): {"uid": 4321},
    # Somebody who may not look whether the scan directory is sealed.
    ("seed", 111): {"uid": 4321, "environment": {"S6_PROFILE_GATEWAY_SCANDIR": "/run/closed/service"}},
}


@pytest.mark.s6
def test_every_exit_code_of_boot_steps_and_commands_can_be_had(live):
    assert sorted(ORDINARY) == sorted(set(COMMANDS) - set(PROGRAMS) - set(FINISHES) - {"complete"})
    (live.path("/run/static/bad/log")).mkdir(parents=True)
    (live.path("/run/static/bad/log/supervise")).symlink_to("/run")
    live.path("/run/seeded").mkdir()
    live.profile("new")
    live.path("/run/closed").mkdir(mode=0o700)
    for command, provoked in ORDINARY.items():
        assert {*provoked, 100} == EXITS[command]
        live.init(command, "--no-such-option", code=100)
        for code, words in provoked.items():
            live.init(command, *words, code=code, **OPTIONS.get((command, code), {}))


@pytest.mark.s6
@pytest.mark.strace
@pytest.mark.parametrize("command", PROGRAMS)
def test_every_exit_code_of_service_programs_can_be_had(command):
    with Bed(svscan=False, environment={"HERMES_DASHBOARD": "1"}) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        service = {"gateway-run": "gateway-coder", "gateway-log": "gateway-coder/log", "dashboard-run": "dashboard"}[command]

        def code(*before, script="", options=(), path="/run/bed/bin:/usr/bin:/bin"):
            # The minute that a logger waits before it ends takes no time here.
            hurry = [shutil.which("strace"), "-f", "-o", "/dev/null", "-e", "inject=nanosleep,clock_nanosleep:retval=0"]
            (bed.path("/run/s6/container_environment") / "PATH").write_text(path)
            argv = [*hurry, *before, "/usr/bin/env", f"PATH={path}", "/run/bed/bin/hermes-init", command, *options, service]
            # s6's programs are looked for in /command first.
            hide = "[ ! -d /command ] || mount -t tmpfs tmpfs /command;"
            return bed.run(["sh", "-c", f'cd /run/service/gateway-coder; {hide} {script} exec "$@"', "sh", *argv]).returncode

        # What is there and is no program.
        (bed.path("/run/none")).mkdir()
        for name in ("hermes", "s6-log"):
            (bed.path("/run/none") / name).write_text("not a program\n")
            (bed.path("/run/none") / name).chmod(0o755)
        found = [
            code(options=["--print"]),
            code(options=["--print"], script="exec > /dev/full;"),
            *([code(script="printf multiplex > /run/s6/container_environment/HERMES_INIT_TOPOLOGY;")] if command == "gateway-run" else []),
            code(options=["--no-such-option"], script="rm -f /run/s6/container_environment/HERMES_INIT_TOPOLOGY;"),
            code("/usr/bin/setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid"),
            code(path="/run/none"),
            code(path="/run/empty"),
        ]
        assert found == sorted(EXITS[command])


@pytest.mark.parametrize("command", FINISHES)
def test_every_exit_code_of_a_finish_can_be_had(command):
    enabled = {"env": APART | {"HERMES_DASHBOARD": "1"}}
    codes = {run([executable(), command, code, "0", "service", "1"], **enabled).returncode for code in ("1", "78", "--no-such-option")}
    assert codes == EXITS[command]


def test_every_exit_code_of_complete_can_be_had():
    full = run(["sh", "-c", 'exec "$0" complete > /dev/full', executable()], env=APART)
    unread = init("complete", "start", "--hermes-home=/nonexistent", "")
    assert {init("complete", "").returncode, full.returncode, unread.returncode} == EXITS["complete"]


@pytest.mark.parametrize("command", PRINTING)
def test_every_exit_code_of_help_and_version_can_be_had(command):
    full = run(["sh", "-c", 'exec "$0" "$@" > /dev/full', executable(), command], env=APART)
    assert {init(command).returncode, full.returncode, init(command, "--no-such-option").returncode} == EXITS[command]
