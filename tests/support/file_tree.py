"""Snapshots of directory trees, for comparison."""

import os
import stat

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


def describe(path, meta=None):
    """Returns `kind mode uid:gid [content]` of a path."""
    meta = meta or os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(meta.st_mode), "other")
    line = f"{kind} {stat.S_IMODE(meta.st_mode):o} {meta.st_uid}:{meta.st_gid}"
    if kind == "file":
        with open(path, "rb") as file:
            line += f" {file.read()!r}"
    elif kind == "link":
        line += f" {os.readlink(path)!r}"
    return line


def walk(top):
    """Returns all paths below a directory, itself as `.`, in byte order; paths are bytes."""
    top = os.fsencode(top)
    paths = [b"."]
    for folder, directories, files in os.walk(top):
        for name in directories + files:
            paths.append(os.path.relpath(os.path.join(folder, name), top))
    return sorted(paths)


def entries_of(scandir):
    """Returns the names in a scan directory, without s6-svscan's own."""
    return [name for name in os.listdir(scandir) if name != ".s6-svscan"]


def snapshot(top):
    """Returns the kind, mode, owner and content of each path."""
    return {path: describe(os.path.join(os.fsencode(top), path)) for path in walk(top)}


def identity(top):
    """Returns the inode and times of each path, which are equal only if nothing was written. Access times are left out."""
    found = {}
    for path in walk(top):
        meta = os.lstat(os.path.join(os.fsencode(top), path))
        found[path] = (meta.st_ino, meta.st_mode, meta.st_uid, meta.st_gid, meta.st_size, meta.st_mtime_ns, meta.st_ctime_ns)
    return found


def spoil(path, kind, outside):
    """Puts what is no readable file of its own in a place: a symlink to the file `outside`, a FIFO, a directory, a device, or a terabyte."""
    if kind == "symlink":
        path.symlink_to(outside)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        os.mknod(path, 0o020666, os.makedev(1, 5))
    else:
        assert kind == "huge"
        with open(path, "wb") as file:
            file.truncate(1 << 40)
