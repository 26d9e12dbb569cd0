"""A fault beside an older good thing: what an earlier command or an earlier life of a gateway has left neither gets lost nor is taken
for what has happened now. And a slot of which only one half is supervised."""

import fcntl
import json
import os
import signal
import subprocess
import time

import pytest

from support.program import HERMES, wait_for

pytestmark = pytest.mark.s6
KEPT = "/opt/data/profiles/new/.hermes-init-env"
SVSCAN = "/run/service/.s6-svscan/control"


def row(bed, name="coder", uid=HERMES):
    """Returns what status says of a gateway. A fault of it is no failure of the command."""
    return json.loads(bed.init("status", "--json", name, uid=uid, code=None).stdout)


def down(bed, name="coder"):
    wait_for(lambda: row(bed, name)["state"] == "down", what=f"the end of {name}")


def background(bed, *argv, uid=HERMES):
    return subprocess.Popen(
        bed.command(["/run/bed/bin/hermes-init", *argv], uid), stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}, cwd="/"
    )


# Variables that an earlier registration has kept.


@pytest.fixture
def kept(live):
    """A profile whose variables are kept, and whose slot is gone, as after a boot that made none."""
    live.profile("new", "stopped")
    live.init("register", "--down", "--env", "A=1", "--env", "B=2", "new", uid=HERMES)
    live.run(["cp", "-p", KEPT, "/run/kept"])
    live.init("unregister", "new", uid=HERMES)
    live.run(["cp", "-p", "/run/kept", KEPT])
    return live


def stays(bed):
    return bed.path(KEPT).read_bytes() == b"A=1\0B=2\0"


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("argv", [["register", "new"], ["start", "new"]])
def test_a_registration_that_fails_keeps_the_variables_of_an_earlier_one(kept, argv, uid):
    """What it was not given, it does not take away."""
    kept.run(["mv", SVSCAN, f"{SVSCAN}.true"])
    done = kept.init(*argv, uid=uid, code=1)
    assert b"unable to command s6-svscan: no s6-svscan runs on /run/service: no process reads" in done.stderr, done
    assert not kept.path(kept.slot("new")).exists() and stays(kept)
    # With the next one, they are there again.
    kept.run(["mv", f"{SVSCAN}.true", SVSCAN])
    kept.init(*argv, uid=uid)
    assert sorted(os.listdir(kept.path(kept.slot("new")) / "env")) == ["A", "B"]


@pytest.mark.parametrize(
    "argv, code",
    [
        (["register", "--env", "C=3", "--role=frontend", "new"], 1),
        (["register", "--env", "C", "new"], 100),
        (["register", "--env", "C=3", "New"], 100),
        (["register", "--env", "C=3", "--scandir=/run/nowhere", "new"], 111),
        (["register", "--env", "C=3", "--scandir=/run/roots", "new"], 1),
    ],
)
def test_a_registration_that_is_refused_keeps_the_variables_of_an_earlier_one(kept, argv, code):
    kept.path("/run/roots").mkdir(mode=0o755)
    kept.init(*argv, uid=HERMES, code=code)
    assert stays(kept) and not kept.path(kept.slot("new")).exists()


def test_a_registration_of_what_is_there_keeps_the_variables_of_the_first_one(kept):
    kept.init("register", "--down", "new", uid=HERMES)
    assert b"it already exists" in kept.init("register", "--env", "C=3", "new", uid=HERMES, code=1).stderr
    assert stays(kept) and sorted(os.listdir(kept.path(kept.slot("new")) / "env")) == ["A", "B"]


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_an_unregistration_that_fails_forgets_no_variables(kept, uid):
    kept.init("register", "--down", "new", uid=uid)
    os.kill(kept.pid, signal.SIGSTOP)
    try:
        done = kept.init("unregister", "new", uid=uid, code=111)
        assert b"unable to send a command to s6-svscan: it has not read its control FIFO for 5 seconds" in done.stderr
    finally:
        os.kill(kept.pid, signal.SIGCONT)
    assert stays(kept) and sorted(os.listdir(kept.path(kept.slot("new")) / "env")) == ["A", "B"]
    kept.init("unregister", "new", uid=uid)
    assert not kept.path(KEPT).exists()


# Deaths.


def died(bed, how, name="coder"):
    """Has a gateway die once, in a way that its supervisor does not undo, and ends it for s6."""
    bed.tell(name, how)
    bed.init("restart", name, uid=HERMES)
    wait_for(lambda: row(bed, name)["deaths"] or row(bed, name)["state"] == "down", what="the death")
    bed.init("stop", name, uid=HERMES)


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_the_cause_is_the_death_that_was_waited_for(live, uid):
    """Not an older one, neither the first of all nor one of another kind."""
    died(live, "exit 9")
    live.tell("coder", "exit 78")
    done = live.init("start", "--wait", "coder", uid=uid, code=1)
    assert b"it has exited, and stays down (exit code 78); the end of its log:" in done.stderr, done
    live.tell("coder", "exit 111")
    done = live.init("restart", "--wait", "coder", uid=uid, code=1)
    assert b"it has exited, and stays down (exit code 111); the end of its log:" in done.stderr, done


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_gateway_that_has_not_died_since_has_no_cause(live, uid):
    """An older death is none: it cannot even be started now."""
    died(live, "exit 9")
    live.run(["mv", f"{live.slot('coder')}/run", "/run/taken"])
    done = live.init("start", "--wait=1", "coder", uid=uid, code=1)
    assert b"unable to start gateway-coder: it is not up yet, or has been up for less than a second; the end of its log:" in done.stderr, (
        done
    )
    assert b"exit code" not in done.stderr
    live.run(["mv", "/run/taken", f"{live.slot('coder')}/run"])


def note(bed, name="coder"):
    return row(bed, name)["note"].replace("/run/bed/bin/", "")


def test_a_gateway_that_ended_with_78_and_was_then_stopped_was_stopped(live):
    live.tell("coder", "exit 78")
    live.init("restart", "coder", uid=HERMES)
    down(live)
    assert note(live) == "failed permanently (78: configuration); see: hermes-init logs coder"
    assert live.init("health", code=1).stdout.startswith(b"coder: failed permanently (78")
    live.init("stop", "coder", uid=HERMES)
    assert (row(live)["exit_code"], row(live)["wanted"]) == (78, "down")
    assert note(live) == "stopped on request: hermes-init start coder"
    assert live.init("health").stdout == b""
    # A profile whose next boot is another's word keeps its cause.
    live.profile("coder", '{"gateway_state": "startup_failed"}')
    assert note(live) == "failed permanently (78: configuration); see: hermes-init logs coder"


def test_a_death_behind_a_permanent_failure_is_told_by_itself(live):
    live.tell("coder", "exit 78")
    live.init("restart", "coder", uid=HERMES)
    down(live)
    live.tell("coder", "sleep")
    live.init("start", "--wait", "coder", uid=HERMES)
    assert (row(live)["note"], row(live)["exit_code"]) == (None, 78)
    assert live.run(["s6-svc", "-kd", live.slot("coder")]).returncode == 0
    down(live)
    assert note(live) == "it has died (signal 9): hermes-init start coder"


# Slots that s6-svscan does not know yet.

FOREIGN = "#!/bin/sh\nexec sleep 1000\n"


@pytest.fixture
def quiet(live):
    """A slot of another program, of which nobody has told s6-svscan. It has the states that earlier supervisors have left."""
    live.profile("quiet", "stopped")
    live.init("reconcile")
    slot = live.path(live.slot("quiet"))
    (slot / "run").write_text(FOREIGN)
    for service in (slot, slot / "log"):
        (service / "supervise/status").write_bytes((live.path(live.slot("default")) / "supervise/status").read_bytes())
    return live


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("is_late", [False, True], ids=["taken", "missed"])
def test_start_of_an_unsupervised_slot_that_is_not_as_desired_leaves_it_as_it_is(quiet, is_late, uid):
    """A slot that s6-svscan has missed is published anew; the slot of another program is not this one's to publish."""
    slot = quiet.path(quiet.slot("quiet"))
    before = slot.stat().st_ino
    if is_late:
        os.kill(quiet.pid, signal.SIGSTOP)
    try:
        starting = background(quiet, "start", "--wait", "quiet", uid=uid)
        # A new inode comes after two seconds.
        time.sleep(3.5 if is_late else 0)
    finally:
        os.kill(quiet.pid, signal.SIGCONT)
    assert starting.communicate(timeout=30)[1] == b"" and starting.returncode == 0
    assert slot.stat().st_ino == before and (slot / "run").read_text() == FOREIGN
    assert not [name for name in os.listdir(quiet.path("/run/service")) if name.startswith(".gateway-")]
    assert quiet.svstat(quiet.slot("quiet")) == "up"


class Locked:
    """Keeps the lock of a service's supervisor, without which s6-supervise ends at once; s6-svscan starts it anew each second."""

    def __init__(self, service):
        self.path = service / "supervise/lock"

    def __enter__(self):
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        # skalibs locks with one or the other.
        fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self

    def __exit__(self, *_):
        os.close(self.file)


def has_state(bed, service):
    return bed.path(f"{service}/supervise/status").exists()


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("held, free", [("log", "."), (".", "log")], ids=["logger", "gateway"])
def test_a_slot_is_not_supervised_before_both_of_its_services_are(live, held, free, uid):
    """s6-svscan starts two supervisors for it. A command that returned after the first could not ask the second."""
    live.profile("quiet", "stopped")
    live.init("reconcile")
    slot = live.slot("quiet")
    with Locked(live.path(slot) / held):
        starting = background(live, "start", "quiet", uid=uid)
        wait_for(lambda: has_state(live, f"{slot}/{free}"), what="the state of the first")
        time.sleep(1)
        assert starting.poll() is None and not has_state(live, f"{slot}/{held}")
    assert starting.communicate(timeout=30)[1] == b"" and starting.returncode == 0
    assert has_state(live, f"{slot}/{held}")
