"""What the hermes user can hold for ever neither fails nor delays a command for long: it is waited for within a bound, and then said as
it is."""

import contextlib
import os
import subprocess
import time

import pytest

from support.program import HERMES, wait_for
from support.testbed import Bed, desired, entries

pytestmark = pytest.mark.s6
# Longest wait of a command for what others hold, in seconds, and what it does and the machine takes beside that.
BOUND, OWN = 5, 2.5

# What is said; `{}` are the parts that differ.
LOCKED = "another process keeps the directory of {} locked: its files are written without the lock"


@pytest.fixture(params=["delegated", "sealed"])
def container(request):
    """A booted container with coder and writer up."""
    with Bed(environment={"HERMES_INIT_SEALED": str(int(request.param == "sealed"))}) as bed:
        for name in ("coder", "writer"):
            bed.profile(name, "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        yield bed


@contextlib.contextmanager
def holding(bed, argv, ready, uid=HERMES):
    """Runs a program in the bed until the end of the block, which begins when `ready` is true. Yields its process ID there."""
    file = bed.path(f"/run/bed/holder.{len(os.listdir(bed.path('/run/bed')))}")
    inside = "/run/bed/" + file.name
    holder = subprocess.Popen(
        bed.command(["sh", "-c", f'echo $$ > {inside}; exec "$@"', "sh", *argv], uid), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: file.exists() and file.read_text().strip(), what="its process ID")
        wait_for(ready, what="what it holds")
        yield int(file.read_text())
    finally:
        bed.run(["kill", "-9", file.read_text().strip()])
        holder.wait(timeout=20)


def said(done):
    """Returns the messages without the command and the severity."""
    return [line.split(": ", 2)[2] for line in done.stderr.decode().splitlines()]


def timed(bed, *argv, uid=0, code=0, within=BOUND + OWN):
    """Runs a command within a time. Returns what it says."""
    start = time.monotonic()
    done = bed.init(*argv, uid=uid, code=code)
    assert time.monotonic() - start < within, (argv, time.monotonic() - start, done)
    return said(done)


# Locks.


def locks(bed, *directories):
    """Has the hermes user hold the locks of directories."""
    argv = [word for directory in directories for word in ("flock", "--no-fork", directory)]
    is_locked = lambda: all(bed.run(["flock", "-n", directory, "true"]).returncode == 1 for directory in directories)  # noqa: E731
    return holding(bed, [*argv, "sleep", "1000"], is_locked)


def test_however_many_directories_are_locked_a_command_waits_once_and_keeps_its_word(container):
    with locks(container, "/opt/data/profiles/coder", "/opt/data/profiles/writer", "/opt/data"):
        # The directory of default is HERMES_HOME.
        for command, names, state, word in (
            ("stop", ["coder", "writer", "default"], "down", "stopped"),
            ("start", ["coder", "writer"], "up", "running"),
            ("restart", ["coder", "writer"], "up", "running"),
        ):
            assert timed(container, command, *names) == [LOCKED.format(name) for name in names]
            for name in names:
                wait_for(lambda name=name, state=state: container.svstat(container.slot(name)) == state, what=state)
                assert desired(container, name)["desired_state"] == word
        assert timed(container, "unregister", "writer") == [LOCKED.format("writer")]
        assert "gateway-writer" not in entries(container)
        # The hermes user waits no longer than root.
        assert timed(container, "stop", "coder", uid=HERMES) == [LOCKED.format("coder")]
    # Nothing is left of two commands that share a name for a new file.
    for name in ("coder", "writer"):
        left = set(os.listdir(container.path("/opt/data/profiles") / name))
        assert left == {"SOUL.md", "gateway_state.json"}
    assert timed(container, "start", "coder", within=OWN) == []


def test_a_lock_that_is_given_back_in_time_is_waited_for(live):
    holder = subprocess.Popen(live.command(["flock", "/opt/data/profiles/coder", "sleep", "1.5"], HERMES), stdin=subprocess.DEVNULL)
    wait_for(lambda: live.run(["flock", "-n", "/opt/data/profiles/coder", "true"]).returncode == 1, what="the lock")
    start = time.monotonic()
    assert timed(live, "stop", "coder") == []
    assert time.monotonic() - start > 0.5 and holder.wait(timeout=10) == 0


def test_a_pass_waits_once_for_the_locks_of_the_scan_directory_and_of_the_boot_log(live):
    log = live.path("/opt/data/logs/container-boot.log")
    log.write_bytes(b"x" * 300_000 + b"\n")
    with locks(live, "/run/service", "/opt/data/logs"):
        words = timed(live, "reconcile")
    assert [word.split(": ")[0] for word in words] == ["unable to lock /run/service", "unable to rotate logs/container-boot.log"]
    assert live.init("reconcile").stderr == b"" and log.stat().st_size < 10_000


def test_the_lock_of_the_scan_directory_takes_from_the_same_patience(live):
    """In delegated mode the hermes user can hold it; without it, no slot can be made or removed."""
    live.profile("new", "stopped")
    with locks(live, "/run/service", "/opt/data/profiles/coder", "/opt/data/profiles/new"):
        assert timed(live, "register", "--env", "A=1", "new", code=111)[0].startswith("unable to lock /run/service")
        # The gateway is stopped before the lock is missed.
        words = timed(live, "unregister", "coder", code=111)
        assert words[0] == LOCKED.format("coder") and words[1].startswith("unable to lock /run/service")
    assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
