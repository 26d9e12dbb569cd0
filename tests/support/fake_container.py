"""A container for tests: a PID and mount namespace with its own /proc and /run, whose processes have an argv that the test chooses.
The processes only wait, and end with the namespace."""

import os
import shutil
import signal
import struct
import subprocess
import tempfile
from pathlib import Path

from support.namespace import isolated
from support.program import executable, run, wait_for

# A program for x86-64 that ignores its argv and waits: pause(2) in a loop.
CODE = b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7"
WAITER = (
    b"\x7fELF\x02\x01\x01"
    + bytes(9)
    + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 120 + len(CODE), 120 + len(CODE), 4096)
    + CODE
)
LAUNCHER = """
import os, sys, time
waiter, argvs = sys.argv[1:]
first, *others = [[bytes.fromhex(word) for word in line.split(',')] for line in open(argvs).read().splitlines()]
for argv in others:
    pid = os.posix_spawn(waiter, argv, {})
    # A new process is visible before its argv is.
    while open(f'/proc/{pid}/cmdline', 'rb').read() != b''.join(word + b'\\0' for word in argv):
        time.sleep(0.001)
os.execv(waiter, first)
"""
SVSCAN = ["s6-svscan", "-d4", "--", "/run/service"]


class FakeContainer:
    """`first` is the argv of process 1, `others` those of further processes. `environment` is the container environment, `groups` are the
    supplementary groups of all."""

    def __init__(self, others=(), first=SVSCAN, environment=None, groups=()):
        self.argvs = [[os.fsencode(word) for word in argv] for argv in [first, *others]]
        self.environment, self.groups = environment or {}, groups
        self.folder = Path(tempfile.mkdtemp(prefix="hermes-init-container-"))
        self.unshare = self.pid = None

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        waiter = self.folder / "waiter"
        waiter.write_bytes(WAITER)
        waiter.chmod(0o755)
        folder = self.folder / "environment"
        folder.mkdir()
        for key, value in self.environment.items():
            (folder / key).write_bytes(os.fsencode(value))
        script = (
            'mount -t tmpfs -o mode=0755 tmpfs /run && mkdir -p /run/s6 /run/service && cp -r "$0" /run/s6/container_environment && '
            'exec "$@"'
        )
        argvs = self.folder / "argvs"
        argvs.write_text("".join(",".join(word.hex() for word in argv) + "\n" for argv in self.argvs))
        self.unshare = subprocess.Popen(
            isolated("sh", "-c", script, folder, "python3", "-c", LAUNCHER, waiter, argvs),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            extra_groups=list(self.groups) or None,
        )
        wanted = b"".join(word + b"\0" for word in self.argvs[0])

        def started():
            assert self.unshare.poll() is None, "the container did not start"
            children = Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text().split()
            if not children:
                return False
            self.pid = int(children[0])
            return Path(f"/proc/{self.pid}/cmdline").read_bytes() == wanted

        wait_for(started, what="process 1 of the container")

    def __exit__(self, *_):
        if self.unshare is not None:
            if self.unshare.poll() is None:
                self.unshare.send_signal(signal.SIGKILL)
            self.unshare.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, argv):
        """Returns the argv that runs `argv` in the container."""
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "--", *map(str, argv)]

    def reconcile(self, *options, code=0, environment=None, timeout=30):
        """Runs the boot pass in the container. Its environment is PATH, TZ and `environment`."""
        env = {"PATH": "/usr/bin:/bin", "TZ": "UTC0"} | (environment or {})
        done = run(self.command([executable(), "reconcile", *options]), env=env, cwd="/", timeout=timeout)
        assert code is None or done.returncode == code, done
        return done
