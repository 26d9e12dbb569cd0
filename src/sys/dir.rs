//! `Dir`: an open directory and the operations below it. Each takes one path component and follows no symlink unless its name
//! says so.

use std::ffi::{CStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, StatxFlags};
use rustix::path::Arg;

use super::meta::{device, meta_of};
use super::name::c_path;
use super::walk::{self, Missing, Opened};
use super::{Errno, Kind, Meta, Name, Reason, permission};

/// A failure that may mean absence.
pub trait Absence {
    /// Returns whether it does: ENOENT, and ENOTDIR and ELOOP, with which the look-up of a directory finds that something else has its
    /// name. Every other errno, and a rule of this program, says nothing about what is there.
    fn is_absence(&self) -> bool;
}

impl Absence for Errno {
    fn is_absence(&self) -> bool {
        matches!(*self, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
    }
}

impl Absence for Reason {
    fn is_absence(&self) -> bool {
        matches!(self, Reason::Errno(errno) if errno.is_absence())
    }
}

/// Turns a failure that means absence into `None`.
pub fn present<T, E: Absence>(found: Result<T, E>) -> Result<Option<T>, E> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.is_absence() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Returns the target of the symlink at a path.
pub fn link_at(path: &Path) -> Result<PathBuf, Errno> {
    let target = fs::readlinkat(fs::CWD, c_path(path)?, Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> OwnedFd {
        dir.0
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Adds a name to a list. Fails with ENOMEM if there is no space for it.
pub fn add(names: &mut Vec<Name>, name: Name) -> Result<(), Errno> {
    names.try_reserve(1).map_err(|_| Errno::NOMEM)?;
    names.push(name);
    Ok(())
}

/// An entry of a directory.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// Its type; [`Kind::Other`] also where the file system does not report it.
    pub kind: Kind,
}

/// An iterator over the entries of a directory, which are read a buffer at a time.
pub struct Entries<'a> {
    dir: &'a Dir,
    /// What has been read and is still to be returned.
    read: std::vec::IntoIter<Result<Entry, Errno>>,
    is_over: bool,
}

impl Entries<'_> {
    /// Reads as many entries as one getdents64(2) returns.
    fn read(&mut self) -> Vec<Result<Entry, Errno>> {
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(self.dir, &mut buffer);
        let mut read = Vec::new();
        loop {
            match entries.next() {
                // A directory that was removed meanwhile has no entries.
                None | Some(Err(Errno::NOENT)) => self.is_over = true,
                Some(Err(errno)) => {
                    read.push(Err(errno));
                    self.is_over = true;
                }
                Some(Ok(entry)) => {
                    let kind = Kind::of(entry.file_type());
                    read.extend(Name::new(entry.file_name().to_bytes()).map(|name| Ok(Entry { name, kind })));
                }
            }
            if self.is_over || entries.is_buffer_empty() {
                return read;
            }
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Errno>;

    fn next(&mut self) -> Option<Result<Entry, Errno>> {
        loop {
            if let Some(entry) = self.read.next() {
                return Some(entry);
            }
            if self.is_over {
                return None;
            }
            self.read = self.read().into_iter();
        }
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
/// What a gateway needs of a directory.
const USE: fs::Access = fs::Access::READ_OK.union(fs::Access::WRITE_OK).union(fs::Access::EXEC_OK);

impl Dir {
    /// Opens the directory at a path of the program's own; symlinks are followed.
    pub fn fixed(path: &Path) -> Result<Dir, Errno> {
        fs::openat(fs::CWD, c_path(path)?, DIRECTORY, Mode::empty()).map(Dir)
    }

    /// Opens the directory at a path of the operator's (a setting); symlinks are followed, but not those of procfs.
    pub fn at(path: &Path) -> Result<Dir, Reason> {
        Ok(walk::reach(path)?.readable()?)
    }

    /// [`Dir::at`] with `O_PATH`, which needs no permission to list it.
    pub fn reach(path: &Path) -> Result<Dir, Reason> {
        walk::reach(path)
    }

    /// Opens with `O_PATH` the directory at which a path begins.
    pub(super) fn open_path_at(path: &Path) -> Result<Dir, Errno> {
        fs::openat(fs::CWD, c_path(path)?, DIRECTORY | OFlags::PATH, Mode::empty()).map(Dir)
    }

    /// Opens the directory at a path of the operator's; makes it and its parents with mode 0755 where they are missing.
    pub fn make_at(path: &Path) -> Result<Dir, Reason> {
        let Opened { dir, .. } = walk::open(path, Missing::Make, |_| true)?;
        Ok(dir.readable()?)
    }

    /// Opens a directory below for reading. A symlink is ENOTDIR.
    pub fn dir(&self, name: &Name) -> Result<Dir, Errno> {
        fs::openat(self, name.c_str(), DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map(Dir)
    }

    /// Opens a directory below with `O_PATH`, which needs no permission to list it. A symlink is ENOTDIR.
    pub fn open_path(&self, name: &Name) -> Result<Dir, Errno> {
        fs::openat(self, name.c_str(), DIRECTORY | OFlags::NOFOLLOW | OFlags::PATH, Mode::empty()).map(Dir)
    }

    /// Opens with `O_PATH` the directory at a path below. Symlinks are followed wherever they lead, but none of procfs. The caller checks
    /// the owner.
    pub fn follow(&self, path: impl AsRef<Path>) -> Result<Dir, Reason> {
        walk::reach_from(self, path.as_ref())
    }

    /// Opens this directory again with `O_PATH`.
    pub(super) fn again(&self) -> Result<Dir, Errno> {
        fs::openat(self, c".", DIRECTORY | OFlags::NOFOLLOW | OFlags::PATH, Mode::empty()).map(Dir)
    }

    /// Returns whether this directory is on procfs.
    pub(super) fn is_proc(&self) -> Result<bool, Errno> {
        fs::fstatfs(self).map(|found| found.f_type == fs::PROC_SUPER_MAGIC)
    }

    /// Opens the parent directory with `O_PATH`.
    pub(super) fn parent(&self) -> Result<Dir, Errno> {
        fs::openat(self, c"..", DIRECTORY | OFlags::PATH, Mode::empty()).map(Dir)
    }

    /// Returns the target of a symlink below.
    pub(super) fn target(&self, name: &Name) -> Result<PathBuf, Errno> {
        // With one call, however long it is.
        let target = fs::readlinkat(self, name.c_str(), Vec::with_capacity(4096))?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Opens this directory again for reading, if it was opened with `O_PATH`.
    pub fn readable(&self) -> Result<Dir, Errno> {
        Dir::reopen(self)
    }

    /// Opens for reading the directory that a descriptor is open at.
    pub(super) fn reopen(fd: impl AsFd) -> Result<Dir, Errno> {
        fs::openat(fd, c".", DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map(Dir)
    }

    /// Returns the attributes of an entry; of a symlink, its own.
    pub fn meta(&self, name: &Name) -> Result<Meta, Errno> {
        fs::statat(self, name.c_str(), AtFlags::SYMLINK_NOFOLLOW).map(|stat| Meta::of(&stat))
    }

    /// Returns the attributes of the file that a symlink of procfs below stands for.
    pub(super) fn target_meta(&self, name: &Name) -> Result<Meta, Errno> {
        fs::statat(self, name.c_str(), AtFlags::empty()).map(|stat| Meta::of(&stat))
    }

    /// Returns the number of the file system that the directory is on (`st_dev`). Asks for nothing else, as [`Dir::kind`].
    pub fn device(&self) -> Result<u64, Errno> {
        match fs::statx(self, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE) {
            Ok(found) => Ok(fs::makedev(found.stx_dev_major, found.stx_dev_minor)),
            Err(Errno::NOSYS | Errno::PERM) => device(self),
            Err(errno) => Err(errno),
        }
    }

    /// Returns the type of an entry. Asks for nothing else, which a remote file system may not know without its server.
    pub fn kind(&self, name: &Name) -> Result<Kind, Errno> {
        match fs::statx(self, name.c_str(), AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE) {
            Ok(found) => Ok(Kind::of(FileType::from_raw_mode(found.stx_mode.into()))),
            // Before Linux 4.11, or under a seccomp filter that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => Ok(self.meta(name)?.kind),
            Err(errno) => Err(errno),
        }
    }

    /// Returns the attributes of an entry two steps below. The first step may follow a symlink, because the owner of this directory
    /// can exchange it at any time: use the answer only to decide whether to look closer.
    pub fn meta_at(&self, path: &'static CStr) -> Result<Meta, Errno> {
        fs::statat(self, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Meta::of(&stat))
    }

    /// Returns whether there is an entry of this name.
    pub fn has(&self, name: &Name) -> Result<bool, Errno> {
        Ok(present(self.meta(name))?.is_some())
    }

    /// Returns whether a directory below has an entry of this name. Fails with ELOOP if it is a symlink, and where the kernel or a seccomp
    /// filter does not know openat2.
    pub fn has_below(&self, directory: &Name, entry: &Name) -> Result<bool, Errno> {
        match self.open_below(directory, entry, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Opens an entry of a directory below; no symlink is followed.
    pub(super) fn open_below(&self, directory: &Name, entry: &Name, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.open_beneath([directory.bytes(), b"/", entry.bytes()].concat().as_slice(), flags)
    }

    /// Opens what is at a path of several names below; no symlink is followed. Fails with ENOSYS or EPERM where the kernel (before Linux 5.6)
    /// or a seccomp filter does not know openat2.
    pub(super) fn open_beneath(&self, path: impl Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = fs::ResolveFlags::BENEATH | fs::ResolveFlags::NO_SYMLINKS;
        fs::openat2(self, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// Returns whether a symlink's target does not exist, as s6-svscan finds it: with stat(2), which follows every link; false if that
    /// fails for another reason.
    pub fn dangles(&self, name: &Name) -> bool {
        let found = fs::statat(self, name.c_str(), AtFlags::empty());
        matches!(found, Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG))
    }

    /// Returns the absolute path of this directory, as /proc has it.
    pub fn path(&self) -> Result<PathBuf, Errno> {
        link_at(Path::new(&format!("/proc/self/fd/{}", self.0.as_raw_fd())))
    }

    /// Returns the attributes of this directory.
    pub fn own_meta(&self) -> Result<Meta, Errno> {
        meta_of(self)
    }

    /// Returns an iterator over the entries but `.` and `..`, in the file system's order.
    pub fn entries(&self) -> Result<Entries<'_>, Errno> {
        fs::seek(self, fs::SeekFrom::Start(0))?;
        Ok(Entries { dir: self, read: Vec::new().into_iter(), is_over: false })
    }

    /// Returns the names of all entries but `.` and `..`, in byte order. Fails with ENOMEM if there is no space for them.
    pub fn names(&self) -> Result<Vec<Name>, Errno> {
        let mut names = Vec::new();
        for entry in self.entries()? {
            add(&mut names, entry?.name)?;
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Makes a directory below. The mode is exact except for setgid, which the kernel takes from the parent.
    pub fn mkdir(&self, name: &Name, mode: u32) -> Result<(), Errno> {
        fs::mkdirat(self, name.c_str(), Mode::from_raw_mode(mode))
    }

    /// [`Dir::mkdir`] for a path of the program's own, in a tree that nobody else can write.
    pub fn mkdir_at(&self, path: &'static CStr, mode: u32) -> Result<(), Errno> {
        fs::mkdirat(self, path, Mode::from_raw_mode(mode))
    }

    /// Makes a FIFO at a path of the program's own, in a tree that nobody else can write.
    pub fn mkfifo_at(&self, path: &'static CStr, mode: u32) -> Result<(), Errno> {
        fs::mknodat(self, path, FileType::Fifo, Mode::from_raw_mode(mode), 0)
    }

    /// Makes a FIFO below.
    pub fn mkfifo(&self, name: &Name, mode: u32) -> Result<(), Errno> {
        fs::mknodat(self, name.c_str(), FileType::Fifo, Mode::from_raw_mode(mode), 0)
    }

    /// Sets this directory's mode.
    pub fn chmod(&self, mode: u32) -> Result<(), Errno> {
        fs::fchmod(self, Mode::from_raw_mode(mode))
    }

    /// Sets the mode of what is at a path of the program's own, in a tree that nobody else can write.
    pub fn chmod_at(&self, path: &'static CStr, mode: u32) -> Result<(), Errno> {
        fs::chmodat(self, path, Mode::from_raw_mode(mode), AtFlags::empty())
    }

    /// Renames an entry within the directory or into another one, and replaces what has the new name.
    pub fn rename(&self, from: &Name, into: &Dir, to: &Name) -> Result<(), Errno> {
        fs::renameat(self, from.c_str(), into, to.c_str())
    }

    /// Exchanges two entries of the directory in one step. Fails with EINVAL, ENOSYS or EPERM where the file system or a seccomp
    /// filter does not support it.
    pub fn exchange(&self, one: &Name, other: &Name) -> Result<(), Errno> {
        fs::renameat_with(self, one.c_str(), self, other.c_str(), RenameFlags::EXCHANGE)
    }

    /// Renames an entry if nothing has the new name; fails with EEXIST otherwise. Where the kernel does not support that (EINVAL,
    /// ENOSYS, EPERM from a seccomp filter), looks first and then renames, which replaces an empty directory.
    pub fn rename_new(&self, from: &Name, to: &Name) -> Result<(), Errno> {
        match fs::renameat_with(self, from.c_str(), self, to.c_str(), RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) if self.meta(to) == Err(Errno::NOENT) => {
                self.rename(from, self, to)
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => Err(Errno::EXIST),
            done => done,
        }
    }

    /// Gives a file a second name if nothing has that name. Fails with EEXIST otherwise.
    pub fn link(&self, from: &Name, to: &Name) -> Result<(), Errno> {
        fs::linkat(self, from.c_str(), self, to.c_str(), AtFlags::empty())
    }

    /// Removes an entry that is not a directory.
    pub fn unlink(&self, name: &Name) -> Result<(), Errno> {
        fs::unlinkat(self, name.c_str(), AtFlags::empty())
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, name: &Name) -> Result<(), Errno> {
        fs::unlinkat(self, name.c_str(), AtFlags::REMOVEDIR)
    }

    /// Returns whether this process may make and remove entries here; if not, why.
    pub fn try_to_write(&self) -> Result<(), Errno> {
        permission::to_directory(self, fs::Access::WRITE_OK | fs::Access::EXEC_OK)
    }

    /// Fails if this process may not list and enter the directory.
    pub fn try_to_list(&self) -> Result<(), Errno> {
        permission::to_directory(self, fs::Access::READ_OK | fs::Access::EXEC_OK)
    }

    /// Fails if this process may not list, enter and change the directory: EACCES, EROFS on a read-only file system, EPERM if it is
    /// immutable. Another errno says that it could not be found out.
    pub fn try_to_use(&self) -> Result<(), Errno> {
        permission::to_directory(self, USE)
    }

    /// [`Dir::try_to_use`] for a directory below, or one that a symlink below leads to.
    pub fn try_to_use_below(&self, name: &Name) -> Result<(), Reason> {
        if self.kind(name)? == Kind::Symlink {
            return Ok(self.follow(name)?.try_to_use()?);
        }
        // It may have been exchanged for a symlink meanwhile.
        match fs::accessat(self, name.c_str(), USE, AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW) {
            // The call is not there, or refused, or the directory is immutable.
            Err(Errno::NOSYS | Errno::PERM) => Ok(self.open_path(name)?.try_to_use()?),
            done => Ok(done?),
        }
    }

    /// Fails if this process may not execute the program at a path below; symlinks are followed.
    pub fn try_to_run(&self, path: &Path) -> Result<(), Errno> {
        permission::to_program(self, &c_path(path)?)
    }

    /// Returns whether the file system is mounted noexec.
    pub fn is_noexec(&self) -> bool {
        // ST_NOEXEC of statvfs(3); rustix names the flags but not this one on every backend.
        fs::fstatvfs(self).is_ok_and(|vfs| vfs.f_flag.bits() & 8 != 0)
    }
}
