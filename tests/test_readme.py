"""README, manual page and help agree with the program: installed files, commands, options, variables, limits."""

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

import budgets
from support.installation import laid_down, make, project
from support.program import APART, COMMANDS, HERMES, ROOT, executable, run

README = (ROOT / "README.md").read_text()
PAGE = ROOT / "src/hermes-init.8"
# These take the arguments of s6 and no options.
RAW = ("gateway-finish", "dashboard-finish")


def init(*arguments):
    return run([executable(), *arguments], env=APART)


def section(title):
    """Returns the text of a section of the README."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.M | re.S)[1]


def manual():
    """Returns the source of the manual page with `Fl \\-json` written as --json."""
    return re.sub(r"\bFl \\-", "--", PAGE.read_text()).replace("\\-", "-")


def occurs(word, text):
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def installed(place):
    make(project(place), "install", f"DESTDIR={place}/out")
    return {path: what for path, what in laid_down(place / "out").items() if what[0] != "directory"}


def test_the_dockerfile_lines_name_exactly_what_make_install_lays_down(place):
    files = installed(place)
    dockerfile = re.search(r"```dockerfile\n(.*?)```", README, re.S)[1]
    assert "RUN make -C /src install DESTDIR=/out\n" in dockerfile
    copied = []
    for source, target in re.findall(r"^COPY --from=hermes-init /out(/\S+) (/\S+)$", dockerfile, re.M):
        assert source == target
        covered = [path for path in files if path == source or (source.endswith("/") and path.startswith(source))]
        # COPY follows a link that is given by name.
        assert covered and all(files[path][0] == "file" or source.endswith("/") for path in covered), source
        copied += covered
    assert sorted(copied) == sorted(files)
    assert len(re.findall("^COPY --from", dockerfile, re.M)) == len(re.findall(r"^COPY --from=hermes-init /out/", dockerfile, re.M))


def test_the_table_of_installed_files_is_what_make_install_lays_down(place):
    rows = dict(re.findall(r"^\| `(/[^`]+)` \| (.*) \|$", section("Put it into an image"), re.M))
    files = installed(place)
    assert sorted(rows) == sorted(files)
    for path, (kind, mode, content) in files.items():
        if kind == "link":
            assert rows[path].startswith(f"link to `{content}`")
            continue
        assert f"0{mode:o}" in rows[path]
        if len(content) < 100:
            assert rows[path].startswith(f"`{content.decode().strip()}`" if content else "empty"), path


def test_the_manual_page_is_free_of_lint():
    if not shutil.which("mandoc"):
        (pytest.fail if os.environ.get("HERMES_INIT_CI") else pytest.skip)("needs mandoc")
    done = run(["mandoc", "-T", "lint", "-W", "warning", PAGE])
    assert done.returncode == 0 and done.stdout == b"", done.stdout
    shown = run(["mandoc", "-T", "ascii", PAGE])
    # Bold is a letter, a backspace and the same letter.
    assert shown.returncode == 0 and b"hermes-init - boot and lifecycle" in re.sub(rb".\x08", b"", shown.stdout)


def words():
    """Returns all quoted words in the source of the command line that could be a command or an option."""
    quoted = re.findall(r'"([a-z -]*)"', (ROOT / "src/commands.rs").read_text())
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
    assert sorted(grammar) == sorted([*COMMANDS, "help"])
    assert sorted({option for options in grammar.values() for option in options} - {"help"}) == [
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
        "raw",
        "role",
        "scandir",
        "sealed",
        "topology",
        "wait",
    ]


def test_every_command_is_in_readme_manual_and_overview(grammar):
    overview = init("help").stdout.decode()
    for command in grammar:
        for where, text in (("README", section("Commands")), ("manual", manual()), ("overview", overview)):
            assert occurs(command, text), (command, where)


def test_every_option_is_in_readme_manual_and_the_page_of_its_command(grammar):
    for option in ("--help", "--version"):
        assert occurs(option, README) and occurs(option, manual()) and occurs(option, init("help").stdout.decode())
    for command, options in grammar.items():
        page = init("help", command).stdout.decode()
        for option in options:
            for where, text in (("README", section("Settings")), ("manual", manual()), ("page", page)):
                assert option == "help" or occurs(f"--{option}", text), (command, option, where)


def test_every_option_that_is_written_down_exists(grammar):
    known = {f"--{option}" for options in grammar.values() for option in options} | {"--help", "--version"}
    # Options of hermes, of docker and of Dockerfiles.
    others = {"--replace", "--no-supervise", "--host", "--port", "--no-open", "--init", "--from", "--start-period"}
    for where, text in (("README", README), ("manual", manual())):
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - others <= known, where
    # The programs that s6-supervise runs have one page.
    programs = {command for command in grammar if command.endswith(("-run", "-log", "-finish"))}
    for command in grammar:
        known = set().union(*(grammar[one] for one in (programs if command in programs else [command])))
        page = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", init("help", command).stdout.decode())) - others
        assert command == "help" or page <= {f"--{option}" for option in known}, command


def test_every_variable_is_in_readme_manual_and_help():
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    variables = set(re.findall(r'"((?:HERMES|S6|GATEWAY)_[A-Z0-9_]+|TZ)"', source))
    assert len(variables) > 8
    pages = "\n".join(init("help", command).stdout.decode() for command in COMMANDS)
    for variable in variables:
        # Variables for the gateway are not settings.
        assert occurs(variable, pages) or variable.endswith("SUPERVISED_CHILD"), variable
        assert occurs(variable, README) and occurs(variable, manual()), variable


def test_the_budgets_are_those_that_are_checked():
    stated = re.findall(r"^\| (.*) \| ([\d.]+) ?(\S*) \|$", section("Limits").split("`.ci/run`")[1], re.M)
    assert [(what, float(number), unit) for what, number, unit in stated] == [(what, *limit) for what, limit in budgets.LIMITS.items()]
    assert f"at most {budgets.LIMITS['size of the executable'][0]} KiB" in section("Try it")


def test_what_the_readme_shows_is_what_is_printed(place):
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
    settings, profile = shown[0].strip().split("\n\n")
    said = init("reconcile", "--explain", *where).stdout.decode().replace(str(executable()), "/usr/bin/hermes-init")
    assert profile in said
    # The notes of `status` are those of the golden file, but for their time.
    golden = (ROOT / "tests/golden/why_down/six-status.txt").read_text()
    table, notes, _ = shown.pop(1).strip().split("\n\n")
    assert table.split("\n")[0].split() == golden.split("\n")[0].split()

    def without_time(text):
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:+]*|\w+(?= times)", "", text).split("\n")

    assert set(without_time(notes)) <= set(without_time(golden)) and notes.count("\n") == 3
    assert [line.split(":")[0] for line in settings.splitlines()] == [line.split(":")[0] for line in said.split("\n\n")[0].splitlines()]
    log = (home / "logs/container-boot.log").read_text()
    assert re.fullmatch(r"\S+( profile=coder .*)\n", shown[1].strip() + "\n")[1] + "\n" in log


def test_what_the_readme_says_of_files_is_there():
    for name in ("LICENSE", ".ci/run", "Makefile"):
        assert (ROOT / name).exists()
    targets = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^    )make ([a-z-]+)", README, re.M)):
        assert re.search(rf"^{re.escape(target)}:", targets, re.M), target
    assert Path(ROOT / "tests/demo").stat().st_mode & 0o111


def test_the_page_of_the_tests_names_every_test_file_and_no_other():
    page = (ROOT / "tests/README.md").read_text()
    named = set(re.findall(r"`(test_\w+\.py)`", page))
    assert named == {path.name for path in (ROOT / "tests").glob("test_*.py")}
    for name in re.findall(r"`([\w/]+(?:/|\.py|\.md))`", page):
        assert (ROOT / "tests" / name).exists(), name
    for target in re.findall(r"`make ([a-z-]+)", page):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target
