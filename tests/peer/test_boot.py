"""Its boot pass and ours on the same generated volumes: the same slots, the same `down`, the same log fields. Where they differ, a
test says in which row of .github/DIFFERENCES.md that stands."""

import json
import re

import pytest

from support import peer_volumes
from support.hermes_agent import MID, NEW, OLD, TOPOLOGY, VERSIONS, PeerBed
from support.program import ROOT

LINE = re.compile(
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} profile=(\S+) prior_state=(.*) action=(\w+)(?: reason=(?:\"[^\"]*\"|\S+))?"
    r"(?: prior_exit=(\w+))?(?: folded_into_root=(True|False))?$",
    re.DOTALL,
)


@pytest.fixture(scope="module", params=VERSIONS)
def passes(request):
    """A bed, and what its pass made of all volumes: with the fault in them, and without."""
    with PeerBed(request.param) as bed:
        homes = []
        for number in range(peer_volumes.COUNT):
            for kind, with_fault in (("with", True), ("without", False)):
                place = bed.path(f"/run/volumes/{number}/{kind}")
                make(request.param, place, number, with_fault)
                bed.path(f"/run/slots/{number}/{kind}").mkdir(parents=True)
                homes.append((f"/run/volumes/{number}/{kind}", f"/run/slots/{number}/{kind}", peer_volumes.environment_of(number)))
        bed.chown("/run/slots")
        results = iter(bed.theirs(homes))
        yield bed, {number: {kind: next(results) for kind in ("with", "without")} for number in range(peer_volumes.COUNT)}


def make(version, home, number, with_fault=True):
    # Row "`gateway.standalone`": 0.21.4 knows none.
    return peer_volumes.make(home, number, with_fault, has_standalone=version != MID)


def log(home):
    """The lines of the log by profile: prior_state, action, prior_exit, folded_into_root."""
    text = (home / "logs/container-boot.log").read_text().removeprefix("an older line\n").removesuffix("\n")
    # A value with a newline in it is no end of a line: the next one begins with a time.
    lines = [LINE.match(line) for line in re.split(r"\n(?=\d{4}-)", text)]
    assert all(lines), text
    # Row "values in the log": a name that is not plain, or too long for that, is a JSON string.
    names = [json.loads(match[1]) if match and match[1].startswith('"') else match and match[1] for match in lines]
    assert len(set(names)) == len(lines), text
    return {name: (match[2], match[3], match[4], match[5]) for name, match in zip(names, lines, strict=True)} if text else {}


def slots(scandir):
    """Whether each slot stays down."""
    return {slot.name.removeprefix("gateway-"): (slot / "down").exists() for slot in scandir.iterdir() if not slot.name.startswith(".")}


def leftovers(home, names):
    directories = {name: home if name == "default" else home / "profiles" / name for name in names}
    return {
        name: sorted(file for file in ("gateway.pid", "processes.json") if (path / file).exists()) for name, path in directories.items()
    }


def permitted(version, number, home, name, line):
    """A line of its log as our pass has it, after the differences that .github/DIFFERENCES.md names."""
    prior_state, action, prior_exit, folded = line
    directory = home if name == "default" else home / "profiles" / name
    try:
        state = json.loads((directory / "gateway_state.json").read_text())
    except (OSError, ValueError):
        state = {}
    if state.get("desired_state") is None and state.get("gateway_state") in ("draining", "degraded"):
        # Row "`draining`, `degraded`": the log has the word that was read.
        prior_state = state["gateway_state"]
    if version == OLD:
        # Row "how the gateway ended": not logged yet.
        prior_exit = ANY
        variable = peer_volumes.environment_of(number).get("GATEWAY_MULTIPLEX_PROFILES")
        config = (home / "config.yaml").read_text() if (home / "config.yaml").exists() else ""
        if variable is None and name != "default" and "multiplex_profiles: true" in config:
            # Row "multiplex": config.yaml, too, holds the named slots down.
            action = "registered"
    return prior_state, action, prior_exit, folded


class Any:
    __hash__ = None

    def __eq__(self, other):
        return True


ANY = Any()


def test_every_row_that_permits_a_difference_is_in_the_document():
    text = (ROOT / ".github/DIFFERENCES.md").read_text()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    named = {fault.row for fault in peer_volumes.FAULTS if fault.row} | {"`draining`, `degraded`", "how the gateway ended", "multiplex"}
    assert not named - set(rows)


@pytest.mark.parametrize("number", range(peer_volumes.COUNT))
def test_both_passes_agree_on_a_volume_but_for_the_documented_differences(passes, number):
    bed, results = passes
    version, fault = bed.version, peer_volumes.fault_of(number)
    home, scandir = f"/run/volumes/{number}/ours", f"/run/slots/{number}/ours"
    names = make(version, bed.path(home), number)
    bed.path(scandir).mkdir()
    done = bed.init("reconcile", "--json", "--hermes-home", home, "--scandir", scandir, environment=peer_volumes.environment_of(number))
    outcomes = {outcome["profile"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}
    ours, our_slots = log(bed.path(home)), slots(bed.path(scandir))
    # A profile with a fault changes nothing for the others: what its pass makes of these is asked where there is no such profile.
    assert isinstance(results[number]["without"], str), results[number]
    theirs, their_slots = log(bed.path(f"/run/volumes/{number}/without")), slots(bed.path(f"/run/slots/{number}/without"))
    assert [name for name in ours if not fault or not fault.ours or name != fault.profile] == names
    expected = {name: permitted(version, number, bed.path(home), name, theirs[name]) for name in names}
    assert {name: ours[name] for name in names} == expected
    assert {name: our_slots[name] for name in names} == {name: line[1] == "registered" for name, line in expected.items()}
    changed = {name for name in names if theirs[name][1] != expected[name][1]}
    assert {name: down for name, down in our_slots.items() if name in names and name not in changed} == {
        name: down for name, down in their_slots.items() if name in names and name not in changed
    }
    assert leftovers(bed.path(home), names) == leftovers(bed.path(f"/run/volumes/{number}/without"), names)
    assert {name: (outcome["action"], str(outcome.get("folded_into_root"))) for name, outcome in outcomes.items()} == {
        name: (line[1], str(line[3])) for name, line in ours.items()
    }
    if fault:
        its = fault.theirs[version]
        if its == peer_volumes.RAISES:
            assert isinstance(results[number]["with"], list), "its pass does not end any more"
        else:
            line = log(bed.path(f"/run/volumes/{number}/with")).get(fault.profile) if its else None
            # `profiles/default` has the name of the root profile, which has a line and a slot.
            assert (its is None and (fault.profile in names or fault.profile not in their_slots)) or (
                line[0] == its[0] and line[1] == (its[1] or line[1])
            )
        if fault.ours is not None:
            assert ours[fault.profile][:2] == fault.ours
            assert our_slots.get(fault.profile) == (True if fault.ours[1] == "registered" else None)


EXAMPLES = {
    "a container that only ever ran a named profile comes up": (
        {"coder": "running"},
        {},
        {"default": "started", "coder": "registered"},
        {"default": True, "coder": True},
    ),
    "a standalone profile starts from its own state": (
        {"default": "stopped", "coder": "running", "own": "running", "off": "stopped"},
        {"own": "gateway:\n  standalone: true\n", "off": "gateway:\n  standalone: true\n"},
        {"default": "started", "coder": "registered", "own": "started", "off": "registered"},
        {"default": True, "coder": True, "own": False, "off": False},
    ),
    "a config.yaml that says no starts no refused slot": (
        {"default": "running", "coder": "running"},
        {"default": "multiplex_profiles: false\n"},
        {"default": "started", "coder": "registered"},
        {"default": True, "coder": True},
    ),
}


@pytest.mark.parametrize("topology", ["multiplex", "auto"])
@pytest.mark.parametrize("example", EXAMPLES)
def test_where_one_gateway_serves_all(example, topology):
    """`auto` is told by what a gateway of today leaves in the root state file."""
    states, configs, actions, folded = EXAMPLES[example]
    with PeerBed(NEW, HERMES_INIT_TOPOLOGY=topology) as bed:
        for name, state in states.items():
            served = {"served_profiles": ["default", "coder"]} if name == "default" else {}
            bed.profile(name, json.dumps({"gateway_state": state} | served))
            if name in configs:
                (bed.home(name) / "config.yaml").write_text(configs[name])
        if topology == "auto" and "default" not in states:
            (bed.home("default") / "gateway_state.json").write_text('{"served_profiles": ["default", "coder"]}')
        bed.chown("/opt/data")
        bed.path("/run/its").mkdir()
        bed.chown("/run/its")
        bed.theirs([("/opt/data", "/run/its", {})])
        assert {name: line[1] for name, line in log(bed.home("default")).items()} == actions
        (bed.home("default") / "logs/container-boot.log").unlink()
        bed.boot()
        assert slots(bed.path("/run/service")) == slots(bed.path("/run/its"))
        assert {name: (line[1], line[3]) for name, line in log(bed.home("default")).items()} == {
            name: (action, str(folded[name])) for name, action in actions.items()
        }
        assert {name for name in actions if bed.svstat(bed.slot(name)) == "up"} == {
            name for name, action in actions.items() if action == "started"
        }


@pytest.mark.parametrize("sign", ["served_profiles", "emptied served_profiles", "parked", "rewritten", "standalone", "switched on", "none"])
def test_auto_is_told_by_what_a_gateway_of_today_leaves(sign):
    with PeerBed(NEW, HERMES_INIT_TOPOLOGY="auto") as bed:
        root = {"gateway_state": "stopped"}
        if "served" in sign:
            root["served_profiles"] = [] if "emptied" in sign else ["default", "coder"]
        bed.profile("default", json.dumps(root))
        bed.profile("coder", "running")
        bed.profile("other", "stopped")
        if sign == "rewritten":
            (bed.home("default") / ".multiplex_opt_out_rewritten").touch()
        elif sign == "parked":
            (bed.home("other") / "gateway.parked").touch()
        elif sign == "standalone":
            (bed.home("other") / "config.yaml").write_text("gateway:\n  standalone: true\n")
        elif sign == "switched on":
            (bed.home("default") / "config.yaml").write_text("gateway:\n  multiplex_profiles: true\n")
        bed.chown("/opt/data")
        bed.boot()
        # An empty list is that of a gateway that serves nobody else.
        multiplex = sign not in ("none", "emptied served_profiles")
        assert slots(bed.path("/run/service")) == {"default": not multiplex, "coder": multiplex, "other": True}
        assert ("multiplex" if multiplex else "per-profile") in bed.init("reconcile", "--explain").stdout.decode()


def test_a_bed_runs_each_version_with_the_topology_it_has():
    assert TOPOLOGY == {OLD: "per-profile", MID: "multiplex", NEW: "multiplex"}
