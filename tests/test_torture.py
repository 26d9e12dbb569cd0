"""A sample of tests/torture.py: system calls that fail, and commands that are killed at them. The seed is fixed and faults are counted,
not timed, so that each run does the same. `make torture` runs more of them."""

import pytest

from torture import live, offline, services, torture

pytestmark = [pytest.mark.s6, pytest.mark.strace]
SEED = 1


@pytest.mark.parametrize("what, scenarios, count", [
    ("on the volume, in a scan directory and in static services", offline, 120),
    ("in the programs of services", services, 140),
    ("on a live container", lambda: live(False), 28),
    ("on a live sealed container", lambda: live(True), 22)], ids=["offline", "services", "delegated", "sealed"])
def test_a_failed_call_or_a_kill_leaves_no_half_slot_no_torn_file_and_no_false_success(what, scenarios, count):
    failed = torture(scenarios(), SEED, count=count)
    assert not failed, f"{what}:\n" + "\n".join(failed)
