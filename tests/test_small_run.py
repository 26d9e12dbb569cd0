"""A scan directory on a small tmpfs: what is said to be started runs, and the rest is said to have no room, with what would be enough."""

import os
import re

import pytest

from support.program import wait_for
from support.testbed import Bed

pytestmark = [pytest.mark.root, pytest.mark.s6]
# It makes no files in /run.
STAND_IN = "#!/bin/sh\nexec sleep 100000\n"
NAMES = [f"p{number}" for number in range(6)]
ADVICE = re.compile(rb": mount it with (\S+) or more")


def limit(bed, inodes=None, kib=None):
    """Leaves this much on /run."""
    found = os.statvfs(bed.path("/run"))
    options = []
    if inodes is not None:
        options.append(f"nr_inodes={found.f_files - found.f_ffree + inodes}")
    if kib is not None:
        options.append(f"size={(found.f_blocks - found.f_bfree) * found.f_frsize // 1024 + kib}k")
    remount(bed, ",".join(options))


def remount(bed, options):
    done = bed.run(["mount", "-o", f"remount,{options}", "/run"])
    assert done.returncode == 0, done


def follow(bed, said):
    """Carries out the advice in a message."""
    remount(bed, ADVICE.search(said)[1].decode())


def actions(done):
    return dict(re.findall(r"profile=(\S+) \S+ action=(\S+)", done.stdout.decode()))


def run_all(bed, names):
    bed.rescan()
    for name in names:
        for service in (bed.slot(name), f"{bed.slot(name)}/log"):
            wait_for(lambda service=service: bed.svstat(service) == "up", what=f"{service}\n{bed.log().decode()}")


@pytest.mark.parametrize(
    "left", [{"inodes": inodes} for inodes in range(0, 180, 13)] + [{"kib": kib} for kib in range(0, 300, 28)], ids=str
)
def test_what_is_started_runs_and_the_rest_has_no_room(left):
    with Bed(stand_in=STAND_IN) as bed:
        for name in NAMES:
            bed.profile(name, "running")
        limit(bed, **left)
        done = bed.init("reconcile", code=None)
        seen = actions(done)
        started = [name for name in NAMES if seen[name] == "started"]
        run_all(bed, started)
        assert b"No space left" not in bed.log()
        if len(started) < len(NAMES):
            assert done.returncode == 1 and {seen[name] for name in NAMES if name not in started} == {"failed"}, done
            assert b"no room: the file system of /run/service has " in done.stderr, done
            log = bed.path("/opt/data/logs/container-boot.log").read_bytes()
            assert log.count(b' action=failed reason="no room: the file system of /run/service has ') >= len(NAMES) - len(started)
            status = bed.init("status").stdout
            assert b"mount it with" in status or b" start p" in status, status
            follow(bed, done.stderr)
        else:
            assert done.returncode == 0, done
        done = bed.init("reconcile")
        assert {actions(done)[name] for name in NAMES} == {"started"}
        run_all(bed, NAMES)
        done = bed.init("health", code=None)
        if done.returncode:
            assert b"default: unable to read supervise/status: " in done.stdout and b"writes it with the next start\n" in done.stdout, done
            bed.init("start", "--wait", "default")
        bed.settle()
        assert bed.init("health").stdout == b""


@pytest.mark.parametrize("full", [{"inodes": 12}, {"kib": 16}], ids=str)
def test_a_slot_without_room_for_its_supervisors_is_not_made(full):
    with Bed(stand_in=STAND_IN) as bed:
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.profile("new")
        limit(bed, **full)
        before = sorted(os.listdir(bed.path("/run/service")))
        status = bed.init("status").stdout
        assert b"no room: the file system of /run/service has " in status and b" start new" not in status, status
        for uid in (0, 10000):
            for words in (["register", "new"], ["start", "new"]):
                done = bed.init(*words, uid=uid, code=1)
                assert b"unable to create gateway-new: no room: the file system of /run/service has " in done.stderr, done
                assert sorted(os.listdir(bed.path("/run/service"))) == before
        follow(bed, done.stderr)
        assert b"no room" not in bed.init("status").stdout
        bed.init("start", "--wait", "new")
        assert bed.svstat(bed.slot("new")) == "up"


def test_a_room_that_cannot_be_looked_at_is_a_failure():
    with Bed(stand_in=STAND_IN) as bed:
        bed.profile("coder", "running")
        argv = ["strace", "-f", "-o", "/dev/null", "-e", "inject=fstatfs:error=EPERM", "/run/bed/bin/hermes-init", "reconcile"]
        done = bed.run(argv)
        assert (
            done.returncode == 1 and b"unable to find out how much room there is for /run/service: Operation not permitted" in done.stderr
        )
        assert b"profile=coder prior_state=running action=started" in done.stdout, done
