"""Why root, or the owner himself, is refused although the mode permits it, and owners whom the container's user namespace does not map: what
is said is true, and what is advised helps."""

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.program import APART, HERMES, executable, run, wait_for

pytestmark = pytest.mark.root
OTHERS = "a security module (SELinux: mount the volume with :z or :Z; AppArmor) or a file server"
OUTSIDE = 200_000
LANDLOCK_ABI = 444, None, 0, 1

# A security module that the tests can have: Landlock permits to read everything but what is below the volume.
LANDLOCK = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
volume, argv = sys.argv[1], sys.argv[2:]
READ_FILE, READ_DIR = 4, 8
ruleset = libc.syscall(444, ctypes.create_string_buffer(struct.pack("Q", READ_FILE | READ_DIR), 8), 8, 0)
assert ruleset >= 0, os.strerror(ctypes.get_errno())
way, top = [], volume
while top != "/":
    way.append(top)
    top = os.path.dirname(top)
for path in {os.path.join(os.path.dirname(step), name) for step in way for name in os.listdir(os.path.dirname(step))} - set(way):
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    allowed = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
    libc.syscall(445, ruleset, 1, ctypes.create_string_buffer(struct.pack("=Qi", allowed, fd), 12), 0)
    os.close(fd)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.syscall(446, ruleset, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(argv[0], argv)
"""
needs_landlock = pytest.mark.skipif(ctypes.CDLL(None).syscall(*LANDLOCK_ABI) < 1, reason="the kernel has no Landlock")


@pytest.fixture
def volume(place):
    place.chmod(0o755)
    home = place / "home"
    (home / "profiles/coder").mkdir(parents=True)
    (home / "profiles/coder/SOUL.md").touch()
    (home / "logs").mkdir()
    (place / "other").mkdir()
    own(home, HERMES)
    return home


def own(top, uid):
    for path in (top, *top.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


def command(home, *words):
    return [executable(), *words, "--hermes-home", home, "--scandir", home.parent / "other/service"]


@needs_landlock
def test_root_with_every_capability_is_told_who_else_refuses(volume):
    argv = [sys.executable, "-c", LANDLOCK, volume, *command(volume, "reconcile", "--role", "gateway")]
    done = run(argv, env=APART, cwd="/")
    said = done.stderr.decode()
    assert done.returncode == 111 and "lacks the capability" not in said, done
    assert f"Permission denied: root has the capability DAC_OVERRIDE, so it is refused by {OTHERS}\n" in said, done
    # Where all users are mapped, that is none of the reasons.
    assert "user namespace" not in said


@pytest.mark.strace
def test_the_owner_himself_is_told_that_mode_and_owner_permit_it(volume):
    """Landlock does not hear of questions."""
    inject = ["strace", "-f", "-o", "/dev/null", "-e", "inject=faccessat2:error=EACCES:when=2+"]
    done = run([*inject, *command(volume, "reconcile", "--role", "gateway", "--owner", f"{HERMES}:{HERMES}")], env=APART, cwd="/")
    said = done.stderr.decode()
    assert done.returncode == 1, done
    why = f"({volume} belongs to {HERMES}:{HERMES}, mode 0755: these permit it, so it is refused by {OTHERS})"
    assert why in said and "as root:" not in said, done


def test_root_without_the_capability_is_told_that_it_lacks_it(volume):
    volume.chmod(0o700)
    # Neither may it become the hermes user.
    limited = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-setuid,-setgid", "--inh-caps=-all"]
    done = run([*limited, *command(volume, "reconcile", "--role", "gateway")], env=APART, cwd="/")
    assert done.returncode == 111 and done.stderr.endswith(b": Permission denied: root lacks the capability DAC_OVERRIDE\n"), done


def test_behind_a_symlink_the_directory_before_it_is_not_what_refuses(volume):
    """The mode of `profiles` permits its owner everything."""
    private = volume.parent / "private"
    (private / "coder").mkdir(parents=True)
    (private / "coder/SOUL.md").touch()
    own(private, HERMES)
    os.chown(private, 0, 0)
    private.chmod(0o700)
    shutil.rmtree(volume / "profiles/coder")
    (volume / "profiles/coder").symlink_to(private / "coder")
    done = run(command(volume, "reconcile", "--role", "gateway"), env=APART, cwd="/")
    assert done.returncode == 1 and b"Permission denied" in done.stderr and b"these permit it" not in done.stderr, done


class Namespace:
    """A user namespace with these maps, as a container without root has one: a list of (inside, outside, count)."""

    def __init__(self, maps):
        self.process = subprocess.Popen(["unshare", "--user", "sleep", "1000"], stdin=subprocess.DEVNULL)
        try:
            own_namespace = os.readlink("/proc/self/ns/user")
            wait_for(lambda: os.readlink(f"/proc/{self.process.pid}/ns/user") != own_namespace, what="the namespace")
            for name in ("gid_map", "uid_map"):
                Path(f"/proc/{self.process.pid}/{name}").write_text("".join(f"{a} {b} {c}\n" for a, b, c in maps))
        except BaseException:
            self.end()
            raise

    def end(self):
        self.process.kill()
        self.process.wait(timeout=10)

    def run(self, argv, uid=0):
        enter = ["nsenter", "-t", self.process.pid, "-U", "--setuid", "0", "--setgid", "0", "--"]
        if uid:
            enter += ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"]
        return run([*enter, *argv], env=APART | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, cwd="/")

    def outside(self, uid):
        """Returns the number that a user of the namespace has outside, as the advice has it: from /proc/PID/uid_map, read outside."""
        for line in Path(f"/proc/{self.process.pid}/uid_map").read_text().splitlines():
            inside, outside, count = map(int, line.split())
            if inside <= uid < inside + count:
                return outside + uid - inside
        raise AssertionError(uid)


@contextlib.contextmanager
def namespace(*maps):
    made = Namespace(maps)
    try:
        yield made
    finally:
        made.end()


# As of podman without root, and one without the number that is shown for others.
MAPS = {
    "may be": [(0, OUTSIDE, 1), (1, OUTSIDE + 1, 65536)],
    "is": [(0, OUTSIDE, 1), (1, OUTSIDE + 1, 20000)],
}


@pytest.mark.parametrize("uid", [0, HERMES])
@pytest.mark.parametrize("certainty", MAPS)
def test_an_owner_outside_of_the_user_namespace_is_said_and_the_advice_helps(volume, certainty, uid):
    """The volume is uid 10000's on the host, as the operator has read somewhere, and that is nobody's in the container."""
    volume.parent.chmod(0o711)
    with namespace(*MAPS[certainty]) as container:
        os.chown(volume.parent / "other", container.outside(uid), container.outside(uid))
        argv = command(volume, "reconcile", "--role", "gateway", "--owner", f"{HERMES}:{HERMES}")
        done = container.run(argv, uid)
        said = done.stderr.decode()
        assert done.returncode in (1, 111) and "as root: " not in said and "chown" not in said, done
        text = f"belongs to 65534:65534, mode 0755; its owner {certainty} outside the container's user namespace"
        assert text in said, done
        user = int(re.search(r"on the host, give it to the user who is uid (\d+) here, see /proc/PID/uid_map there", said)[1])
        assert user == HERMES
        # What was advised before fails.
        assert container.run(["chown", "-hR", HERMES, volume]).returncode != 0
        done = container.run([executable(), "hand-over", "--hermes-home", volume, "profiles", "--private"])
        assert b"its owner is not in the container's user namespace: change it on the host" in done.stdout, done
        # What is advised helps.
        own(volume, container.outside(user))
        shutil.rmtree(volume.parent / "other/service", ignore_errors=True)
        done = container.run(argv, uid)
        assert b"Permission denied" not in done.stderr and b"user namespace" not in done.stderr, done


def test_a_user_namespace_without_the_hermes_user_is_named(volume):
    volume.chmod(0o700)
    volume.parent.chmod(0o711)
    with namespace((0, OUTSIDE, 1), (500, OUTSIDE + 500, 1)) as container:
        argv = command(volume, "status", "--role", "gateway", "--owner", f"{HERMES}:{HERMES}")
        done = container.run(argv, uid=500)
        text = f"({volume} belongs to 65534:65534, mode 0700; its owner is outside the container's user namespace"
        assert text in done.stderr.decode() and b": use a user namespace that maps uid 10000, which this one does not)\n" in done.stderr, (
            done
        )
    with namespace((0, OUTSIDE, 1), (500, OUTSIDE + 500, 1), (HERMES, HERMES, 1)) as container:
        assert b"Permission denied" not in container.run(argv, uid=HERMES).stderr


def test_root_of_a_user_namespace_is_told_that_the_owner_may_be_outside(volume):
    volume.chmod(0o700)
    volume.parent.chmod(0o711)
    with namespace(*MAPS["may be"]) as container:
        done = container.run(command(volume, "reconcile", "--role", "gateway"))
        assert done.returncode == 111 and b", or the owner is not in the container's user namespace\n" in done.stderr, done
