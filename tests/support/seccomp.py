"""A seccomp filter that refuses system calls with EPERM, as older container engines do with those that they do not know, and hardened
profiles with those that they do not want. As a program: seccomp.py CALL,CALL… PROGRAM ARGUMENT…."""

import ctypes
import errno
import os
import struct
import sys

# On x86-64.
NUMBERS = {
    "access": 21,
    "capget": 125,
    "faccessat": 269,
    "faccessat2": 439,
    "fcntl": 72,
    "fgetxattr": 193,
    "flock": 73,
    "fstat": 5,
    "fstatfs": 138,
    "getdents64": 217,
    "getgroups": 115,
    "getrlimit": 97,
    "getxattr": 191,
    "ioctl": 16,
    "kill": 62,
    "lgetxattr": 192,
    "lseek": 8,
    "newfstatat": 262,
    "openat2": 437,
    "pidfd_open": 434,
    "prlimit64": 302,
    "readlinkat": 267,
    "stat": 4,
    "statfs": 137,
    "statx": 332,
}
MACHINE = 0xC000003E
LOAD, IS, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2


def filtered(calls, argv):
    """Returns the argv of a program to which the kernel refuses these calls."""
    return [sys.executable, os.path.abspath(__file__), ",".join(calls), *argv]


def install(calls):
    numbers = [NUMBERS[call] for call in calls]
    steps = [(LOAD, 0, 0, 4), (IS, 1, 0, MACHINE), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 0)]
    for place, number in enumerate(numbers):
        steps.append((IS, len(numbers) - place, 0, number))
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    code = b"".join(struct.pack("<HBBI", *step) for step in steps)
    program = ctypes.create_string_buffer(code, len(code))
    argument = ctypes.create_string_buffer(struct.pack("<H6xQ", len(steps), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    for step in ((NO_NEW_PRIVS, 1, 0, 0, 0), (SECCOMP, FILTER, ctypes.addressof(argument), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(number) for number in step)) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    install(sys.argv[1].split(","))
    os.execv(sys.argv[2], sys.argv[2:])
