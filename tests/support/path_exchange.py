"""A process that exchanges two paths as fast as it can, as a hostile user would during a check by root."""

import contextlib
import ctypes
import itertools
import mmap
import os
import signal
import struct
import sys

AT_FDCWD = -100
EXCHANGE = 2
PR_SET_PDEATHSIG = 1


def exchange_for_ever(pairs, uid, count):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # A change of user clears it.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    renameat2 = libc.renameat2
    done = 0
    while True:
        for one, other in pairs:
            if renameat2(AT_FDCWD, one, AT_FDCWD, other, EXCHANGE) == 0:
                done += 1
                count[:8] = struct.pack("=Q", done)


@contextlib.contextmanager
def exchanging(*pairs, uid=10000):
    """Context manager: the user exchanges each pair of paths in a loop. Yields a function that returns the number of successful
    exchanges so far. An exchange fails while a path is missing or the user cannot write to its directory."""
    pairs = [(os.fsencode(one), os.fsencode(other)) for one, other in pairs]
    count = mmap.mmap(-1, 8)
    child = os.fork()
    if child == 0:
        try:
            exchange_for_ever(pairs, uid, count)
        finally:
            os._exit(1)
    try:
        yield lambda: struct.unpack("=Q", count[:8])[0]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        count.close()


def rounds(at_least, is_enough, at_most=3000):
    """Yields the numbers of the rounds of a race: `at_least` of them, and on until `is_enough()`. The limit is a number of rounds
    and not a time: on a loaded machine each round takes longer, and the race has met nothing less."""
    for number in itertools.count(1):
        yield number
        if number >= at_least and is_enough():
            return
        assert number < at_most, f"{number} rounds were not enough"


def beside(path):
    """Returns the path of the symlink that replaces `path`: a directory owned by root cannot be moved into another one."""
    return path.parent / ".link"


if __name__ == "__main__":
    # Usage in the namespace of a bed: path_exchange.py UID ONE OTHER
    exchange_for_ever([(os.fsencode(sys.argv[2]), os.fsencode(sys.argv[3]))], int(sys.argv[1]), bytearray(8))
