"""Gateways as an ordinary user has them: s6-svscan on a scan directory and a volume of that user's own. Root is not needed. Where root
runs the tests, s6 runs as an ordinary user."""

import contextlib
import os
import subprocess

from support.program import ROOT, executable, run, wait_for

NOBODY = 65534

# The stand-in for hermes does what the file of its profile says. What outlives a kill soon ends and holds no pipe.
HERMES = """#!/bin/sh
echo "started $2 as $(id -u) in $(pwd)"
read -r what < "$HERMES_HOME/do.$2" 2>/dev/null || what=
[ -z "$what" ] || exit "$what"
trap 'exit 0' TERM
while :; do sleep 1 >/dev/null 2>&1 & wait $!; done
"""


class Own:
    """A context manager: the user's s6-svscan, volume and stand-in for hermes, in `place`."""

    def __init__(self, place):
        self.uid = os.geteuid() or NOBODY
        self.home, self.scandir, self.bin = place / "home", place / "service", place / "bin"
        self.environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HERMES_HOME": str(self.home),
            "S6_PROFILE_GATEWAY_SCANDIR": str(self.scandir),
            "HERMES_INIT_ROLE": "gateway",
            "HERMES_GATEWAY_NO_SUPERVISE": "1",
        }
        self.svscan = None
        self.bin.mkdir()
        (self.bin / "hermes").write_text(HERMES)
        (self.bin / "hermes").chmod(0o755)
        (self.home / "profiles").mkdir(parents=True)
        if os.geteuid() == 0:
            for path in (place, self.home, self.home / "profiles"):
                os.chown(path, self.uid, self.uid)

    def user(self):
        """Returns the options with which subprocess becomes the ordinary user."""
        return {"user": self.uid, "group": self.uid, "extra_groups": []} if os.geteuid() == 0 else {}

    def begin(self):
        """Boots: an empty scan directory, s6-svscan, the boot pass, a scan."""
        run(["rm", "-rf", self.scandir])
        run(["mkdir", self.scandir], **self.user())
        self.svscan = subprocess.Popen(
            [ROOT / "tests/with-home", "s6-svscan", self.scandir],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self.user(),
        )
        wait_for(lambda: self.s6("s6-svscanctl", "-z").returncode == 0, what="s6-svscan")
        done = self.init("reconcile", "--owner", f"{self.uid}:{self.uid}")
        assert done.returncode == 0, done
        assert self.s6("s6-svscanctl", "-a").returncode == 0
        return done.stdout.decode()

    def end(self):
        if self.svscan is None:
            return
        self.s6("s6-svscanctl", "-t")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.svscan.wait(timeout=10)
        self.svscan.kill()
        self.svscan.wait()
        self.svscan = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def s6(self, program, *options, service=""):
        return run(["timeout", "5", program, *options, self.scandir / service], env=self.environment, **self.user())

    def init(self, *arguments):
        return run([executable(), *arguments], env=self.environment, cwd="/", **self.user())

    def profile(self, name, state=None, what=""):
        """Creates a profile; the stand-in exits with `what`, if that is not empty."""
        profile = self.home / "profiles" / name
        profile.mkdir()
        (profile / "SOUL.md").touch()
        if state:
            (profile / "gateway_state.json").write_text(f'{{"gateway_state": "{state}"}}')
        (self.home / f"do.{name}").write_text(f"{what}\n")
        if os.geteuid() == 0:
            for path in (profile, *profile.iterdir()):
                os.chown(path, self.uid, self.uid)

    def pid(self, name):
        """Returns the process ID of a gateway, or -1 if it is down."""
        return int(self.s6("s6-svstat", "-o", "pid", service=f"gateway-{name}").stdout or -1)

    def up(self, name, other_than=-1):
        """Waits until a gateway is up, and not as one process, and returns its process ID."""
        return wait_for(lambda: (pid := self.pid(name)) not in (-1, other_than) and pid, what=f"{name} up")

    def down(self, name):
        wait_for(lambda: self.pid(name) == -1, what=f"{name} down")
