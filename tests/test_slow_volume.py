"""A volume behind a network, of which each request takes some milliseconds: how many a pass makes. And the server that stands for it,
support/slow.py: it counts what the kernel asks, keeps what clients of NFS and SMB keep, and is a file system."""

import os
import threading
import time
from pathlib import Path

import pytest

import budgets
from support.file_tree import snapshot
from support.fuse import is_mounted
from support.program import HERMES
from support.slow import Slow, requests_of_a_pass
from support.testbed import Bed

pytestmark = [
    pytest.mark.root,
    pytest.mark.s6,
    pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs FUSE"),
]


@pytest.mark.parametrize("row, stale", [("first pass", False), ("with stale pid files", True)])
def test_a_pass_makes_few_requests_of_a_volume_behind_a_network(row, stale):
    limit, _ = budgets.LIMITS[f"requests to a slow volume, {row}"]
    counted = requests_of_a_pass(stale)
    assert 0 < counted.total() <= limit, counted
    # Nothing of the volume is written, but for the boot log, and what is stale.
    assert (counted["CREATE"], counted["WRITE"], counted["UNLINK"]) == (1, 1, 20 * stale), counted


@pytest.fixture
def slow():
    """Returns a function that mounts a slow volume on /opt/data, which then has a file of root's that all may read."""
    with Bed(svscan=False) as bed:
        bed.path("/opt/data/file").write_text("content")
        volumes = []

        def mount(**options):
            volumes.append(Slow("/opt/data", "/opt/data", before=bed.command([]), **options))
            volumes[-1].__enter__()
            # Of the directory itself, attributes are kept from now on.
            os.stat(bed.path("/opt/data"))
            volumes[-1].reset()
            return bed, volumes[-1]

        yield mount
        for volume in volumes:
            volume.__exit__()


@pytest.mark.parametrize(
    "name, options, first, second",
    [
        # Without a cache each step looks; the directory's attributes say who may search it.
        ("missing", {"cache": 0}, {"GETATTR": 1, "LOOKUP": 1}, {"GETATTR": 1, "LOOKUP": 1}),
        ("file", {"cache": 0}, {"GETATTR": 2, "LOOKUP": 1}, {"GETATTR": 2, "LOOKUP": 1}),
        ("missing", {"cache": 600}, {"LOOKUP": 1}, {}),
        ("file", {"cache": 600}, {"LOOKUP": 1}, {}),
        ("missing", {"cache": 600, "negative": False}, {"LOOKUP": 1}, {"LOOKUP": 1}),
        ("file", {"cache": 600, "negative": False}, {"LOOKUP": 1}, {}),
    ],
)
def test_counts_are_what_the_kernel_asks_and_a_cache_spares_it(slow, name, options, first, second):
    bed, volume = slow(delay=0, **options)
    for expected in (first, second):
        volume.reset()
        assert os.path.lexists(bed.path(f"/opt/data/{name}")) == (name == "file")
        assert volume.requests == expected


def test_what_is_kept_is_kept_for_that_long(slow):
    bed, volume = slow(delay=0, cache=0.2)
    for _ in range(2):
        volume.reset()
        assert not bed.path("/opt/data/missing").exists()
        assert volume.requests["LOOKUP"] == 1
        time.sleep(0.25)


def test_one_request_takes_the_delay_and_many_at_once_take_no_longer(slow):
    bed, volume = slow(delay=200, cache=600)

    def took(count):
        threads = [threading.Thread(target=os.path.lexists, args=(bed.path(f"/opt/data/{count}-{number}"),)) for number in range(count)]
        before = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert volume.requests == {"LOOKUP": count}
        volume.reset()
        return time.monotonic() - before - 0.2

    # The question about the requests is one more.
    assert 0.2 <= took(1) < 0.6
    assert 0.2 <= took(8) < 0.6


SCRIPT = """set -e
cd /opt/data
mkdir -m 750 folder; echo first >folder/new; echo second >>folder/new; mv folder/new folder/file; ln -s file folder/link
ln folder/file folder/hard; mkfifo folder/fifo; chmod 640 folder/file; touch -d @1000000000 folder/file
truncate -s 1000 folder/sparse; cp folder/file folder/copy; truncate -s 3 folder/copy; mv folder other; mkdir folder; rmdir folder
exec 3<other/hard; rm other/hard; read -r line <&3; [ "$line" = first ]; exec 3<&-
for number in $(seq 300); do : >other/file-of-many-$number; done; [ "$(ls other | grep -c many)" = 300 ]; rm other/file-of-many-*
flock other true; flock other/file true
[ "$(cat other/link)" = "$(cat other/file)" ]; [ "$(stat -c %s other/copy)" = 3 ]
[ "$(stat -f -c %t .)" = 65735546 ]; [ "$(stat -c %Y other/file)" = 1000000000 ]
"""


@pytest.mark.parametrize("cache", [0, 600])
def test_it_is_a_file_system_for_root_and_for_the_hermes_user(slow, cache):
    bed, _ = slow(delay=0, cache=cache)
    bed.run(["mkdir", "/run/below"])
    for uid in (0, HERMES):
        done = bed.run(["sh", "-c", SCRIPT], uid)
        assert done.returncode == 0, done
        owner = f"{uid}:{uid}"
        assert snapshot(bed.path("/opt/data/other")) == {
            b".": f"dir 750 {owner}",
            b"file": f"file 640 {owner} {b'first' + bytes([10]) + b'second' + bytes([10])!r}",
            b"link": f"link 777 {owner} b'file'",
            b"fifo": f"fifo 644 {owner}",
            b"sparse": f"file 644 {owner} {bytes(1000)!r}",
            b"copy": f"file 640 {owner} b'fir'",
        }
        bed.run(["rm", "-r", "/opt/data/other"])
    # Permissions are checked.
    assert bed.run(["sh", "-c", "echo x >/opt/data/file"], HERMES).returncode != 0
    assert bed.run(["chown", f"{HERMES}", "/opt/data/file"]).returncode == 0
    assert bed.run(["sh", "-c", "echo x >/opt/data/file"], HERMES).returncode == 0


def test_at_its_end_the_directory_below_is_there_again_with_what_was_written(slow):
    bed, volume = slow(delay=0)
    bed.path("/opt/data/new").write_text("written")
    assert is_mounted(bed, "/opt/data")
    mounted = snapshot(bed.path("/opt/data"))
    volume.__exit__()
    assert not is_mounted(bed, "/opt/data")
    assert snapshot(bed.path("/opt/data")) == mounted and mounted[b"new"].endswith(" b'written'")
