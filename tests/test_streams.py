"""The standard streams of a gateway: with a logger, nothing of the container's goes on to it, and whatever is said is in its log."""

import os

import pytest

from support.program import HERMES, wait_for
from support.testbed import Bed, replace_script

pytestmark = pytest.mark.s6
TRACEBACK = "Traceback (most recent call last): of the gateway"
SPEAKS = f"""#!/bin/sh
echo one
echo '{TRACEBACK}' >&2
echo two
echo 'hermes-init reconcile: fatal: forged' >&2
exec sleep 100000
"""


@pytest.fixture
def idle():
    """A bed without s6-svscan, and the slot of coder."""
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        yield bed


def boot(bed, script=None, code=0):
    if script is not None:
        replace_script(bed.path("/run/bed/bin/hermes"), script)
    bed.profile("coder", "running")
    bed.init("reconcile", code=code)
    bed.rescan()


def logged(bed):
    """Returns the lines of the log of coder, without their times."""
    done = bed.init("logs", "-n1000", "coder", uid=HERMES, code=None)
    return [line.split("  ", 1)[-1] for line in done.stdout.decode().splitlines()]


def links(bed, pid):
    """Returns where the descriptors of a process lead."""
    folder = bed.path(f"/proc/{pid}/fd")
    return {int(name): os.readlink(folder / name) for name in os.listdir(folder)}


@pytest.mark.parametrize("sealed", ["0", "1"])
def test_what_a_gateway_says_on_stderr_is_in_its_log_and_nowhere_else(sealed):
    with Bed(environment={"HERMES_INIT_SEALED": sealed}) as bed:
        boot(bed, SPEAKS)
        said = ["one", TRACEBACK, "two", "hermes-init reconcile: fatal: forged"]
        wait_for(lambda: logged(bed) == said, what="the log")
        wait_for(lambda: bed.log().count(b"\n") >= len(said), what="the container's log")
        # Each line there has the name of its gateway, so it forges none of another's.
        assert [line for line in bed.log().decode().splitlines() if line.removeprefix("coder: ") in said] == [
            f"coder: {line}" for line in said
        ]
        gateway, first = links(bed, bed.pid_of(bed.slot("coder"))), links(bed, 1)
        assert gateway.keys() == {0, 1, 2} and gateway[0] == "/dev/null"
        # A pipe of its own: what it does to this one, O_NONBLOCK for example, it does to no other process but its logger.
        assert gateway[1] == gateway[2] and gateway[1].startswith("pipe:") and gateway[1] not in (first[1], first[2])


def test_what_gateway_run_says_is_in_the_log(bed):
    bed.path("/run/bed/bin/hermes").unlink()
    boot(bed, code=1)
    fatal = "hermes-init gateway-run: fatal: unable to run hermes: not found on PATH /run/bed/bin:/command:/usr/bin:/bin"
    wait_for(lambda: logged(bed) == [fatal], what="the log")
    wait_for(lambda: b"fatal" in bed.log(), what="the container's log")
    assert [line for line in bed.log().decode().splitlines() if "fatal" in line] == [f"coder: {fatal}"]
    done = bed.init("start", "--wait=2", "coder", uid=HERMES, code=1)
    assert b"(exit code 127); the end of its log:\n" in done.stderr and done.stderr.count(fatal.encode()) == 2, done


def test_a_refused_drop_is_in_the_log(bed):
    """A supervisor without the capability: the message comes before there is a hermes user."""
    boot(bed)
    bed.record("coder")
    slot = bed.slot("coder")
    replace_script(
        bed.path(slot) / "run",
        "#!/bin/sh\nexec setpriv --bounding-set=-setuid --inh-caps=-setuid /run/bed/bin/hermes-init gateway-run ./run gateway-coder\n",
    )
    bed.run(["timeout", "5", "s6-svc", "-wd", "-d", slot])
    bed.run(["timeout", "5", "s6-svc", "-u", slot])
    why = "hermes-init gateway-run: fatal: unable to drop privileges to 10000:10000: Operation not permitted"
    wait_for(lambda: logged(bed)[-1:] == [why], what="the log")
    wait_for(lambda: f"coder: {why}\n".encode() in bed.log(), what="the container's log")
    assert bed.log().count(why.encode()) == 1


def by_hand(bed, script):
    """Runs a shell script in the slot of coder, with pipes for stdout and stderr."""
    return bed.run(["timeout", "5", "sh", "-c", f"cd {bed.slot('coder')} && {script}"])


def test_a_gateway_reads_nothing_of_what_the_container_reads(idle):
    replace_script(idle.path("/run/bed/bin/hermes"), "#!/bin/sh\nread -r line || line=nothing\necho $line\necho error >&2\n")
    done = by_hand(idle, "echo secret | ./run gateway-coder")
    assert (done.stdout, done.stderr) == (b"nothing\nerror\n", b""), done


@pytest.mark.parametrize("without", ["directory", "pipe"])
def test_without_a_logger_all_stay_as_they_are(idle, without):
    replace_script(idle.path("/run/bed/bin/hermes"), "#!/bin/sh\nread -r line || line=nothing\necho $line\necho error >&2\n")
    if without == "directory":
        by_hand(idle, "mv log ../aside")
        done = by_hand(idle, "echo input | ./run gateway-coder")
        assert (done.stdout, done.stderr) == (b"input\n", b"error\n"), done
        # Not a service directory.
        by_hand(idle, "touch log")
        done = by_hand(idle, "echo input | ./run gateway-coder")
        assert (done.stdout, done.stderr) == (b"input\n", b"error\n"), done
    else:
        done = by_hand(idle, "echo input | ./run gateway-coder > /run/bed/out")
        assert (idle.path("/run/bed/out").read_bytes(), done.stderr) == (b"input\n", b"error\n"), done


def test_what_is_only_printed_says_its_errors_to_a_person(idle):
    done = by_hand(idle, "/run/bed/bin/hermes-init gateway-run --print dashboard")
    assert done.returncode == 100 and done.stdout == b"" and b"is not the service of a gateway" in done.stderr


@pytest.mark.strace
@pytest.mark.parametrize("call", ["openat", "dup2"])
def test_streams_that_cannot_be_confined_start_no_gateway(idle, call):
    where = ["-P", "/dev/null"] if call == "openat" else []
    inject = " ".join(["strace", "-o", "/dev/null", *where, "-e", f"inject={call}:error=EMFILE:when=1"])
    done = by_hand(idle, f"{inject} ./run gateway-coder")
    assert done.returncode == 111 and b"gateway-run: fatal: unable to " in done.stdout + done.stderr, done
    assert not idle.path("/run/bed/identity.coder").exists()
