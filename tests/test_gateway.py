"""Gateways under a real s6-svscan: slots run, and the hermes user controls them."""

import re
import time

import pytest

from support.file_tree import identity
from support.program import HERMES, wait_for
from support.testbed import DOCKER, Bed, replace_script

pytestmark = pytest.mark.s6


def up(bed, service, state="up"):
    wait_for(lambda: bed.svstat(service) == state, what=f"{service} {state}")


def boot(bed, *options, code=0):
    """Runs a boot pass and the rescan that follows it."""
    done = bed.init("reconcile", *options, code=code)
    bed.rescan()
    return done


def test_the_running_profile_is_up_and_the_stopped_one_is_down(bed):
    bed.profile("coder", "running")
    bed.profile("writer", "stopped")
    boot(bed)
    up(bed, bed.slot("coder"))
    wait_for(lambda: bed.svstat(bed.slot("writer")) == "down", what="writer down")
    assert bed.svstat(bed.slot("default")) == "down"
    assert bed.pid_of(bed.slot("writer")) == -1


def test_the_gateway_gets_its_user_directory_environment_and_argv(bed):
    (bed.path("/run/s6/container_environment") / "ODD").write_bytes(b"two\nlines 'and' \"quotes\"\n")
    (bed.path("/run/s6/container_environment") / "EMPTY").write_bytes(b"")
    (bed.path("/run/s6/container_environment") / ".hidden").write_bytes(b"x")
    bed.profile("coder", "running")
    bed.profile("default", "running")
    boot(bed)
    argv, identity, environment = bed.record("coder")
    assert argv == [b"-p", b"coder", b"gateway", b"run", b"--replace"]
    assert identity == f"{HERMES} {HERMES} {HERMES} {DOCKER} /opt/data"
    assert environment == {
        b"PATH": b"/run/bed/bin:/command:/usr/bin:/bin",
        b"HERMES_HOME": b"/opt/data",
        b"HOME": b"/opt/data",
        b"HERMES_S6_SUPERVISED_CHILD": b"1",
        b"HERMES_SUPERVISED_CHILD": b"1",
        b"ODD": b"two\nlines 'and' \"quotes\"",
    }
    assert bed.record("default")[0] == [b"gateway", b"run", b"--replace"]


def test_gateway_and_logger_have_the_umask_of_the_container(bed):
    bed.profile("coder", "running")
    boot(bed)
    slot = bed.slot("coder")
    up(bed, slot)
    bed.record("coder")
    # What they execute has begun: before that, the process is hermes-init itself, which may have another one.
    wait_for(lambda: b"started coder" in bed.log(), what="the gateway's first line")
    pids = [bed.pid_of(service) for service in (slot, f"{slot}/log")]
    masks = [bed.run(["sh", "-c", f"grep ^Umask: /proc/{pid}/status"]).stdout for pid in pids]
    own = bed.run(["sh", "-c", "grep ^Umask: /proc/1/status"]).stdout
    assert own != b"Umask:\t0000\n" and masks == [own, own]


def test_the_container_environment_is_read_as_s6_envdir_reads_it(bed):
    folder = bed.path("/run/s6/container_environment")
    for name, content in {"A": b"x\n\n", "B": b"a\0b", "C": b"\n", "D": b"", "E": b" \t x \t", "F": b"\xff"}.items():
        (folder / name).write_bytes(content)
    bed.profile("coder", "running")
    boot(bed)
    ours = bed.record("coder")[2]
    done = bed.run(["s6-envdir", "-Lf", "/run/s6/container_environment", "env", "-0"], environment={"PATH": "/usr/bin:/bin"})
    theirs = dict(pair.split(b"=", 1) for pair in done.stdout.split(b"\0") if pair)
    assert {key: ours.get(key) for key in theirs} == theirs
    assert set(ours) - set(theirs) == {b"HOME", b"HERMES_S6_SUPERVISED_CHILD", b"HERMES_SUPERVISED_CHILD"}


def test_the_hermes_user_controls_slot_and_log(bed):
    bed.profile("coder", "running")
    boot(bed)
    slot = bed.slot("coder")
    up(bed, slot)
    for service in (slot, f"{slot}/log"):
        assert bed.svstat(service, uid=HERMES) == "up"
        # A logger ends at SIGHUP: it is protected against SIGTERM.
        for option, state in (("-d" if service == slot else "-dh", "-D"), ("-u", "-u")):
            done = bed.run(["timeout", "5", "s6-svc", option, service], uid=HERMES)
            assert done.returncode == 0, done
            done = bed.run(["timeout", "9", "s6-svwait", state, "-t", "8000", service], uid=HERMES)
            assert done.returncode == 0, done
    assert bed.run(["timeout", "5", "s6-svscanctl", "-a", "/run/service"], uid=HERMES).returncode == 0


def test_without_the_skeleton_the_hermes_user_is_shut_out(bed):
    service = bed.path("/run/service/plain")
    service.mkdir()
    (service / "run").write_text("#!/bin/sh\nexec sleep 1000\n")
    (service / "run").chmod(0o755)
    bed.rescan()
    wait_for(lambda: bed.svstat("/run/service/plain") == "up", what="plain")
    assert bed.svstat("/run/service/plain", uid=HERMES) is None
    assert bed.run(["timeout", "5", "s6-svc", "-d", "/run/service/plain"], uid=HERMES).returncode == 111
    assert bed.run(["timeout", "5", "s6-svwait", "-d", "-t", "500", "/run/service/plain"], uid=HERMES).returncode == 111


def starts(bed, profile):
    """Returns how often the stand-in of a profile has been started."""
    return bed.log().count(b"%s: started %s\n" % (profile.encode(), profile.encode()))


def test_a_gateway_that_dies_again_and_again_makes_pauses(bed):
    bed.tell("coder", "exit 1")
    bed.profile("coder", "running")
    boot(bed)
    wait_for(lambda: starts(bed, "coder") == 5, 15, "five starts")
    time.sleep(1.5)
    slot = bed.slot("coder")
    assert starts(bed, "coder") == 5 and bed.svstat(slot) == "up"
    wait_for(lambda: starts(bed, "coder") == 6, 5, "the sixth start")
    time.sleep(3.5)
    assert starts(bed, "coder") == 6
    # Each step is said once, in the container's log and in the gateway's own.
    pause = b"coder keeps dying: it starts again %d seconds after its last death"
    current = bed.path("/opt/data/logs/gateways/coder/current")
    assert [bed.log().count(pause % length) for length in (2, 4, 8)] == [1, 1, 0]
    assert [current.read_bytes().count(pause % length) for length in (2, 4, 8)] == [1, 1, 0]
    # A stop ends the pause at once, and whoever starts it again does not wait.
    before = time.monotonic()
    bed.init("stop", "--wait=5", "coder", uid=HERMES)
    assert time.monotonic() - before < 2 and starts(bed, "coder") == 6
    bed.tell("coder", "sleep")
    bed.init("start", "--wait=5", "coder", uid=HERMES)
    wait_for(lambda: starts(bed, "coder") == 7, 1.5, "the start that somebody wants")


def pausing(bed):
    """Has a gateway that dies at once, in its pause of 8 seconds."""
    bed.tell("coder", "exit 1")
    bed.profile("coder", "running")
    boot(bed)
    wait_for(lambda: starts(bed, "coder") == 7, 30, "seven starts")
    wait_for(lambda: b"starts again 8 seconds after" in bed.log(), 10, "the pause")


@pytest.mark.parametrize("uid", [0, HERMES])
@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_start_ends_a_pause_and_a_pause_does_not_count_as_up(bed, verb, uid):
    pausing(bed)
    # It is no better: it dies at once again, whatever s6 says of the process that only waits.
    done = bed.init(verb, "--wait=4", "coder", uid=uid, code=1)
    assert b"(exit code 1)" in done.stderr and b"(signal" not in done.stderr, done
    wait_for(lambda: "; waiting, starts again at" in bed.init("status", "coder").stdout.decode(), 30, "the next pause")
    count = starts(bed, "coder")
    # It is mended: it starts at once, and is up.
    bed.tell("coder", "sleep")
    before = time.monotonic()
    bed.init(verb, "--wait=5", "coder", uid=uid)
    assert time.monotonic() - before < 4 and starts(bed, "coder") > count


def test_deaths_after_which_a_gateway_stays_down_make_no_pause(bed):
    """Somebody has started it each time."""
    bed.tell("coder", "exit 78")
    bed.profile("coder", "running")
    boot(bed)
    for number in range(1, 9):
        wait_for(lambda: bed.svstat(bed.slot("coder")) == "down" and starts(bed, "coder") == number, 6, f"start {number}")
        bed.init("start", "coder")
    assert b"keeps dying" not in bed.log()


def test_the_pauses_can_be_switched_off(bed):
    (bed.path("/run/s6/container_environment") / "HERMES_INIT_BACKOFF").write_text("0")
    bed.tell("coder", "exit 1")
    bed.profile("coder", "running")
    boot(bed)
    wait_for(lambda: starts(bed, "coder") >= 8, 15, "eight starts")


def test_a_tally_that_cannot_be_used_stops_no_gateway(bed):
    bed.profile("coder", "running")
    bed.init("reconcile")
    tally = bed.path(f"{bed.slot('coder')}/supervise/death_tally")
    tally.symlink_to("/etc/shadow")
    done = bed.run(["timeout", "3", "sh", "-c", "cd /run/service/gateway-coder && exec ./run gateway-coder"])
    assert b"warning: unable to use supervise/death_tally: is a symlink" in done.stdout and bed.record("coder")


def test_a_program_that_is_missing_is_not_started_again(bed):
    bed.path("/run/bed/bin/hermes").unlink()
    bed.profile("coder", "running")
    boot(bed, code=1)
    up(bed, bed.slot("coder"), "down")
    time.sleep(2.2)
    assert bed.svstat(bed.slot("coder")) == "down"
    assert bed.log().count(b"gateway-run: fatal: unable to run hermes") == 1


def test_a_logger_that_cannot_drop_waits_before_it_ends(bed):
    bed.profile("coder", "running")
    bed.init("reconcile")
    drop = [
        "setpriv",
        "--bounding-set=-setuid",
        "--inh-caps=-setuid",
        "timeout",
        "2",
        "/run/bed/bin/hermes-init",
        "gateway-log",
        "./run",
        "gateway-coder/log",
    ]
    done = bed.run(["sh", "-c", 'cd /run/service/gateway-coder/log && exec "$@"', "sh", *drop])
    # 124 is timeout's: SIGTERM ends the wait.
    assert done.returncode == 124 and b"gateway-log: fatal: unable to drop privileges" in done.stderr, done


def test_a_pass_says_when_nobody_can_become_the_hermes_user(bed):
    bed.profile("coder", "running")
    done = bed.run(["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid", "/run/bed/bin/hermes-init", "reconcile"])
    assert done.returncode == 1, done
    assert (
        b"reconcile: warning: unable to switch to the hermes user 10000:10000: Operation not permitted; no gateway can run" in done.stderr
    )
    assert bed.path(bed.slot("coder")).exists()
    # Where people look for the reason it is, too.
    reason = b'reason="unable to switch to the hermes user 10000:10000: Operation not permitted; no gateway can run: '
    assert done.stdout.count(reason) == 2 and (bed.path("/opt/data/logs/container-boot.log")).read_bytes().count(reason) == 2
    explained = bed.run(["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid", "/run/bed/bin/hermes-init", "reconcile", "--explain"])
    assert explained.stdout.count(b"  but: unable to switch to the hermes user") == 2
    assert b"unable" not in bed.init("reconcile").stderr


@pytest.mark.parametrize("code", [78, 0, 111, 126, 127])
def test_a_permanent_failure_and_an_intended_end_stay_down(bed, code):
    bed.tell("coder", f"exit {code}")
    bed.profile("coder", "running")
    boot(bed)
    bed.record("coder")
    up(bed, bed.slot("coder"), "down")
    bed.path("/run/bed/identity.coder").unlink()
    with pytest.raises(AssertionError):
        bed.record("coder", seconds=2.5)


def test_any_other_end_is_a_restart(bed):
    bed.tell("coder", "exit 1")
    bed.profile("coder", "running")
    boot(bed)
    bed.record("coder")
    bed.path("/run/bed/identity.coder").unlink()
    bed.record("coder", seconds=5)


def test_the_lines_are_in_the_log_and_reach_the_containers(bed):
    bed.profile("coder", "running")
    logs = bed.path("/opt/data/logs/gateways/coder")
    boot(bed)
    wait_for(lambda: (logs / "current").exists() and b"started coder" in (logs / "current").read_bytes(), what="the log")
    line = (logs / "current").read_bytes().splitlines()[0]
    assert line[4:5] == b"-" and line.endswith(b"  started coder")
    assert (logs / "current").stat().st_uid == HERMES and logs.stat().st_uid == HERMES
    wait_for(lambda: b"started coder" in bed.log(), what="the container's log")


def test_the_prefix_of_the_containers_log_can_be_switched_off(bed):
    (bed.path("/run/s6/container_environment") / "HERMES_INIT_LOG_PREFIX").write_text("0")
    assert b"T /opt/data/logs/gateways/coder 1\n" in bed.init("gateway-log", "--print", "gateway-coder/log").stdout
    bed.profile("coder", "running")
    boot(bed)
    wait_for(lambda: b"\nstarted coder\n" in b"\n" + bed.log(), what="the container's log")


def test_a_logger_reads_on_when_everything_gets_sigterm(bed):
    """As when the container stops."""
    bed.profile("coder", "running")
    boot(bed)
    bed.record("coder")
    bed.settle()
    logger = bed.pid_of(f"{bed.slot('coder')}/log")
    bed.run(["kill", "-TERM", str(logger)])
    time.sleep(0.3)
    assert bed.pid_of(f"{bed.slot('coder')}/log") == logger


# What s6-log ends on: who owns what in the log directory, with which mode.
FOREIGN = {
    "directory": ("chown 0:0 $d; chmod 755 $d", r"/coder belongs to 0:0, mode 0755"),
    "without-lock": ("rm $d/lock; chown 0:0 $d", r"/coder belongs to 0:0, mode 0755"),
    "closed": ("chown 0:0 $d/..; chmod 700 $d/..", r"/gateways belongs to 0:0, mode 0700"),
    "current": ("echo x > $d/current; chmod 744 $d/current", r"/coder/current belongs to 0:0, mode 0744"),
    "interrupted": ("echo x > $d/current; chmod 644 $d/current", r"/coder/current belongs to 0:0, mode 0644"),
    "writable": ("echo x > $d/current; chmod 766 $d/current", r"/coder/current belongs to 0:0, mode 0766"),
    "link": ("ln -s /etc/passwd $d/current", r"is a symlink.*/coder/current belongs to 0:0"),
    "fifo": ("mkfifo $d/previous; chmod 666 $d/previous", r"not a regular file.*/coder/previous belongs to 0:0"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_log_directory_in_which_s6_log_would_end_freezes_no_gateway(bed, what):
    script, why = FOREIGN[what]
    bed.profile("coder", "running")
    bed.tell("coder", "chatty")
    make = "umask 022; d=/opt/data/logs/gateways/coder; mkdir -p $d; touch $d/lock; chown -R 10000:10000 /opt/data/logs; " + script
    assert bed.run(["sh", "-ec", make]).returncode == 0
    boot(bed, code=None)
    # More than a pipe holds.
    wait_for(lambda: b"coder: the last line\n" in bed.log(), what="the end of what the gateway says")
    assert bed.pid_of(f"{bed.slot('coder')}/log") != -1
    said = bed.log().decode()
    assert re.search(rf"gateway-log: warning: unable to log to \S*/logs/gateways/coder\S*: .*{why}", said), said
    # Once, and not once a second.
    assert len(re.findall(r"unable to log to \S*/logs/gateways/coder", said)) == 1


def test_a_log_directory_that_cannot_be_used_costs_no_lines(bed):
    bed.profile("coder", "running")
    bed.path("/opt/data/logs").mkdir(exist_ok=True)
    (bed.path("/opt/data/logs") / "gateways").write_text("a file")
    boot(bed)
    wait_for(lambda: b"started coder" in bed.log(), what="the container's log")
    assert b"gateways" in bed.log()


def test_a_second_pass_on_a_live_container_changes_nothing(bed):

    bed.profile("coder", "running")
    (bed.path("/opt/data/profiles/coder") / "processes.json").write_text("[]")
    boot(bed)
    bed.settle()
    pidfile = bed.path("/opt/data/profiles/coder/gateway.pid")
    assert not bed.path("/opt/data/profiles/coder/processes.json").exists()
    pidfile.write_text("42")
    before, pid, supervisors = identity(bed.path("/run/service")), bed.pid_of(bed.slot("coder")), bed.supervisors()
    for uid in (0, HERMES):
        done = bed.init("reconcile", "--json", uid=uid)
        assert done.stdout.count(b'"changed": false') == 2, done
        assert identity(bed.path("/run/service")) == before
    assert pidfile.read_text() == "42"
    assert bed.pid_of(bed.slot("coder")) == pid and bed.supervisors() == supervisors


def test_a_changed_state_is_mended_in_place_and_the_supervisor_lives_on(bed):
    bed.profile("coder", "running")
    boot(bed)
    slot = bed.slot("coder")
    bed.settle()
    pid, supervisors, inode = bed.pid_of(slot), bed.supervisors(), bed.path(slot).stat().st_ino
    bed.profile("coder", "stopped")
    # As an executable of another version wrote it. A script of another program is left as it is: test_topology.py.
    replace_script(bed.path(slot) / "run", "#!/usr/local/bin/hermes-init gateway-run\n")
    boot(bed)
    assert (bed.path(slot) / "down").exists()
    assert (bed.path(slot) / "run").read_text() == "#!/run/bed/bin/hermes-init gateway-run\n"
    assert (bed.pid_of(slot), bed.supervisors(), bed.path(slot).stat().st_ino) == (pid, supervisors, inode)
    bed.profile("coder", "running")
    boot(bed)
    assert not (bed.path(slot) / "down").exists()
    assert not [name for name in bed.path("/run/service").iterdir() if name.name.endswith(".tmp")]


def test_the_drop_being_refused_is_no_gateway_as_root(bed):
    bed.profile("coder", "running")
    bed.init("reconcile")
    drop = ["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid", "/run/bed/bin/hermes-init", "gateway-run", "./run", "gateway-coder"]
    done = bed.run(["sh", "-c", 'cd /run/service/gateway-coder && exec "$@"', "sh", *drop])
    assert done.returncode == 111 and b"drop privileges" in done.stdout, done
    assert not bed.path("/run/bed/identity.coder").exists()


def test_a_missing_hermes_is_127(bed):
    bed.path("/run/bed/bin/hermes").unlink()
    bed.profile("coder", "running")
    bed.init("reconcile", code=1)
    done = bed.run(["sh", "-c", "cd /run/service/gateway-coder && exec ./run gateway-coder"])
    assert done.returncode == 127 and b"unable to run hermes" in done.stdout, done


def test_print_shows_and_runs_nothing(bed):
    bed.profile("coder", "running")
    bed.init("reconcile")
    shown = bed.init("gateway-run", "--print", "gateway-coder").stdout
    assert b"user: hermes 10000:10000 groups 10000,998\n" in shown
    assert b"directory: /opt/data\n" in shown and b"set: HERMES_S6_SUPERVISED_CHILD=1\n" in shown
    assert b"argv: hermes -p coder gateway run --replace\n" in shown
    shown = bed.init("gateway-log", "--print", "gateway-coder/log").stdout
    assert b"argv: s6-log -p n10 s1000000 T /opt/data/logs/gateways/coder pcoder: 1\n" in shown
    assert not bed.path("/run/bed/identity.coder").exists() and not bed.path("/opt/data/logs/gateways").exists()


def test_what_the_pass_resolved_reaches_gateway_and_logger():
    """HERMES_HOME comes from an option here, and from no variable."""
    with Bed() as bed:
        bed.path("/run/s6/container_environment/HERMES_HOME").unlink()
        for folder in ("/opt/data", "/run/other volume"):
            bed.run(["sh", "-ec", 'mkdir -p "$0/profiles/coder"; touch "$0/profiles/coder/SOUL.md"; chown -R 10000:10000 "$0"', folder])
            (bed.path(folder) / "profiles/coder/gateway_state.json").write_text('{"gateway_state": "running"}')
        bed.init("reconcile", "--hermes-home", "/run/other volume")
        bed.rescan()
        assert bed.record("coder")[2][b"HERMES_HOME"] == b"/run/other volume"
        wait_for((bed.path("/run/other volume") / "logs/gateways/coder/current").exists, what="the log")
        assert not bed.path("/opt/data/logs/gateways").exists()
        shown = bed.init("gateway-run", "--print", "gateway-coder").stdout + bed.init("gateway-log", "--print", "gateway-coder/log").stdout
        assert b'set: HERMES_HOME="/run/other volume"' in shown and b'"/run/other volume/logs/gateways/coder"' in shown
        # By default, too, and mended like everything in the slot.
        replace_script(bed.path(bed.slot("coder")) / "run", "#!/run/bed/bin/hermes-init gateway-run\nHERMES_HOME=/etc\n")
        assert b'"changed": true' in bed.init("reconcile", "--json").stdout
        assert (bed.path(bed.slot("coder")) / "run").read_text() == "#!/run/bed/bin/hermes-init gateway-run\nHERMES_HOME=/opt/data\n"


def test_the_groups_that_the_container_was_started_with_are_kept(bed):
    """Process 1 has them; root's is not handed on."""
    bed.profile("coder", "running")
    bed.init("reconcile")
    script = "cd /run/service/gateway-coder && exec timeout 3 ./run gateway-coder"
    (bed.folder / "status").write_text("Name:\tx\nGroups:\t0 44 998 4294967295 1234 \n")
    done = bed.run(["unshare", "-m", "sh", "-c", f"mount --bind {bed.folder}/status /proc/1/status && {script}"])
    assert bed.record("coder")[1] == f"{HERMES} {HERMES} {HERMES} 44 {DOCKER} 1234 /opt/data", done


def test_a_remapped_user_owns_its_slots():
    with Bed() as bed:
        (bed.folder / "passwd").write_bytes(b"root:x:0:0::/root:\nhermes:x:4321:4322::/opt/data:/bin/sh\n")
        bed.profile("coder", "running")
        bed.run(["chown", "-R", "4321:4322", "/opt/data"])
        boot(bed)
        assert bed.path(bed.slot("coder")).stat().st_uid == 4321
        assert bed.path("/run/service").stat().st_gid == 4322
