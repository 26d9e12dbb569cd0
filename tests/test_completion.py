"""Completions: what `complete` answers, and what bash, zsh and fish make of it at a terminal, with the files that `make install` lays down."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from support.installation import make, project
from support.program import APART, COMMANDS, HERMES, executable, run, wait_for

FILES = {
    "bash": "usr/share/bash-completion/completions/hermes-init",
    "zsh": "usr/share/zsh/site-functions/_hermes-init",
    "fish": "usr/share/fish/vendor_completions.d/hermes-init.fish",
}
# Names of directories that are no names of profiles.
HOSTILE = ("$(touch hacked)", "`touch hacked`", "a;touch hacked", "coder'$(touch hacked)'", "-f", "Upper", "a b")


@pytest.fixture
def volume(place):
    """A volume with profiles, and a scan directory with a slot of a profile that is gone. Returns what the settings are."""
    for name in ("coder", "writer", *HOSTILE):
        (place / "home/profiles" / name).mkdir(parents=True)
    (place / "service/gateway-gone").mkdir(parents=True)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{HERMES}:{HERMES}", place / "home"], check=True)
    return APART | {"HERMES_HOME": str(place / "home"), "S6_PROFILE_GATEWAY_SCANDIR": str(place / "service")}


def complete(*words, environment=APART):
    """Returns what may take the place of the last word, without the meanings."""
    done = run([executable(), "complete", "--", *words], env=environment)
    assert (done.returncode, done.stderr) == (0, b""), done
    return [line.partition("\t")[0] for line in done.stdout.decode().splitlines()]


def test_commands_options_and_values_are_those_of_the_help():
    assert sorted(complete("")) == sorted([*COMMANDS, "help", "version"])
    for command in COMMANDS:
        page = run([executable(), "help", command], env=APART).stdout.decode()
        options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", page, re.M)
        assert complete(command, "--") == [*options, "--help", "--version"]
        for option, words in re.findall(r"^  (--[a-z-]+) ([a-z|-]+\|[a-z|-]+)$", page, re.M):
            assert complete(command, option, "") == words.split("|")
            assert complete(command, f"{option}=") == [f"{option}={word}" for word in words.split("|")]
    assert complete("status", "--role", "fr") == ["frontend"]


def test_an_option_has_its_meaning_after_a_tab():
    done = run([executable(), "complete", "--", "logs", "--f"], env=APART)
    assert done.stdout == b"--follow\tkeep printing new lines\n", done


def test_names_of_profiles_and_of_slots_and_no_others(volume):
    assert complete("start", "", environment=volume) == ["coder", "default", "gone", "writer"]
    assert complete("start", "writer", "", environment=volume) == ["coder", "default", "gone"]
    assert complete("logs", "--", "c", environment=volume) == ["coder"]
    assert complete("register", "coder", "x", environment=volume) == []
    # The settings of the command line come first.
    assert complete("start", "--hermes-home=/nonexistent", "--hermes-home", volume["HERMES_HOME"], "w", environment=volume) == ["writer"]


def test_a_volume_that_cannot_be_read_has_no_names_and_says_so():
    done = run([executable(), "complete", "--", "start", "--hermes-home", "/nonexistent", ""], env=APART)
    assert (done.returncode, done.stdout) == (111, b"") and b"unable to open /nonexistent" in done.stderr, done


class Terminal:
    """A shell at a terminal, with the completion as it is installed. The hermes-init that is on its PATH writes down its arguments."""

    def __init__(self, shell, place, environment):
        self.place, self.shell = place, shell
        make(project(place), "install", f"DESTDIR={place}/out")
        installed = place / "out" / FILES[shell]
        self.script = place / ("_hermes-init" if shell == "zsh" else "completion")
        text = installed.read_text()
        assert text.count("'/usr/bin/hermes-init'") == 1
        # The executable under test, which is not installed here.
        self.script.write_text(text.replace("/usr/bin/hermes-init", str(executable())))
        (place / "bin").mkdir()
        (place / "bin/hermes-init").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{place}/got.new\nmv {place}/got.new {place}/got\n')
        (place / "bin/hermes-init").chmod(0o755)
        (place / "rc").mkdir()
        begin = {
            "bash": f". {self.script}\nPS1='rea''dy '\n",
            "zsh": f"fpath=({place} $fpath); autoload -Uz compinit; compinit -u -D; PS1='rea''dy '\n",
        }
        (place / "rc/.zshrc").write_text(begin["zsh"])
        (place / "rc/bashrc").write_text(begin["bash"])
        self.environment = environment | {
            "PATH": f"{place}/bin:/usr/bin:/bin",
            "HOME": str(place / "rc"),
            "ZDOTDIR": str(place / "rc"),
            "XDG_CONFIG_HOME": str(place / "rc"),
            "XDG_DATA_HOME": str(place / "rc"),
            "TERM": "dumb",
        }

    def line(self, typed):
        """Types a line, which may have tabs in it, and Enter. Returns the words that hermes-init is executed with."""
        argv = {"bash": ["bash", "--noprofile", "--rcfile", f"{self.place}/rc/bashrc", "-i"], "zsh": ["zsh", "-i"]}[self.shell]
        terminal, other = pty.openpty()
        # The terminal is that of a new session, as after a login.
        streams = {"stdin": other, "stdout": other, "stderr": other}
        shell = subprocess.Popen(["setsid", "--ctty", "--wait", *argv], cwd=self.place, env=self.environment, **streams)
        os.close(other)
        self.said = b""
        try:
            self.read(terminal, b"ready ")
            os.write(terminal, f"hermes-init {typed}\n".encode())
            wait_for(lambda: self.read(terminal) or (self.place / "got").exists(), 20, f"{self.shell} to execute {typed!r}")
        finally:
            # Whoever has no terminal any more ends.
            os.close(terminal)
            shell.wait(timeout=20)
        words = (self.place / "got").read_text().splitlines()
        (self.place / "got").unlink()
        return words

    def read(self, terminal, until=None, seconds=20):
        """Reads what there is, or until something is said."""
        end = time.monotonic() + seconds
        while (until is not None and until not in self.said) or select.select([terminal], [], [], 0.02)[0]:
            assert time.monotonic() < end, self.said
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    self.said += os.read(terminal, 65536)
                except OSError:
                    break
        return False

    def fish(self, typed):
        """Returns what fish offers for a line."""
        script = f'source {self.script}; complete -C "hermes-init {typed}"'
        done = run(["fish", "--no-config", "-c", script], env=self.environment, cwd=self.place, timeout=60)
        assert done.returncode == 0 and done.stderr == b"", done
        return done.stdout.decode().splitlines()


@pytest.fixture
def at(place, volume):
    """Starts a shell, if this machine has it."""

    def start(shell):
        if not shutil.which(shell):
            (pytest.fail if os.environ.get("HERMES_INIT_CI") else pytest.skip)(f"needs {shell}")
        (place / "directory/below").mkdir(parents=True)
        (place / "directory/file").touch()
        return Terminal(shell, place, volume)

    return start


LINES = [
    ("stat\t", ["status"]),
    ("help heal\t", ["help", "health"]),
    ("status --j\t", ["status", "--json"]),
    ("status --topology mul\t", ["status", "--topology", "multiplex"]),
    ("status --role=fr\t", ["status", "--role=frontend"]),
    ("start --wait=5 wri\t", ["start", "--wait=5", "writer"]),
    ("start coder g\t", ["start", "coder", "gone"]),
    ("fix-perms dir\tb\t", ["fix-perms", "directory/below"]),
    ("hand-over directory/f\t", ["hand-over", "directory/file"]),
    ("status --scandir=dir\t", ["status", "--scandir=directory"]),
    ("register --env A=b cod\t", ["register", "--env", "A=b", "coder"]),
    # There is nothing to complete, and no file takes its place.
    ("register coder dir\t", ["register", "coder", "dir"]),
    ("start dir\t", ["start", "dir"]),
]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_a_line_at_a_terminal(shell, at, place):
    terminal = at(shell)
    for typed, expected in LINES:
        # zsh takes the slash of a completed directory away.
        assert [word.rstrip("/") for word in terminal.line(typed)] == expected, (typed, terminal.said)
    assert not list(place.rglob("hacked"))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_lists_what_there_is(shell, at, place):
    terminal = at(shell)
    assert terminal.line("start \t\t\t\x15hermes-init end") == ["end"]
    assert all(name.encode() in terminal.said for name in ("coder", "default", "gone", "writer")), terminal.said
    assert b"hacked" not in terminal.said and not list(place.rglob("hacked"))


def test_fish_offers_the_same_with_the_meanings(at, place):
    terminal = at("fish")
    for typed, expected in [
        ("stat", ["status"]),
        ("help heal", ["health"]),
        ("logs --f", ["--follow\tkeep printing new lines"]),
        ("status --topology mul", ["multiplex"]),
        ("status --role=fr", ["--role=frontend"]),
        ("start ", ["coder", "default", "gone", "writer"]),
        ("start coder g", ["gone"]),
        ("fix-perms directory/", ["directory/below/"]),
        ("status --scandir=directory/", ["--scandir=directory/below/"]),
        ("register coder dir", []),
        ("start dir", []),
    ]:
        assert terminal.fish(typed) == expected, typed
    assert "directory/file" in terminal.fish("hand-over directory/f")
    assert not list(place.rglob("hacked"))
