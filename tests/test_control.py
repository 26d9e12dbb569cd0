"""start, stop, restart and unregister: what is kept over the next boot, what came of a command, and as whom supervisors are commanded."""

import datetime
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import termios
import time

import pytest

from support.program import HERMES, wait_for
from support.testbed import Bed, desired, entries, replace_script, supervised

pytestmark = pytest.mark.s6
MARKER = ".gateway-planned-stop.json"
STAGING = ".gateway_state.json.tmp"

# A gateway that, when it goes down, copies the marker away and writes its own view of the state over what is there.
OWN_VIEW = r"""#!/bin/sh
[ "$1" = -p ] && home=/opt/data/profiles/$2 name=$2 || home=/opt/data name=default
read -r what < /run/bed/do.$name 2>/dev/null || what=take
ends() {
    [ -e $home/.gateway-planned-stop.json ] && cp -p $home/.gateway-planned-stop.json /run/bed/marker.$name
    [ $what = take ] && rm -f $home/.gateway-planned-stop.json
    sleep 0.4
    echo '{"gateway_state": "stopped", "desired_state": "running"}' > $home/.new && mv $home/.new $home/gateway_state.json
    exit 0
}
trap ends TERM
echo $$ > /run/bed/started.$name
while :; do sleep 60 & wait $!; done
"""


@pytest.fixture
def drains(live):
    """A live container, in which coder's gateway has its own view of the state."""
    replace_script(live.path("/run/bed/bin/hermes"), OWN_VIEW)
    restart(live)
    return live


def restart(bed):
    bed.run(["s6-svc", "-dk", bed.slot("coder")])
    wait_for(lambda: bed.svstat(bed.slot("coder")) == "down", what="down")
    time.sleep(0.2)
    bed.run(["s6-svc", "-u", bed.slot("coder")])
    wait_for(bed.path("/run/bed/started.coder").exists, what="the gateway")
    wait_for(lambda: bed.svstat(bed.slot("coder")) == "up", what="up")


def next_boot(bed):
    bed.run(["sh", "-c", "rm -rf /run/again; mkdir /run/again"])
    done = bed.init("reconcile", "--json", "--scandir", "/run/again")
    return {outcome["profile"]: outcome["action"] for outcome in map(json.loads, done.stdout.splitlines())}


def home(bed):
    return bed.path("/opt/data/profiles/coder")


def background(bed, *argv, uid=HERMES):
    return subprocess.Popen(
        bed.command(["/run/bed/bin/hermes-init", *argv], uid), stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}, cwd="/"
    )


def calls(bed, names, *argv, uid=0):
    """Runs hermes-init under strace. Returns the lines of these system calls, which succeed or not, with the paths of descriptors."""
    trace = f"/run/bed/trace.{uid}"
    bed.path(trace).unlink(missing_ok=True)
    done = bed.run(["strace", "-y", "-o", trace, "-e", f"trace={names}", "/run/bed/bin/hermes-init", *argv], uid)
    assert done.returncode == 0, (argv, done)
    return bed.path(trace).read_text().splitlines()


def place_of(lines, pattern, after=-1):
    """Returns the place of the first line after another one that a pattern is found in."""
    return next(place for place, line in enumerate(lines) if place > after and re.search(pattern, line))


class Fifo:
    """The reading end of a FIFO of the bed, beside the one of its supervisor, if it has one."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        return self

    def __exit__(self, *_):
        os.close(self.end)

    def pending(self):
        return struct.unpack("i", fcntl.ioctl(self.end, termios.FIONREAD, bytes(4)))[0]

    def read(self):
        return os.read(self.end, 100) if self.pending() else b""


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("options", [[], ["--wait"]])
def test_a_stop_is_kept_whatever_the_gateway_writes_while_it_goes_down(drains, uid, options):
    drains.init("stop", "coder", *options, uid=uid)
    assert drains.svstat(drains.slot("coder")) == "down" and desired(drains, "coder")["desired_state"] == "stopped"
    assert next_boot(drains)["coder"] == "registered"
    assert (home(drains) / "gateway_state.json").stat().st_uid == HERMES


@pytest.mark.parametrize("command", ["start", "stop", "restart", "unregister"])
def test_a_number_that_is_not_attached_to_wait_is_no_name_and_nothing_is_done(live, command):
    before = entries(live), desired(live, "coder"), live.pid_of(live.slot("coder"))
    done = live.init(command, "--wait", "5", "coder", uid=HERMES, code=100)
    assert b"--wait=5" in done.stderr and done.stderr.count(b"\n") == 1, done
    assert (entries(live), desired(live, "coder"), live.pid_of(live.slot("coder"))) == before
    # A profile that is called so is the one that is meant.
    live.profile("5", "stopped")
    assert live.init(command, "--wait", "5", uid=HERMES, code=100).stderr == done.stderr
    live.init("start", "--wait", "--", "5", uid=HERMES)
    assert live.svstat("/run/service/gateway-5") == "up"


def test_a_stop_that_is_killed_has_kept_its_word_before(live):
    live.tell("coder", "stubborn")
    live.path("/run/bed/identity.coder").unlink(missing_ok=True)
    live.init("restart", "coder", uid=HERMES)
    live.record("coder")
    process = background(live, "stop", "coder")
    wait_for(lambda: desired(live, "coder").get("desired_state") == "stopped", what="the word")
    for pid in live.processes("hermes-init"):
        live.run(["kill", "-9", str(pid)])
    process.communicate(timeout=20)
    assert live.svstat(live.slot("coder")) == "up" and desired(live, "coder")["desired_state"] == "stopped"


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("command", ["stop", "restart", "unregister"])
def test_a_gateway_is_told_that_it_is_stopped(drains, command, uid):
    pid = drains.pid_of(drains.slot("coder"))
    fields = drains.path(f"/proc/{pid}/stat").read_text().split()
    drains.init(command, "coder", uid=uid)
    told = drains.path("/run/bed/marker.coder")
    marker = json.loads(told.read_text())
    assert list(marker) == ["target_pid", "target_start_time", "stopper_pid", "written_at"]
    assert (marker["target_pid"], marker["target_start_time"]) == (pid, int(fields[21])) and marker["stopper_pid"] > 1
    written = datetime.datetime.fromisoformat(marker["written_at"])
    assert abs((datetime.datetime.now(datetime.UTC) - written).total_seconds()) < 60
    assert (told.stat().st_uid, told.stat().st_gid, told.stat().st_mode & 0o777) == (HERMES, HERMES, 0o644)
    assert sorted(os.listdir(home(drains))) == ["SOUL.md", "gateway_state.json"]


@pytest.mark.parametrize("command", ["stop", "restart", "unregister"])
def test_a_marker_that_the_gateway_has_not_read_is_removed(drains, command):
    drains.tell("coder", "leave")
    drains.path("/run/bed/started.coder").unlink()
    restart(drains)
    drains.path(f"/opt/data/profiles/coder/{MARKER}").write_text("of an earlier stop")
    drains.init(command, "coder")
    assert "target_pid" in drains.path("/run/bed/marker.coder").read_text() and not (home(drains) / MARKER).exists()


@pytest.mark.strace
def test_a_gateway_that_is_down_gets_no_marker_and_a_link_there_leads_nowhere(live):
    live.init("stop", "coder", uid=HERMES)
    outside = live.path("/run/outside")
    outside.write_text("root's")
    told, written = r'write\(.*/gateway-coder/supervise/control>, "d"', rf'rename\w*\(.*"{MARKER}".*\) = 0'
    names = "write,rename,renameat,renameat2,linkat,openat"
    lines = calls(live, names, "stop", "coder")
    assert place_of(lines, told) and not [line for line in lines if MARKER in line and re.search("^rename|^link|O_CREAT|O_WRONLY", line)], (
        lines
    )
    live.init("start", "--wait", "coder")
    (home(live) / MARKER).symlink_to("/run/outside")
    (home(live) / STAGING).symlink_to("/run/outside")
    lines = calls(live, names, "stop", "coder")
    # The gateway finds it when it is told to end.
    assert place_of(lines, written) < place_of(lines, told)
    assert outside.read_text() == "root's" and sorted(os.listdir(home(live))) == ["SOUL.md", "gateway_state.json"]


def test_stop_of_a_profile_without_a_slot_keeps_the_word(live):
    live.profile("host", "running")
    assert b"host has no slot" in live.init("stop", "host", uid=HERMES).stderr
    assert next_boot(live)["host"] == "registered"
    assert "gateway-host" not in entries(live)


@pytest.mark.parametrize("command", ["register", "unregister", "start", "stop", "restart"])
def test_a_bad_name_is_refused_before_the_scan_directory_is_opened_and_before_anything_is_done(live, command):
    done = live.init(command, "Bad", "--scandir", "/nowhere", uid=HERMES, code=100)
    assert b"use the profile" in done.stderr and b"/nowhere" not in done.stderr
    if command in ("stop", "restart"):
        pid = live.pid_of(live.slot("coder"))
        live.init(command, "coder", "Bad", uid=HERMES, code=100)
        assert live.pid_of(live.slot("coder")) == pid


def supervisor_of(bed, service):
    return next(pid for pid in bed.supervisors() if os.readlink(bed.path(f"/proc/{pid}/cwd")).endswith(service))


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_a_command_that_nobody_follows_is_not_believed(live, command):
    """A stopped supervisor leaves its commands in the FIFO, as one whose commands somebody else reads."""
    if command == "start":
        live.init("stop", "coder", uid=HERMES)
    pid = supervisor_of(live, "gateway-coder")
    live.run(["kill", "-STOP", str(pid)])
    try:
        start = time.monotonic()
        done = live.init(command, "coder", *([] if command == "start" else ["--wait=1"]), uid=HERMES, code=1)
        assert time.monotonic() - start < 12
        assert (b"has not obeyed" if command == "start" else b"it is not down yet") in done.stderr
    finally:
        live.run(["kill", "-CONT", str(pid)])


def in_place_of(bed, control, mode="600", group=0):
    """Puts a second hard link of a FIFO of root's in the place of a control, as whoever owns the directory can. Returns the FIFO."""
    done = bed.run(
        [
            "sh",
            "-ec",
            (
                f"mkdir -p -m 711 /run/other; mkfifo /run/other/control; chgrp {group} /run/other/control; "
                f"chmod {mode} /run/other/control; mv {control} {control}.true; ln /run/other/control {control}"
            ),
        ]
    )
    assert done.returncode == 0, done
    return Fifo(bed.path("/run/other/control"))


def with_groups(bed, *argv):
    """Starts hermes-init as a root with supplementary groups."""
    return subprocess.Popen(
        bed.command(["setpriv", "--groups", "0,998", "/run/bed/bin/hermes-init", *argv]),
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
    )


@pytest.fixture
def sealed():
    with Bed(environment={"HERMES_INIT_SEALED": "1"}) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.profile("new")
        yield bed


@pytest.mark.parametrize("mode, group", [("600", 0), ("660", 0), ("660", 998)])
@pytest.mark.parametrize("owned", ["slot", "supervise"])
def test_root_commands_a_supervisor_as_the_owner_of_the_slot_or_of_supervise(live, owned, mode, group):
    slot = live.slot("coder")
    if owned == "supervise":
        live.run(["chown", "0:0", slot])
    with in_place_of(live, f"{slot}/supervise/control", mode, group) as fifo:
        process = with_groups(live, "stop", "--wait=1", "coder")
        said = process.communicate(timeout=30)[1]
        assert process.returncode not in (0, -9) and b"supervise/control: Permission denied" in said, (process.returncode, said)
        assert fifo.read() == b"" and live.svstat(slot) == "up"


@pytest.mark.parametrize("mode, group", [("600", 0), ("660", 0), ("660", 998)])
@pytest.mark.parametrize("owned", ["scan directory", ".s6-svscan"])
def test_root_commands_svscan_as_the_owner_of_the_scan_directory_or_of_its_own(live, owned, mode, group):
    live.profile("new")
    if owned == ".s6-svscan":
        live.run(["sh", "-ec", f"chown 0:0 /run/service; chown {HERMES}:{HERMES} /run/service/.s6-svscan"])
    with in_place_of(live, "/run/service/.s6-svscan/control", mode, group) as fifo:
        process = with_groups(live, "register", "new")
        said = process.communicate(timeout=30)[1]
        assert process.returncode == 1 and b".s6-svscan/control: Permission denied" in said, (process.returncode, said)
        assert fifo.read() == b"" and entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]


def test_sealed_root_commands_as_itself(sealed):
    """There, nobody else can exchange anything."""
    slot = sealed.slot("coder")
    with in_place_of(sealed, f"{slot}/supervise/control") as fifo:
        process = with_groups(sealed, "stop", "coder")
        assert wait_for(fifo.read, what="the command") == b"d"
        sealed.run(["sh", "-ec", f"rm /run/other/control; cd {slot}/supervise; mv control.true control"])
        sealed.run(["timeout", "5", "s6-svc", "-d", slot])
        assert process.communicate(timeout=30)[1] == b"" and process.returncode == 0
    with in_place_of(sealed, "/run/service/.s6-svscan/control") as fifo:
        process = with_groups(sealed, "register", "new")
        assert wait_for(fifo.read, what="the command") == b"a"
        sealed.run(["mv", "/run/service/.s6-svscan/control.true", "/run/service/.s6-svscan/control"])
        sealed.rescan()
        assert process.communicate(timeout=30)[1] == b"" and process.returncode == 0


def test_what_the_hermes_user_puts_in_the_way_of_roots_commands_leads_nowhere(live):
    slot = live.slot("coder")
    live.profile("new")
    live.path("/run/rootfile").write_text("root's")
    live.path("/run/rootfile").chmod(0o600)
    live.path("/run/roots").mkdir(mode=0o700)
    done = live.run(
        [
            "sh",
            "-ec",
            (
                f"cd {slot}; mv event .event; ln -s /run/roots event; cd /run/service; mv .s6-svscan .x; mkdir .s6-svscan; "
                "ln -s /run/rootfile .s6-svscan/control"
            ),
        ],
        uid=HERMES,
    )
    assert done.returncode == 0, done
    live.init("register", "new", code=1)
    live.init("stop", "coder", "--wait=5")
    live.init("start", "coder", "--wait=5")
    live.init("status")
    assert live.path("/run/rootfile").read_text() == "root's" and os.listdir(live.path("/run/roots")) == []


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize(
    "argv, link, target, code",
    [
        (["unregister", "coder"], "gateway-coder/supervise", "/run/other", 0),
        (["unregister", "coder"], "gateway-coder/supervise/control", "/run/other/control", 0),
        (["register", "new"], ".s6-svscan", "/run/other", 1),
        (["register", "new"], ".s6-svscan/control", "/run/other/control", 1),
    ],
    ids=["supervise", "supervise/control", ".s6-svscan", ".s6-svscan/control"],
)
def test_a_symlink_leads_no_command_to_another_service(live, argv, link, target, code, uid):
    """Not even to one that everybody may command."""
    live.profile("new")
    live.run(
        [
            "sh",
            "-ec",
            (
                "mkdir /run/other; mkfifo /run/other/control; chmod 666 /run/other/control; "
                f"cp {live.slot('coder')}/supervise/status /run/other; cd /run/service; mv {link} {link}.true; ln -s {target} {link}"
            ),
        ]
    )
    with Fifo(live.path("/run/other/control")) as fifo:
        live.init(*argv, uid=uid, code=code)
        assert fifo.read() == b"" and {"control", "status"} <= set(os.listdir(live.path("/run/other")))


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_what_is_no_fifo_gets_no_command(live, uid):
    live.profile("new")
    script = "cd /run/service; mv .s6-svscan .true; mkdir .s6-svscan; echo kept > .s6-svscan/control"
    assert live.run(["sh", "-ec", script], uid=HERMES).returncode == 0
    done = live.init("register", "new", uid=uid, code=1)
    assert b"no process reads /run/service/.s6-svscan/control" in done.stderr and "gateway-new" not in entries(live)
    assert (live.path("/run/service/.s6-svscan") / "control").read_text() == "kept\n"


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_fifo_instead_of_the_status_keeps_nobody_waiting(live, uid):
    done = live.run(["sh", "-ec", f"cd {live.slot('coder')}/supervise; mv status old; mkfifo status"], uid=HERMES)
    assert done.returncode == 0, done
    start = time.monotonic()
    done = live.init("status", uid=uid, code=1)
    assert b"supervise/status: not a regular file" in done.stdout
    assert b"supervise/status: not a regular file" in live.init("stop", "coder", uid=uid, code=111).stderr
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize(
    "command, replace",
    [
        (["stop", "coder"], "cd gateway-coder/supervise; mv control control.true"),
        (["register", "new"], "mv .s6-svscan .true; mkdir .s6-svscan; cd .s6-svscan"),
    ],
    ids=["stop", "register"],
)
def test_a_full_control_that_nobody_reads_keeps_nobody_waiting(live, command, replace, uid):
    live.profile("new")
    script = (
        f"cd /run/service; {replace}; mkfifo control; exec 3<> control; "
        "dd if=/dev/zero of=control oflag=nonblock bs=4096 2> /dev/null || :; touch /run/bed/full; exec sleep 100"
    )
    holder = subprocess.Popen(live.command(["sh", "-ec", script], HERMES), stdin=subprocess.DEVNULL)
    try:
        wait_for(live.path("/run/bed/full").exists, what="the full FIFO")
        start = time.monotonic()
        done = live.init(*command, uid=uid, timeout=15, code=None)
        assert done.returncode in (1, 111) and b"control: it is full: its reader has not read it for 2 seconds" in done.stderr, done
        # A registration is taken back, for which s6-svscan is told again.
        assert time.monotonic() - start < 7.5
    finally:
        # It has replaced the shell, which nsenter has forked.
        for pid in live.processes("sleep"):
            if live.path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00100\x00":
                live.run(["kill", str(pid)])
        holder.wait(timeout=20)


@pytest.mark.strace
def test_nothing_is_asked_of_a_name_that_no_profile_has(live):
    live.run(["sh", "-ec", "cd /run/service; cp -r gateway-coder .Evil; rm -rf .Evil/supervise .Evil/log; mv .Evil gateway-Evil"])
    live.rescan()
    wait_for(lambda: live.svstat("/run/service/gateway-Evil"), what="its supervisor")
    rows = {row["profile"]: row for row in map(json.loads, live.init("status", "--json").stdout.splitlines())}
    assert rows["Evil"]["state"] == "unknown" and rows["Evil"]["note"] == "no profile can have a slot of this name"
    lines = calls(live, "openat,openat2", "status")
    asked = {
        match[1] for line in lines if (match := re.search(r'/run/service/(gateway-\w+)[^>]*>, "(supervise/)?(status|death_tally)"', line))
    }
    assert asked == {"gateway-coder", "gateway-default"}, lines


def test_a_full_disk_leaves_the_state_file_as_it_is_and_nothing_else(live):
    directory = home(live)
    (directory / "gateway_state.json").write_text("broken")
    done = live.run(["sh", "-c", "mount -o remount,size=64k /opt/data; dd if=/dev/zero of=/opt/data/fill bs=4k 2>/dev/null; df /opt/data"])
    assert b"100%" in done.stdout, done
    done = live.init("stop", "coder", uid=HERMES, code=1)
    assert b"the next boot may not know" in done.stderr and b"No space left" in done.stderr
    assert sorted(os.listdir(directory)) == ["SOUL.md", "gateway_state.json"]
    assert (directory / "gateway_state.json").read_text() == "broken"


@pytest.mark.strace
def test_where_there_are_no_hard_links_a_broken_state_file_is_renamed(live):
    directory = home(live)
    (directory / "gateway_state.json").write_text("broken")
    done = live.run(["strace", "-f", "-o", "/dev/null", "-e", "inject=linkat:error=EPERM", "/run/bed/bin/hermes-init", "stop", "coder"])
    assert done.returncode == 0 and (directory / "gateway_state.json.broken").read_text() == "broken", done
    assert desired(live, "coder")["desired_state"] == "stopped"


def test_unregistrations_at_once_all_succeed_also_right_after_a_registration(live):
    live.profile("new")
    for _ in range(8):
        live.init("register", "new", uid=HERMES)
        at_once = [background(live, "unregister", "new", uid=(HERMES, 0)[number % 2]) for number in range(4)]
        for process in at_once:
            assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
        assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
    supervised(live, 4)


def test_a_registration_and_an_unregistration_at_once_leave_no_supervisor(live):
    live.profile("new")
    for number in range(15):
        making = background(live, "register", "new", "--down")
        time.sleep(number / 500)
        ending = background(live, "unregister", "new")
        for process in (ending, making):
            process.communicate(timeout=60)
        live.init("unregister", "new", uid=HERMES)
    assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
    supervised(live, 4)


def svscan_has_looked(lines, gone):
    """Fails if s6-svscan has not carried out a scan when the first part of a hidden slot is removed. It has done so when it reads the
    next command. Returns the places of the commands."""
    removed = place_of(lines, rf"unlinkat\(.*{re.escape(gone)}.* = 0$")
    told = [place for place, line in enumerate(lines) if re.search(r'write\(.*/\.s6-svscan/control>, "an", 2\) = 2', line)]
    assert len(told) == 2 and told[1] < removed, lines
    for place in told:
        assert place < place_of(lines, r"ioctl\(.*/\.s6-svscan/control>, FIONREAD, \[0\]", after=place) < removed, lines
    return told


LOOKING = "write,ioctl,unlinkat,rename,renameat,renameat2"


@pytest.mark.strace
@pytest.mark.parametrize("uid", [HERMES, 0])
def test_unregister_always_has_svscan_look_before_the_tree_goes(live, uid):
    """Also if nobody has told s6-svscan of the slot."""
    live.profile("quiet", "stopped")
    live.init("reconcile")
    lines = calls(live, LOOKING, "unregister", "quiet", uid=uid)
    told = svscan_has_looked(lines, ".gateway-quiet.gone.tmp")
    assert place_of(lines, r'renameat2\(.*"gateway-quiet", .*"\.gateway-quiet\.gone\.tmp".*= 0$') < told[0], lines


@pytest.mark.strace
def test_a_pass_sweeps_an_interrupted_unregistration_after_svscan_has_looked(live):
    live.init("stop", "coder", uid=HERMES)
    live.run(["sh", "-ec", "cd /run/service; cp -r gateway-default .gateway-new.gone.tmp; chown -R 10000:10000 .gateway-new.gone.tmp"])
    svscan_has_looked(calls(live, LOOKING, "reconcile"), ".gateway-new.gone.tmp")
    assert ".gateway-new.gone.tmp" not in entries(live)


@pytest.mark.strace
@pytest.mark.parametrize("uid", [HERMES, 0])
def test_unregister_ends_a_logger_whose_pipe_a_child_of_the_gateway_holds(live, uid):
    """s6-log ignores SIGTERM (`-p`), and would wait for the end of its input. After SIGHUP it writes what it has read."""
    live.profile("new")
    live.init("register", "new", uid=uid)
    live.record("new")
    wait_for(lambda: len(live.processes("sleep")) == 2, what="the child, beside that of coder")
    start = time.monotonic()
    lines = calls(live, "write", "unregister", "new", uid=uid)
    assert time.monotonic() - start < 6 and len(live.processes("sleep")) == 2
    commands = [match[1] for line in lines if (match := re.search(r'/\.gateway-new\.gone\.tmp/log/supervise/control>, "(\w+)"', line))]
    assert commands == ["xh"], lines
    assert "started new" in live.path("/opt/data/logs/gateways/new/current").read_text() and "gateway-new" not in entries(live)
    supervised(live, 4)


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_an_svscan_that_reads_nothing_is_said_and_the_slot_keeps_its_name(live, uid):
    """Its supervisors, which only s6-svscan can end, would work in a tree that is gone."""
    supervisors = live.supervisors()
    os.kill(live.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        done = live.init("unregister", "coder", uid=uid, timeout=20, code=111)
        assert (
            b"unable to send a command to s6-svscan: it has not read its control FIFO for 5 seconds" in done.stderr
            and time.monotonic() - start < 9
        )
    finally:
        os.kill(live.pid, signal.SIGCONT)
    assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"] and live.supervisors() == supervisors
    live.init("unregister", "coder", uid=uid)
    assert entries(live) == [".s6-svscan", "gateway-default"]
    supervised(live, 2)


def test_killed_registrations_block_no_name(live):
    live.profile("new")
    for name in ["new", *[f"new.{number}" for number in range(2, 10)], "new.file"]:
        live.run(["sh", "-ec", f"mkdir -m 700 /run/service/.gateway-{name}.tmp; echo > /run/service/.gateway-{name}.tmp/run"], uid=HERMES)
    live.init("register", "new", uid=HERMES)
    assert [name for name in entries(live) if name.startswith(".gateway-new") and ".file" not in name] == []
    live.init("unregister", "new", uid=HERMES)


def test_unregister_waits_as_long_as_it_is_told(live):
    live.profile("new")
    live.tell("new", "stubborn")
    live.init("register", "new", uid=HERMES)
    live.record("new")
    start = time.monotonic()
    assert b"has not stopped in time: killing it" in live.init("unregister", "new", "--wait=1", uid=HERMES).stderr
    assert 1 <= time.monotonic() - start < 6
    live.init("unregister", "new", "--wait=0", code=100)


def test_restarts_at_once_all_succeed(live):
    for _ in range(3):
        at_once = [background(live, "restart", "--wait=20", "coder") for _ in range(3)]
        for process in at_once:
            assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
        assert live.svstat(live.slot("coder")) == "up"
    assert not (home(live) / MARKER).exists()


@pytest.mark.parametrize("command", ["start", "stop"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_state_of_roots_is_handed_over_unless_it_has_another_name(live, command, linked):
    state = home(live) / "gateway_state.json"
    state.write_text('{"gateway_state": "running", "kept": 1}')
    os.chown(state, 0, 0)
    state.chmod(0o600)
    if linked:
        os.link(state, live.path("/opt/data/other"))
    live.init(command, "coder")
    wanted = {"start": "running", "stop": "stopped"}[command]
    now = desired(live, "coder")
    assert (now["desired_state"], now["kept"]) == (wanted, 1)
    assert (state.stat().st_uid, state.stat().st_mode & 0o777) == (0 if linked else HERMES, 0o600)
    said = live.init("status", "coder", uid=HERMES).stdout
    assert (b"Permission denied" in said) == linked, said


@pytest.mark.parametrize("content", [b'{"token": "secret"}', b"{}", b'["secret"]', b"secret"])
@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_what_is_private_to_root_does_not_become_the_hermes_users_by_its_name(live, verb, content):
    """The hermes user can rename any file in his directories."""
    profile = live.profile("coder", "running")
    live.init("start", "coder")
    state, private = profile / "gateway_state.json", profile / "private"
    private.write_bytes(content)
    os.chown(private, 0, 0)
    private.chmod(0o600)
    os.rename(private, state)
    is_object = content.startswith(b"{")
    done = live.init(verb, "coder", code=1 if is_object else 0)
    if is_object:
        assert b"unable to use profiles/coder/gateway_state.json: it is private to root, and has neither gateway_state" in done.stderr
        assert (state.read_bytes(), state.stat().st_uid, state.stat().st_mode & 0o777) == (content, 0, 0o600)
        # What was asked for is done all the same.
        state = "down" if verb == "stop" else "up"
        wait_for(lambda: live.svstat(live.slot("coder")) == state, 10, state)
    for path in profile.iterdir():
        if path.stat().st_uid == HERMES:
            assert path.is_dir() or b"secret" not in path.read_bytes(), path


@pytest.mark.parametrize("marker, stays", [("", False), ('{"target_pid":1}', True), ('{"target_pid":1,"target_start_time":1}', False)])
def test_only_the_marker_of_a_gateway_that_is_gone_is_removed_beside_a_newer_one(live, marker, stays):
    """Another command has ended the gateway and started a new one, and may have written a marker for that one."""
    file, supervisor = home(live) / MARKER, supervisor_of(live, "gateway-coder")
    old = live.pid_of(live.slot("coder"))
    control = live.path(live.slot("coder")) / "supervise/control"
    live.run(["kill", "-STOP", str(supervisor)])
    try:
        stopping = background(live, "stop", "coder")
        with Fifo(control) as fifo:
            assert wait_for(fifo.read, what="the command") == b"d"
            if marker:
                file.write_text(marker)
            # The supervisor, which keeps the service up, starts a new gateway.
            control.write_bytes(b"k")
    finally:
        live.run(["kill", "-CONT", str(supervisor)])
    assert stopping.communicate(timeout=30)[1] == b"" and stopping.returncode == 0
    assert live.pid_of(live.slot("coder")) not in (old, -1)
    assert file.exists() == stays


@pytest.mark.parametrize("ends", ["exit 0", "exit 1", "exit 78"])
def test_a_gateway_that_dies_at_once_is_not_up(live, ends):
    live.init("stop", "coder", uid=HERMES)
    live.tell("coder", ends)
    start = time.monotonic()
    done = live.init("start", "--wait=3", "coder", uid=HERMES, code=1)
    assert (b"it is not up yet, or has been up for less than a second" if ends == "exit 1" else b"stays down") in done.stderr
    assert time.monotonic() - start < 9
    live.init("stop", "coder", uid=HERMES)
    live.tell("coder", "sleep")
    start = time.monotonic()
    live.init("start", "--wait=3", "coder", uid=HERMES)
    assert time.monotonic() - start >= 1 and live.svstat(live.slot("coder")) == "up"


def test_a_start_while_the_gateway_goes_down_brings_a_new_one_up(drains):
    """Its finish, which runs after the order, would keep it down."""
    pid = drains.pid_of(drains.slot("coder"))
    stopping = background(drains, "stop", "coder")
    wait_for(drains.path("/run/bed/marker.coder").exists, what="the end")
    drains.init("start", "--wait", "coder", uid=HERMES)
    assert stopping.communicate(timeout=30)[1] == b""
    assert drains.pid_of(drains.slot("coder")) not in (-1, pid) and desired(drains, "coder")["desired_state"] == "running"


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_directory_without_soul_md_is_said_by_every_command(live, uid):
    live.profile("bare")
    (live.path("/opt/data/profiles/bare") / "SOUL.md").unlink()
    for command in ("start", "stop", "restart", "register"):
        done = live.init(command, "bare", uid=uid, code=1)
        assert b"unable to use the profile profiles/bare: it has no SOUL.md, so it is not a profile" in done.stderr, done
    assert "gateway-bare" not in entries(live)
    (live.path("/opt/data/profiles/bare") / "SOUL.md").touch()
    live.init("register", "bare", uid=uid)
    (live.path("/opt/data/profiles/bare") / "SOUL.md").unlink()
    assert b"SOUL.md" in live.init("stop", "bare", uid=uid, code=1).stderr
    for names in ([], ["bare"]):
        done = live.init("status", *names, uid=uid)
        assert b"it has no SOUL.md, so it is not a profile; restore the file, or remove the slot: " in done.stdout, done
    # What is left of a deleted profile is no fault, and goes with the command that is named.
    assert live.init("health", "bare", uid=uid).stdout == b""
    done = live.init("unregister", "bare", uid=uid)
    assert done.stderr == (
        b"hermes-init unregister: info: the slot of bare is gone; what is left of its profile has no SOUL.md, and stays as it is\n"
    )
    assert "gateway-bare" not in entries(live) and live.path("/opt/data/profiles/bare").is_dir()


def test_a_slot_that_svscan_has_missed_is_published_anew(live):
    live.profile("quiet", "stopped")
    live.init("reconcile")
    slot = live.path(live.slot("quiet"))
    (slot / "env").mkdir(mode=0o700)
    (slot / "env/KEY").write_text("value\n")
    (slot / "env/KEY").chmod(0o600)
    for path in (slot / "env", slot / "env/KEY"):
        os.chown(path, HERMES, HERMES)
    before = slot.stat().st_ino
    # One that takes nothing for now.
    os.kill(live.pid, signal.SIGSTOP)
    try:
        starting = background(live, "start", "--wait", "quiet")
        wait_for(lambda: slot.exists() and slot.stat().st_ino != before, 8, "a new inode")
    finally:
        os.kill(live.pid, signal.SIGCONT)
    assert starting.communicate(timeout=30)[1] == b"" and starting.returncode == 0
    assert live.svstat(live.slot("quiet")) == "up" and (slot / "env/KEY").read_text() == "value\n"
    supervised(live, 6)


def test_a_wait_for_a_supervisor_is_done_once_by_the_clock(live):
    live.profile("quiet", "stopped")
    os.kill(live.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        done = live.init("start", "quiet", uid=HERMES, code=1)
        assert b"unable to start a supervisor for gateway-quiet: s6-svscan has not read its control FIFO for 10 seconds" in done.stderr
        assert 9 < time.monotonic() - start < 12.5
        start = time.monotonic()
        live.init("start", "quiet", uid=HERMES, code=1)
        assert time.monotonic() - start < 12.5
    finally:
        os.kill(live.pid, signal.SIGCONT)


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_symlink_to_a_service_is_left_to_what_has_made_it(live, uid):
    live.run(
        [
            "sh",
            "-ec",
            (
                "mkdir -p /run/other/web; printf '#!/bin/sh\\nexec sleep 1000\\n' > /run/other/web/run; chmod 755 /run/other/web/run; "
                "cd /run/service; ln -s /run/other/web gateway-web; ln -s /run/other/web gateway-web.tmp"
            ),
        ]
    )
    live.profile("web", "running")
    live.rescan()
    wait_for(lambda: live.svstat("/run/service/gateway-web") == "up", what="the service")
    pid = live.pid_of("/run/service/gateway-web")
    for command in ("unregister", "start", "stop", "restart", "register"):
        done = live.init(command, "web", uid=uid, code=1)
        assert b"a symlink, not a slot" in done.stderr, done
    assert b"a symlink, not a slot" in live.init("status", uid=uid).stdout
    done = live.init("reconcile", uid=uid, code=1)
    assert b"remove the leftover gateway-web.tmp" in done.stderr and b"a symlink" in done.stderr
    assert live.pid_of("/run/service/gateway-web") == pid
    assert {"gateway-web", "gateway-web.tmp"} <= set(entries(live))
