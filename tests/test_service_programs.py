"""The programs of services through the executable: what `finish` answers, how `gateway-run` fails and is tried again, its pauses, and
the exit codes 126 and 127 of a program that cannot be executed or is not there."""

import re
import shutil
import struct
import time
from pathlib import Path

import pytest

from support.forged_state import EPOCH
from support.program import APART, executable, run, wait_for
from support.testbed import Bed

# What is printed; `{}` are the parts that differ.
MISSING = "gateway-run: fatal: unable to run hermes: not found on PATH {}\n"
NO_EXEC = "gateway-run: fatal: unable to run {}: {}\n"
NO_HOME = "gateway-run: fatal: unable to change to {}: {}\n"
NO_ENV = "gateway-run: fatal: unable to open env: Permission denied\n"
NO_RUN = "gateway-run: fatal: unable to read run: Permission denied\n"
PAUSE = "hermes-init gateway-run: warning: coder keeps dying: it starts again {} seconds after its last death\n"

KEPT_DOWN, STARTED_AGAIN = 125, 0


def finish(command, *words, **environment):
    return run([executable(), command, *words], env={"PATH": "/usr/bin:/bin"} | environment)


# s6-supervise passes the exit code (256 after a signal), the signal, the name and the process group; a `#!` line adds the script first.
@pytest.mark.parametrize(
    "words, answer",
    [
        ([], STARTED_AGAIN),
        (["./finish"], STARTED_AGAIN),
        ([""], STARTED_AGAIN),
        (["x"], STARTED_AGAIN),
        (["./finish", "x"], STARTED_AGAIN),
        (["0"], KEPT_DOWN),
        (["78"], KEPT_DOWN),
        (["./finish", "0"], KEPT_DOWN),
        (["./finish", "78"], KEPT_DOWN),
        (["1"], STARTED_AGAIN),
        (["./finish", "1"], STARTED_AGAIN),
        (["./finish", "1", "0", "gateway-coder", "42"], STARTED_AGAIN),
        (["780"], STARTED_AGAIN),
        (["./finish", "780", "0", "gateway-coder"], STARTED_AGAIN),
        (["./finish", "7", "8"], STARTED_AGAIN),
        (["256", "15"], STARTED_AGAIN),
        (["./finish", "256", "15", "gateway-coder", "42"], STARTED_AGAIN),
        (["./finish", "256", "0"], STARTED_AGAIN),
        (["./finish", "256", "9", "0", "78"], STARTED_AGAIN),
        (["./finish", "x", "0", "78"], STARTED_AGAIN),
        (["-1"], STARTED_AGAIN),
        (["./finish", "0", "0", "gateway-coder", "42"], KEPT_DOWN),
        (["./finish", "78", "0", "gateway-coder", "42"], KEPT_DOWN),
        (["./finish", "111", "0", "gateway-coder"], KEPT_DOWN),
        (["./finish", "126", "0", "gateway-coder"], KEPT_DOWN),
        (["./finish", "127", "0", "gateway-coder"], KEPT_DOWN),
        (["./finish", "112", "0", "gateway-coder"], STARTED_AGAIN),
        (["./finish", "100", "0", "gateway-coder"], STARTED_AGAIN),
        (["./finish", "125", "0", "gateway-coder"], STARTED_AGAIN),
        (["./finish", "128", "0", "gateway-coder"], STARTED_AGAIN),
        (["./finish", "18446744073709551616", "0"], STARTED_AGAIN),
    ],
)
def test_gateway_finish_keeps_down_what_ended_as_intended_or_would_fail_again(words, answer):
    done = finish("gateway-finish", *words)
    assert (done.returncode, done.stdout, done.stderr) == (answer, b"", b"")


@pytest.mark.parametrize(
    "words, answer",
    [
        (["./finish", "0", "0", "dashboard"], STARTED_AGAIN),
        (["0"], STARTED_AGAIN),
        (["./finish", "256", "15", "dashboard"], STARTED_AGAIN),
        (["780"], STARTED_AGAIN),
        (["78"], KEPT_DOWN),
        (["./finish", "111"], KEPT_DOWN),
    ],
)
def test_dashboard_finish_starts_again_what_ended_as_intended(words, answer):
    """A dashboard that is on never ends by itself as intended; one that is off stays down after any end."""
    assert finish("dashboard-finish", *words, HERMES_DASHBOARD="1").returncode == answer
    assert finish("dashboard-finish", *words).returncode == KEPT_DOWN


@pytest.mark.parametrize("command", ["gateway-finish", "dashboard-finish"])
def test_finish_takes_help_as_its_only_option(command):
    done = finish(command, "--help")
    assert (done.returncode, done.stdout) == (0, run([executable(), "help", command], env=APART).stdout)
    # Anywhere else it is an argument of s6-supervise.
    assert finish(command, "0", "--help").stdout == b""


# What a directory has, and what it lacks of a service directory.
ELSEWHERE = {
    "root": (None, "program run"),
    "empty": ([], "program run"),
    "run is a directory": (["run/", "supervise/"], "program run"),
    "no supervise": (["run"], "directory supervise"),
    "supervise is a file": (["run", "supervise"], "directory supervise"),
}


@pytest.mark.parametrize("command, service", [("gateway-run", "gateway-coder"), ("gateway-log", "gateway-coder/log")])
@pytest.mark.parametrize("what", ELSEWHERE)
def test_called_by_hand_outside_a_service_directory_it_ends_at_once_and_says_what_is_missing(place, what, command, service):
    entries, lack = ELSEWHERE[what]
    for entry in entries or ():
        (place / entry).mkdir() if entry.endswith("/") else (place / entry).touch()
    here = "/" if entries is None else place
    # With a service's name as a person writes it, and as s6-supervise does.
    for words in ([service], ["./run", service]):
        done = run([executable(), command, *words], env=APART, cwd=here, timeout=10)
        why = f"not in a service directory: {here} has no {lack}; s6-supervise starts this command"
        what = f"{executable()} {command} --print {service} prints what it executes"
        assert (done.returncode, done.stdout, said(done)) == (100, b"", f"hermes-init {command}: fatal: {why}, and {what}\n")
    # That command works there.
    assert run([executable(), command, "--print", service], env=APART, cwd=here).returncode == 0


def start(bed):
    bed.profile("coder", "running")
    bed.init("reconcile", code=None)


def gateway_run(bed, *before, path=None):
    """Runs coder's `run` as s6-supervise does."""
    environment = {} if path is None else {"PATH": path}
    return bed.run(
        ["sh", "-c", 'cd /run/service/gateway-coder && exec "$@"', "sh", *before, "./run", "gateway-coder"], environment=environment
    )


def said(done):
    return done.stderr.decode()


def logged(done):
    """Returns what the logger of a slot gets: nothing is said elsewhere."""
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.fixture
def idle():
    """A bed without s6-svscan, and the slot of coder."""
    with Bed(svscan=False) as bed:
        start(bed)
        yield bed


def put_hermes(bed, content, mode=0o755):
    path = bed.path("/run/bed/bin/hermes")
    path.unlink(missing_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


# What is in the file of a program that is there, with which code it ends, and why.
UNUSABLE = {
    "text": ("not a program\n", 126, "it is neither an executable nor a script with a #! line"),
    "empty": ("", 126, "it is empty"),
    "no interpreter": ("#!\n/bin/sh\n", 126, "its #! line names no interpreter"),
    "byte order mark": ("\ufeff#!/bin/sh\n", 126, "a byte order mark is before its #! line"),
    "another machine": (
        b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xb7\0" + bytes(100),
        126,
        "it is an executable for another kind of machine",
    ),
    "a directory": (
        "#!/run/bed/bin\n",
        126,
        "the interpreter of its #! line is /run/bed/bin, which cannot be executed: not a regular file",
    ),
    "not executable": (
        "#!/etc/passwd\n",
        126,
        "the interpreter of its #! line is /etc/passwd, which cannot be executed: Permission denied",
    ),
    "missing": ("#!/nowhere/sh -e\n", 127, "the interpreter of its #! line is /nowhere/sh, which does not exist"),
    "relative": ("#!python\n", 127, "the interpreter of its #! line is python, which does not exist"),
    "CRLF": (
        "#!/bin/sh\r\necho x\r\n",
        127,
        'its #! line ends with CRLF instead of LF, so its interpreter is "/bin/sh\\r", which does not exist',
    ),
    # As of a virtual environment whose Python is gone.
    "dangling": (
        "#!/run/bed/python\n",
        127,
        "the interpreter of its #! line is /run/bed/python, a symlink to something that does not exist",
    ),
    "second step": (
        "#!/run/bed/script\n",
        127,
        (
            "the interpreter of its #! line is /run/bed/script, which cannot be executed: "
            'its #! line ends with CRLF instead of LF, so its interpreter is "/bin/sh\\r", which does not exist'
        ),
    ),
}


def put_interpreters(bed):
    bed.path("/run/bed/python").symlink_to("/usr/bin/python3.0")
    bed.path("/run/bed/script").write_bytes(b"#!/bin/sh\r\n")
    bed.path("/run/bed/script").chmod(0o755)


@pytest.mark.s6
@pytest.mark.parametrize("what", UNUSABLE)
def test_a_program_that_cannot_be_executed_is_126_and_an_interpreter_that_is_missing_127(idle, what):
    content, code, why = UNUSABLE[what]
    put_interpreters(idle)
    put_hermes(idle, content)
    done = gateway_run(idle)
    assert done.returncode == code and logged(done).endswith(NO_EXEC.format("/run/bed/bin/hermes", why)), done


@pytest.mark.s6
def test_a_loader_that_is_missing_is_named(idle):
    """An executable for another C library."""
    program = idle.path("/run/bed/bin/hermes")
    content = Path(shutil.which("true")).resolve().read_bytes()
    loader = re.search(rb"/lib[\w./-]*/ld-[\w.-]*\.so\.\d", content)[0]
    program.unlink()
    program.write_bytes(content.replace(loader, loader.replace(b"ld-", b"no-"), 1))
    program.chmod(0o755)
    done = gateway_run(idle)
    missing = loader.replace(b"ld-", b"no-").decode()
    why = f"its loader is {missing}, which does not exist"
    assert done.returncode == 127 and logged(done).endswith(NO_EXEC.format("/run/bed/bin/hermes", why)), done


@pytest.mark.s6
@pytest.mark.parametrize("what", UNUSABLE)
def test_a_program_that_only_its_user_can_read_keeps_what_is_in_it(idle, what):
    """What a program has in it is read as the user who executes it: of one that he may execute and not read, nothing is told."""
    content, code, _why = UNUSABLE[what]
    put_interpreters(idle)
    put_hermes(idle, content, 0o711)
    done = gateway_run(idle)
    text = {"a directory": "Permission denied", "not executable": "Permission denied"}.get(what)
    text = text or ("Exec format error" if code == 126 else "No such file or directory")
    assert done.returncode == code and logged(done).endswith(NO_EXEC.format("/run/bed/bin/hermes", text)), done


@pytest.mark.s6
@pytest.mark.parametrize("program, words", [("s6-log", ["gateway-log", "gateway-coder/log"]), ("hermes", ["dashboard-run", "dashboard"])])
@pytest.mark.parametrize("what", ["missing", "CRLF", "text"])
def test_why_a_logger_or_a_dashboard_cannot_be_executed_is_said(idle, program, words, what):
    content, code, why = UNUSABLE[what]
    (idle.path("/run/s6/container_environment") / "HERMES_DASHBOARD").write_text("1")
    (idle.path("/run/s6/container_environment") / "PATH").write_text("/run/own")
    idle.path("/run/own").mkdir(mode=0o755)
    (idle.path("/run/own") / program).write_text(content, newline="")
    (idle.path("/run/own") / program).chmod(0o755)
    # A logger waits for a minute before it ends.
    script = 'cd /run/service/gateway-coder/log; [ ! -d /command ] || mount -t tmpfs tmpfs /command; exec timeout 2 "$@"'
    done = idle.run(["sh", "-c", script, "sh", "/run/bed/bin/hermes-init", *words])
    assert done.returncode == (124 if program == "s6-log" else code), done
    assert f"{words[0]}: fatal: unable to run /run/own/{program}: {why}\n" in said(done), done


# Failures that pass: how they come about, and what is said.
PASSING = {
    # RLIMIT_NPROC counts the processes of the hermes user, and is checked by execve(2).
    "processes": (["prlimit", "--nproc=0"], "unable to run /run/bed/bin/hermes: Resource temporarily unavailable"),
    "written": ([], "unable to run /run/bed/bin/hermes: Text file busy"),
}


@pytest.mark.s6
@pytest.mark.parametrize("what", PASSING)
@pytest.mark.parametrize("service", ["gateway", "dashboard"])
def test_a_failure_that_may_pass_is_tried_again(idle, what, service):
    before, why = PASSING[what]
    (idle.path("/run/s6/container_environment") / "HERMES_DASHBOARD").write_text("1")
    # What the hermes user has running counts.
    idle.run(["sh", "-c", "setpriv --reuid 10000 --clear-groups sleep 1000 > /dev/null 2>&1 &"])
    if what == "written":
        # hermes-init passes no descriptor on: somebody else writes.
        idle.run(["sh", "-c", "exec 9>>/run/bed/bin/hermes; sleep 1000 > /dev/null 2>&1 &"])
    if service == "gateway":
        done = gateway_run(idle, *before)
        text = logged(done)
    else:
        done = idle.run([*before, "/run/bed/bin/hermes-init", "dashboard-run", "dashboard"])
        text = said(done)
    assert done.returncode == 1 and text.endswith(f"{service}-run: fatal: {why}\n"), done
    words = ["./finish", str(done.returncode), "0", service]
    assert finish(f"{service}-finish", *words, HERMES_DASHBOARD="1").returncode == STARTED_AGAIN


@pytest.mark.s6
def test_a_gateway_that_was_hindered_for_a_while_comes_up_by_itself(bed):
    """An update writes the program, and the gateway starts meanwhile."""
    bed.run(["sh", "-c", "exec 9>>/run/bed/bin/hermes; sleep 1000 > /dev/null 2>&1 & echo $! > /run/writer"])
    bed.profile("coder", "running")
    bed.init("reconcile")
    bed.rescan()
    wait_for(lambda: bed.log().count(b"unable to run /run/bed/bin/hermes: Text file busy") >= 2, what="two starts")
    bed.run(["sh", "-c", "kill $(cat /run/writer)"])
    assert bed.record("coder")


@pytest.mark.s6
def test_a_program_that_the_hermes_user_may_not_execute_is_not_found(idle):
    put_hermes(idle, "#!/bin/sh\n", 0o700)
    done = gateway_run(idle)
    assert done.returncode == 127 and logged(done).endswith(MISSING.format("/run/bed/bin:/command:/usr/bin:/bin")), done


@pytest.mark.s6
def test_a_working_directory_that_is_missing_is_111(idle):
    (idle.folder / "passwd").write_bytes(b"root:x:0:0:root:/root:/bin/sh\nhermes:x:10000:10000:Hermes:/opt/nowhere:/bin/sh\n")
    done = gateway_run(idle)
    assert done.returncode == 111 and logged(done).endswith(NO_HOME.format("/opt/nowhere", "No such file or directory")), done


@pytest.mark.s6
@pytest.mark.strace
@pytest.mark.parametrize("program, words", [("s6-log", ["gateway-log", "gateway-coder/log"]), ("hermes", ["dashboard-run", "dashboard"])])
def test_a_logger_and_a_dashboard_that_are_missing_are_127(idle, program, words):
    """The minute that a logger waits before it ends takes no time here."""
    (idle.path("/run/s6/container_environment") / "HERMES_DASHBOARD").write_text("1")
    (idle.path("/run/s6/container_environment") / "PATH").write_text("/run/empty")
    argv = [
        shutil.which("strace"),
        "-o",
        "/dev/null",
        "-e",
        "inject=nanosleep,clock_nanosleep:retval=0",
        "/usr/bin/env",
        "PATH=/run/empty",
        "/run/bed/bin/hermes-init",
        *words,
    ]
    # s6's programs are looked for in /command first.
    done = idle.run(
        ["sh", "-c", 'cd /run/service/gateway-coder/log; [ ! -d /command ] || mount -t tmpfs tmpfs /command; exec "$@"', "sh", *argv]
    )
    expected = f"{words[0]}: fatal: unable to run {program}: not found on PATH /run/empty\n"
    if program == "s6-log":
        expected += "hermes-init gateway-log: info: waiting for 60 seconds before exiting, because s6 starts a logger again at once\n"
    assert done.returncode == 127 and said(done).endswith(expected), done


# Before it becomes the hermes user nothing of the slot is opened, so what he may not open is closed to it.
CLOSED = {
    "env": ("mkdir env && chmod 0700 env && chown 0:0 env", "chmod 0755 env", NO_ENV),
    "run": ("chown 0:0 run && chmod 0711 run", "chmod 0755 run", NO_RUN),
}


@pytest.mark.s6
@pytest.mark.parametrize("what", CLOSED)
def test_a_slot_that_cannot_be_read_is_1(idle, what):
    close, open_again, why = CLOSED[what]
    assert idle.run(["sh", "-ec", f"cd {idle.slot('coder')}; {close}"]).returncode == 0
    # A script of mode 0711 is executed by its `#!` line as root, whose permissions it loses then.
    done = gateway_run(idle)
    assert done.returncode == 1 and logged(done).endswith(why), done
    assert not idle.path("/run/bed/identity.coder").exists()
    assert idle.run(["sh", "-ec", f"cd {idle.slot('coder')}; {open_again}"]).returncode == 0
    idle.run(["timeout", "2", "sh", "-c", "cd /run/service/gateway-coder && exec ./run gateway-coder"])
    assert idle.record("coder")


@pytest.mark.s6
def test_variables_that_cannot_be_opened_are_tried_again_until_they_can(bed):
    start(bed)
    close, open_again, _ = CLOSED["env"]
    assert bed.run(["sh", "-ec", f"cd {bed.slot('coder')}; {close}"]).returncode == 0
    bed.rescan()
    wait_for(lambda: bed.log().decode().count(NO_ENV) >= 2, what="a second try")
    assert not bed.path("/run/bed/identity.coder").exists()
    assert bed.run(["sh", "-ec", f"cd {bed.slot('coder')}; echo value > env/KEY; {open_again}"]).returncode == 0
    assert bed.record("coder", seconds=20)[2][b"KEY"] == b"value"


@pytest.mark.s6
@pytest.mark.parametrize("code, content", [(126, "not a program\n"), (127, "#!/nowhere/sh\n")])
def test_what_a_restart_does_not_change_stays_down_and_status_says_which(bed, code, content):
    start(bed)
    put_hermes(bed, content)
    bed.rescan()
    wait_for(
        lambda: bed.svstat(bed.slot("coder")) == "down" and b'"exit_code": %d' % code in bed.init("status", "--json", "coder").stdout,
        what="the end",
    )
    time.sleep(1.5)
    assert bed.svstat(bed.slot("coder")) == "down" and bed.log().count(b"gateway-run: fatal: unable to run ") == 1


def row(deaths, age=0):
    """Returns the text of a death_tally: a row of deaths, each one second after the start that follows the pause; the last one `age`
    seconds ago."""
    times, moment, pause = [], 0, 0
    for number in range(1, deaths + 1):
        moment += pause + 1
        times.append(moment)
        pause = 0 if number < 5 else min(2 << (number - 5), 60) if number < 10 else 60
    offset = int(time.time()) - age - times[-1]
    return b"".join(struct.pack(">QIBB", EPOCH + offset + moment, 0, 1, 0) for moment in times)


@pytest.mark.s6
@pytest.mark.strace
@pytest.mark.parametrize(
    "deaths, age, length, is_said, slept",
    [
        (4, 0, None, False, 0),
        (5, 0, 2, True, 2),
        (6, 0, 4, True, 4),
        (8, 0, 16, True, 16),
        (9, 0, 32, True, 32),
        # The first minute is said; every further one is the same again.
        (10, 0, 60, True, 60),
        (11, 0, 60, False, 60),
        (50, 0, 60, False, 60),
        (100, 0, 60, False, 60),
        (9, 20, 32, True, 12),
        (9, 100, 32, True, 0),
        # The clock was set back since the last deaths: those that are stamped later than now are ignored.
        (9, -3, 16, True, 2),
        (9, -1000, None, False, 0),
        (100, -100_000, None, False, 0),
        (11, 59, 60, False, 1),
    ],
)
def test_a_pause_is_said_once_and_is_what_is_left_of_it(idle, deaths, age, length, is_said, slept):
    before = time.time()
    (idle.path(idle.slot("coder")) / "supervise/death_tally").write_bytes(row(deaths, age))
    idle.tell("coder", "exit 3")
    traced = [
        "strace",
        "-f",
        "-o",
        "/run/bed/trace",
        "-e",
        "trace=nanosleep,clock_nanosleep",
        "-e",
        "inject=nanosleep,clock_nanosleep:retval=0",
    ]
    done = gateway_run(idle, *traced)
    assert done.returncode == 3, done
    assert done.stdout.decode() == (PAUSE.format(length) if is_said else "") + "started coder\n"
    seconds = [int(found) for found in re.findall(r"nanosleep\([^{]*\{tv_sec=(\d+)", idle.path("/run/bed/trace").read_text())]
    # The clock has gone on since the tally was written.
    passed = int(time.time() - before) + 1
    assert len(seconds) == (1 if slept else 0) or (slept <= passed and not seconds), seconds
    assert all(slept - passed <= second <= slept for second in seconds), seconds
