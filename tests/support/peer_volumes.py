"""Generated volumes for the boot pass, each the same whenever it is made.

Most are what both passes read alike. Every third has a profile with a fault on which they differ, as a row of .github/DIFFERENCES.md
has it: `Fault.row` names the row, `Fault.theirs` and `Fault.ours` say what each side makes of that one profile.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass

from support.hermes_agent import MID, NEW, OLD, VERSIONS
from support.program import HERMES

COUNT = 30
NAMES = ["alpha", "b2", "coder", "d-x", "e_y", "news", "ops", "z9"]
# Contents of gateway_state.json; None: no such file.
STATES = [
    None,
    '{"gateway_state": "running"}',
    '{"gateway_state": "stopped"}',
    '{"gateway_state": "starting"}',
    '{"gateway_state": "startup_failed"}',
    '{"gateway_state": "draining"}',
    '{"gateway_state": "degraded"}',
    '{"gateway_state": "stopped", "desired_state": "running"}',
    '{"gateway_state": "running", "desired_state": "stopped"}',
    '{"gateway_state": "stopped", "desired_state": "draining"}',
    '{"gateway_state": "running", "desired_state": null}',
    '{"gateway_state": "draining", "desired_state": null, "pid": 7, "platforms": {}}',
    '{"gateway_state": "paused"}',
    "{}",
    '{"gateway_state": "running"',
    "",
    "running\n",
]
LIKELY = ['{"gateway_state": "running"}', '{"desired_state": "running"}']
CONFIGS = [
    None,
    None,
    None,
    "gateway:\n  standalone: true\n",
    "gateway:\n  standalone: 'Yes'\n",
    "gateway:\n  standalone: on\n",
    'gateway:\n  # by itself\n  standalone: "1"\n',
    "gateway:\n  standalone: false\n",
    "gateway:\n  standalone: 'maybe'\n",
    "standalone: true\n",
    "gateway:\n  standalone:\n",
    "model: x\ngateway:\n  port: 1\n",
]
ROOT_CONFIGS = [
    None,
    None,
    None,
    "multiplex_profiles: true\n",
    "gateway:\n  multiplex_profiles: false\n",
    "gateway:\n  multiplex_profiles: true\n",
    "gateway:\n  standalone: true\n",
]
LIFECYCLES = [None, '{"phase": "running"}', '{"phase": "exited"}', "{"]
RAISES = "raises"


@dataclass(frozen=True)
class Fault:
    row: str
    profile: str
    make: Callable  # what it does with the profile's directory
    theirs: dict  # by version: RAISES, or prior_state and action in the log, or None for no line and no slot
    ours: object  # prior_state and action, or None


def write(name, content):
    return lambda directory: (directory / name).write_bytes(content)


def symlink_to_roots(directory):
    outside = directory.parent.parent / "outside"
    os.rename(directory, outside)
    os.symlink("../outside", directory)
    for path in (outside, *outside.iterdir()):
        os.chown(path, 0, 0)


def symlinked_state(directory):
    (directory / "other.json").write_text('{"gateway_state": "running"}')
    (directory / "gateway_state.json").symlink_to("other.json")


def each(value):
    return dict.fromkeys(VERSIONS, value)


STRANGE = "run\nning profile=evil"
FAULTS = [
    Fault("invalid profile name", "Bad", lambda _: None, each(RAISES), ("None", "skipped")),
    Fault(
        "state file that is not an object or not UTF-8",
        "list",
        write("gateway_state.json", b'["running"]'),
        each(RAISES),
        ("None", "registered"),
    ),
    Fault(
        "state file that is not an object or not UTF-8",
        "latin",
        write("gateway_state.json", b'{"gateway_state": "\xe9"}'),
        each(RAISES),
        ("None", "registered"),
    ),
    Fault(
        "state file with a byte order mark",
        "bom",
        write("gateway_state.json", b'\xef\xbb\xbf{"gateway_state": "stopped"}'),
        {OLD: ("None", "registered"), MID: ("None", "registered"), NEW: ("stopped", "registered")},
        ("stopped", "registered"),
    ),
    Fault(
        "`gateway.pid`, `processes.json`",
        "piddir",
        lambda directory: (directory / "gateway.pid").mkdir(),
        each(RAISES),
        ("None", "registered"),
    ),
    Fault("profile that is a symlink", "linked", symlink_to_roots, each(("None", "registered")), ("None", "skipped")),
    # No difference: neither takes it for a profile.
    Fault("", "default", lambda _: None, each(None), None),
    Fault("longest profile name", "n" * 244, lambda _: None, each(RAISES), ("None", "skipped")),
    Fault(
        "values in the log",
        "strange",
        write("gateway_state.json", json.dumps({"gateway_state": STRANGE}).encode()),
        each((STRANGE, "registered")),
        (json.dumps(STRANGE).replace(" ", r"\u0020").replace("=", r"\u003d"), "registered"),
    ),
    Fault("state file that is not JSON", "linkstate", symlinked_state, each(("running", None)), ("None", "registered")),
]


def fault_of(number):
    return FAULTS[number // 3] if number % 3 == 0 else None


def environment_of(number):
    """What the container's environment says of multiplexing."""
    return [{}, {"GATEWAY_MULTIPLEX_PROFILES": "yes"}, {}, {"GATEWAY_MULTIPLEX_PROFILES": "0"}, {}][number % 5]


def make(home, number, with_fault=True, has_standalone=True):
    """Makes the volume, and returns the names of its profiles but the one with the fault. Without `has_standalone` no profile is one."""
    chance = random.Random(f"volume {number}")
    pick = chance.choice
    fault = fault_of(number)
    names = chance.sample(NAMES, chance.randrange(len(NAMES)))
    home.mkdir(parents=True)

    def fill(directory, configs):
        state, config, lifecycle = pick(STATES if chance.random() < 0.7 else LIKELY), pick(configs), pick(LIFECYCLES)
        if state is not None:
            (directory / "gateway_state.json").write_text(state)
        if config is not None and (has_standalone or "standalone" not in config):
            (directory / "config.yaml").write_text(config)
        if lifecycle is not None:
            (directory / "state").mkdir()
            (directory / "state/gateway.lifecycle.json").write_text(lifecycle)
        for name in ("gateway.pid", "processes.json"):
            if chance.random() < 0.3:
                (directory / name).write_text("{}")

    fill(home, ROOT_CONFIGS)
    if names or fault:
        (home / "profiles").mkdir()
    for name in names:
        (home / "profiles" / name).mkdir()
        (home / "profiles" / name / "SOUL.md").touch()
        fill(home / "profiles" / name, CONFIGS)
    if names and chance.random() < 0.5:
        (home / "profiles/backup").mkdir()
        (home / "profiles/README").touch()
    if chance.random() < 0.3:
        (home / "logs").mkdir()
        (home / "logs/container-boot.log").write_text("an older line\n")
    for path in [home, *home.rglob("*")]:
        os.chown(path, HERMES, HERMES)
    if fault and with_fault:
        directory = home / "profiles" / fault.profile
        directory.mkdir()
        (directory / "SOUL.md").touch()
        for path in (directory, directory / "SOUL.md"):
            os.chown(path, HERMES, HERMES)
        fault.make(directory)
    return ["default", *sorted(names)]
