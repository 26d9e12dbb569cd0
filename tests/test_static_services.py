"""Static services in `status` and `health`: which of them have a row, what is a fault of theirs, and what is not counted."""

import itertools
import json
import os

import pytest

from support.forged_state import Forged, steadily
from support.program import HERMES, wait_for

pytestmark = pytest.mark.root

# What is printed.
NOT_UP = "it is not up; the container's log says why"
PERMANENT = "failed permanently ({}); the container's log says why"
LOOP = "keeps dying: {} times within 180 seconds ({}); the container's log says why"
NEW = "up for only {} seconds"
LOGGER = "its logger keeps dying; the container's log says why"


@pytest.fixture
def forged(place):
    with Forged(place) as forged:
        yield forged


def health(forged, *arguments, uid=0, code=None):
    done = forged.run("health", *arguments, uid=uid, code=code)
    assert done.stderr == "", done
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("uid", [0, HERMES])
def test_one_that_nobody_supervises_is_a_fault(forged, uid):
    forged.service("dashboard", held=False)
    row = forged.rows(uid=uid, code=0)["/dashboard"]
    assert (row["state"], row["pid"], row["note"]) == ("unsupervised", None, NOT_UP)
    assert health(forged, uid=uid) == (1, [f"dashboard: {NOT_UP}"])
    assert health(forged, "dashboard", uid=uid) == (1, [f"dashboard: {NOT_UP}"])
    # Its name is no profile's.
    assert health(forged, "--role", "frontend", uid=uid)[0] == 1


@pytest.mark.parametrize("uid", [0, HERMES])
def test_totals_count_gateways_alone(forged, uid):
    for name, how in {"up": {}, "down": {"up": False}, "loop": {"deaths": [(1, 1, 0)] * 3}}.items():
        forged.profile(name, "running")
        forged.slot(name, **how)
    for number in range(3):
        forged.service(f"up-{number}")
        forged.service(f"down-{number}", up=False)
    forged.service("unsupervised", held=False)
    lines = forged.run("status", uid=uid).stdout.splitlines()
    assert lines[-1] == "gateways: 1 up, 1 restarting, 1 down"
    table = lines[: lines.index("")]
    assert [line.split()[1] for line in table[1:]] == ["gateway"] * 3 + ["service"] * 7
    assert [line.split()[0] for line in table[1:]] == [
        "down",
        "loop",
        "up",
        "down-0",
        "down-1",
        "down-2",
        "unsupervised",
        "up-0",
        "up-1",
        "up-2",
    ]


# The owner and the group of `control`, and its mode: the hermes user's, or his group's with write permission.
OTHER = 1234


@pytest.mark.parametrize("uid", [0, HERMES])
def test_a_row_has_whatever_the_hermes_user_may_command(forged, uid):
    expected = set()
    for owner, group, mode in itertools.product((0, HERMES, OTHER), (0, HERMES, OTHER), (0o600, 0o620, 0o660, 0o640, 0o602, 0o400)):
        forged.service(f"{owner}-{group}-{mode:o}", owner=(owner, group), mode=mode)
        if owner == HERMES or (group == HERMES and mode in (0o620, 0o660)):
            expected.add(f"/{owner}-{group}-{mode:o}")
    rows = forged.rows(uid=uid)
    assert set(rows) == expected
    # Also who may not command it may read its state.
    assert {row["state"] for row in rows.values()} == {"up"}


@pytest.mark.parametrize("uid", [0, HERMES])
def test_what_is_no_service_or_not_to_be_looked_at_has_no_row(forged, uid):
    (forged.scandir / "file").touch()
    (forged.scandir / "empty").mkdir()
    (forged.scandir / "no-control/supervise").mkdir(parents=True)
    (forged.scandir / "dangling").symlink_to("nowhere")
    closed = forged.service("closed")
    (closed / "supervise").chmod(0)
    forged.service(".hidden")
    done = forged.run("status", "--json", uid=uid, code=0)
    # Root may look everywhere.
    assert [json.loads(line)["slot"] for line in done.stdout.splitlines()] == (["/place/service/closed"] if uid == 0 else []), done
    assert done.stderr == "" and health(forged, uid=uid)[1] == []


@pytest.mark.parametrize("uid", [0, HERMES])
def test_roots_symlinks_are_followed_as_s6_rc_makes_them_and_no_others(forged, uid):
    forged.service("dashboard", folder=forged.place / "static")
    for name, owner in (("roots", 0), ("hermes", HERMES), ("others", OTHER)):
        (forged.scandir / name).symlink_to("../static/dashboard")
        os.chown(forged.scandir / name, owner, owner, follow_symlinks=False)
    rows = forged.rows(uid=uid)
    assert {name: row["slot"] for name, row in rows.items()} == {"/roots": "/place/service/roots"}
    assert rows["/roots"]["state"] == "up"


# What s6 knows of it; then its state, its note, and whether it is a fault.
STATES = {
    "up": ({}, "up", None, False),
    "new": ({"age": 0}, "up", None, False),
    "up, to go down": ({"wanted": False}, "up", None, False),
    "down by order": ({"up": False}, "down", None, False),
    "down, to come up": ({"up": False, "wanted": True}, "down", NOT_UP, True),
    "its finish runs": ({"up": False, "finishing": True, "wanted": True}, "down", NOT_UP, True),
    "its finish runs, and it is to stay down": ({"up": False, "finishing": True, "wanted": False}, "down", None, False),
    "ended by itself": ({"up": False, "deaths": [(50, 0, 0)]}, "down", None, False),
    "stopped": ({"up": False, "deaths": [(50, 143, 15)]}, "down", None, False),
    "failed once": ({"up": False, "deaths": [(50, 1, 0)]}, "down", None, False),
    "configuration": ({"up": False, "deaths": [(50, 78, 0)]}, "down", PERMANENT.format("78: configuration"), True),
    "system": ({"up": False, "deaths": [(50, 111, 0)]}, "down", PERMANENT.format("111: a system call failed"), True),
    "not executable": ({"up": False, "deaths": [(50, 126, 0)]}, "down", PERMANENT.format("126: the program cannot be executed"), True),
    "not found": (
        {"up": False, "deaths": [(50, 127, 0)]},
        "down",
        PERMANENT.format("127: the program or its interpreter is not found"),
        True,
    ),
    "long ago": ({"up": False, "deaths": [(9999, 78, 0)]}, "down", PERMANENT.format("78: configuration"), True),
    "a later end": ({"up": False, "deaths": [(50, 78, 0), (40, 0, 0)]}, "down", None, False),
    "a signal": ({"up": False, "deaths": [(50, 78, 9)]}, "down", None, False),
    "configuration, to come up": ({"up": False, "wanted": True, "deaths": [(50, 78, 0)]}, "down", NOT_UP, True),
    "came up again": ({"deaths": [(50, 78, 0)]}, "up", None, False),
    "died once": ({"deaths": [(9, 1, 0)]}, "up", None, False),
    "died twice": ({"deaths": [(9, 1, 0), (5, 2, 0)]}, "restarting", LOOP.format(2, "exit code 2"), True),
    "died twice long ago": ({"deaths": [(181, 1, 0), (5, 2, 0)]}, "up", None, False),
    "killed twice": ({"deaths": [(9, 137, 9), (5, 137, 9)]}, "restarting", LOOP.format(2, "signal 9"), True),
    "stopped twice": ({"deaths": [(9, 143, 15), (5, 0, 0)]}, "up", None, False),
    "died twice, down by order": ({"up": False, "deaths": [(9, 1, 0), (5, 1, 0)]}, "down", None, False),
    "died twice, down": (
        {"up": False, "wanted": True, "deaths": [(9, 1, 0), (5, 1, 0)]},
        "restarting",
        LOOP.format(2, "exit code 1"),
        True,
    ),
    # Only a gateway and our dashboard make pauses, of which their notes would speak.
    "died often": ({"deaths": [(age, 1, 0) for age in range(20, 1, -1)]}, "restarting", LOOP.format(19, "exit code 1"), True),
    "its logger dies": ({"logger": [(9, 1, 0), (5, 1, 0)]}, "up", LOGGER, True),
    "its logger is stopped twice": ({"logger": [(9, 0, 0), (5, 143, 15)]}, "up", LOGGER, True),
    "its logger died once": ({"logger": [(200, 1, 0), (5, 1, 0)]}, "up", None, False),
    "its logger dies, down by order": ({"up": False, "logger": [(9, 1, 0), (5, 1, 0)]}, "down", None, False),
}


@pytest.mark.parametrize("uid", [0, HERMES])
def test_each_state_has_its_note_and_is_a_fault_or_none(forged, uid):
    names = [name.replace(" ", "-").replace(",", "") for name in STATES]

    def look(now):
        for name, (how, *_) in zip(names, STATES.values(), strict=False):
            forged.service(name, now=now, **how)
        return forged.rows(uid=uid), health(forged, uid=uid)

    rows, (code, faults) = steadily(look)
    assert {name: (rows[f"/{name}"]["state"], rows[f"/{name}"]["note"]) for name in names} == {
        name: (state, note) for name, (_, state, note, _) in zip(names, STATES.values(), strict=False)
    }
    assert code == 1 and faults == [
        f"{name}: {note}" for name, (_, _, note, fault) in sorted(zip(names, STATES.values(), strict=False)) if fault
    ]


@pytest.mark.parametrize("uid", [0, HERMES])
def test_a_minimum_uptime_holds_for_those_that_are_up(forged, uid):
    def look(now):
        forged.service("down", now=now, up=False, age=0)
        forged.service("old", now=now, age=60)
        forged.service("young", now=now, age=59)
        return health(forged, "--min-up=60", uid=uid)

    assert steadily(look) == (1, [f"young: {NEW.format(59)}"])


@pytest.mark.parametrize("uid", [0, HERMES])
def test_an_object_of_a_service_has_no_profile_and_no_boot(forged, uid):
    forged.service("dashboard", age=0, deaths=[(999, 7, 0)], ready=True)
    row = forged.rows(uid=uid)["/dashboard"]
    since = row.pop("since")
    assert since[:2] == "20" and row == {
        "profile": None,
        "kind": "service",
        "slot": "/place/service/dashboard",
        "state": "up",
        "pid": 4242,
        "ready": True,
        "exit_code": 7,
        "signal": None,
        "deaths": 0,
        "wanted": None,
        "last_boot": None,
        "note": None,
    }
    # A profile may have the same name; a question is about both.
    forged.profile("dashboard", "stopped")
    forged.slot("dashboard", up=False)
    assert list(forged.rows("dashboard", uid=uid)) == ["dashboard", "/dashboard"]
    assert list(forged.rows("default", uid=uid, code=1)) == []


@pytest.mark.parametrize("what", ["log/supervise", "log"])
def test_a_logger_that_is_roots_alone_is_no_fault_for_the_hermes_user(forged, what):
    base = forged.service("dashboard", logger=[(9, 1, 0), (5, 1, 0)])
    (base / what).chmod(0o700)
    row = forged.rows(uid=HERMES, code=0)["/dashboard"]
    assert (row["state"], row["note"]) == ("up", None) and health(forged, uid=HERMES) == (0, [])
    # root sees it.
    assert health(forged) == (1, [f"dashboard: {LOGGER}"])
    assert forged.rows(code=0)["/dashboard"]["note"] == LOGGER


@pytest.mark.s6
def test_a_real_service_whose_logger_is_roots(bed):
    """As s6 has it: only the service itself has been opened to the hermes user."""
    script = """set -e; mkdir -p /run/static/dashboard/log; cd /run/static/dashboard
        for part in . log; do printf '#!/bin/sh\\nexec sleep 1000\\n' > $part/run; chmod 755 $part/run; done; ln -s ../static/dashboard /run/service/"""
    assert bed.run(["sh", "-c", script]).returncode == 0
    bed.rescan()
    service = "/run/static/dashboard"
    for part in (service, f"{service}/log"):
        wait_for(lambda part=part: bed.svstat(part) == "up", what=part)

    def looks(uid):
        return [json.loads(line) for line in bed.init("status", "--json", uid=uid).stdout.splitlines()]

    assert looks(HERMES) == looks(0) == []
    bed.run(["sh", "-c", f"cd {service}/supervise && chmod 710 . && chown 10000:10000 . control"])
    for uid in (0, HERMES):
        [row] = looks(uid)
        assert (row["state"], row["pid"], row["note"]) == ("up", bed.pid_of(service), None)
    for _ in range(2):
        pid = bed.pid_of(f"{service}/log")
        bed.run(["kill", "-9", str(pid)])
        wait_for(lambda pid=pid: bed.pid_of(f"{service}/log") not in (pid, -1), what="the next logger")
    assert looks(HERMES)[0]["note"] is None and bed.init("health", uid=HERMES).stdout == b""
    assert bed.init("health", code=1).stdout.decode() == f"dashboard: {LOGGER}\n"


@pytest.mark.parametrize("uid", [0, HERMES])
def test_links_of_the_user_as_whom_s6_svscan_runs_count_as_roots(forged, uid):
    """s6-overlay with `--user 10000`. Its own services are none of the hermes user's business."""
    forged.service("dashboard", up=False, wanted=False, deaths=[(1, 78, 0)], folder=forged.place / "static")
    for name in ("s6-linux-init-shutdownd", "s6rc-fdholder"):
        forged.service(name)
    for name, owner in (("dashboard", HERMES), ("others", OTHER)):
        (forged.scandir / name).symlink_to("../static/dashboard")
        os.chown(forged.scandir / name, owner, owner, follow_symlinks=False)
    assert forged.rows(uid=uid) == {}
    os.chown(forged.scandir / ".s6-svscan", HERMES, HERMES)
    assert list(forged.rows(uid=uid)) == ["/dashboard"]
    assert health(forged, uid=uid) == (1, [f"dashboard: {PERMANENT.format('78: configuration')}"])


def test_root_without_a_capability_looks_as_the_hermes_user_and_says_what_it_cannot_look_at(forged):
    """Without DAC_OVERRIDE, what `fix-perms` has given the hermes user is closed to root."""
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
    supervise = forged.service("dashboard", up=False, wanted=True) / "supervise"
    os.chown(supervise, HERMES, HERMES)
    supervise.chmod(0o700)
    said = f"dashboard: {NOT_UP}"
    done = forged.run("health", before=without, code=1)
    assert (done.stdout, done.stderr) == (said + "\n", ""), done
    os.chown(supervise, OTHER, OTHER)
    done = forged.run("health", before=without, code=111)
    assert (done.stdout, done.stderr) == ("dashboard: unable to inspect dashboard: Permission denied\n", ""), done
    row = forged.rows(before=without, code=1)["/dashboard"]
    assert (row["state"], row["note"]) == ("unknown", "unable to inspect dashboard: Permission denied")
    # Nobody else looks closer than he may.
    assert forged.rows(uid=HERMES, code=0) == {}
