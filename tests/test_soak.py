"""A sample of tests/soak.py: random commands, edits, kills and restarts, compared with a model. The seeds are fixed and actions are counted,
not timed. `make soak` runs more of them."""

import pytest

from soak import soak

pytestmark = pytest.mark.s6


@pytest.mark.parametrize("seed, number", [(4, 0), (7, 2), (1, 2)], ids=["delegated-per-profile", "sealed-multiplex", "alone"])
def test_what_was_asked_for_last_is_what_the_volume_s6_and_the_next_boot_have(seed, number):
    failed = soak(seed, [number])
    assert not failed, "\n".join(failed)
