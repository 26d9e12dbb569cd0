"""Counts what the shipped executable costs, and fails above a limit. Counted, not timed: the same on every machine."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bed import executable

EXE = str(executable())
OWNER = "10000:10000"
TOOK = []


def figure(what, value, limit):
    TOOK.append(value <= limit)
    print(f"{'ok  ' if value <= limit else 'OVER'}  {value:>9,}  of {limit:>9,}  {what}")


def holds(what, condition):
    TOOK.append(condition)
    print(f"{'ok  ' if condition else 'NO  '}  {what}")


def volume(folder, count, state, lifecycle):
    home = folder / "home"
    for number in range(count):
        profile = home / "profiles" / f"profile-{number:04}"
        (profile / "state").mkdir(parents=True)
        (profile / "SOUL.md").touch()
        (profile / "gateway_state.json").write_text(f'{{"gateway_state": "{state}"}}')
        if lifecycle:
            (profile / "state" / "gateway.lifecycle.json").write_text('{"phase": "exited"}')
    home.mkdir(exist_ok=True)
    subprocess.run(["chown", "-R", OWNER, str(home)], check=True)
    return home


def trace(folder, *options):
    """The system calls of one pass, each as strace prints it with the paths of descriptors."""
    log = folder / "strace"
    argv = ["strace", "-f", "-y", "-s", "4096", "-o", log, EXE, "reconcile", "--hermes-home", folder / "home", "--scandir",
            folder / "service", "--owner", OWNER, "--role", "gateway", *options]
    subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.DEVNULL, timeout=60)
    return [line.split(None, 1)[1] for line in log.read_text(errors="replace").splitlines()
            if re.match(r"\d+\s+\w+\(", line)]


WRITES = re.compile(r"^(write|pwrite|unlink|rename|mkdir|mknod|chmod|fchmod|chown|fchown|utimens|truncate|ftruncate|link|symlink)"
                    r"|O_(WRONLY|RDWR|CREAT|TRUNC)")


def passes(count, state, lifecycle):
    """Counts of a first and a second pass over so many profiles, and what the second did to the volume."""
    folder = Path(tempfile.mkdtemp(prefix="hermes-init-budget-"))
    try:
        home = str(volume(folder, count, state, lifecycle) / "profiles")
        fresh, again = trace(folder), trace(folder)
        on_volume = [call for call in again if home in call]
        return len(fresh), len(again), len(on_volume), [call for call in on_volume if WRITES.search(call)]
    finally:
        shutil.rmtree(folder)


def start_up():
    """System calls of `--version` before the line is written."""
    done = subprocess.run(["strace", EXE, "--version"], capture_output=True, text=True, timeout=20, check=True)
    calls = [line for line in done.stderr.splitlines() if re.match(r"\w+\(", line)]
    return next(number for number, call in enumerate(calls) if call.startswith(("write(1", "writev(1")))


def peak_memory():
    """VmHWM in bytes at the end of a pass over 5 profiles: strace holds the process as it exits, and /proc says."""
    folder = Path(tempfile.mkdtemp(prefix="hermes-init-budget-"))
    try:
        volume(folder, 5, "running", True)
        held = subprocess.Popen(
            ["strace", "-o", "/dev/null", "-e", "trace=exit_group", "-e", "inject=exit_group:delay_enter=1500000", EXE,
             "reconcile", "--hermes-home", str(folder / "home"), "--scandir", str(folder / "service"), "--owner", OWNER],
            stdout=subprocess.DEVNULL)
        time.sleep(0.7)
        child = Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text().split()[0]
        status = Path(f"/proc/{child}/status").read_text()
        held.wait(timeout=20)
        assert (folder / "home/logs/container-boot.log").exists(), "the pass was not over"
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    finally:
        shutil.rmtree(folder)


def elf():
    def readelf(option):
        return subprocess.run(["readelf", option, EXE], capture_output=True, text=True, check=True).stdout

    headers, dynamic, sections = readelf("-lW"), readelf("-dW"), readelf("-SW")
    holds("static-PIE: position-independent, and no interpreter", "DYN " in headers and "INTERP" not in headers and "NEEDED" not in dynamic)
    holds("full RELRO", "GNU_RELRO" in headers and "BIND_NOW" in dynamic)
    holds("no executable stack", re.search(r"GNU_STACK.* RW ", headers) is not None)
    holds("stripped", ".symtab" not in sections)


def main():
    figure("bytes of the executable", os.path.getsize(EXE), 160 * 1024)
    elf()
    figure("system calls before its own work (--version, up to its first write)", start_up(), 25)
    worst = [0, 0, 0]
    written = []
    for state in ("running", "stopped"):
        for lifecycle in (False, True):
            few, many = passes(10, state, lifecycle), passes(110, state, lifecycle)
            per_profile = [(b - a) / 100 for a, b in zip(few[:3], many[:3])]
            worst = [max(pair) for pair in zip(worst, per_profile)]
            written += many[3]
    figure("system calls for a fresh slot", worst[0], 70)
    figure("system calls for a profile whose slot is as desired", worst[1], 48)
    figure("of these on the volume", worst[2], 14)
    holds(f"none of these writes {written[:1] or ''}", not written)
    figure("bytes of memory at the peak, 5 profiles", peak_memory(), 1 << 20)
    sys.exit(0 if all(TOOK) else 1)


if __name__ == "__main__":
    main()
