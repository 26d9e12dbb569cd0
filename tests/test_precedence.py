"""Two sources at once: option, environment, container environment and default of every setting; what decides about the mode, the
topology and the first start where several things could."""

import contextlib
import itertools
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from support.file_tree import identity
from support.program import HERMES, run, wait_for
from support.testbed import GROUP, PASSWD, Bed, death_tally

pytestmark = pytest.mark.s6
SOURCES = ("option", "environment", "container environment")
RUNNING = '{"gateway_state": "running"}'


class Machine:
    """A container without s6-svscan, whose container environment each call sets."""

    def __init__(self, bed):
        self.bed = bed
        self.folder = bed.path("/run/s6/container_environment")
        self.last = None

    def run(self, argv, environment=None, contained=None, code=0):
        """Runs a command as root. `contained` is the whole container environment, beside PATH."""
        for path in self.folder.iterdir():
            path.unlink()
        for name, value in ({"PATH": "/run/bed/bin:/usr/bin:/bin"} | (contained or {})).items():
            (self.folder / name).write_text(value)
        self.last = self.bed.run(argv, environment=environment)
        assert code is None or self.last.returncode == code, (argv, environment, contained, self.last)
        return self.last

    def init(self, *arguments, **options):
        return self.run(["/run/bed/bin/hermes-init", *arguments], **options)

    def make(self, path, text=""):
        """Makes a file and its directories, which are the hermes user's."""
        file = self.bed.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for place in [path, *map(str, Path(path).parents)][:-2]:
            os.chown(self.bed.path(place), HERMES, HERMES)


@pytest.fixture(scope="module")
def machine():
    with Bed(svscan=False) as bed:
        machine = Machine(bed)
        # Homes: with one profile more than default, and with multiplexing on.
        machine.make("/run/home/profiles/coder/SOUL.md")
        machine.make("/run/many/config.yaml", "multiplex_profiles: true\n")
        bed.path("/run/static").mkdir()
        # A service whose deaths were a row, all of them a day ago: it makes no pause any more, and would say that it does.
        machine.make("/run/slot/run")
        machine.make("/run/slot/supervise/status")
        bed.path("/run/slot/supervise/death_tally").write_bytes(death_tally(*range(86_400, 86_395, -1)))
        for name in ("one", "two"):
            machine.make(f"/run/{name}/hermes", f"#!/bin/sh\necho {name}\n")
            bed.path(f"/run/{name}/hermes").chmod(0o755)
        yield machine


class Setting(NamedTuple):
    """A setting: its option and its variable, three values, the default as it is seen, and how it is seen."""

    option: str | None
    variable: str
    values: tuple
    default: str
    see: Callable
    # How a value is seen, if not as it is written; and whether the source is seen, too.
    shown: Mapping = MappingProxyType({})
    sourced: bool = False


def explained(pattern, *options):
    def see(machine, arguments, **variables):
        text = machine.init("reconcile", "--explain", *options, *arguments, **variables).stdout.decode()
        found = re.search(pattern, text, re.MULTILINE)
        return " ".join(found.groups()) if found else "nothing"

    return see


def services(machine, arguments, **variables):
    """Returns the number of services that no room is left in."""
    done = machine.init("reconcile", "--dry-run", "--hermes-home", "/run/home", "--role", "gateway", *arguments, **variables, code=None)
    found = re.search(rb"s6-svscan handles (\d+) services", done.stdout)
    assert done.returncode == (1 if found else 0)
    return found[1].decode() if found else "enough"


def verbosity(machine, arguments, **variables):
    return "loud" if machine.init("fix-perms", "/run/static", *arguments, **variables).stdout else "quiet"


def prefix(machine, arguments, **variables):
    done = machine.init("gateway-log", "--print", "gateway-coder/log", *arguments, **variables)
    return "prefix" if b" pcoder: 1\n" in done.stdout else "none"


def pauses(machine, arguments, **variables):
    machine.bed.tell("coder", "exit 7")
    done = machine.run(["sh", "-c", "cd /run/slot && exec /run/bed/bin/hermes-init gateway-run gateway-coder"], code=7, **variables)
    # It has no logger.
    return "pause" if b"keeps dying" in done.stderr else "none"


def dashboard(pattern, stream="stdout", **always):
    def see(machine, arguments, environment=None, contained=None):
        done = machine.init("dashboard-run", "--print", environment=(environment or {}) | always, contained=contained)
        found = re.search(pattern, getattr(done, stream).decode())
        return found[1] if found else "nothing"

    return see


def dashboard_finish(machine, arguments, environment=None, contained=None):
    done = machine.init("dashboard-finish", "1", "0", "dashboard", environment=environment, contained=contained, code=None)
    return {0: "on", 125: "off"}[done.returncode]


def zone(machine, arguments, **variables):
    log = machine.bed.path("/run/home/logs/container-boot.log")
    log.unlink(missing_ok=True)
    machine.init("reconcile", "--hermes-home", "/run/home", "--scandir", "/run/zone", "--role", "gateway", **variables)
    return re.match(r"\S+([+-]\d{4}) ", log.read_text())[1]


LOCAL = run(["date", "+%z"], env={"PATH": "/usr/bin:/bin"}).stdout.decode().strip()
SWITCH = {"1": "on", "0": "off"}
ROLE, TOPOLOGY = explained(r"^role: (\w+ \([^;)]*)"), explained(r"^topology: (\S+ \([^;)]*)", "--role", "gateway")
LEGACY = explained(r"container's command is (gateway run)$", "--hermes-home", "/run/home", "--role", "gateway")
BOOTSTRAP = explained(r"HERMES_GATEWAY_BOOTSTRAP_STATE is (running) (\(.*)\)$", "--hermes-home", "/run/home", "--role", "gateway")
MULTIPLEX = explained(
    r"^multiplex: (on|off) \((?:GATEWAY_MULTIPLEX_PROFILES )?(.*?)\)+$", "--hermes-home", "/run/many", "--role", "gateway"
)
FACES = {"shown": {"running": "running (", "stopped": "nothing"}, "sourced": True}
SETTINGS = {
    "hermes-home": Setting(
        "--hermes-home",
        "HERMES_HOME",
        ("/run/a", "/run/b", "/run/c"),
        "/opt/data (default",
        explained(r"^HERMES_HOME: (\S+ \(.*)\)$", "--role", "gateway"),
        sourced=True,
    ),
    "scandir": Setting(
        "--scandir",
        "S6_PROFILE_GATEWAY_SCANDIR",
        ("/run/a", "/run/b", "/run/c"),
        "/run/service (default",
        explained(r"^scan directory: (\S+ \(.*)\)$", "--role", "gateway"),
        sourced=True,
    ),
    "role": Setting("--role", "HERMES_INIT_ROLE", ("gateway", "frontend", "gateway"), "gateway (default", ROLE, sourced=True),
    "role-2": Setting("--role", "HERMES_INIT_ROLE", ("frontend", "gateway", "frontend"), "gateway (default", ROLE, sourced=True),
    "role-auto": Setting(
        "--role", "HERMES_INIT_ROLE", ("auto", "frontend", "frontend"), "gateway (default", ROLE, {"auto": "gateway"}, True
    ),
    "role-auto-2": Setting(
        "--role", "HERMES_INIT_ROLE", ("frontend", "auto", "frontend"), "gateway (default", ROLE, {"auto": "gateway"}, True
    ),
    "topology": Setting(
        "--topology", "HERMES_INIT_TOPOLOGY", ("multiplex", "per-profile", "multiplex"), "per-profile (default", TOPOLOGY, sourced=True
    ),
    "topology-2": Setting(
        "--topology", "HERMES_INIT_TOPOLOGY", ("per-profile", "multiplex", "per-profile"), "per-profile (default", TOPOLOGY, sourced=True
    ),
    "topology-auto": Setting(
        "--topology",
        "HERMES_INIT_TOPOLOGY",
        ("auto", "multiplex", "multiplex"),
        "per-profile (default",
        TOPOLOGY,
        {"auto": "per-profile"},
        True,
    ),
    "topology-auto-2": Setting(
        "--topology",
        "HERMES_INIT_TOPOLOGY",
        ("multiplex", "auto", "multiplex"),
        "per-profile (default",
        TOPOLOGY,
        {"auto": "per-profile"},
        True,
    ),
    "max-services": Setting("--max-services", "HERMES_INIT_MAX_SERVICES", ("5", "6", "7"), "enough", services),
    "max-services-2": Setting("--max-services", "HERMES_INIT_MAX_SERVICES", ("2000", "6", "7"), "enough", services, {"2000": "enough"}),
    "bootstrap": Setting(None, "HERMES_GATEWAY_BOOTSTRAP_STATE", (None, "running", "running"), "nothing", BOOTSTRAP, **FACES),
    "bootstrap-2": Setting(None, "HERMES_GATEWAY_BOOTSTRAP_STATE", (None, "stopped", "running"), "nothing", BOOTSTRAP, **FACES),
    "bootstrap-3": Setting(None, "HERMES_GATEWAY_BOOTSTRAP_STATE", (None, "running", "stopped"), "nothing", BOOTSTRAP, **FACES),
    "multiplex": Setting(
        None, "GATEWAY_MULTIPLEX_PROFILES", (None, "0", "1"), "on config.yaml line 1", MULTIPLEX, {"0": "off (", "1": "on ("}, True
    ),
    "multiplex-2": Setting(
        None, "GATEWAY_MULTIPLEX_PROFILES", (None, "1", "0"), "on config.yaml line 1", MULTIPLEX, {"0": "off (", "1": "on ("}, True
    ),
    "backoff": Setting(None, "HERMES_INIT_BACKOFF", (None, "0", "1"), "pause", pauses, {"1": "pause", "0": "none"}),
    "backoff-2": Setting(None, "HERMES_INIT_BACKOFF", (None, "1", "0"), "pause", pauses, {"1": "pause", "0": "none"}),
    "log-prefix": Setting(None, "HERMES_INIT_LOG_PREFIX", (None, "0", "1"), "prefix", prefix, {"1": "prefix", "0": "none"}),
    "log-prefix-2": Setting(None, "HERMES_INIT_LOG_PREFIX", (None, "1", "0"), "prefix", prefix, {"1": "prefix", "0": "none"}),
    "verbosity": Setting(None, "S6_VERBOSITY", (None, "0", "2"), "loud", verbosity, {"0": "quiet", "2": "loud"}),
    "verbosity-2": Setting(None, "S6_VERBOSITY", (None, "2", "0"), "loud", verbosity, {"0": "quiet", "2": "loud"}),
    "zone": Setting(None, "TZ", (None, "AAA-1", "BBB-2"), LOCAL, zone, {"AAA-1": "+0100", "BBB-2": "+0200"}),
    "dashboard": Setting(None, "HERMES_DASHBOARD", (None, "0", "1"), "off", dashboard("^(off|user)"), SWITCH | {"1": "user"}),
    "dashboard-2": Setting(None, "HERMES_DASHBOARD", (None, "1", "0"), "off", dashboard("^(off|user)"), SWITCH | {"1": "user"}),
    "dashboard-finish": Setting(None, "HERMES_DASHBOARD", (None, "0", "1"), "off", dashboard_finish, SWITCH),
    "dashboard-finish-2": Setting(None, "HERMES_DASHBOARD", (None, "1", "0"), "off", dashboard_finish, SWITCH),
    "dashboard-host": Setting(
        None, "HERMES_DASHBOARD_HOST", (None, "::1", "::2"), "127.0.0.1", dashboard(r"--host (\S+)", HERMES_DASHBOARD="1")
    ),
    "dashboard-port": Setting(None, "HERMES_DASHBOARD_PORT", (None, "1", "2"), "9119", dashboard(r"--port (\S+)", HERMES_DASHBOARD="1")),
    "dashboard-insecure": Setting(
        None,
        "HERMES_DASHBOARD_INSECURE",
        (None, "1", "0"),
        "nothing",
        dashboard("(INSECURE is ignored)", "stderr", HERMES_DASHBOARD="1"),
        {"1": "INSECURE is ignored", "0": "nothing"},
    ),
    "dashboard-insecure-2": Setting(
        None,
        "HERMES_DASHBOARD_INSECURE",
        (None, "0", "1"),
        "nothing",
        dashboard("(INSECURE is ignored)", "stderr", HERMES_DASHBOARD="1"),
        {"1": "INSECURE is ignored", "0": "nothing"},
    ),
}


def compare(machine, setting):
    """Compares what is seen with what is expected, for each source with its value, without one and, as a variable, with an empty one."""
    option, environment, container = setting.values
    expected, seen = {}, {}
    for given in itertools.product((None, option) if setting.option else (None,), (None, "", environment), (None, "", "\n", container)):
        source, value = next(((source, value) for source, value in zip(SOURCES, given, strict=True) if (value or "").strip()), (None, None))
        expected[given] = setting.default
        if source:
            shown = setting.shown.get(value, value)
            # What is not seen has no source.
            is_sourced = setting.sourced and shown != "nothing"
            expected[given] = f"{shown.removesuffix(' (')} ({source}" if is_sourced else shown
        variables = [{} if value is None else {setting.variable: value} for value in given[1:]]
        arguments = [] if given[0] is None else [setting.option, given[0]]
        seen[given] = setting.see(machine, arguments, environment=variables[0], contained=variables[1])
    assert seen == expected


@pytest.mark.parametrize("name", SETTINGS)
def test_the_first_source_that_has_a_setting_decides(machine, name):
    compare(machine, SETTINGS[name])


def test_of_an_option_that_is_given_twice_the_last_one_counts(machine):
    for name in ("hermes-home", "scandir", "role", "role-2", "topology", "topology-2", "max-services"):
        setting = SETTINGS[name]
        for first, last in (setting.values[:2], setting.values[1::-1]):
            seen = setting.see(machine, [setting.option, first, f"{setting.option}={last}"])
            assert seen.split(" ")[0] == last, (name, seen)


@contextlib.contextmanager
def container_command(machine, *words):
    """Runs a process as the container's command. It ends with its input."""
    machine.make("/run/main-wrapper.sh", "read -r _\n")
    process = subprocess.Popen(machine.bed.command(["sh", "/run/main-wrapper.sh", *words]), stdin=subprocess.PIPE)
    line = f"container command: {' '.join(words)})".encode()
    try:
        wait_for(lambda: line in machine.init("reconcile", "--explain", "--role=gateway").stdout, what="the command")
        yield
    finally:
        process.stdin.close()
        process.wait(timeout=10)


def test_a_variable_says_whether_s6_supervises_the_containers_command(machine):
    with container_command(machine, "gateway", "run"):
        shown = {"1": "nothing", "0": "gateway run"}
        for values in ((None, "0", "1"), (None, "1", "0")):
            compare(machine, Setting(None, "HERMES_GATEWAY_NO_SUPERVISE", values, "gateway run", LEGACY, shown))
        # The variable of a first boot decides before the command.
        assert BOOTSTRAP(machine, [], contained={"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"}) == "running (container environment"
        # Without supervision, the variable asks for a gateway under s6.
        given = {"environment": {"HERMES_GATEWAY_NO_SUPERVISE": "1"}, "contained": {"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"}}
        assert BOOTSTRAP(machine, [], **given) == "running (container environment"


# variable; a word in the environment that is none, a word in the container environment; what is seen; what is said
@pytest.mark.parametrize(
    "name, odd, inner, seen, said",
    [
        ("role", "odd", "frontend", "gateway (default", "HERMES_INIT_ROLE=odd is not one of gateway, frontend, auto: treated as auto"),
        (
            "topology",
            "odd",
            "multiplex",
            "per-profile (default",
            "HERMES_INIT_TOPOLOGY=odd is not one of auto, per-profile, multiplex: treated as auto",
        ),
        ("max-services", "3", "5", "enough", "HERMES_INIT_MAX_SERVICES: 3 is not a number of services from 4 to 160000; treated as 1000"),
        (
            "multiplex",
            "odd",
            "0",
            "on config.yaml line 1",
            "GATEWAY_MULTIPLEX_PROFILES=odd is not one of 1, true, yes, on, 0, false, no, off: treated as unset",
        ),
        (
            "log-prefix",
            "odd",
            "0",
            "prefix",
            "HERMES_INIT_LOG_PREFIX=odd is not one of 1, true, yes, 0, false, no, off: treated as unset",
        ),
        ("backoff", "odd", "0", "pause", "HERMES_INIT_BACKOFF=odd is not one of 1, true, yes, 0, false, no, off: treated as unset"),
        ("bootstrap", "odd", "running", "nothing", None),
        (
            "dashboard",
            "odd",
            "1",
            "off",
            "HERMES_DASHBOARD=odd is not one of 1, true, TRUE, True, yes, YES, Yes: the dashboard stays off",
        ),
    ],
)
def test_a_word_that_is_none_hides_the_one_behind_it(machine, name, odd, inner, seen, said):
    """It is not passed over in favour of the container environment: the default is taken, with a message."""
    setting = SETTINGS[name]
    given = {"environment": {setting.variable: odd}, "contained": {setting.variable: inner}}
    assert setting.see(machine, [], **given) == seen
    heard = machine.last.stderr.decode()
    assert f"warning: {said}\n" in heard if said else not heard
    if setting.option:
        # An option leaves nothing to be said of a variable.
        assert setting.see(machine, [setting.option, setting.values[0]], **given).split(" ")[0] == setting.values[0]
        assert b"treated as" not in machine.last.stderr


# The mode.


@pytest.mark.parametrize("scandir", ["open", "shut"])
def test_the_mode_is_what_the_first_source_says(machine, scandir):
    machine.bed.path(f"/run/{scandir}/.s6-svscan").mkdir(parents=True, exist_ok=True)
    # As s6-svscan leaves it.
    machine.bed.path(f"/run/{scandir}/.s6-svscan/control").touch()
    machine.init(
        "reconcile",
        "--scandir",
        f"/run/{scandir}",
        "--hermes-home",
        "/run/home",
        "--role=gateway",
        "--sealed" if scandir == "shut" else "--delegated",
    )
    see = explained(r"^mode: (\w+ \(.*)\)$", "--scandir", f"/run/{scandir}", "--role=gateway")
    last = "sealed (the scan directory is sealed" if scandir == "shut" else "delegated (default"
    expected, seen = {}, {}
    for given in itertools.product(
        ((), ("--sealed",), ("--delegated",)),
        (None, "", "1", "0", "odd"),
        (None, "", "1", "no", "odd"),
    ):
        options, *variables = given
        source = next((place for place, value in enumerate(variables) if value), None)
        if options:
            expected[given] = ("sealed" if "--sealed" in options else "delegated") + " (option"
        elif source is not None:
            expected[given] = ("delegated" if variables[source] in ("0", "no") else "sealed") + f" ({SOURCES[source + 1]}"
        else:
            expected[given] = last
        environment, contained = [{} if value is None else {"HERMES_INIT_SEALED": value} for value in variables]
        seen[given] = see(machine, list(options), environment=environment, contained=contained)
    assert seen == expected


@pytest.mark.parametrize("options", [["--sealed", "--delegated"], ["--delegated", "--sealed"]])
def test_both_modes_together_are_wrong_usage_and_nothing_is_done(live, options):
    live.profile("host", "stopped")
    # What its gateway says first is in the log a moment after it is up.
    wait_for(lambda: live.path("/opt/data/logs/gateways/coder/current").stat().st_size, what="the first line of the log")
    (live.path("/run/static/web/supervise")).mkdir(parents=True)
    before = [identity(live.path(folder)) for folder in ("/run/service", "/run/static", "/opt/data")]
    for command, *words in (
        ["reconcile"],
        ["reconcile", "--dry-run"],
        ["fix-perms", "/run/static"],
        ["seed", "/run/static/web"],
        ["register", "new", "--down"],
        ["unregister", "coder"],
        ["start", "host"],
        ["stop", "coder"],
        ["restart", "coder"],
    ):
        done = live.init(command, *words, *options, code=100)
        last, first = reversed(options)
        assert done.stderr.decode() == f"hermes-init: fatal: {command}: {last}: contradicts {first}; give one of them\n" and not done.stdout
    assert [identity(live.path(folder)) for folder in ("/run/service", "/run/static", "/opt/data")] == before


# The owner.


@pytest.mark.parametrize(
    "option, expected",
    [
        (None, None),
        ("1234:77", "1234:77 (option"),
        ("1234", "1234:1234 (option"),
        ("other", "55:56 (option"),
        ("other:docker", "55:998 (option"),
        ("hermes:1", None),
    ],
)
@pytest.mark.parametrize("entry", ["hermes:x:10000:10000", "hermes:x:4321:4322", None])
def test_an_option_decides_before_passwd_who_the_hermes_user_is(option, expected, entry):
    with Bed(svscan=False) as bed:
        line = f"{entry}::/opt/data:/bin/sh\n".encode() if entry else b""
        passwd = b"root:x:0:0:root:/root:/bin/sh\nother:x:55:56::/:/bin/sh\n" + line
        assert passwd != PASSWD and b"docker:x:998:" in GROUP
        Path(bed.folder / "passwd").write_bytes(passwd)
        done = bed.init("reconcile", "--explain", *([] if option is None else ["--owner", option]), code=None)
        ids = ":".join(entry.split(":")[2:4]) if entry else "10000:10000"
        if option == "hermes:1":
            expected = f"{ids.split(':')[0]}:1 (option" if entry else None
            assert (done.returncode == 0) == bool(entry) and (b"no such user in /etc/passwd" in done.stderr) == (not entry)
        elif option is None:
            expected = f"{ids} (/etc/passwd" if entry else f"{ids} (default"
        found = re.search(r"^owner: (.*)\)$", done.stdout.decode(), re.MULTILINE)
        assert (found and found[1]) == expected


# The programs of services.


def test_a_service_takes_its_home_from_its_slot_before_the_environments(machine):
    """A gateway's own environment is the container's, so what stands in that of `gateway-run` does not count."""
    for name in ("with", "without"):
        machine.init(
            "reconcile",
            "--role=gateway",
            "--hermes-home=/run/home",
            f"--scandir=/run/{name}",
            contained={"HERMES_HOME": "/run/home"} if name == "without" else {},
        )
    expected, seen = {}, {}
    for given in itertools.product(("with", "without"), (None, "", "/run/b"), (None, "", "/run/c")):
        name, *variables = given
        environment, contained = [{} if value is None else {"HERMES_HOME": value} for value in variables]
        environment = environment | {"S6_PROFILE_GATEWAY_SCANDIR": f"/run/{name}"}
        texts = [
            machine.init(command, "--print", service, environment=environment, contained=contained).stdout.decode()
            for command, service in (("gateway-run", "gateway-coder"), ("gateway-log", "gateway-coder/log"))
        ]
        home, log = re.search("set: HERMES_HOME=(.*)", texts[0]), re.search(" T (.*)/logs/gateways/coder ", texts[1])
        seen[given] = (home and home[1], log[1])
        slot = "/run/home" if name == "with" else None
        expected[given] = (slot, slot or variables[0] or variables[1] or "/opt/data")
    assert seen == expected


def test_a_gateway_takes_a_variable_from_its_slot_before_the_container(machine):
    machine.init("reconcile", "--role=gateway", "--hermes-home=/run/home", "--scandir=/run/variables")
    slot = "/run/variables/gateway-coder"
    for name, value in {
        "BOTH": "slot\n",
        "GONE": "",
        "HERMES_HOME": "/run/e\n",
        "HOME": "/run/e\n",
        "HERMES_SUPERVISED_CHILD": "slot\n",
    }.items():
        machine.make(f"{slot}/env/{name}", value)
    names = ("BOTH", "GONE", "KEPT", "HERMES_HOME", "HOME", "HERMES_SUPERVISED_CHILD", "HERMES_S6_SUPERVISED_CHILD")
    text = machine.init(
        "gateway-run",
        "--print",
        "gateway-coder",
        environment={"S6_PROFILE_GATEWAY_SCANDIR": "/run/variables", "OWN": "own"},
        contained=dict.fromkeys(names, "container") | {"HERMES_HOME": "/run/container"},
    ).stdout.decode()
    changes = sorted(line for line in text.splitlines() if line.startswith(("set: ", "unset: ")))
    assert changes == [
        "set: BOTH=slot",
        "set: HERMES_HOME=/run/e",
        "set: HERMES_S6_SUPERVISED_CHILD=1",
        "set: HERMES_SUPERVISED_CHILD=1",
        "set: HOME=/run/e",
        "unset: GONE",
    ]


@pytest.mark.parametrize(
    "own, contained, ran", [("/run/one:/usr/bin:/bin", "/run/two:/usr/bin:/bin", b"two\n"), ("/run/one:/usr/bin:/bin", None, b"one\n")]
)
def test_a_gateway_is_looked_for_on_the_path_of_the_container_before_its_own(machine, own, contained, ran):
    argv = [
        "sh",
        "-c",
        (
            'rm -f /run/s6/container_environment/PATH; [ -z "$0" ] || printf %s "$0" > /run/s6/container_environment/PATH; '
            "cd /run/slot && HERMES_INIT_BACKOFF=0 exec /run/bed/bin/hermes-init gateway-run gateway-coder"
        ),
        contained or "",
    ]
    done = machine.run(argv, environment={"PATH": own})
    assert done.stdout == ran


# The topology.


SIGNS = {
    "variable": "multiplex is on",
    "config": "multiplex is on",
    "served": "served_profiles in gateway_state.json",
    "standalone": "gateway.standalone in profiles/own/config.yaml",
    "parked": "profiles/own/gateway.parked exists",
    "rewritten": ".multiplex_opt_out_rewritten exists",
}


@pytest.mark.parametrize("choice", ["auto", "per-profile", "multiplex"])
def test_any_sign_is_one_and_the_first_is_named(machine, choice):
    """Only for `auto`: what is set decides whatever the volume shows."""
    expected, seen = {}, {}
    for number, chosen in enumerate(itertools.product((False, True), repeat=len(SIGNS))):
        signs = [sign for sign, there in zip(SIGNS, chosen, strict=True) if there]
        home = f"/run/signs.{choice}.{number}"
        machine.make(f"{home}/profiles/own/SOUL.md")
        # A variable that says no decides before a config.yaml that says yes.
        switch = {"GATEWAY_MULTIPLEX_PROFILES": "1" if "variable" in signs else "0"} if "config" not in signs or "variable" in signs else {}
        if "config" in signs:
            machine.make(f"{home}/config.yaml", "multiplex_profiles: true\n")
        if "served" in signs:
            machine.make(f"{home}/gateway_state.json", '{"gateway_state": "stopped", "served_profiles": ["default", "own"]}')
        if "standalone" in signs:
            machine.make(f"{home}/profiles/own/config.yaml", "gateway:\n  standalone: true\n")
        if "parked" in signs:
            machine.make(f"{home}/profiles/own/gateway.parked")
        if "rewritten" in signs:
            machine.make(f"{home}/.multiplex_opt_out_rewritten")
        text = machine.init(
            "reconcile", "--explain", "--role=gateway", "--hermes-home", home, "--topology", choice, environment=switch
        ).stdout.decode()
        seen[tuple(signs)] = re.search(r"^topology: (.*)$", text, re.MULTILINE)[1]
        sign = SIGNS[signs[0]] if signs else "nothing on the volume shows a gateway that serves all profiles"
        auto = f"{'multiplex' if signs else 'per-profile'} (option; auto: {sign})"
        expected[tuple(signs)] = auto if choice == "auto" else f"{choice} (option)"
    assert seen == expected and len(seen) == 64


@pytest.mark.parametrize("standalone", [True, False])
@pytest.mark.parametrize("variable", [None, "0", "1"])
@pytest.mark.parametrize("topology", ["auto", "per-profile", "multiplex"])
def test_who_starts_where_multiplexing_and_a_standalone_profile_meet(machine, topology, variable, standalone):
    """coder and own want to run, default was stopped. A standalone profile starts by itself where default serves the others, however it
    came to that; where each profile has its own gateway, multiplexing keeps all named ones down, also a standalone one."""
    home = f"/run/meet.{topology}.{variable}.{standalone}"
    for name in ("coder", "own"):
        machine.make(f"{home}/profiles/{name}/SOUL.md")
        machine.make(f"{home}/profiles/{name}/gateway_state.json", RUNNING)
    machine.make(f"{home}/gateway_state.json", '{"gateway_state": "stopped"}')
    if standalone:
        machine.make(f"{home}/profiles/own/config.yaml", "gateway:\n  standalone: true\n")
    done = machine.init(
        "reconcile",
        "--json",
        "--role=gateway",
        "--topology",
        topology,
        "--hermes-home",
        home,
        "--scandir",
        f"{home}/service",
        environment={} if variable is None else {"GATEWAY_MULTIPLEX_PROFILES": variable},
    )
    outcomes = {outcome["profile"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}
    slots = machine.bed.path(f"{home}/service")
    up = {name for name in outcomes if not (slots / f"gateway-{name}/down").exists()}
    assert up == {name for name, outcome in outcomes.items() if outcome["action"] == "started"}
    if topology == "multiplex" or (topology == "auto" and (variable == "1" or standalone)):
        expected = {"default", "own"} if standalone else {"default"}
        assert [outcomes[name]["folded_into_root"] for name in ("default", "coder", "own")] == [True, True, not standalone]
    else:
        expected = set() if variable == "1" else {"coder", "own"}
    assert up == expected


# Options of the commands for a live container.


def test_each_command_takes_its_options_before_the_variables(live):
    """A command that lost an option would take the variable, which leads to nothing."""
    places = {
        "--scandir=/run/service": {"S6_PROFILE_GATEWAY_SCANDIR": "/run/nowhere"},
        "--hermes-home=/opt/data": {"HERMES_HOME": "/run/nowhere"},
    }
    live.profile("new", "stopped")
    before = {"register": ["unregister", "new"], "unregister": ["register", "new", "--down"]}
    for command, *rest in (
        ["register", "new", "--down"],
        ["unregister", "new"],
        ["stop", "coder"],
        ["start", "--wait", "coder"],
        ["restart", "--wait", "coder"],
        ["status"],
        ["health"],
    ):
        for option, variable in places.items():
            came = []
            for options in ([], [option]):
                if command in before:
                    live.init(*before[command], code=None)
                done = live.init(command, *rest, *options, environment=variable, code=None)
                came.append((done.returncode, done.stdout, done.stderr))
            assert came[0] != came[1] and came[1][0] == 0 and came[1][2] == b"" and b"nowhere" not in came[1][1], (command, came)
        assert not live.path("/run/nowhere").exists()
    place = {"HERMES_HOME": "/run/nowhere"}
    wait_for(lambda: live.path("/opt/data/logs/gateways/coder/current").exists(), what="the log")
    live.init("logs", "coder", environment=place, code=111)
    assert b"started coder" in live.init("logs", "--hermes-home=/opt/data", "coder", environment=place).stdout


@pytest.mark.parametrize("command", ["register", "unregister", "start", "stop", "restart"])
def test_each_command_takes_the_role_before_the_variable(live, command):
    arguments = [command, "new", "--down"] if command == "register" else [command, "coder"]
    live.profile("new", "stopped")
    front, gateway = {"HERMES_INIT_ROLE": "frontend"}, {"HERMES_INIT_ROLE": "gateway"}
    folder = live.path("/run/s6/container_environment")
    for environment, inner, options, code, source in (
        (front, gateway, [], 1, "environment"),
        ({}, front, [], 1, "container environment"),
        (gateway, gateway, ["--role=frontend"], 1, "option"),
        (front, front, ["--role=gateway"], 0, None),
    ):
        (folder / "HERMES_INIT_ROLE").write_text(inner["HERMES_INIT_ROLE"])
        done = live.init(*arguments, *options, environment=environment, code=code)
        assert (f"the role is frontend ({source}); run the command there".encode() in done.stderr) == (code == 1), done


@pytest.mark.parametrize("command", ["status", "health"])
def test_status_and_health_take_role_and_topology_before_the_variables(live, command):
    live.profile("new", "running")
    why = b"the role is frontend (option)"
    done = live.init(command, "--role=frontend", environment={"HERMES_INIT_ROLE": "gateway"}, code=None)
    assert (why in done.stdout) == (command == "status") and b"created since the last boot" not in done.stdout
    done = live.init(command, "--role=gateway", environment={"HERMES_INIT_ROLE": "frontend"}, code=None)
    assert b"created since the last boot" in done.stdout
    for topology, variable in (("multiplex", "per-profile"), ("per-profile", "multiplex")):
        done = live.init(command, "--json", f"--topology={topology}", environment={"HERMES_INIT_TOPOLOGY": variable}, code=None)
        rows = {row["profile"]: row for row in map(json.loads, done.stdout.splitlines())}
        # In multiplex default should be up, and new has nothing to start; in per-profile it is the other way round.
        assert ("default" in rows and rows["default"]["wanted"] == "up") == (topology == "multiplex")
        assert ("new" in rows and rows["new"]["wanted"] == "up") == (topology == "per-profile")


@pytest.mark.parametrize("command", ["start", "restart"])
def test_start_and_restart_take_the_topology_before_the_variables(live, command):
    folder = live.path("/run/s6/container_environment")
    for option, environment, inner, is_of_default in (
        ("multiplex", "per-profile", "per-profile", True),
        (None, "multiplex", "per-profile", True),
        (None, None, "multiplex", True),
        ("per-profile", "multiplex", "multiplex", False),
        (None, "per-profile", "multiplex", False),
        ("auto", "multiplex", "multiplex", False),
    ):
        (folder / "HERMES_INIT_TOPOLOGY").write_text(inner)
        done = live.init(
            command,
            "coder",
            *([f"--topology={option}"] if option else []),
            environment={"HERMES_INIT_TOPOLOGY": environment} if environment else {},
            code=None,
        )
        assert (b" of default" in done.stderr) == is_of_default, done
