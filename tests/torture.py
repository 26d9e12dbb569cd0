#!/usr/bin/env python3
"""Fails each system call of each command once, with each errno that makes sense, and kills the command at each call.

    tests/torture.py [SECONDS [SEED]]

A case is one command under strace with one injected fault. Whatever its exit code is, afterwards no slot that s6-svscan can see is
half made, no file is torn or lost, and no program runs as root that should not. Exit code 0 means that everything was done. The
same command without a fault then finishes the work. The seed decides the order of the cases. They run until all have run or the
time is over. Exit code 1 means that a case went wrong.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.file_tree import snapshot
from support.program import APART, HERMES, wait_for
from support.testbed import Bed, half_made

# Errors that a call can fail with. An injected ENOENT would be a file that has vanished, which is another outcome, not a fault.
# Calls that are not here are only the last ones. close(2) is among them: it closes even if it fails, while strace leaves it out.
ERRORS = {
    "openat": "EACCES EMFILE EIO EINTR ENOSPC",
    "open": "EACCES EMFILE EIO",
    "openat2": "EACCES EMFILE EIO ENOSYS EPERM",
    "read": "EIO EINTR",
    "pread64": "EIO EINTR",
    "write": "EIO ENOSPC EINTR EPIPE EAGAIN",
    "fstat": "EIO",
    "newfstatat": "EACCES EIO",
    "statx": "EACCES EIO",
    "getdents64": "EIO",
    "lseek": "EIO",
    "mkdirat": "EACCES ENOSPC EROFS",
    "mknodat": "EPERM ENOSPC",
    "fchmod": "EPERM EROFS",
    "fchmodat": "EPERM EROFS",
    "fchmodat2": "EPERM EROFS ENOSYS",
    "fchown": "EPERM EINVAL EIO",
    "fchownat": "EPERM EINVAL EIO",
    "renameat": "EACCES ENOSPC EROFS",
    "renameat2": "EINVAL ENOSYS EPERM ENOSPC",
    "unlinkat": "EACCES EROFS",
    "fsync": "EIO ENOSPC",
    "flock": "EINTR ENOLCK",
    "fstatfs": "EIO",
    "statfs": "EIO",
    "access": "EACCES EIO",
    "faccessat": "EACCES EIO",
    "faccessat2": "EACCES EIO",
    "readlink": "EACCES",
    "readlinkat": "EACCES",
    "mmap": "ENOMEM",
    "brk": "ENOMEM",
    "fcntl": "EINTR",
    "dup2": "EMFILE EIO",
    "fgetxattr": "EPERM EIO",
    "fremovexattr": "EPERM EIO",
    "clock_nanosleep": "EINTR",
    "ioctl": "EIO",
    "prlimit64": "EPERM",
    "prctl": "EPERM",
    "chdir": "EACCES EIO",
    "setgroups": "EPERM ENOMEM",
    "setgid": "EPERM",
    "setuid": "EPERM EAGAIN",
    "setresgid": "EPERM",
    "setresuid": "EPERM EAGAIN",
    "getgroups": "EPERM",
    "capget": "EPERM",
    "execve": "EACCES ENOMEM ETXTBSY",
}
# Calls that a process cannot be killed at, or whose number is not that of the trace.
NOT_KILLED = ("exit_group", "restart_syscall")
# A refused owner change is tolerated in delegated mode, so the result may belong to root.
OWNER_CALLS = ("fchown", "fchownat")
LIMIT = 60


def run(argv, timeout=LIMIT, **options):
    """Runs a command in a process group of its own, which ends at the time limit. strace would leave its tracee behind."""
    child = subprocess.Popen(
        [str(word) for word in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **options,
    )
    try:
        stdout, stderr = child.communicate(timeout=timeout)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate(timeout=LIMIT)
    return subprocess.CompletedProcess(argv, child.returncode, stdout, stderr)


def torn(home):
    """Lists the state files that are not whole, and half lines in the boot log but at its end."""
    found = []
    for path in Path(home).rglob("gateway_state.json"):
        try:
            json.loads(path.read_text())
        except ValueError:
            found.append(f"{path} is torn")
    for path in Path(home).glob("logs/container-boot.log*"):
        for line in path.read_text().split("\n")[:-1]:
            # What a failed write has left ends at the next line.
            if "\n" in line or line.count(" profile=") > 1:
                found.append(f"{path.name}: {line!r}")
    return found


def contents(tree):
    """Returns kinds and contents of a snapshot without modes, owners and the time in a state file."""
    return {path: re.sub(r'"timestamp": \d+', '"timestamp": 0', re.sub(r"^(\w+) \d+ \d+:\d+", r"\1", line)) for path, line in tree.items()}


def visible(result, refused):
    """Returns the part of a result that decides: s6-svscan does not see a leftover that could not be removed, and the next pass
    sweeps it. If a change of owners or modes was refused, only kinds and contents count."""
    found = {key: line for key, line in result.items() if not key[1].startswith(b".gateway-")}
    return contents(found) if refused else found


class Case:
    """One fault: the nth call of a name fails with an errno, or is the last one."""

    def __init__(self, scenario, call, nth, errno):
        self.scenario, self.call, self.nth, self.errno = scenario, call, nth, errno

    def __str__(self):
        return f"{self.scenario.name}: {self.call} number {self.nth}: {self.errno or 'SIGKILL'}"

    def inject(self):
        what = f"error={self.errno}" if self.errno else "signal=SIGKILL"
        return [
            "strace",
            "-o",
            "/dev/null",
            "-e",
            f"trace={self.call},clock_nanosleep",
            "-e",
            f"inject={self.call}:{what}:when={self.nth}",
            *self.scenario.waits,
        ]


class Cell:
    """A namespace with few processes, shared by the scenarios without s6: what a command finds in /proc is always the same."""

    def __init__(self):
        self.bed, self.users = None, 0

    def enter(self):
        self.users += 1
        if not self.bed:
            self.renew()

    def renew(self):
        self.bed = Bed(svscan=False)
        self.bed.__enter__()

    def leave(self):
        self.users -= 1
        if not self.users:
            self.close()

    def close(self):
        if self.bed:
            bed, self.bed = self.bed, None
            bed.__exit__()


class Offline:
    """A command on a volume and directories that no s6 works in."""

    # How many cases run before it is the turn of the next scenario: those that take less time run more often.
    turns = 8
    waits = ()

    def __init__(self, cell, name, arguments, prepare=None, environment=None):
        self.cell, self.name, self.arguments, self.prepare = cell, name, arguments, prepare
        self.environment = APART | (environment or {})
        self.template = None

    def run(self, folder, trace=()):
        words = [word.replace("@", str(folder)) for word in self.arguments]
        return run(self.cell.bed.command([*trace, "/run/bed/bin/hermes-init", *words]), env=self.environment, cwd="/")

    def start(self):
        """Makes the template and the result without a fault; lists the cases."""
        self.template = Path(tempfile.mkdtemp(prefix="hermes-init-torture-"))
        self.template.chmod(0o755)
        self.cell.enter()
        # All of it happens at one path: a slot names the volume.
        folder, start, good = self.template / "now", self.template / "start", self.template / "good"
        self.make(folder)
        self.before = self.result(folder)
        folder.rename(start)
        trace = self.template / "trace"
        done = self.run(self.copy(), ["strace", "-o", trace])
        assert done.returncode == 0, (self.name, done)
        self.good = self.result(folder)
        folder.rename(good)
        self.volume = {
            path: {contents(snapshot(folder / "home")).get(path) for folder in (start, good)}
            for path in {*snapshot(start / "home"), *snapshot(good / "home")}
        }
        return cases(self, trace.read_text(errors="replace"))

    def make(self, folder):
        home = folder / "home"
        for name, state in (("coder", "running"), ("writer", "stopped")):
            profile = home / "profiles" / name
            (profile / "state").mkdir(parents=True)
            (profile / "SOUL.md").touch()
            (profile / "gateway.pid").write_text("7")
            (profile / "gateway_state.json").write_text(f'{{"gateway_state": "{state}"}}')
            (profile / "state/gateway.lifecycle.json").write_text('{"phase": "exited"}')
        (folder / "service/.s6-svscan").mkdir(parents=True)
        for name in ("dashboard", "other"):
            for part in ("event", "supervise", "log/event", "log/supervise"):
                (folder / "static" / name / part).mkdir(parents=True)
            for part in ("supervise/control", "log/supervise/control"):
                os.mkfifo(folder / "static" / name / part, 0o600)
        (folder / "own/log").mkdir(parents=True)
        for path in [home, *home.rglob("*")]:
            os.chown(path, HERMES, HERMES)
        if self.prepare:
            self.prepare(self, folder)

    def copy(self):
        folder = self.template / "now"
        if folder.exists():
            shutil.rmtree(folder)
        subprocess.run(["cp", "-a", self.template / "start", folder], check=True, timeout=LIMIT)
        return folder

    @staticmethod
    def result(folder):
        """Returns the directories that the command works on."""
        return {(part, path): line for part in ("service", "static", "own") for path, line in snapshot(folder / part).items()}

    def mixed(self, result, code):
        """Lists visible slots that are neither as before nor as they should be."""
        found = []
        for path in {path.split(b"/")[0] for part, path in result if part == "service" and path.startswith(b"gateway-")}:

            def slot(tree):
                return contents({at: line for (part, at), line in tree.items() if part == "service" and at.split(b"/")[0] == path})

            new, now = slot(self.good), slot(result)
            # A gateway whose state could not be read stays down, and the pass fails.
            if now not in (slot(self.before), new) and not (code == 1 and now == new | {path + b"/down": now.get(path + b"/down")}):
                found.append(f"{path.decode()} is neither the old nor the new slot")
        return found

    def lost(self, home, case):
        """Lists files on the volume that are neither as before nor as they should be."""
        found, now = [], contents(snapshot(home))
        for path in {*now, *self.volume}:
            if path.startswith(b"logs"):
                continue
            # A kill, and a removal that fails, can leave a staging file.
            if path.endswith(b".tmp") and (case.errno is None or case.call == "unlinkat"):
                continue
            if now.get(path) not in self.volume.get(path, {None}):
                found.append(f"home/{path.decode()} is {now.get(path)}")
        return found

    def check(self, case):
        """Runs a case. Returns what is wrong, and how the command ended."""
        folder = self.copy()
        done = self.run(folder, case.inject())
        result = self.result(folder)
        wrong = outcome(case, done) + half_made(folder / "service") + self.mixed(result, done.returncode)
        wrong += torn(folder / "home") + self.lost(folder / "home", case)
        refused = case.call in OWNER_CALLS or b"not permitted to change" in done.stderr
        # A switch that cannot be read shuts.
        shut = b"treated as sealed" in done.stderr
        # Delegated, fix-perms leaves what the kernel does not permit, and says so; test_fix_perms_reports.py has the rule.
        left = case.errno in ("EPERM", "EACCES") and b"some owners or modes cannot be changed" in done.stderr and b" reason=" in done.stdout
        if done.returncode == 0 and case.errno and not shut and not left and visible(result, refused) != visible(self.good, refused):
            wrong.append("exit code 0, and not everything was done")
        again = self.run(folder)
        if again.returncode != 0:
            wrong.append(f"a second run fails: {again}")
        # `seed` leaves a directory that is sealed as it is.
        elif self.result(folder) != self.good and not (shut and self.name == "seed"):
            wrong.append("a second run does not finish the work")
        return wrong + torn(folder / "home"), done

    def stop(self):
        if self.template:
            self.cell.leave()
            shutil.rmtree(self.template, ignore_errors=True)


class LiveContainer(Cell):
    """A booted container, shared by the scenarios of one mode. It is made anew after a case that went wrong."""

    def __init__(self, sealed):
        super().__init__()
        self.sealed = sealed

    def renew(self):
        self.close()
        self.bed = Bed(environment={"HERMES_INIT_SEALED": "1" if self.sealed else "0"})
        self.bed.__enter__()
        self.bed.profile("coder", "running")
        self.bed.profile("extra", '{"desired_state": "stopped", "kept": [1]}')
        # The slot of `extra` has a variable, which no command may lose.
        self.bed.init("register", "extra", "--down", "--env", "KEY=value")
        self.bed.init("reconcile")
        self.bed.rescan()
        self.bed.settle()
        self.pid, self.supervisors = self.bed.pid_of(self.bed.slot("coder")), len(self.bed.supervisors())
        assert self.supervisors == 6


def state(bed):
    return json.loads(bed.path("/opt/data/profiles/extra/gateway_state.json").read_text())


def soon(condition):
    """Returns whether a condition becomes true: `start` and `register` do not wait for the program."""
    try:
        return wait_for(condition)
    except AssertionError:
        return False


def appear(bed):
    """Makes a profile without a slot."""
    bed.profile("new", "stopped")


def vanish(bed):
    shutil.rmtree(bed.path("/opt/data/profiles/new"))


def is_registered(container, _):
    service = container.bed.slot("new")
    variable = container.bed.path(f"{service}/env/KEY")
    return variable.read_text() == "value\n" and soon(
        lambda: (container.bed.svstat(service), container.bed.svstat(f"{service}/log")) == ("down", "up")
    )


def is_gone(container, _):
    # A supervisor that ends releases its service shortly before it leaves the process table.
    is_hidden = not os.path.lexists(container.bed.path(container.bed.slot("new")))
    return is_hidden and soon(lambda: len(container.bed.supervisors()) == container.supervisors)


def is_started(container, _):
    return state(container.bed)["desired_state"] == "running" and soon(lambda: container.bed.svstat(container.bed.slot("extra")) == "up")


def is_stopped(container, _):
    return container.bed.svstat(container.bed.slot("extra")) == "down" and state(container.bed)["desired_state"] == "stopped"


def is_said(_, done):
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = {"default": "down", "coder": "up", "extra": "down"}
    # What could not be looked at is unknown, or has a note that says why.
    true = [row["note"] or (row["state"] == wanted[row["profile"]] and row["wanted"] in (wanted[row["profile"]], None)) for row in rows]
    return {row["profile"] for row in rows} == {*wanted} and all(true)


def is_printed(_, done):
    return b"  started coder\n" in done.stdout


def is_anything(*_):
    return True


def is_never(*_):
    """What is a fault stays one, whatever cannot be looked at."""
    return False


class Live:
    """A command on a live container with s6-svscan, as root or as the hermes user. Around it run commands without a fault, or functions
    of the bed: `before`
    it, `again` to finish its work, and `after` that to come back to the beginning. `goal` tells whether exit code 0 is true."""

    turns = 1
    waits = ()

    def __init__(self, container, name, arguments, goal, before=(), again=None, after=(), uid=0, code=0):
        self.code = code
        self.container, self.arguments, self.goal, self.before, self.after, self.uid = container, arguments, goal, before, after, uid
        self.again = [arguments] if again is None else again
        self.name = name + (", sealed" if container.sealed else "") + (", by the hermes user" if uid else "")
        self.entered = False

    def run(self, trace, timeout=LIMIT):
        argv = self.container.bed.command([*trace, "/run/bed/bin/hermes-init", *self.arguments], self.uid)
        return run(argv, timeout, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}, cwd="/")

    def start(self):
        self.entered = True
        self.container.enter()
        self.do(self.before)
        trace = f"/run/bed/trace.{self.uid}"
        done = self.run(["strace", "-o", trace])
        assert done.returncode == self.code and (self.code or self.goal(self.container, done)), (self.name, done)
        text = self.container.bed.path(trace).read_text(errors="replace")
        self.do(self.after)
        return cases(self, text)

    def do(self, commands):
        for command in commands:
            if callable(command):
                command(self.container.bed)
            else:
                self.container.bed.init(*command)

    def check(self, case):
        wrong, done = [f"{case} did not come to its end"], None
        try:
            wrong, done = self.attempt(case)
        except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        finally:
            if wrong:
                self.container.renew()
        return wrong, done

    def attempt(self, case):
        container, bed = self.container, self.container.bed
        self.do(self.before)
        done = self.run(case.inject())
        service, home = bed.path("/run/service"), bed.path("/opt/data")
        wrong = outcome(case, done) + half_made(service) + torn(home)
        # A reader that has gone away is no failure of `status`.
        unread = self.goal in (is_said, is_printed) and case.errno == "EPIPE"
        if done.returncode == 0 and case.errno and not unread and not self.goal(container, done):
            wrong.append(f"exit code 0, and not everything was done: {done}")
        leftovers = [str(path) for path in home.rglob("*.tmp")]
        if case.errno and case.call != "unlinkat":
            wrong += leftovers
        for path in leftovers:
            os.unlink(path)
        try:
            self.do(self.again)
            self.do(self.after)
            bed.init("reconcile")
            bed.rescan()
            bed.settle()
        except AssertionError as error:
            wrong.append(f"the command does not finish the work afterwards: {error}")
        if len(bed.supervisors()) != container.supervisors:
            wrong.append(f"{len(bed.supervisors())} supervisors instead of {container.supervisors}")
        if bed.pid_of(bed.slot("coder")) != container.pid:
            wrong.append("another gateway was restarted")
        if (service / "gateway-extra/env/KEY").read_text() != "value\n" or state(bed)["kept"] != [1]:
            wrong.append("a variable or a member of the state is lost")
        return wrong + [path.name for path in service.glob(".gateway-*")], done

    def stop(self):
        if self.entered:
            self.container.leave()


# What the programs of services execute: it says who runs it and what it got.
TELLER = """#!/bin/sh
grep -E '^(Uid|Gid|Groups|CapEff|CapBnd|NoNewPrivs):' /proc/$$/status
echo "$0 $* in $(pwd)"
env | LC_ALL=C sort
exit 7
"""


class Service:
    """A program of a service. What it executes runs exactly as it does without a fault, or not at all."""

    turns = 4
    # A logger that fails waits a minute before it ends.
    waits = ("-e", "inject=clock_nanosleep:retval=0")

    def __init__(self, name, arguments, sealed=False, code=7, variable=None):
        self.name, self.arguments, self.sealed, self.code = name + (", sealed" if sealed else ""), arguments, sealed, code
        self.environment = {"HERMES_INIT_SEALED": "1" if sealed else "0"} | (variable or {})
        self.bed = None

    def run(self, trace):
        argv = self.bed.command(
            ["sh", "-c", 'cd "$0" && exec "$@"', self.bed.slot("coder"), *trace, "/run/bed/bin/hermes-init", *self.arguments]
        )
        done = run(argv, env={"PATH": "/usr/bin:/bin"}, cwd="/")
        # The messages of gateway-run go where its stdout goes, to the logger.
        lines = done.stdout.splitlines(keepends=True)
        own, others = ([line for line in lines if line.startswith(b"hermes-init ") == is_own] for is_own in (True, False))
        return subprocess.CompletedProcess(argv, done.returncode, b"".join(others), done.stderr + b"".join(own))

    def start(self):
        self.bed = Bed(svscan=False, environment=self.environment)
        self.bed.__enter__()
        self.bed.profile("coder", "running")
        self.bed.path("/run/bed/bin/hermes").write_text(TELLER)
        self.bed.init("reconcile")
        # fork and _exit of the teller are not the program's.
        done = self.run(["strace", "-o", "/run/bed/trace"])
        assert done.returncode == self.code, (self.name, done)
        self.good = done.stdout
        trace = self.bed.path("/run/bed/trace").read_text(errors="replace")
        lines = trace.splitlines(keepends=True)
        ends = [number for number, line in enumerate(lines) if line.startswith("execve(") and line.rstrip().endswith(" = 0")]
        return cases(self, "".join(lines[: ends[1] + 1] if len(ends) > 1 else lines))

    def check(self, case):
        done = self.run(case.inject())
        if done.returncode == self.code:
            return ([] if self.is_same(done) else [f"it ran another way: {done.stdout!r}"]), done
        wrong = [f"it ran, and exit code {done.returncode}"] if b"Uid:" in done.stdout else []
        return wrong + outcome(case, done, (1, 111, 126, 127)), done

    def is_same(self, done):
        """A variable of the container that cannot be read is reported and missing; a switch that cannot be read shuts."""
        missing = [b"%s=" % name for name in re.findall(rb"unable to read /run/s6/container_environment/(\w+): ", done.stderr)]
        expected = [line for line in self.good.splitlines() if not line.startswith(tuple(missing))]
        came = [line for line in done.stdout.splitlines() if not line.startswith(tuple(missing))]
        if b"treated as sealed" in done.stderr:
            expected = [b"NoNewPrivs:\t1" if line.startswith(b"NoNewPrivs:") else line for line in expected]
        return came == expected and len(missing) < 2

    def stop(self):
        if self.bed:
            self.bed.__exit__()


def cases(scenario, trace):
    """Lists a case for each call of a trace and each errno, and one that is the last call."""
    counts, found = {}, []
    for name in re.findall(r"^(\w+)\(", trace, re.M):
        counts[name] = counts.get(name, 0) + 1
        if name in NOT_KILLED or (name == "execve" and counts[name] == 1):
            continue
        found += [Case(scenario, name, counts[name], errno) for errno in [*ERRORS.get(name, "").split(), None]]
    return found


def outcome(case, done, codes=(0, 1, 111)):
    """Checks how the command ended."""
    killed = done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    if case.errno is None:
        # On a live container the number of looks differs from run to run: the call may not have occurred.
        return [] if killed or (isinstance(case.scenario, Live) and done.returncode == case.scenario.code) else [f"not killed: {done}"]
    # Out of memory may end the process, with nothing half made.
    if case.errno == "ENOMEM":
        codes = (
            *codes,
            101,
            *(sign for number in (signal.SIGILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGTRAP) for sign in (-number, 128 + number)),
        )
    wrong = [] if done.returncode in codes else [f"ended with {done.returncode}"]
    if b"panicked" in done.stderr and case.errno != "ENOMEM":
        wrong.append("it panicked")
    # A report says it in its own lines: `action=failed`, `reason=`, or the note of a row.
    said = done.stderr or any(word in done.stdout for word in (b"failed", b"reason=", b"unable to ", b"up for only "))
    # Nobody reads what `health` says.
    is_unread = case.call == "write" and case.errno == "EPIPE"
    if done.returncode in (1, 111) and not said and not is_unread:
        wrong.append("it failed without a message")
    return wrong


def second_pass(scenario, folder):
    """The state after a first pass, with a slot whose state has changed, one without a profile, and a leftover."""
    done = scenario.run(folder)
    assert done.returncode == 0, done
    (folder / "home/profiles/coder/gateway_state.json").write_text('{"desired_state": "stopped"}')
    (folder / "service/gateway-writer/run").write_text("#!/bin/sh\n")
    shutil.copytree(
        folder / "service/gateway-default/log", folder / "service/.gateway-gone.tmp/log", ignore=shutil.ignore_patterns("control")
    )


def settled(scenario, folder):
    done = scenario.run(folder)
    assert done.returncode == 0, done


PLACES = ("--hermes-home", "@/home", "--scandir", "@/service", "--owner", f"{HERMES}:{HERMES}")


def offline():
    """Returns the scenarios without s6."""
    cell = Cell()
    return [
        Offline(cell, "first pass", ("reconcile", *PLACES)),
        Offline(cell, "first pass, sealed", ("reconcile", "--sealed", *PLACES)),
        Offline(cell, "settled pass", ("reconcile", *PLACES), settled),
        Offline(cell, "settled pass, sealed", ("reconcile", "--sealed", *PLACES), settled),
        Offline(cell, "second pass", ("reconcile", *PLACES), second_pass),
        Offline(cell, "second pass, sealed", ("reconcile", "--sealed", *PLACES), second_pass),
        Offline(cell, "bootstrap", ("reconcile", *PLACES), environment={"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"}),
        Offline(cell, "fix-perms", ("fix-perms", "@/static", "--owner", f"{HERMES}:{HERMES}")),
        Offline(cell, "fix-perms, sealed", ("fix-perms", "--sealed", "@/static", "--owner", f"{HERMES}:{HERMES}")),
        Offline(cell, "seed", ("seed", "@/own", "--owner", f"{HERMES}:{HERMES}")),
    ]


def services():
    """Returns the scenarios of the programs of services."""
    found = []
    for sealed in (False, True):
        found += [
            Service("gateway-run", ("gateway-run", "./run", "gateway-coder"), sealed),
            Service("gateway-log", ("gateway-log", "./run", "gateway-coder/log"), sealed, code=0),
            Service("dashboard-run", ("dashboard-run",), sealed, variable={"HERMES_DASHBOARD": "1"}),
        ]
    return [*found, Service("gateway-finish", ("gateway-finish", "0", "0", "gateway-coder", "1"), code=125)]


def live(sealed):
    """Returns the scenarios with s6-svscan in a mode."""
    container, found = LiveContainer(sealed), []
    register, unregister, start, stop = (
        ("register", "new", "--down", "--env", "KEY=value"),
        ("unregister", "new"),
        ("start", "extra"),
        ("stop", "extra"),
    )
    for uid in (0, HERMES):
        if not (sealed and uid):
            found += [
                # A register that was interrupted may have made the slot.
                Live(container, "register", register, is_registered, [appear], [unregister, register], [unregister, vanish], uid),
                Live(container, "unregister", unregister, is_gone, [appear, register], after=[vanish], uid=uid),
                Live(container, "live pass", ("reconcile",), is_anything, uid=uid),
            ]
        found += [
            Live(container, "start", start, is_started, after=[stop], uid=uid),
            Live(container, "stop", stop, is_stopped, [start], uid=uid),
            Live(container, "restart", ("restart", "extra", "--wait=5"), is_started, [start], after=[stop], uid=uid),
            Live(container, "status", ("status", "--json"), is_said, uid=uid),
            Live(container, "health", ("health", "--min-up=86400"), is_never, again=[], uid=uid, code=1),
            Live(container, "logs", ("logs", "coder"), is_printed, uid=uid),
        ]
    return found


def everything():
    return [*offline(), *services(), *live(False), *live(True)]


def shuffled(found, choose):
    """Returns the cases in random order, in which each call has its turn: there are few renames beside hundreds of opens."""
    calls = {}
    for case in found:
        calls.setdefault(case.call, []).append(case)
    groups = list(calls.values())
    choose.shuffle(groups)
    for group in groups:
        choose.shuffle(group)
    return [group[turn] for turn in range(max(map(len, groups), default=0)) for group in groups if turn < len(group)][::-1]


def in_turn(queues):
    """Yields the cases of all queues: a few from each, then from the beginning."""
    while any(queues):
        for queue in queues:
            for _ in range(min(len(queue), queue[0].scenario.turns if queue else 0)):
                yield queue.pop()


def torture(scenarios, seed, seconds=None, count=None, calls=None, say=print):
    """Runs cases of all scenarios in turn, until the time is over or `count` of them have run; if given, only those of some `calls`.
    Returns the descriptions of those that went wrong."""
    end = None if seconds is None else time.monotonic() + seconds
    choose = random.Random(seed)
    say(f"torture: seed {seed}")
    started, queues, failed, ran = [], [], [], 0
    try:
        for scenario in scenarios:
            started.append(scenario)
            found = scenario.start()
            queues.append(shuffled([case for case in found if not calls or case.call in calls], choose))
        total = sum(map(len, queues))
        for case in in_turn(queues):
            if ran == count or (end is not None and time.monotonic() > end):
                break
            try:
                wrong, done = case.scenario.check(case)
            except subprocess.TimeoutExpired:
                wrong, done = ["it hangs"], None
            ran += 1
            if wrong:
                ended = f"; exit code {done.returncode}, stderr {done.stderr[-300:]!r}" if done else ""
                failed.append(f"{case}: {'; '.join(map(str, wrong[:4]))}{ended}")
                say(f"torture: {failed[-1]}")
    finally:
        for scenario in started:
            scenario.stop()
    say(f"torture: {ran} of {total} faults, {len(failed)} went wrong, seed {seed}")
    return failed


if __name__ == "__main__":
    # A run that is ended early also removes its namespaces and folders.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    length = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    sys.exit(1 if torture(everything(), chosen, seconds=length) else 0)
