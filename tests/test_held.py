"""What the hermes user can hold for ever, locks, full FIFOs and processes that are traced, neither fails nor delays a command for long:
it is waited for within a bound, and then said as it is."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support import caseless
from support.program import HERMES, wait_for
from support.testbed import Bed, desired, entries, replace_script, supervised

pytestmark = pytest.mark.s6
# Longest wait of a command for what others hold, in seconds, and what it does and the machine takes beside that.
BOUND, OWN = 5, 2.5

# What is said; `{}` are the parts that differ.
LOCKED = "another process keeps the directory of {} locked: its files are written without the lock"
FLOODED = "it is full: another process keeps writing to it"
UNREAD = "it is full: its reader has not read it for 2 seconds"
BUSY = "another process keeps writing to supervise/control, and the supervisor has no time for anything else: end that process first"
TRACED = "process {} ({}) traces {}, and keeps it from ending: end that process first"
SVSCAN = "/run/service/.s6-svscan/control"


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


def script(bed, text):
    """Returns the argv of a Python program in the bed."""
    file = bed.path(f"/run/bed/program.{len(os.listdir(bed.path('/run/bed')))}.py")
    file.write_text(text)
    return ["python3", f"/run/bed/{file.name}"]


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


# Full FIFOs.

FLOOD = """
import os, sys
end = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
while True:
    try:
        os.write(end, b"_" * 4096)
    except BlockingIOError:
        pass
"""


def fill(path, letter):
    """Fills a FIFO with a letter that its reader does not know."""
    end = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(end, letter * size)
    os.close(end)


def supervisor_of(bed, service):
    return next(pid for pid in bed.supervisors() if os.readlink(bed.path(f"/proc/{pid}/cwd")).endswith(service))


@pytest.mark.parametrize("uid", [0, HERMES])
@pytest.mark.parametrize("command, state", [("stop", "down"), ("restart", "up"), ("unregister", None)])
def test_a_supervisors_fifo_that_is_full_for_a_while_is_tried_again(live, command, state, uid):
    supervisor, control = supervisor_of(live, "gateway-coder"), live.path(live.slot("coder")) / "supervise/control"
    live.run(["kill", "-STOP", str(supervisor)])
    fill(control, b"_")
    timer = threading.Timer(1, lambda: live.run(["kill", "-CONT", str(supervisor)]))
    timer.start()
    try:
        assert timed(live, command, "coder", uid=uid) == []
    finally:
        timer.join()
    assert state is None or live.svstat(live.slot("coder")) == state
    assert (command == "unregister") == ("gateway-coder" not in entries(live))


@pytest.mark.parametrize("uid", [0, HERMES])
def test_the_fifo_of_svscan_that_is_full_for_a_while_is_tried_again(live, uid):
    live.profile("new", "stopped")
    os.kill(live.pid, signal.SIGSTOP)
    fill(live.path(SVSCAN), b"z")
    timer = threading.Timer(1, lambda: os.kill(live.pid, signal.SIGCONT))
    timer.start()
    try:
        assert timed(live, "register", "--down", "new", uid=uid, within=20) == []
    finally:
        timer.join()
    supervised(live, 6)


@pytest.mark.parametrize("command", ["stop", "restart", "unregister"])
def test_a_flood_does_not_hold_up_for_as_long_as_a_gateway_may_take(live, command):
    """A supervisor that reads what it gets has no time for the end of its gateway."""
    path = f"{live.slot('coder')}/supervise/control"
    with holding(live, [*script(live, FLOOD), path], lambda: True):
        time.sleep(0.5)
        start = time.monotonic()
        done = live.init(command, "coder", code=None)
        assert time.monotonic() - start < 12
        # It may have had the time before the flood was at its height.
        assert done.returncode == 0 or BUSY in done.stderr.decode(), done
    assert timed(live, command, "coder", within=20) == []


@pytest.mark.parametrize("command", ["stop", "start", "restart", "unregister"])
def test_a_flood_is_outlived_or_said_as_it_is(container, command):
    """In sealed mode, too, the hermes user may write there."""
    path = f"{container.slot('coder')}/supervise/control"
    control = container.path(path)
    options = ["--wait=1"] if command in ("stop", "restart", "unregister") else []
    if command == "start":
        container.init("stop", "coder")

    def is_flooded():
        with contextlib.suppress(BlockingIOError):
            os.close(os.open(control, os.O_WRONLY | os.O_NONBLOCK))
        return True

    with holding(container, [*script(container, FLOOD), path], is_flooded):
        time.sleep(0.5)
        for _ in range(2 if command == "unregister" else 5):
            start = time.monotonic()
            done = container.init(command, *options, "coder", code=None)
            assert time.monotonic() - start < (22 if command == "unregister" else 12)
            words = done.stderr.decode()
            # A supervisor that reads what it gets has no time for the end of its gateway.
            assert done.returncode == 0 or FLOODED in words or BUSY in words, done
            assert "not read it" not in words and "does another process read" not in words and "try again later" not in words, done
            if command == "unregister" and done.returncode == 0:
                break
    assert timed(container, command, "coder", within=20) == []


def test_a_fifo_that_nobody_reads_is_said_after_two_seconds(live):
    supervisor, control = supervisor_of(live, "gateway-coder"), live.path(live.slot("coder")) / "supervise/control"
    live.run(["kill", "-STOP", str(supervisor)])
    try:
        fill(control, b"_")
        start = time.monotonic()
        assert timed(live, "stop", "coder", code=111) == [f"unable to write to supervise/control: {UNREAD}"]
        assert time.monotonic() - start > 1.9
    finally:
        live.run(["kill", "-CONT", str(supervisor)])


def test_leftovers_are_not_waited_for_one_by_one(live):
    """The owner of the scan directory can let a pass wait for an s6-svscan that reads nothing."""
    live.run(
        [
            "sh",
            "-ec",
            (
                "cd /run/service; for n in 1 2 3 4; do cp -r gateway-default .gateway-x$n.gone.tmp; done; chown -R 10000:10000 .gateway-*; "
                "mv .s6-svscan .true; mkdir .s6-svscan; mkfifo .s6-svscan/control; chown -R 10000:10000 .s6-svscan"
            ),
        ]
    )
    with holding(
        live, ["sh", "-c", f"exec 3<> {SVSCAN}; exec sleep 1000"], lambda: live.run(["sh", "-c", f": > {SVSCAN}"]).returncode == 0
    ):
        words = timed(live, "reconcile", code=None)
    assert [word for word in words if "has not read its control FIFO for 5 seconds" in word], words


# Gateways that are traced.

# PTRACE_SEIZE, which needs no cooperation of the traced process.
TRACE = """
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(0x4206, int(sys.argv[1]), None, None):
    raise OSError(ctypes.get_errno(), "ptrace")
time.sleep(1000)
"""

# A gateway with two threads.
THREADS = """#!/usr/bin/env python3
import os, signal, threading, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
def work():
    with open("/run/bed/thread", "w") as file:
        file.write(str(threading.get_native_id()))
    time.sleep(1000)
threading.Thread(target=work).start()
time.sleep(1000)
"""


def tracing(bed, process, thread=None):
    """Traces a process, or one of its threads, as the hermes user where he may."""
    yama = Path("/proc/sys/kernel/yama/ptrace_scope")
    uid = 0 if yama.exists() and yama.read_text().strip() != "0" else HERMES
    status = bed.path(f"/proc/{process}/task/{thread or process}/status")
    return holding(bed, [*script(bed, TRACE), thread or process], lambda: "TracerPid:\t0\n" not in status.read_text(), uid)


@pytest.mark.parametrize("uid, is_thread", [(0, False), (HERMES, True)])
def test_who_traces_a_gateway_is_named_by_what_waits_for_its_end(live, uid, is_thread):
    thread = None
    if is_thread:
        replace_script(live.path("/run/bed/bin/hermes"), THREADS)
        live.init("restart", "--wait", "coder")
        thread = wait_for(lambda: live.path("/run/bed/thread").exists() and live.path("/run/bed/thread").read_text(), what="its thread")
    with tracing(live, live.pid_of(live.slot("coder")), thread) as tracer:
        traced = TRACED.format(tracer, "python3", "it")
        for command, what in {"stop": "", "restart": ", and starts again when it has ended"}.items():
            not_down = f"unable to {command} gateway-coder: it is not down yet after 1 seconds{what}: {traced}"
            assert timed(live, command, "--wait=1", "coder", uid=uid, code=1) == [not_down]
        words = timed(live, "unregister", "--wait=1", "coder", uid=uid, code=1, within=15)
        assert words == [
            "coder has not stopped in time: killing it",
            f"unable to stop gateway-coder: it is still up 5 seconds after SIGKILL: {traced}",
        ]
        assert timed(live, "start", "coder", uid=uid, within=12) == [
            f"coder: it is still stopping, and starts again when it has ended: {traced}"
        ]
        assert "gateway-coder" in entries(live)
    # What is said helps.
    live.init("unregister", "coder", uid=uid)
    supervised(live, 2)


def test_who_traces_a_logger_is_named_by_unregister(live):
    with tracing(live, live.pid_of(f"{live.slot('coder')}/log")) as tracer:
        words = timed(live, "unregister", "coder", code=1, within=25)
        assert words == [
            "unable to end the supervisors of .gateway-coder.gone.tmp: they are still running after 3 seconds: "
            + TRACED.format(tracer, "python3", "its logger")
        ]
    live.init("unregister", "coder")
    supervised(live, 2)


@pytest.mark.strace
@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs FUSE")
@pytest.mark.parametrize("locking", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_a_volume_whose_server_has_no_locks_is_written_without_them(locking):
    with Bed() as bed:
        bed.profile("coder", "running")
        bed.profile("idle")
        caseless.mounted(bed, "/opt/data", locking)
        done = bed.run(["flock", "-n", "/opt/data/profiles/coder/SOUL.md", "true"])
        assert done.returncode != 0 and done.stderr, done
        # The kernel has the locks of directories itself there, so they are refused to the program.
        directories = [word for path in ("/opt/data", "/opt/data/profiles/coder", "/opt/data/profiles/idle") for word in ("-P", path)]
        refused = ["strace", "-f", "-o", "/dev/null", *directories, "-e", f"inject=flock:error={locking}"]

        def init(*words, uid=0):
            begin = time.monotonic()
            done = bed.run([*refused, "/run/bed/bin/hermes-init", *words], uid)
            assert done.returncode == 0 and done.stderr == b"" and time.monotonic() - begin < BOUND, (words, done)

        init("reconcile")
        bed.rescan()
        bed.settle()
        for uid in (HERMES, 0):
            for words, state in ((["stop"], "stopped"), (["start", "--wait"], "running"), (["restart", "--wait"], "running")):
                init(*words, "coder", uid=uid)
                assert desired(bed, "coder")["desired_state"] == state
        init("unregister", "idle")
        init("register", "--env=KEY=value", "idle", uid=HERMES)
        init("reconcile")
        init("health")
        assert bed.path("/opt/data/logs/container-boot.log").read_text().count(" profile=coder ") == 2
