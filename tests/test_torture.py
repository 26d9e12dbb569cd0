"""A sample of tests/torture.py: system calls that fail, and commands that are killed at them. The seed is fixed and faults are counted,
not timed, so that each run does the same. `make torture` runs more of them."""

import pytest

from torture import live, offline, services, torture

pytestmark = [pytest.mark.s6, pytest.mark.strace]
SEED = 1
# A case on a live container takes longer: a few, of calls that write, publish and command.
WRITING = ("renameat", "renameat2", "write", "unlinkat", "fsync", "ioctl", "setresuid")


@pytest.mark.parametrize(
    "scenarios, count, calls",
    [(offline, 120, None), (services, 140, None), (lambda: live(False), 42, WRITING), (lambda: live(True), 22, WRITING)],
    ids=["offline", "services", "delegated", "sealed"],
)
def test_a_failed_call_or_a_kill_leaves_no_half_slot_no_torn_file_and_no_false_success(scenarios, count, calls):
    failed = torture(scenarios(), SEED, count=count, calls=calls)
    assert not failed, "\n".join(failed)
