"""Names that no gateway has: what each command says of one, what was probably meant, and that nothing is made."""

import shutil
import subprocess
import time

import pytest

from support.file_tree import identity
from support.program import HERMES, wait_for
from support.testbed import desired, entries, supervised

pytestmark = pytest.mark.s6
COMMANDS = ["start", "restart", "stop", "logs", "register", "status", "health"]

# What is said of a name; `{}` are the command, its severity, the name and what was probably meant.
NO_SUCH = "hermes-init {}: {}: no such gateway {}: no profile of that name in /opt/data/profiles{}\n"
MEANT = "; did you mean {}?"


def no_such(command, name, meant=None):
    severity = "fatal" if command == "register" else "warning"
    return NO_SUCH.format(command, severity, name, MEANT.format(meant) if meant else "")


def made(bed):
    """Returns what the container has: the slots, the volume with its logs, and the supervisors."""
    volume = bed.path("/opt/data")
    # A logger is up some time before it has made its files.
    files = [
        volume / "logs/gateways" / slot.name.removeprefix("gateway-") / name
        for slot in bed.path("/run/service").glob("gateway-*")
        for name in ("current", "lock", "state")
    ]
    wait_for(lambda: all(path.exists() for path in files), what="the logs")
    service = identity(bed.path("/run/service"))
    return sorted(service), sorted(path.relative_to(volume) for path in volume.rglob("*")), bed.supervisors()


@pytest.mark.parametrize("uid", [HERMES, 0])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_nothing_has_is_no_gateway_and_makes_none(live, command, uid):
    live.profile("writer", "stopped")
    live.path("/opt/data/profiles/unfinished").mkdir()
    live.record("coder")
    wait_for(lambda: live.path("/opt/data/logs/gateways/coder/current").exists(), what="its log")
    before = made(live)
    for name, meant in (
        ("codre", "coder"),
        ("code", "coder"),
        ("coder2", "coder"),
        ("wirter", "writer"),
        ("defalt", "default"),
        # The name of the service, and one that is near to it.
        ("gateway-writer", "writer"),
        ("gateway-wirter", "writer"),
        ("nobody", None),
        ("x", None),
        # Of a directory that is no profile nothing can be made; status and health know it.
        ("unfinishd", "unfinished" if command in ("status", "health") else None),
    ):
        done = live.init(command, name, uid=uid, code=1)
        assert done.stderr.decode() == no_such(command, name, meant), done
        assert made(live) == before
    # Where the volume is, is what is said.
    live.run(["cp", "-rp", "/opt/data", "/run/other"])
    done = live.init(command, "--hermes-home=/run/other/", "codre", uid=uid, code=1)
    assert b"no profile of that name in /run/other/profiles; did you mean coder?" in done.stderr


@pytest.mark.parametrize("command", ["start", "restart", "stop", "logs", "register", "unregister"])
def test_a_word_that_is_no_name_says_which_one_was_probably_meant(live, command):
    before = made(live)
    for word, meant in (
        ("Coder", "coder"),
        ("CODRE", "coder"),
        ("/run/service/gateway-coder", "coder"),
        ("gateway-coder/log", "coder"),
        ("profiles/coder/", "coder"),
        ("Nobody", None),
    ):
        said = live.init(command, word, uid=HERMES, code=100).stderr.decode()
        hint = MEANT.format(meant) if meant else ""
        assert said == f"hermes-init {command}: fatal: unable to use the profile {word}: name is not [a-z0-9][a-z0-9_-]*{hint}\n"
    assert made(live) == before
    # Nor does it matter whether there is a volume to look at.
    assert live.init(command, "Coder", "--hermes-home=/nowhere", uid=HERMES, code=100).stderr.count(b"\n") == 1


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_of_several_names_the_good_ones_are_done_and_the_others_said(live, uid):
    for command, state in (("stop", "down"), ("start", "up"), ("restart", "up")):
        done = live.init(command, "codre", "coder", "nobody", uid=uid, code=1)
        assert done.stderr.decode() == no_such(command, "codre", "coder") + no_such(command, "nobody")
        wait_for(lambda state=state: live.svstat(live.slot("coder")) == state, what=state)
    wait_for(lambda: b"started coder" in live.init("logs", "coder").stdout, what="the log")
    done = live.init("logs", "-n", "1", "codre", "coder", uid=uid, code=1)
    assert done.stderr.decode() == no_such("logs", "codre", "coder") and done.stdout.startswith(b"coder: ")


def test_logs_follows_no_name_that_nothing_has(live):
    wait_for(lambda: b"started coder" in live.init("logs", "coder").stdout, what="the log")
    start = time.monotonic()
    assert live.init("logs", "-f", "codre", "nobody", uid=HERMES, code=1).stderr.count(b"no such gateway") == 2
    assert time.monotonic() - start < 5
    # Beside another one it is said, and is the exit code in the end.
    argv = live.command(["/run/bed/bin/hermes-init", "logs", "-f", "codre", "coder"], HERMES)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}, cwd="/") as following:
        assert following.stdout.readline().startswith(b"coder: ")
        following.stdout.close()
        assert following.wait(timeout=10) == 1
        assert following.stderr.read().decode() == no_such("logs", "codre", "coder")


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_what_still_has_a_slot_or_a_log_can_be_stopped_read_and_unregistered(live, uid):
    live.profile("gone", "running")
    live.init("start", "--wait", "gone", uid=uid)
    wait_for(lambda: b"started gone" in live.init("logs", "gone", uid=uid).stdout, what="its log")
    shutil.rmtree(live.path("/opt/data/profiles/gone"))
    assert live.init("stop", "--wait", "gone", uid=uid).stderr == b"" and live.svstat(live.slot("gone")) == "down"
    # It counts where a name is near to it.
    assert live.init("stop", "gon", uid=uid, code=1).stderr.decode() == no_such("stop", "gon", "gone")
    assert b"it already exists" in live.init("register", "gone", uid=uid, code=1).stderr
    live.init("unregister", "gone", uid=uid)
    supervised(live, 4)
    # Only the log is left.
    before = made(live)
    assert b"started gone" in live.init("logs", "gone", uid=uid).stdout
    assert live.init("stop", "gone", uid=uid).stderr == b"hermes-init stop: info: gone has no slot: the next boot keeps it down\n"
    for command in ("start", "restart", "register", "status", "health"):
        assert live.init(command, "gone", uid=uid, code=1).stderr.decode() == no_such(command, "gone")
    live.init("unregister", "gone", uid=uid)
    assert made(live) == before


def test_unregister_of_a_name_that_nothing_has_is_fine_and_silent(live):
    before = made(live)
    assert live.init("unregister", "codre", uid=HERMES).stderr == b"" and made(live) == before


@pytest.mark.parametrize("command, code", [("start", 111), ("restart", 111), ("stop", 111), ("register", 111), ("logs", 1)])
@pytest.mark.parametrize("name", ["new", "nobody"])
def test_where_nobody_can_look_nobody_knows_whether_there_is_a_gateway(live, command, code, name):
    live.profile("new", "running")
    live.run(["sh", "-ec", "chown 0:0 /opt/data/profiles; chmod 700 /opt/data/profiles"])
    before = made(live)
    said = live.init(command, name, uid=HERMES, code=code).stderr.decode()
    assert f"unable to use the profile profiles/{name}: Permission denied (/opt/data/profiles belongs to 0:0, mode 0700" in said
    assert "no such gateway" not in said and "did you mean" not in said and "yet" not in said and made(live) == before
    # What runs can be stopped all the same.
    if command == "stop":
        live.init("stop", "coder", uid=HERMES, code=1)
        assert live.svstat(live.slot("coder")) == "down"


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_profile_that_has_just_been_created_is_registered(live, uid):
    """As `hermes profile create` does it: first the file that makes it a profile."""
    live.profile("new")
    live.init("register", "new", "--down", uid=uid)
    assert "gateway-new" in entries(live)
    live.init("start", "--wait", "new", uid=uid)
    assert desired(live, "new")["desired_state"] == "running"


@pytest.mark.parametrize("command", ["start", "status"])
def test_a_name_on_the_volume_that_is_no_name_of_a_profile_is_not_meant(live, command):
    profiles = live.path("/opt/data/profiles")
    (profiles / "wri\x1bter").mkdir()
    (profiles / "wri\x1bter/SOUL.md").touch()
    (profiles / "writer").symlink_to("nowhere")
    for name, meant in (("writr", "writer" if command == "status" else None), ("codr", "coder")):
        said = live.init(command, name, uid=0, code=1).stderr.decode()
        assert said == no_such(command, name, meant)
