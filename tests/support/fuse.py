"""A directory, mounted once more with FUSE by a server in Python: what caseless.py and slow.py have in common. It is written on the kernel's
protocol (linux/fuse.h), so it needs no library. The kernel keeps flock(2) and fcntl(2) locks by itself, and checks permissions."""

import collections
import ctypes
import enum
import errno
import itertools
import os
import stat
import struct
import threading
import time
import traceback

HEADER = struct.Struct("<IIQQIII2H")
NOTHING = b""
ROOT_NODE = 1
MAX_WRITE = 1 << 16
MNT_DETACH = 2
RESERVED = 7


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
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    GETLK = 31
    SETLK = 32
    SETLKW = 33
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    BMAP = 37
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    SETUPMAPPING = 48
    REMOVEMAPPING = 49
    SYNCFS = 50
    TMPFILE = 51
    STATX = 52


UNANSWERED = (Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT)


class Flag(enum.IntFlag):
    """What a server tells the kernel in its answer to INIT."""

    ASYNC_READ = 1 << 0
    ATOMIC_O_TRUNC = 1 << 3
    BIG_WRITES = 1 << 5
    FLOCK_LOCKS = 1 << 10
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    PARALLEL_DIROPS = 1 << 18


class Valid(enum.IntFlag):
    """What SETATTR changes."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    HANDLE = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8


class Request:
    """One request of the kernel: `names` are those at the end of its body, if it has any."""

    def __init__(self, raw):
        _, self.opcode, self.unique, self.node, self.uid, self.gid, *_ = HEADER.unpack_from(raw)
        self.body = raw[HEADER.size :]

    def names(self, offset=0):
        return [os.fsdecode(name) for name in self.body[offset:].split(b"\0")[:-1]]

    def numbers(self, form, offset=0):
        return struct.unpack_from("<" + form, self.body, offset)


def attributes(found):
    times = [found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns]
    seconds, rest = [moment // 10**9 for moment in times], [moment % 10**9 for moment in times]
    numbers = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0)
    return struct.pack("<6Q10I", found.st_ino, found.st_size, found.st_blocks, *seconds, *rest, *numbers)


class Server:
    """Answers the kernel's requests from `directory`. The kernel may keep attributes, entries and, with `negative`, absent entries for
    `cache` seconds. An answer is sent `delay` seconds after its request arrived, up to `threads` of them at once."""

    flags = Flag(0)
    # What no file server would be asked: it takes no time and does not count.
    local = (Op.INIT,)

    def __init__(self, directory, cache=0.0, negative=False, delay=0.0, threads=1):
        self.cache, self.negative, self.delay, self.threads = (int(cache), int(cache % 1 * 1e9)), negative, delay, threads
        # A node is a path, for as long as the same file is there.
        self.paths, self.nodes = {ROOT_NODE: directory}, {}
        self.new_node, self.new_handle = itertools.count(ROOT_NODE + 1), itertools.count(1)
        self.files, self.listings = {}, {}
        self.requests = collections.Counter()
        # Requests are counted in the order in which the kernel sends them. Answers are made one after another, and wait at the same time.
        self.reading, self.answering = threading.Lock(), threading.Lock()

    def below(self, node, name):
        """Returns the path of an entry."""
        return os.path.join(self.paths[node], name)

    def entry(self, path):
        found = os.lstat(path)
        node, identity = self.nodes.get(path, (None, None))
        if identity != (found.st_dev, found.st_ino):
            node = next(self.new_node)
            self.paths[node], self.nodes[path] = path, (node, (found.st_dev, found.st_ino))
        return self.entry_of(node) + attributes(found)

    def entry_of(self, node):
        seconds, rest = self.cache
        return struct.pack("<4Q2I", node, 0, seconds, seconds, rest, rest)

    def attr(self, request, handle=None):
        found = os.fstat(self.files[handle]) if handle in self.files else os.lstat(self.paths[request.node])
        return struct.pack("<Q2I", *self.cache, 0) + attributes(found)

    def made(self, request, path, mode):
        """Gives a new file to the one who asked for it."""
        # In a setgid directory, to that one's group.
        folder = os.stat(os.path.dirname(path))
        os.lchown(path, request.uid, folder.st_gid if folder.st_mode & stat.S_ISGID else request.gid)
        if not stat.S_ISLNK(mode):
            os.chmod(path, stat.S_IMODE(mode) | (folder.st_mode & stat.S_ISGID if stat.S_ISDIR(mode) else 0))
        return self.entry(path)

    def opened(self, path, flags):
        handle = next(self.new_handle)
        # The kernel says at which offset it appends.
        self.files[handle] = os.open(path, flags & (os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_TRUNC) | os.O_NOFOLLOW, 0o600)
        return struct.pack("<Q2I", handle, 0, 0)

    def lookup(self, request):
        try:
            return self.entry(self.below(request.node, *request.names()))
        except FileNotFoundError:
            if not self.negative or self.cache == (0, 0):
                raise
            return self.entry_of(0) + bytes(88)

    def getattr(self, request):
        has_handle, _, handle = request.numbers("2IQ")
        return self.attr(request, handle if has_handle & 1 else None)

    def setattr(self, request):
        path, (valid, _, handle, size, _, *_) = self.paths[request.node], request.numbers("2I3Q")
        atime, mtime, _, atime_rest, mtime_rest, _, mode, _, uid, gid = request.numbers("3Q7I", 32)
        if valid & (Valid.UID | Valid.GID):
            os.lchown(path, uid if valid & Valid.UID else -1, gid if valid & Valid.GID else -1)
        if valid & Valid.MODE:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & Valid.SIZE:
            os.truncate(path, size)
        if valid & (Valid.ATIME | Valid.MTIME):
            now, found = time.time_ns(), os.lstat(path)
            times = [
                (now if valid & at_once else seconds * 10**9 + rest) if valid & given else kept
                for given, at_once, seconds, rest, kept in (
                    (Valid.ATIME, Valid.ATIME_NOW, atime, atime_rest, found.st_atime_ns),
                    (Valid.MTIME, Valid.MTIME_NOW, mtime, mtime_rest, found.st_mtime_ns),
                )
            ]
            os.utime(path, ns=tuple(times), follow_symlinks=False)
        return self.attr(request, handle if valid & Valid.HANDLE else None)

    def readlink(self, request):
        return os.fsencode(os.readlink(self.paths[request.node]))

    def symlink(self, request):
        name, target = request.names()
        path = self.below(request.node, name)
        os.symlink(target, path)
        return self.made(request, path, stat.S_IFLNK)

    def mknod(self, request):
        (mode,), path = request.numbers("I"), self.below(request.node, *request.names(16))
        os.mknod(path, mode)
        return self.made(request, path, mode)

    def mkdir(self, request):
        (mode,), path = request.numbers("I"), self.below(request.node, *request.names(8))
        os.mkdir(path)
        return self.made(request, path, mode | stat.S_IFDIR)

    def unlink(self, request, remove=os.unlink):
        path = self.below(request.node, *request.names())
        remove(path)
        self.nodes.pop(path, None)
        return NOTHING

    def rmdir(self, request):
        return self.unlink(request, os.rmdir)

    def rename(self, request, offset=8):
        old, new = request.names(offset)
        source, target = self.below(request.node, old), self.below(*request.numbers("Q"), new)
        # Where case does not matter, the same entry gets the new spelling.
        if source == target:
            target = os.path.join(os.path.dirname(target), new)
        os.rename(source, target)
        self.nodes.pop(target, None)
        for node, path in self.paths.items():
            if path == source or path.startswith(source + "/"):
                self.paths[node] = target + path[len(source) :]
                if path in self.nodes:
                    self.nodes[self.paths[node]] = self.nodes.pop(path)
        return NOTHING

    def rename2(self, request):
        # As NFS and SMB.
        if request.numbers("I", 8)[0]:
            raise OSError(errno.EINVAL, "no flags")
        return self.rename(request, 16)

    def link(self, request):
        path = self.below(request.node, *request.names(8))
        os.link(self.paths[request.numbers("Q")[0]], path, follow_symlinks=False)
        return self.entry(path)

    def create(self, request):
        (flags, mode), path = request.numbers("2I"), self.below(request.node, *request.names(16))
        is_new = not os.path.lexists(path)
        handle = self.opened(path, flags | os.O_CREAT)
        return (self.made(request, path, mode) if is_new else self.entry(path)) + handle

    def open(self, request):
        return self.opened(self.paths[request.node], request.numbers("I")[0] & ~(os.O_CREAT | os.O_EXCL))

    def read(self, request):
        handle, offset, size = request.numbers("2QI")
        return os.pread(self.files[handle], size, offset)

    def write(self, request):
        handle, offset, size = request.numbers("2QI")
        return struct.pack("<2I", os.pwrite(self.files[handle], request.body[40 : 40 + size], offset), 0)

    def release(self, request):
        os.close(self.files.pop(*request.numbers("Q")))
        return NOTHING

    def flush(self, request):
        return NOTHING

    fsync = fsyncdir = flush

    def opendir(self, request):
        handle = next(self.new_handle)
        self.listings[handle] = []
        return struct.pack("<Q2I", handle, 0, 0)

    def readdir(self, request, plus=False):
        path, (handle, offset, size) = self.paths[request.node], request.numbers("2QI")
        if offset == 0:
            self.listings[handle] = [".", "..", *sorted(os.listdir(path))]
        listed = NOTHING
        for number, name in list(enumerate(self.listings[handle], 1))[offset:]:
            # `..` may lead to what this is mounted on, so into this file system, and wait for itself. The kernel knows its attributes.
            here, raw = os.path.join(path, name) if number > 2 else path, os.fsencode(name)
            try:
                found = os.lstat(here)
                one = NOTHING if not plus else self.entry(here) if number > 2 else self.entry_of(0) + attributes(found)
            except FileNotFoundError:
                continue
            one += struct.pack("<2Q2I", found.st_ino, number, len(raw), found.st_mode >> 12) + raw
            one += b"\0" * (-len(one) % 8)
            if len(listed) + len(one) > size:
                break
            listed += one
        return listed

    def readdirplus(self, request):
        return self.readdir(request, plus=True)

    def releasedir(self, request):
        del self.listings[request.numbers("Q")[0]]
        return NOTHING

    def statfs(self, request):
        return struct.pack("<5Q10I", 10**6, 10**6, 10**6, 10**6, 10**6, 4096, 255, 4096, *[0] * 7)

    def init(self, request):
        return struct.pack("<4I2H2I2HI7I", 7, 31, 0, self.flags, 0, 0, MAX_WRITE, 1, 0, 0, 0, *[0] * RESERVED)

    def answer(self, request):
        """Returns an error number and the body of the answer."""
        name = Op(request.opcode).name.lower() if request.opcode in Op._value2member_map_ else ""
        if not hasattr(self, name):
            return errno.ENOSYS, NOTHING
        try:
            with self.answering:
                return 0, getattr(self, name)(request)
        except OSError as error:
            return error.errno, NOTHING
        except KeyError:
            # A file that is not there any more, and was not opened.
            return errno.ESTALE, NOTHING
        except Exception:
            # Who asked would wait for ever.
            traceback.print_exc()
            return errno.EIO, NOTHING

    def next_request(self, device):
        """Returns the next request and when it arrived, or None after the file system was unmounted."""
        while True:
            try:
                with self.reading:
                    request, now = Request(os.read(device, MAX_WRITE * 2)), time.monotonic()
                    if request.opcode in UNANSWERED:
                        continue
                    if request.opcode in self.local:
                        return request, now - self.delay
                    self.requests[request.opcode] += 1
                    return request, now
            except OSError as error:
                if error.errno not in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    return None

    def serve_one_by_one(self, device):
        while arrived := self.next_request(device):
            request, moment = arrived
            code, body = self.answer(request)
            time.sleep(max(0.0, moment + self.delay - time.monotonic()))
            try:
                os.write(device, struct.pack("<IiQ", 16 + len(body), -code, request.unique) + body)
            except FileNotFoundError:
                # Who asked was killed meanwhile.
                continue
            except OSError:
                return

    def serve(self, device):
        """Serves until the file system is unmounted."""
        workers = [threading.Thread(target=self.serve_one_by_one, args=(device,), daemon=True) for _ in range(self.threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def libc():
    return ctypes.CDLL(None, use_errno=True)


def mount(name, mountpoint):
    """Mounts a file system for all users. Returns the descriptor that its server reads from."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    if libc().mount(name.encode(), os.fsencode(mountpoint), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return device


def is_mounted(bed, mountpoint):
    """Returns whether such a file system is mounted there in a bed."""
    lines = bed.path("/proc/1/mountinfo").read_text().splitlines()
    return any(line.split()[4] == mountpoint and " - fuse " in line for line in lines)


def unmount(mountpoint):
    """Unmounts a file system, also while it is in use."""
    if libc().umount2(os.fsencode(mountpoint), MNT_DETACH) != 0:
        raise OSError(ctypes.get_errno(), "umount")
