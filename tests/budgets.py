"""Measures the executable and fails where a limit is exceeded: tests/budgets.py [STOCK_EXECUTABLE [EXECUTABLE...]]. Needs root and strace. Of
further executables, which are for other machines, it measures what the file shows.

A limit is an alarm against accidents, and no goal: whoever reaches one with honest code raises it, in a line that says for what.

System calls and memory are counted, so the figures are the same on every machine. Growth is a ratio of CPU times; see `growth`.
"""

import contextlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from support import slow
from support.many_profiles import make
from support.namespace import isolated
from support.program import APART, executable, wait_for

OWNER = "10000:10000"
# As many as the largest volume needs.
APART = APART | {"HERMES_INIT_MAX_SERVICES": "20000"}
KIB, MIB = 1 << 10, 1 << 20
UNITS = {"": 1, "KiB": KIB, "MiB": MIB, "times": 1}

# The rows of the table in .github/CONTRIBUTING.md. test_readme.py compares the two.
LIMITS = {
    # 848 KiB are measured: generic functions for callbacks, typed rows and decisions, and an arguments struct for each command are a copy
    # each; reading logs backwards, hand-over, the pages of help, access control lists and a table of Unicode are 76 KiB; who is served and
    # which deaths count are 24 each; who runs the gateways, why somebody is refused, a small /run, and values of compose files 32;
    # completions 9, and the list of crates 1; threads and looks at once 44; what one profile needs of the others 19. A dependency, or the
    # formatter of floats, is what this is to notice.
    "size of the executable": (896, "KiB"),
    # 1,269 KiB are measured: the compiler's standard library, which prints panics with a backtrace. The same part of it in reserve.
    "size of the executable, `make STOCK=1`": (1408, "KiB"),
    "system calls at start-up, before those of the command": (25, ""),
    "system calls per new slot": (71, ""),
    "system calls per settled slot": (48, ""),
    # One of them: no config.yaml, so not standalone. One: no gateway.parked. Two: a killed command has left nothing.
    "of these, on the volume": (19, ""),
    "of these, writes to the volume": (0, ""),
    # Of 20 profiles, on a volume whose client keeps attributes and names for a while, as those of NFS and SMB do: support/slow.py.
    "requests to a slow volume, first pass": (190, ""),
    "requests to a slow volume, with stale pid files": (210, ""),
    # One for whose it is, three for its name.
    "system calls per process of another user": (4, ""),
    # Three more for its state.
    "system calls per supervisor": (7, ""),
    # Whether it is parked or standalone: either decides about all. Where the topology is known otherwise there are none.
    "system calls of `status NAME` per other profile": (2, ""),
    "of one with a config.yaml": (5, ""),
    "peak memory, 5 profiles": (1.5, "MiB"),
    "peak memory, 5,000 profiles": (16, "MiB"),
    "CPU time of 5,000 profiles against 500": (11, "times"),
}
# Calls of the allocator, per slot. How many there are depends on the lengths of paths, so they are no part of the counts above.
ALLOCATOR, ALLOCATIONS = re.compile(r"^(mmap|munmap|mremap|brk|madvise)\("), 3
FAILED, MEASURED = [], set()


def figure(row, value, detail=""):
    """Prints a measured value beside its limit."""
    MEASURED.add(row)
    number, unit = LIMITS[row]
    limit = number * UNITS[unit]
    check(value <= limit, f"{value:>12,.8g} of {limit:>10,.8g}  {row}{detail and f': {detail}'}", "OVER")


def check(condition, what, otherwise="NO"):
    if not condition:
        FAILED.append(what)
    print(f"{'ok' if condition else otherwise:<5} {what}", flush=True)


@contextlib.contextmanager
def volume(top, count, state=None, lifecycle=True):
    """A HERMES_HOME with `count` profiles in a new directory, and an empty scan directory beside it. Half of the gateways are
    running and half are stopped, or all are in `state`."""
    folder = Path(tempfile.mkdtemp(dir=top))
    folder.chmod(0o755)
    try:
        make(folder / "home", count, state, lifecycle)
        (folder / "service/.s6-svscan").mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder)


def argv(command, folder):
    return [
        str(executable().resolve()),
        command,
        "--hermes-home",
        str(folder / "home"),
        *([] if command == "logs" else ["--scandir", str(folder / "service")]),
        "--owner",
        OWNER,
    ]


# Starts processes of a user, waits until they are there, and runs the rest of its arguments.
BESIDE = """
user=$0 program=$1 count=$2
shift 2
for _ in $(seq "$count"); do setpriv --reuid "$user" --regid "$user" --clear-groups "$program" 1000 & done
until [ "$(cat /proc/[0-9]*/comm | grep -cx "${program##*/}")" = "$count" ]; do sleep 0.01; done
"$@"
"""


def trace(folder, command="reconcile", *operands, beside=None, code=0):
    """Returns the system calls of a command, as strace prints them with the paths of file descriptors. `beside` are the user, the program
    and the number of processes that are there as well."""
    log = folder / "strace"
    words = ["strace", "-f", "-y", "-s", "4096", "-o", log, *argv(command, folder), *operands]
    done = subprocess.run(
        # How many processes there are is no matter of a slot's.
        isolated(*(["sh", "-c", BESIDE, *beside] if beside else []), *words),
        check=False,
        env=APART,
        stdout=subprocess.DEVNULL,
        # No s6-svscan runs there, which each pass says.
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == code, done
    return [line.split(None, 1)[1] for line in log.read_text(errors="replace").splitlines() if re.match(r"\d+\s+\w+\(", line)]


WRITES = re.compile(
    r"^(write|pwrite|unlink|rename|mkdir|mknod|chmod|fchmod|chown|fchown|utimens|truncate|ftruncate|link|symlink)"
    r"|O_(WRONLY|RDWR|CREAT|TRUNC)"
)


def passes(top, count, state, lifecycle):
    """Counts the system calls of a first and of a second pass, those of the second on the volume, and those of the allocator in the
    first and in the second; lists the writes to the volume."""
    with volume(top, count, state, lifecycle) as folder:
        fresh, settled = trace(folder), trace(folder)
        # By the path of a descriptor, or by a path relative to the volume's.
        on_volume = [call for call in settled if f"{folder}/home/profiles" in call or f"{folder}/home>, " in call]
        memory = [sum(bool(ALLOCATOR.match(call)) for call in calls) for calls in (fresh, settled)]
        counts = [len(fresh) - memory[0], len(settled) - memory[1], len(on_volume), *memory]
        return counts, [call for call in on_volume if WRITES.search(call)]


def system_calls(top):
    """The cost of a slot is the difference between 10 and 110 profiles; of all kinds of profile, the most expensive counts."""
    worst, writes = [0.0] * 5, []
    for state in ("running", "stopped"):
        for lifecycle in (False, True):
            few, many = passes(top, 10, state, lifecycle), passes(top, 110, state, lifecycle)
            # Lists of names add a few calls for all slots together, which are none of a slot's.
            worst = [max(most, round((b - a) / 100, 1)) for most, a, b in zip(worst, few[0], many[0], strict=True)]
            writes += few[1] + many[1]
    for row, calls in zip(("system calls per new slot", "system calls per settled slot", "of these, on the volume"), worst, strict=False):
        figure(row, round(calls), f"and {worst[3]} of the allocator" if row.endswith("new slot") else "")
    check(max(worst[3:]) <= ALLOCATIONS, f"{max(worst[3:])} of {ALLOCATIONS} calls of the allocator per slot", "OVER")
    figure("of these, writes to the volume", len(writes), writes[0] if writes else "")


def process_calls(top):
    """The cost of a process that is not the program's, where it looks for the container's command and for an s6-svscan that is not process 1:
    the difference between 10 and 110 of them."""
    supervisor = Path(top) / "s6-supervise"
    shutil.copy("/bin/sleep", supervisor)
    for row, user, program in (
        ("system calls per process of another user", "1000", "sleep"),
        ("system calls per supervisor", "0", str(supervisor)),
    ):
        with volume(top, 1) as folder:
            os.mkfifo(folder / "service/.s6-svscan/control")
            few, many = (len(trace(folder, "status", beside=[user, program, str(count)])) for count in (10, 110))
        # A list of names adds a call for many.
        figure(row, round((many - few) / 100))


def named_calls(top):
    """What the commands for one profile cost for each of the others: the difference between 10 and 200."""
    # Nobody supervises anything there, so an order fails, after what is common to all.
    commands = [("status", 0), ("health", 0), ("start", 1), ("stop", 1), ("restart", 1), ("logs", 1)]

    def count(profiles, config):
        with volume(top, profiles, "stopped") as folder:
            for profile in (folder / "home/profiles").iterdir() if config else ():
                (profile / "config.yaml").write_text("model: x\n")
            trace(folder)
            calls = {command: trace(folder, command, "profile-0007", code=code) for command, code in commands}
            return {command: sum(not ALLOCATOR.match(call) for call in found) for command, found in calls.items()}

    for row, config in (("system calls of `status NAME` per other profile", False), ("of one with a config.yaml", True)):
        few, many = count(10, config), count(200, config)
        for command, _ in commands:
            # A list of names adds a call for many.
            figure(row, round((many[command] - few[command]) / 190, 1), f"{command} ({few[command]}, {many[command]})")


def start_up():
    """Counts the system calls of `--version` up to its first write."""
    done = subprocess.run(["strace", executable(), "--version"], capture_output=True, text=True, timeout=20, check=True, env=APART)
    calls = [line for line in done.stderr.splitlines() if re.match(r"\w+\(", line)]
    figure(
        "system calls at start-up, before those of the command",
        next(number for number, call in enumerate(calls) if call.startswith(("write(1", "writev(1"))),
    )


def slow_volume():
    for row, stale in (("first pass", False), ("with stale pid files", True)):
        counted = slow.requests_of_a_pass(stale)
        figure(f"requests to a slow volume, {row}", counted.total(), ", ".join(f"{count} {kind}" for kind, count in counted.most_common(4)))


def peak_memory(command):
    """Returns the peak resident memory of a command (VmHWM) in bytes. strace holds the process when it is about to exit.
    Its children are not held: it waits for their end. The ru_maxrss of wait4(2) is no use here: it includes the memory of this
    Python, from before the execve(2)."""
    held = subprocess.Popen(
        ["strace", "-o", "/dev/null", "-e", "trace=exit_group", "-e", "inject=exit_group:delay_enter=120000000", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=APART,
    )
    try:

        def exiting():
            assert held.poll() is None, f"{command} ended unseen"
            for child in Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text().split():
                try:
                    # Number and arguments of the system call that it waits in; 231 is exit_group(2).
                    program, call = os.readlink(f"/proc/{child}/exe"), Path(f"/proc/{child}/syscall").read_text().split()
                except OSError:
                    # A child that strace starts at first to probe the kernel.
                    continue
                if program == command[0] and call[0] == "231":
                    assert int(call[1], 16) == 0, f"{command} failed"
                    return child
            return None

        child = wait_for(exiting, 60, f"the end of {command}")
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{child}/status").read_text())[1]) * KIB
        os.kill(int(child), 9)
        return peak
    finally:
        # Without strace, the process continues and exits.
        held.kill()
        held.wait(timeout=20)


def memory(top):
    for count in (5, 5000):
        with volume(top, count) as folder:
            for command, detail in (
                ("status", "status, no slots"),
                ("reconcile", "first pass"),
                ("reconcile", "settled pass"),
                ("status", "status, all slots"),
            ):
                figure(f"peak memory, {count:,} profiles", peak_memory(argv(command, folder)), detail)


def cpu_time(command, folder):
    """Returns the CPU time of a command in seconds, user and system. The kernel samples how it divides into the two, but the
    sum is exact."""

    def used():
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    before = used()
    subprocess.run(argv(command, folder), check=True, env=APART, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    return used() - before


def growth(top):
    """Compares the CPU time of 5,000 profiles with that of 500.

    Counted system calls do not show a loop over names in memory, few virtual machines offer a count of instructions, and elapsed
    time includes the other processes of the machine. CPU time includes only the disturbance of caches and of a sibling
    hyperthread by these. Both can only add to it, so the minimum of several runs is compared. The runs of both sizes alternate,
    so that a change of the clock rate meets both. There are at least three rounds, and up to twenty while the limit is exceeded.

    The kernel's objects of 500 profiles fit into a cache, those of 5,000 do not, and what that costs is the machine's and not the
    program's. So the 500 are the mean of ten volumes in turn: together they are as large as the one of 5,000.
    All of it is on a tmpfs: a disk's file system has costs of its own, which grow with a directory and its journal.
    """
    row = "CPU time of 5,000 profiles against 500"
    limit = LIMITS[row][0]
    with contextlib.ExitStack() as volumes:
        small = [volumes.enter_context(volume(top, 500)) for _ in range(10)]
        large = volumes.enter_context(volume(top, 5000))

        def compare(what, command, prepare=lambda folder: None):
            best = dict.fromkeys([*small, large], float("inf"))
            for number in range(20):
                for folder in best:
                    prepare(folder)
                    best[folder] = min(best[folder], cpu_time(command, folder))
                mean = sum(best[folder] for folder in small) / len(small)
                if number >= 2 and best[large] <= limit * mean:
                    break
            figure(row, round(best[large] / mean, 2), f"{what} ({mean * 1e3:.1f} ms, {best[large] * 1e3:.1f} ms)")

        def empty(folder):
            shutil.rmtree(folder / "service")
            (folder / "service/.s6-svscan").mkdir(parents=True)

        compare("status, no slots", "status")
        compare("first pass", "reconcile", prepare=empty)
        compare("settled pass", "reconcile")
        compare("status, all slots unsupervised", "status")


def elf(path):
    def readelf(option):
        return subprocess.run(["readelf", option, path], capture_output=True, text=True, check=True, timeout=20).stdout

    machine = re.search(r"Machine: +(.*)", readelf("-h"))[1]
    headers, dynamic, sections = readelf("-lW"), readelf("-dW"), readelf("-SW")
    is_pie = "DYN " in headers and "INTERP" not in headers and "NEEDED" not in dynamic and "PIE" in dynamic
    check(is_pie, f"static-PIE: position-independent, and no interpreter ({machine})")
    check("GNU_RELRO" in headers and "BIND_NOW" in dynamic, f"full RELRO ({machine})")
    check(re.search(r"GNU_STACK.* RW ", headers) is not None, f"no executable stack ({machine})")
    check(".symtab" not in sections, f"stripped ({machine})")
    return machine


def measure_all(top, stock=None, *others):
    if stock:
        figure("size of the executable, `make STOCK=1`", os.path.getsize(stock))
        elf(stock)
    for path in (executable(), *others):
        figure("size of the executable", os.path.getsize(path), elf(path))
    # The path of the executable is in every slot: counted is one whose path is as long on each machine.
    fixed = Path(top) / "hermes-init"
    shutil.copy(executable(), fixed)
    os.environ["HERMES_INIT"] = str(fixed)
    start_up()
    system_calls(top)
    slow_volume()
    process_calls(top)
    named_calls(top)
    memory(top)
    growth(top)
    left = LIMITS.keys() - MEASURED - (set() if stock else {"size of the executable, `make STOCK=1`"})
    check(not left, f"every limit was measured {sorted(left) or ''}")
    return 1 if FAILED else 0


def main(arguments):
    if arguments[:1] == ["--on"]:
        return measure_all(*arguments[1:])
    # A tmpfs in a mount namespace of its own is gone with the last process in it, however that ends.
    with tempfile.TemporaryDirectory(prefix="hermes-init-budgets-", dir="/tmp") as top:
        return subprocess.run(
            [
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                'mount -t tmpfs -o mode=0755,nr_inodes=0 tmpfs "$0" && exec "$@"',
                top,
                sys.executable,
                __file__,
                "--on",
                top,
                *arguments,
            ],
            timeout=900,
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
