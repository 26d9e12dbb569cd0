"""A sample of tests/soak.py: random commands, edits, kills and restarts, compared with a model. The seed is fixed and actions are counted,
not timed. `make soak` runs more of them."""

import pytest

from soak import soak
from support.soak_model import combination

pytestmark = pytest.mark.s6
SEED = 1


@pytest.mark.parametrize("mode", ["delegated", "sealed"])
def test_what_was_asked_for_last_is_what_the_volume_s6_and_the_next_boot_have(mode):
    number = next(number for number in range(100) if combination(SEED, number)[0] == mode)
    failed = soak(SEED, [number])
    assert not failed, "\n".join(failed)
