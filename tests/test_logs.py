"""logs: what gateways have printed, from s6-log's files, and nothing that commands a terminal."""

import fcntl
import os
import random
import re
import signal
import subprocess
import time
import unicodedata
from pathlib import Path

import pytest

from support.file_tree import spoil
from support.program import APART, HERMES, executable, run, wait_for
from support.testbed import Bed
from support.volume import Volume

pytestmark = pytest.mark.root
TAI = b"@400000006553f10b00000000"
# What an answer may cost, whatever is in a log: 24 MiB and two seconds of CPU time. Whoever needs more is killed.
BOUNDED = ["prlimit", f"--data={24 << 20}", "--cpu=2", "--"]
# s6-log begins a new file before a line makes one larger than this.
ROTATED = 1_000_000


def rotated(number, ending="s"):
    """Returns the name of a rotated file; a larger number is newer."""
    return f"@4000000065{number:014x}.{ending}"


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


def logs(volume, *arguments, code=0, before=(), environment=None):
    done = run([*before, *argv(volume, *arguments)], env=APART | {"TZ": "UTC0"} | (environment or {}), timeout=30)
    assert code is None or done.returncode == code, (done.returncode, done.stderr[-1000:])
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


@pytest.mark.strace
@pytest.mark.parametrize("zone", ["Europe/Berlin", ":/usr/share/zoneinfo/Europe/Berlin", "No/Where", ""])
def test_a_line_costs_no_system_call_and_the_zone_is_read_once(volume, log, place, zone):
    """A call a line made 330,616 of 82,560 lines. Blocks that are read and written are calls, too."""
    calls = {}
    for name, count in (("short", 1000), ("long", 21000)):
        log(name, "current", b"".join(b"@40000000%08x00000000 line\n" % (0x6553F10B + 3600 * number) for number in range(count)))
        done = logs(volume, "-n", "30000", name, before=["strace", "-o", place / "trace"], environment={"TZ": zone})
        assert done.stdout.count(b"\n") == count
        calls[name] = (place / "trace").read_text().splitlines()
        zones = [call for call in calls[name] if call.startswith("open") and ("zoneinfo" in call or "localtime" in call)]
        assert len(zones) == (3 if zone == "No/Where" else 1), zones
    assert len(calls["long"]) - len(calls["short"]) <= 20000 / 200


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
    for call in ("newfstatat", "pread64", "getdents64", "openat"):
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


class Following:
    """`logs -f` in the background; its output is read line by line."""

    def __init__(self, volume, *arguments):
        self.child = subprocess.Popen(
            argv(volume, "-f", *arguments), env=APART, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        os.set_blocking(self.child.stdout.fileno(), False)
        fcntl.fcntl(self.child.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.seen = b""

    def until(self, text):
        def came():
            # The text may have begun in what was read before.
            start = max(0, len(self.seen) - len(text))
            self.seen += self.child.stdout.read() or b""
            assert self.child.poll() is None
            return text in self.seen[start:]

        if text in self.seen:
            return self.seen
        try:
            wait_for(came, 30, what="what is followed")
        except AssertionError as failed:
            raise AssertionError(f"{text!r} has not come after {len(self.seen)} bytes: ...{self.seen[-100:]!r}") from failed
        return self.seen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
        self.child.stdout.close()
        self.child.wait(timeout=10)
        self.child.stderr.close()


def honest(log, name, files=10):
    """Writes a log as large as the loggers keep one. Returns its text."""
    text = b""
    for number in range(files + 1):
        lines = b"".join(b"2026-11-28 20:14:16.123456789  %02d %05d a line of a gateway\n" % (number, line) for line in range(20_000))
        part = lines[: lines.rindex(b"\n", 0, ROTATED) + 1]
        log(name, rotated(number) if number < files else "current", part)
        text += part
    return text


def test_a_log_as_large_as_the_loggers_keep_it_is_printed_whole(volume, log):
    text = honest(log, "coder")
    assert len(text) > 10_900_000
    for arguments in (["coder"], ["--raw", "coder"]):
        done = logs(volume, "-n", "1000000", *arguments, before=BOUNDED)
        assert done.stdout == text and done.stderr == b""
    lines = text.splitlines(keepends=True)
    assert logs(volume, "-n", "100000", "coder", before=BOUNDED).stdout == b"".join(lines[-100_000:])
    # The longest lines that s6-log makes, and many of them.
    long = b"".join(b"2026-11-28 20:14:16.123456789  " + b"%08d" % number * 1024 + b"\n" for number in range(110))
    log("long", "current", long)
    assert logs(volume, "long").stdout == b"".join(long.splitlines(keepends=True)[-20:])


def holes(log, name):
    for number in range(12):
        path = log(name, rotated(number), b"") / rotated(number)
        os.truncate(path, 16 << 20)
    os.truncate(log(name, "current", b"") / "current", 16 << 20)


def terabyte(log, name):
    os.truncate(log(name, "current", b"") / "current", 1 << 40)


def data(log, name):
    """Megabytes of what is escaped, in a few long lines."""
    for number in range(12):
        log(name, rotated(number), b"\xff" * (4 << 20) + b"\n" + random.randbytes(1 << 20))
    log(name, "current", b"\x01" * (15 << 20))


def newlines(log, name):
    for number in range(12):
        log(name, rotated(number), b"\n" * ROTATED)
    log(name, "current", TAI + b"\n" + b"\n" * (15 << 20))


def stamps(log, name):
    log(name, "current", b"".join(b"@%024x\n" % ((0x400000006553F10B << 32) + (number << 32)) for number in range(400_000)))


def names(log, name):
    directory = log(name, "current", b"x\n")
    for number in range(30_000):
        os.close(os.open(directory / rotated(number), os.O_CREAT | os.O_WRONLY))


HOSTILE = {"holes": holes, "terabyte": terabyte, "data": data, "newlines": newlines, "stamps": stamps, "names": names}
LARGEST = 11 * (ROTATED + (64 << 10))


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_is_in_a_log_costs_little(volume, log, kind):
    HOSTILE[kind](log, "x" * 200)
    HOSTILE[kind](log, "coder")
    for arguments in (["-n0"], [], ["-n1000000"], ["-n1000000", "--raw"]):
        for which in (["coder"], ["x" * 200, "coder"]):
            done = logs(volume, *arguments, *which, code=None, before=BOUNDED, environment={"TZ": "Europe/Berlin"})
            said = done.stderr.splitlines()
            if kind in ("newlines", "stamps"):
                assert done.returncode == 0 and not said, (arguments, said)
            elif arguments != ["-n0"]:
                assert done.returncode == 1 and len(said) == len(which), (arguments, done.returncode, said)
            assert all(re.search(rb"warning: unable to read all of .*: only its ", line) for line in said), said
            # An escape is six bytes, and a name is put before each line.
            assert len(done.stdout) <= len(which) * 6 * LARGEST + 1_000_000 * 210


def test_what_is_not_read_of_a_log_is_said(volume, log):
    text = honest(log, "coder", files=11)
    done = logs(volume, "-n", "1000000", "coder", code=1, before=BOUNDED)
    assert done.stderr == b"hermes-init logs: warning: unable to read all of logs/gateways/coder: only its last 11720896 bytes are read\n"
    assert done.stdout == text[-11_720_896:]
    # The last lines are there, and nobody need know of the rest.
    assert logs(volume, "coder").stderr == b""
    for number in range(40):
        log("files", rotated(number), b"%d\n" % number)
    log("files", "current", b"end\n")
    done = logs(volume, "-n", "100", "files", code=1)
    assert done.stderr.endswith(b"logs/gateways/files: only its 32 newest rotated files are read\n")
    assert done.stdout == b"".join(b"%d\n" % number for number in range(8, 40)) + b"end\n"
    assert logs(volume, "-n", "33", "files").stdout == done.stdout
    # A line that s6-log cannot have made is printed in pieces.
    log("line", "current", b"before\n" + b"x" * (150 << 10) + b"\nafter\n")
    piece = b"x" * (64 << 10)
    assert logs(volume, "line").stdout == b"before\n" + piece + b"\n" + piece + b"\n" + b"x" * (22 << 10) + b"\nafter\n"
    done = logs(volume, "-n1", "line")
    assert done.stdout == b"after\n"
    done = logs(volume, "-n2", "line", code=None)
    assert done.returncode == 0 and done.stdout.count(b"x") == 150 << 10


def test_only_what_s6_log_names_is_a_rotated_file(volume, log):
    log("coder", "current", b"now\n")
    log("coder", rotated(1, "u"), b"unfinished\n")
    log("coder", rotated(2), b"rotated\n")
    log("coder", "previous", b"being rotated\n")
    for name in ("@x", "@4000000065.s", rotated(3, "t"), rotated(3).upper().replace(".S", ""), "state", "lock", ".hidden", "0"):
        log("coder", name, b"no log\n")
    assert logs(volume, "coder").stdout == b"unfinished\nrotated\nbeing rotated\nnow\n"


def test_what_is_newer_than_a_file_that_cannot_be_read_is_printed(volume, log):
    directory = log("coder", "current", b"now\n")
    log("coder", rotated(1), b"oldest\n")
    (directory / rotated(2)).mkdir()
    log("coder", rotated(3), b"newer\n")
    done = logs(volume, "coder", code=1)
    assert done.stdout == b"newer\nnow\n"
    assert done.stderr.endswith(b"logs/gateways/coder/%s: not a regular file\n" % rotated(2).encode())
    assert logs(volume, "-n1", "coder").stdout == b"now\n"


def cost(pid):
    """Returns the peak memory of a process in bytes, and its CPU time in seconds."""
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) << 10
    ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return peak, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def test_following_costs_little_whatever_a_log_becomes(volume, log):
    directory = log("coder", "current", b"first\n")
    with Following(volume, "--raw", "coder") as following:
        following.until(b"first\n")
        os.truncate(directory / "current", 1 << 40)
        with open(directory / "current", "ab") as current:
            current.write(b"\nsecond\n")
        following.until(b"\nsecond\n")
        # Rotated more often than it looks.
        for number in range(40):
            (directory / "current").rename(directory / rotated(number))
            os.truncate(log("coder", "current", b"") / "current", 64 << 20)
        log("coder", "next", b"third\n")
        (directory / "next").rename(directory / "current")
        seen = following.until(b"\nthird\n")
        peak, seconds = cost(following.child.pid)
        assert peak < 24 << 20 and seconds < 2, (peak, seconds)
        assert len(seen) < 10 * LARGEST
        following.child.stdout.close()
        following.child.wait(timeout=10)
        said = following.child.stderr.read()
        assert b"unable to read all of logs/gateways/coder: only the last " in said and said.count(b"\n") < 10, said


def test_a_long_line_is_followed_before_its_end(volume, log):
    directory = log("coder", "current", b"end\n")
    for arguments in (["-n1"], ["-n0"]):
        with Following(volume, *arguments, "coder") as following:
            if arguments == ["-n1"]:
                following.until(b"end\n")
            # Else it may not have opened the file yet.
            with open(directory / "current", "ab") as current:
                current.write(b"z" * (200 << 10))
            following.until(b"z" * (64 << 10))


def test_rotations_while_it_looks_bring_no_line_before_its_time(volume, log):
    directory = log("coder", "current", numbered(4, 6))
    log("coder", rotated(1), numbered(1, 3))
    # It has opened `current`, and is about to list the directory.
    slow = ["strace", "-o", volume.place / "trace", "-P", directory, "-e", "inject=getdents64:delay_enter=1000000:when=1"]
    child = subprocess.Popen([*slow, *argv(volume, "coder")], env=APART, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        wait_for(lambda: (volume.place / "trace").exists() and b"getdents64(" in (volume.place / "trace").read_bytes(), what="the listing")
        (directory / "current").rename(directory / rotated(2))
        log("coder", rotated(3), numbered(7, 9))
        log("coder", "current", numbered(10, 12))
        out, _ = child.communicate(timeout=20)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    assert out == numbered(1, 6)


def test_it_follows_over_several_rotations_at_once_and_loses_nothing(volume, log):
    directory = log("coder", "current", numbered(1, 3))
    with Following(volume, "coder") as following:
        following.until(b"line 3\n")
        following.child.send_signal(signal.SIGSTOP)
        for number in range(3):
            with open(directory / "current", "ab") as current:
                current.write(numbered(10 * number + 4, 10 * number + 13))
            (directory / "current").rename(directory / rotated(number))
            log("coder", "current", b"")
        log("coder", "next", numbered(34, 35))
        (directory / "next").rename(directory / "current")
        following.child.send_signal(signal.SIGCONT)
        assert following.until(b"line 35\n") == numbered(1, 35)


def test_no_character_that_nobody_sees_reaches_a_terminal(volume, log):
    """Against the categories of the Python that runs the tests. One that its Unicode has and the program's table has not fails here."""
    version = unicodedata.unidata_version
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and code != 0xA]
    category = {character: unicodedata.category(character) for character in characters}
    must = {character for character in characters if category[character] in ("Cc", "Cf", "Zl", "Zp")} - {"\t"}
    # Default_Ignorable_Code_Point beyond the category Cf, from DerivedCoreProperties.txt: Python does not have it.
    ignored = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2065, 0x3164, *range(0xFE00, 0xFE10), 0xFFA0}
    ignored |= {*range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)}
    # Format characters of Unicode 15.0, which an older one does not know.
    newer = set(range(0x13439, 0x13440))
    seen = []
    for part in (characters[:500_000], characters[500_000:]):
        log("coder", "current", "".join(f"x{character}y\n" for character in part).encode())
        seen += logs(volume, "-n", "1000000", "coder").stdout.decode().split("\n")[:-1]
    escaped = {character for character, line in zip(characters, seen, strict=True) if line != f"x{character}y"}
    assert not {hex(ord(character)) for character in must - escaped}, f"Unicode {version}"
    others = {ord(character) for character in escaped - must}
    assert others - ignored <= newer and ignored - others <= set(map(ord, must)), f"Unicode {version}"
    assert "\u061c" in escaped and seen[characters.index("\u061c")] == r"x\u061cy" and "\U000e0041" in escaped
    # Scripts and emoji that need joiners and selectors have them.
    for text in (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937",
        "\U0001f469\u200d\U0001f4bb",
        "\u2764\ufe0f",
    ):
        log("coder", "current", f"{text} er\u200dror\n".encode())
        assert logs(volume, "coder").stdout.decode() == f"{text} er\\u200dror\n"


@pytest.mark.s6
@pytest.mark.parametrize("command", ["start", "restart"])
def test_a_failed_starts_last_lines_cost_little(live, command):
    if command == "start":
        live.init("stop", "coder", uid=HERMES)
    live.tell("coder", "exit 78")
    directory = live.path("/opt/data/logs/gateways/coder")
    for path in [directory / "current", *(directory / rotated(number) for number in range(12))]:
        path.touch()
        os.truncate(path, 64 << 20)
        os.chown(path, HERMES, HERMES)
    limits = [*BOUNDED[:-1], "/run/bed/bin/hermes-init"]
    done = live.run([*limits, command, "--wait=2", "coder"], uid=HERMES)
    assert done.returncode == 1 and b"; the end of its log:\n  " + rb"\u0000" in done.stderr, (done.returncode, done.stderr[-1000:])
    assert b"...\n  " in done.stderr
    assert done.stderr.endswith(b"\n  (unable to read all of logs/gateways/coder: only its last 458752 bytes are read)\n")
    assert len(done.stderr) < 64 << 10


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


# What keeps a logger from its directory, whether it is renewed then, why it keeps no log, and what mends it; {0} is the directory.
LAPSES = {
    "deleted": ("rm -rf {0}", False, "{0} does not exist", "has lost its directory", "true"),
    "deleted and made anew": ("rm -rf {0}; mkdir {0}; chown 10000 {0}", False, "{0} has no file current", "has lost its directory", "true"),
    "not writable": ("rm -rf {0}; mkdir {0}", True, "{0} has no file current", "could not use its directory", "chown 10000 {0}"),
    "read-only": (
        "rm -rf {0}; mkdir {0}; chown 10000 {0}; mount --bind {0} {0}; mount -o remount,bind,ro {0}",
        True,
        "{0} has no file current",
        "could not use its directory",
        "umount {0}",
    ),
    "not to be locked": (
        "rm -rf {0}; mkdir -p {0}/lock/x; chown -R 10000 {0}",
        True,
        "{0} has no file current",
        "could not use its directory",
        "rm -r {0}/lock",
    ),
}


@pytest.mark.s6
@pytest.mark.parametrize("uid", [0, HERMES])
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("how", LAPSES)
def test_the_log_of_a_gateway_that_is_up_is_not_there_and_restart_brings_it_back(how, sealed, uid):
    script, is_renewed, what, why, mend = LAPSES[how]
    directory = "/opt/data/logs/gateways/coder"
    program = "/run/bed/bin/hermes-init"
    lapse = (
        f"what its gateway prints is in the container's log only, because its logger {why}; when it can be used: {program} restart coder\n"
    )
    with Bed(environment={"HERMES_INIT_SEALED": "1"} if sealed else None) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.record("coder")
        wait_for(lambda: b"started coder" in bed.init("logs", "coder").stdout, what="the line")
        assert bed.run(["sh", "-ec", script.format(directory)]).returncode == 0
        log = f"{bed.slot('coder')}/log"
        if is_renewed:
            pid = bed.pid_of(log)
            bed.run(["s6-svc", "-h", log])
            wait_for(lambda: bed.pid_of(log) not in (-1, pid) and b"container's log only" in bed.log(), what="the logger")
            # It names what helps.
            assert f"container's log only; when the log can be used: {program} restart coder\n".encode() in bed.log()
            cmdline = bed.path(f"/proc/{bed.pid_of(log)}/cmdline")
            wait_for(lambda: b"s6-log" in cmdline.read_bytes(), what="s6-log")
        start = f"hermes-init logs: warning: coder has no log, although its gateway is up: {what.format(directory)}; "
        done = bed.init("logs", "coder", uid=uid, code=1)
        assert (done.stdout, done.stderr.decode()) == (b"", start + lapse)
        # As long as it cannot be used, a restart changes nothing, and loses nothing.
        bed.tell("coder", "chatty")
        if is_renewed:
            bed.init("restart", "--wait", "coder", uid=uid)
            wait_for(lambda: b"coder: the last line\n" in bed.log(), what="the last line")
            assert bed.init("logs", "coder", uid=uid, code=1).stderr.decode() == start + lapse
        bed.run(["sh", "-ec", mend.format(directory)])
        bed.init("restart", "--wait", "coder", uid=uid)
        wait_for(lambda: bed.init("logs", "coder", uid=uid, code=None).stdout.endswith(b"the last line\n"), what="the last line")
        done = bed.init("logs", "-n", "10000", "coder", uid=uid)
        assert done.stderr == b"" and len(done.stdout.splitlines()) == 2002
        # One that keeps a log is left alone.
        pid = bed.pid_of(log)
        bed.init("restart", "--wait", "coder", uid=uid)
        assert bed.pid_of(log) == pid


@pytest.mark.s6
def test_a_log_to_which_nothing_is_added_says_so(live):
    wait_for(lambda: b"started coder" in live.init("logs", "coder").stdout, what="the line")
    directory, log = "/opt/data/logs/gateways/coder", f"{live.slot('coder')}/log"
    live.run(["sh", "-ec", f"mkdir {directory}/x; rm -f {directory}/lock; mkdir -p {directory}/lock/x; s6-svc -h {log}"])
    wait_for(lambda: b"container's log only" in live.log(), what="the logger")
    start = (
        "hermes-init logs: warning: coder has no newer lines: what its gateway prints is in the container's log only, because its logger "
    )
    for uid in (0, HERMES):
        done = wait_for(lambda uid=uid: (done := live.init("logs", "coder", uid=uid, code=None)).stderr and done, what="the warning")
        assert done.returncode == 1 and b"started coder" in done.stdout and done.stderr.decode().startswith(start)


@pytest.mark.s6
@pytest.mark.parametrize("uid", [0, HERMES])
def test_of_a_log_that_is_not_there_is_said_what_is_known_of_its_gateway(live, uid):
    wait_for(live.path("/opt/data/logs/gateways/coder/current").exists, what="the log")
    live.profile("new", "stopped")
    place = "/opt/data/logs/gateways"
    assert said_of(live, "new", uid) == "new has no log yet: its gateway has not been started"
    live.init("stop", "coder")
    live.run(["rm", "-rf", f"{place}/coder"])
    assert said_of(live, "coder", uid) == (
        f"coder has no log, although its gateway, which is down, has been started: {place}/coder does not exist"
    )
    front = {"HERMES_INIT_ROLE": "frontend"}
    assert said_of(live, "new", uid, front) == (
        f"new has no log: {place}/new does not exist, and whether its gateway runs is not known here: the role is frontend (environment)"
    )
    status = live.path(live.slot("coder")) / "supervise/status"
    status.write_bytes(b"x")
    assert said_of(live, "coder", uid).startswith(
        f"coder has no log: {place}/coder does not exist, and whether its gateway runs is not known: unable to parse supervise/status: "
    )


def said_of(bed, name, uid, environment=None):
    done = bed.init("logs", name, uid=uid, environment=environment, code=1)
    return done.stderr.decode().removeprefix("hermes-init logs: warning: ").removesuffix("\n")
