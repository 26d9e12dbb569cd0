"""Containers: a PID and mount namespace in which podman has everything to itself, and in it the image that README.md's
Dockerfile block makes of a base which stands in for the Hermes Agent image, with the image that `make image` builds.

The base has this machine's s6, execline and busybox; rootfs/ is what the Hermes Agent image adds to them. Storage, /run and /dev/shm
are tmpfs of the namespace, so that nothing of a test outlives it, and nothing of the machine's own podman is seen or touched.
"""

import copy
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from support.installation import HOST, make, project, shippable, shipping
from support.namespace import isolated
from support.program import HERMES, ROOT, run, wait_for

IMAGE_FILES = ROOT / "tests/image"
IMAGE = "localhost/hermes-image"
BASE = "localhost/your-hermes-image"
PAUSE = "localhost/pause"
TO_COPY = "localhost/hermes-init"
PLATFORM = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
PROGRAMS = ("podman", "crun", "conmon", "busybox", "s6-svscan", "execlineb", "cc")
PATH = "/opt/hermes/bin:/opt/data/.local/bin:/usr/bin:/bin"
STATIC = ("dashboard", "main-hermes")

CONTAINERS = """
[containers]
cgroups = "disabled"
netns = "none"
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# A pod has a control group. The containers in it have none, as all others: crun would set a filter of devices there, for which root may
# lack a capability.
PODS = (
    CONTAINERS.replace('cgroups = "disabled"', 'cgroups = "enabled"')
    + f"""
infra_image = "{PAUSE}"
[engine.runtimes]
crun = ["{{folder}}/crun"]
"""
)
CRUN = """#!/bin/sh
exec crun --cgroup-manager=disabled "$@"
"""
# What holds the namespaces of a pod.
PAUSE_FILE = f"""FROM {BASE}
ENTRYPOINT ["/bin/sh", "-c", "trap exit TERM; while :; do sleep 1000 & wait $!; done"]
"""
STORAGE = """
[storage]
driver = "{driver}"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"""
# crun refuses a mixed hierarchy of control groups. Those of pods are below one of this name, and process 1 is in one of its own: a group
# that has processes can have no controllers for its children. Process 1 reaps what podman leaves behind.
SCRIPT = """set -e
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkdir -p /var/lib/containers
mount -t tmpfs -o mode=0755 tmpfs /var/lib/containers
mkdir -m 1777 /run/tmp
umount -R /sys/fs/cgroup 2>/dev/null || :
mount -t cgroup2 none /sys/fs/cgroup
if mkdir -p "/sys/fs/cgroup/$1/init" 2>/dev/null; then
    mount --bind "/sys/fs/cgroup/$1" /sys/fs/cgroup
    echo $$ > /sys/fs/cgroup/init/cgroup.procs
fi
touch /run/ready
while :; do sleep 1000 & wait $!; done
"""
# Removes these control groups when no process is left in them.
SWEEP = """mount -t cgroup2 none /sys/fs/cgroup
cd /sys/fs/cgroup
[ ! -d "$1" ] || exec find "$1" -depth -type d -exec rmdir {} +
"""


def dockerfile():
    """README.md's block for an image of Hermes."""
    return blocks()[0]


def from_source():
    """The same from source, as README.md says it: the first stage of its other block, and its line."""
    line = re.search(r"the line is `(COPY --from=hermes-init \S+ /)`", (ROOT / "README.md").read_text())[1]
    assert line in blocks()[1]
    return blocks()[1].partition("FROM debian")[0] + dockerfile().replace("COPY --from=hermes-init / /", line)


def with_dashboard():
    """The same for an image without a dashboard, with the line that README.md has for it."""
    return dockerfile() + re.search(r"`(RUN for d in .*; done)`", (ROOT / "README.md").read_text())[1] + "\n"


def blocks():
    """README.md's blocks of a Dockerfile: the one for an image of Hermes, and the one to try it."""
    return re.findall(r"^```dockerfile\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def missing():
    """Why podman cannot run on this machine, or None."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [program for program in PROGRAMS if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if absent:
        return f"needs {', '.join(absent)}"
    return None


class Podman:
    """The namespace, with the images in it. `with Podman() as podman: podman.start(...)`."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hermes-init-podman-"))
        self.unshare = self.pid = None
        self.containers = 0
        self.configuration = "containers.conf"

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        self.folder.chmod(0o755)
        (self.folder / "containers.conf").write_text(CONTAINERS)
        (self.folder / "pods.conf").write_text(PODS.format(folder=self.folder))
        (self.folder / "crun").write_text(CRUN)
        (self.folder / "crun").chmod(0o755)
        overlay = "\toverlay\n" in Path("/proc/filesystems").read_text()
        (self.folder / "storage.conf").write_text(STORAGE.format(driver="overlay" if overlay else "vfs"))
        with open(self.folder / "log", "wb") as log:
            self.unshare = subprocess.Popen(
                isolated("sh", "-c", SCRIPT, "sh", self.folder.name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        children = Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children")

        def ready():
            assert self.unshare.poll() is None, (self.folder / "log").read_bytes()
            self.pid = next(iter(children.read_text().split()), None)
            return self.pid and Path(f"/proc/{self.pid}/root/run/ready").exists()

        wait_for(ready, 30, "the namespace")

    def __exit__(self, *_):
        if self.unshare is not None:
            if self.unshare.poll() is None:
                self.unshare.send_signal(signal.SIGKILL)
            self.unshare.wait(timeout=20)
            # With its first process all others end, and with the last one the mounts.
            wait_for(lambda: not (self.pid and os.path.exists(f"/proc/{self.pid}/root/run/ready")), 20, "the end of the namespace")
            run(["unshare", "--mount", "sh", "-c", SWEEP, "sh", self.folder.name])
        shutil.rmtree(self.folder, ignore_errors=True)

    def engine(self):
        """Creates a program that is podman in the namespace, for `make image`."""
        path = self.folder / "engine"
        variables = " ".join(f"{name}={value}" for name, value in self.environment().items())
        path.write_text(f'#!/bin/sh\nexec nsenter -t {self.pid} -m -p -- env -i {variables} BUILDAH_ISOLATION=chroot podman "$@"\n')
        path.chmod(0o755)
        return path

    def environment(self):
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
            "HOME": "/root",
            "TMPDIR": "/run/tmp",
            "CONTAINERS_CONF": str(self.folder / self.configuration),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    def call(self, *words, code=0, timeout=60, together=False):
        """Runs podman to its end; checks its exit code unless that is None. `together` makes one of its two streams."""
        done = self._enter(["podman", *words], timeout, together)
        assert code is None or done.returncode == code, (words, done)
        return done

    def _enter(self, argv, timeout, together=False, **variables):
        merge = ("sh", "-c", 'exec "$@" 2>&1', "sh") if together else ()
        enter = ["nsenter", "-t", self.pid, "-m", "-p", "--", *merge]
        return run([*enter, *argv], timeout=timeout, env=self.environment() | variables, cwd="/")

    def pods(self):
        """Returns the same namespace, for `podman kube play` and what belongs to pods."""
        (self.folder / "pause").write_text(PAUSE_FILE)
        self.call(
            "build", "--isolation", "chroot", "--pull=never", "-f", self.folder / "pause", "-t", PAUSE, ROOT / "tests/image/rootfs/etc"
        )
        pods = copy.copy(self)
        pods.configuration = "pods.conf"
        return pods

    def compose(self, files, *words, timeout=60, **variables):
        """Runs podman-compose to its end on compose files, of which a later one overrides an earlier one."""
        named = [word for file in files for word in ("-f", str(file))]
        done = self._enter([Path(sys.executable).parent / "podman-compose", "--in-pod=0", *named, *words], timeout, **variables)
        assert done.returncode == 0, (words, done)
        return done

    def volume(self, name):
        """Makes a volume of podman, and returns its folder as this process sees it. What the image has in its place was copied by the
        first container that has it."""
        self.call("volume", "create", name)
        self.call("run", "--rm", "-v", f"{name}:/mnt", "--entrypoint", "/bin/true", BASE)
        inside = self.call("volume", "inspect", "--format", "{{.Mountpoint}}", name).stdout.decode().strip()
        return Path(f"/proc/{self.pid}/root{inside}")

    def host(self, *argv):
        """What a command prints that is run where podman runs."""
        done = run(["nsenter", "-t", self.pid, "-m", "-p", "--", *argv], cwd="/")
        assert done.returncode == 0, done
        return done.stdout.decode()

    def base(self):
        """Makes the base, and runs a container of it: what fails here is this machine's."""
        root = self.folder / "base"
        shutil.copytree(IMAGE_FILES / "rootfs", root, symlinks=True)
        for name in ("dev", "proc", "sys", "run", "tmp", "bin", "root", "usr/bin", "opt/data"):
            (root / name).mkdir(parents=True, exist_ok=True)
        s6, execline = Path(shutil.which("s6-svscan")).parent, Path("/usr/lib/execline/bin")
        # Debian's /usr/bin/execlineb finds the real ones.
        execline = execline if execline.is_dir() else Path(shutil.which("execlineb")).parent
        programs = [*s6.glob("s6-*"), *execline.iterdir(), Path(shutil.which("busybox"))]
        programs = [program for program in programs if program.open("rb").read(4) == b"\x7fELF"]
        # As in the image, s6 and execline are in /command, which is not on the container's PATH.
        for program in programs:
            shutil.copy(program, root / ("bin" if program.name == "busybox" else "command") / program.name)
        # As Debian builds them, s6's programs find each other nowhere else.
        for program in s6.glob("s6-*"):
            (root / "usr/bin" / program.name).symlink_to(f"/command/{program.name}")
        for library in sorted(set(re.findall(r"(?:=> )?(/\S+) \(0x", run(["ldd", *programs]).stdout.decode()))):
            target = root / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
        for applet in run(["busybox", "--list"]).stdout.decode().split():
            if not (root / "bin" / applet).exists():
                (root / "bin" / applet).symlink_to("busybox")
        done = run(["cc", "-static", "-O1", "-Wall", "-Werror", "-o", root / "package/stages/preinit-as-root", IMAGE_FILES / "suexec.c"])
        assert done.returncode == 0, done

        def owned(entry):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            # Not as the umask had it when the clone was made.
            entry.mode = 0o4755 if entry.name.endswith("/preinit-as-root") else 0o755 if entry.mode & 0o100 else 0o644
            return entry

        archive = self.folder / "base.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(root, arcname=".", filter=owned)
        changes = [
            f"ENV PATH={PATH}",
            "ENV HERMES_HOME=/opt/data",
            "WORKDIR /opt/hermes",
            'ENTRYPOINT ["/init", "/opt/hermes/docker/main-wrapper.sh"]',
        ]
        self.call("import", "-q", *[word for change in changes for word in ("--change", change)], archive, BASE)
        archive.unlink()
        shutil.rmtree(root)
        self.call("run", "--rm", "--entrypoint", "/bin/true", BASE)

    def image(self, target=HOST, platform=PLATFORM):
        """Builds the image to copy from with `make image`."""
        folder = self.folder / target
        folder.mkdir(exist_ok=True)
        copy = folder / "project" if (folder / "project").exists() else shippable(folder, [target])
        return make(copy, "image", f"ENGINE={self.engine()}", f"PLATFORM={platform}", f"TARGETS={target}", environment=shipping())

    def build(self, image=IMAGE, base=None, text=None, contexts=()):
        """Builds README.md's Dockerfile block, or another text, on the base, or on another one."""
        context = self.folder / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(text or dockerfile())
        contexts = [f"--build-context={context}" for context in contexts]
        if base is not None:
            contexts += [f"--build-context=your-hermes-image=container-image://{base}"]
        words = ["--isolation", "chroot", "--layers=false", "--pull=never", *contexts, "-f", context / "Dockerfile", "-t", image, context]
        return self.call("build", *words, timeout=120)

    def build_from_source(self, image):
        """The same with README.md's block that builds from source. Its first stage needs the network; what `make install` lays down there
        takes its place, as a build context of the same name."""
        out = self.folder / "hermes-init"
        if not out.exists():
            make(project(self.folder), "install", f"DESTDIR={out}/out")
        return self.build(image, text=from_source(), contexts=[f"hermes-init={out}"])

    def save(self, archive):
        """Saves the images for the other workers of this run."""
        self.call("save", "-q", "-m", "-o", f"{archive}.new", BASE, IMAGE, TO_COPY)
        os.rename(f"{archive}.new", archive)

    def load(self, archive):
        """Loads what another one saved."""
        self.call("load", "-q", "-i", archive)

    def start(self, volume, *command, options=(), image=IMAGE, topology="per-profile"):
        """Starts a container on a volume, detached. `topology=None`: the one that the Dockerfile sets."""
        self.containers += 1
        if topology is not None:
            options = ["-e", f"HERMES_INIT_TOPOLOGY={topology}", *options]
        name = f"c{self.containers}"
        self.call("run", "-d", "--name", name, "-v", f"{volume}:/opt/data", *options, image, *command)
        return Container(self, name)

    def boot(self, volume, *command, **options):
        """The same, and waits until it has booted; cleans up where it does not."""
        container = self.start(volume, *command, **options)
        try:
            return container.booted()
        except BaseException:
            container.__exit__()
            raise


class Container:
    """A container. `with podman.start(volume) as container: container.run("hermes-init", "status")`."""

    def __init__(self, podman, name):
        self.podman, self.name, self.boots = podman, name, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.podman.call("rm", "-f", "-t", "0", self.name, code=None)

    def run(self, *argv, user="hermes", code=0):
        """What `podman exec` of a command as a user gives; checks its exit code unless that is None."""
        return self.podman.call("exec", "-u", user, self.name, *argv, code=code)

    def init(self, *arguments, **options):
        """The same of hermes-init."""
        return self.run("hermes-init", *arguments, **options)

    def sh(self, script, **options):
        """What a shell script prints."""
        return self.run("sh", "-c", script, **options).stdout.decode()

    def log(self):
        """What the container wrote to both of its streams, in the order of time."""
        return self.podman.call("logs", self.name, together=True).stdout.decode(errors="replace")

    def inspect(self, what):
        return self.podman.call("inspect", "--format", "{{." + what + "}}", self.name).stdout.decode().strip()

    def running(self):
        return self.inspect("State.Running") == "true"

    def said(self, text, seconds=15.0):
        """Waits for a text in the container's log."""
        wait_for(lambda: text in self.log(), seconds, f"{text!r} in the log of the container")

    def status(self, *names, user="hermes"):
        """`status --json`: profile to what is said about it."""
        lines = self.init("status", "--json", *names, user=user).stdout.splitlines()
        return {said["profile"]: said for said in map(json.loads, lines)}

    def states(self, user="hermes"):
        return {name: said["state"] for name, said in self.status(user=user).items() if name}

    def until(self, states, seconds=15.0, user="hermes"):
        """Waits until these profiles, which are all, are in these states."""
        last = {}

        def so():
            last.clear()
            last.update(self.states(user))
            return last == states

        try:
            wait_for(so, seconds)
        except AssertionError:
            raise AssertionError(f"{last} after {seconds} seconds, and not {states}: {self.log()}") from None

    def service(self, name, user="hermes"):
        """`up` or `down`, as s6-svstat says of a service."""
        done = self.run("/command/s6-svstat", "-o", "up", f"/run/service/{name}", user=user, code=None)
        return {b"true\n": "up", b"false\n": "down"}.get(done.stdout, done.stderr.decode())

    def booted(self, seconds=15.0):
        """Waits until the boot is done: cont-init.d is over, and the static services are told to start."""
        self.boots += 1
        wait_for(lambda: self.log().count("main-hermes is up\n") >= self.boots, seconds, "the end of the boot")
        return self

    def stop(self, seconds=10):
        """`podman stop`: how long it took, and the container's exit code."""
        before = time.monotonic()
        self.podman.call("stop", "-t", seconds, self.name)
        return time.monotonic() - before, int(self.inspect("State.ExitCode"))

    def restart(self):
        """`podman restart`, and waits until it has booted."""
        self.podman.call("restart", "-t", "10", self.name)
        return self.booted()


class Volume:
    """A volume: a folder of the hermes user; `owner` is the uid that this is outside of the container."""

    def __init__(self, folder, owner=HERMES):
        self.folder, self.owner = folder, owner
        folder.mkdir()
        folder.chmod(0o755)
        self.own()

    def __str__(self):
        return str(self.folder)

    def own(self):
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, self.owner, self.owner, follow_symlinks=False)

    def home(self, profile):
        return self.folder if profile == "default" else self.folder / "profiles" / profile

    def profile(self, name, state=None, does=None, soul=True):
        """Makes a profile; `state` is that of gateway_state.json or its text, `does` what the stand-in does."""
        home = self.home(name)
        home.mkdir(parents=True, exist_ok=True)
        if soul:
            (home / "SOUL.md").touch()
        if state is not None:
            text = f'{{"gateway_state": "{state}"}}' if re.fullmatch("[a-z_]+", state) else state
            (home / "gateway_state.json").write_text(text)
        if does is not None:
            (home / "do").write_text(does + "\n")
        self.own()
        return home

    def state(self, name):
        return json.loads((self.home(name) / "gateway_state.json").read_text())

    def current(self, name):
        """What a gateway's logger wrote."""
        path = self.folder / "logs/gateways" / name / "current"
        return path.read_text(errors="replace") if path.exists() else ""

    def boots(self):
        """The lines of container-boot.log, as dictionaries."""
        lines = (self.folder / "logs/container-boot.log").read_text().splitlines()
        return [dict(word.split("=", 1) for word in line.split(" ")[1:] if "=" in word) for line in lines]
