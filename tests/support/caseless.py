"""A file system in which the case of a name does not matter and is kept, as on an SMB server or a Mac's share: a directory, mounted once more
with FUSE. As a program: caseless.py DIRECTORY MOUNTPOINT [ERRNO], by root, until it is unmounted; with ERRNO, that is what it says to
whoever locks a file with flock(2), as a server does that has no locks. It is written on the kernel's protocol, so it needs
no library, and no case folding of the kernel's own file systems."""

import ctypes
import enum
import errno
import os
import stat
import struct
import sys
from pathlib import Path

from support.program import wait_for

HEADER = struct.Struct("<IIQQIII2H")
NOTHING = b""
# The kernel asks the server about flock(2).
FLOCK_LOCKS = 1 << 10


class Op(enum.IntEnum):
    """What the kernel asks for."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    SETLK = 32
    SETLKW = 33
    CREATE = 35
    INTERRUPT = 36
    BATCH_FORGET = 42
    RENAME2 = 45


UNANSWERED = (Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT)


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
    wait_for(lambda: b" - fuse " in bed.path("/proc/1/mountinfo").read_bytes(), what=bed.path("/run/caseless.log").read_text)


def attributes(found):
    times = [found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns]
    seconds, rest = [moment // 10**9 for moment in times], [moment % 10**9 for moment in times]
    numbers = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0)
    return struct.pack("<6Q10I", found.st_ino, found.st_size, found.st_blocks, *seconds, *rest, *numbers)


class Server:
    """Answers the kernel's requests. A node is known by the inode number of its file."""

    def __init__(self, directory, locking=None):
        self.paths, self.locking = {1: directory}, locking

    def below(self, node, name):
        """Returns the path of an entry, in the spelling of its directory if it is there."""
        folder = self.paths[node]
        own = [entry for entry in os.listdir(folder) if entry.lower() == name.lower()]
        return os.path.join(folder, *(own or [name]))

    def entry(self, path):
        found = os.lstat(path)
        self.paths[found.st_ino] = path
        return struct.pack("<4Q2I", found.st_ino, 0, 0, 0, 0, 0) + attributes(found)

    def made(self, path, uid, gid, mode):
        os.lchown(path, uid, gid)
        if not stat.S_ISLNK(mode):
            os.chmod(path, stat.S_IMODE(mode))
        return self.entry(path)

    def attr(self, node):
        return struct.pack("<Q2I", 0, 0, 0) + attributes(os.lstat(self.paths[node]))

    def move(self, old, new):
        os.rename(old, new)
        for node, path in self.paths.items():
            if path == old or path.startswith(old + "/"):
                self.paths[node] = new + path[len(old) :]

    def answer(self, opcode, node, uid, gid, body):
        path = self.paths.get(node)
        names = [os.fsdecode(name) for name in body.split(b"\0")]
        match opcode:
            case Op.INIT:
                flags = FLOCK_LOCKS if self.locking else 0
                return struct.pack("<4I2H2I2HI7I", 7, 31, 0, flags, 0, 0, 65536, 1, 0, 0, 0, *[0] * 7)
            case Op.LOOKUP:
                found = self.below(node, names[0])
                return self.entry(found)
            case Op.GETATTR:
                return self.attr(node)
            case Op.SETATTR:
                valid, _, _, size, *_ = struct.unpack_from("<2I3Q", body)
                mode, _, owner, group = struct.unpack_from("<4I", body, 68)
                if valid & 6:
                    os.lchown(path, owner if valid & 2 else -1, group if valid & 4 else -1)
                if valid & 1:
                    os.chmod(path, stat.S_IMODE(mode))
                if valid & 8:
                    os.truncate(path, size)
                return self.attr(node)
            case Op.MKNOD | Op.MKDIR | Op.CREATE:
                length = 8 if opcode == Op.MKDIR else 16
                mode = struct.unpack_from("<I", body, 4 if opcode == Op.CREATE else 0)[0]
                new = self.below(node, os.fsdecode(body[length:].split(b"\0")[0]))
                if opcode == Op.MKDIR:
                    os.mkdir(new)
                    return self.made(new, uid, gid, mode | stat.S_IFDIR)
                os.mknod(new, stat.S_IFREG | 0o600 if opcode == Op.CREATE else mode)
                return self.made(new, uid, gid, mode) + (struct.pack("<Q2I", 0, 0, 0) if opcode == Op.CREATE else NOTHING)
            case Op.UNLINK:
                os.unlink(self.below(node, names[0]))
                return NOTHING
            case Op.RMDIR:
                os.rmdir(self.below(node, names[0]))
                return NOTHING
            case Op.RENAME | Op.RENAME2:
                length = 8 if opcode == Op.RENAME else 16
                if opcode == Op.RENAME2 and struct.unpack_from("<I", body, 8)[0]:
                    raise OSError(errno.EINVAL, "no flags")
                target = struct.unpack_from("<Q", body)[0]
                old, new = (os.fsdecode(name) for name in body[length:].split(b"\0")[:2])
                source, there = self.below(node, old), self.below(target, new)
                # The same entry gets the new spelling.
                self.move(source, os.path.join(self.paths[target], new) if source == there else there)
                return NOTHING
            case Op.OPEN | Op.OPENDIR:
                return struct.pack("<Q2I", 0, 0, 0)
            case Op.READ:
                _, offset, size = struct.unpack_from("<2QI", body)
                with open(path, "rb") as file:
                    return os.pread(file.fileno(), size, offset)
            case Op.WRITE:
                _, offset, size = struct.unpack_from("<2QI", body)
                with open(path, "r+b") as file:
                    return struct.pack("<2I", os.pwrite(file.fileno(), body[40 : 40 + size], offset), 0)
            case Op.READDIR:
                _, offset, size = struct.unpack_from("<2QI", body)
                listed = NOTHING
                for number, name in list(enumerate([".", "..", *sorted(os.listdir(path))], 1))[offset:]:
                    found, raw = os.lstat(os.path.join(path, name)), os.fsencode(name)
                    one = struct.pack("<2Q2I", found.st_ino, number, len(raw), found.st_mode >> 12) + raw
                    one += b"\0" * (-len(one) % 8)
                    if len(listed) + len(one) > size:
                        break
                    listed += one
                return listed
            case Op.STATFS:
                return struct.pack("<5Q10I", 10**6, 10**6, 10**6, 10**6, 10**6, 4096, 255, 4096, *[0] * 7)
            case Op.READLINK:
                return os.fsencode(os.readlink(path))
            case Op.SYMLINK:
                new = self.below(node, names[0])
                os.symlink(names[1], new)
                return self.made(new, uid, gid, stat.S_IFLNK)
            case Op.RELEASE | Op.RELEASEDIR | Op.FSYNC | Op.FLUSH | Op.FSYNCDIR:
                return NOTHING
            case Op.SETLK | Op.SETLKW:
                raise OSError(getattr(errno, self.locking), "no locks")
        raise OSError(errno.ENOSYS, "not implemented")

    def serve(self, device):
        while True:
            try:
                request = os.read(device, 1 << 17)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                # It has been unmounted.
                return
            _, opcode, unique, node, uid, gid, *_ = HEADER.unpack_from(request)
            if opcode in UNANSWERED:
                continue
            try:
                body, code = self.answer(opcode, node, uid, gid, request[HEADER.size :]), 0
            except OSError as error:
                body, code = NOTHING, -error.errno
            os.write(device, struct.pack("<IiQ", 16 + len(body), code, unique) + body)


def main(directory, mountpoint, locking=None):
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"caseless", mountpoint.encode(), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    Server(directory, locking).serve(device)


if __name__ == "__main__":
    main(*sys.argv[1:])
