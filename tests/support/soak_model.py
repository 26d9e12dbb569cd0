"""The model of a soak: what a round begins with, what the volume says by the contract, and what is known of each profile."""

import itertools
import json
import random
import re
from dataclasses import dataclass, field

NAMES = ("default", "coder", "writer", "idle", "own", "late", "other")
MODES = ("delegated", "sealed")
# Topology, further variables, how the gateway of default serves others: `others` if there are any when it starts, `always`, or not at all.
# ALONE: there are none at the first boot.
ALONE = "multiplex, at first alone"
TOPOLOGIES = {
    "per-profile": ("per-profile", {}, ""),
    "per-profile, multiplexing": ("per-profile", {"GATEWAY_MULTIPLEX_PROFILES": "1"}, ""),
    "multiplex": ("multiplex", {}, "others"),
    ALONE: ("multiplex", {}, "others"),
    "auto": ("auto", {}, ""),
    "auto, served": ("auto", {}, "others"),
    "auto, multiplexing": ("auto", {"GATEWAY_MULTIPLEX_PROFILES": "1"}, "always"),
}
# How `multiplex_standalone_reason` begins where the gateway of default had nobody to serve.
SINGLE = "only one profile exists"
COMBINATIONS = list(itertools.product(MODES, TOPOLOGIES))
FATES = ("drain 0", "drain 0", "drain 0.2", "drain 0.7", "drain 2", "drain 3", "crash 3 1", "crash 4 75", "end 78")
STATES = (
    '{"desired_state": "running", "kept": "TOKEN"}',
    '{"desired_state": "running", "gateway_state": "stopped", "kept": "TOKEN"}',
    '{"gateway_state": "running", "kept": "TOKEN", "nested": {"a": [1, 2.50]}}',
    '{"gateway_state": "draining", "kept": "TOKEN"}',
    '{"desired_state": "stopped", "kept": "TOKEN"}',
    '{"desired_state": "stopped", "gateway_state": "running", "kept": "TOKEN"}',
    '{"gateway_state": "startup_failed", "kept": "TOKEN"}',
    None,
)


@dataclass(frozen=True)
class Profile:
    """What a profile has when it is made, and what its gateway does."""

    state: str | None
    is_standalone: bool
    fate: str
    is_parked: bool = False


@dataclass(frozen=True)
class Setup:
    """What a round begins with."""

    is_sealed: bool
    kind: str
    environment: dict
    # How the gateway of default serves others; empty: not at all.
    serves: str
    profiles: dict
    makes_pauses: bool

    def __str__(self):
        mode = "sealed" if self.is_sealed else "delegated"
        more = "".join(f", {key}={value}" for key, value in sorted(self.environment.items()))
        return f"{mode}, {self.kind}{more}"


def combination(seed, round_number):
    """Returns the mode and the topology of a round: each in turn, in an order of the seed's."""
    order = list(COMBINATIONS)
    random.Random(f"order {seed}").shuffle(order)
    return order[round_number % len(order)]


def some_profile(choose, token, is_of_default=False):
    """Returns a profile; `is_of_default`: the gateway of default may serve it."""
    state = choose.choice(STATES)
    return Profile(
        state and state.replace("TOKEN", token),
        is_of_default and choose.random() < 0.25,
        choose.choice(FATES),
        is_of_default and choose.random() < 0.2,
    )


def setup(choose, mode, kind):
    """Returns the beginning of a round."""
    topology, variables, serves = TOPOLOGIES[kind]
    environment = {"HERMES_INIT_SEALED": str(int(mode == "sealed")), "HERMES_INIT_TOPOLOGY": topology} | variables
    makes_pauses = choose.random() < 0.3
    if not makes_pauses:
        environment["HERMES_INIT_BACKOFF"] = "0"
    if choose.random() < 0.3:
        environment["HERMES_GATEWAY_BOOTSTRAP_STATE"] = "running"
    names = ["default", *choose.sample(NAMES[1:5], 0 if kind == ALONE else choose.randint(3, 4))]
    profiles = {name: some_profile(choose, f"first {name}", bool(serves) and name != "default") for name in names}
    first = profiles["default"]
    if serves and first.fate.startswith("end"):
        # Nobody would be served.
        first = Profile(first.state, False, "drain 0.2")
    if kind == ALONE:
        first = Profile('{"desired_state": "running", "kept": "first default"}', False, first.fate)
    if kind == "auto, served" and first.state is not None:
        state = json.dumps(json.loads(first.state) | {"served_profiles": ["default", "coder"]})
        first = Profile(state, False, first.fate)
    profiles["default"] = first
    return Setup(mode == "sealed", kind, environment, serves, profiles, makes_pauses)


class Volume:
    """What a volume says: read anew for each question, by the contract of the manual page."""

    def __init__(self, container):
        self.container, self.environment = container, container.setup.environment

    def names(self):
        """Returns the profiles, `default` first."""
        profiles = self.container.home / "profiles"
        return ["default", *sorted(path.name for path in profiles.iterdir() if (path / "SOUL.md").exists())]

    def text(self, name):
        try:
            return (self.container.directory(name) / "gateway_state.json").read_text()
        except OSError:
            return None

    def state(self, name):
        """Returns the members of the state file; None if there is none or it is torn."""
        try:
            found = json.loads(self.text(name) or "")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def is_torn(self, name):
        """Returns whether the state file says nothing."""
        text = self.text(name)
        return text is not None and not isinstance(
            (self.state(name) or {}).get("desired_state", (self.state(name) or {}).get("gateway_state")), str
        )

    def word(self, name):
        """Returns the desired state that was recorded."""
        return (self.state(name) or {}).get("desired_state")

    def wants(self, name):
        """Returns whether a profile's own state makes the next boot start it."""
        if name == "default" and self.text(name) is None:
            return self.environment.get("HERMES_GATEWAY_BOOTSTRAP_STATE") == "running"
        state = self.state(name) or {}
        if "desired_state" in state:
            return state["desired_state"] == "running"
        return state.get("gateway_state") in ("running", "draining", "degraded")

    def is_standalone(self, name):
        config = self.container.directory(name) / "config.yaml"
        return name != "default" and config.exists() and re.search("standalone: true", config.read_text()) is not None

    def is_parked(self, name):
        return name != "default" and (self.container.directory(name) / "gateway.parked").exists()

    def is_multiplexing(self):
        return self.environment.get("GATEWAY_MULTIPLEX_PROFILES") == "1"

    def is_shown(self, names):
        """Returns whether `auto` takes the volume for one whose gateway of default serves others. `names` are the named profiles that are
        looked at. What leaves it open counts: only default starts then."""
        state = self.state("default") or {}
        served, why = state.get("served_profiles"), state.get("multiplex_standalone_reason") or ""
        if self.is_multiplexing() or set(served or []) - {"default"}:
            return True
        if any(self.is_standalone(name) or self.is_parked(name) for name in names):
            return True
        return bool(names) and why.startswith(SINGLE)

    def is_multiplex(self, names=None):
        """Returns whether the gateway of default is to serve the other profiles."""
        topology = self.environment["HERMES_INIT_TOPOLOGY"]
        return self.is_shown(self.names()[1:] if names is None else names) if topology == "auto" else topology == "multiplex"

    def is_of_default(self, name):
        """Returns whether the gateway of default is to serve a profile, unless it is parked."""
        return name != "default" and self.is_multiplex() and not self.is_standalone(name)

    def is_refused(self, name):
        """Returns whether a gateway of its own ends at its start. It does not look at other named profiles."""
        return name != "default" and not self.is_standalone(name) and self.is_multiplex([name])

    def needs_default(self, name):
        return self.is_of_default(name) and self.wants(name) and not self.is_parked(name)

    def next_boot(self, name):
        """Returns what the next boot does with a profile, in the words of `status`."""
        if name == "default":
            return "up" if self.wants(name) or any(map(self.needs_default, self.names())) else "down"
        if self.is_of_default(name):
            is_served = not self.is_parked(name) and (self.wants(name) or self.next_boot("default") == "up")
            return "by default" if is_served else "down"
        return "up" if self.wants(name) and not (self.is_multiplexing() and not self.is_multiplex()) else "down"

    def host(self, slots):
        """Returns what the gateway of default is to others, by its own report: the profiles that it serves, or `down`, `silent` or
        `alone`."""
        slot, state = slots.get("default"), self.state("default") or {}
        pid, start, served = state.get("pid"), state.get("start_time"), state.get("served_profiles")
        now = pid and self.container.start_time(pid)
        is_author = bool(now and start == now)
        is_gone = bool(pid and (now is None or (start is not None and start != now)))
        if not (slot and slot.is_up) and not is_author:
            return "down"
        why = state.get("multiplex_standalone_reason")
        if is_gone or (served is None and not why):
            return "silent"
        return served or "alone"


@dataclass
class Known:
    """What is known of a profile beyond what the volume says."""

    # Whether its supervisor has the order that the volume has as a word: not after orders that are no commands of ours.
    is_tied: bool = False
    # Whether the slot's `down` is there; None: not known.
    has_down: bool | None = None
    # The members `kept` that its state file may have; None among them: it may have none.
    tokens: set = field(default_factory=lambda: {None})
    # The variable of its registration: a value, "" for none, None: not known.
    variable: str | None = ""
    # Whether a killed command may have left something that the next one sweeps.
    may_have_leftovers: bool = False
    # Whether its own gateway was started while it was not default's to serve it.
    has_own: bool = False


@dataclass
class Model:
    """What is known of a container."""

    profiles: dict = field(default_factory=dict)
    # Whether a killed command may have left something that the next pass sweeps.
    may_have_leftovers: bool = False

    def known(self, name):
        return self.profiles.setdefault(name, Known())
