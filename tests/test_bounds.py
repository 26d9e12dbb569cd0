"""What the files of all profiles may cost root: whatever the hermes user has put on the volume, a pass and an answer take at most 2
seconds of CPU more than with as many ordinary profiles, and 24 MiB. Ordinary profiles never meet a limit."""

import os
import subprocess

import pytest

from support.program import APART, HERMES, executable
from support.volume import Volume, hermes_owns

pytestmark = pytest.mark.root

KIB = 1 << 10
MIB = 1 << 20
STATE_CAP = 64 * KIB
CONFIG_CAP = 1 * MIB
COMMANDS = ["reconcile", "status", "health", "start p0002"]
# The size of Hermes Agent's example of a config.yaml, in which most lines are comments.
EXAMPLE = 126_181


@pytest.fixture
def volume(place):
    return Volume(place)


def members(size):
    """Returns a state file of this size with as many members as fit: what takes longest to parse."""
    text, number = b'{"gateway_state": "running"', 0
    while True:
        member = b',"%x":1' % number
        if len(text) + len(member) + 1 > size:
            return (text + b"}").ljust(size)
        text, number = text + member, number + 1


def keys(size):
    """Returns a config.yaml of this size that takes long to read: an escape could hide the key that is looked for."""
    start = b"# \\\n"
    return start + b"a:\n" * ((size - len(start)) // 3)


def variables(count, size):
    return b"".join(b"V%d=%s\0" % (number, b"x" * size) for number in range(count))


ORDINARY = {
    "gateway_state.json": b'{"gateway_state": "running", "pid": 12, "x": "' + b"y" * 900 + b'"}',
    "config.yaml": b"a: b # c\n" * 200,
}
WORST = {
    "gateway_state.json": members(STATE_CAP),
    "state/gateway.lifecycle.json": members(STATE_CAP),
    "config.yaml": keys(CONFIG_CAP),
}
# Twice as large as any file may be.
LARGER = {name: content * 2 for name, content in WORST.items()}
HOLES = {"gateway_state.json": STATE_CAP, "state/gateway.lifecycle.json": STATE_CAP, "config.yaml": CONFIG_CAP}


def fill(volume, count, files):
    """Makes profiles whose files are links to one of each kind: they cost the disk nothing. A number is the size of a hole."""
    sources = volume.home / "sources"
    sources.mkdir(exist_ok=True)
    for name, content in files.items():
        source = sources / name.replace("/", "-")
        if isinstance(content, int):
            with open(source, "wb") as file:
                file.truncate(content)
        else:
            source.write_bytes(content)
    for number in range(count):
        profile = volume.home / f"profiles/p{number:04}"
        (profile / "state").mkdir(parents=True, exist_ok=True)
        (profile / "SOUL.md").touch()
        for name in files:
            (profile / name).unlink(missing_ok=True)
            os.link(sources / name.replace("/", "-"), profile / name)
    hermes_owns(volume.home)


def cost(volume, command, *options, mebibytes=24):
    """Runs a command with so much memory. Returns its CPU time in seconds, its exit code, and its output on both streams."""
    where = ["--hermes-home", volume.home, "--scandir", volume.scandir, "--owner", f"{HERMES}:{HERMES}", "--role", "gateway"]
    argv = ["prlimit", f"--data={mebibytes * MIB}", "--", executable(), *command.split(), *where, *options]
    stdout, stderr = volume.place / "stdout", volume.place / "stderr"
    with open(stdout, "wb") as out, open(stderr, "wb") as err:
        child = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=APART)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, child.returncode, stdout.read_bytes(), stderr.read_bytes()


def clear(volume):
    """Makes the scan directory as it is at a boot."""
    subprocess.run(["rm", "-r", volume.scandir], check=True)
    (volume.scandir / ".s6-svscan").mkdir(parents=True)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("files", [WORST, LARGER, HOLES], ids=["largest", "larger", "holes"])
@pytest.mark.parametrize("count", [100, 490])
def test_files_that_are_as_large_as_they_may_be_cost_two_seconds_at_most(volume, command, files, count):
    fill(volume, count, ORDINARY)
    ordinary, _, _, err = cost(volume, command)
    assert b"unable to use" not in err
    fill(volume, count, files)
    hostile, code, _, err = cost(volume, command)
    assert hostile < ordinary + 2, err[:300]
    # Each command has come to its end: it is none that died for lack of memory.
    assert code in (0, 1) and b"memory" not in err, err[:300]


def test_a_profile_over_the_budget_is_named_and_the_others_get_their_slots(volume):
    volume.profile("zeta", "running")
    fill(volume, 200, WORST)
    _, code, out, err = cost(volume, "reconcile")
    assert code == 1
    assert b"profile=zeta prior_state=running action=started\n" in out
    over = [line for line in out.splitlines() if b"exceed what is read at once" in line]
    # Not the first ones, for which there is enough.
    assert 0 < len(over) < 200 and not any(b"profile=p0000 " in line for line in over)
    assert b"unable to use profiles/p0199/gateway_state.json: it is large" in err
    assert len([name for name in os.listdir(volume.scandir) if name.startswith("gateway-")]) == 202
    # It is that profile's fault alone.
    _, code, out, _ = cost(volume, "health")
    assert code == 1 and b"p0199: " in out


def test_a_file_over_its_own_limit_is_unusable_and_the_pass_is_complete(volume):
    volume.profile("coder", members(STATE_CAP + 1))
    volume.profile("other", members(STATE_CAP))
    _, code, out, err = cost(volume, "reconcile")
    assert code == 0
    assert b"profile=coder prior_state=None action=registered" in out and b"profile=other prior_state=running action=started" in out
    assert b"unable to use profiles/coder/gateway_state.json: larger than 65536 bytes" in err


def test_two_hundred_ordinary_profiles_meet_no_limit(volume):
    """With Hermes Agent's whole example as config.yaml, a state four times as large as usual, and variables."""
    files = {
        "gateway_state.json": b'{"gateway_state": "running", "served_profiles": [' + b'"p0000", ' * 400 + b'"p"]}',
        "state/gateway.lifecycle.json": b'{"phase": "exited", "x": "' + b"y" * 1000 + b'"}',
        "config.yaml": (b"# a comment\n" * (EXAMPLE // 12)) + b"gateway:\n  standalone: true\n",
    }
    fill(volume, 200, files)
    for number in range(200):
        (volume.home / f"profiles/p{number:04}/.hermes-init-env").write_bytes(variables(10, 100))
    hermes_owns(volume.home)
    _, code, out, err = cost(volume, "reconcile")
    assert code == 0 and out.count(b"prior_state=running action=started") == 200, err
    assert out.count(b"reason=") == 0 and b"unable" not in err
    assert len(os.listdir(volume.slot("p0199") / "env")) == 10


def test_the_variables_of_all_profiles_take_little_of_run(volume):
    fill(volume, 490, ORDINARY)
    for number in range(490):
        (volume.home / f"profiles/p{number:04}/.hermes-init-env").write_bytes(variables(256, 240))
    hermes_owns(volume.home)
    _, code, out, err = cost(volume, "reconcile")
    inodes = sum(len(files) for path, _, files in os.walk(volume.scandir) if path.endswith("/env"))
    assert code == 1 and inodes <= 4096 + 490 * 8
    assert b"unable to use profiles/p0489/.hermes-init-env: it is large" in err
    # Without them, its gateway would not be what was registered; it has a slot, and the fault is said.
    assert volume.slot("p0489").is_dir() and b"profile=p0489 prior_state=running action=started reason=" in out
    # A profile with a few of them is not concerned.
    (volume.home / "profiles/p0489/.hermes-init-env").write_bytes(variables(8, 240))
    hermes_owns(volume.home)
    clear(volume)
    _, code, out, err = cost(volume, "reconcile")
    assert len(os.listdir(volume.slot("p0489") / "env")) == 8 and b"p0489" not in err


def test_twenty_thousand_profiles_without_room_take_little_memory_and_few_lines(volume):
    profiles = volume.home / "profiles"
    for number in range(20_000):
        profile = profiles / f"p{number:06}"
        profile.mkdir(parents=True)
        (profile / "SOUL.md").touch()
    # Those for which there is no room either way say nothing, whatever is wrong with them.
    for number in range(15_000, 20_000):
        (profiles / f"p{number:06}/gateway_state.json").write_bytes(b"x" * 2000)
    hermes_owns(volume.home)
    cpu, code, out, err = cost(volume, "reconcile")
    assert code == 1 and cpu < 3
    assert out.count(b"action=registered") == 498 and out.count(b"action=failed") == 1001
    assert out.endswith(
        b'reconcile: profiles action=failed reason="18503 more profiles: no capacity: s6-svscan handles 1000 services '
        b'(--max-services), a slot and its logger count as two, and 4 are kept free"\n'
    )
    assert err.count(b"\n") < 10, err[:1000]
    assert os.path.getsize(volume.home / "logs/container-boot.log") < MIB
    for command in ("status", "health"):
        cpu, code, out, err = cost(volume, command)
        assert cpu < 2 and b"18503 more profiles: no capacity" in err and code == (command == "health"), err[:300]
    # One that is not named has no slot, either, and is not unknown.
    _, code, _, err = cost(volume, "status p019999")
    assert code == 1 and b"no such gateway p019999: its profile has no slot: no capacity: " in err, err
    # One that wants to run gets the slot of one that does not.
    volume.profile("p003000", "running")
    clear(volume)
    _, code, out, err = cost(volume, "reconcile")
    assert b"profile=p003000 prior_state=running action=started" in out
