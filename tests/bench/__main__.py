"""Measures, prints the tables, and draws the plot: target/bench.md, target/bench.svg, and target/bench.json with each figure. Exits with 1
where a goal is not met. Needs root, s6 and FUSE. `make bench` runs it."""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from bench import cases, plot, report
from support.program import ROOT, executable
from support.testbed import Bed

# The gateways of the bed.
STAND_IN = "#!/bin/sh\nexec sleep 1000000\n"
HOUR = 3600


def plain(times):
    return {name: dataclasses.asdict(one) for name, one in times.items()}


def measure(given):
    """Runs in the bed. Returns all figures."""
    subprocess.run("mkdir /run/bench && mount -t tmpfs -o mode=0755,nr_inodes=0 tmpfs /run/bench", shell=True, check=True)

    def rounds(most):
        return min(given.rounds or most, most)

    def say(what):
        print(f"bench: {what}", file=sys.stderr, flush=True)

    version = subprocess.run([cases.EXE, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    found = {"machine": report.machine(), "version": version, "reference": given.reference, "reconcile": [], "slow": []}
    say("start-up, gateway-run")
    found["start-up"] = plain(cases.start_up(rounds(101)))
    found["gateway-run"] = plain(cases.gateway_run(rounds(51)))
    for size in given.sizes:
        say(f"boot passes over {size:,} profiles")
        for kind, times in cases.reconcile(size, rounds(31 if size < 100 else 15 if size < 1000 else 7), given.reference):
            found["reconcile"].append({"profiles": size, "kind": kind, "times": plain(times)})
    for cache in (0, 1):
        for stale in (False, True):
            row = {"cache": cache, "stale": stale}
            say(f"a slow volume: {report.volume_of(row)}")
            found["slow"].append(row | {"times": plain(cases.slow_volume(stale, cache, rounds(7), given.reference))})
    # Last, since these gateways stay.
    say("status, health")
    found["live"] = plain(cases.live(rounds(31)))
    return found


def main():
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--sizes", default="1 5 50 500 5000", type=lambda text: [int(word) for word in text.split()])
    parser.add_argument("--reference", default="", help="the command that makes the same pass")
    parser.add_argument("--rounds", default=0, type=int, help="at most so many of each")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        Path(given.inside).write_text(json.dumps(measure(given)))
        return 0
    for needed, is_there in (("root", os.geteuid() == 0), ("FUSE (/dev/fuse)", os.path.exists("/dev/fuse"))):
        if not is_there:
            print(f"bench: fatal: this needs {needed}", file=sys.stderr)
            return 1
    results, page, picture = (ROOT / f"target/bench.{kind}" for kind in ("json", "md", "svg"))
    executable()
    # Whatever happens, its mounts and processes end with it.
    with Bed(stand_in=STAND_IN) as bed:
        argv = [sys.executable, "-m", "bench", "--inside", str(results), *sys.argv[1:]]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
        if subprocess.run(bed.command(argv), env=environment, check=False, timeout=HOUR).returncode != 0:
            return 1
    found = json.loads(results.read_text())
    page.write_text(report.markdown(found) + "\n")
    print(page.read_text())
    if why := plot.draw(found, picture):
        print(f"bench: warning: no plot: {why}", file=sys.stderr)
    return 1 if any(is_met is False for is_met, _ in report.goals(found)) else 0


if __name__ == "__main__":
    sys.exit(main())
