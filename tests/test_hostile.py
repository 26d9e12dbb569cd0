"""A hostile hermes user on the volume and in a scan directory that was handed over: root, passing again and again, changes nothing
outside, reads nothing for it, and is not stopped. Refused calls, kills and missing things on the way."""

import json
import os
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
    (folder / "state/gateway.lifecycle.json").write_text('{"phase": "exited"}')
    return folder


def beside(path):
    """Where the symlink is that takes the path's place: a directory of root's cannot be moved into another one."""
    return path.parent / ".link"


def hermes_owns(*paths):
    for path in paths:
        subprocess.run(["chown", "-hR", OWNER, path], check=True)


def as_hermes(script, *arguments):
    """A shell script of the hermes user's."""
    return run(["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups", "sh", "-c", script, *arguments])


def pass_again_and_again(volume, seconds, passes, each, exchanged):
    """Passes of root's for so long, at least so many, and until the racer had its turn; what they said."""
    end, seen = time.monotonic() + seconds, []
    while time.monotonic() < end or len(seen) < passes or not exchanged():
        assert time.monotonic() < end + 20
        done = volume.reconcile("--json", code=None, timeout=30)
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
    path = volume.home / name
    beside(path).symlink_to(outside / target)
    hermes_owns(volume.home)
    before = snapshot(outside)
    with exchanging((path, beside(path))) as exchanged:
        def again(_):
            # What a pass has taken away comes back; the racer may have taken away its directory just now.
            as_hermes('cd "$0"; touch profiles/coder/gateway.pid profiles/coder/processes.json; [ -h "$1" ] || [ -h "$2" ] || '
                      'ln -sfn "$3" "$2"; [ -h logs ] || truncate -c -s 262144 logs/container-boot.log',
                      volume.home, path, beside(path), outside / target)

        again(None)
        seen = pass_again_and_again(volume, 1.5, 30, again, exchanged)
    assert snapshot(outside) == before
    assert not [done for done in seen if b'"prior_state": "running"' in done.stdout or b'"prior_exit": "clean"' in done.stdout]
    # The symlink was met, and what it stands for as well.
    if what in ("profile", "profiles", "logs", "log", "state"):
        assert len({done.stderr for done in seen} | {done.stdout.replace(b"true", b"false") for done in seen}) > 2, seen


IN_THE_SCAN_DIRECTORY = ["gateway-coder", ".gateway-coder.tmp", "gateway-coder/log", "gateway-coder/supervise", "gateway-coder/event",
                         "gateway-coder/run", "gateway-coder/supervise/control", "gateway-coder/env", ".gateway-coder.file.tmp",
                         ".s6-svscan", ".gateway-old.tmp"]


# Nothing is built in a staging directory for a slot that is held.
@pytest.mark.parametrize("name, held", [(name, held) for name in IN_THE_SCAN_DIRECTORY for held in (False, True)
                                        if not held or name != ".gateway-coder.tmp"])
def test_a_racer_in_the_scan_directory_leads_nowhere(volume, outside, name, held):
    volume.profile("coder", "running")
    svscan = volume.scandir / ".s6-svscan"
    svscan.mkdir(parents=True, mode=0o700)
    os.mkfifo(svscan / "control", 0o600)
    volume.reconcile()
    slot, path = volume.slot("coder"), volume.scandir / name
    (slot / "env").mkdir()
    (slot / "env/KEY").write_text("value\n")
    target = outside / name.split("/", 1)[1] if "/" in name and (outside / name.split("/", 1)[1]).exists() else outside
    hermes_owns(volume.scandir)
    before = snapshot(outside)
    fifo = os.open(slot / "supervise/control", os.O_RDONLY | os.O_NONBLOCK) if held else None
    try:
        with exchanging((path, beside(path))) as exchanged:
            def again(_):
                # Something to do for the next pass: as the hermes user, who is not root, whatever stands there now.
                as_hermes('cd "$0" && echo > gateway-coder/run; mkdir -p .gateway-old.tmp/a/b .gateway-coder.file.tmp gateway-coder/env; '
                          'echo value > gateway-coder/env/KEY; [ -h "$1" ] || [ -h "$2" ] || ln -sfn "$3" "$2"',
                          volume.scandir, path, beside(path), target)

            again(None)
            pass_again_and_again(volume, 0.7, 12, again, exchanged)
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


def test_what_the_log_says_of_the_last_boot_is_a_boot_passes_or_nothing(volume):
    volume.profile("coder", "running")
    volume.reconcile()
    told = volume.log()
    env = {"PATH": "/usr/bin:/bin"}

    def last_boot():
        argv = [executable(), "status", *volume.options()[:-2]]
        lines = run(argv, env=env).stdout.decode().splitlines() + run([*argv, "--json"], env=env).stdout.decode().splitlines()
        assert len(lines) == 5 and all(line.isascii() and line.isprintable() for line in lines), lines
        return json.loads(lines[4])["last_boot"]

    honest = last_boot()
    assert honest.startswith("started 20")
    with open(volume.home / "logs/container-boot.log", "a") as log:
        for time_, action in (("\x1b[2JT", "started"), ("T", "\x1b]0;x\x07"), ("T\rx", "started"), ("T\u202e", "started"), ("T  x", "y"), ("", "")):
            log.write(f"{time_} profile=coder prior_state=None action={action} prior_exit=unknown\n")
    assert last_boot() == honest
    (volume.home / "logs/container-boot.log").write_text(told + "2026-05-25T11:21:31+1000 profile=coder prior_state=x action=registered\n")
    assert last_boot() == "registered 2026-05-25T11:21:31+1000"


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "device", "huge", "binary"])
def test_a_log_that_is_none_is_no_trouble_for_status(volume, kind):
    volume.profile("coder", "running")
    volume.reconcile()
    log = volume.home / "logs/container-boot.log"
    log.unlink()
    if kind == "symlink":
        (volume.place / "secret").write_text("T profile=coder prior_state=None action=secret\n")
        log.symlink_to(volume.place / "secret")
    elif kind == "fifo":
        os.mkfifo(log)
    elif kind == "directory":
        log.mkdir()
    elif kind == "device":
        os.mknod(log, 0o020666, os.makedev(1, 5))
    elif kind == "huge":
        with open(log, "wb") as file:
            file.truncate(1 << 40)
    else:
        log.write_bytes(bytes(range(256)) * 4096)
    done = run([executable(), "status", "--json", *volume.options()[:-2]], env={"PATH": "/usr/bin:/bin"}, timeout=10)
    assert done.returncode == 0 and b"secret" not in done.stdout, done
    assert {json.loads(line)["last_boot"] for line in done.stdout.splitlines()} == {None}


def test_states_of_a_megabyte_cost_no_memory(volume):
    for number in range(60):
        volume.profile(f"p{number}", b'{"gateway_state": "' + b"x" * 1_000_000 + b'"}')
    volume.profile("coder", "x" * 256)
    done = volume.reconcile(before=limited(16))
    assert done.stdout.count(b" prior_state=None action=registered\n") == 61 and done.stderr.count(b"longer than 16384 bytes") == 60
    assert b"profile=coder prior_state=" + b'"' + b"x" * 256 in done.stdout


def test_without_proc_a_link_of_cont_init_leads_to_the_executable(volume):
    folder = volume.place / "bin"
    folder.mkdir()
    shutil.copy(executable(), folder / "hermes-init")
    (folder / "02-reconcile-profiles").symlink_to(folder / "hermes-init")
    script = 'umount -l /proc && exec "$@"'
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    for name in ("02-reconcile-profiles", "hermes-init"):
        command = ["reconcile"] if name == "hermes-init" else []
        done = run([*argv, folder / name, *command, *volume.options()], env={"PATH": "/usr/bin:/bin"})
        assert done.returncode == 0, done
        assert (volume.slot("default") / "run").read_text() == f"#!{folder}/hermes-init gateway-run\n"
        shutil.rmtree(volume.scandir)
    done = run([*argv, "sh", "-c", f'cd {folder} && PATH=. exec hermes-init reconcile "$@"', "sh", *volume.options()],
               env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 111 and b"there is no /proc" in done.stderr and not volume.scandir.exists()


def test_a_home_that_is_exchanged_while_it_is_made_takes_nothing_of_roots_along(volume, outside):
    home = volume.place / "hermes/home"
    home.parent.mkdir()
    hermes_owns(home.parent)
    before = snapshot(outside)
    # Each time it is missing again; the racer puts its link there as soon as it is made.
    with exchanging((home, beside(home))) as exchanged:
        for _ in range(200):
            wait_for(lambda: run(["rm", "-rf", home.parent]) and not home.parent.exists(), what="the end of the last one")
            home.parent.mkdir()
            beside(home).symlink_to(outside)
            hermes_owns(home.parent)
            volume.reconcile("--hermes-home", home, code=None)
            assert snapshot(outside)[b"."] == before[b"."]
            run(["rm", "-rf", outside / "logs"])
        assert exchanged() > 50
