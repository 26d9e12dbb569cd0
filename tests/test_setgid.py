"""Volumes and scan directories that give their group to what is made in them: Kubernetes' fsGroup, and a /run with the setgid bit. Whose a
thing is, is its uid."""

import json
import os
import subprocess

import pytest

from support.program import APART, HERMES, executable, run, wait_for
from support.svscan import Svscan
from support.testbed import Bed

pytestmark = [pytest.mark.root, pytest.mark.s6]
FS_GROUP = 2000
USER = 1000


def as_fs_group(bed, group, mode=0o2775):
    """Makes of the volume what kubelet makes of it: all is root's and the group's."""
    home = bed.path("/opt/data")
    for path in (home, *home.rglob("*")):
        os.chown(path, 0, group, follow_symlinks=False)
        path.chmod(mode if path.is_dir() else 0o664)


def ids(path):
    found = path.stat()
    return found.st_uid, found.st_gid


def logs_of_running(bed, *names):
    """Boots, and waits until each of these gateways has a log."""
    done = bed.init("reconcile")
    assert done.stderr == b"", done
    bed.rescan()
    for name in names:
        wait_for(bed.path(f"/opt/data/logs/gateways/{name}/current").exists, what=f"the log of {name}")
    bed.settle()
    wait_for(lambda: bed.init("health", code=None).stdout == b"", what="health")


@pytest.mark.parametrize("group", [HERMES, FS_GROUP], ids=["own", "other"])
def test_on_a_volume_of_an_fs_group_the_first_boot_leaves_everything_usable(group):
    with Bed() as bed:
        bed.profile("coder", "running")
        as_fs_group(bed, group)
        # As kubelet's group, s6 has it, and the gateways get it.
        groups = bed.path("/etc/group").read_text() + f"fs:x:{group}:hermes\n"
        (bed.folder / "group").write_text(groups)
        logs_of_running(bed, "coder", "default")
        assert ids(bed.path("/opt/data/logs")) == (HERMES, group)
        assert ids(bed.path("/opt/data/logs/container-boot.log"))[0] == HERMES
        # What is not empty stays as it was.
        assert ids(bed.path("/opt/data")) == (0, group)


def test_logs_that_an_earlier_pass_has_kept_for_root_are_handed_over():
    with Bed() as bed:
        bed.profile("coder", "running")
        as_fs_group(bed, HERMES)
        logs = bed.path("/opt/data/logs")
        logs.mkdir()
        logs.chmod(0o2755)
        (logs / "container-boot.log").touch()
        os.chown(logs / "container-boot.log", HERMES, HERMES)
        logs_of_running(bed, "coder", "default")
        assert ids(logs) == (HERMES, HERMES)


@pytest.mark.parametrize("content", [[], ["lost+found"]], ids=["nothing", "lost+found"])
@pytest.mark.parametrize(("group", "mode"), [(0, 0o755), (HERMES, 0o2775), (FS_GROUP, 0o2775)])
def test_an_empty_volume_of_roots_is_handed_over(group, mode, content):
    with Bed() as bed:
        home = bed.path("/opt/data")
        for name in content:
            (home / name).mkdir(mode=0o700)
        os.chown(home, 0, group)
        home.chmod(mode)
        bed.init("reconcile")
        # The group that it was given decides who else may use it.
        assert ids(home) == (HERMES, group or HERMES)
        assert [ids(home / name) for name in content] == [(0, 0)] * len(content)
        assert home.stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize("content", ["lost+found2", "file"])
def test_a_volume_that_is_not_empty_stays_roots(content):
    with Bed() as bed:
        home = bed.path("/opt/data")
        (home / content).touch()
        os.chown(home, 0, 0)
        bed.init("reconcile", code=1)
        assert ids(home) == (0, 0)


@pytest.mark.parametrize("owner", ["10000:10000", "1000:10000", "1000:1000"])
def test_a_second_pass_of_an_ordinary_user_below_a_setgid_directory_changes_nothing(place, owner):
    run_, home = place / "run", place / "home"
    (home / "profiles/coder").mkdir(parents=True)
    (home / "profiles/coder/SOUL.md").touch()
    (home / "profiles/coder/gateway_state.json").write_text('{"gateway_state": "running"}')
    run_.mkdir()
    place.chmod(0o755)
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER)
    os.chown(run_, USER, FS_GROUP)
    run_.chmod(0o2775)
    svscan = Svscan(run_ / "service")
    for path in (run_ / "service").rglob("*"):
        os.chown(path, USER, FS_GROUP)
    os.chown(run_ / "service", USER, FS_GROUP)

    def reconcile():
        argv = ["setpriv", "--reuid", USER, "--regid", 0, "--clear-groups", executable(), "reconcile", "--json"]
        options = ["--hermes-home", home, "--scandir", run_ / "service", "--owner", owner, "--role", "gateway"]
        return run([*argv, *options], env=APART, cwd="/")

    first = [json.loads(line) for line in reconcile().stdout.splitlines()]
    assert [row["changed"] for row in first if row.get("profile") == "coder"] == [True], first
    second = [json.loads(line) for line in reconcile().stdout.splitlines()]
    assert [row["changed"] for row in second if row.get("profile")] == [False, False], second
    svscan.stop()


def test_a_new_ext4_file_system_is_empty(place):
    image, mount = place / "image", place / "mount"
    mount.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 4 << 20)
    assert run(["mkfs.ext4", "-q", str(image)]).returncode == 0
    script = f"mount -o loop {image} {mount} && {executable()} reconcile --hermes-home {mount} --scandir {place}/scan --role gateway"
    script += f" >&2; stat -c %u {mount} {mount}/lost+found"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env=APART | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    if b"loop" in done.stderr:
        pytest.skip("no loop devices")
    assert done.stdout == f"{HERMES}\n0\n".encode(), done
