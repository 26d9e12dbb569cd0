"""System calls that a seccomp filter refuses with EPERM: a refusal of a question is no answer. Whatever the program is not told, it finds
out otherwise, or says that it does not know, and fails."""

import os
import platform
import re

import pytest

from support.program import HERMES
from support.seccomp import NUMBERS, filtered
from support.testbed import Bed, static_service

pytestmark = [
    pytest.mark.root,
    pytest.mark.s6,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter has the numbers of x86-64"),
]
PROGRAM = "/run/bed/bin/hermes-init"
COMMANDS = [
    ["reconcile"],
    ["reconcile", "--dry-run"],
    ["status"],
    ["health"],
    ["fix-perms", "/run/servicedirs"],
    ["seed", "/run/servicedirs/dash"],
    ["start", "coder"],
    ["stop", "idle"],
    ["hand-over", "--dry-run", "/opt/data/profiles"],
]
# Those that refuse most are each refused alone, too.
TOGETHER = ["faccessat2", "openat2", "pidfd_open", "statx", "capget"]


def plain(output):
    """Returns what is said, without times and numbers of processes."""
    return re.sub(rb"\d{4}-\d\d-\d\dT[\d:+]+|\b\d+[smh]?\b| +", b" ", output)


def answer(done):
    return done.returncode, plain(done.stdout), plain(done.stderr)


@pytest.fixture(params=["delegated", "sealed"])
def booted(request):
    with Bed(environment={"HERMES_INIT_SEALED": str(int(request.param == "sealed"))}) as bed:
        for name, state in (("coder", "running"), ("idle", "stopped")):
            bed.profile(name, state)
        static_service(bed, "dash")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        bed.init("fix-perms", "/run/servicedirs")
        yield bed


@pytest.mark.parametrize("uid", [0, HERMES], ids=["root", "hermes"])
def test_a_refused_question_is_no_answer(booted, uid):
    bed = booted
    before = sorted(os.listdir(bed.path("/run/service"))), bed.pid_of(bed.slot("coder"))
    wrong = []
    for words in COMMANDS:
        # What it changes at first, as whose files are.
        bed.run([PROGRAM, *words], uid)
        expected = answer(bed.run([PROGRAM, *words], uid))
        for calls in [[call] for call in NUMBERS] + [TOGETHER]:
            done = bed.run(filtered(calls, [PROGRAM, *words]), uid, timeout=60)
            said = done.stdout + done.stderr
            is_said = b"Operation not permitted" in said
            # A lock that there is not is said, and stops nothing.
            is_failure = done.returncode != 0 or calls == ["flock"]
            if answer(done) != expected and not (is_said and is_failure):
                wrong.append((words, calls, done.returncode, done.stdout[-300:], done.stderr[-300:]))
            assert (sorted(os.listdir(bed.path("/run/service"))), bed.pid_of(bed.slot("coder"))) == before, (words, calls)
    assert wrong == []


def test_what_older_engines_do_not_know_changes_no_answer(booted):
    """Those of the last years, all together."""
    for words in COMMANDS:
        booted.run([PROGRAM, *words])
        expected = answer(booted.run([PROGRAM, *words]))
        assert answer(booted.run(filtered(TOGETHER, [PROGRAM, *words]))) == expected, words


@pytest.mark.parametrize("call", ["prlimit64", "getrlimit"])
def test_a_limit_that_is_not_told_is_none(booted, call):
    """rustix makes 0 of it."""
    log = booted.path("/opt/data/logs/container-boot.log")
    size = log.stat().st_size
    done = booted.run(filtered([call], [PROGRAM, "reconcile"]))
    assert done.returncode == 0 and b"File too large" not in done.stderr and log.stat().st_size > size, done


def test_a_limit_of_the_size_of_files_is_kept_all_the_same(booted):
    for argv in ([PROGRAM, "reconcile"], filtered(["prlimit64"], [PROGRAM, "reconcile"])):
        done = booted.run(["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *argv])
        assert done.returncode in (0, 1) and b"File too large" in done.stderr, done
