"""What is timed, in a bed: its /run is a tmpfs, and s6-svscan is its process 1."""

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.measure import NO_ENVIRONMENT, Contender, in_turn
from support.many_profiles import make
from support.program import APART, OWNER, run, wait_for
from support.slow import Slow
from support.svscan import Svscan

EXE = "/run/bed/bin/hermes-init"
TOP = Path("/run/bench")
OURS, REFERENCE, TRUE, SCRIPT = "hermes-init", "reference", "/bin/true", "shell script"
# Enough for the largest volume.
ENVIRONMENT = APART | {"HERMES_INIT_MAX_SERVICES": "20000"}
GATEWAYS = 50
SLOW_PROFILES, DELAY = 20, 2.0

# What Hermes Agent's slots execute, with s6's own programs instead of s6-overlay's with-contenv: environment, home, user, program.
GATEWAY_SCRIPT = """#!/bin/sh
set -e
[ "$1" = inside ] || exec env -i PATH=/usr/bin:/bin s6-envdir -Lf /run/s6/container_environment "$0" inside
export HOME=/opt/data HERMES_S6_SUPERVISED_CHILD=1 HERMES_SUPERVISED_CHILD=1
cd /opt/data
exec s6-setuidgid hermes hermes -p profile-0000 gateway run --replace
"""


def boot_pass(name, home, scandir, around, reference):
    """Returns the contender that makes a pass: ours, or the one that is named as a reference, which gets its settings as Hermes Agent's
    module does."""
    if name == OURS:
        argv = [EXE, "reconcile", "--hermes-home", str(home), "--scandir", str(scandir), "--owner", OWNER]
        return Contender(name, argv, ENVIRONMENT, around)
    argv = shlex.split(reference)
    settings = {"HERMES_HOME": str(home), "S6_PROFILE_GATEWAY_SCANDIR": str(scandir), "PYTHONDONTWRITEBYTECODE": "1"}
    # A version manager of the one who measures is no part of the image's command.
    return Contender(name, [shutil.which(argv[0], path=NO_ENVIRONMENT["PATH"]) or argv[0], *argv[1:]], NO_ENVIRONMENT | settings, around)


def slots(scandir):
    return sum(name.startswith("gateway-") for name in os.listdir(scandir))


class Scandir:
    """A scan directory with what a running s6-svscan has in it, and all the slots of `profiles` after each pass."""

    def __init__(self, path, profiles):
        self.path, self.profiles, self.svscan = path, profiles, None

    def renew(self):
        if self.svscan:
            self.svscan.stop()
            shutil.rmtree(self.path)
        self.svscan = Svscan(self.path)

    def check(self):
        # That of default is one more.
        assert slots(self.path) == self.profiles + 1, f"{slots(self.path)} slots of {self.profiles} profiles in {self.path}"

    @contextlib.contextmanager
    def fresh(self):
        self.renew()
        yield self.check

    @contextlib.contextmanager
    def settled(self):
        yield self.check

    def remove(self):
        self.svscan.stop()
        shutil.rmtree(self.path)


def reconcile(size, rounds, reference):
    """The pass over a number of profiles, without slots and with all of them. Yields which of the two, and Times by contender."""
    with tempfile.TemporaryDirectory(dir=TOP) as folder:
        os.chmod(folder, 0o755)
        contenders = {"fresh": [], "settled": []}
        for name in [OURS, *([REFERENCE] if reference else [])]:
            place = Path(folder) / name
            make(place / "home", size)
            scandir = Scandir(place / "service", size)
            contenders["fresh"].append(boot_pass(name, place / "home", scandir.path, scandir.fresh, reference))
            contenders["settled"].append(boot_pass(name, place / "home", scandir.path, scandir.settled, reference))
        for kind, those in contenders.items():
            yield kind, in_turn(those, rounds)


def start_up(rounds):
    return in_turn([Contender(OURS, [EXE, "--version"]), Contender(TRUE, ["/bin/true"])], rounds)


def gateway_run(rounds):
    """From the start of a slot's `run` to the end of a `hermes` that only ends."""
    own = TOP / "bin"
    own.mkdir()
    (own / "hermes").symlink_to("/bin/true")
    script = own / "run"
    script.write_text(GATEWAY_SCRIPT)
    script.chmod(0o755)
    path = Path("/run/s6/container_environment/PATH")
    before = path.read_text()
    path.write_text(f"{own}:/usr/bin:/bin")
    make(Path("/opt/data"), 1, state="running")
    scandir = TOP / "service"
    svscan = Svscan(scandir)
    subprocess.run([EXE, "reconcile", "--scandir", scandir], check=True, stdout=subprocess.DEVNULL, timeout=60)
    slot = scandir / "gateway-profile-0000"
    try:
        return in_turn(
            [
                # As s6-supervise starts it.
                Contender(OURS, [f"{slot}/run", "gateway-profile-0000"], directory=str(slot)),
                Contender(SCRIPT, [str(script)], directory=str(slot)),
                Contender(TRUE, ["/bin/true"]),
            ],
            rounds,
        )
    finally:
        svscan.stop()
        path.write_text(before)
        for name in os.listdir("/opt/data"):
            (shutil.rmtree if os.path.isdir(f"/opt/data/{name}") else os.unlink)(f"/opt/data/{name}")


def live(rounds):
    """`status` and `health` of gateways that run under the bed's s6-svscan."""
    make(Path("/opt/data"), GATEWAYS, state="running")
    for argv in ([EXE, "reconcile"], ["s6-svscanctl", "-a", "/run/service"]):
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=60)
    wait_for(lambda: run([EXE, "health", f"--min-up={GATEWAYS}"]).returncode == 0, 120, "gateways that run")
    return in_turn([Contender("status", [EXE, "status"]), Contender("health", [EXE, "health"]), Contender(TRUE, ["/bin/true"])], rounds)


def slow_volume(stale, cache, rounds, reference):
    """A first pass over a volume behind a network."""

    def around(place):
        @contextlib.contextmanager
        def volume():
            make(place / "below", SLOW_PROFILES, stale=stale)
            (place / "home").mkdir()
            scandir = Scandir(place / "service", SLOW_PROFILES)
            scandir.renew()

            def after():
                scandir.check()
                return slow.requests.total()

            try:
                with Slow(place / "below", place / "home", DELAY, cache) as slow:
                    yield after
            finally:
                scandir.remove()
                shutil.rmtree(place)

        return volume

    contenders = []
    for name in [OURS, *([REFERENCE] if reference else [])]:
        place = TOP / "slow" / name
        contenders.append(boot_pass(name, place / "home", place / "service", around(place), reference))
    return in_turn(contenders, rounds)
