"""A hostile hermes user on the volume and in a scan directory that was handed over: root, passing again and again, changes nothing
outside, reads nothing for it, and is not stopped. Refused calls, kills and missing things on the way."""

import json
import os
import re
import resource
import shutil
import subprocess
import time

import pytest

from bed import HERMES, executable, run, wait_for
from racer import exchanging
from test_reconcile import OWNER, Volume, expected_slot
from tree import snapshot

pytestmark = pytest.mark.root


@pytest.fixture
def volume(place):
    return Volume(place)


@pytest.fixture
def outside(place):
    """What nobody but root may change or read."""
    folder = place / "outside"
    for name in ("", "profiles/coder", "log", "supervise", "env", "state"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("SOUL.md", "gateway_state.json", "gateway.pid", "processes.json", "container-boot.log", "container-boot.log.1", "run",
                 "finish", "type", "down", "log/run", "env/KEY", "profiles/coder/SOUL.md", "profiles/coder/gateway.pid"):
        (folder / name).write_text("root's")
        (folder / name).chmod(0o600)
    os.mkfifo(folder / "supervise/control", 0o600)
    (folder / "gateway_state.json").write_text('{"gateway_state": "running"}')
    return folder


def hermes_owns(*paths):
    for path in paths:
        subprocess.run(["chown", "-hR", OWNER, path], check=True)


def as_hermes(script, *arguments):
    """A shell script of the hermes user's."""
    return run(["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups", "sh", "-c", script, *arguments])


def pass_again_and_again(volume, seconds, passes, each):
    """Passes of root's for so long, and at least so many; what they said."""
    end, seen = time.monotonic() + seconds, []
    while time.monotonic() < end or len(seen) < passes:
        assert time.monotonic() < end + 20
        done = volume.reconcile(code=None, timeout=30)
        assert done.returncode in (0, 1, 111) and b"panic" not in done.stderr, done
        seen.append(done)
        each(done)
    return seen


# What the hermes user exchanges, and for a symlink to what.
ON_THE_VOLUME = {"profile": ("profiles/coder", ""), "profiles": ("profiles", "profiles"), "logs": ("logs", ""),
                 "log": ("logs/container-boot.log", "container-boot.log"), "rotated": ("logs/container-boot.log.1", "container-boot.log.1"),
                 "state": ("profiles/coder/gateway_state.json", "gateway_state.json"), "pid": ("profiles/coder/gateway.pid", "gateway.pid"),
                 "lifecycle": ("profiles/coder/state", "state")}


@pytest.mark.parametrize("what", ON_THE_VOLUME)
def test_a_racer_on_the_volume_leads_nowhere(volume, outside, what):
    name, target = ON_THE_VOLUME[what]
    directory = volume.profile("coder", "stopped").decode()
    (volume.home / "logs").mkdir()
    os.mkdir(os.path.join(directory, "state"))
    for file in ("logs/container-boot.log", "logs/container-boot.log.1"):
        # Large enough to be rotated every time.
        (volume.home / file).write_bytes(b"x" * 262_144)
    (volume.home / "den").mkdir()
    (volume.home / "den/link").symlink_to(outside / target)
    hermes_owns(volume.home)
    before = snapshot(outside)
    with exchanging((volume.home / name, volume.home / "den/link")) as exchanged:
        def again(_):
            # What a pass has taken away comes back; the racer may have taken away its directory just now.
            as_hermes('cd "$0"; touch profiles/coder/gateway.pid profiles/coder/processes.json; [ -h den/link ] || [ -h "$1" ] || '
                      'ln -sfn "$2" den/link; [ -h logs ] || truncate -c -s 262144 logs/container-boot.log', volume.home, name, outside / target)

        again(None)
        seen = pass_again_and_again(volume, 1.5, 30, again)
        assert exchanged() > 1000
    assert snapshot(outside) == before
    # The symlink was met: it was said, or what is behind it did not count.
    outcomes = {line for done in seen for line in (done.stdout + done.stderr).splitlines()}
    if what not in ("rotated", "pid", "lifecycle"):
        assert len({re.sub(rb"uid \d+", b"", line) for line in outcomes}) > 2, outcomes


IN_THE_SCAN_DIRECTORY = ["gateway-coder", ".gateway-coder.tmp", "gateway-coder/log", "gateway-coder/supervise", "gateway-coder/event",
                         "gateway-coder/run", "gateway-coder/supervise/control", "gateway-coder/env", ".gateway-coder.file.tmp",
                         ".gateway-coder.tmp/supervise", ".s6-svscan", ".gateway-old.tmp"]


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("name", IN_THE_SCAN_DIRECTORY)
def test_a_racer_in_the_scan_directory_leads_nowhere(volume, outside, name, held):
    volume.profile("coder", "running")
    volume.reconcile()
    slot, den = volume.slot("coder"), volume.scandir / ".den"
    den.mkdir()
    (slot / "env").mkdir()
    (slot / "env/KEY").write_text("value\n")
    target = outside / name.split("/", 1)[1] if "/" in name and (outside / name.split("/", 1)[1]).exists() else outside
    (den / "link").symlink_to(target)
    hermes_owns(volume.scandir)
    before = snapshot(outside)
    fifo = os.open(slot / "supervise/control", os.O_RDONLY | os.O_NONBLOCK) if held else None
    try:
        with exchanging((volume.scandir / name, den / "link"), (volume.scandir / ".gateway-default.tmp", den / "link")) as exchanged:
            def again(_):
                # Something to do for the next pass: as the hermes user, who is not root, whatever stands there now.
                as_hermes('cd "$0" && echo > gateway-coder/run; mkdir -p .gateway-old.tmp/a/b .gateway-coder.file.tmp gateway-coder/env; '
                          'echo value > gateway-coder/env/KEY; rm -f gateway-default/down', volume.scandir)

            again(None)
            pass_again_and_again(volume, 0.7, 12, again)
            assert exchanged() > 100 or name.startswith(".gateway-coder.tmp") or name == ".s6-svscan"
    finally:
        if fifo is not None:
            os.close(fifo)
    assert snapshot(outside) == before


def limited(megabytes):
    """What precedes a command that is to manage with so much memory."""
    return ["prlimit", f"--data={megabytes << 20}", "--"]


@pytest.mark.parametrize("kind", ["hard link", "symlink", "fifo", "directory"])
def test_what_a_slot_keeps_in_env_is_nothing_of_roots(volume, kind):
    volume.profile("coder", "running")
    volume.reconcile()
    env, secret = volume.slot("coder") / "env", volume.place / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    env.mkdir()
    (env / "MINE").write_text("mine\n")
    if kind == "hard link":
        # Where fs.protected_hardlinks is 0, the hermes user can make one.
        os.link(secret, env / "KEY")
    elif kind == "symlink":
        (env / "KEY").symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(env / "KEY")
    else:
        (env / "KEY").mkdir()
    os.chown(env, HERMES, HERMES)
    (volume.slot("coder") / "run").write_text("")
    volume.reconcile(timeout=10)
    tree = snapshot(volume.slot("coder"))
    assert b"env/KEY" not in tree and tree[b"env/MINE"] == f"file 600 {OWNER} {b'mine' + bytes([10])!r}"
    assert snapshot(secret.parent)[b"secret"] == "file 600 0:0 b\"root's\""


def test_an_environment_that_no_registration_can_have_made_costs_no_memory(volume):
    volume.profile("coder", "running")
    volume.reconcile()
    env = volume.slot("coder") / "env"
    env.mkdir()
    for number in range(1500):
        # Takes no room where it lies.
        with open(env / f"V{number}", "wb") as file:
            file.truncate(128 << 10)
    (env / "A").write_text("kept\n")
    hermes_owns(env)
    (volume.slot("coder") / "run").write_text("")
    done = volume.reconcile(before=limited(24))
    assert b"coder prior_state=running action=started" in done.stdout and (volume.slot("coder") / "run").read_text() != ""
    assert (env / "A").read_text() == "kept\n" and sum(file.stat().st_size for file in env.iterdir()) <= 2 << 20
