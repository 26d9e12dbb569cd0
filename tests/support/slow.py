"""A slow volume, as behind a network: a directory, mounted once more with FUSE, each answer of which takes some milliseconds. Requests wait at
the same time, so as many at once take as long as one. As a program, by root:

    slow.py DIRECTORY MOUNTPOINT [--delay MILLISECONDS] [--cache SECONDS] [--no-negative]

For each line of its input it prints the requests up to then, by kind and without those that forget, as JSON; at the end of its input it
unmounts the file system. --cache is for how long the kernel may keep attributes and names, and that a name is not there, as with NFS
and SMB; with --no-negative not the latter."""

import argparse
import collections
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from support import fuse
from support.many_profiles import make
from support.testbed import Bed

FLAGS = (
    fuse.Flag.ASYNC_READ
    | fuse.Flag.ATOMIC_O_TRUNC
    | fuse.Flag.BIG_WRITES
    | fuse.Flag.AUTO_INVAL_DATA
    | fuse.Flag.DO_READDIRPLUS
    | fuse.Flag.READDIRPLUS_AUTO
    # As many looks at once in one directory as there are.
    | fuse.Flag.PARALLEL_DIROPS
)
# More than the program has threads.
THREADS = 64


class Server(fuse.Server):
    flags = FLAGS
    # Python asks of each file that it opens whether it is a terminal; clients of NFS and SMB know by themselves that it is none.
    local = (fuse.Op.INIT, fuse.Op.IOCTL)


class Slow:
    """A slow volume as long as it is entered. `before` is an argv prefix with which the server runs, for example one that enters the
    namespace of a bed."""

    def __init__(self, directory, mountpoint, delay=2.0, cache=0.0, negative=True, before=()):
        self.mountpoint = mountpoint
        options = ["--delay", str(delay), "--cache", str(cache), *([] if negative else ["--no-negative"])]
        self.argv = [*map(str, before), sys.executable, __file__, str(directory), str(mountpoint), *options]
        self.server, self.origin = None, collections.Counter()

    def __enter__(self):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        self.server = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            self.reset()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.server.stdin.close()
        try:
            self.server.wait(timeout=20)
        finally:
            self.server.kill()
            self.server.stdout.close()
            self.server.wait(timeout=20)

    def all(self):
        print(file=self.server.stdin, flush=True)
        line = self.server.stdout.readline()
        assert line, "the server of the slow volume has ended"
        return collections.Counter(json.loads(line))

    def reset(self):
        """Counts from now on."""
        self.origin = self.all()

    @property
    def requests(self):
        """The requests since the last reset, by kind."""
        return self.all() - self.origin


def requests_of_a_pass(stale):
    """Counts the requests of a first pass over 20 profiles, by kind. They take no time, and what the kernel keeps it keeps for the whole
    pass: so the counts do not depend on the machine."""
    with Bed() as bed:
        make(bed.path("/opt/data"), 20, stale=stale)
        with Slow("/opt/data", "/opt/data", delay=0, cache=600, before=bed.command([])) as volume:
            bed.init("reconcile")
            return volume.requests


def name_of(opcode):
    return fuse.Op(opcode).name if opcode in fuse.Op._value2member_map_ else f"request {opcode}"


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("mountpoint")
    parser.add_argument("--delay", type=float, default=2.0)
    parser.add_argument("--cache", type=float, default=0.0)
    parser.add_argument("--no-negative", action="store_true")
    given = parser.parse_args(arguments)
    sys.setswitchinterval(0.0005)
    directory = os.open(given.directory, os.O_PATH | os.O_DIRECTORY)
    # With a name at its end it is the directory and no link. It is still the one below when it is mounted over itself.
    server = Server(f"/proc/self/fd/{directory}/.", given.cache, not given.no_negative, given.delay / 1000, THREADS)
    device = fuse.mount("slow", given.mountpoint)
    threading.Thread(target=server.serve, args=(device,), daemon=True).start()
    try:
        for number, _ in enumerate(sys.stdin, 1):
            # Closed files are released after close(2), but before any later request. So this one comes last, and does not count.
            # Another process asks: this one, killed meanwhile, would wait for itself for ever.
            subprocess.run(["stat", "-f", given.mountpoint], stdout=subprocess.DEVNULL, check=True)
            counted = collections.Counter(server.requests)
            counted[fuse.Op.STATFS] -= number
            print(json.dumps({name_of(opcode): count for opcode, count in sorted(counted.items()) if count}), flush=True)
    finally:
        fuse.unmount(given.mountpoint)


if __name__ == "__main__":
    main(sys.argv[1:])
