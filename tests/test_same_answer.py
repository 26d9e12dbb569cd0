"""The same fault has the same answer in every command: no s6-svscan, no permission, no volume."""

import json
import os
import signal
import subprocess

import pytest

from support.file_tree import identity
from support.program import HERMES, wait_for
from support.svscan import is_read
from support.testbed import Bed, desired, entries, supervised

pytestmark = pytest.mark.s6
STRANGER = 4321

# What is said; `{}` are the scan directory and what else differs.
NO_SVSCAN = "unable to command s6-svscan: no s6-svscan runs on {0}: no process reads {0}/.s6-svscan/control; --scandir names another scan directory\n"
NO_SCANDIR = "unable to command s6-svscan: no s6-svscan runs on {}, which does not exist; --scandir names another scan directory\n"
NOTE = "no s6-svscan runs on {}"
# Of s6-overlay's scan directory, where process 1 is another program than s6-svscan.
OTHER_FIRST = "/run/service (process 1 is sleep, and s6-overlay must be process 1)"
ROOTS = "it belongs to uid 0 and may be sealed: run the command as that user"
HERMESS = f"it belongs to uid {HERMES}: run the command as that user, or as root"
MIXED = f"its supervise belongs to uid 0, and the slot to uid {HERMES}; as root: /run/bed/bin/hermes-init reconcile"
CHANGE = "unable to change /run/service: {}\n"
COMMAND = "unable to command {}: {}\n"
READ = "unable to read supervise/status: {}"
NO_HOME = "unable to open {}: No such file or directory"
CLOSED_HOME = "unable to open {0}: Permission denied ({0} belongs to 0:0, mode 0700; as root: chown -hR 10000 {0})"


def said(done):
    """Returns the messages without the command and the severity."""
    return [line.split(": ", 2)[2] + "\n" for line in done.stderr.decode().splitlines()]


def state(bed, name):
    return (bed.path(f"/opt/data/profiles/{name}") / "gateway_state.json").read_bytes()


# No s6-svscan.

MISSING = {
    "never": "rm -rf {0}/.s6-svscan",
    "unread": "mkdir -p {0}/.s6-svscan; mkfifo {0}/.s6-svscan/control",
}


@pytest.fixture
def unscanned():
    """Slots of coder and writer that nobody supervises, and a profile without a slot."""
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        bed.profile("writer", "stopped")
        bed.init("reconcile")
        bed.profile("new", "stopped")
        yield bed


@pytest.mark.parametrize("how", MISSING)
def test_without_svscan_every_command_says_what_was_looked_for_and_where(unscanned, how):
    unscanned.run(["sh", "-ec", MISSING[how].format("/run/service")])
    no_svscan = NO_SVSCAN.format("/run/service").replace("/run/service", OTHER_FIRST, 1)
    before, words = identity(unscanned.path("/run/service")), {name: state(unscanned, name) for name in ("coder", "new")}
    for argv in (
        ["register", "new"],
        ["start", "new"],
        ["restart", "new"],
        ["start", "coder"],
        ["stop", "coder"],
        ["restart", "coder"],
    ):
        done = unscanned.init(*argv, code=1)
        assert said(done) == [no_svscan], done
    assert identity(unscanned.path("/run/service")) == before
    assert {name: state(unscanned, name) for name in words} == words
    # What needs no s6-svscan is done: nothing runs that would have to be ended first.
    for name in ("coder", "nothing"):
        assert said(unscanned.init("unregister", name)) == [no_svscan]
    assert "gateway-coder" not in entries(unscanned)
    assert b"new has no slot" in unscanned.init("stop", "new").stderr and desired(unscanned, "new")["desired_state"] == "stopped"


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_scan_directory_that_does_not_exist_has_no_svscan(live, uid):
    for argv in (["register", "coder"], ["unregister", "coder"], ["start", "coder"], ["stop", "coder"], ["restart", "coder"]):
        done = live.init(*argv, "--scandir=/run/no where", uid=uid, code=111)
        assert said(done) == [NO_SCANDIR.format('"/run/no\\u0020where"')], done
    assert live.svstat(live.slot("coder")) == "up" and not live.path("/run/no where").exists()


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("how", [*MISSING, "nowhere"])
def test_without_svscan_status_and_health_advise_no_start(unscanned, how, uid):
    place = "/run/nowhere" if how == "nowhere" else "/run/service"
    unscanned.run(["sh", "-ec", MISSING.get(how, "").format(place) + "; chown -R 10000:10000 /run/service"])
    unscanned.path("/opt/data/profiles/bare").mkdir()
    for command, names in (("status", {"default", "coder", "writer", "new", "bare"}), ("health", {"coder"})):
        done = unscanned.init(command, "--json", "--scandir", place, uid=uid, code=int(command == "health"))
        notes = {row["profile"]: row["note"] for row in map(json.loads, done.stdout.splitlines())}
        assert set(notes) == names - ({"default"} if how == "nowhere" else set())
        what = NOTE.format(OTHER_FIRST if place == "/run/service" else place)
        assert all(note.endswith("; " + what) and "hermes-init start" not in note for note in notes.values()), notes
    # Where one runs, it is advised.
    control = unscanned.path(f"{place}/.s6-svscan/control")
    if how == "unread":
        reader = os.open(control, os.O_RDONLY | os.O_NONBLOCK)
        assert b"coder: it is not supervised yet: /run/bed/bin/hermes-init start coder\n" in unscanned.init("status", uid=uid).stdout
        os.close(reader)


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("has_scandir", [False, True])
def test_where_process_1_is_not_s6_that_is_said_once_and_nothing_of_boots(has_scandir, uid):
    """As with docker run --init, and on Fly."""
    what = NOTE.format(OTHER_FIRST)
    with Bed(svscan=False) as bed:
        for name in ("coder", "writer", "new"):
            bed.profile(name, "running")
        bed.run(["chown", "10000:10000", "/run/service"] if has_scandir else ["rmdir", "/run/service"])
        for command in ("status", "health"):
            done = bed.init(command, uid=uid, code=int(command == "health"))
            lines = done.stdout.decode().split("\n\n")[int(command == "status")].splitlines()
            assert lines == [what, "coder: it has no slot", "new: it has no slot", "writer: it has no slot"], done
            assert done.stderr == b"" and b"hermes-init start" not in done.stdout
        notes = [json.loads(line)["note"] for line in bed.init("status", "--json", uid=uid).stdout.splitlines()]
        assert notes == [f"it has no slot; {what}"] * 3
        explained = bed.init("reconcile", "--explain", uid=uid).stdout.decode()
        why = "no s6-svscan runs on the scan directory, so nothing is started: s6-overlay must be process 1"
        assert f"\nprocess 1: sleep (/proc; {why})\n" in explained
        # What it says of another scan directory, process 1 does not explain.
        assert "process 1" not in bed.init("reconcile", "--explain", "--scandir=/run/other", uid=uid).stdout.decode()
        done = bed.init("start", "coder", uid=uid, code=1 if has_scandir else 111)
        where = "" if has_scandir else ", which does not exist"
        reason = f"no s6-svscan runs on /run/service{where} (process 1 is sleep, and s6-overlay must be process 1)"
        assert said(done)[0].startswith(f"unable to command s6-svscan: {reason}"), done


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_an_svscan_that_is_not_process_1_is_enough(uid):
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        bed.run(["sh", "-c", "s6-svscan /run/service >/dev/null 2>&1 &"])
        wait_for(lambda: is_read(bed.path("/run/service/.s6-svscan/control")), what="s6-svscan")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.profile("new", "running")
        for argv in (["status"], ["health"], ["reconcile", "--explain"]):
            done = bed.init(*argv, uid=uid, code=None)
            assert b"process 1" not in done.stdout + done.stderr and b"no s6-svscan" not in done.stdout, done
        assert b"new: created since the last boot: /run/bed/bin/hermes-init start new\n" in bed.init("status", uid=uid).stdout


def test_where_it_is_not_known_whether_svscan_runs_the_advice_stays():
    """In sealed mode the hermes user may not look."""
    with Bed(environment={"HERMES_INIT_SEALED": "1"}) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        assert b"coder: it is not supervised yet; as root: /run/bed/bin/hermes-init start coder\n" in bed.init("status", uid=HERMES).stdout


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_supervisors_that_have_outlived_their_svscan_can_be_commanded_but_not_unregistered(live, uid):
    """Nobody would end them in a slot that is gone."""
    pid, slot = live.pid_of(live.slot("coder")), live.path(live.slot("coder"))
    live.run(["sh", "-ec", "cd /run/service/.s6-svscan; mv control true; mkfifo control; chown 10000:10000 control"])
    live.init("restart", "--wait", "coder", uid=uid)
    assert live.pid_of(live.slot("coder")) not in (-1, pid)
    done = live.init("unregister", "coder", uid=uid, code=1)
    assert said(done) == [NO_SVSCAN.format("/run/service")] * 2 and slot.is_dir()
    assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"] and len(live.supervisors()) == 4
    live.run(["mv", "/run/service/.s6-svscan/true", "/run/service/.s6-svscan/control"])
    assert live.init("unregister", "coder", uid=uid).stderr == b""
    supervised(live, 2)


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_an_svscan_that_reads_nothing_is_said_the_same_way_by_all_that_wait_for_it(live, uid):
    live.profile("new", "stopped")
    live.profile("quiet", "stopped")
    argvs = [["register", "new"], ["start", "quiet"], ["unregister", "coder"]]
    os.kill(live.pid, signal.SIGSTOP)
    try:
        started = [
            subprocess.Popen(
                live.command(["/run/bed/bin/hermes-init", *argv], uid), stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}, cwd="/"
            )
            for argv in argvs
        ]
        for process in started:
            assert b" has not read its control FIFO for " in process.communicate(timeout=30)[1] and process.returncode in (1, 111)
    finally:
        os.kill(live.pid, signal.SIGCONT)


# Not allowed.


@pytest.mark.parametrize("sealed", [False, True])
def test_who_may_not_is_told_who_may_by_every_command(sealed):
    with Bed(environment={"HERMES_INIT_SEALED": str(int(sealed))}) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.profile("quiet", "stopped")
        bed.init("reconcile")
        bed.profile("new", "stopped")
        pid, word, before = bed.pid_of(bed.slot("coder")), state(bed, "coder"), entries(bed)
        who = ROOTS if sealed else HERMESS
        for uid in [STRANGER] + [HERMES] * sealed:
            for argv in (["register", "new"], ["unregister", "coder"], ["start", "new"]):
                assert said(bed.init(*argv, uid=uid, code=1)) == [CHANGE.format(who)], (argv, uid)
            for name in ("coder", "quiet") if uid == STRANGER else ("quiet",):
                for command in ("start", "stop", "restart"):
                    # The hermes user may command the supervisor of a sealed slot, but not s6-svscan.
                    what = "s6-svscan" if uid == HERMES else f"gateway-{name}"
                    if (uid, command) == (HERMES, "stop"):
                        # Nothing has to be commanded: the slot is down, and stays so.
                        assert said(bed.init("stop", name, uid=uid)) == [f"nothing supervises {name} yet, and it stays down\n"]
                        continue
                    assert said(bed.init(command, name, uid=uid, code=1)) == [COMMAND.format(what, who)], (command, name, uid)
        assert (bed.pid_of(bed.slot("coder")), state(bed, "coder"), entries(bed)) == (pid, word, before)
        # What is on the volume says whose it is.
        done = bed.init("stop", "new", uid=STRANGER, code=1)
        path = "/opt/data/profiles/new/gateway_state.json"
        assert f"unable to write profiles/new/gateway_state.json: Permission denied ({path} belongs to 10000:10000".encode() in done.stderr
        assert b"has no slot" not in done.stderr
        # Who may not ask, either.
        notes = {
            row["profile"]: row["note"] for row in map(json.loads, bed.init("status", "--json", uid=STRANGER, code=1).stdout.splitlines())
        }
        assert notes["coder"] == (READ.format(ROOTS) if sealed else None) and notes["quiet"] == READ.format(who)


def test_a_supervise_that_has_not_been_handed_over_is_said_with_what_helps(live):
    """Root commands a supervisor as the owner of the slot, and may as little as that user."""
    live.run(["sh", "-ec", f"cd {live.slot('coder')}; chown 0:0 supervise; chmod 700 supervise"])
    word = state(live, "coder")
    for command in ("start", "stop", "restart"):
        assert said(live.init(command, "coder", uid=HERMES, code=1)) == [COMMAND.format("gateway-coder", MIXED)]
    assert state(live, "coder") == word
    live.init("reconcile")
    live.init("stop", "coder", uid=HERMES)
    assert desired(live, "coder")["desired_state"] == "stopped"


def test_a_scan_directory_that_cannot_be_changed_by_its_owner_is_not_said_to_be_anothers(live):
    live.run(["sh", "-ec", "mount --bind /run/service /run/service; mount -o remount,ro,bind /run/service"])
    live.profile("new", "stopped")
    for uid in (HERMES, 0):
        for argv in (["register", "new"], ["unregister", "coder"], ["start", "new"]):
            assert said(live.init(*argv, uid=uid, code=1)) == [CHANGE.format("Read-only file system")]


# No volume.


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("home, reason", [("/run/no-volume", NO_HOME), ("/run/closed", CLOSED_HOME)])
def test_without_the_volume_every_command_says_why(live, home, reason, uid):
    live.path("/run/closed").mkdir(mode=0o700)
    if uid == 0 and home == "/run/closed":
        # Root is refused nothing but what does not exist.
        home, reason = "/run/no/volume", NO_HOME
    reason = reason.format(home)
    place = ["--hermes-home", home]
    live.profile("new", "stopped")
    pid, before = live.pid_of(live.slot("coder")), entries(live)
    for command in ("status", "health"):
        for names in ([], ["coder"], ["nobody"]):
            done = live.init(command, *names, *place, uid=uid, code=111)
            assert said(done) == [f"{reason}\n"], done
    # What can be known is printed.
    rows = {row["profile"]: row for row in map(json.loads, live.init("status", "--json", *place, uid=uid, code=111).stdout.splitlines())}
    assert (rows["coder"]["state"], rows["default"]["state"]) == ("up", "down")
    assert {(row["wanted"], row["note"]) for row in rows.values()} == {("unknown", reason)}
    for argv in (["start", "coder"], ["start", "new"], ["restart", "coder"], ["register", "new"], ["logs", "coder"]):
        assert said(live.init(*argv, *place, uid=uid, code=111)) == [f"{reason}\n"], argv
    assert (live.pid_of(live.slot("coder")), entries(live)) == (pid, before)
    # What runs can be stopped all the same, and that this is not kept is said.
    done = live.init("stop", "--wait", "coder", *place, uid=uid, code=1)
    assert f"{reason}\n" in said(done) and "the next boot may not know that it should be stopped\n" in said(done)[-1]
    wait_for(lambda: live.svstat(live.slot("coder")) == "down", what="down")
