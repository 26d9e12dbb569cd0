"""What a pass knows of a profile's directory on a remote volume from one listing, and what it looks at where the listing does not tell; and
that what it says and does is the same however it looks: one profile after the other, or several at once."""

import os
import re
import shutil
from pathlib import Path

import pytest

from support import caseless
from support.file_tree import snapshot
from support.program import HERMES
from support.slow import Slow
from support.testbed import Bed

pytestmark = [
    pytest.mark.root,
    pytest.mark.s6,
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs FUSE"),
]
ENTRIES = 256


def own(path):
    os.chown(path, HERMES, HERMES, follow_symlinks=False)


def fill(folder):
    """Gives a profile each file that a pass looks for."""
    (folder / "state").mkdir(exist_ok=True)
    for name, content in {
        "config.yaml": "gateway:\n  standalone: true\n",
        "gateway.parked": "",
        "gateway.pid": "{}",
        "processes.json": "[]",
        ".gateway-planned-stop.json": "{}",
        ".hermes-init-env": "KEPT=1\0",
        "state/gateway.lifecycle.json": '{"phase": "exited"}',
    }.items():
        (folder / name).write_text(content)
        own(folder / name)


SEEN = "profile=coder prior_state=running action=registered"
LEFT = {".hermes-init-env", "SOUL.md", "config.yaml", "gateway.parked", "gateway_state.json", "state"}


def names_of(folder):
    return {name for name in os.listdir(folder) if not name.startswith("entry-")}


@pytest.fixture
def bed():
    with Bed() as bed:
        bed.profile("coder", "running")
        fill(bed.path("/opt/data/profiles/coder"))
        with Slow("/opt/data", "/opt/data", delay=0, cache=0, before=bed.command([])):
            yield bed


def is_whole(bed, done):
    """Returns whether a pass has found everything that `fill` has made."""
    log = bed.path("/opt/data/logs/container-boot.log").read_text()
    return (
        b"profile=coder prior_state=running action=started" in done.stdout
        and " prior_exit=clean folded_into_root=False" in log
        and bed.path("/run/service/gateway-coder/env/KEPT").read_text() == "1\n"
        and names_of(bed.path("/opt/data/profiles/coder")) == LEFT
    )


@pytest.mark.parametrize("more", [0, ENTRIES, 2000])
def test_everything_is_found_however_many_entries_there_are(bed, more):
    folder = bed.path("/opt/data/profiles/coder")
    for number in range(more):
        (folder / f"entry-{number}").touch()
    done = bed.init("reconcile", code=0)
    assert is_whole(bed, done), done


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["EIO", "EACCES", "ENOSYS"])
def test_what_cannot_be_listed_is_looked_at(bed, errno):
    path = bed.path("/opt/data/profiles/coder")
    # The descriptors below the profile's directory: `-P` follows them.
    strace = ["strace", "-f", "-o", "/dev/null", "-P", "/opt/data/profiles/coder", "-e", f"inject=getdents64:error={errno}"]
    done = bed.run([*strace, "/run/bed/bin/hermes-init", "reconcile"])
    assert done.returncode == 0 and done.stderr == b"" and is_whole(bed, done), done
    assert path.is_dir()


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["EIO", "EACCES", "EPERM", "ENOSYS"])
def test_what_cannot_be_opened_for_a_listing_is_looked_at(bed, errno):
    strace = ["strace", "-f", "-o", "/run/bed/trace", "-P", "coder", "-e", f"inject=openat:error={errno}:when=1"]
    done = bed.run([*strace, "/run/bed/bin/hermes-init", "reconcile"])
    assert "O_DIRECTORY" in bed.path("/run/bed/trace").read_text().partition("(INJECTED)")[0]
    assert done.returncode == 0 and done.stderr == b"" and is_whole(bed, done), done


@pytest.mark.strace
def test_of_names_as_long_as_can_be_one_buffer_is_listed(bed):
    folder = bed.path("/opt/data/profiles/coder")
    for number in range(200):
        (folder / f"entry-{number:0249}").touch()
    trace = ["strace", "-f", "-o", "/run/bed/trace", "-P", "/opt/data/profiles/coder", "-e", "trace=getdents64"]
    done = bed.run([*trace, "/run/bed/bin/hermes-init", "reconcile"])
    assert is_whole(bed, done), done
    assert bed.path("/run/bed/trace").read_text().count("getdents64(") == 1


@pytest.mark.parametrize("spelled", [str.upper, str.title])
def test_where_case_does_not_matter_a_file_is_found_in_any_spelling(spelled):
    with Bed() as bed:
        bed.profile("coder", "running")
        folder = bed.path("/opt/data/profiles/coder")
        fill(folder)
        caseless.mounted(bed, "/opt/data")
        for name in ("gateway.pid", "processes.json", "config.yaml", "gateway_state.json"):
            # By way of another name: both are one here.
            os.rename(folder / name, folder / "aside")
            os.rename(folder / "aside", folder / spelled(name))
        done = bed.init("reconcile", code=0)
        assert b"profile=coder prior_state=running action=started" in done.stdout, done
        assert not {name for name in names_of(folder) if name.lower() in ("gateway.pid", "processes.json")}


@pytest.mark.strace
def test_a_state_that_a_listing_has_missed_is_read(bed):
    """It is replaced again and again, and some file systems list no entry that is newer than the listing."""
    listing = ["strace", "-f", "-o", "/dev/null", "-P", "/opt/data/profiles/coder", "-P", "/opt/data", "-e", "inject=getdents64:retval=0"]
    done = bed.run([*listing, "/run/bed/bin/hermes-init", "reconcile"])
    # Nothing else is known to be there.
    assert b"profile=default prior_state=None" in done.stdout and done.returncode == 0, done
    bed.path("/opt/data/gateway_state.json").write_text('{"gateway_state": "stopped"}')
    done = bed.run([*listing, "/run/bed/bin/hermes-init", "reconcile"])
    assert b"profile=default prior_state=stopped" in done.stdout, done


def test_where_case_matters_another_spelling_is_another_file(bed):
    folder = bed.path("/opt/data/profiles/coder")
    os.rename(folder / "gateway.pid", folder / "Gateway.PID")
    bed.init("reconcile", code=0)
    assert names_of(folder) == LEFT | {"Gateway.PID"}


# One after the other, or several at once.

LARGE = "#" * 200_000


def mixed(bed):
    """Makes profiles of every kind that is told from another one."""
    home = bed.path("/opt/data")
    for number in range(40):
        name = f"p{number:02}"
        bed.profile(name, ["running", "stopped", "draining", "starting"][number % 4])
        folder = home / "profiles" / name
        match number % 10:
            case 0:
                fill(folder)
            case 1:
                (folder / "gateway_state.json").write_text("{")
            case 2:
                (folder / "config.yaml").write_text(LARGE + "\ngateway: {standalone: true}\n")
            case 3:
                (folder / "gateway_state.json").unlink()
                os.mkfifo(folder / "gateway_state.json")
            case 4:
                (folder / ".hermes-init-env").symlink_to("/etc/shadow")
            case 5:
                (folder / "gateway_state.json").write_text('{"desired_state": "running", "more": "' + LARGE[:9000] + '"}')
            case 6:
                (folder / "gateway.pid").mkdir()
            case 7:
                shutil.rmtree(folder / "state", ignore_errors=True)
                (folder / "state").symlink_to("/etc")
            case 8:
                (folder / "Straße-\u212a").touch()
                (folder / "processes.json").touch()
        for path in folder.rglob("*"):
            own(path)
    profiles = home / "profiles"
    (profiles / "Wrong Name").mkdir()
    (profiles / "Wrong Name/SOUL.md").touch()
    (profiles / "no-profile").mkdir()
    (profiles / "file").touch()
    (profiles / "dangling").symlink_to("nowhere")
    (profiles / "foreign").symlink_to("/etc")
    bed.run(["mkdir", "/run/disk"])
    bed.run(["mv", "/opt/data/profiles/p11", "/run/disk/p11"])
    bed.run(["chown", "-R", f"{HERMES}:{HERMES}", "/run/disk"])
    (profiles / "p11").symlink_to("/run/disk/p11")
    for path in (*profiles.iterdir(), profiles):
        own(path)


def told(bed, *before):
    """What a pass says, and what it leaves: the log without the time, the volume and the slots."""
    dry = bed.run([*before, "/run/bed/bin/hermes-init", "reconcile", "--explain"])
    done = bed.run([*before, "/run/bed/bin/hermes-init", "reconcile"])
    log = re.sub(r"(?m)^\S+ ", "", bed.path("/opt/data/logs/container-boot.log").read_text())
    slots = sorted(
        (str(path.relative_to(bed.path("/run/service"))), path.read_bytes() if path.is_file() else b"")
        for path in bed.path("/run/service").glob("gateway-*/**/*")
        if path.is_file() and "supervise" not in path.parts
    )
    volume = {name: text for name, text in snapshot(bed.path("/opt/data/profiles")).items() if not name.startswith(b"logs")}
    return {
        "explained": (dry.returncode, dry.stdout, dry.stderr),
        "said": (done.returncode, done.stdout, done.stderr),
        "log": log,
        "slots": slots,
        "volume": volume,
    }


WAYS = {
    "at once": {},
    "without threads": {"before": ["strace", "-f", "-o", "/dev/null", "-e", "inject=clone,clone3:error=EAGAIN"]},
    "with one thread more": {"before": ["strace", "-f", "-o", "/dev/null", "-e", "inject=clone,clone3:error=EAGAIN:when=2+"]},
    # Fewer than profiles are read ahead.
    "with few descriptors": {"before": ["prlimit", "--nofile=16"]},
    # Root without them is refused the volume and works there as the hermes user: what each thread is, too.
    "as the hermes user": {"before": ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"], "closed": True},
}


@pytest.mark.strace
@pytest.mark.parametrize("way", WAYS)
def test_several_at_once_are_told_and_done_as_one_after_the_other(way):
    before, is_closed = WAYS[way].get("before", []), WAYS[way].get("closed", False)
    answers = {}
    for kind in ("local", "remote"):
        with Bed() as bed:
            mixed(bed)
            if is_closed:
                bed.path("/opt/data").chmod(0o700)
            if kind == "local":
                # strace is not what makes the difference.
                answers[kind] = told(bed, *(before if is_closed else []))
                continue
            with Slow("/opt/data", "/opt/data", delay=0, cache=0, before=bed.command([])):
                answers[kind] = told(bed, *before)
    for part, local in answers["local"].items():
        assert answers["remote"][part] == local, part
    assert b"profile=p09" in answers["local"]["said"][1] and len(answers["local"]["slots"]) > 40


def test_what_is_read_ahead_takes_little_memory():
    with Bed() as bed:
        for number in range(64):
            bed.profile(f"p{number:02}", "running")
            config = bed.path(f"/opt/data/profiles/p{number:02}/config.yaml")
            config.write_text("#" * 120_000)
            own(config)
        with Slow("/opt/data", "/opt/data", delay=0, cache=600, before=bed.command([])):
            done = bed.run(["prlimit", f"--data={12 << 20}", "/run/bed/bin/hermes-init", "reconcile"])
            assert done.returncode == 0 and done.stderr == b"" and done.stdout.count(b"action=started") == 64, done


@pytest.mark.strace
def test_threads_are_started_for_a_remote_volume_alone_and_are_few():
    for kind, least, most in (("local", 0, 0), ("remote", 7, 7 * 4)):
        with Bed() as bed:
            for number in range(20):
                bed.profile(f"p{number:02}", "running")
            trace = ["strace", "-f", "-o", "/run/bed/trace", "-e", "trace=clone,clone3"]
            if kind == "local":
                bed.run([*trace, "/run/bed/bin/hermes-init", "reconcile"])
            else:
                with Slow("/opt/data", "/opt/data", delay=0, cache=600, before=bed.command([])):
                    bed.run([*trace, "/run/bed/bin/hermes-init", "reconcile"])
            started = bed.path("/run/bed/trace").read_text().count("clone")
            assert least <= started <= most, (kind, started)


@pytest.mark.strace
def test_threads_look_whether_default_runs_for_a_profile_that_is_not_asked_for():
    with Bed() as bed:
        for number in range(20):
            bed.profile(f"p{number:02}", "stopped")
        with Slow("/opt/data", "/opt/data", delay=0, cache=600, before=bed.command([])):
            trace = ["strace", "-f", "-o", "/run/bed/trace", "-e", "trace=clone,clone3"]
            done = bed.run([*trace, "/run/bed/bin/hermes-init", "status", "--topology=multiplex", "p00"])
        # One more tries whether the hermes user may use the two directories, that of default and that of p00.
        assert done.returncode == 0 and bed.path("/run/bed/trace").read_text().count("clone(") >= 7, done
