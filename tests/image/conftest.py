"""One namespace with podman for each worker. Where podman cannot run, the tests in this folder are skipped with the reason; where everything has to
run, they fail with it."""

import contextlib
import fcntl
import os

import pytest

from support.podman import Podman, Volume, missing
from support.program import ROOT, wait_for

CACHE = ROOT / "target/image"


def alone(lock):
    """Whether this worker has the lock now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.fixture(scope="session")
def podman():
    # The first worker of a run makes the images, and the others load what it saved.
    run, stamp, archive = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())), CACHE / "run", CACHE / "images.tar"
    reason = missing()
    with contextlib.ExitStack() as stack:
        if reason is None:
            CACHE.mkdir(parents=True, exist_ok=True)
            try:
                started = stack.enter_context(Podman())
                lock = stack.enter_context(open(CACHE / "lock", "w"))
                wait_for(lambda: alone(lock), 300, "the images, which another worker makes,")
                made = stamp.exists() and stamp.read_text() == run
                if made:
                    started.load(archive)
                else:
                    started.base()
            except AssertionError as error:
                reason = f"podman cannot run here: {error}"
        if reason is not None:
            (pytest.fail if os.environ.get("HERMES_INIT_CI") else pytest.skip)(reason)
        if not made:
            # What fails from here on is no matter of the machine.
            started.image()
            started.build()
            started.save(archive)
            stamp.write_text(run)
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield started


@pytest.fixture
def volume(place):
    return Volume(place / "volume")
