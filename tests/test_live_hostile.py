"""A hostile hermes user on a live container under a real s6-svscan: what it leaves behind before root seals, what it leaves running,
what it does to slots. Also commands that are killed, short of memory or refused at every step."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from support import path_exchange
from support.file_tree import snapshot
from support.program import HERMES, wait_for
from support.testbed import desired, entries, replace_script, supervised

pytestmark = pytest.mark.s6

HOSTILE = {
    "env-link": "ln -s /run/rootfile env/EVIL",
    "env-fifo": "mkfifo env/EVIL",
    "env-folder": "mkdir env/EVIL",
    "env-hardlink": "ln env/KEY env/TWO",
    "env-is-a-link": "rm -r env; ln -s /run/s6/container_environment env",
    "env-is-a-fifo": "rm -r env; mkfifo env",
    "log-is-a-link": "mkdir /run/bed/mine; mv log /run/bed/mine/log; ln -s /run/bed/mine/log log",
    "log-is-a-file": "mv log .gone; echo > log",
    "lock": "ln -sf /run/rootfile supervise/lock",
    "tally": "ln -sf /run/rootfile supervise/death_tally; ln -sf /run/rootfile log/supervise/death_tally",
    "down-is-a-folder": "mkdir -p down/deep/er",
    "run-is-a-fifo": "rm run; mkfifo run",
    "extra": "mkdir -p data/x; echo 1 > timeout-kill; echo 3 > notification-fd",
    "event-in-supervise": "rmdir supervise/event; ln -s /run/bed supervise/event",
    "modes": "chmod 777 . log event supervise supervise/event env",
    "finish-is-a-hardlink": "ln finish supervise/finish",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_sealing_leaves_nothing_of_a_hostile_slot_to_the_hermes_user(bed, what):
    bed.profile("coder", "running")
    bed.init("reconcile")
    bed.rescan()
    bed.settle()
    bed.path("/run/rootfile").write_text("root's")
    bed.path("/run/rootfile").chmod(0o600)
    slot = bed.slot("coder")
    done = bed.run(["sh", "-ec", f"cd {slot}; mkdir env; echo value > env/KEY; {HOSTILE[what]}"], uid=HERMES)
    assert done.returncode == 0, done
    supervisors, pid = bed.supervisors(), bed.pid_of(slot)
    done = bed.init("reconcile", "--sealed", code=None)
    assert done.returncode == 0 and b"action=failed" not in done.stdout, done
    tree = snapshot(bed.path(slot))
    for path, line in tree.items():
        kind, mode, owner = line.split()[:3]
        if path.startswith(b"env/") or (path == b"env" and kind != "dir"):
            # Only gateway-run reads it, as the hermes user, and follows no symlink there.
            continue
        assert kind != "link" and owner.startswith("0:"), (path, line)
        assert not int(mode, 8) & 0o022 or os.path.basename(path) == b"control", (path, line)
        assert os.path.basename(path) != b"event" or (mode, owner) == ("700", "0:0"), (path, line)
    assert set(tree) >= {b"supervise/control", b"log/supervise/control", b"run", b"log/run"} and b"data" not in tree
    assert tree[b"supervise"] == tree[b"log/supervise"] == f"dir 710 0:{HERMES}"
    assert bed.path("/run/rootfile").read_text() == "root's"
    assert bed.pid_of(slot) == pid and bed.supervisors() == supervisors


@pytest.mark.parametrize("name", ["gateway-Evil", "gateway-a.b", "gateway-link", "mine", "gateway-old"])
def test_sealing_names_every_service_that_stays_the_hermes_users(bed, name):
    bed.profile("coder", "running")
    bed.init("reconcile")
    script = f"cd /run/service; mkdir -p /run/bed/x; echo '#!/bin/sh' > /run/bed/x/run; chmod 755 /run/bed/x/run; cp -r /run/bed/x {name}"
    if name == "gateway-link":
        script = script.replace(f"cp -r /run/bed/x {name}", f"ln -s /run/bed/x {name}")
    assert bed.run(["sh", "-ec", script], uid=HERMES).returncode == 0
    code = 0 if name == "gateway-old" else 1
    done = bed.init("reconcile", "--sealed", code=code)
    path = bed.path(f"/run/service/{name}")
    if name == "gateway-old":
        # A slot without a profile is corrected.
        assert path.stat().st_uid == 0 and (path / "run").read_text().endswith("gateway-run\n") and done.stderr == b""
    else:
        assert f"unable to restrict access to the service {name}: ".encode() in done.stderr and os.lstat(path).st_uid == HERMES
    assert bed.init("reconcile", "--sealed", code=code).stderr == done.stderr


def test_sealing_that_was_killed_half_way_is_completed_also_where_the_profile_is_gone(bed):
    bed.init("reconcile")
    bed.rescan()
    bed.orphan("orphan")
    bed.settle()
    slot = bed.path(bed.slot("orphan"))
    # A pass starts with this.
    os.chown(slot, 0, 0)
    bed.init("reconcile", "--sealed")
    assert snapshot(slot)[b"supervise"] == f"dir 710 0:{HERMES}" and (slot / "run").stat().st_uid == 0


def test_a_logger_whose_pipe_is_kept_open_does_not_hold_an_unregistration_up(live):
    live.profile("new")
    live.tell("new", "leave")
    hermes = live.path("/run/bed/bin/hermes")
    # A process that the gateway leaves behind has inherited its stdout, the pipe to the logger.
    replace_script(
        hermes, hermes.read_text().replace('[ "$what" = exit ]', 'if [ "$what" = leave ]; then setsid sleep 300 & fi\n[ "$what" = exit ]')
    )
    live.init("register", "new", uid=HERMES)
    live.record("new")
    start = time.monotonic()
    live.init("unregister", "new", uid=HERMES)
    assert time.monotonic() - start < 8 and "gateway-new" not in entries(live)
    supervised(live, 4)


@pytest.mark.parametrize("ends", ["exit 78", "exit 0", "exit 1"])
def test_restart_starts_what_came_to_its_own_end(live, ends):
    """Includes a service that stays down because finish exited 125."""
    live.tell("coder", ends)
    live.init("restart", "coder", uid=HERMES)
    if ends != "exit 1":
        wait_for(lambda: live.svstat(live.slot("coder")) == "down", what="down")
    live.tell("coder", "sleep")
    live.init("restart", "--wait=9", "coder", uid=HERMES)
    assert live.svstat(live.slot("coder")) == "up" and desired(live, "coder")["desired_state"] == "running"
    live.init("stop", "--wait", "coder", uid=HERMES)
    live.init("stop", "--wait", "coder", uid=HERMES)
    live.init("restart", "--wait", "coder", uid=HERMES)
    assert live.svstat(live.slot("coder")) == "up"


def test_a_gateway_that_does_not_stop_in_time_is_left_up_by_restart_and_said(live):
    live.record("coder")
    live.path("/run/bed/identity.coder").unlink()
    live.tell("coder", "stubborn")
    live.init("restart", "--wait=9", "coder", uid=HERMES)
    live.record("coder")
    done = live.init("restart", "--wait=1", "coder", uid=HERMES, code=1)
    assert b"it is not down yet" in done.stderr
    done = live.init("stop", "--wait=1", "coder", uid=HERMES, code=1)
    assert b"it is not down yet" in done.stderr
    live.init("start", "coder", uid=HERMES)
    live.run(["timeout", "5", "s6-svc", "-k", live.slot("coder")])
    wait_for(lambda: live.svstat(live.slot("coder")) == "up", what="up")


@pytest.mark.parametrize("command", ["stop", "restart", "start"])
def test_a_slot_that_nobody_supervises_yet_is_what_the_command_says(live, command):
    live.profile("quiet", "running")
    live.init("reconcile")
    live.init(command, "--wait=9", "quiet", uid=HERMES)
    assert live.svstat(live.slot("quiet")) == ("down" if command == "stop" else "up")
    assert desired(live, "quiet")["desired_state"] == ("stopped" if command == "stop" else "running")


@pytest.mark.parametrize("wait, code", [("0", 100), ("-1", 100), ("1.5", 100), ("86401", 100), ("99999999999999999999", 100), ("1", 0)])
def test_a_wait_is_1_to_86400_seconds(live, wait, code):
    done = live.init("stop", f"--wait={wait}", "coder", uid=HERMES, code=code)
    assert live.svstat(live.slot("coder")) == ("up" if code else "down"), done


@pytest.mark.parametrize("kind", ["none", "directory", "fifo", "huge", "not-utf8"])
def test_a_gateway_starts_whatever_its_state_is(live, kind):
    directory = live.profile("new")
    state = directory / "gateway_state.json"
    if kind == "directory":
        (state / "x").mkdir(parents=True)
    elif kind == "fifo":
        os.mkfifo(state)
    elif kind == "huge":
        state.write_bytes(b'{"a": "' + b"x" * (2 << 20) + b'"}')
    elif kind == "not-utf8":
        state.write_bytes(b'{"a": "\xff"}')
    live.profile("new")
    is_lost = kind in ("directory", "fifo", "huge")
    done = live.init("start", "--wait", "new", uid=HERMES, timeout=20, code=1 if is_lost else 0)
    assert live.svstat(live.slot("new")) == "up"
    assert (b"the next boot may not know" in done.stderr) == is_lost, done


def test_a_lock_that_nobody_lets_go_is_said_by_register_and_unregister(live):
    live.profile("new")
    live.orphan("old", "--down")
    holder = subprocess.Popen(live.command(["flock", "/run/service", "sleep", "100"], uid=4321), stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: live.processes("sleep") and live.run(["flock", "-n", "/run/service", "true"]).returncode == 1, what="the lock")
        started = [
            subprocess.Popen(
                live.command(["/run/bed/bin/hermes-init", command, name], uid),
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin"},
                cwd="/",
            )
            for command, name, uid in (("register", "new", HERMES), ("unregister", "old", 0))
        ]
        for process in started:
            assert b"unable to lock" in process.communicate(timeout=30)[1] and process.returncode == 111
        # Commands that need no lock continue.
        live.init("stop", "--wait", "coder", uid=HERMES)
        assert "gateway-old" in entries(live) and "gateway-new" not in entries(live)
    finally:
        for pid in live.processes("sleep"):
            if live.path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00100\x00":
                live.run(["kill", str(pid)])
        holder.wait(timeout=20)
    live.init("unregister", "old", uid=HERMES)
    supervised(live, 4)


# A step is a system call, or one on a FIFO: what is written into it, opened, or asked of it.
SVSCAN = "/run/service/.s6-svscan/control"


@pytest.mark.strace
@pytest.mark.parametrize(
    "command, call, on, whens",
    [
        ("register", "mkdirat", None, (1, 5, 8)),
        ("register", "renameat2", None, (1,)),
        ("register", "write", None, (1, 2, 4)),
        ("register", "write", SVSCAN, (1,)),
        ("register", "openat", "control", (1, 2)),
        ("register", "setresuid", None, (1,)),
        ("unregister", "flock", None, (1, 2)),
        ("unregister", "renameat2", None, (1,)),
        ("unregister", "openat", "control", (1, 2, 3, 4, 5)),
        ("unregister", "write", "/run/service/gateway-new/supervise/control", (1,)),
        ("unregister", "write", SVSCAN, (1, 2)),
        ("unregister", "ioctl", SVSCAN, (1, 2)),
        ("unregister", "setresuid", None, (1, 3, 5)),
        ("unregister", "unlinkat", None, (1, 2, 3, 9, 20)),
        ("unregister", "getdents64", None, (1, 2, 3)),
    ],
)
def test_a_command_that_is_killed_at_a_step_is_completed_by_the_next(live, command, call, on, whens):
    for when in whens:
        uid = (HERMES, 0)[when % 2]
        profile = live.profile("new")
        if command == "unregister":
            live.init("register", "new", uid=uid)
        done = live.run(
            [
                "strace",
                "-o",
                "/dev/null",
                *(["-P", on] if on else []),
                "-e",
                f"trace={call}",
                "-e",
                f"inject={call}:signal=SIGKILL:when={when}",
                "/run/bed/bin/hermes-init",
                command,
                "new",
            ],
            uid,
        )
        assert done.returncode == -9, (when, done)
        assert set(entries(live)) - {"gateway-new"} >= {".s6-svscan", "gateway-coder", "gateway-default"}
        # What is left is either a complete slot or invisible to s6-svscan.
        assert all(
            name.startswith(".gateway-new.") or name in (".s6-svscan", "gateway-coder", "gateway-default", "gateway-new")
            for name in entries(live)
        )
        live.init("unregister", "new", uid=HERMES)
        live.init("register", "new", "--down", uid=HERMES)
        live.init("unregister", "new", uid=HERMES)
        shutil.rmtree(profile)
        live.init("reconcile")
        assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
        supervised(live, 4)


@pytest.mark.parametrize("name", ["gateway-new", ".gateway-new.tmp", ".gateway-new.gone.tmp"])
def test_a_racer_leads_roots_registrations_nowhere(live, name):
    live.profile("new")
    outside = live.path("/run/outside")
    for folder in ("supervise", "event", "log/supervise", "env"):
        (outside / folder).mkdir(parents=True)
    for file in ("run", "finish", "type", "down", "env/KEY", "log/run"):
        (outside / file).write_text("root's")
        (outside / file).chmod(0o600)
    os.mkfifo(outside / "supervise/control", 0o600)
    before = snapshot(outside)

    def touched():
        """Returns what has changed, except files that a supervisor adds: s6-svscan also starts one for a symlink."""
        try:
            after = snapshot(outside)
        except FileNotFoundError:
            # s6-supervise has just renamed its new status file.
            return touched()
        s6s = (b"event", b"control", b"lock", b"status", b"death_tally")
        return [
            (path, before.get(path), after.get(path))
            for path in sorted({*before, *after})
            if before.get(path) != after.get(path) and not (path not in before and os.path.basename(path).removesuffix(b".new") in s6s)
        ]

    live.path("/run/service/.link").symlink_to("/run/outside")
    os.chown(live.path("/run/service/.link"), HERMES, HERMES, follow_symlinks=False)
    racer = subprocess.Popen(
        live.command([sys.executable, path_exchange.__file__, HERMES, f"/run/service/{name}", "/run/service/.link"]),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    met = 0
    try:
        for _ in path_exchange.rounds(6, lambda: name != "gateway-new" or met):
            for command in (["register", "new", "--down", "--env", "A=b"], ["unregister", "new"]):
                done = live.run(["timeout", "-s", "KILL", "3", "/run/bed/bin/hermes-init", *command])
                assert done.returncode in (0, 1, 111, 137, -9) and b"panic" not in done.stderr, done
                met += done.returncode != 0
            # Restores the initial state.
            live.run(
                [
                    "sh",
                    "-c",
                    (
                        "cd /run/service; for name in gateway-new .gateway-new.*; do [ -e $name ] && mv -T $name .trash.$$.$name; done; "
                        "rm -rf .trash.*; s6-svscanctl -an .; ln -sfn /run/outside .link; chown -h 10000:10000 .link"
                    ),
                ]
            )
            assert touched() == []
    finally:
        racer.kill()
        racer.wait(timeout=10)
    live.run(["sh", "-c", "cd /run/service; rm -rf .link .trash.* gateway-new .gateway-new.*; s6-svscanctl -an ."])
    live.init("register", "new", uid=0)
    live.init("unregister", "new", uid=0)
    assert touched() == []


def at_once(bed, *argvs):
    """Runs commands concurrently as the hermes user. Returns the stderr and exit code of each."""
    started = [
        subprocess.Popen(
            bed.command(["/run/bed/bin/hermes-init", *argv], HERMES), stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}, cwd="/"
        )
        for argv in argvs
    ]
    return [(process.communicate(timeout=60)[1], process.returncode) for process in started]


def test_words_at_the_same_time_are_each_kept_whole(live):
    for _ in range(12):
        said = at_once(live, *[[("start", "stop")[number % 2], "coder"] for number in range(8)])
        assert said == [(b"", 0)] * 8
        assert desired(live, "coder")["desired_state"] in ("running", "stopped")
    assert sorted(os.listdir(live.path("/opt/data/profiles/coder"))) == ["SOUL.md", "gateway_state.json"]


def test_one_of_two_starts_at_once_registers_and_both_start(live):
    live.profile("host", "stopped")
    holder = subprocess.Popen(live.command(["flock", "/run/service", "sleep", "1.5"]), stdin=subprocess.DEVNULL)
    wait_for(lambda: live.processes("sleep") and live.run(["flock", "-n", "/run/service", "true"]).returncode == 1, what="the lock")
    # Both find no slot and wait for the lock.
    said = at_once(live, ["start", "--wait", "host"], ["start", "--wait", "host"])
    holder.wait(timeout=20)
    assert said == [(b"", 0)] * 2 and live.svstat(live.slot("host")) == "up"
    supervised(live, 6)
