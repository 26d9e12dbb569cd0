"""start, stop, restart and unregister: what is kept over the next boot, what came of a command, and as whom s6's tools run."""

import datetime
import json
import os
import signal
import subprocess
import time

import pytest

from bed import HERMES, Bed, wait_for
from test_lifecycle import desired, entries, supervised

pytestmark = pytest.mark.s6
MARKER = ".gateway-planned-stop.json"

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
    live.path("/run/bed/bin/hermes").write_text(OWN_VIEW)
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
    return subprocess.Popen(bed.command(["/run/bed/bin/hermes-init", *argv], uid), stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}, cwd="/")


def replace_tool(bed, name, script):
    """Has a script stand in for one of s6's tools; the tool itself is /run/bed/real/NAME."""
    bed.run(["sh", "-ec", f"mkdir -p /run/bed/real; cp /usr/bin/{name} /run/bed/real/{name}"])
    (bed.path("/run/bed/real") / f"{name}.sh").write_text("#!/bin/sh\n" + script)
    done = bed.run(["sh", "-ec", f"chmod 755 /run/bed/real/*; mount --bind /run/bed/real/{name}.sh /usr/bin/{name}"])
    assert done.returncode == 0, done


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("options", [[], ["--wait"]])
def test_a_stop_is_kept_whatever_the_gateway_writes_while_it_goes_down(drains, uid, options):
    drains.init("stop", "coder", *options, uid=uid)
    assert drains.svstat(drains.slot("coder")) == "down" and desired(drains, "coder")["desired_state"] == "stopped"
    assert next_boot(drains)["coder"] == "registered"
    assert (home(drains) / "gateway_state.json").stat().st_uid == HERMES


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


def test_a_gateway_that_is_down_gets_no_marker_and_a_link_there_leads_nowhere(live):
    live.init("stop", "coder", uid=HERMES)
    outside = live.path("/run/outside")
    outside.write_text("root's")
    replace_tool(live, "s6-svc", 'ls -A /opt/data/profiles/coder > /run/bed/seen\nexec /run/bed/real/s6-svc "$@"\n')
    live.init("stop", "coder")
    assert MARKER not in live.path("/run/bed/seen").read_text()
    live.init("start", "--wait", "coder")
    (home(live) / MARKER).symlink_to("/run/outside")
    (home(live) / f"{MARKER}.tmp").symlink_to("/run/outside")
    live.init("stop", "coder")
    assert MARKER in live.path("/run/bed/seen").read_text()
    assert outside.read_text() == "root's" and sorted(os.listdir(home(live))) == ["SOUL.md", "gateway_state.json"]


def test_stop_of_a_profile_without_a_slot_keeps_the_word(live):
    live.profile("host", "running")
    assert b"host has no slot" in live.init("stop", "host", uid=HERMES).stderr
    assert next_boot(live)["host"] == "registered"
    assert "gateway-host" not in entries(live)


@pytest.mark.parametrize("command", ["register", "unregister", "start", "stop", "restart"])
def test_a_bad_name_is_refused_before_the_scan_directory_is_opened_and_before_anything_is_done(live, command):
    done = live.init(command, "Bad", "--scandir", "/nowhere", uid=HERMES, code=100)
    assert b"take the profile" in done.stderr and b"scan directory" not in done.stderr
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
        assert (b"has not followed" if command == "start" else b"it is not down yet") in done.stderr
    finally:
        live.run(["kill", "-CONT", str(pid)])


@pytest.mark.parametrize("sealed, uid", [(False, 0), (False, HERMES), (True, 0)])
def test_roots_tools_run_as_the_owner_of_what_they_act_on(sealed, uid):
    with Bed(environment={"HERMES_INIT_SEALED": "1"} if sealed else None) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        for tool in ("s6-svc", "s6-svstat", "s6-svscanctl"):
            replace_tool(bed, tool, f'echo {tool} $(id -u) $(id -g) $(id -G) >> /run/bed/calls\nexec /run/bed/real/{tool} "$@"\n')
        bed.path("/run/bed/calls").touch()
        bed.path("/run/bed/calls").chmod(0o666)
        for argv in (["register", "new"], ["stop", "new"], ["status"], ["unregister", "new"]):
            bed.profile("new", "running")
            done = bed.run(["setpriv", "--groups", "0,998", "/run/bed/bin/hermes-init", *argv]) if uid == 0 else bed.init(*argv, uid=uid)
            assert done.returncode == 0 and b"unable" not in done.stderr, (argv, done)
        calls = {tuple(line.split()) for line in bed.path("/run/bed/calls").read_text().splitlines()}
        expected = ("0", "0", "0", "998") if sealed else ("10000", "10000", "10000")
        assert calls == {(tool, *expected) for tool in ("s6-svc", "s6-svstat", "s6-svscanctl")}


def test_what_the_hermes_user_puts_in_the_way_of_roots_tools_leads_nowhere(live):
    slot = live.slot("coder")
    live.path("/run/rootfile").write_text("root's")
    live.path("/run/rootfile").chmod(0o600)
    live.path("/run/roots").mkdir(mode=0o700)
    done = live.run(["sh", "-ec", f"cd {slot}; mv event .event; ln -s /run/roots event; cd /run/service; mv .s6-svscan .x; mkdir .s6-svscan; "
                                  "ln -s /run/rootfile .s6-svscan/control"], uid=HERMES)
    assert done.returncode == 0, done
    live.init("register", "new", code=1)
    live.init("stop", "coder", "--wait=5")
    live.init("start", "coder", "--wait=5")
    live.init("status")
    assert live.path("/run/rootfile").read_text() == "root's" and os.listdir(live.path("/run/roots")) == []


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_fifo_instead_of_the_status_keeps_nobody_waiting(live, uid):
    done = live.run(["sh", "-ec", f"cd {live.slot('coder')}/supervise; mv status old; mkfifo status"], uid=HERMES)
    assert done.returncode == 0, done
    start = time.monotonic()
    done = live.init("status", uid=uid, code=1)
    assert b"supervise/status" in done.stdout and b"FIFO" in done.stdout
    assert b"supervise/status" in live.init("stop", "coder", uid=uid, code=111).stderr
    assert time.monotonic() - start < 4


def test_a_tool_that_does_not_end_is_ended(live):
    replace_tool(live, "s6-svstat", "trap '' TERM\necho $$ > /run/bed/tool\nexec sleep 1000\n")
    start = time.monotonic()
    done = live.init("stop", "coder", code=111)
    assert b"s6-svstat" in done.stderr and b"timed out" in done.stderr and time.monotonic() - start < 10
    pid = int(live.path("/run/bed/tool").read_text())
    assert not live.path(f"/proc/{pid}").exists()


def test_what_a_tool_says_is_shown_escaped(live):
    replace_tool(live, "s6-svc", "printf 's6-svc: fatal: \\033[2Jno\\nprofile=x action=started\\n' >&2; exit 111\n")
    done = live.init("stop", "coder", uid=HERMES, code=111)
    assert rb'it exited 111 and said "s6-svc: fatal: \u001b[2Jno\nprofile=x action=started"' in done.stderr
    assert done.stderr.count(b"\n") == 1 and done.stdout == b""


def test_nothing_is_asked_of_a_name_that_no_profile_has(live):
    live.run(["sh", "-ec", "cd /run/service; cp -r gateway-coder .Evil; rm -rf .Evil/supervise .Evil/log; mv .Evil gateway-Evil"])
    live.rescan()
    wait_for(lambda: live.svstat("/run/service/gateway-Evil"), what="its supervisor")
    replace_tool(live, "s6-svstat", 'pwd >> /run/bed/asked\nexec /run/bed/real/s6-svstat "$@"\n')
    rows = {row["profile"]: row for row in map(json.loads, live.init("status", "--json").stdout.splitlines())}
    assert rows["Evil"]["state"] == "unknown" and rows["Evil"]["note"] == "no profile can have this slot"
    assert set(live.path("/run/bed/asked").read_text().split()) == {live.slot("coder"), live.slot("default")}


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
    for _ in range(8):
        live.init("register", "new", uid=HERMES)
        at_once = [background(live, "unregister", "new", uid=(HERMES, 0)[number % 2]) for number in range(4)]
        for process in at_once:
            assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
        assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
    supervised(live, 4)


def test_a_registration_and_an_unregistration_at_once_leave_no_supervisor(live):
    for number in range(15):
        making = background(live, "register", "new", "--down")
        time.sleep(number / 500)
        ending = background(live, "unregister", "new")
        for process in (ending, making):
            process.communicate(timeout=60)
        live.init("unregister", "new", uid=HERMES)
    assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
    supervised(live, 4)


def test_unregister_always_has_svscan_look_before_the_tree_goes(live):
    live.profile("quiet", "stopped")
    live.init("reconcile")
    replace_tool(live, "s6-svscanctl", 'echo "$1" $(ls -A /run/service | grep -c quiet) $(ls /run/service/.gateway-quiet.gone.tmp | wc -l) >> /run/bed/calls\n'
                                       'exec /run/bed/real/s6-svscanctl "$@"\n')
    live.init("unregister", "quiet", uid=HERMES)
    calls = live.path("/run/bed/calls").read_text().splitlines()
    assert calls and all(call.startswith("-an 1 ") and not call.endswith(" 0") for call in calls), calls


def test_a_pass_sweeps_an_interrupted_unregistration_after_svscan_has_looked(live):
    live.init("stop", "coder", uid=HERMES)
    live.run(["sh", "-ec", "cd /run/service; cp -r gateway-default .gateway-new.gone.tmp; chown -R 10000:10000 .gateway-new.gone.tmp"])
    replace_tool(live, "s6-svscanctl", 'echo "$1" >> /run/bed/calls\nexec /run/bed/real/s6-svscanctl "$@"\n')
    assert live.init("reconcile").stderr == b""
    assert "-an" in live.path("/run/bed/calls").read_text() and ".gateway-new.gone.tmp" not in entries(live)


def test_killed_registrations_block_no_name(live):
    for name in ["new", *[f"new.{number}" for number in range(2, 10)], "new.file"]:
        live.run(["sh", "-ec", f"mkdir -m 700 /run/service/.gateway-{name}.tmp; echo > /run/service/.gateway-{name}.tmp/run"], uid=HERMES)
    live.init("register", "new", uid=HERMES)
    assert [name for name in entries(live) if name.startswith(".gateway-new") and ".file" not in name] == []
    live.init("unregister", "new", uid=HERMES)


def test_unregister_waits_as_long_as_it_is_told(live):
    live.tell("new", "stubborn")
    live.init("register", "new", uid=HERMES)
    live.record("new")
    start = time.monotonic()
    assert b"is killed" in live.init("unregister", "new", "--wait=1", uid=HERMES).stderr
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


@pytest.mark.parametrize("marker, stays", [("", False), ('{"target_pid":1,"target_start_time":1}', True)])
def test_only_the_marker_of_a_gateway_that_is_gone_is_removed_beside_a_newer_one(live, marker, stays):
    """Another command has ended the gateway and started a new one, and may have written a marker for that one."""
    file = home(live) / MARKER
    write = f"echo '{marker}' > /opt/data/profiles/coder/{MARKER}" if marker else ":"
    replace_tool(live, "s6-svc", f"[ $1 = -d ] && {{ {write}; set -- -k .; }}\nexec /run/bed/real/s6-svc \"$@\"\n")
    old = live.pid_of(live.slot("coder"))
    live.init("stop", "coder", uid=HERMES)
    assert live.pid_of(live.slot("coder")) not in (old, -1)
    assert file.exists() == stays


@pytest.mark.parametrize("ends", ["exit 0", "exit 1", "exit 78"])
def test_a_gateway_that_dies_at_once_is_not_up(live, ends):
    live.init("stop", "coder", uid=HERMES)
    live.tell("coder", ends)
    start = time.monotonic()
    done = live.init("start", "--wait=3", "coder", uid=HERMES, code=1)
    assert (b"not for a second" if ends == "exit 1" else b"stays down") in done.stderr
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
    for command in ("start", "stop", "restart", "status"):
        done = live.init(command, "bare", uid=uid, code=None)
        assert done.returncode != 0 and b"SOUL.md" in done.stderr, done
    assert "gateway-bare" not in entries(live)
    assert b"SOUL.md" in live.init("register", "bare", uid=uid).stderr
    assert b"SOUL.md" in live.init("stop", "bare", uid=uid, code=1).stderr
    done = live.init("status", uid=uid)
    assert b"SOUL.md" in done.stdout and b"unregister bare" not in done.stdout


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
        assert b"s6-svscan has not taken it" in done.stderr and 9 < time.monotonic() - start < 12.5
        start = time.monotonic()
        live.init("start", "quiet", uid=HERMES, code=1)
        assert time.monotonic() - start < 12.5
    finally:
        os.kill(live.pid, signal.SIGCONT)


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_symlink_to_a_service_is_left_to_what_has_made_it(live, uid):
    live.run(["sh", "-ec", "mkdir -p /run/other/web; printf '#!/bin/sh\\nexec sleep 1000\\n' > /run/other/web/run; chmod 755 /run/other/web/run; "
                           "cd /run/service; ln -s /run/other/web gateway-web; ln -s /run/other/web gateway-web.tmp"])
    live.profile("web", "running")
    live.rescan()
    wait_for(lambda: live.svstat("/run/service/gateway-web") == "up", what="the service")
    pid = live.pid_of("/run/service/gateway-web")
    for command in ("unregister", "start", "stop", "restart", "register"):
        done = live.init(command, "web", uid=uid, code=1)
        assert b"a symlink, not a slot" in done.stderr, done
    assert b"a symlink, not a slot" in live.init("status", uid=uid).stdout
    done = live.init("reconcile", uid=uid, code=1)
    assert b"sweep the leftover gateway-web.tmp" in done.stderr and b"a symlink" in done.stderr
    assert live.pid_of("/run/service/gateway-web") == pid
    assert {"gateway-web", "gateway-web.tmp"} <= set(entries(live))
