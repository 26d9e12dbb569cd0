"""Commands beside each other and commands that are killed: what was asked for last is what is so, in s6, in the slot and on the volume."""

import json
import os
import subprocess
import time

import pytest

from support.program import HERMES, wait_for
from support.testbed import Bed, desired, entries, replace_script

pytestmark = pytest.mark.s6
PLANNED_STOP = ".gateway-planned-stop.json"
RESTART = ".hermes-init-restart.json"
STAGING = ".gateway_state.json.tmp"

# A gateway that finishes its work for SECONDS when it is to end, and then ends with CODE.
DRAINS = """#!/bin/sh
ends() { echo $$ > /run/bed/ending; [ -e /run/bed/now ] || sleep SECONDS; exit CODE; }
trap ends TERM
echo $$ > /run/bed/started
while :; do sleep 60 & wait $!; done
"""


def drains(bed, seconds=4, code=0):
    """Gives coder another gateway, which is up. Returns its process."""
    replace_script(bed.path("/run/bed/bin/hermes"), DRAINS.replace("SECONDS", str(seconds)).replace("CODE", str(code)))
    bed.run(["s6-svc", "-k", bed.slot("coder")])
    return started(bed)


def started(bed, other_than=-1):
    """Waits until coder's gateway has started, and returns its process."""
    record = bed.path("/run/bed/started")

    def pid():
        pid = bed.pid_of(bed.slot("coder"))
        return pid not in (-1, other_than) and record.exists() and record.read_text().strip() == str(pid) and pid

    return wait_for(pid, 15, "the start of the gateway")


def background(bed, *argv, uid=HERMES):
    return subprocess.Popen(
        bed.command(["/run/bed/bin/hermes-init", *argv], uid), stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}, cwd="/"
    )


def is_down_for_good(bed):
    return bed.svstat(bed.slot("coder")) == "down" and bed.run(["s6-svstat", "-o", "wantedup", bed.slot("coder")]).stdout == b"false\n"


def home(bed):
    return bed.path("/opt/data/profiles/coder")


@pytest.fixture(params=[False, True], ids=["delegated", "sealed"])
def mode(request):
    with Bed(environment={"HERMES_INIT_SEALED": str(int(request.param))}) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        yield bed


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("code", [0, 78])
def test_a_restart_is_completed_also_after_its_wait(mode, uid, code):
    old = drains(mode, code=code)
    done = mode.init("restart", "coder", "--wait=1", uid=uid, code=1)
    assert b"it is not down yet after 1 seconds, and starts again when it has ended" in done.stderr
    assert mode.pid_of(mode.slot("coder")) == old
    new = started(mode, other_than=old)
    assert desired(mode, "coder")["desired_state"] == "running" and not (home(mode) / RESTART).exists()
    # Only the end of that process is followed by a start.
    mode.path("/run/bed/now").touch()
    mode.run(["s6-svc", "-t", mode.slot("coder")])
    wait_for(lambda: is_down_for_good(mode), what="the end")
    assert mode.path("/run/bed/ending").read_text().strip() == str(new)


def test_while_it_goes_down_for_a_restart_a_gateway_is_not_healthy(mode):
    old = drains(mode)
    mode.init("health", uid=HERMES)
    mode.init("restart", "coder", "--wait=1", uid=HERMES, code=1)
    said = b"coder: it is stopping, and starts again when it has ended; see: /run/bed/bin/hermes-init logs coder\n"
    assert mode.init("health", uid=HERMES, code=1).stdout == said and said in mode.init("status", uid=HERMES).stdout
    started(mode, other_than=old)
    mode.init("health", uid=HERMES)


def test_a_restart_that_is_killed_is_completed(live):
    old = drains(live)
    restarting = background(live, "restart", "coder")
    wait_for(lambda: live.path("/run/bed/ending").exists(), what="its end")
    for pid in live.processes("hermes-init"):
        live.run(["kill", "-9", str(pid)])
    restarting.communicate(timeout=20)
    started(live, other_than=old)
    assert desired(live, "coder")["desired_state"] == "running"


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_start_while_it_goes_down_takes_effect_when_it_is_down(mode, uid):
    old = drains(mode)
    mode.init("stop", "coder", "--wait=1", uid=uid, code=1)
    started_by = background(mode, "start", "coder", "--wait=1", uid=uid)
    error = started_by.communicate(timeout=20)[1]
    assert started_by.returncode == 1 and b"it is not down yet after 1 seconds, and starts again when it has ended" in error
    started(mode, other_than=old)
    assert desired(mode, "coder")["desired_state"] == "running"


def test_a_start_without_wait_says_that_it_takes_effect_later(live):
    old = drains(live, seconds=8)
    live.init("stop", "coder", "--wait=1", uid=HERMES, code=1)
    done = live.init("start", "coder", uid=HERMES)
    assert b"coder: it is still stopping, and starts again when it has ended" in done.stderr
    assert live.pid_of(live.slot("coder")) == old
    started(live, other_than=old)


@pytest.mark.parametrize("first", ["restart", "start"])
def test_a_stop_while_it_goes_down_revokes_what_was_to_follow(mode, first):
    old = drains(mode)
    if first == "start":
        mode.init("stop", "coder", "--wait=1", uid=HERMES, code=1)
    mode.init(first, "coder", "--wait=1", uid=HERMES, code=1)
    mode.init("stop", "coder", uid=HERMES)
    assert is_down_for_good(mode) and desired(mode, "coder")["desired_state"] == "stopped"
    time.sleep(1.5)
    assert is_down_for_good(mode) and mode.path("/run/bed/started").read_text().strip() == str(old)
    assert not {RESTART, PLANNED_STOP, STAGING} & set(os.listdir(home(mode)))


def test_a_restart_beside_a_stop_leaves_it_down(live):
    drains(live)
    restarting = background(live, "restart", "coder", "--wait=20")
    wait_for(lambda: live.path("/run/bed/ending").exists(), what="its end")
    live.init("stop", "coder", uid=HERMES)
    error = restarting.communicate(timeout=30)[1]
    assert restarting.returncode == 1 and b"it has exited, and stays down" in error
    assert is_down_for_good(live) and desired(live, "coder")["desired_state"] == "stopped"


@pytest.mark.parametrize("commands", [("start", "stop"), ("restart", "stop"), ("start", "restart", "stop", "stop")])
def test_commands_at_once_leave_s6_and_the_volume_of_one_mind(mode, commands):
    replace_script(mode.path("/run/bed/bin/hermes"), DRAINS.replace("SECONDS", "0.05").replace("CODE", "0"))
    for number in range(15):
        running = [background(mode, command, "coder", uid=(HERMES, 0)[number % 2]) for command in commands]
        said = [process.communicate(timeout=90)[1] for process in running]
        assert all(process.returncode in (0, 1) for process in running), said
        wanted = wait_for(lambda: settled(mode), 10, "a calm")
        word = desired(mode, "coder")["desired_state"]
        assert word == {"up": "running", "down": "stopped"}[wanted], (number, said)
        assert (mode.path(mode.slot("coder")) / "down").exists() == (wanted == "down") or commands_may_not(mode, number), number
        assert not {RESTART, PLANNED_STOP, STAGING} & set(os.listdir(home(mode))), (number, said)


def commands_may_not(bed, number):
    """Whether the hermes user has run the commands, and the slot is sealed."""
    return number % 2 == 0 and bed.environment.get("HERMES_INIT_SEALED") == "1"


def settled(bed):
    """Returns what the supervisor of coder is ordered to, once that is so."""
    words = bed.run(["s6-svstat", "-o", "up,wantedup", bed.slot("coder")]).stdout.split()
    return words and words[0] == words[1] and {b"true": "up", b"false": "down"}[words[0]]


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_down_follows_what_was_asked_for_where_the_slot_may_be_written(mode, uid):
    down = mode.path(mode.slot("coder")) / "down"
    follows = uid == 0 or mode.environment["HERMES_INIT_SEALED"] == "0"
    for command, expected in [("stop", "down"), ("start", "up"), ("stop", "down"), ("restart", "up")]:
        mode.init(command, "coder", uid=uid)
        if not follows:
            assert not down.exists()
            continue
        assert down.exists() == (expected == "down")
        # A supervisor that is killed is started again by s6-svscan, and does what the slot says.
        pid = next(pid for pid in mode.supervisors() if os.readlink(mode.path(f"/proc/{pid}/cwd")).endswith("gateway-coder"))
        gateway = mode.pid_of(mode.slot("coder"))
        mode.run(["kill", "-9", str(pid)])
        if gateway > 0:
            mode.run(["kill", "-9", str(gateway)])
        wait_for(lambda: len(mode.supervisors()) == 4 and pid not in mode.supervisors(), what="another supervisor")
        wait_for(lambda expected=expected: mode.svstat(mode.slot("coder")) == expected, what=expected)
        time.sleep(0.3)
        assert mode.svstat(mode.slot("coder")) == expected


def test_what_killed_commands_have_left_is_swept_by_the_next_pass(mode):
    mode.init("stop", "coder")
    for name in (STAGING, PLANNED_STOP):
        (home(mode) / name).write_text('{"target_pid": 4000000, "target_start_time": 1}')
    mode.init("reconcile")
    assert not {PLANNED_STOP, STAGING} & set(os.listdir(home(mode)))


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_what_killed_commands_have_left_is_swept_by_the_next_command(live, command):
    for name in (STAGING, PLANNED_STOP, RESTART):
        (home(live) / name).write_text('{"target_pid": 4000000, "target_start_time": 1}')
    live.init(command, "coder", uid=HERMES)
    assert not {PLANNED_STOP, STAGING, RESTART} & set(os.listdir(home(live)))


def test_a_marker_of_an_earlier_gateway_restarts_none(live):
    """After a container that was killed: another process may have the ID."""
    (home(live) / RESTART).write_text('{"target_pid": 4000000, "target_start_time": 1}')
    live.run(["s6-svc", "-k", live.slot("coder")])
    wait_for(lambda: not (home(live) / RESTART).exists(), what="its removal")
    live.record("coder")
    wait_for(lambda: live.svstat(live.slot("coder")) == "up", what="up")
    live.run(["s6-svc", "-t", live.slot("coder")])
    wait_for(lambda: is_down_for_good(live), what="the end")


@pytest.mark.parametrize("state, code, says", [("stopped", 0, b"it stays down"), ("running", 1, b"s6-svscan starts it when it scans")])
def test_sealed_a_stop_of_a_slot_that_nobody_has_scanned_is_recorded(state, code, says):
    with Bed(environment={"HERMES_INIT_SEALED": "1"}) as bed:
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.profile("coder", state)
        bed.init("reconcile")
        done = bed.init("stop", "coder", uid=HERMES, code=code)
        assert says in done.stderr and done.stderr.count(b"\n") == 1, done
        assert desired(bed, "coder")["desired_state"] == "stopped"
        # What it tells root to do helps.
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        assert bed.svstat(bed.slot("coder")) == "down"


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_beside_an_unregistration_a_slot_that_is_gone_is_said_to_be_gone(live, command):
    told, made_again = 0, False
    for number in range(12):
        live.init("register", "coder", uid=HERMES, code=None)
        wait_for(lambda: live.svstat(live.slot("coder")) is not None, what="the slot")
        running = background(live, "unregister", "coder")
        time.sleep(0.004 * number)
        begin = time.monotonic()
        done = live.init(command, "coder", uid=HERMES, code=None)
        assert time.monotonic() - begin < 4, done
        assert running.communicate(timeout=30) and running.returncode == 0
        if done.returncode:
            told += 1
            line = done.stderr.decode()
            assert done.returncode == 1 and ("another command has unregistered it meanwhile" in line or "has no slot" in line), done
        made_again = made_again or "gateway-coder" in entries(live)
    # Some round has met it.
    assert made_again or told or command == "stop"


def test_next_boot_finds_what_was_asked_for_last(live):
    drains(live, seconds=3)
    live.init("restart", "coder", "--wait=1", uid=HERMES, code=1)
    live.run(["sh", "-c", "rm -rf /run/again; mkdir /run/again"])
    done = live.init("reconcile", "--json", "--scandir", "/run/again")
    assert {"coder": "started"}.items() <= {line["profile"]: line["action"] for line in map(json.loads, done.stdout.splitlines())}.items()


# A gateway that dies at once until it is mended.
DIES = """#!/bin/sh
[ -e /run/bed/mended ] || exit 1
echo $$ > /run/bed/started
trap 'exit 0' TERM
while :; do sleep 60 & wait $!; done
"""


@pytest.mark.parametrize("command", ["start", "restart"])
@pytest.mark.parametrize("deaths", [2, 6])
def test_between_a_death_and_the_next_start_a_request_ends_the_pause(live, command, deaths):
    """s6 has no process then that could be told anything."""
    replace_script(live.path("/run/bed/bin/hermes"), DIES)
    live.run(["s6-svc", "-k", live.slot("coder")])

    def is_between():
        said = live.run(["s6-svstat", "-o", "up,wantedup", live.slot("coder")]).stdout.split()
        count = len(live.run(["s6-svdt", live.slot("coder")]).stdout.splitlines())
        return said == [b"false", b"true"] and count >= deaths

    wait_for(is_between, 30, "the moment between")
    live.path("/run/bed/mended").touch()
    begin = time.monotonic()
    live.init(command, "coder", "--wait=5", uid=HERMES)
    assert time.monotonic() - begin < 5
    if deaths == 6 or command == "restart":
        live.init("health", uid=HERMES)


def test_a_gateway_that_was_ordered_down_by_others_is_not_healthy_while_it_goes_down(live):
    """Upstream's manager commands the supervisor."""
    drains(live)
    live.run(["s6-svc", "-d", live.slot("coder")])
    wait_for(lambda: live.path("/run/bed/ending").exists(), what="its end")
    said = live.init("health", uid=HERMES, code=1).stdout
    assert said == b"coder: it is stopping, and stays down then: /run/bed/bin/hermes-init start coder\n"
    # What is said helps.
    live.init("start", "coder", "--wait=10", uid=HERMES)
    live.init("health", uid=HERMES)


def test_a_stop_that_is_out_of_time_is_said_to_be_one(live):
    drains(live)
    live.init("stop", "coder", "--wait=1", uid=HERMES, code=1)
    assert b"coder: it is stopping, and the next boot keeps it down: stopped on request\n" in live.init("status", uid=HERMES).stdout
    live.init("health", uid=HERMES)


def test_sealed_what_only_root_may_do_is_advised_as_such():
    with Bed(environment={"HERMES_INIT_SEALED": "1"}) as bed:
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.profile("new", "running")
        start = "created since the last boot{}: /run/bed/bin/hermes-init start new"
        for uid, by in ((HERMES, "; as root"), (0, "")):
            row = json.loads(bed.init("status", "--json", "new", uid=uid).stdout)
            assert row["note"] == start.format(by)
        bed.init("start", "new", "--wait=5")
        assert json.loads(bed.init("status", "--json", "new", uid=HERMES).stdout)["note"] is None


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_what_stands_in_the_place_of_a_new_file_is_named(live, command):
    (home(live) / STAGING).mkdir()
    (home(live) / STAGING / "x").touch()
    done = live.init(command, "coder", uid=HERMES, code=1)
    assert f"{STAGING} beside it, under which it is written first, is a directory: remove that".encode() in done.stderr
    # What is said helps.
    live.run(["rm", "-r", f"/opt/data/profiles/coder/{STAGING}"])
    live.init(command, "coder", uid=HERMES)


@pytest.mark.parametrize("kind", ["directory", "fifo", "text"])
def test_what_has_the_name_of_a_marker_and_is_none_marks_nothing(live, kind):
    path = home(live) / RESTART
    {"directory": path.mkdir, "fifo": lambda: os.mkfifo(path), "text": lambda: path.write_text("[")}[kind]()
    live.init("health")
    live.run(["s6-svc", "-t", live.slot("coder")])
    wait_for(lambda: is_down_for_good(live), what="the end")


@pytest.mark.strace
def test_a_marker_that_cannot_be_read_is_not_taken_for_none(live):
    (home(live) / RESTART).write_text('{"target_pid": 1}')
    fault = ["strace", "-f", "-o", "/dev/null", "-P", RESTART, "-e", "inject=openat:error=EIO"]
    failing = [*fault, "/run/bed/bin/hermes-init", "health"]
    done = live.run(failing)
    assert done.returncode != 0 and f"coder: unable to read {RESTART}: I/O error\n".encode() in done.stdout, done


def test_without_svscan_it_is_said_before_who_may_write():
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.profile("new", "running")
        done = bed.init("start", "new", uid=HERMES, code=1)
        assert b"no s6-svscan runs" in done.stderr and b"sealed" not in done.stderr, done


def test_a_line_of_health_is_a_fault_and_nothing_else(live):
    live.profile("rests", '{"desired_state": "stopped"}')
    live.init("reconcile")
    live.rescan()
    live.settle()
    live.run(["chown", "0:0", "/opt/data/profiles/rests"])
    live.run(["chmod", "700", "/opt/data/profiles/rests"])
    lines = live.init("health", code=1).stdout.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("rests: unable to verify the hermes user's access"), lines
