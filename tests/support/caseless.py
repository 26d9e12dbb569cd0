"""A file system in which the case of a name does not matter and is kept, as on an SMB server or a Mac's share: a directory, mounted once more
with FUSE. As a program: caseless.py DIRECTORY MOUNTPOINT [ERRNO], by root, until it is unmounted; with ERRNO, that is what it says to
whoever locks a file with flock(2), as a server does that has no locks. It needs no case folding of the kernel's own file systems."""

import errno
import os
import sys
from pathlib import Path

from support import fuse
from support.program import wait_for


def mounted(bed, mountpoint, locking=None):
    """Mounts a directory of a bed once more, over itself. `locking` is the errno of locks, if it has none."""
    where = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    variables = [f"{key}={value}" for key, value in where.items()]
    script = 'mount --bind "$0" /run/below; exec env "$@" >/run/caseless.log 2>&1 &'
    bed.run(["mkdir", "/run/below"])
    done = bed.run(
        ["sh", "-c", script, mountpoint, *variables, sys.executable, __file__, "/run/below", mountpoint, *([locking] if locking else [])]
    )
    assert done.returncode == 0, done
    wait_for(lambda: fuse.is_mounted(bed, mountpoint), what=bed.path("/run/caseless.log").read_text)


class Server(fuse.Server):
    """Finds an entry in any spelling."""

    def __init__(self, directory, locking=None):
        super().__init__(directory)
        self.locking = locking
        if locking:
            # The kernel asks about flock(2).
            self.flags = fuse.Flag.FLOCK_LOCKS

    def below(self, node, name):
        """Returns the path of an entry, in the spelling of its directory if it is there."""
        folder = self.paths[node]
        own = [entry for entry in os.listdir(folder) if entry.lower() == name.lower()]
        return os.path.join(folder, *(own or [name]))

    def setlk(self, request):
        raise OSError(getattr(errno, self.locking or "ENOSYS"), "no locks")

    setlkw = setlk


def main(directory, mountpoint, locking=None):
    Server(directory, locking).serve(fuse.mount("caseless", mountpoint))


if __name__ == "__main__":
    main(*sys.argv[1:])
