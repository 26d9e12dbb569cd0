"""What a single step holds: durable files, the way back, staging names, locks. Each test fails if that one step is taken away."""

import fcntl
import json
import os
import re
import subprocess
import time

import pytest

from bed import executable

OWNER = "10000"
pytestmark = [pytest.mark.root, pytest.mark.strace]


class Volume:
    def __init__(self, place):
        self.home, self.scandir = place / "home", place / "service"
        self.coder = self.home / "profiles/coder"
        self.coder.mkdir(parents=True)
        self.scandir.mkdir()
        (self.coder / "SOUL.md").touch()
        self.state = self.coder / "gateway_state.json"
        self.slot = self.scandir / "gateway-coder"
        self.say("running")
        # Without a state of the root profile, the processes of the machine are looked at.
        (self.home / "gateway_state.json").write_text('{"gateway_state": "stopped"}')
        subprocess.run(["chown", "-R", OWNER, self.home], check=True, timeout=20)

    def say(self, word):
        self.state.write_text(json.dumps({"gateway_state": word}))

    def run(self, *arguments, inject=(), trace=None, code=None):
        places = ["--hermes-home", self.home, "--scandir", self.scandir, "--owner", OWNER]
        before = ["strace", "-f", "-o", trace or "/dev/null"] if inject or trace else []
        before += [word for fault in inject for word in ("-e", f"inject={fault}")]
        done = subprocess.run([*before, executable(), *arguments, *places], capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        assert code is None or done.returncode == code, done
        return done


@pytest.fixture
def volume(place):
    return Volume(place)


def test_a_state_file_is_on_the_disk_before_it_has_its_name(volume, place):
    volume.run("stop", "coder", trace=place / "trace", code=0)
    calls = re.findall(r"^\d+ +(fsync|renameat2?|rename)\((.*)\) += 0", (place / "trace").read_text(), re.M)
    assert [name for name, what in calls if name == "fsync" or "gateway_state.json" in what][:2] in (["fsync", "renameat"], ["fsync", "renameat2"])


@pytest.mark.parametrize("size, rotated", [(262_143, False), (262_144, True)])
def test_a_log_is_rotated_from_its_size_on(volume, size, rotated):
    (volume.home / "logs").mkdir()
    log = volume.home / "logs/container-boot.log"
    log.write_text("x" * (size - 1) + "\n")
    volume.run("reconcile", code=0)
    assert (volume.home / "logs/container-boot.log.1").exists() == rotated and (log.stat().st_size > size) != rotated


def test_an_old_slot_is_better_than_none(volume):
    """No exchange on this file system, and then the new slot cannot get its name: the old one gets it back."""
    volume.run("reconcile", code=0)
    before = volume.slot.stat().st_ino
    volume.say("stopped")
    done = volume.run("reconcile", inject=["renameat2:error=ENOSYS:when=1+", "renameat:error=ENOSPC:when=2"], code=1)
    assert volume.slot.stat().st_ino == before and b"action=failed" in done.stdout and os.listdir(volume.scandir).count("gateway-coder") == 1
    assert not (volume.slot / "down").exists() and not [name for name in os.listdir(volume.scandir) if name.startswith(".gateway-")]


def test_a_slot_that_was_being_replaced_gets_its_name_back(volume):
    volume.run("reconcile", code=0)
    (volume.slot / "env").mkdir()
    (volume.slot / "env/TOKEN").write_text("secret")
    inode = volume.slot.stat().st_ino
    volume.slot.rename(volume.scandir / ".gateway-coder.out.tmp")
    volume.run("reconcile", code=0)
    assert volume.slot.stat().st_ino == inode and (volume.slot / "env/TOKEN").read_text() == "secret"


@pytest.mark.parametrize("how", ["owner", "mode", "links"])
def test_a_staging_directory_that_is_not_this_process_s_own_is_not_filled(volume, place, how):
    """The hermes user exchanges the directory between mkdir and open: strace delays the end of mkdir."""
    tool = place / "exchange"
    staging = volume.scandir / ".gateway-coder.tmp"
    change = {"owner": f"chown {OWNER} {staging}", "mode": f"chmod 777 {staging}", "links": f"mkdir {staging}/inner"}[how]
    tool.write_text(f"#!/bin/sh\nwhile [ ! -d {staging} ]; do :; done\n{change}\n")
    tool.chmod(0o755)
    with subprocess.Popen([tool]) as other:
        done = volume.run("reconcile", inject=["mkdirat:delay_exit=1500000"])
        other.wait(timeout=20)
    assert done.returncode == 1 and b"profile=coder prior_state=running action=failed" in done.stdout and not volume.slot.exists(), done


def test_a_replace_that_fails_leaves_no_staging_file(volume):
    volume.run("stop", "coder", inject=["fsync:error=EIO:when=1+"], code=1)
    assert sorted(os.listdir(volume.coder)) == ["SOUL.md", "gateway_state.json"] and json.loads(volume.state.read_text()) == {"gateway_state": "running"}


def test_an_interrupted_write_is_done_again(volume):
    volume.run("stop", "coder", inject=["write:error=EINTR:when=1"], code=0)
    assert json.loads(volume.state.read_text())["desired_state"] == "stopped"


def test_two_requests_write_one_state_one_after_the_other(volume):
    """Whoever holds the lock of the profile's directory is waited for."""
    held = os.open(volume.coder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    process = subprocess.Popen([executable(), "stop", "coder", "--hermes-home", volume.home, "--scandir", volume.scandir, "--owner", OWNER],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        time.sleep(1)
        assert process.poll() is None and "desired_state" not in volume.state.read_text()
        os.close(held)
        assert process.wait(timeout=20) == 0 and json.loads(volume.state.read_text())["desired_state"] == "stopped"
    finally:
        process.kill()
        process.wait(timeout=20)
