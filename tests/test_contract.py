"""The rules of the boot pass and their combinations, as golden stories in tests/golden/contract; see support/golden_story.py."""

import json
import os
import re
import time

import pytest

from support.file_tree import entries_of, identity, snapshot
from support.golden_story import Story, stories
from support.program import HERMES, OWNER, executable, run
from support.volume import expected_slot

pytestmark = pytest.mark.root
STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000 ")


def slots(story):
    """Returns `up` or `down` for each slot whose tree is exactly as expected, else the whole tree."""
    lines = []
    for name in sorted(entries_of(story.scandir)):
        tree = snapshot(story.scandir / name)
        for word, down in (("up", False), ("down", True)):
            if tree == expected_slot(down, home=story.home):
                lines.append(f"{name} {word}")
                break
        else:
            lines.append(f"{name} {tree}")
    return lines


def difference(before, after):
    """Returns what was added, changed or removed on the volume. The text of the log is a separate section."""
    lines = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            what = after.get(path, "gone")
            lines.append(f"{path.decode()} {what.split(' b')[0] if path.endswith(b'boot.log') else what}")
    return lines


@pytest.mark.parametrize("name", stories("contract"))
def test_story(place, name):
    story = Story("contract", name, place)
    before = snapshot(story.home)
    outside = snapshot(story.outside)
    with story.container() as container:
        at_first = identity(place)
        dry = container.reconcile(*story.options(), "--dry-run", timeout=10)
        assert identity(place) == at_first, "a dry run wrote something"
        begun = int(time.time())
        done = container.reconcile(*story.options(), timeout=10)
        ended = time.time()
        assert dry.stdout == done.stdout and dry.stderr == done.stderr
        after = snapshot(story.home)
        log = [STAMP.sub("TIME ", line) for line in (story.home / "logs/container-boot.log").read_text().splitlines()]
        changes = []
        for line in difference(before, after):
            stamp = re.search(r'"timestamp": (\d+)', line)
            assert stamp is None or begun <= int(stamp[1]) <= ended
            changes.append(re.sub(r'"timestamp": \d+', '"timestamp": NOW', line))
        story.check(
            {"stdout": story.text(done.stdout), "stderr": story.text(done.stderr), "log": log, "slots": slots(story), "volume": changes}
        )
        # The second boot reports the same for each profile and changes nothing.
        settled = identity(story.scandir)
        again = container.reconcile(*story.options(), timeout=10)
        assert again.stdout == done.stdout and identity(story.scandir) == settled
        assert snapshot(story.outside) == outside


@pytest.mark.parametrize("size, exit", [((64 << 10) - 1, "clean"), (64 << 10, "clean"), ((64 << 10) + 1, "unknown")])
def test_a_lifecycle_file_is_read_up_to_its_cap(place, size, exit):
    story = Story("contract", "bom", place)
    (story.home / "state").mkdir()
    (story.home / "state/gateway.lifecycle.json").write_text('{"phase": "exited"}'.ljust(size))
    with story.container() as container:
        done = container.reconcile(*story.options(), "--json")
    assert json.loads(done.stdout.splitlines()[0])["prior_exit"] == exit


def test_a_lifecycle_file_that_cannot_be_read_is_unknown_and_in_nobodys_way(place):
    """Runs as the hermes user, because root can read everything."""
    story = Story("contract", "bom", place)
    os.chown(place, HERMES, HERMES)
    os.chown(story.scandir, HERMES, HERMES)
    for name, closed in (("folder", "state"), ("file", "state/gateway.lifecycle.json")):
        profile = story.home / "profiles" / name
        (profile / "state").mkdir(parents=True)
        (profile / "SOUL.md").touch()
        (profile / "gateway_state.json").write_text('{"desired_state": "running"}')
        (profile / "state/gateway.lifecycle.json").write_text('{"phase": "exited"}')
        (profile / closed).chmod(0)
        for path in [profile.parent, profile, *profile.rglob("*")]:
            os.chown(path, HERMES, HERMES)
    with story.container() as container:
        done = run(
            container.command(
                ["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups", executable(), "reconcile", "--json", *story.options()]
            ),
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
        )
    outcomes = {outcome["profile"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0 and b"lifecycle" not in done.stderr, done
    assert all((outcomes[name]["action"], outcomes[name]["prior_exit"]) == ("started", "unknown") for name in ("folder", "file"))


@pytest.mark.parametrize("present", ["nothing", "file", "symlink"])
def test_the_seeded_state_takes_the_place_of_a_leftover_and_writes_through_nothing(place, present):
    """A predictable name, under which a user could place a trap, is never written through."""
    story = Story("contract", "legacy-new", place)
    trap = place / "trap"
    trap.write_text("root's")
    staging = story.home / ".gateway_state.json.tmp"
    if present == "file":
        staging.write_text("left")
    elif present == "symlink":
        staging.symlink_to(trap)
    with story.container() as container:
        container.reconcile(*story.options())
    assert trap.read_text() == "root's" and not os.path.lexists(staging)
    assert snapshot(story.home)[b"gateway_state.json"].startswith(f"file 644 {OWNER} ")
