"""`--explain`: each answer to "why did my profile not come back up", as golden stories in tests/golden/explain; see support/golden_story.py."""

import os

import pytest

from support.file_tree import identity
from support.golden_story import Story, stories
from support.program import wait_for

pytestmark = pytest.mark.root


@pytest.mark.parametrize("name", stories("explain"))
def test_story(place, name):
    story = Story("explain", name, place)
    with story.container() as container:
        before = identity(place)
        done = container.reconcile("--explain", *story.options(), timeout=10)
        assert identity(place) == before, "--explain wrote something"
        came = {"explain": story.text(done.stdout), "stderr": story.text(done.stderr)}
        # What it predicts for the next boot is what the next boot does.
        said = {
            block.split("\n")[0].removeprefix("profile "): " at the next boot: started\n" in block
            for block in done.stdout.decode().split("\n\n")[1:]
            if block.startswith("profile ")
        }
        outcome = container.reconcile(*story.options(), timeout=10)
        actions = [line.split(" ") for line in outcome.stdout.decode().splitlines() if line.startswith("reconcile: profile=")]
        assert {words[1].removeprefix("profile="): words[3] == "action=started" for words in actions} == said
        before = identity(place)
        after = container.reconcile("--explain", *story.options(), timeout=10)
        assert identity(place) == before, "--explain wrote something"
    # After a boot, only the slots differ, unless the story says otherwise.
    settled = done.stdout.replace(b" is missing\n", b" is up to date; s6-supervise is not running\n")
    came["explain after a boot"] = story.text(after.stdout) if after.stdout != settled else []
    story.check(came)


def test_explain_makes_nothing_where_nothing_is(place):
    story = Story("explain", "running", place)
    os.rename(story.home, place / "aside")
    before = identity(place)
    with story.container() as container:
        done = container.reconcile("--explain", *story.options())
    assert identity(place) == before
    assert b"profile default\n" in done.stdout and b"No such file or directory" in done.stderr


@pytest.mark.s6
def test_a_slot_that_runs_is_said_to_be_supervised(bed):
    bed.profile("coder", "running")

    def slot():
        return bed.init("reconcile", "--explain").stdout.decode().split("\nprofile coder\n")[1].splitlines()[-1].strip()

    assert slot() == "slot now: gateway-coder is missing"
    bed.init("reconcile")
    bed.rescan()
    wait_for(lambda: slot() == "slot now: gateway-coder is up to date; s6-supervise is running", what="the slot")
    bed.profile("coder", "stopped")
    before = identity(bed.path("/opt/data/profiles"))
    assert slot() == "slot now: gateway-coder is not up to date; s6-supervise is running"
    assert identity(bed.path("/opt/data/profiles")) == before and not bed.path("/run/service/gateway-coder/down").exists()
