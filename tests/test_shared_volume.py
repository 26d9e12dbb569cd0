"""A volume that another container's gateways use, or used until they were killed: a pass says so."""

import json
import os
import time

import pytest

from support.program import HERMES
from support.testbed import Bed

pytestmark = [pytest.mark.root, pytest.mark.s6]
SAID = (
    b"warning: gateways wrote their states within the last minute, and their processes are not here: killed, or another container uses this "
    b"volume, which only one may start gateways on; set HERMES_INIT_ROLE=frontend in the others: "
)


def ran(bed, name, pid, age=0, **members):
    """Leaves the files of a gateway that was not stopped."""
    folder = bed.profile(name, json.dumps({"gateway_state": "running", "desired_state": "running"}))
    (folder / "gateway.pid").write_text(json.dumps({"pid": pid, "kind": "hermes-gateway"} | members) if members else str(pid))
    os.chown(folder / "gateway.pid", HERMES, HERMES)
    moment = time.time() - age
    os.utime(folder / "gateway_state.json", (moment, moment))
    return folder / "gateway.pid"


def boot(bed, *options, **environment):
    done = bed.init("reconcile", *options, environment=environment)
    assert done.returncode == 0, done
    return [line.removeprefix(b"hermes-init reconcile: ") for line in done.stderr.splitlines() if b"another container" in line]


def test_a_second_container_on_a_volume_says_so_and_as_a_front_end_leaves_it_alone(place):
    (place / "volume").mkdir()
    with Bed(volume=place / "volume") as first, Bed(volume=place / "volume") as second:
        first.profile("coder", "running")
        first.init("reconcile")
        first.rescan()
        first.settle()
        # A process of the first container alone.
        pid = first.pid_of(first.slot("coder")) + 1000
        pidfile = ran(first, "coder", pid, start_time=7)
        assert boot(second, HERMES_INIT_ROLE="frontend") == [] and pidfile.exists()
        assert boot(second) == [SAID + b"coder"]
        assert not pidfile.exists()
        # It is said of what is there.
        assert boot(second) == []


def test_the_next_boot_of_a_killed_container_says_so_once_for_all():
    with Bed() as bed:
        for number in range(10):
            ran(bed, f"p{number}", 4000 + number)
        assert boot(bed) == [SAID + b"p0, p1, p2, p3, p4, p5, p6, p7 and 2 more"]
        assert not list(bed.path("/opt/data/profiles").glob("*/gateway.pid"))


@pytest.mark.parametrize(
    "what",
    [
        {"pid": 4000, "age": 120},
        {"pid": 4000, "age": -120},
        {"pid": 1},
        {"pid": "none"},
    ],
    ids=["old", "future", "here", "unknown"],
)
def test_nothing_is_said_of_an_old_state_or_a_process_that_may_be_the_one(what):
    with Bed() as bed:
        pidfile = ran(bed, "coder", **what)
        assert boot(bed) == [] and not pidfile.exists()


def test_a_process_that_has_started_at_another_time_is_another_one():
    with Bed() as bed:
        start = int(bed.path("/proc/1/stat").read_text().rsplit(") ", 1)[1].split()[19])
        ran(bed, "same", 1, start_time=start)
        ran(bed, "other", 1, start_time=start + 1)
        ran(bed, "default", 4000)
        assert boot(bed) == [SAID + b"default, other"]


def test_a_dry_run_says_nothing_and_removes_nothing():
    with Bed() as bed:
        pidfile = ran(bed, "coder", 4000)
        assert boot(bed, "--dry-run") == [] and pidfile.exists()
