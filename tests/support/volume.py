"""A volume for a boot pass without s6, and what the pass makes of it."""

import json
import os
import subprocess

from support.program import APART, HERMES, OWNER, executable, run
from support.svscan import Svscan


class Volume:
    """A HERMES_HOME, owned by the hermes user, and a scan directory."""

    def __init__(self, place):
        self.place, self.home, self.scandir = place, place / "home", place / "service"
        Volume.latest = self.home
        self.home.mkdir()
        os.chown(self.home, HERMES, HERMES)
        self.svscan = Svscan(self.scandir)

    def profile(self, name, state=None):
        directory = os.path.join(os.fsencode(self.home), b"profiles", os.fsencode(name)) if name != "default" else os.fsencode(self.home)
        os.makedirs(directory, exist_ok=True)
        open(os.path.join(directory, b"SOUL.md"), "w").close()
        if state is not None:
            with open(os.path.join(directory, b"gateway_state.json"), "wb") as file:
                file.write(state if isinstance(state, bytes) else json.dumps({"gateway_state": state}).encode())
        subprocess.run(["chown", "-hR", OWNER, self.home], check=True)
        return directory

    def options(self):
        return ["--hermes-home", self.home, "--scandir", self.scandir, "--owner", OWNER, "--role", "gateway"]

    def reconcile(self, *options, code=0, before=(), **how):
        env = APART | {"TZ": "UTC0"} | how.pop("environment", {})
        done = run([*before, executable(), "reconcile", *self.options(), *options], env=env, **how)
        assert code is None or done.returncode == code, done
        return done

    def outcomes(self, *options, **how):
        """Runs a pass. Returns its JSON objects by profile: one for each name."""
        found = {}
        for line in self.reconcile("--json", *options, **how).stdout.splitlines():
            outcome = json.loads(line)
            assert outcome["profile"] not in found
            found[outcome["profile"]] = outcome
        return found

    def log(self):
        return (self.home / "logs/container-boot.log").read_text()

    def slot(self, profile):
        return self.scandir / f"gateway-{profile}"


def expected_slot(down, owner=OWNER, skeleton=OWNER, supervise="755", event="3730", control="660", home=None):
    """Returns the tree of a slot. The passes of these tests take HERMES_HOME, that of the test's volume by default, from an option."""
    exe = os.path.realpath(executable()).encode()
    home = b"HERMES_HOME=%s\n" % os.fsencode(home or Volume.latest)
    tree = {
        b".": f"dir 755 {owner}",
        b"log": f"dir 755 {owner}",
        b"type": f"file 644 {owner} {b'longrun' + bytes([10])!r}",
        b"run": f"file 755 {owner} {b'#!' + exe + b' gateway-run' + bytes([10]) + home!r}",
        b"finish": f"file 755 {owner} {b'#!' + exe + b' gateway-finish' + bytes([10])!r}",
        b"log/run": f"file 755 {owner} {b'#!' + exe + b' gateway-log' + bytes([10]) + home!r}",
    }
    if down:
        tree[b"down"] = f"file 644 {owner} b''"
    for base in (b"", b"log/"):
        tree |= {
            base + b"event": f"dir {event} {owner}",
            base + b"supervise": f"dir {supervise} {skeleton}",
            base + b"supervise/event": f"dir {event} {owner}",
            base + b"supervise/control": f"fifo {control} {skeleton}",
        }
    return tree


def hermes_owns(*paths):
    for path in paths:
        subprocess.run(["chown", "-hR", OWNER, path], check=True)
