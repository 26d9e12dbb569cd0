"""`seed`: supervise and event directories in a given service directory."""

import os

import pytest

from support.file_tree import snapshot
from support.program import executable, run

pytestmark = pytest.mark.root
OWNER = "10000:10000"


def seed(*arguments, code=0, before=()):
    done = run([*before, executable(), "seed", "--owner", OWNER, *arguments], env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == code, done
    return done


def skeleton(owner=OWNER, supervise="755", event=None, control="660"):
    event = event or f"dir 3730 {owner}"
    return {
        b"event": event,
        b"supervise": f"dir {supervise} {owner}",
        b"supervise/event": event,
        b"supervise/control": f"fifo {control} {owner}",
    }


def below_log(tree):
    return {b"log/" + path: line for path, line in tree.items()}


@pytest.mark.parametrize("mask", ["000", "077", "777"])
def test_a_skeleton_is_exactly_this_under_any_umask(place, mask):
    (place / "log").mkdir()
    seed(place, before=["sh", "-c", f'umask {mask}; exec "$@"', "sh"])
    assert snapshot(place) == {b".": "dir 755 0:0", b"log": "dir 755 0:0"} | skeleton() | below_log(skeleton())


def test_without_a_logger_there_is_none(place):
    seed(place)
    assert snapshot(place) == {b".": "dir 755 0:0"} | skeleton()


def test_sealed_it_is_roots_with_the_owners_group(place):
    seed("--sealed", place)
    assert snapshot(place) == {b".": "dir 755 0:0"} | skeleton("0:10000", "710", "dir 700 0:0", "620")


def test_what_exists_is_left_as_it_is(place):
    (place / "event").mkdir(mode=0o700)
    (place / "supervise").mkdir(mode=0o700)
    os.mkfifo(place / "supervise/control", 0o600)
    seed(place)
    assert snapshot(place) == {
        b".": "dir 755 0:0",
        b"event": "dir 700 0:0",
        b"supervise": "dir 700 0:0",
        b"supervise/control": "fifo 600 0:0",
        b"supervise/event": f"dir 3730 {OWNER}",
    }


@pytest.mark.parametrize(
    "name, kind",
    [
        ("event", "file"),
        ("event", "link"),
        ("supervise", "link"),
        ("supervise/control", "file"),
        ("supervise/control", "link"),
        ("supervise/event", "fifo"),
    ],
)
def test_a_wrong_type_is_named_and_the_others_are_done(place, name, kind):
    first, second, outside = place / "first", place / "second", place / "outside"
    for folder in (first, second, outside):
        folder.mkdir()
    if "/" in name:
        (first / "supervise").mkdir()
    path = first / name
    if kind == "file":
        path.write_text("")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(outside)
    before = snapshot(outside)
    done = seed(first, place / "missing", second, code=1)
    assert f"first/{name}: is a".encode() in done.stderr and b"missing" in done.stderr
    assert snapshot(second) == {b".": "dir 755 0:0"} | skeleton()
    assert snapshot(outside) == before


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["EPERM", "EINVAL"])
def test_a_refused_chown_is_said_once(place, errno):
    done = seed(place, before=["strace", "-o", "/dev/null", "-e", f"inject=fchown,fchownat:error={errno}"])
    assert done.stderr.count(b"not permitted to change owners") == 1
    assert snapshot(place) == {b".": "dir 755 0:0"} | skeleton("0:0")


def test_without_fowner_and_fsetid_modes_and_owners_are_exact(place):
    caps = "-all,+chown,+dac_override"
    seed(place, before=["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}"])
    assert snapshot(place) == {b".": "dir 755 0:0"} | skeleton()
