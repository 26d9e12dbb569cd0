"""logs: what gateways have printed, from s6-log's files, and nothing that commands a terminal."""

import os
import signal
import subprocess
import time

import pytest

from support.file_tree import spoil
from support.program import APART, HERMES, executable, run, wait_for
from support.volume import Volume

pytestmark = pytest.mark.root
TAI = b"@400000006553f10b00000000"


@pytest.fixture
def volume(place):
    return Volume(place)


@pytest.fixture
def log(volume):
    """Returns a function that writes a file of a gateway's log."""

    def write(name, file, text, profile_needed=True):
        if profile_needed:
            volume.profile(name)
        directory = volume.home / "logs/gateways" / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / file).write_bytes(text)
        for path in (directory.parent.parent, directory.parent, directory, directory / file):
            os.chown(path, HERMES, HERMES)
        return directory

    return write


def argv(volume, *arguments):
    return [executable(), "logs", "--hermes-home", volume.home, *arguments]


def logs(volume, *arguments, code=0, **options):
    done = run(argv(volume, *arguments), env=APART | {"TZ": "UTC0"}, timeout=10, **options)
    assert done.returncode == code, done
    return done


def numbered(first, last):
    return b"".join(b"line %d\n" % number for number in range(first, last + 1))


def test_rotated_files_come_first_in_their_order(volume, log):
    log("coder", "@400000006553f10b00000000.s", numbered(11, 20))
    log("coder", "@400000006553f10a00000000.s", numbered(1, 10))
    log("coder", "current", numbered(21, 25))
    log("coder", "lock", b"")
    log("coder", "state", b"not a line\n")
    assert logs(volume, "-n", "25", "coder").stdout == numbered(1, 25)
    assert logs(volume, "--lines=1000", "coder").stdout == numbered(1, 25)
    assert logs(volume, "coder").stdout == numbered(6, 25)
    for count in (1, 4, 5, 6, 14, 15, 16, 24):
        assert logs(volume, "-n", str(count), "coder").stdout == numbered(26 - count, 25), count
    assert logs(volume, "-n0", "coder").stdout == b""
    for wrong in ("-1", "x", "", "1000001"):
        assert b"--lines" in logs(volume, "-n", wrong, "coder", code=100).stderr


def test_an_unfinished_line_is_shown_and_stamps_are_what_people_read(volume, log):
    log("coder", "current", TAI + b" first\n@not a label\n2026-11-28 20:14:16.123456789  iso\n" + TAI[:20] + b"\nlast")
    read = subprocess.run(
        ["s6-tai64nlocal"], input=TAI + b"\n", capture_output=True, env={"TZ": "UTC0", "PATH": os.environ["PATH"]}, check=True
    )
    stamp = read.stdout[:19].replace(b" ", b"T") + b"+0000"
    assert logs(volume, "coder").stdout == (stamp + b" first\n@not a label\n2026-11-28 20:14:16.123456789  iso\n" + TAI[:20] + b"\nlast\n")
    assert logs(volume, "--raw", "coder").stdout.startswith(TAI + b" first\n")


def test_with_several_names_each_line_is_prefixed(volume, log):
    log("one", "current", b"a\nb\n")
    log("two", "current", b"c\n")
    assert logs(volume, "one", "two").stdout == b"one: a\none: b\ntwo: c\n"
    assert logs(volume, "one", "--", "two").stdout == b"one: a\none: b\ntwo: c\n"


def test_nothing_reaches_a_terminal_raw_unless_asked_for(volume, log):
    hostile = b'\x1b]0;x\x07\x1b[2Jred\rover\x9b2J\xe2\x80\xae caf\xc3\xa9 "q" \\ \t.\x00\xff\n'
    log("coder", "current", hostile)
    assert logs(volume, "coder").stdout == (
        b'\\u001b]0;x\\u0007\\u001b[2Jred\\rover\\ufffd2J\\u202e caf\xc3\xa9 "q" \\ \t.\\u0000\\ufffd\n'
    )
    assert logs(volume, "--raw", "coder").stdout == hostile


def test_no_file_yet_says_so(volume, log):
    volume.profile("new")
    log("coder", "current", b"x\n")
    done = logs(volume, "new", "coder", code=1)
    assert b"new has no log yet" in done.stderr and done.stdout == b"coder: x\n"
    assert b"NAME" in logs(volume, code=100).stderr
    for name in ("../coder", "Bad", ".", "a/b"):
        assert logs(volume, name, code=100).stdout == b""


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "device", "huge", "foreign"])
@pytest.mark.parametrize("file", ["current", "@400000006553f10a00000000.s"])
def test_what_is_no_log_is_not_read(volume, log, kind, file):
    directory = log("coder", "current", b"x\n")
    path = directory / file
    path.unlink(missing_ok=True)
    secret = volume.place / "secret"
    secret.write_text("secret\n")
    if kind != "foreign":
        spoil(path, kind, secret)
    else:
        # The directory itself is somebody else's, behind a symlink.
        path = directory
        directory.rename(volume.place / "aside")
        os.chown(volume.place / "aside", 0, 0)
        directory.symlink_to(volume.place / "aside")
    done = run(["sh", "-c", 'ulimit -v 65536; exec "$@"', "sh", *argv(volume, "coder")], env=APART, timeout=10)
    assert done.returncode == 1 and b"unable to " in done.stderr and b"logs/gateways/coder" in done.stderr, done
    assert b"secret" not in done.stdout


def test_what_cannot_be_looked_at_is_no_missing_log(volume, log):
    directory = log("coder", "current", b"x\n")
    (volume.home / "logs/container-boot.log").unlink(missing_ok=True)
    for call in ("newfstatat", "read", "getdents64", "openat"):
        # Each call in its turn, until there is none of this number.
        for when in range(1, 100):
            inject = [
                "strace",
                "-P",
                directory,
                "-P",
                directory / "current",
                "-o",
                volume.place / "trace",
                "-e",
                f"inject={call}:error=EIO:when={when}",
            ]
            done = run([*inject, *argv(volume, "coder")], env=APART, timeout=10)
            if b"INJECTED" not in (volume.place / "trace").read_bytes():
                break
            assert done.returncode in (1, 111) and b"I/O error" in done.stderr and b"no log yet" not in done.stderr, (call, when, done)
        assert when > 1, call


def test_hostile_numbers_and_sizes_are_bounded(volume, log):
    directory = log("coder", "current", b"end\n")
    for number in range(20):
        (directory / f"@4000000000000000{number:08x}.s").write_bytes(b"x" * (8 << 20))
    for number in range(3000):
        (directory / f"@4000000000000001{number:08x}.s").write_bytes(b"y")
    start = time.monotonic()
    done = run(["sh", "-c", 'ulimit -v 400000; exec "$@"', "sh", *argv(volume, "-n", "1000000", "coder")], env=APART, timeout=60)
    assert done.returncode == 0 and done.stdout.endswith(b"y" * 3000 + b"end\n") and len(done.stdout) < 80 << 20, done.stderr
    assert time.monotonic() - start < 30
    with Following(volume, "-n0", "coder") as following:
        with open(directory / "current", "ab") as current:
            current.write(b"z" * (200 << 10))
        following.until(b"z" * (64 << 10))


class Following:
    """`logs -f` in the background; its output is read line by line."""

    def __init__(self, volume, *arguments):
        self.child = subprocess.Popen(
            argv(volume, "-f", *arguments), env=APART, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        os.set_blocking(self.child.stdout.fileno(), False)
        self.seen = b""

    def until(self, text):
        def came():
            self.seen += self.child.stdout.read() or b""
            assert self.child.poll() is None
            return text in self.seen

        wait_for(came, what=f"{text!r} of {self.seen!r}")
        return self.seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
        self.child.stdout.close()
        self.child.wait(timeout=10)
        self.child.stderr.close()


def test_a_rotation_while_it_looks_prints_no_line_twice(volume, log):
    directory = log("coder", "current", numbered(4, 6))
    log("coder", "@400000006553f10a00000000.s", numbered(1, 3))
    # It has read `current`, and is about to list the directory.
    slow = ["strace", "-o", volume.place / "trace", "-P", directory, "-e", "inject=getdents64:delay_enter=1000000:when=1"]
    child = subprocess.Popen([*slow, *argv(volume, "coder")], env=APART, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        wait_for(lambda: (volume.place / "trace").exists() and b"getdents64(" in (volume.place / "trace").read_bytes(), what="the listing")
        (directory / "current").rename(directory / "@400000006553f10b00000000.s")
        log("coder", "current", numbered(7, 9))
        out, _ = child.communicate(timeout=20)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    assert out == numbered(1, 6)


def test_it_follows_over_a_rotation_and_loses_nothing(volume, log):
    directory = log("coder", "current", numbered(1, 3))
    with Following(volume, "-n2", "coder") as following:
        assert following.until(b"line 3\n") == numbered(2, 3)
        with open(directory / "current", "ab") as current:
            current.write(numbered(4, 5) + b"half ")
            current.flush()
            following.until(b"line 5\n")
            current.write(b"a line\n" + numbered(6, 7))
            # s6-log: written, renamed, and a new one.
            current.flush()
            (directory / "current").rename(directory / "previous")
        log("coder", "current", numbered(8, 9))
        (directory / "previous").rename(directory / "@400000006553f10b00000000.s")
        assert following.until(b"line 9\n") == numbered(2, 5) + b"half a line\n" + numbered(6, 9)


def test_it_follows_a_log_that_is_not_there_yet(volume, log):
    volume.profile("late")
    with Following(volume, "late") as following:
        log("late", "current", b"first\n")
        following.until(b"first\n")


def test_it_ends_on_a_closed_pipe_also_if_nothing_is_printed_any_more(volume, log):
    log("coder", "current", b"x\n")
    with Following(volume, "coder") as following:
        following.until(b"x\n")
        following.child.stdout.close()
        start = time.monotonic()
        assert following.child.wait(timeout=10) == 0 and time.monotonic() - start < 5
        assert following.child.stderr.read() == b""


@pytest.mark.s6
@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_real_loggers_rotations_are_read_in_order(live, uid):
    """s6-log with its smallest files."""
    live.init("stop", "coder", uid=HERMES)
    directory = "/opt/data/logs/gateways/coder"
    live.run(["s6-svc", "-dx", live.slot("coder") + "/log"])
    script = f"rm -f {directory}/lock; seq -f 'number %05g of many lines' 1000 | s6-log n20 s4096 T {directory}"
    assert live.run(["sh", "-ec", script], uid=HERMES).returncode == 0
    done = live.init("logs", "-n", "1000", "coder", uid=uid)
    lines = done.stdout.decode().splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == [f"number {number:05} of many lines" for number in range(1, 1001)]
    assert len(list(live.path(directory).glob("@*"))) >= 3
