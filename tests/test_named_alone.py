"""status NAME and health NAME look at what was asked for, and say of it what the whole listing says."""

import json
import os
import re
import shutil
import subprocess

import pytest

from support.fake_container import FakeContainer
from support.program import APART, APART_FROM_PROCESSES, OWNER, executable, run
from support.testbed import Bed
from support.volume import Volume

pytestmark = pytest.mark.root

WRAPPER = "/opt/hermes/docker/main-wrapper.sh"
STATES = {"a": "running", "b": "stopped", "c": None, "d": b"{", "e": "running", "f": "starting", "g": "stopped"}
SINGLE = {
    "gateway_state": "stopped",
    "served_profiles": [],
    "multiplex_standalone_reason": "only one profile exists (nothing to multiplex)",
}


class Mixed(Volume):
    """Profiles in each state, and entries that are none."""

    def __init__(self, place, states=None):
        super().__init__(place)
        for name, state in (states or STATES).items():
            self.profile(name, state)
        self.profile("default")
        (self.home / "profiles/rest/logs").mkdir(parents=True)
        (self.home / "profiles/Upper").mkdir()
        (self.home / "profiles/Upper/SOUL.md").touch()
        (self.home / "profiles/file").touch()
        (self.home / "profiles/dangling").symlink_to("nowhere")

    def write(self, path, text=""):
        (self.home / path).write_text(text if isinstance(text, str) else json.dumps(text))

    def own(self):
        subprocess.run(["chown", "-hR", OWNER, self.home], check=True)


def none(volume):
    """No sign of a topology."""


def parked(volume):
    volume.write("profiles/g/gateway.parked")


def parked_behind_a_symlink(volume):
    shutil.move(volume.home / "profiles/g", volume.place / "elsewhere")
    (volume.home / "profiles/g").symlink_to(volume.place / "elsewhere")
    (volume.place / "elsewhere/gateway.parked").touch()


def standalone(volume):
    volume.write("profiles/f/config.yaml", "gateway:\n  standalone: true\n")
    volume.write("profiles/a/config.yaml", "gateway:\n  standalone: false\n")


def unsure(volume):
    volume.write("profiles/f/config.yaml", "gateway: {standalone: *x}\n")


def multiplexing(volume):
    volume.write("config.yaml", "gateway:\n  multiplex_profiles: true\n")


def multiplexing_for_one(volume):
    """`default` runs for the last profile alone."""
    multiplexing(volume)
    for name in "abcdef":
        volume.write(f"profiles/{name}/gateway_state.json", {"gateway_state": "stopped"})
    volume.write("profiles/g/gateway_state.json", {"gateway_state": "running"})


def multiplexing_for_nobody(volume):
    """The profiles that want to run are parked or standalone."""
    multiplexing(volume)
    volume.write("profiles/a/gateway.parked")
    volume.write("profiles/e/config.yaml", "gateway:\n  standalone: true\n")


def multiplexing_by_itself(volume):
    multiplexing(volume)
    volume.write("gateway_state.json", {"gateway_state": "running"})


def served(volume):
    volume.write("gateway_state.json", {"gateway_state": "stopped", "served_profiles": ["default", "a", "b"]})


def unknown(volume):
    """`default` had no other profile to serve."""
    volume.write("gateway_state.json", SINGLE)


def remembered(volume):
    volume.write(".hermes-init-multiplex")


def closed(volume):
    """A profile that the hermes user may not look into, and one whose state he may not read."""
    volume.own()
    for path, mode in (("profiles/e", 0o700), ("profiles/b/gateway_state.json", 0o600)):
        os.chown(volume.home / path, 0, 0)
        (volume.home / path).chmod(mode)


VOLUMES = [
    none,
    parked,
    parked_behind_a_symlink,
    standalone,
    unsure,
    multiplexing,
    multiplexing_for_one,
    multiplexing_for_nobody,
    multiplexing_by_itself,
    served,
    unknown,
    remembered,
    closed,
]
NAMES = [*STATES, "default", "rest", "Upper", "file", "dangling", "gone", "orphan", "db"]


def spaced(line):
    return re.sub(" +", " ", line)


def notes(text, name):
    """Returns the notes about a name; one about several begins with their names."""
    found = [line.partition(": ") for line in text.splitlines()]
    return [note for names, _, note in found if name in names.split(", ")]


def ask(volume, before, environment, command, *operands):
    argv = [executable(), command, "--hermes-home", volume.home, "--scandir", volume.scandir, "--owner", OWNER, *operands]
    done = run([*before, *argv], env=APART | {"TZ": "UTC0"} | environment)
    assert done.returncode in (0, 1, 111), done
    return done


def require_the_same(ask, names):
    """Compares what is said of each name with what the whole listing says. `ask` runs a command."""
    objects = [json.loads(line) for line in ask("status", "--json").stdout.splitlines()]
    whole = {member["profile"] or os.path.basename(member["slot"]): member for member in objects}
    text, faults = ask("status").stdout.decode(), ask("health").stdout.decode()
    table = {line.split()[0]: spaced(line) for line in text.splitlines() if line and not line[0].isspace() and ": " not in line}
    for name in names:
        alone = ask("status", "--json", name)
        assert [json.loads(line) for line in alone.stdout.splitlines()] == ([whole[name]] if name in whole else []), name
        if name not in whole:
            assert alone.returncode == 1 and name.encode() in alone.stderr, alone
            continue
        lines = ask("status", name).stdout.decode()
        assert [spaced(line) for line in lines.splitlines() if line.split()[:1] == [name]] == [table[name]]
        assert notes(lines, name) == notes(text, name)
        health = ask("health", name).stdout.decode()
        assert notes(health, name) == notes(faults, name)
    assert set(whole) <= set(names), "not all were asked for"


@pytest.mark.parametrize("topology", ["auto", "per-profile", "multiplex"])
@pytest.mark.parametrize("change", VOLUMES, ids=lambda change: change.__name__)
def test_of_one_the_same_is_said_as_of_all(place, change, topology):
    volume = Mixed(place)
    change(volume)
    if change is not closed:
        volume.own()
    environment = {"HERMES_INIT_TOPOLOGY": topology}
    (volume.scandir / "gateway-orphan").mkdir()
    require_the_same(lambda *words: ask(volume, APART_FROM_PROCESSES, environment, *words), NAMES)
    volume.reconcile(code=None, environment=environment)
    require_the_same(lambda *words: ask(volume, APART_FROM_PROCESSES, environment, *words), NAMES)


@pytest.mark.parametrize("most", [8, 16, 22, 24, 1000])
@pytest.mark.parametrize("change", [none, multiplexing], ids=lambda change: change.__name__)
def test_so_it_is_where_not_all_get_a_slot(place, change, most):
    volume = Mixed(place)
    change(volume)
    volume.own()
    environment = {"HERMES_INIT_MAX_SERVICES": str(most)}
    require_the_same(lambda *words: ask(volume, APART_FROM_PROCESSES, environment, *words), NAMES)


@pytest.mark.parametrize(
    "command", [["gateway", "run"], ["gateway", "run", "--no-supervise"], ["-p", "a", "gateway", "run", "--no-supervise"]]
)
@pytest.mark.parametrize("change", [none, multiplexing, multiplexing_for_one, multiplexing_for_nobody], ids=lambda change: change.__name__)
def test_so_it_is_where_a_gateway_is_the_containers_command(place, change, command):
    volume = Mixed(place, {"a": "running", "b": "stopped", "e": "stopped", **dict.fromkeys("cdfg", "stopped")})
    change(volume)
    volume.own()
    with FakeContainer([[WRAPPER, *command]]) as container:
        environment = {"HERMES_GATEWAY_NO_SUPERVISE": ""}
        require_the_same(lambda *words: ask(volume, container.command([]), environment, *words), NAMES)


@pytest.mark.s6
def test_so_it_is_of_gateways_that_live():
    with Bed() as bed:
        for name, state in {"up": "running", "down": "stopped", "never": None, "late": "running"}.items():
            bed.profile(name, state)
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.profile("new", "running")
        bed.path("/opt/data/profiles/late/SOUL.md").unlink()
        require_the_same(lambda *words: bed.init(*words, code=None), ["up", "down", "never", "late", "new", "default", "none"])
