"""A test bed: a PID and mount namespace with its own /run and /opt/data, in which s6-svscan is process 1.

Nothing in it outlives a test: the mounts are private to the namespace, and its processes end with process 1.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from support.namespace import isolated
from support.program import HERMES, executable, run, wait_for
from support.svscan import is_read

DOCKER = 998
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nhermes:x:10000:10000:Hermes:/opt/data:/bin/sh\n"
GROUP = b"root:x:0:\ndocker:x:998:hermes\nhermes:x:10000:\n"
SCANDIR = "/run/service"
DASHBOARD = "/run/service/dashboard"
# Where s6-rc has the static services.
SERVICES = "/run/servicedirs"

# A stand-in for the gateway: it records its arguments and environment, and then does what its file in /run/bed says.
STAND_IN = r"""#!/bin/sh
name=default
[ "$1" = -p ] && name=$2
[ "$1" = dashboard ] && name=dashboard
read -r what code 2>/dev/null < /run/bed/do.$name || what=sleep
# Set before anybody can know that it runs.
[ "$what" = stubborn ] && trap "" TERM || trap "exit 0" TERM
cat /proc/$$/cmdline > /run/bed/argv.$name
cat /proc/$$/environ > /run/bed/environ.$name
echo "$(id -u) $(id -g) $(id -G) $(pwd)" > /run/bed/identity.$name.new
mv /run/bed/identity.$name.new /run/bed/identity.$name
echo "started $name"
[ "$what" = exit ] && exit "$code"
if [ "$what" = chatty ]; then
    seq -f "a line of the gateway, so many that no pipe holds them: %g" 2000
    echo "the last line"
fi
while :; do sleep 60 & wait $!; done
"""


class Bed:
    """The namespace, a context manager. Without `svscan`, process 1 only sleeps. `stand_in` is the program `hermes`. `volume` is a folder
    that is /opt/data and outlives the namespace, instead of an empty one. `user` is the one as whom s6-svscan runs, with these `groups`,
    as in a container with `--user`."""

    def __init__(self, svscan=True, environment=None, stand_in=STAND_IN, volume=None, user=0, groups=()):
        self.svscan, self.user, self.groups = svscan, user, groups
        self.stand_in, self.volume = stand_in, volume
        self.environment = dict(environment or {})
        self.folder = Path(tempfile.mkdtemp(prefix="hermes-init-bed-"))
        self.unshare = None
        self.pid = None

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        self.folder.chmod(0o755)
        for name, content in (("passwd", PASSWD), ("group", GROUP)):
            (self.folder / name).write_bytes(content)
        hermes = self.folder / "hermes"
        hermes.write_text(self.stand_in)
        hermes.chmod(0o755)
        shutil.copy(executable(), self.folder / "hermes-init")
        environment = {"PATH": "/run/bed/bin:/command:/usr/bin:/bin", "HERMES_HOME": "/opt/data"} | self.environment
        script = [
            "set -e",
            "mount -t tmpfs -o mode=0755 tmpfs /run",
            # The machine need not have the directory of the volume, and does not get it.
            "[ -d /opt/data ] || mount -t tmpfs -o mode=0755 tmpfs /opt",
            "mkdir -p /run/service /run/bed/bin /opt/data /run/s6/container_environment",
            f"mount --bind {self.volume} /opt/data" if self.volume else "mount -t tmpfs -o mode=0755 tmpfs /opt/data",
            "chown 10000:10000 /opt/data",
            "chmod 1777 /run/bed",
            f"mount --bind {self.folder}/passwd /etc/passwd",
            f"mount --bind {self.folder}/group /etc/group",
            f"cp {self.folder}/hermes {self.folder}/hermes-init /run/bed/bin/",
        ]
        for key, value in environment.items():
            (self.folder / f"env.{key}").write_bytes(os.fsencode(value))
            script.append(f"cp {self.folder}/env.{key} /run/s6/container_environment/{key}")
        if self.svscan:
            become = ""
            if self.user:
                groups = f"--groups {','.join(map(str, self.groups))}" if self.groups else "--clear-groups"
                become = f"setpriv --reuid {self.user} --regid {self.user} {groups} "
            script.append(f"chown {self.user}:{self.user} /run/service")
            script.append(f"cd /; exec {become}env -i PATH=/command:/usr/bin:/bin s6-svscan /run/service")
        else:
            script.append("touch /run/ready; exec sleep 100000")
        with open(self.folder / "log", "wb") as log:
            self.unshare = subprocess.Popen(
                isolated("sh", "-c", "\n".join(script)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        children = Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children")

        def child():
            if self.unshare.poll() is not None:
                raise AssertionError(f"the bed did not start: {self.log()!r}")
            return children.read_text().split()

        self.pid = int(wait_for(child, what="the namespace")[0])

        def ready():
            child()
            if not self.svscan:
                return self.path("/run/ready").exists()
            return is_read(self.path("/run/service/.s6-svscan/control"))

        wait_for(ready, what="process 1")

    def __exit__(self, *_):
        if self.unshare is not None:
            if self.svscan and self.pid and self.unshare.poll() is None:
                subprocess.run(
                    ["nsenter", "-t", str(self.pid), "-m", "-p", "--", "timeout", "5", "s6-svscanctl", "-t", "/run/service"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=20,
                    check=False,
                )
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.unshare.wait(timeout=0.3)
            if self.unshare.poll() is None:
                # A process that becomes another user loses its parent-death signal: process 1 would outlive unshare.
                if self.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self.pid, signal.SIGKILL)
                self.unshare.send_signal(signal.SIGKILL)
            self.unshare.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        """Returns the output of process 1 and its children."""
        return (self.folder / "log").read_bytes()

    def path(self, inside):
        """Returns a path in the namespace as seen from outside. It must not contain an absolute symlink."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def command(self, argv, uid=0, groups=None):
        """Returns the argv that runs `argv` in the namespace."""
        enter = ["nsenter", "-t", self.pid, "-m", "-p", "--"]
        if uid:
            enter += ["setpriv", "--reuid", uid, "--regid", uid]
            enter += ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
        return [str(word) if not isinstance(word, bytes) else word for word in [*enter, *argv]]

    def run(self, argv, uid=0, timeout=30, environment=None, groups=None):
        """Runs a command in the namespace. Its environment is PATH and `environment`."""
        env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"} | (environment or {})
        return run(self.command(argv, uid, groups), timeout=timeout, env=env, cwd="/")

    def init(self, *arguments, uid=0, timeout=60, environment=None, code=0):
        """Runs hermes-init in the namespace, and checks its exit code unless `code` is None."""
        done = self.run(["/run/bed/bin/hermes-init", *arguments], uid, timeout, environment)
        assert code is None or done.returncode == code, (arguments, done)
        return done

    def profile(self, name, state=None, **files):
        """Creates a profile on the volume, owned by the hermes user."""
        directory = self.path("/opt/data") if name == "default" else self.path("/opt/data/profiles") / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "SOUL.md").touch()
        if state is not None:
            (directory / "gateway_state.json").write_text(state if state.startswith("{") else f'{{"gateway_state": "{state}"}}')
        give_to_hermes(self.path("/opt/data"))
        return directory

    def orphan(self, name, *options, uid=HERMES):
        """Registers a gateway whose profile is removed then."""
        self.profile(name)
        self.init("register", name, *options, uid=uid)
        shutil.rmtree(self.path("/opt/data/profiles") / name)

    def rescan(self):
        """Makes s6-svscan scan, as services-up does at boot."""
        done = self.run(["timeout", "5", "s6-svscanctl", "-a", "/run/service"])
        assert done.returncode == 0, done

    def slot(self, profile):
        return f"/run/service/gateway-{profile}"

    def svstat(self, service, uid=0):
        """Returns `up` or `down`, or None if s6-svstat fails."""
        done = self.run(["timeout", "5", "s6-svstat", "-o", "up", service], uid)
        return {b"true\n": "up", b"false\n": "down"}.get(done.stdout) if done.returncode == 0 else None

    def pid_of(self, service):
        """Returns the service's process ID in the namespace, or -1 if it is down."""
        return int(self.run(["timeout", "5", "s6-svstat", "-o", "pid", service]).stdout or -1)

    def supervisors(self):
        """Returns the process IDs of all s6-supervise processes in the namespace. A child of s6-supervise has the same name until
        it executes `run` or `finish`; the parent of a supervisor is s6-svscan, process 1."""
        return self.processes("s6-supervise", parent="1")

    def processes(self, name, parent=None):
        """Returns the IDs of all processes in the namespace with a name and, if given, a parent."""
        found = []
        for entry in self.path("/proc").iterdir():
            try:
                _, comm, _, ppid, *_ = (entry / "stat").read_text().split(" ") if entry.name.isdigit() else ("", "", "", "")
            except OSError:
                # It has exited in the meantime.
                continue
            if comm == f"({name})" and parent in (None, ppid):
                found.append(int(entry.name))
        return sorted(found)

    def settle(self, seconds=15.0):
        """Waits until each slot and its logger is supervised and in its final state, so that s6 writes nothing more."""

        def settled():
            for slot in sorted(self.path("/run/service").glob("gateway-*")):
                service = f"/run/service/{slot.name}"
                state = "down" if (slot / "down").exists() else "up"
                if (self.svstat(service), self.svstat(f"{service}/log")) != (state, "up"):
                    return False
            return True

        wait_for(settled, seconds, "the final state of the slots and loggers")

    def record(self, profile, seconds=10.0):
        """Returns what a profile's stand-in has recorded: argv, `uid gid groups directory`, environment."""
        path = self.path(f"/run/bed/identity.{profile}")
        wait_for(path.exists, seconds, f"the record of {profile}")
        identity = path.read_text().strip()
        argv = self.path(f"/run/bed/argv.{profile}").read_bytes().rstrip(b"\0").split(b"\0")
        variables = self.path(f"/run/bed/environ.{profile}").read_bytes().split(b"\0")
        # The first two words belong to the shell.
        return argv[2:], identity, dict(variable.split(b"=", 1) for variable in variables if variable)

    def tell(self, profile, what):
        """Tells a profile's stand-in what to do from its next start on: `sleep`, `exit N`, `chatty` or
        `stubborn`."""
        self.path(f"/run/bed/do.{profile}").write_text(what + "\n")


def give_to_hermes(top):
    """Gives a directory with all that is in it to the hermes user. What a gateway removes meanwhile does not matter."""
    for folder, names, files in os.walk(top):
        for path in (folder, *(os.path.join(folder, name) for name in names + files)):
            with contextlib.suppress(FileNotFoundError):
                os.chown(path, HERMES, HERMES, follow_symlinks=False)


PARTS = ("type", "run", "finish", "log/run", "event", "supervise/event", "supervise/control", "log/event", "log/supervise/control")


def half_made(service):
    """Lists what is missing in the slots that s6-svscan can see."""
    return [
        f"{slot.name}/{part} is missing" for slot in Path(service).glob("gateway-*") for part in PARTS if not os.path.lexists(slot / part)
    ]


def replace_script(path, text):
    """Replaces a script that a service executes by a new file with its name, mode and owner. The kernel refuses to write to a file
    that is just being executed, and to execute one that is being written ("Text file busy"); s6 says up before it executes."""
    old, new = path.stat(), path.with_name(f".{path.name}.new")
    new.write_text(text)
    os.chown(new, old.st_uid, old.st_gid)
    new.chmod(stat.S_IMODE(old.st_mode))
    new.rename(path)


def supervised(bed, count):
    """Waits for a number of supervisors. A supervisor that ends releases its service, which unregister waits for, shortly before it
    leaves the process table."""
    wait_for(lambda: len(bed.supervisors()) == count, 5, f"{count} supervisors")


def entries(bed):
    return sorted(os.listdir(bed.path(SCANDIR)))


def desired(bed, profile):
    directory = bed.path("/opt/data") if profile == "default" else bed.path(f"/opt/data/profiles/{profile}")
    return json.loads((directory / "gateway_state.json").read_text())


def dashboard(bed):
    """Creates the dashboard's service and has s6-svscan take it."""
    folder = bed.path(DASHBOARD)
    folder.mkdir()
    for name in ("run", "finish"):
        (folder / name).write_text(f"#!/run/bed/bin/hermes-init dashboard-{name}\n")
        (folder / name).chmod(0o755)
    bed.rescan()


def static_service(bed, name):
    """Creates a service that is supervised before it is prepared, as those of s6-rc are."""
    folder = bed.path(f"{SERVICES}/{name}")
    (folder / "log").mkdir(parents=True)
    for base in (folder, folder / "log"):
        (base / "run").write_text("#!/bin/sh\nexec sleep 100000\n")
        (base / "run").chmod(0o755)
    bed.path(f"/run/service/{name}").symlink_to(f"{SERVICES}/{name}")


@functools.cache
def tai64_epoch():
    """Returns the seconds in the TAI64 label that the s6 of this machine gives to the beginning of 1970, leap seconds of today included."""
    while True:
        before = int(time.time())
        label = subprocess.run(["s6-tai64n"], input=b"\n", capture_output=True, timeout=10, check=True).stdout
        if before == int(time.time()):
            return int(label[1:17], 16) - before


def death_tally(*ages, code=1):
    """Returns the content of a supervise/death_tally: deaths that many seconds ago, with this exit code."""
    now = time.time()
    return b"".join(struct.pack(">QIBB", tai64_epoch() + int(now - age), 0, code, 0) for age in ages)
