"""A volume on which case does not matter, as on an SMB server or a Mac's share: a profile's name is what its directory lists, for the
commands as for a boot."""

import os
import re
from pathlib import Path

import pytest

from support import caseless
from support.program import HERMES
from support.testbed import Bed

pytestmark = [
    pytest.mark.root,
    pytest.mark.s6,
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs FUSE"),
]
SAID = b"unable to use the profile profiles/work: the name of its directory is Work, and case does not matter on this file system: "


@pytest.fixture(params=["volume", "profiles"])
def share(request):
    """A container whose volume, or whose `profiles` alone, is such a share, with the directories Work, other and 123."""
    with Bed() as bed:
        for name in ("Work", "other", "123"):
            bed.profile(name, "running")
        mountpoint = "/opt/data"
        if request.param == "profiles":
            mountpoint = "/run/share"
            bed.run(["mv", "/opt/data/profiles", mountpoint])
            bed.run(["ln", "-s", mountpoint, "/opt/data/profiles"])
            os.chown(bed.path("/opt/data/profiles"), HERMES, HERMES, follow_symlinks=False)
        caseless.mounted(bed, mountpoint)
        assert bed.path("/opt/data").joinpath("profiles").is_symlink() or bed.path("/opt/data/profiles/wORK/soul.md").exists()
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        yield bed


def slots(bed):
    return sorted(name for name in os.listdir(bed.path("/run/service")) if name.startswith("gateway-"))


def test_no_command_makes_a_gateway_that_the_next_boot_does_not(share):
    before = slots(share)
    assert before == ["gateway-123", "gateway-default", "gateway-other"]
    for uid in (0, HERMES):
        for words in (
            ["start", "work"],
            ["restart", "work"],
            ["register", "work"],
            ["status", "work"],
            ["logs", "work"],
            ["start", "123", "work"],
        ):
            done = share.init(*words, uid=uid, code=1)
            assert SAID in done.stderr, done
            assert slots(share) == before
    # The names that are spelled so.
    for name in ("other", "123", "default"):
        share.init("restart", "--wait=10", name)
    assert share.init("health").stdout == b""


def test_renamed_by_way_of_another_name_it_is_a_profile(share):
    assert SAID + b"rename it, by way of another name\n" in share.init("start", "work", code=1).stderr
    profiles = "/run/share" if share.path("/opt/data/profiles").is_symlink() else "/opt/data/profiles"
    for old, new in (("Work", "another"), ("another", "work")):
        done = share.run(["mv", f"{profiles}/{old}", f"{profiles}/{new}"])
        assert done.returncode == 0, done
    share.init("start", "--wait", "work")
    assert b"profile=work prior_state=running action=started" in share.init("reconcile").stdout


def test_a_slot_whose_directory_is_spelled_otherwise_now_is_said_and_can_be_removed(share):
    profiles = "/run/share" if share.path("/opt/data/profiles").is_symlink() else "/opt/data/profiles"
    for old, new in (("other", "another"), ("another", "Other")):
        assert share.run(["mv", f"{profiles}/{old}", f"{profiles}/{new}"]).returncode == 0
    for question, code in (("status", 0), ("health", 111)):
        done = share.init(question, code=code)
        assert re.search(
            rb"^other: unable to use the profile profiles/other: the name of its directory is Other, ", done.stdout, re.MULTILINE
        )
        assert b"start other" not in done.stdout
    share.init("unregister", "other", code=None)
    assert slots(share) == ["gateway-123", "gateway-default"]


def test_where_case_matters_both_spellings_are_what_they_are():
    with Bed() as bed:
        bed.profile("work", "stopped")
        bed.profile("WORK", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.init("start", "--wait", "work")
        assert b"profile=work prior_state=running action=started" in bed.init("reconcile").stdout
