"""Delegated and sealed mode: what the hermes user can do in each, under a real s6-svscan, and how a pass changes from one to the other."""

import os

import pytest

from support.file_tree import identity, snapshot
from support.program import HERMES, wait_for
from support.testbed import Bed

pytestmark = pytest.mark.s6
SEALED = {"HERMES_INIT_SEALED": "1"}


@pytest.fixture
def sealed():
    with Bed(environment=SEALED) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        yield bed


def test_sealed_the_hermes_user_starts_stops_and_asks(sealed):
    for service in (sealed.slot("coder"), sealed.slot("coder") + "/log"):
        assert sealed.svstat(service, uid=HERMES) == "up"
        # `s6-log -p` ignores SIGTERM; SIGHUP ends it.
        down = "-dh" if service.endswith("/log") else "-d"
        for option, state in ((down, "down"), ("-u", "up")):
            assert sealed.run(["timeout", "5", "s6-svc", option, service], uid=HERMES).returncode == 0
            wait_for(lambda: sealed.svstat(service, uid=HERMES) == state, what=state)


def test_sealed_a_stranger_does_not(sealed):
    assert sealed.svstat(sealed.slot("coder"), uid=4321) is None
    assert sealed.run(["timeout", "5", "s6-svc", "-d", sealed.slot("coder")], uid=4321).returncode == 111


def test_sealed_the_tree_is_roots_but_for_the_groups_two_ways_in(sealed):
    tree = snapshot(sealed.path("/run/service"))
    for path, line in tree.items():
        kind, mode, owner = line.split()[:3]
        base = os.path.basename(path)
        if base == b"event":
            assert (mode, owner) == ("700", "0:0"), path
        elif base == b"control" and b"supervise" in path:
            assert (kind, mode, owner) == ("fifo", "620", f"0:{HERMES}"), path
        elif base == b"supervise":
            assert (mode, owner) == ("710", f"0:{HERMES}"), path
        else:
            assert owner == "0:0" and not int(mode, 8) & 0o022, (path, line)


def test_sealed_a_slot_without_a_profile_that_was_sealed_in_part_is_sealed_whole(sealed):
    os.rename(sealed.path("/opt/data/profiles/coder"), sealed.path("/opt/data/gone"))
    slot = sealed.path(sealed.slot("coder"))
    # As after a kill: the slot itself is root's already.
    left = [slot / "run", slot / "supervise/control", slot / "log/supervise"]
    for path in left:
        os.chown(path, HERMES, HERMES)
    assert slot.stat().st_uid == 0
    sealed.init("reconcile")
    assert [path.stat().st_uid for path in left] == [0, 0, 0]


@pytest.mark.parametrize(
    "script",
    [
        "mkdir /run/service/evil",
        "touch /run/service/.gateway-x.tmp",
        "mv /run/service/gateway-coder /run/service/gone",
        "echo > /run/service/gateway-coder/run",
        "rm /run/service/gateway-coder/run",
        "touch /run/service/gateway-coder/down",
        "touch /run/service/gateway-coder/supervise/x",
        "ln -sf /run/rootfile /run/service/gateway-coder/supervise/death_tally",
        "echo > /run/service/gateway-coder/supervise/status",
        "rm /run/service/gateway-coder/supervise/control",
        "touch /run/service/gateway-coder/log/x",
        "ls /run/service/gateway-coder/supervise",
        "chmod 777 /run/service/gateway-coder",
        "s6-svscanctl -a /run/service",
    ],
)
def test_sealed_nothing_else_can_be_written(sealed, script):
    before = snapshot(sealed.path("/run/service"))
    assert sealed.run(["timeout", "5", "sh", "-c", script], uid=HERMES).returncode != 0
    assert snapshot(sealed.path("/run/service")) == before


def test_sealed_a_pass_of_the_hermes_user_finds_roots_slots_as_desired_and_says_what_it_cannot_make(sealed):
    sealed.settle()
    before = identity(sealed.path("/run/service"))
    done = sealed.init("reconcile", "--json", uid=HERMES)
    assert done.stdout.count(b'"changed": false') == 2 and done.stderr == b"", done
    assert b"gateway-coder is up to date; s6-supervise is running" in sealed.init("reconcile", "--explain", uid=HERMES).stdout
    sealed.profile("new", "running")
    log = sealed.path("/opt/data/logs/container-boot.log")
    logged = log.read_bytes()
    done = sealed.init("reconcile", uid=HERMES, code=1)
    assert b"profile=new prior_state=running action=failed" in done.stdout and b"coder prior_state=running action=started" in done.stdout
    assert done.stderr == (
        b"hermes-init reconcile: warning: unable to create gateway-new: Permission denied; as root: /run/bed/bin/hermes-init reconcile\n"
    )
    assert identity(sealed.path("/run/service")) == before and log.read_bytes() == logged


def test_what_a_pass_of_the_hermes_user_may_not_do_is_no_failure_of_a_profile(sealed):
    """A slot that differs: root's next pass changes it, and until then nothing has failed."""
    sealed.settle()
    sealed.profile("coder", "running")
    (sealed.path("/opt/data/profiles/coder") / "gateway_state.json").write_text('{"desired_state": "stopped"}')
    log = sealed.path("/opt/data/logs/container-boot.log")
    logged = log.read_bytes()
    done = sealed.init("reconcile", uid=HERMES, code=1)
    assert b"Permission denied; as root: /run/bed/bin/hermes-init reconcile\n" in done.stderr, done
    assert log.read_bytes() == logged
    for uid in (0, HERMES):
        assert sealed.init("health", uid=uid).stdout == b""
    assert b"Permission denied" not in sealed.init("reconcile").stderr and len(log.read_bytes()) > len(logged)


def test_a_slot_that_is_roots_in_delegated_mode_is_no_failure_either(live):
    """What is the hermes user's own, and cannot be changed, has failed."""
    log = live.path("/opt/data/logs/container-boot.log")
    state = live.path("/opt/data/profiles/coder/gateway_state.json")
    state.write_text('{"desired_state": "stopped"}')
    live.run(["chown", "-R", "0:0", live.slot("coder")])
    logged = log.read_bytes()
    done = live.init("reconcile", uid=HERMES, code=1)
    assert b"; as root: /run/bed/bin/hermes-init reconcile\n" in done.stderr and log.read_bytes() == logged, done
    assert live.init("health", "coder", uid=HERMES).stdout == b""
    live.init("reconcile")
    state.write_text('{"desired_state": "running"}')
    live.run(["chmod", "555", live.slot("coder")])
    done = live.init("reconcile", uid=HERMES, code=None)
    assert b"as root: /run/bed/bin/hermes-init reconcile" not in done.stderr and log.read_bytes() != logged, done


def truncate_a_file_of_roots(bed):
    """s6-supervise opens death_tally by name when the service dies."""
    rootfile = bed.path("/run/rootfile")
    rootfile.write_text("root's")
    rootfile.chmod(0o600)
    bed.run(
        ["sh", "-c", f"rm -f {bed.slot('coder')}/supervise/death_tally; ln -s /run/rootfile {bed.slot('coder')}/supervise/death_tally"],
        uid=HERMES,
    )
    for _ in range(2):
        bed.run(["timeout", "5", "s6-svc", "-k", bed.slot("coder")])
        bed.run(["timeout", "9", "s6-svwait", "-u", "-t", "5000", bed.slot("coder")])
    supervisor = [pid for pid in bed.supervisors() if os.readlink(bed.path(f"/proc/{pid}/cwd")).endswith("gateway-coder")]
    bed.run(["kill", "-9", str(supervisor[0])])
    wait_for(lambda: bed.supervisors() and supervisor[0] not in bed.supervisors(), what="a new supervisor")
    wait_for(lambda: bed.svstat(bed.slot("coder")) == "up", what="coder up")
    return rootfile.read_text()


def test_delegated_the_owner_of_supervise_has_root_empty_a_file(bed):
    bed.profile("coder", "running")
    bed.init("reconcile")
    bed.rescan()
    wait_for(lambda: bed.svstat(bed.slot("coder")) == "up", what="coder up")
    assert truncate_a_file_of_roots(bed) != "root's"


def test_sealed_it_has_not(sealed):
    assert truncate_a_file_of_roots(sealed) == "root's"


@pytest.mark.parametrize("supervised", [False, True])
def test_a_pass_converges_to_its_own_mode(supervised):
    with Bed(svscan=supervised) as bed:
        bed.profile("coder", "running")
        bed.profile("writer", "stopped")

        def reconcile(*options):
            bed.init("reconcile", *options)
            if supervised:
                bed.rescan()
                bed.settle()

        def shape():
            ignored = (b"status", b"death_tally", b"lock")
            return {
                path: line
                for path, line in snapshot(bed.path("/run/service")).items()
                if os.path.basename(path) not in ignored and not path.startswith(b".s6-svscan")
            }

        reconcile()
        delegated = shape()
        reconcile("--sealed")
        sealed = shape()
        assert sealed[b"gateway-coder"] == "dir 755 0:0" and sealed[b"."] == "dir 755 0:0"
        assert sealed[b"gateway-coder/supervise"] == f"dir 710 0:{HERMES}"
        assert sealed[b"gateway-coder/run"].startswith("file 755 0:0 ")
        before = identity(bed.path("/run/service"))
        bed.init("reconcile", "--sealed")
        assert identity(bed.path("/run/service")) == before
        reconcile("--delegated")
        assert shape() == delegated
        if supervised:
            assert len(bed.supervisors()) == 6


def test_sealing_takes_away_what_the_hermes_user_had_put_in(bed):
    bed.profile("coder", "running")
    bed.init("reconcile")
    bed.rescan()
    slot = bed.slot("coder")
    bed.settle()
    bed.path("/run/rootfile").write_text("root's")
    bed.run(
        [
            "sh",
            "-c",
            f"""cd {slot}; ln -sf /run/rootfile supervise/death_tally; touch supervise/x nosetsid; chmod 777 supervise/event
        rm -f finish; ln -s /run/rootfile finish; mkdir env; echo v > env/KEY; mkdir /run/service/mine""",
        ],
        uid=HERMES,
    )
    # A slot without a profile is sealed as well.
    bed.orphan("orphan")
    # Including that of `mine`, which s6-svscan supervises since the registration.
    wait_for(lambda: len(bed.supervisors()) == 7, what="all supervisors")
    supervisors, pid = bed.supervisors(), bed.pid_of(slot)
    done = bed.init("reconcile", "--sealed", code=1)
    assert b"unable to restrict access to the service mine: " in done.stderr
    for path, line in snapshot(bed.path(slot)).items():
        assert line.split()[2].startswith("0:"), (path, line)
    tree = snapshot(bed.path(slot))
    assert b"nosetsid" not in tree and not any(line.startswith("link") for line in tree.values())
    assert tree[b"env/KEY"].startswith(f"file 640 0:{HERMES} ")
    assert snapshot(bed.path(bed.slot("orphan")))[b"supervise"] == f"dir 710 0:{HERMES}"
    assert bed.path("/run/rootfile").read_text() == "root's"
    assert bed.supervisors() == supervisors and bed.pid_of(slot) == pid
