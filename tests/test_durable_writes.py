"""What a single step holds: durable files, the way back, staging names, locks. Each test fails if that one step is taken away."""

import fcntl
import json
import os
import re
import subprocess
import time

import pytest

from support.file_tree import entries_of
from support.program import APART, HERMES, executable, run
from support.volume import Volume

pytestmark = [pytest.mark.root, pytest.mark.strace]


@pytest.fixture
def volume(place):
    volume = Volume(place)
    volume.profile("coder", "running")
    volume.scandir.mkdir(exist_ok=True)
    return volume


def injected(*faults):
    return ["strace", "-f", "-o", "/dev/null", *(word for fault in faults for word in ("-e", f"inject={fault}"))]


def stop(volume):
    return [executable(), "stop", "coder", *volume.options()[:-2]]


def state(volume):
    return json.loads((volume.home / "profiles/coder/gateway_state.json").read_text())


def test_a_state_file_is_on_the_disk_before_it_has_its_name(volume, place):
    assert run(["strace", "-o", place / "trace", *stop(volume)], env=APART).returncode == 0
    calls = re.findall(r"^(fsync|renameat2?|rename)\((.*)\) += 0", (place / "trace").read_text(), re.M)
    assert [name for name, what in calls if name == "fsync" or "gateway_state.json" in what][:2] in (
        ["fsync", "renameat"],
        ["fsync", "renameat2"],
    )


@pytest.mark.parametrize("size, rotated", [(262_143, False), (262_144, True)])
def test_a_log_is_rotated_from_its_size_on(volume, size, rotated):
    log = volume.home / "logs/container-boot.log"
    log.parent.mkdir()
    os.chown(log.parent, HERMES, HERMES)
    log.write_text("x" * (size - 1) + "\n")
    volume.reconcile()
    assert (log.parent / "container-boot.log.1").exists() == rotated and (log.stat().st_size > size) != rotated


def test_an_old_slot_is_better_than_none(volume):
    """No exchange on this file system, and then the new slot cannot get its name: the old one gets it back."""
    volume.reconcile()
    slot = volume.slot("coder")
    before = slot.stat().st_ino
    volume.profile("coder", "stopped")
    done = volume.reconcile(before=injected("renameat2:error=ENOSYS:when=1+", "renameat:error=ENOSPC:when=2"), code=1)
    assert slot.stat().st_ino == before and b"action=failed" in done.stdout and not (slot / "down").exists()
    assert not [name for name in entries_of(volume.scandir) if name.startswith(".gateway-")]


def test_a_slot_that_was_being_replaced_gets_its_name_back(volume):
    volume.reconcile()
    slot = volume.slot("coder")
    (slot / "env").mkdir()
    (slot / "env/TOKEN").write_text("secret")
    inode = slot.stat().st_ino
    slot.rename(volume.scandir / ".gateway-coder.out.tmp")
    volume.reconcile()
    assert slot.stat().st_ino == inode and (slot / "env/TOKEN").read_text() == "secret"


@pytest.mark.parametrize("how", ["owner", "mode", "links"])
def test_a_staging_directory_that_is_not_this_process_s_own_is_not_filled(volume, place, how):
    """The hermes user exchanges the directory between mkdir and open: strace delays the end of mkdir."""
    tool, staging = place / "exchange", volume.scandir / ".gateway-coder.tmp"
    change = {"owner": f"chown {HERMES} {staging}", "mode": f"chmod 777 {staging}", "links": f"mkdir {staging}/inner"}[how]
    tool.write_text(f"#!/bin/sh\nwhile [ ! -d {staging} ]; do :; done\n{change}\n")
    tool.chmod(0o755)
    with subprocess.Popen(["timeout", "30", tool]) as other:
        done = volume.reconcile(before=injected("mkdirat:delay_exit=1500000"), code=1)
        other.wait(timeout=40)
    assert b"profile=coder prior_state=running action=failed" in done.stdout and not volume.slot("coder").exists(), done


def test_a_replace_that_fails_leaves_no_staging_file(volume):
    done = run([*injected("fsync:error=EIO:when=1+"), *stop(volume)], env=APART)
    assert done.returncode == 1 and state(volume) == {"gateway_state": "running"}, done
    assert sorted(os.listdir(volume.home / "profiles/coder")) == ["SOUL.md", "gateway_state.json"]


def test_an_interrupted_write_is_done_again(volume):
    done = run([*injected("write:error=EINTR:when=1"), *stop(volume)], env=APART)
    assert done.returncode == 0 and state(volume)["desired_state"] == "stopped", done


def test_two_requests_write_one_state_one_after_the_other(volume):
    """Whoever holds the lock of the profile's directory is waited for."""
    held = os.open(volume.home / "profiles/coder", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    process = subprocess.Popen(stop(volume), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        time.sleep(1)
        assert process.poll() is None and "desired_state" not in state(volume)
        os.close(held)
        assert process.wait(timeout=20) == 0 and state(volume)["desired_state"] == "stopped"
    finally:
        process.kill()
        process.wait(timeout=20)


def failing(call, path, errno="EIO"):
    """strace fails the calls with this path. Relative, it is what the program opens below a directory."""
    return ["strace", "-f", "-o", "/dev/null", "-P", path, "-e", f"trace={call}", "-e", f"inject={call}:error={errno}"]


def test_a_state_of_default_that_cannot_be_looked_at_is_not_a_first_boot(volume, place):
    """Nobody knows whether there is one: the slot is made, down, with the reason, and nothing is written over a state."""
    environment = {"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"}
    done = volume.reconcile(before=failing("newfstatat", "gateway_state.json"), code=1, environment=environment)
    assert b'profile=default prior_state=None action=registered reason="gateway_state.json: I/O error"' in done.stdout, done
    assert (volume.slot("default") / "down").exists() and not (volume.home / "gateway_state.json").exists()
    assert b"profile=default prior_state=running action=started" in volume.reconcile(environment=environment).stdout


def test_a_scan_directory_that_cannot_be_handed_over_is_a_failure(volume):
    done = volume.reconcile(before=failing("fchown", str(volume.scandir)), code=1)
    assert b"unable to change the owner of " in done.stderr and b"action=failed" not in done.stdout, done
    assert volume.scandir.stat().st_uid == 0
    volume.reconcile()
    assert volume.scandir.stat().st_uid == HERMES


@pytest.mark.parametrize("name", ["container-boot.log", "logs"])
def test_a_log_that_cannot_be_read_does_not_say_when_a_profile_was_made(volume, name):
    volume.reconcile()
    volume.profile("late", "stopped")
    argv = [executable(), "status", *volume.options()[:-2]]
    assert b"created since the last boot" in run(argv, env=APART).stdout
    done = run([*failing("openat", name), *argv], env=APART)
    assert b"created since" not in done.stdout and b"it has no slot" in done.stdout and b"unable to " in done.stderr, done
