"""The topology on a live container: start, stop and restart of served profiles, status, and slots that another program has made. The
rules of the boot pass are the stories tests/golden/contract/topology-*.txt."""

import json
import os

import pytest
import yaml

from support import host_gateway
from support.file_tree import snapshot
from support.host_gateway import HOST, install
from support.program import HERMES, executable, run, wait_for
from support.testbed import Bed, replace_script

pytestmark = [pytest.mark.root, pytest.mark.s6]
RUNNING = '{"gateway_state": "running"}'
STANDALONE = "gateway:\n  standalone: true\n"


@pytest.fixture
def served():
    """A container of a release with one gateway for all profiles: coder is served and wants to run, idle is served, own is standalone."""
    with Bed(environment={"HERMES_INIT_TOPOLOGY": "multiplex"}, stand_in=HOST) as bed:
        install(bed)
        bed.profile("coder", "running")
        bed.profile("idle", "stopped")
        (bed.profile("own", "stopped") / "config.yaml").write_text(STANDALONE)
        bed.profile("default", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        wait_for(lambda: host_gateway.served(bed) == ["default", "coder", "idle"], what="served profiles")
        yield bed


def rows(bed, uid=HERMES):
    return {row["profile"]: row for row in map(json.loads, bed.init("status", "--json", uid=uid).stdout.splitlines())}


def state(bed, profile):
    return json.loads(bed.path(f"/opt/data/profiles/{profile}/gateway_state.json").read_text())


def test_the_others_of_the_same_command_are_started(served):
    served.init("start", "--wait", "coder", "own", "default")
    assert [served.svstat(served.slot(name)) for name in ("coder", "own", "default")] == ["down", "up", "up"]


def test_a_served_profile_without_a_slot_gets_none(served):
    served.profile("new", "running")
    served.init("start", "new")
    assert not served.path(served.slot("new")).exists()


def test_a_broken_profile_says_nothing_where_another_one_is_started(served):
    served.profile("broken", "{")
    assert served.init("start", "own").stderr == b""
    assert b"broken" not in served.init("start", "coder").stderr


def test_stop_of_a_served_profile_keeps_default_down_at_the_next_boot(served):
    served.init("stop", "default")
    assert rows(served)["default"]["wanted"] == "up"
    served.init("stop", "coder")
    assert state(served, "coder")["desired_state"] == "stopped"
    assert {row["wanted"] for row in rows(served).values()} == {"down"}


@pytest.mark.parametrize("topology", ["per-profile", "auto"])
def test_what_is_not_served_is_started(topology):
    with Bed(environment={"HERMES_INIT_TOPOLOGY": topology}) as bed:
        bed.profile("coder", "stopped")
        bed.profile("default", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.init("start", "--wait", "coder")
        assert bed.svstat(bed.slot("coder")) == "up"


def test_a_gateway_sees_the_variable_and_no_option(served):
    """The option is the command's alone; the gateway that it starts refuses, and says what decides."""
    done = served.init("start", "--wait", "--topology", "per-profile", "coder", code=1)
    assert b"it has exited, and stays down (exit code 78); the end of its log:" in done.stderr
    assert b"/run/bed/bin/hermes-init status coder says whether it does" in done.stderr


def test_a_slot_whose_profile_is_gone_is_started_as_before(served):
    served.orphan("orphan", "--down", uid=0)
    # Its word cannot be kept, because there is no profile to keep it for.
    done = served.init("start", "--wait", "orphan", code=1)
    assert b"it is not on the volume" in done.stderr
    assert served.svstat(served.slot("orphan")) == "up"


def test_status_says_who_is_started_for_whom(served):
    assert {name: row["wanted"] for name, row in rows(served).items()} == {
        "default": "up",
        "coder": "by default",
        # The gateway of default serves it, too, whatever its own state is.
        "idle": "by default",
        "own": "down",
    }
    lines = served.init("status", uid=HERMES).stdout.decode().splitlines()
    at = lines[0].index("NEXT BOOT")
    assert next(line for line in lines if line.startswith("coder "))[at:].startswith("by default ")
    assert {
        row["wanted"] for row in map(json.loads, served.init("status", "--json", "--topology=per-profile", "coder").stdout.splitlines())
    } == {"up"}


def test_note_says_whether_the_last_boot_made_a_slot(served):
    for name in ("coder", "own"):
        served.init("unregister", name)
    (served.profile("late", "running") / "config.yaml").write_text(STANDALONE)
    served.profile("later", "running")
    wait_for(lambda: "later" in host_gateway.served(served), what="later to be served")
    notes = {name: row["note"] for name, row in rows(served).items()}
    assert notes == {
        "default": None,
        "idle": None,
        "own": "the slot that the last boot created is gone: /run/bed/bin/hermes-init start own",
        "coder": "the slot that the last boot created is gone: the gateway of default serves it",
        "late": "created since the last boot: /run/bed/bin/hermes-init start late",
        "later": "created since the last boot: the gateway of default serves it",
    }
    # A line of an earlier boot is none of the last one.
    log = served.path("/opt/data/logs/container-boot.log")
    log.write_text(
        log.read_text().replace(" profile=late ", " profile=x ") + "2020-01-01T00:00:00+0000 profile=late prior_state=None action=started\n"
    )
    assert rows(served)["late"]["note"].startswith("created since the last boot: ")
    log.write_text(
        log.read_text().replace("profile=own prior_state=stopped action=registered", "profile=own prior_state=stopped action=failed")
    )
    assert rows(served)["own"]["note"].startswith("the last boot created no slot: ")


FOREIGN = "#!/command/with-contenv sh\nexport COLOUR='red'\nexec sleep 1000\n"


@pytest.fixture
def foreign(bed):
    """A supervised slot as the Python makes it, with a variable in its script."""
    bed.profile("coder", "stopped")
    bed.profile("mine", "stopped")
    bed.init("reconcile")
    slot = bed.path(bed.slot("coder"))
    (slot / "run").write_text(FOREIGN)
    bed.rescan()
    bed.settle()
    bed.profile("coder", "running")
    bed.profile("mine", "running")
    return bed


def outcomes(bed, *options):
    return {outcome["profile"]: outcome for outcome in map(json.loads, bed.init("reconcile", "--json", *options).stdout.splitlines())}


def test_a_supervised_slot_of_another_program_is_left_as_it_is(foreign):
    slot = foreign.path(foreign.slot("coder"))
    before = snapshot(slot)
    explained = foreign.init("reconcile", "--explain").stdout.decode()
    assert (
        "slot now: gateway-coder was created by another program; s6-supervise is running: it is left as it is unless --adopt is given\n"
        in explained
    )
    found = outcomes(foreign)
    assert (found["coder"]["changed"], found["mine"]["changed"]) == (False, True)
    assert (found["coder"]["action"], found["coder"]["slot"]) == ("started", "/run/service/gateway-coder")
    assert snapshot(slot) == before and (slot / "down").exists() and not (foreign.path(foreign.slot("mine")) / "down").exists()


@pytest.mark.parametrize("option", ["--adopt", "--sealed"])
def test_an_adopted_slot_is_ours(foreign, option):
    explained = foreign.init("reconcile", "--explain", option).stdout.decode()
    assert "gateway-coder is not up to date; s6-supervise is running\n" in explained
    assert outcomes(foreign, option)["coder"]["changed"] is True
    slot = foreign.path(foreign.slot("coder"))
    assert (slot / "run").read_text() == "#!/run/bed/bin/hermes-init gateway-run\n" and not (slot / "down").exists()


def test_a_script_that_is_larger_than_any_of_ours_is_anothers(foreign):
    run_file = foreign.path(foreign.slot("coder")) / "run"
    replace_script(run_file, FOREIGN + "# long\n" * 10_000)
    assert outcomes(foreign)["coder"]["changed"] is False and run_file.stat().st_size > 60_000


def test_our_script_under_another_path_is_ours(foreign):
    run_file = foreign.path(foreign.slot("coder")) / "run"
    replace_script(run_file, "#!/usr/local/bin/hermes-init gateway-run\n")
    assert outcomes(foreign)["coder"]["changed"] is True and "/run/bed/bin" in run_file.read_text()


def test_an_unsupervised_slot_of_another_program_is_replaced(bed):
    bed.profile("coder", "stopped")
    bed.init("reconcile")
    run_file = bed.path(bed.slot("coder")) / "run"
    run_file.write_text(FOREIGN)
    assert outcomes(bed)["coder"]["changed"] is True and "gateway-run" in (bed.path(bed.slot("coder")) / "run").read_text()


VALUES = [
    "true",
    "True",
    "yes",
    "Yes",
    "on",
    "ON",
    "1",
    "7",
    "007",
    "1.5",
    "0",
    "0.0",
    "-1",
    "false",
    "no",
    "off",
    "null",
    "~",
    "",
    "''",
    '""',
    "'yes'",
    '"On"',
    '" true "',
    "'1'",
    "'0'",
    "'2'",
    "maybe",
    "tRuE",
    "[]",
    "{}",
    "[a]",
    "[false]",
    "{a: 1}",
    "2026-11-25",
    "yes please",
    "y",
    "\u00e9",
    '"\\x79es"',
    "'it''s'",
    "|\n    yes",
    "- a",
    "\n    a: 1",
    "\n  - a",
    "yes # comment",
    "&a yes",
    "!!str yes",
    "0x10",
    "1_000",
    ".inf",
    "+1",
]


@pytest.mark.parametrize("value", VALUES)
def test_standalone_is_what_the_python_says_or_a_doubt(place, value):
    home = place / "home"
    (home / "profiles/own").mkdir(parents=True)
    (home / "profiles/own/SOUL.md").touch()
    (home / "profiles/own/gateway_state.json").write_text(RUNNING)
    text = f"gateway:\n  standalone: {value}\n"
    (home / "profiles/own/config.yaml").write_text(text)
    for path in [home, *home.rglob("*")]:
        os.chown(path, HERMES, HERMES)
    done = run(
        [
            executable(),
            "reconcile",
            "--dry-run",
            "--json",
            "--role",
            "gateway",
            "--topology",
            "multiplex",
            "--owner",
            f"{HERMES}:{HERMES}",
            "--hermes-home",
            home,
            "--scandir",
            place / "service",
        ],
        env={},
        cwd="/",
    )
    outcome = {outcome["profile"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}["own"]
    standalone = outcome["action"] == "started"
    assert outcome["folded_into_root"] == (not standalone)
    doubt = b"unable to determine gateway.standalone from profiles/own/config.yaml: line " in done.stderr
    try:
        meant = yaml.safe_load(text)["gateway"]["standalone"]
        meant = meant.strip().lower() in ("1", "true", "yes", "on") if isinstance(meant, str) else bool(meant)
    except yaml.YAMLError:
        meant = None
    assert standalone == meant or (doubt and not standalone), (meant, done.stderr)
    # The values that people write are certain.
    assert not doubt or (
        VALUES.index(value) not in range(7) and value not in ("false", "no", "off", "null", "", "maybe", "'yes'", "yes # comment")
    )
