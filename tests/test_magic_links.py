"""Magic links: a link of /proc leads into the mounts of another process, where what lies in a directory of the hermes user may be a
mount of something of root's. Root follows none, on the volume, on the way to it, and on the way to what the operator names; links to
another disk, and mounts on the volume, stay usable. Each attack is made once more where the kernel or a filter refuses openat2."""

import json
import os
import shutil

import pytest

from support.file_tree import snapshot
from support.other_mounts import other_mounts
from support.path_exchange import beside, exchanging, rounds
from support.program import APART, HERMES, OWNER, executable, run, wait_for
from support.testbed import Bed
from support.volume import Volume, hermes_owns

pytestmark = [pytest.mark.root, pytest.mark.userns, pytest.mark.strace]
REFUSED = b"it leads through /proc, whose links are not followed"


def without_openat2(errno):
    """Returns the argv prefix with which the kernel knows no openat2, or a seccomp filter refuses it."""
    return ["strace", "-f", "-o", "/dev/null", "-e", f"inject=openat2:error={errno}"] if errno else []


openat2 = pytest.mark.parametrize("refused", [None, "ENOSYS", "EPERM"])


@pytest.fixture
def volume(place):
    volume = Volume(place)
    volume.profile("default", "stopped")
    return volume


@pytest.fixture
def roots(place):
    """A directory of root's that looks like a profile, a log directory, a service and a scan directory."""
    folder = place / "roots"
    (folder / "supervise").mkdir(parents=True)
    (folder / "event").mkdir()
    (folder / ".s6-svscan").mkdir()
    (folder / "gateways/x").mkdir(parents=True)
    for name in ("SOUL.md", "gateway.pid", "processes.json", "current", "gateways/x/current", "supervise/status"):
        (folder / name).write_text("T profile=coder prior_state=None action=secret\n")
    (folder / "gateway_state.json").write_text('{"gateway_state": "running", "secret": "of roots"}')
    (folder / "gateway_state.json").chmod(0o600)
    return folder


@pytest.fixture
def trap(place, roots):
    """The directory `t` of the hermes user, and the process in whose namespace `t/x` is the directory of root's, `t/container-boot.log` its
    file, and so on. Elsewhere these are empty. Its path through /proc."""
    folder = place / "hermes" / "t"
    pairs = [(roots, folder / "x"), (roots, folder / "logs")]
    for _, directory in pairs:
        directory.mkdir(parents=True)
    for name, source in (("container-boot.log", "current"), ("current", "current"), ("gateway_state.json", "gateway_state.json")):
        (folder / name).touch()
        pairs.append((roots / source, folder / name))
    (folder / "SOUL.md").touch()
    hermes_owns(folder.parent)
    with other_mounts(folder.parent / "pid", *pairs) as pid:
        assert snapshot(f"/proc/{pid}/root{folder}/x") == snapshot(roots)
        yield f"/proc/{pid}/root{folder}"


def put(link, target):
    """The hermes user puts a link there."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    hermes_owns(link.parent)


@openat2
@pytest.mark.parametrize("where", ["logs", "profiles", "profiles/coder"])
def test_no_pass_follows_one_on_the_volume(volume, roots, trap, where, refused):
    put(volume.home / where, trap)
    before = snapshot(roots)
    done = volume.reconcile(before=without_openat2(refused))
    assert snapshot(roots) == before
    if where == "profiles/coder":
        assert b'profile=coder prior_state=None action=skipped reason="' + REFUSED + b'"' in done.stdout, done
    else:
        assert b"unable to use " + where.encode() + b": " + REFUSED in done.stderr, done
    assert not volume.slot("x").exists()


@pytest.mark.parametrize("where", ["logs", "profiles"])
def test_one_that_is_exchanged_again_and_again_leads_nowhere(volume, roots, trap, where):
    volume.profile("coder", "running")
    place = volume.home / where
    place.mkdir(exist_ok=True)
    beside(place).symlink_to(trap)
    hermes_owns(volume.home)
    before = snapshot(roots)
    with exchanging((place, beside(place))) as exchanged:
        for _ in rounds(30, lambda: exchanged() >= 50):
            done = volume.reconcile(code=None)
            assert done.returncode in (0, 1) and b"panic" not in done.stderr, done
    assert snapshot(roots) == before


def answer(volume, refused, command, *arguments):
    where = ["--hermes-home", volume.home, *([] if command == "logs" else ["--scandir", volume.scandir, "--owner", OWNER])]
    return run([*without_openat2(refused), executable(), command, *where, *arguments], env=APART)


@openat2
@pytest.mark.parametrize("where", ["logs", "logs/gateways", "logs/gateways/x"])
def test_no_log_is_read_through_one(volume, trap, where, refused):
    target = {"logs": f"{trap}/x", "logs/gateways": trap}
    put(volume.home / where, target.get(where, trap))
    done = answer(volume, refused, "logs", "x")
    assert b"unable to open logs/gateways/x: " + REFUSED in done.stderr and done.stdout == b"", done
    assert done.returncode == 1


@openat2
def test_no_boot_log_is_read_through_one(volume, trap, refused):
    volume.profile("coder", "stopped")
    put(volume.home / "logs", trap)
    done = answer(volume, refused, "status", "--json")
    assert done.returncode == 0 and {json.loads(line)["last_boot"] for line in done.stdout.splitlines()} == {None}, done
    for command in ("status", "health"):
        done = answer(volume, refused, command)
        assert b"unable to use logs: " + REFUSED in done.stderr and done.returncode == (111 if command == "health" else 0), done


@openat2
@pytest.mark.parametrize("where", ["profiles", "profiles/x"])
def test_no_profile_is_read_through_one(volume, trap, where, refused):
    put(volume.home / where, trap)
    done = answer(volume, refused, "status", "--json")
    rows = {row["profile"]: row for row in map(json.loads, done.stdout.splitlines())}
    if where == "profiles":
        assert "x" not in rows and b"unable to use profiles: " + REFUSED in done.stderr, done
    else:
        assert REFUSED.decode() in rows["x"]["note"], done
    assert b"x" not in [line.split(b":")[0] for line in answer(volume, refused, "health").stdout.splitlines()]


# What the operator names, below a directory of the hermes user, who has put a link there.
@openat2
@pytest.mark.parametrize("how", ["reconcile", "dry-run", "explain", "missing", "start", "logs", "health"])
def test_none_leads_to_the_home(volume, roots, trap, how, refused):
    put(volume.place / "data/link", trap)
    home = volume.place / "data/link" / ("x/new" if how == "missing" else "")
    before = snapshot(roots)
    if how in ("start", "logs", "health"):
        where = ["--hermes-home", home] + ([] if how == "logs" else ["--scandir", volume.scandir, "--owner", OWNER])
        done = run([*without_openat2(refused), executable(), how, *where, *([] if how == "health" else ["coder"])], env=APART)
    else:
        options = {"dry-run": ["--dry-run"], "explain": ["--explain"]}.get(how, [])
        done = volume.reconcile("--hermes-home", home, *options, before=without_openat2(refused), code=None)
    assert snapshot(roots) == before
    assert done.returncode == 111 and b": " + REFUSED in done.stderr, done


@openat2
@pytest.mark.parametrize("command", ["fix-perms", "seed", "seed x", "reconcile", "reconcile --sealed", "status", "register"])
def test_none_leads_to_services(volume, roots, trap, command, refused):
    put(volume.place / "data/link", trap)
    before = snapshot(roots)
    command, *option = command.split()
    link = volume.place / "data/link"
    arguments = {
        "fix-perms": ["--owner", OWNER, link],
        "seed": ["--owner", OWNER, link / "x" if option else link],
        "register": ["coder", "--scandir", link / "x", "--hermes-home", volume.home, "--owner", OWNER],
    }.get(command, [*option, "--scandir", link / "x", "--hermes-home", volume.home, "--owner", OWNER])
    done = run([*without_openat2(refused), executable(), command, *arguments], env=APART)
    assert snapshot(roots) == before
    assert done.returncode in (1, 111) and b": " + REFUSED in done.stderr, done


WAYS = {
    "the process itself": lambda trap, _: "/proc/self/root" + trap,
    "its thread": lambda trap, _: "/proc/thread-self/root" + trap,
    "up and down": lambda trap, _: "/proc/sys/../self/root/.." + trap,
    "a chain": lambda trap, place: chain(place, trap),
    "a link to the link": lambda trap, place: chain(place, os.path.dirname(trap)) + "/t",
    "a descriptor": lambda trap, _: "/dev/fd/../root" + trap,
    "a task": lambda trap, _: trap.replace("/root", f"/task/{trap.split('/')[2]}/root", 1),
    "another procfs": lambda trap, place: str(place / "proc") + trap.removeprefix("/proc"),
}


def chain(place, target):
    links = place / "links"
    links.mkdir()
    (links / "one").symlink_to(target)
    (links / "two").symlink_to(links / "one")
    hermes_owns(links)
    return str(links / "two")


@openat2
@pytest.mark.parametrize("way", WAYS)
def test_none_is_followed_on_whatever_way(volume, roots, trap, way, refused):
    put(volume.home / "logs", WAYS[way](trap, volume.place))
    before = snapshot(roots)
    (volume.place / "proc").mkdir()
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", 'mount -t proc proc "$0"; exec "$@"', volume.place / "proc"]
    done = volume.reconcile(before=[*private, *without_openat2(refused)])
    assert snapshot(roots) == before
    assert b"unable to use logs: " + REFUSED in done.stderr, done


@openat2
def test_no_program_of_roots_is_found_through_one(volume, refused):
    """The text of the link /proc/self/root is /, where everything is root's; what is executed is behind the link."""
    volume.profile("coder", "running")
    volume.reconcile()
    logger = ["timeout", "3", *without_openat2(refused), executable(), "gateway-log", "./run", "gateway-coder/log"]
    done = run(logger, cwd=volume.slot("coder") / "log", env=APART | {"PATH": "/proc/self/root/usr/bin"})
    assert b"gateway-log: fatal: unable to run /proc/self/root/usr/bin/s6-log: " + REFUSED in done.stderr, done


# As they are today: links to another disk, and mounts.


@openat2
def test_links_to_another_disk_and_mounts_on_the_volume_stay_usable(volume, refused):
    """`profiles` is a link through a link of root's to another disk, with profiles that are directories, links and mounts; `logs` is a mount,
    and so is a directory in it."""
    place = volume.place
    (place / "volume1").mkdir()
    (place / "disk").symlink_to("./volume1")
    script = f"""
        mount -t tmpfs -o mode=755 tmpfs {place}/volume1
        mkdir -p {place}/volume1/hermes/mounted {place}/volume1/other/mounted {place}/volume1/other/linked {place}/volume1/logs
        mkdir -p {place}/volume1/hermes/plain {place}/volume1/other/gateways {place}/home/logs
        for profile in other/mounted other/linked hermes/plain; do
            touch {place}/volume1/$profile/SOUL.md {place}/volume1/$profile/gateway.pid
            echo '{{"gateway_state": "running"}}' > {place}/volume1/$profile/gateway_state.json
        done
        ln -s {place}/disk/other/linked {place}/volume1/hermes/linked
        ln -s {place}/disk/hermes {place}/home/profiles
        mount --bind {place}/volume1/other/mounted {place}/volume1/hermes/mounted
        mount --bind {place}/volume1/logs {place}/home/logs
        mkdir -p {place}/home/logs/gateways
        mount --bind {place}/volume1/other/gateways {place}/home/logs/gateways
        mkdir -p {place}/home/logs/gateways/linked
        echo 'a line of the gateway' > {place}/home/logs/gateways/linked/current
        chown -hR {OWNER} {place}/home {place}/volume1
        "$@"
        {executable()} logs linked --hermes-home {place}/home
        cat {place}/volume1/logs/container-boot.log
        find {place}/volume1 -name gateway.pid
    """
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh"]
    done = volume.reconcile(before=[*private, *without_openat2(refused)])
    assert done.stderr == b"", done
    report, line, log = done.stdout.partition(b"a line of the gateway\n")
    assert line and b"gateway.pid" not in log
    for name in (b"mounted", b"linked", b"plain"):
        assert b"profile=" + name + b" prior_state=running action=started" in report and name in log, done


@pytest.mark.parametrize("command", ["fix-perms", "seed"])
def test_a_link_to_services_stays_usable(place, command):
    service = place / "disk/service"
    service.mkdir(parents=True)
    (service / "supervise").mkdir()
    (place / "link").symlink_to(place / "disk")
    os.chown(place, HERMES, HERMES)
    done = run([executable(), command, "--owner", OWNER, place / "link" / ("service" if command == "seed" else "")], env=APART)
    assert done.returncode == 0 and done.stderr == b"", done
    assert snapshot(service)[b"supervise"].endswith(OWNER)


# On a live container.


@pytest.fixture
def lived():
    """A booted container with the profile coder, a directory of root's, and the namespace of the hermes user in which it is the profile."""
    with Bed() as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        roots = bed.path("/run/roots")
        roots.mkdir()
        for name in ("SOUL.md", "gateway.pid"):
            (roots / name).write_text("root's\n")
        (roots / "gateway_state.json").write_text('{"gateway_state": "running", "secret": "of roots"}')
        (roots / "gateway_state.json").chmod(0o600)
        folder = bed.path("/opt/data/t")
        (folder / "coder").mkdir(parents=True)
        hermes_owns(folder)
        pairs = [("/run/roots", "/opt/data/t/coder")]

        def command(argv):
            return bed.command(argv, HERMES)

        with other_mounts("/run/bed/pid", *pairs, command=command, seen=bed.path) as pid:
            yield bed, roots, f"/proc/{pid}/root/opt/data/t"


@pytest.mark.s6
@openat2
@pytest.mark.parametrize("verb", ["stop", "start", "restart", "unregister"])
def test_a_command_of_root_writes_and_copies_nothing_through_one(lived, verb, refused):
    bed, roots, trap = lived
    before = snapshot(roots)
    shutil.rmtree(bed.path("/opt/data/profiles"))
    bed.path("/opt/data/profiles").symlink_to(trap)
    done = bed.run([*without_openat2(refused), "/run/bed/bin/hermes-init", verb, "coder"], timeout=60)
    assert snapshot(roots) == before
    assert b"unable to use profiles: " + REFUSED in done.stderr, done
    # The gateway does what it is told; what it cannot do is said.
    assert done.returncode == 1, done
    if verb != "unregister":
        wait_for(lambda: bed.svstat(bed.slot("coder")) == ("down" if verb == "stop" else "up"), what=verb)


@pytest.mark.s6
def test_the_state_behind_an_honest_link_is_written(lived):
    bed, *_ = lived
    shutil.move(bed.path("/opt/data/profiles"), bed.path("/opt/data/disk"))
    bed.path("/opt/data/profiles").symlink_to("/opt/data/disk")
    bed.init("stop", "coder")
    assert json.loads(bed.path("/opt/data/disk/coder/gateway_state.json").read_text())["desired_state"] == "stopped"
