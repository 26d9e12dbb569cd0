"""After a time limit: what a command that has waited long enough leaves behind, how long that is, and what is no longer said once a pause
is over."""

import json
import os
import subprocess
import time

import pytest

from support.program import HERMES, wait_for
from support.testbed import death_tally

pytestmark = pytest.mark.s6
MARKER = ".gateway-planned-stop.json"


def row(bed, name="coder"):
    """Returns what status says of a gateway. A fault of it is no failure of the command."""
    return json.loads(bed.init("status", "--json", name, uid=HERMES, code=None).stdout)


def desired(bed, name="coder"):
    return json.loads((bed.path("/opt/data/profiles") / name / "gateway_state.json").read_text())["desired_state"]


def wanted(bed, name="coder"):
    """Returns whether s6 has the order to keep a gateway up."""
    done = bed.run(["timeout", "5", "s6-svstat", "-o", "wantedup", bed.slot(name)])
    return {b"true\n": True, b"false\n": False}[done.stdout]


def stubborn(bed, name="coder"):
    """Starts a gateway that ignores SIGTERM. Returns its process ID."""
    bed.tell(name, "stubborn")
    bed.path(f"/run/bed/identity.{name}").unlink(missing_ok=True)
    bed.init("restart", name, uid=HERMES)
    bed.record(name)
    return bed.pid_of(bed.slot(name))


def kill(bed, pid):
    assert bed.run(["kill", "-9", str(pid)]).returncode == 0


# What is left behind.


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_restart_that_is_out_of_time_leaves_the_gateway_wanted_up(live, uid):
    """It was to be up in the end: if it ends later, it is started."""
    pid = stubborn(live)
    start = time.monotonic()
    done = live.init("restart", "--wait=1", "coder", uid=uid, code=1)
    assert 1 <= time.monotonic() - start < 5
    assert b"unable to restart gateway-coder: it is not down yet after 1 seconds, and starts again when it has ended" in done.stderr, done
    assert live.pid_of(live.slot("coder")) == pid and desired(live) == "running"
    wait_for(lambda: wanted(live), 3, "the order to be up")
    live.path("/run/bed/identity.coder").unlink()
    kill(live, pid)
    live.record("coder")
    assert live.pid_of(live.slot("coder")) not in (pid, -1) and row(live)["wanted"] == "up"


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_stop_that_is_out_of_time_leaves_the_gateway_wanted_down(live, uid):
    """It still goes down when it has come to its end, for which it is told that it is wanted, and the next boot keeps it down."""
    pid = stubborn(live)
    done = live.init("stop", "--wait=1", "coder", uid=uid, code=1)
    assert b"unable to stop gateway-coder: it is not down yet after 1 seconds" in done.stderr, done
    assert live.pid_of(live.slot("coder")) == pid and not wanted(live) and desired(live) == "stopped"
    marker = json.loads((live.path("/opt/data/profiles/coder") / MARKER).read_text())
    assert marker["target_pid"] == pid
    kill(live, pid)
    wait_for(lambda: row(live)["state"] == "down", what="the end")
    time.sleep(1.5)
    assert live.pid_of(live.slot("coder")) == -1, (pid, live.run(["s6-svdt", live.slot("coder")]), live.log())


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_start_of_what_does_not_come_to_its_end_is_an_error_only_if_it_was_to_be_waited_for(live, uid):
    pid = stubborn(live)
    waited = b"unable to start gateway-coder: it is not down yet after 1 seconds, and starts again when it has ended"
    not_waited = b"info: coder: it is still stopping, and starts again when it has ended"
    for options, limit, code, why in ((["--wait=1"], 1, 1, waited), ([], 5, 0, not_waited)):
        live.init("stop", "--wait=1", "coder", uid=uid, code=1)
        start = time.monotonic()
        done = live.init("start", *options, "coder", uid=uid, code=code)
        assert limit <= time.monotonic() - start < limit + 3 and why in done.stderr, done
        assert live.pid_of(live.slot("coder")) == pid and wanted(live) and desired(live) == "running"


# A logger that ends at nothing but SIGKILL.
LOGGER = "#!/bin/sh\ntrap '' HUP TERM\nwhile :; do sleep 1000; done\n"


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_unregister_kills_a_logger_that_survives_sighup(live, uid):
    live.profile("new", "running")
    live.init("reconcile")
    (live.path(live.slot("new")) / "log/run").write_text(LOGGER)
    live.rescan()
    live.record("new")
    logger = wait_for(lambda: live.pid_of(f"{live.slot('new')}/log") != -1 and live.pid_of(f"{live.slot('new')}/log"), what="the logger")
    wait_for(lambda: sleeps(live, "new/log"), what="its traps")
    start = time.monotonic()
    done = live.init("unregister", "new", uid=uid)
    assert time.monotonic() - start < 8 and done.stderr == b""
    assert sorted(os.listdir(live.path("/run/service"))) == [".s6-svscan", "gateway-coder", "gateway-default"]
    wait_for(lambda: len(live.supervisors()) == 4, 5, "the end of its supervisors")
    assert not live.path(f"/proc/{logger}").exists()


@pytest.fixture
def kept(live):
    """A gateway that ignores SIGTERM, with variables that are kept, and the process ID of its supervisor."""
    live.profile("new", "running")
    live.tell("new", "stubborn")
    live.init("register", "--env", "A=1", "new", uid=HERMES)
    live.record("new")
    [live.supervisor] = [pid for pid in live.supervisors() if os.readlink(live.path(f"/proc/{pid}/cwd")).endswith("/gateway-new")]
    return live


def ends(bed):
    """Has the supervisor go on, and fails unless the next unregister leaves nothing behind."""
    assert (bed.path("/opt/data/profiles/new") / ".hermes-init-env").read_bytes() == b"A=1\0"
    bed.run(["kill", "-CONT", str(bed.supervisor)])
    bed.init("unregister", "new", uid=HERMES)
    assert sorted(os.listdir(bed.path("/run/service"))) == [".s6-svscan", "gateway-coder", "gateway-default"]
    assert not (bed.path("/opt/data/profiles/new") / ".hermes-init-env").exists()


def test_unregister_of_what_survives_sigkill_leaves_slot_and_variables(kept):
    """As a process in an uninterruptible call does. Here it is its supervisor, which is stopped before it gets the order to kill it."""
    unregistering = subprocess.Popen(
        kept.command(["/run/bed/bin/hermes-init", "unregister", "--wait=3", "new"], HERMES),
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
    )
    wait_for(lambda: not wanted(kept, "new"), 3, "the order to be down")
    kept.run(["kill", "-STOP", str(kept.supervisor)])
    start = time.monotonic()
    said = unregistering.communicate(timeout=30)[1]
    assert 5 <= time.monotonic() - start < 12 and unregistering.returncode == 1
    assert b"unable to stop gateway-new: it is still up 5 seconds after SIGKILL: try again later" in said
    assert "gateway-new" in os.listdir(kept.path("/run/service"))
    ends(kept)


def test_unregister_whose_supervisors_do_not_end_is_finished_by_the_next_one(kept):
    kept.run(["kill", "-STOP", str(kept.supervisor)])
    done = kept.init("unregister", "--wait=1", "new", uid=HERMES, code=1)
    assert (
        b"unable to end the supervisors of .gateway-new.gone.tmp: they are still running after 10 seconds: run unregister again"
        in done.stderr
    ), done
    assert ".gateway-new.gone.tmp" in os.listdir(kept.path("/run/service"))
    ends(kept)


# How long. Each with a gateway of its own, all at once: the command, what it says, the exit code and the seconds.
NOT_DOWN, NOT_UP = "it is not down yet after {} seconds, and ", "it is not up yet, or has been up for less than a second"
WAITS = {
    "a": (["stop"], NOT_DOWN.format(75), 1, 75),
    "b": (["stop", "--wait"], NOT_DOWN.format(75), 1, 75),
    "c": (["stop", "--wait=3"], NOT_DOWN.format(3), 1, 3),
    "d": (["restart"], NOT_DOWN.format(75), 1, 75),
    "e": (["restart", "--wait"], NOT_DOWN.format(75), 1, 75),
    "f": (["unregister"], "f has not stopped in time: killing it", 0, 75),
    "g": (["unregister", "--wait"], "g has not stopped in time: killing it", 0, 75),
    # It has as long as it is given to come up, and a second to stay so.
    "h": (["start", "--wait"], NOT_UP, 1, 76),
    "i": (["start", "--wait=3"], NOT_UP, 1, 4),
    # Nobody waits for it.
    "j": (["start"], None, 0, 0),
}


def test_each_command_waits_as_long_as_it_is_to(bed):
    """A bare `--wait` is 75 seconds, as none is, and takes no name for its value."""
    for name, (argv, *_) in WAITS.items():
        bed.profile(name, "stopped" if argv[0] == "start" else "running")
        bed.tell(name, "stubborn")
    bed.init("reconcile")
    bed.rescan()
    for name, (argv, *_) in WAITS.items():
        if argv[0] == "start":
            wait_for(lambda name=name: bed.svstat(bed.slot(name)) == "down", what=name)
            # It cannot be started.
            (bed.path(bed.slot(name)) / "run").unlink()
        else:
            bed.record(name)
    begin = time.monotonic()
    started = {
        name: subprocess.Popen(
            bed.command(["/run/bed/bin/hermes-init", *argv, name], HERMES),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
        )
        for name, (argv, *_) in WAITS.items()
    }
    took = {}

    def have_ended():
        for name in set(started) - set(took):
            if started[name].poll() is not None:
                took[name] = time.monotonic() - begin
        return len(took) == len(started)

    wait_for(have_ended, 100, "the ends")
    for name, (argv, said, code, seconds) in WAITS.items():
        stderr = started[name].communicate()[1].decode()
        assert started[name].returncode == code and (said in stderr if said else not stderr), (argv, stderr)
        assert seconds <= took[name] < seconds + 9, (argv, took)


# Pauses.


@pytest.fixture
def deaths(live):
    """Returns a function that gives coder's service deaths that many seconds ago, with the label of a moment as s6 has it. Its supervisor
    does not know of them; the next death is noted behind them."""

    def give(*ages):
        (live.path(live.slot("coder")) / "supervise/death_tally").write_bytes(death_tally(*ages))

    return give


def sleeps(bed, name="coder"):
    """Returns whether the stand-in of a profile runs and has come to its sleep."""
    pid = bed.pid_of(bed.slot(name))
    try:
        children = bed.path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [bed.path(f"/proc/{child}/comm").read_text() for child in children] == ["sleep\n"]
    except OSError:
        return False


def test_nobody_waits_any_more_once_the_pause_is_over(live, deaths):
    """It is as long as the row of deaths says, from the last one on, and the row counts as long as there was a death lately. The ages are far
    from the limits of 60 and 180 seconds."""
    for ages, state, is_waiting in (
        ([], "up", False),
        (range(14, 4, -1), "restarting", True),
        (range(25, 15, -1), "restarting", True),
        (range(109, 99, -1), "restarting", False),
        (range(65, 60, -1), "restarting", False),
        (range(240, 230, -1), "up", False),
        ([300, 10], "up", False),
        ([110, 100], "restarting", False),
    ):
        deaths(*ages)
        found = row(live)
        assert (found["state"], "; waiting, starts again at " in (found["note"] or "")) == (state, is_waiting), (list(ages), found)
        assert (found["note"] or "keeps dying").startswith("keeps dying")


def test_a_gateway_that_runs_after_its_pause_is_not_said_to_wait(live):
    live.tell("coder", "exit 1")
    live.init("restart", "coder", uid=HERMES)
    wait_for(lambda: "waiting" in (row(live)["note"] or ""), 20, "the pause")
    live.tell("coder", "sleep")
    wait_for(lambda: sleeps(live), 60, "the gateway")
    found = row(live)
    assert found["state"] == "restarting" and "waiting" not in found["note"], found


def test_since_is_the_moment_that_s6_has_written(live):
    status = (live.path(live.slot("coder")) / "supervise/status").read_bytes()
    moment = live.run(["sh", "-c", f"echo @{status[:12].hex()} | s6-tai64nlocal"], environment={"TZ": "UTC0"}).stdout.decode()
    found = json.loads(live.init("status", "--json", "coder", environment={"TZ": "UTC0"}).stdout)
    assert found["since"] == moment[:19].replace(" ", "T") + "+0000"


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_restart_in_a_pause_does_not_wait_for_its_end(live, deaths, uid):
    """A pause of a minute, which whoever restarts the gateway does not make."""
    wait_for(lambda: sleeps(live), 10, "the gateway")
    deaths(*range(10, 0, -1))
    kill(live, live.pid_of(live.slot("coder")))

    def pauses():
        try:
            return os.readlink(live.path(f"/proc/{live.pid_of(live.slot('coder'))}/exe")).endswith("/hermes-init")
        except OSError:
            # It has ended in the meantime.
            return False

    wait_for(pauses, 10, "the next start")
    time.sleep(1)
    assert pauses() and "waiting" in row(live)["note"]
    start = time.monotonic()
    live.init("restart", "--wait=20", "coder", uid=uid)
    wait_for(lambda: sleeps(live), 10, "the gateway")
    assert time.monotonic() - start < 25
