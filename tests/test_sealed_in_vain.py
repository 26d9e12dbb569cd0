"""Sealed mode where it protects nothing, because gateways run as the user who owns what s6 runs, and gateways as root; and that commands
which are run for their answer say nothing of the mode."""

import json
import os

import pytest

from support.program import HERMES, wait_for
from support.testbed import GROUP, PASSWD, SERVICES, Bed, static_service

pytestmark = [pytest.mark.root, pytest.mark.s6]
SEALED = {"HERMES_INIT_SEALED": "1"}
LIKE_S6 = (
    "sealed mode protects nothing: s6 runs as uid {}, and gateways as the same user, who can change every slot: "
    "start the container as root, or without sealed mode"
)
AS_ROOT = "gateways run as root, because the user hermes of /etc/passwd has uid 0: HERMES_UID sets another one"


def own(bed, uid):
    home = bed.path("/opt/data")
    for path in (home, *home.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


def warning(command, text):
    return f"hermes-init {command}: warning: {text}\n".encode()


def named(bed, uid):
    """Gives the user hermes another uid, as HERMES_UID does."""
    (bed.folder / "passwd").write_bytes(PASSWD.replace(b":10000:10000:", f":{uid}:10000:".encode()))
    (bed.folder / "group").write_bytes(GROUP)


@pytest.mark.parametrize("user", [1000, HERMES])
def test_sealed_where_s6_is_the_gateways_user_fails_and_everything_runs(user):
    with Bed(user=user, environment=SEALED) as bed:
        bed.profile("coder", "running")
        own(bed, user)
        text = LIKE_S6.format(user)
        for uid in (user, 0):
            done = bed.init("reconcile", uid=uid, code=1)
            assert done.stderr == warning("reconcile", text), done
            assert done.stdout.count(b" action=") == 2 and b"action=failed" not in done.stdout
            done = bed.init("reconcile", "--dry-run", uid=uid, code=1)
            assert done.stderr == warning("reconcile", text), done
        bed.rescan()
        assert bed.record("coder")[1].startswith(f"{user} ")
        assert {path.stat().st_uid for path in bed.path("/run/service").glob("gateway-*")} == {user}
        # What is said is true: what a gateway could do.
        assert bed.run(["sh", "-c", "rm /run/service/gateway-coder/run && touch /run/service/gateway-coder/run"], user).returncode == 0
        explained = bed.init("reconcile", "--explain", uid=user).stdout.decode()
        assert f"mode: sealed (container environment; {text})" in explained or text in explained, explained


@pytest.mark.parametrize("user", [1000, HERMES])
def test_fix_perms_says_it_too(user):
    with Bed(user=user, environment=SEALED) as bed:
        static_service(bed, "dashboard")
        own(bed, user)
        for path in (bed.path(SERVICES), *bed.path(SERVICES).rglob("*")):
            os.chown(path, user, user)
        bed.rescan()
        wait_for(lambda: bed.path(f"{SERVICES}/dashboard/supervise/control").exists(), what="the supervisor")
        done = bed.init("fix-perms", SERVICES, uid=user, code=1)
        assert done.stderr == warning("fix-perms", LIKE_S6.format(user)), done
        assert bed.path(f"{SERVICES}/dashboard/supervise").stat().st_uid == user


def test_the_other_ways_that_are_named_have_no_warning():
    with Bed(environment=SEALED) as bed:
        bed.profile("coder", "running")
        assert bed.init("reconcile").stderr == b""
    with Bed(user=1000) as bed:
        bed.profile("coder", "running")
        own(bed, 1000)
        assert bed.init("reconcile", uid=1000).stderr == bed.init("fix-perms", SERVICES).stderr == b""


@pytest.mark.parametrize("sealed", [False, True])
def test_gateways_of_root_are_said_and_sealed_is_in_vain(sealed):
    with Bed(environment=SEALED if sealed else {}) as bed:
        named(bed, 0)
        bed.profile("coder", "running")
        done = bed.init("reconcile", code=int(sealed))
        text = f"sealed mode protects nothing: {AS_ROOT}, or go without sealed mode" if sealed else AS_ROOT
        assert done.stderr == warning("reconcile", text), done
        bed.path(SERVICES).mkdir(exist_ok=True)
        assert (warning("fix-perms", text) in bed.init("fix-perms", SERVICES, code=int(sealed)).stderr) == sealed
        bed.rescan()
        assert bed.record("coder")[1].startswith("0 ")
        # What is advised helps.
        named(bed, 10001)
        own(bed, 10001)
        assert bed.init("reconcile").stderr == b""


@pytest.mark.parametrize(("owner", "mode"), [(0, 0o2777), (0, 0o2775), (0, 0o757), (HERMES, 0o755), (1000, 0o755)])
def test_a_run_that_others_may_write_to_is_said_and_sealed_is_in_vain(owner, mode):
    """As Kubernetes mounts an emptyDir: root executes what is in /run/s6."""
    with Bed(environment=SEALED) as bed:
        static_service(bed, "dashboard")
        bed.profile("coder", "running")
        assert bed.init("reconcile").stderr == bed.init("fix-perms", SERVICES).stderr == b""
        os.chown(bed.path("/run"), owner, HERMES)
        bed.path("/run").chmod(mode)
        text = (
            f"sealed mode protects nothing: users other than root may write to /run (owner {owner}:10000, mode {mode:o}), and root "
            "executes what is below it: it must be root's alone before s6 starts, in Kubernetes by an init container"
        )
        assert bed.init("reconcile", code=1).stderr == warning("reconcile", text)
        assert warning("fix-perms", text) in bed.init("fix-perms", SERVICES, code=1).stderr
        assert text in bed.init("reconcile", "--explain").stdout.decode()
        # Delegated mode promises nothing of the kind.
        assert text.encode() not in bed.init("reconcile", "--delegated").stderr
        if owner != 1000:
            # What is said is true.
            assert bed.run(["mv", "/run/s6", "/run/moved"], HERMES if mode & 0o20 or owner else 4321).returncode == 0


@pytest.mark.parametrize("mode", [0o1777, 0o755, 0o2755])
def test_of_a_run_in_which_others_cannot_exchange_what_is_roots_nothing_is_said(mode):
    """As a tmpfs of docker and podman is."""
    with Bed(environment=SEALED) as bed:
        bed.profile("coder", "running")
        bed.path("/run").chmod(mode)
        assert bed.init("reconcile").stderr == b""
        assert bed.run(["mv", "/run/s6", "/run/moved"], HERMES).returncode == 1


@pytest.mark.parametrize("command", ["health", "status", "hand-over"])
def test_a_mode_that_an_option_has_set_is_no_news_to_a_command_without_that_option(command):
    with Bed() as bed:
        bed.profile("coder", "stopped")
        bed.init("reconcile", "--sealed")
        bed.rescan()
        bed.settle()
        words = {"hand-over": ["profiles"]}.get(command, [])
        for uid in (0, HERMES) if command != "hand-over" else (0,):
            assert bed.init(command, *words, uid=uid).stderr == b""
        assert bed.init("health").stdout == b""
        # One that could change the mode says which one it takes.
        assert b"is sealed and stays sealed" in bed.init("reconcile").stderr
        explained = bed.init("reconcile", "--explain", "--json").stdout.splitlines()
        assert "sealed" in {json.loads(line).get("value") for line in explained}
