"""Who runs the gateways: where s6 is not root (`--user`, `--userns=keep-id`, runAsUser), they run as its user, whatever /etc/passwd says and
whoever owns the files. The pass, the look, the advice and the commands go by it."""

import contextlib
import json
import os
import re
import shutil
import subprocess

import pytest

from support.program import HERMES, wait_for
from support.svscan import is_read
from support.testbed import Bed

pytestmark = [pytest.mark.root, pytest.mark.s6]
USER = 1000
PROGRAM = "/run/bed/bin/hermes-init"
EVERYBODY = [0, USER, HERMES]


def profile(bed, name, owner=USER):
    """Makes a profile that runs, and default, and the volume, for a user."""
    for each in ("default", name):
        bed.profile(each, "running")
    give(bed, owner)


def give(bed, owner, group=None):
    home = bed.path("/opt/data")
    for path in (home, *home.rglob("*")):
        os.chown(path, owner, owner if group is None else group, follow_symlinks=False)


def owners(bed):
    return {path.name: path.stat().st_uid for path in bed.path("/run/service").glob("gateway-*")}


def boot(bed, code=0, uid=USER):
    done = bed.init("reconcile", uid=uid, code=code)
    bed.rescan()
    return done


def healthy(bed, uid):
    """Waits until this user is told of no fault: a gateway takes a moment to be up."""
    bed.settle()

    def health():
        done = bed.init("health", uid=uid, code=None)
        assert done.stderr == b"", done
        return done.returncode == 0 and done.stdout == b""

    wait_for(health, what=f"health as {uid}")


def works(bed, *names):
    """Checks that these gateways run as s6's user and log, and that everybody is told so."""
    for name in names:
        assert bed.record(name)[1].startswith(f"{USER} {USER} ")
        wait_for(bed.path(f"/opt/data/logs/gateways/{name}/current").exists, what=f"the log of {name}")
    for uid in (0, USER):
        healthy(bed, uid)


@contextlib.contextmanager
def process(argv):
    started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    try:
        yield started
    finally:
        started.kill()
        started.wait(timeout=10)


@contextlib.contextmanager
def named_svscan(bed, uid, scandir):
    """A process with the name of s6-svscan, in the scan directory, that is none."""
    copy = bed.path("/run/bed/fake")
    if not copy.exists():
        copy.mkdir()
        shutil.copy(shutil.which("sleep"), copy / "s6-svscan")
    with process(bed.command(["sh", "-c", f"cd {scandir}; exec /run/bed/fake/s6-svscan 1000"], uid)):
        wait_for(lambda: len(bed.processes("s6-svscan")) > 1, what="the other process")
        yield


def test_everybodys_command_knows_the_user_of_process_1():
    with Bed(user=USER) as bed:
        profile(bed, "coder")
        assert boot(bed).stderr == b""
        works(bed, "coder", "default")
        for uid in EVERYBODY:
            explained = [json.loads(line) for line in bed.init("reconcile", "--explain", "--json", uid=uid).stdout.splitlines()]
            owner = next(fact for fact in explained if fact.get("setting") == "owner" or fact.get("name") == "owner")
            assert (owner["value"], owner["source"]) == ("1000:1000", "s6-svscan runs as this user"), owner
        # Root's pass takes nothing from him, and says nothing of what root need not be able to do.
        before = owners(bed)
        done = bed.init("reconcile", "--json")
        assert done.stderr == b"" and b'"changed": true' not in done.stdout, done
        assert owners(bed) == before == {"gateway-coder": USER, "gateway-default": USER}
        profile(bed, "late")
        for command in (["register", "late"], ["start", "--wait=10", "late"], ["restart", "--wait=10", "coder"]):
            done = bed.init(*command)
            assert done.stderr == b"", done
        assert set(owners(bed).values()) == {USER}
        works(bed, "coder", "default", "late")
        assert bed.path("/opt/data/profiles/late/gateway_state.json").stat().st_uid == USER


@pytest.mark.parametrize("uid", [0, USER])
def test_the_command_that_is_advised_is_for_the_user_of_s6_and_helps(uid):
    """The volume is another user's, the one of /etc/passwd."""
    with Bed(user=USER) as bed:
        profile(bed, "coder", owner=HERMES)
        done = boot(bed, code=1)
        said = re.findall(r"as root: (.*?)\)", done.stderr.decode())
        assert said[0] == "chown -hR 1000 /opt/data", done
        status = bed.init("status", uid=uid)
        assert "as root: chown -hR 1000 /opt/data" in status.stderr.decode(), status
        assert bed.run(["sh", "-c", said[0]]).returncode == 0
        assert boot(bed).stderr == b""
        for name in ("coder", "default"):
            bed.init("restart", "--wait=10", name)
        works(bed, "coder", "default")


def test_what_a_root_shell_has_left_is_handed_over_to_the_user_of_s6():
    with Bed(user=USER) as bed:
        profile(bed, "coder")
        boot(bed)
        works(bed, "coder", "default")
        coder = bed.path("/opt/data/profiles/coder")
        os.chown(coder, 0, 0)
        for uid in (0, USER):
            done = bed.init("health", uid=uid, code=1)
            command = re.search(r"as root: (.*?)\)", done.stdout.decode())[1]
            assert command == f"{PROGRAM} hand-over /opt/data/profiles/coder"
        assert bed.run(["sh", "-c", command]).returncode == 0
        assert coder.stat().st_uid == USER
        works(bed, "coder", "default")


def test_the_groups_are_those_of_s6():
    """runAsUser with an fsGroup: the volume is root's, and open for a group that only s6 has."""
    with Bed(user=USER, groups=[USER, 2000]) as bed:
        profile(bed, "coder")
        give(bed, 0, 2000)
        home = bed.path("/opt/data")
        for path in (home, *home.rglob("*")):
            path.chmod(0o2770 if path.is_dir() else 0o660)
        done = bed.run([PROGRAM, "reconcile"], USER, groups=[USER, 2000])
        assert done.returncode == 0 and done.stderr == b"", done
        bed.rescan()
        for name in ("coder", "default"):
            bed.record(name)
            wait_for(bed.path(f"/opt/data/logs/gateways/{name}/current").exists, what=f"the log of {name}")
        healthy(bed, 0)
        assert bed.init("reconcile").stderr == b""


def test_the_command_of_a_front_end_that_is_not_roots_is_seen_by_root():
    with Bed(user=USER) as bed:
        profile(bed, "coder")
        wrapper = bed.path("/run/bed/main-wrapper.sh")
        wrapper.write_text("#!/bin/sh\nsleep 1000\n")
        wrapper.chmod(0o755)
        other = bed.command(["/run/bed/main-wrapper.sh", "dashboard"], HERMES)
        with process(other):
            # Anybody can give a process any argv.
            wait_for(lambda: bed.processes("main-wrapper.sh"), what="the other wrapper")
            assert b"nothing to do" not in bed.init("reconcile", "--dry-run").stdout
            with process(bed.command(["/run/bed/main-wrapper.sh", "dashboard"], USER)):
                wait_for(lambda: len(bed.processes("main-wrapper.sh")) == 2, what="the wrapper")
                assert b"nothing to do: this container's command is dashboard" in bed.init("reconcile").stdout
        assert owners(bed) == {}


WITHOUT_PTRACE = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all"]


@contextlib.contextmanager
def own_svscan(bed, uid):
    """An s6-svscan that is not process 1, on a scan directory of its user's."""
    scandir = bed.path("/run/own")
    scandir.mkdir(mode=0o755)
    os.chown(scandir, uid, uid)
    with process(bed.command(["env", "-i", "PATH=/run/bed/bin:/usr/bin:/bin", "s6-svscan", "/run/own"], uid)):
        wait_for(lambda: is_read(scandir / ".s6-svscan/control"), what="s6-svscan")
        yield
        bed.run(["s6-svscanctl", "-t", "/run/own"])


def explained_owner(bed, *before, uid=0, scandir="/run/own"):
    words = [*before, PROGRAM, "reconcile", "--explain", "--json", "--scandir", scandir]
    lines = map(json.loads, bed.run(words, uid).stdout.splitlines())
    return next(fact["value"] for fact in lines if "owner" in (fact.get("setting"), fact.get("name")))


def test_an_s6_svscan_that_is_not_process_1_is_the_one_that_works_in_the_scan_directory():
    with Bed(svscan=False) as bed, own_svscan(bed, USER):
        for before in ([], WITHOUT_PTRACE):
            assert explained_owner(bed, *before) == "1000:1000"
        assert explained_owner(bed, uid=USER) == "1000:1000"
        # Of another scan directory it says nothing.
        assert explained_owner(bed, scandir="/run/service") == "10000:10000"
        profile(bed, "coder")
        done = bed.init("reconcile", "--scandir", "/run/own")
        assert bed.path("/run/own/gateway-coder").stat().st_uid == USER, done


@pytest.mark.parametrize("before", [[], WITHOUT_PTRACE], ids=["all", "without-ptrace"])
def test_no_other_process_overrules_roots_s6_svscan(before):
    with Bed(svscan=False) as bed, own_svscan(bed, 0):
        for uid in (USER, HERMES):
            with named_svscan(bed, uid, "/run/own"):
                assert explained_owner(bed, *before) == "10000:10000"
        profile(bed, "coder", owner=HERMES)
        with named_svscan(bed, USER, "/run/own"):
            bed.run([*before, PROGRAM, "reconcile", "--scandir", "/run/own"])
            assert bed.path("/run/own/gateway-coder").stat().st_uid == HERMES


def test_process_1_overrules_everybody():
    with Bed() as bed, named_svscan(bed, USER, "/run/service"):
        assert explained_owner(bed, scandir="/run/service") == explained_owner(bed, uid=USER, scandir="/run/service") == "10000:10000"


def test_owners_of_files_decide_nothing():
    with Bed() as bed:
        os.chown(bed.path("/run/service"), USER, USER)
        for path in bed.path("/run/service/.s6-svscan").iterdir():
            os.chown(path, USER, USER)
        profile(bed, "coder")
        for uid in (0, USER):
            assert explained_owner(bed, uid=uid, scandir="/run/service") == "10000:10000"


def test_root_that_cannot_become_the_user_of_s6_does_not_say_that_no_gateway_can_run():
    with Bed(user=USER) as bed:
        profile(bed, "coder")
        boot(bed)
        works(bed, "coder", "default")
        limited = ["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-all"]
        done = bed.run([*limited, PROGRAM, "status"])
        said = done.stderr.decode()
        assert "no gateway can run" not in said + done.stdout.decode(), done
        assert "what that user may use is not known: run the command as that user" in said, done
        # That helps.
        done = bed.init("status", uid=USER)
        assert done.stderr == b"" and b"unable" not in done.stdout


def test_an_option_still_says_who_owns_what_is_made():
    with Bed(user=USER) as bed:
        profile(bed, "coder")
        bed.init("reconcile", "--owner", "1234:1234", code=None)
        assert owners(bed) == {"gateway-coder": 1234, "gateway-default": 1234}


def test_a_logger_advises_for_the_user_that_it_runs_as():
    with Bed(user=USER) as bed:
        profile(bed, "coder")
        os.chown(bed.path("/opt/data"), 0, 0)
        boot(bed, code=1)
        wait_for(lambda: b"unable to log to" in bed.log(), what="the logger's message")
        commands = set(re.findall(r"as root: (.*?)\)", bed.log().decode()))
        assert commands == {"chown -hR 1000 /opt/data"}, bed.log()
        assert bed.run(["sh", "-c", commands.pop()]).returncode == 0
        for name in ("coder", "default"):
            bed.init("restart", "--wait=10", name)
        works(bed, "coder", "default")
