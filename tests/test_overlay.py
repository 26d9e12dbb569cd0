"""A scan directory on overlayfs, which docker and podman have for /run: where that costs more than a second, the pass says what is faster."""

import pytest

from support.testbed import Bed

pytestmark = [pytest.mark.root, pytest.mark.s6, pytest.mark.strace]
SAID = b"hermes-init reconcile: info: /run/service is on overlayfs, and the slots took "


def slow(microseconds):
    """Returns the argv prefix with which each directory and FIFO takes that long, as on a container's overlayfs."""
    return ["strace", "-f", "-o", "/dev/null", "-e", f"inject=mkdirat,mknodat:delay_exit={microseconds}"]


def overlay(bed):
    script = (
        "mkdir -p /run/lower /run/upper /run/work && rmdir /run/service && mkdir -m 755 /run/service && "
        "mount -t overlay overlay -o lowerdir=/run/lower,upperdir=/run/upper,workdir=/run/work /run/service"
    )
    done = bed.run(["sh", "-c", script])
    assert done.returncode == 0, done


@pytest.mark.parametrize("on_overlay", [True, False])
@pytest.mark.parametrize("microseconds", [20000, 0])
def test_a_slow_overlayfs_is_said_once_and_nothing_else(on_overlay, microseconds):
    with Bed(svscan=False) as bed:
        for number in range(10):
            bed.profile(f"p{number}", "running")
        if on_overlay:
            overlay(bed)
        done = bed.run([*(slow(microseconds) if microseconds else []), "/run/bed/bin/hermes-init", "reconcile"])
        is_said = on_overlay and microseconds > 0
        assert done.returncode == 0 and done.stderr.count(SAID) == is_said, done
        assert (b" seconds: a tmpfs is faster, with docker and podman --tmpfs /run:exec\n" in done.stderr) == is_said
        # The next pass makes nothing.
        done = bed.run([*slow(20000), "/run/bed/bin/hermes-init", "reconcile"])
        assert done.returncode == 0 and SAID not in done.stderr, done


def test_stale_files_that_take_long_are_no_slow_slots():
    """They are on the volume, which a tmpfs for the slots makes no faster."""
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        stale = bed.path("/opt/data/profiles/coder/gateway.pid")
        stale.touch()
        overlay(bed)
        late = ["strace", "-f", "-o", "/dev/null", "-P", "/opt/data/profiles/coder", "-e", "inject=unlinkat:delay_exit=1500000"]
        done = bed.run([*late, "/run/bed/bin/hermes-init", "reconcile"])
        assert done.returncode == 0 and SAID not in done.stderr and not stale.exists(), done
