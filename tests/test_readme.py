"""The manual page, README, the documents in .github/ and the help agree with the program: commands, options, variables, exit codes,
JSON keys, installed files, limits."""

import json
import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

import budgets
from support import podman
from support.installation import laid_down, make, project
from support.program import APART, COMMANDS, HERMES, ROOT, executable, run

README = (ROOT / "README.md").read_text()
PAGE = ROOT / "src/hermes-init.8"
DOCUMENTS = {path.name: path.read_text() for path in sorted((ROOT / ".github").glob("*.md"))}
# These take the arguments of s6 or the words of a command line, and no options.
RAW = ("gateway-finish", "dashboard-finish", "complete")


def init(*arguments):
    return run([executable(), *arguments], env=APART)


def section(title, text=README):
    """Returns the text of a section of a Markdown document."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def manual(title=None):
    """Returns the source of the manual page, or of one of its sections, with `Fl \\-json` written as --json."""
    text = re.sub(r"\bFl \\-", "--", PAGE.read_text()).replace("\\-", "-")
    return text if title is None else re.search(rf"^\.S[hs] {title}\n(.*?)(?=^\.S[hs] |\Z)", text, re.M | re.S)[1]


def entries(text):
    """Returns the entries of the lists in a part of the manual page: the words of each `.It` and the plain text below it."""
    found = []
    for entry in re.split(r"^\.It ?", text, flags=re.M)[1:]:
        head, _, body = entry.partition("\n")
        lines = [re.sub(r"^\.[A-Z][a-z] ", "", line) for line in body.splitlines() if not re.match(r"\.(Bl|El|Pp)\b", line)]
        found.append(([word for word in head.split() if word != ","], " ".join(lines)))
    return found


def source():
    return "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.rs")))


def occurs(word, text):
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def installed(place):
    make(project(place), "install", f"DESTDIR={place}/out")
    return {path: what for path, what in laid_down(place / "out").items() if what[0] != "directory"}


def test_the_readme_is_read_in_one_sitting():
    assert README.count("\n") <= 260


def test_the_blocks_of_a_dockerfile_copy_all_of_it_in_one_line():
    image, trial = podman.blocks()
    assert re.findall("^COPY.*", image, re.M) == ["COPY --from=hermes-init / /"]
    assert "RUN make -C /src install DESTDIR=/out\n" in trial
    assert re.findall("^COPY --from.*", trial, re.M) == ["COPY --from=hermes-init /out/ /"]


def test_the_list_of_installed_files_is_what_make_install_lays_down(place):
    rows = {head[1]: body for head, body in entries(manual("Installed files"))}
    files = installed(place)
    assert sorted(rows) == sorted(files)
    for path, (kind, mode, content) in files.items():
        if kind == "link":
            assert rows[path].startswith(f"Link to {content} ")
            continue
        assert f"0{mode:o}" in rows[path]
        if len(content) < 100:
            assert rows[path].startswith(content.decode().strip() if content else "Empty"), path


def test_the_manual_page_is_free_of_lint():
    if not shutil.which("mandoc"):
        (pytest.fail if os.environ.get("HERMES_INIT_CI") else pytest.skip)("needs mandoc")
    done = run(["mandoc", "-T", "lint", "-W", "warning", PAGE])
    assert done.returncode == 0 and done.stdout == b"", done.stdout
    shown = run(["mandoc", "-T", "ascii", PAGE])
    # Bold is a letter, a backspace and the same letter.
    assert shown.returncode == 0 and b"hermes-init - boot and lifecycle" in re.sub(rb".\x08", b"", shown.stdout)


def words():
    """Returns all quoted words in the sources of the command line that could be a command or an option."""
    source = "".join(path.read_text() for path in sorted((ROOT / "src/cli").glob("*.rs")))
    quoted = re.findall(r'"([a-z -]*)"', source)
    return sorted({word for text in quoted for word in text.split() if re.fullmatch("[a-z][a-z-]*[a-z]", word)})


def takes(command, option):
    """Returns whether a command accepts an option. The option has a value and precedes --help, so that nothing is run."""
    done = init(command, f"--{option}=gateway", "--help")
    return b"unknown option" not in done.stderr


@pytest.fixture(scope="module")
def grammar():
    """The commands and their options, as the executable accepts them."""
    commands = [word for word in words() if init("help", word).returncode == 0]
    return {command: [] if command in RAW else [word for word in words() if takes(command, word)] for command in commands}


def test_the_grammar_is_read_whole(grammar):
    assert sorted(grammar) == sorted([*COMMANDS, "help", "version"])
    assert all({"help", "version"} <= set(options) for command, options in grammar.items() if command not in RAW)
    assert sorted({option for options in grammar.values() for option in options} - {"help", "version"}) == [
        "adopt",
        "delegated",
        "down",
        "dry-run",
        "env",
        "explain",
        "follow",
        "hermes-home",
        "json",
        "lines",
        "max-services",
        "min-up",
        "owner",
        "print",
        "private",
        "raw",
        "role",
        "scandir",
        "sealed",
        "topology",
        "wait",
    ]


def test_every_command_is_described_in_the_manual_and_named_in_the_overview(grammar):
    overview = init("help").stdout.decode()
    described = [
        word
        for title in ("Boot steps", "Lifecycle", "Completion", "Service programs")
        for head, _ in entries(manual(title))
        for word in head[1:]
    ]
    assert sorted(described) == sorted(COMMANDS)
    for command in grammar:
        assert occurs(command, manual("SYNOPSIS")) and occurs(command, overview), command


def test_the_synopsis_has_the_options_that_each_command_accepts(grammar):
    synopsis = {}
    for block in re.split(r"^\.Nm\n", manual("SYNOPSIS"), flags=re.M)[1:]:
        first, _, rest = block.partition("\n")
        options = set(re.findall(r"--([a-z-]+)", rest)) | ({"hermes-home", "scandir", "owner"} if "Ar place" in rest else set())
        for command in re.findall(r"[a-z-]+[a-z]", first.removeprefix(".Cm ")) if first.startswith(".Cm ") else []:
            synopsis[command] = options
    assert synopsis == {command: set(options) - {"help", "version"} for command, options in grammar.items()}


def test_every_option_is_described_in_the_manual_and_on_the_page_of_its_command(grammar):
    described = {word for head, _ in entries(manual("OPTIONS")) for word in head if word.startswith("--")}
    assert described == {f"--{option}" for options in grammar.values() for option in options} | {"--help", "--version"}
    for option in ("--help", "--version"):
        assert occurs(option, init("help").stdout.decode())
    for command, options in grammar.items():
        page = init("help", command).stdout.decode()
        for option in options:
            assert option in ("help", "version") or occurs(f"--{option}", page), (command, option)


def test_every_option_that_is_written_down_exists(grammar):
    known = {f"--{option}" for options in grammar.values() for option in options} | {"--help", "--version"}
    # Options of hermes, of docker and of Dockerfiles.
    others = {"--replace", "--no-supervise", "--all", "--host", "--port", "--no-open", "--init", "--from", "--start-period", "--tmpfs"}
    for where, text in ({"README": README, "manual": manual()} | DOCUMENTS).items():
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - others <= known, where
    for command, options in grammar.items():
        page = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", init("help", command).stdout.decode())) - others
        assert command == "help" or page <= {f"--{option}" for option in options}, command


@pytest.mark.parametrize(
    "option, command", [("--lines", "logs"), ("--min-up", "health"), ("--wait", "stop"), ("--max-services", "reconcile")]
)
def test_the_manual_has_the_range_of_a_number(option, command):
    body = next(body for head, body in entries(manual("OPTIONS")) if option in head)
    least, most = map(int, re.search(r"(\d+) to (\d+)", body).groups())
    accepted = [number for number in (least - 1, least, most, most + 1) if init(command, f"{option}={number}", "--help").returncode == 0]
    assert accepted == [least, most]


def variables():
    """Returns the variables that the program reads or sets."""
    return set(re.findall(r'"((?:HERMES|S6|GATEWAY)_[A-Z0-9_]+|TZ)"', source()))


def test_every_variable_is_in_manual_and_help():
    assert len(variables()) > 8
    pages = "\n".join(init("help", command).stdout.decode() for command in COMMANDS)
    described = {word for head, _ in entries(manual("ENVIRONMENT")) for word in head[1:]}
    for variable in variables():
        # Variables for the gateway are not settings.
        is_set = variable.endswith("SUPERVISED_CHILD")
        assert is_set or (occurs(variable, pages) and variable in described), variable
        assert occurs(variable, manual("ENVIRONMENT")), variable


def test_every_variable_that_is_written_down_exists():
    # s6-overlay's.
    others = {"S6_KILL_GRACETIME", "S6_BEHAVIOUR_IF_STAGE2_FAILS"}
    for where, text in ({"README": README, "manual": manual()} | DOCUMENTS).items():
        assert set(re.findall(r"\b(?:HERMES|S6|GATEWAY)_[A-Z0-9_]*[A-Z0-9]\b", text)) - others <= variables(), where


def test_every_exit_code_is_in_the_manual():
    described = {head[0] for head, _ in entries(manual("EXIT STATUS")) if head}
    sources = ("src/output/exit.rs", "src/sys/switch.rs")
    named = re.findall(r"pub const \w+: u8 = (\d+);", "".join((ROOT / path).read_text() for path in sources))
    assert described == {"0", *named} and len(described) > 6


def objects(*arguments):
    done = init(*arguments)
    assert done.stdout, done
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def volume(place):
    """A volume with a profile that runs and one that can have no slot; and options that name it."""
    for profile in ("coder", "Upper"):
        (place / "home/profiles" / profile / "state").mkdir(parents=True)
        (place / "home/profiles" / profile / "SOUL.md").touch()
        (place / "home/profiles" / profile / "gateway_state.json").write_text('{"gateway_state": "running"}')
        (place / "home/profiles" / profile / "state/gateway.lifecycle.json").write_text('{"phase": "running"}')
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{HERMES}:{HERMES}", place / "home"], check=True)
    return ("--hermes-home", str(place / "home"), "--scandir", str(place / "service"), "--role", "gateway")


def test_every_json_key_is_in_the_manual(place, volume):
    (place / "static/dashboard/event").mkdir(parents=True)
    (place / "static/dashboard/supervise").mkdir()
    for number in range(25):
        (place / f"home/profiles/X bad {number}").mkdir()
        (place / f"home/profiles/X bad {number}/SOUL.md").touch()
        (place / f"home/profiles/without-soul-{number}").mkdir()
    described = {}
    for title in re.findall(r"^\.Ss (Objects of .*)", manual(), re.M):
        for command in title.removeprefix("Objects of ").split(" and "):
            described[command] = {word for head, _ in entries(manual(title)) for word in head[1:]}
    printed = {
        "reconcile": objects("reconcile", "--json", "--topology", "multiplex", *volume),
        "reconcile --explain": objects("reconcile", "--explain", "--json", *volume),
        "fix-perms": objects("fix-perms", "--json", str(place / "static")),
        "status": objects("status", "--json", *volume),
        "health": objects("health", "--json", *volume),
    }
    # Further profiles than are named one by one.
    for number in range(1010):
        (place / f"home/profiles/p{number}").mkdir()
        (place / f"home/profiles/p{number}/SOUL.md").touch()
    printed["reconcile --explain"] += objects("reconcile", "--explain", "--json", "--max-services", "4", *volume)
    assert described == {command: {key for printed in rows for key in printed} for command, rows in printed.items()}


def test_every_field_of_the_boot_log_is_in_the_manual(place, volume):
    init("reconcile", "--topology", "multiplex", *volume)
    log = (place / "home/logs/container-boot.log").read_text()
    assert "profile=Upper" in log
    fields = set(re.findall(r" ([a-z_]+)=", log))
    assert fields == {word for head, _ in entries(manual("BOOT LOG")) for word in head[1:]}


def test_the_states_of_the_manual_are_those_of_the_program():
    listed = {" ".join(head[1:]) for head, _ in entries(manual("STATUS AND HEALTH")) if head[0] == "Dq"}
    assert listed and all(f'"{state}"' in source() for state in listed)
    golden = (ROOT / "tests/golden/why_down/six-status.txt").read_text()
    shown = re.findall(r"\d+ ([a-z ]+)", golden.splitlines()[-1])
    assert set(shown) <= listed and len(shown) > 3


def test_the_budgets_are_those_that_are_checked():
    stated = re.findall(r"^\| (.*) \| ([\d.]+) ?(\S*) \|$", section("Budgets", DOCUMENTS["CONTRIBUTING.md"]), re.M)
    assert [(what, float(number), unit) for what, number, unit in stated] == [(what, *limit) for what, limit in budgets.LIMITS.items()]


def test_what_the_documents_show_is_what_is_printed(place):
    home, scandir = place / "home", place / "service"
    for profile, state in (("failing", "startup_failed"), ("coder", "running")):
        (home / "profiles" / profile / "state").mkdir(parents=True)
        (home / "profiles" / profile / "SOUL.md").touch()
        (home / "profiles" / profile / "gateway_state.json").write_text(f'{{"gateway_state": "{state}"}}')
    (home / "profiles/coder/state/gateway.lifecycle.json").write_text('{"phase": "running"}')
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{HERMES}:{HERMES}", home], check=True)
    where = ("--hermes-home", str(home), "--scandir", str(scandir), "--role", "gateway")
    assert init("reconcile", *where).returncode == 0
    shown = [
        textwrap.dedent(block)
        for block in re.findall(r"(?:^ {8}.*\n|^\n(?= {8}))+", section("Why did my profile not come back up\\?"), re.M)
    ]
    # The notes of `status` are those of the golden file, but for their time.
    golden = (ROOT / "tests/golden/why_down/six-status.txt").read_text()
    table, notes, _ = shown[0].strip().split("\n\n")
    assert table.split("\n")[0].split() == golden.split("\n")[0].split()

    def without_time(text):
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]*|\w+(?= times)", "", text).split("\n")

    assert set(without_time(notes)) <= set(without_time(golden)) and notes.count("\n") == 3
    settings, profile = shown[1].strip().split("\n\n")
    said = init("reconcile", "--explain", *where).stdout.decode().replace(str(executable()), "/usr/bin/hermes-init")
    assert profile in said
    assert [line.split(":")[0] for line in settings.splitlines()] == [line.split(":")[0] for line in said.split("\n\n")[0].splitlines()]
    log = (home / "logs/container-boot.log").read_text()
    example = re.search(r"^\.Bd -literal\n(.*\n)\.Ed$", manual("BOOT LOG"), re.M)[1]
    assert re.fullmatch(r"\S+( profile=coder .*)\n", example)[1] + "\n" in log


def test_what_the_documents_say_of_files_is_there():
    for name in ("LICENSE", ".ci/run", "Makefile"):
        assert (ROOT / name).exists()
    for where, text in ({"README": README} | DOCUMENTS).items():
        for path in re.findall(r"`((?:src|tests|\.github|\.ci)/[\w./-]*)`", text):
            assert (ROOT / path).exists(), (where, path)
    assert {f".github/{name}" for name in DOCUMENTS} == set(re.findall(r"\.github/\w+\.md", section("Where to look further")))
    targets = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^    )make ([a-z-]+)", README + DOCUMENTS["CONTRIBUTING.md"], re.M)):
        assert re.search(rf"^{re.escape(target)}:", targets, re.M), target
    assert Path(ROOT / "tests/demo").stat().st_mode & 0o111


def test_the_newest_version_of_the_changelog_is_this_one():
    newest = re.search(r"^## (\S+),", DOCUMENTS["CHANGELOG.md"], re.M)[1]
    assert init("--version").stdout.decode().startswith(f"hermes-init {newest} (")


def test_the_page_of_the_tests_names_every_test_file_and_no_other():
    page = (ROOT / "tests/README.md").read_text()
    named = set(re.findall(r"`(test_\w+\.py)`", page))
    assert named == {path.name for path in (ROOT / "tests").glob("test_*.py")}
    for name in re.findall(r"`([\w/]+(?:/|\.py|\.md))`", page):
        assert (ROOT / "tests" / name).exists(), name
    for target in re.findall(r"`make ([a-z-]+)", page):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target


# The rooms of src/, as the table of CONTRIBUTING.md has them: a room uses those below it.
ROOMS = re.findall(r"^\| `(\w+)/` \|", DOCUMENTS["CONTRIBUTING.md"], re.M)


def test_the_rooms_of_the_sources_are_those_of_the_guide():
    assert sorted(ROOMS) == sorted(path.name for path in (ROOT / "src").iterdir() if path.is_dir())


def test_no_room_uses_one_above_it():
    above = []
    for room in ROOMS:
        for path in (ROOT / "src" / room).rglob("*.rs"):
            used = re.findall(r"\bcrate::(\w+)", path.read_text())
            above += [(str(path.relative_to(ROOT)), other) for other in used if other in ROOMS and ROOMS.index(other) < ROOMS.index(room)]
    assert above == []


def test_no_two_rooms_have_a_file_of_one_name():
    names = [(path.name, path.relative_to(ROOT / "src").parts[0]) for path in (ROOT / "src").rglob("*.rs")]
    rooms = {name: {room for other, room in names if other == name} for name, _ in names if name != "mod.rs"}
    assert {name: found for name, found in rooms.items() if len(found) > 1} == {}
