"""A volume and a scan directory without s6, in which a test writes what supervisors write: their states and deaths, with moments that
it chooses. A supervisor is an open reading end of its FIFO."""

import json
import os
import struct
import subprocess
import time

from support.program import APART, APART_FROM_PROCESSES, HERMES, executable, run
from support.svscan import Svscan

OWNER = f"{HERMES}:{HERMES}"
# s6's label of the beginning of 1970; test_sentences.py compares it with s6-tai64n.
EPOCH = (1 << 62) + 37


def moment(seconds):
    return struct.pack(">QI", EPOCH + int(seconds), 0)


def tally(now, deaths):
    """Returns the text of a death_tally. A death is an age in seconds, an exit code and a signal."""
    return b"".join(moment(now - age) + bytes((code, signal)) for age, code, signal in deaths)


def steadily(look):
    """Calls `look` with the time until a call begins and ends in the same second, and returns what that returned: to the executable,
    too, it was this second."""
    for _ in range(60):
        now = int(time.time())
        seen = look(now)
        if int(time.time()) == now:
            return seen
        # The next one has all of a second.
        time.sleep(1 - time.time() % 1)
    raise AssertionError("no look takes less than a second")


class Forged:
    """A HERMES_HOME of the hermes user, `home`, and a scan directory, `scandir`."""

    def __init__(self, place):
        self.place, self.home, self.scandir = place, place / "home", place / "service"
        self.home.mkdir()
        os.chown(self.home, HERMES, HERMES)
        self.svscan = Svscan(self.scandir)
        self.held = {}

    def __enter__(self):
        return self

    def delegate(self):
        """Gives the scan directory to the hermes user, as a pass does."""
        for path in (self.scandir, *(self.scandir / ".s6-svscan").rglob("*"), self.scandir / ".s6-svscan"):
            os.chown(path, HERMES, HERMES)

    def __exit__(self, *_):
        self.svscan.stop()
        for end in self.held.values():
            os.close(end)

    def profile(self, name, state=None, soul=True):
        """Makes a profile. `state` is a word of its gateway, or the text of its state file."""
        folder = self.home if name == "default" else self.home / "profiles" / name
        folder.mkdir(parents=True, exist_ok=True)
        if soul:
            (folder / "SOUL.md").touch()
        if state is not None:
            (folder / "gateway_state.json").write_text(state if state.startswith(("{", "!")) else json.dumps({"gateway_state": state}))
        subprocess.run(["chown", "-hR", OWNER, self.home], check=True)
        return folder

    def boot_log(self, text):
        (self.home / "logs").mkdir(exist_ok=True)
        (self.home / "logs/container-boot.log").write_text(text)
        subprocess.run(["chown", "-hR", OWNER, self.home], check=True)

    def service(
        self,
        name,
        now=None,
        up=True,
        wanted=None,
        age=10,
        deaths=(),
        logger=None,
        held=True,
        finishing=False,
        ready=False,
        pid=4242,
        owner=(HERMES, HERMES),
        mode=0o660,
        folder=None,
    ):
        """Makes a service directory as its supervisor leaves it, or changes it. It is wanted up if it is up, unless `wanted` says
        otherwise. `logger` is the row of its logger's deaths; None: it has no logger."""
        now = int(time.time()) if now is None else now
        wanted = up if wanted is None else wanted
        base = (folder or self.scandir) / name
        supervise = base / "supervise"
        supervise.mkdir(parents=True, exist_ok=True)
        control = supervise / "control"
        if not control.exists():
            os.mkfifo(control)
        os.chown(control, *owner)
        control.chmod(mode)
        flags = 2 * finishing + 4 * wanted + 8 * ready
        last = moment(now - age)
        # What is down and has no running `finish` has got its second moment, too.
        second = moment(now - age) if not up and not finishing else moment(0)
        (supervise / "status").write_bytes(
            last + second + struct.pack(">QQHB", pid if up or finishing else 0, pid if up or finishing else 0, 0, flags)
        )
        (supervise / "death_tally").write_bytes(tally(now, deaths))
        if held and control not in self.held:
            self.held[control] = os.open(control, os.O_RDONLY | os.O_NONBLOCK)
        if logger is not None:
            # It has just ended and is started again: a process of its own would have to be s6-log.
            self.service("log", now, up=False, wanted=True, age=-3600, deaths=logger, held=held, owner=owner, mode=mode, folder=base)
        return base

    def slot(self, profile, **how):
        return self.service(f"gateway-{profile}", **{"logger": ()} | how)

    def run(self, *argv, uid=0, environment=None, before=(), code=None):
        """Runs a command of the executable on both, apart from other processes. The paths in its output are those that an image has."""
        become = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"] if uid else []
        where = ["--hermes-home", self.home, "--owner", OWNER] + ([] if argv[0] == "logs" else ["--scandir", self.scandir])
        done = run(
            [*APART_FROM_PROCESSES, *become, *before, executable(), *argv, *where],
            env=APART | {"TZ": "UTC0"} | (environment or {}),
            cwd=self.place,
        )
        done.stdout, done.stderr = self.plain(done.stdout), self.plain(done.stderr)
        assert code is None or done.returncode == code, done
        return done

    def plain(self, output):
        return output.decode().replace(str(executable()), "/usr/bin/hermes-init").replace(str(self.place), "/place")

    def rows(self, *arguments, command="status", **how):
        """Returns the rows by their name; that of a static service begins with a slash."""
        found = {}
        for line in self.run(command, "--json", *arguments, **how).stdout.splitlines():
            row = json.loads(line)
            found[row["profile"] if row["kind"] == "gateway" else "/" + row["slot"].rpartition("/")[2]] = row
        return found
