"""What symlinks on the volume may cost: each leads through a bounded number of others and of directories, and only so many profiles may be
links. CPU time is measured, and compared with that of as many honest profiles."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.program import APART, OWNER, executable, run
from support.volume import Volume, hermes_owns

pytestmark = pytest.mark.root
MANY_LINKS = b"it leads through more than 8 symlinks"
MANY_DIRECTORIES = b"its symlinks lead through more than 64 directories"
# Most profiles that may be links.
FOLLOWED = 10_000
# CPU time in seconds that the worst volume may cost more than an honest one.
MORE = 2.0
UP_AND_DOWN = "a/../"


@pytest.fixture
def place():
    """In memory, where files are made by the thousand."""
    folder = Path(tempfile.mkdtemp(prefix="hermes-init-test-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def volume(place):
    return a_volume(place)


def a_volume(place):
    place.mkdir(exist_ok=True)
    volume = Volume(place)
    # Without a state of default the pass looks at all processes of the machine.
    volume.profile("default", "stopped")
    return volume


@pytest.fixture
def disk(volume):
    return a_disk(volume)


def a_disk(volume):
    """Makes the directory of a profile on another disk, with a directory `a`."""
    folder = volume.place / "disk"
    (folder / "a").mkdir(parents=True)
    (folder / "SOUL.md").touch()
    (folder / "gateway_state.json").write_text('{"gateway_state": "running"}')
    hermes_owns(folder)
    return folder


def chain(folder, *components):
    """Makes links in a directory, each to the next one and the last to the directory, whose texts have these numbers of components: odd
    ones, and an even one at the end. Returns the text of a link in `profiles` to the first, which has four."""
    for number, count in enumerate(components):
        following = f"link{number + 1}" if number + 1 < len(components) else ""
        (folder / f"link{number}").symlink_to(UP_AND_DOWN * (count // 2) + following)
    return "../../disk/link0"


@pytest.mark.parametrize(
    "components, refusal",
    [
        ([2], None),
        ([1] * 6 + [2], None),
        ([1] * 7 + [2], MANY_LINKS),
        ([1] * 38 + [2], MANY_LINKS),
        ([9] * 6 + [6], None),
        ([9] * 6 + [8], MANY_DIRECTORIES),
        ([60], None),
        ([62], MANY_DIRECTORIES),
        ([1600], MANY_DIRECTORIES),
    ],
)
def test_a_link_leads_through_so_much_and_no_more(volume, disk, components, refusal):
    volume.profile("honest", "running")
    (volume.home / "profiles/coder").symlink_to(chain(disk, *components))
    hermes_owns(volume.home)
    done = volume.reconcile()
    assert b"profile=honest prior_state=running action=started\n" in done.stdout
    if refusal is None:
        assert b"profile=coder prior_state=running action=started\n" in done.stdout, done
    else:
        assert b'profile=coder prior_state=None action=skipped reason="' + refusal + b'"\n' in done.stdout, done
        assert not volume.slot("coder").exists()


def test_other_directories_of_the_volume_have_the_same_limits(volume, disk):
    chain(disk, *[1] * 8, 2)
    for name in ("logs", "profiles"):
        (volume.home / name).symlink_to("../disk/link0")
    done = volume.reconcile()
    for name in (b"logs", b"profiles"):
        assert b"unable to use " + name + b": " + MANY_LINKS in done.stderr, done
    done = run([executable(), "logs", "coder", "--hermes-home", volume.home], env=APART)
    assert done.returncode == 1 and b"unable to open logs/gateways/coder: " + MANY_LINKS in done.stderr, done
    assert MANY_LINKS in volume.reconcile("--hermes-home", disk / "link0", code=111).stderr


def cpu(command, volume, *arguments):
    """Returns the CPU time of a command in seconds, user and system, its exit code and its output."""
    where = ["--hermes-home", volume.home, "--scandir", volume.scandir, "--owner", OWNER]
    with open(volume.place / "out", "w+b") as out:
        argv = [str(word) for word in (executable(), command, *where, *arguments)]
        process = subprocess.Popen(argv, env=APART, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, process.returncode, out.read()


def honest(volume, count):
    for number in range(count):
        folder = volume.home / f"profiles/{number:05}"
        folder.mkdir(parents=True)
        (folder / "SOUL.md").touch()
        (folder / "gateway_state.json").write_text('{"gateway_state": "running"}')
    hermes_owns(volume.home)


def linked(volume, count, text):
    (volume.home / "profiles").mkdir(exist_ok=True)
    for number in range(count):
        (volume.home / f"profiles/{number:05}").symlink_to(text)
    hermes_owns(volume.home)


def answers(volume):
    """Returns the CPU time of each command."""
    return {command: cpu(command, volume, *rest)[0] for command, *rest in (["reconcile"], ["health"], ["start", "p2"])}


def test_five_thousand_links_cost_no_more_than_as_many_profiles_and_two_seconds(place):
    volume = a_volume(place / "honest")
    honest(volume, 5000)
    least = answers(volume)
    for kind, components in {"long": [1601] * 37 + [1600], "within the limits": [9] * 6 + [6]}.items():
        volume = a_volume(place / kind)
        linked(volume, 5000, chain(a_disk(volume), *components))
        most = answers(volume)
        assert all(most[command] <= least[command] + MORE for command in least), (kind, least, most)


@pytest.mark.parametrize("name", ["logs", "logs/gateways", "logs/gateways/NAME"])
def test_links_in_the_place_of_logs_cost_each_profile_little(volume, disk, name):
    """The pass asks for each profile whether the hermes user may use the directory of its log."""
    honest(volume, 1500)
    least = cpu("reconcile", volume, "--max-services", "4000")[0]
    chain(disk, *[1601] * 37, 1600)
    subprocess.run(["rm", "-rf", volume.home / "logs"], check=True)
    for number in range(1500) if name.endswith("NAME") else [0]:
        link = volume.home / name.replace("NAME", f"{number:05}")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(disk / "link0")
    hermes_owns(volume.home)
    most = cpu("reconcile", volume, "--max-services", "4000")[0]
    assert most <= least + MORE, (least, most)


def test_only_so_many_profiles_may_be_links(volume, disk):
    """The others are not looked at, which is a failure. A profile that is no link stays what it is."""
    volume.profile("zz", "running")
    linked(volume, FOLLOWED + 30, "../../disk/none")
    time, code, out = cpu("reconcile", volume)
    assert code == 1 and time <= MORE, (time, out[-500:])
    assert b"profile=zz prior_state=running action=started\n" in out, out[-500:]
    assert b"warning: profiles: " in out and b" 30 were not inspected" in out, out[-500:]
