"""Access control lists: what the hermes user has given others in delegated mode, and himself for later, is gone once a pass has sealed
it, also where the mode looks as if nothing had been given."""

import errno
import os
import struct
from pathlib import Path

import pytest

from support.file_tree import snapshot, walk
from support.program import HERMES, wait_for
from support.testbed import SERVICES, Bed, static_service
from support.volume import Volume, expected_slot, hermes_owns

pytestmark = pytest.mark.root
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
STRANGER = 4321
# Tags of the entries of a list, as the kernel has them: linux/posix_acl.h.
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20


def acl(mode, given):
    """Returns a list that gives the stranger permissions, on a file of this mode. The mode shows the mask as that of the group."""
    entries = [
        (USER_OBJ, mode >> 6 & 7, 0xFFFFFFFF),
        (USER, given, STRANGER),
        (GROUP_OBJ, mode >> 3 & 7, 0xFFFFFFFF),
        (MASK, given | (mode >> 3 & 7), 0xFFFFFFFF),
        (OTHER, mode & 7, 0xFFFFFFFF),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def give(path, given=7):
    """Gives the stranger permissions to a file and, of a directory, to what is made in it."""
    mode = path.stat().st_mode
    try:
        os.setxattr(path, ACCESS, acl(mode, given))
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip(f"{path} is on a file system without access control lists")
        raise
    if path.is_dir():
        os.setxattr(path, DEFAULT, acl(mode, given))


def lists(top):
    """Returns the files that have a list."""
    paths = [os.path.join(os.fsencode(top), path) for path in walk(top)]
    return [path for path in paths if not os.path.islink(path) and {ACCESS, DEFAULT} & set(os.listxattr(path))]


@pytest.fixture
def volume(place):
    return Volume(place)


def give_all(volume):
    """Gives away all of a delegated scan directory."""
    for path in [volume.scandir, *sorted(volume.scandir.rglob("gateway-*")), *volume.scandir.glob("gateway-*/**/*")]:
        give(path)


class Supervised:
    """A slot that looks supervised: somebody has its FIFO open."""

    def __init__(self, slot):
        self.slot = slot

    def __enter__(self):
        self.fifo = os.open(self.slot / "supervise/control", os.O_RDONLY | os.O_NONBLOCK)

    def __exit__(self, *_):
        os.close(self.fifo)


@pytest.mark.s6
def test_nobody_keeps_what_was_given_before_sealing():
    with Bed() as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.profile("keyed", "stopped")
        bed.init("register", "keyed", "--down", "--env", "KEY=secret", uid=HERMES)
        service = bed.path("/run/service")

        def can_stop(slot):
            done = bed.run(["timeout", "5", "s6-svc", "-d", slot], STRANGER)
            return done.returncode == 0

        def can_read(slot):
            return bed.run(["cat", f"{slot}/env/KEY"], STRANGER).returncode == 0

        slots = [bed.slot("coder"), bed.slot("keyed")]
        assert not can_stop(slots[0]) and not can_read(slots[1])
        for path in [service, *service.glob("gateway-*"), *service.glob("gateway-*/**/*")]:
            give(path)
        assert can_stop(slots[0]) and can_read(slots[1])
        bed.init("start", "coder", uid=HERMES)
        wait_for(lambda: bed.svstat(slots[0]) == "up", what="coder")
        done = bed.init("reconcile", "--sealed")
        assert done.stderr == b"" and lists(service) == []
        # What is made after it, also by a command.
        bed.profile("boot", "stopped")
        bed.profile("late", "stopped")
        bed.init("reconcile", "--sealed")
        bed.rescan()
        bed.profile("new", "running")
        bed.init("register", "new", "--env", "KEY=secret")
        bed.init("start", "--wait", "late")
        assert lists(service) == []
        for slot in [*slots, bed.slot("new"), bed.slot("late"), bed.slot("boot")]:
            assert not can_stop(slot) and not can_read(slot), slot
        assert bed.svstat(slots[0]) == "up"
        for path, line in snapshot(service).items():
            kind, mode, owner = line.split()[:3]
            base = os.path.basename(path)
            expected = {b"event": "700", b"supervise": "710", b"env": "750", b"KEY": "640"}.get(base)
            expected = "620" if base == b"control" and b"supervise" in path else expected
            assert expected in (None, mode) and not int(mode, 8) & (0o022 & ~0o020 if kind == "fifo" else 0o022), (path, line)
            assert owner.split(":")[0] == "0", (path, line)


def test_a_slot_that_no_supervisor_uses_is_made_anew_without_lists(volume):
    volume.profile("coder", "running")
    volume.reconcile()
    give_all(volume)
    assert len(lists(volume.scandir)) > 20
    volume.profile("new", "running")
    volume.reconcile("--sealed")
    sealed = {"owner": "0:0", "skeleton": f"0:{HERMES}", "supervise": "710", "event": "700", "control": "620"}
    assert lists(volume.scandir) == []
    for name in ("coder", "new"):
        assert snapshot(volume.slot(name)) == expected_slot(down=False, **sealed)


@pytest.mark.s6
def test_a_sealed_slot_in_a_scan_directory_that_is_not_sealed_inherits_no_list(live):
    give(live.path("/run/service"))
    live.profile("new", "stopped")
    live.profile("other", "stopped")
    live.init("register", "new", "--sealed", "--env", "KEY=secret", "--down")
    assert lists(live.path(live.slot("new"))) == []
    # In delegated mode, the list is its owner's business.
    live.init("register", "other", "--delegated", "--down")
    assert lists(live.path(live.slot("other"))) != []


# Of a list on what becomes root's, the mode shows nothing: it looks sealed already.
SEALED_MODES = {"supervise": 0o710, "supervise/control": 0o620, "env": 0o750, "env/KEY": 0o640, "log": 0o755, "run": 0o755}


@pytest.mark.parametrize("name", SEALED_MODES)
def test_a_list_that_the_mode_does_not_show_goes_too(volume, name):
    volume.profile("coder", "running")
    volume.reconcile()
    slot = volume.slot("coder")
    (slot / "env").mkdir(mode=0o700)
    (slot / "env/KEY").write_text("secret\n")
    hermes_owns(slot)
    with Supervised(slot):
        path, mode = slot / name, SEALED_MODES[name]
        path.chmod(mode)
        give(path, mode >> 3 & 7)
        assert path.stat().st_mode & 0o777 == mode and len(lists(slot)) == 1
        volume.reconcile("--sealed")
        assert lists(volume.scandir) == [] and path.stat().st_mode & 0o777 == mode


@pytest.mark.strace
@pytest.mark.parametrize("call", ["fchown", "fremovexattr", "fchmod", "fgetxattr", "renameat"])
def test_a_sealing_that_was_killed_is_finished_by_the_next_pass(volume, call):
    volume.profile("coder", "running")
    killed = 0
    for when in range(1, 200):
        volume.reconcile("--delegated")
        slot = volume.slot("coder")
        (slot / "env").mkdir(mode=0o700, exist_ok=True)
        (slot / "env/KEY").write_text("secret\n")
        hermes_owns(slot)
        for path in (slot / "env", slot / "env/KEY"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        give_all(volume)
        with Supervised(slot):
            kill = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={when}"]
            done = volume.reconcile("--sealed", before=kill, code=None)
            volume.reconcile("--sealed")
            assert lists(volume.scandir) == [], (call, when)
            assert {path.stat().st_uid for path in slot.rglob("*")} == {0}, (call, when)
        if done.returncode == 0:
            break
        killed += 1
    assert killed > 0 and done.returncode == 0


@pytest.mark.strace
@pytest.mark.parametrize("call, error", [("fremovexattr", "EPERM"), ("fremovexattr", "EIO"), ("fgetxattr", "EPERM"), ("fgetxattr", "EIO")])
@pytest.mark.parametrize("name", ["", "gateway-coder", "gateway-coder/log", "gateway-coder/supervise/control", "gateway-coder/env"])
def test_a_list_that_cannot_be_removed_is_named(volume, name, call, error):
    volume.profile("coder", "running")
    volume.reconcile()
    slot, path = volume.slot("coder"), volume.scandir / name
    (slot / "env").mkdir(mode=0o700)
    hermes_owns(slot / "env")
    with Supervised(slot):
        give(path)
        inject = ["strace", "-f", "-o", "/dev/null", "-P", path, "-e", f"inject={call}:error={error}:when=1+"]
        # Nothing looks settled: the next pass says it again.
        for _ in range(2 if name else 1):
            done = volume.reconcile("--sealed", before=inject, code=1)
            verb = "set mode and owner of" if name.endswith("/env") else "restrict access to"
            what = (name or str(volume.scandir)).removesuffix("/control")
            assert f"unable to {verb} {what}: ".encode() in done.stderr, done
        volume.reconcile("--sealed")
        # What was made in a scan directory that kept its default list has one that gives nothing: everybody may read it, or nobody.
        for left in map(Path, map(os.fsdecode, lists(volume.scandir))):
            assert name == "" and left.is_file() and left.stat().st_mode & 0o077 in (0o055, 0o044, 0), left


@pytest.mark.strace
@pytest.mark.parametrize("error", ["EOPNOTSUPP", "ENOSYS"])
def test_a_file_system_without_lists_is_none_of_anybodys_business(volume, error):
    volume.profile("coder", "running")
    volume.reconcile()
    with Supervised(volume.slot("coder")):
        inject = ["strace", "-f", "-o", "/dev/null", "-e", f"inject=fgetxattr,fremovexattr:error={error}:when=1+"]
        assert volume.reconcile("--sealed", before=inject).stderr == b""


@pytest.mark.strace
def test_a_settled_slot_is_not_asked_for_lists(volume):
    for number in range(10):
        volume.profile(f"p{number}", "running")
    volume.reconcile("--sealed")
    trace = volume.place / "trace"
    volume.reconcile("--sealed", before=["strace", "-f", "-o", trace, "-e", "trace=fgetxattr,fremovexattr"])
    assert trace.read_text().count("xattr(") == 2


@pytest.mark.s6
def test_a_sealed_static_service_has_no_lists(bed):
    static_service(bed, "web")
    bed.rescan()
    wait_for(lambda: bed.svstat("/run/service/web") == "up", what="its start")
    bed.init("fix-perms", "--delegated", SERVICES)
    service = bed.path(f"{SERVICES}/web")
    parts = [
        path for base in (service, service / "log") for name in ("event", "supervise") for path in (base / name, *(base / name).rglob("*"))
    ]
    for path in parts:
        give(path)
    # The kernel's answer of an owner is that of root's files too.
    assert {service / "supervise/control", service / "log/event"} <= set(parts) and len(lists(service)) == len(parts)
    assert b"service=web action=done" in bed.init("fix-perms", "--sealed", "--dry-run", SERVICES).stdout
    assert len(lists(service)) == len(parts)
    bed.init("fix-perms", "--sealed", SERVICES)
    assert lists(service) == []
    assert bed.run(["timeout", "5", "s6-svc", "-d", f"{SERVICES}/web"], STRANGER).returncode == 111
    # A list that is still there on what is root's already, as after a kill.
    for path in (service / "supervise", service / "supervise/control", service / "log/supervise"):
        give(path, path.stat().st_mode >> 3 & 7)
    changed = [b'"changed": true' in bed.init("fix-perms", "--sealed", "--json", *how, SERVICES).stdout for how in (["--dry-run"], [], [])]
    assert changed == [True, True, False] and lists(service) == []
