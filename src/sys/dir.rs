//! `Dir`: an open directory, and the steps that can be taken below it. Every step is one component and follows no symlink
//! unless its name says so.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags};

use super::{Below, Errno, Ids, Name, keep};

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket, a device, or not known.
    Other,
}

impl Kind {
    fn of(kind: FileType) -> Kind {
        match kind {
            FileType::RegularFile => Kind::Regular,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            _ => Kind::Other,
        }
    }

    /// The kind as a message names it.
    pub fn text(self) -> &'static str {
        match self {
            Kind::Regular => "a regular file",
            Kind::Directory => "a directory",
            Kind::Symlink => "a symlink",
            Kind::Fifo => "a FIFO",
            Kind::Other => "neither file, directory, symlink nor FIFO",
        }
    }
}

/// What stat(2) says, as far as it is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The file's kind.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: 0..=0o7777.
    pub mode: u32,
    /// Owner and group.
    pub ids: Ids,
    /// Number of hard links.
    pub links: u64,
    /// Size in bytes.
    pub size: u64,
}

impl Meta {
    // The C types of stat's fields differ between architectures; on some of them these casts widen nothing.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    fn of(stat: &fs::Stat) -> Meta {
        Meta {
            kind: Kind::of(FileType::from_raw_mode(stat.st_mode)),
            mode: u32::from(stat.st_mode) & 0o7777,
            ids: Ids { uid: stat.st_uid, gid: stat.st_gid },
            links: stat.st_nlink as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
        }
    }
}

/// What an open descriptor leads to.
pub fn meta_of(fd: impl AsFd) -> Result<Meta, Errno> {
    fs::fstat(fd).map(|stat| Meta::of(&stat))
}

/// Whether a directory listing goes on.
pub enum Go {
    /// To the next entry.
    On,
    /// No further.
    Stop,
}

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

impl Dir {
    /// The directory at a path of the operator's (a setting), symlinks followed.
    pub fn at(path: &CStr) -> Result<Dir, Errno> {
        fs::openat(fs::CWD, path, DIRECTORY, Mode::empty()).map(Dir)
    }

    /// Makes the directory at a path of the operator's and those above it that are missing, mode 0755; says whether it was
    /// missing.
    pub fn make_at(path: &CStr) -> Result<(Dir, bool), Errno> {
        match Dir::at(path) {
            Err(Errno::NOENT) => (),
            found => return found.map(|dir| (dir, false)),
        }
        let bytes = path.to_bytes();
        for end in 1..=bytes.len() {
            if bytes.get(end).is_none_or(|next| *next == b'/')
                && let Some(above) = keep::c_string(&[bytes.get(..end).unwrap_or_default()])
            {
                match fs::mkdirat(fs::CWD, above, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => (),
                    Err(errno) => return Err(errno),
                }
            }
        }
        Dir::at(path).map(|dir| (dir, true))
    }

    /// Opens a directory below for reading; a symlink is ENOTDIR.
    pub fn dir(&self, name: &Name) -> Result<Dir, Errno> {
        fs::openat(self, name.c_str(), DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map(Dir)
    }

    /// Opens a directory below for passage (O_PATH: needs no right to list it); a symlink is ENOTDIR.
    pub fn passage(&self, name: &Name) -> Result<Dir, Errno> {
        fs::openat(self, name.c_str(), DIRECTORY | OFlags::NOFOLLOW | OFlags::PATH, Mode::empty()).map(Dir)
    }

    /// Opens for passage the directory to which a symlink below leads, wherever that is: the caller checks its owner.
    pub fn passage_through_link(&self, name: &Name) -> Result<Dir, Errno> {
        fs::openat(self, name.c_str(), DIRECTORY | OFlags::PATH, Mode::empty()).map(Dir)
    }

    /// Opens this directory again, for reading, from one that was opened for passage.
    pub fn readable(&self) -> Result<Dir, Errno> {
        fs::openat(self, c".", DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map(Dir)
    }

    /// What stands under a name; a symlink is itself.
    pub fn meta(&self, name: &Name) -> Result<Meta, Errno> {
        fs::statat(self, name.c_str(), AtFlags::SYMLINK_NOFOLLOW).map(|stat| Meta::of(&stat))
    }

    /// What stands two steps below, for a look that decides nothing but whether to look closer: the first was a directory a
    /// moment ago, and whoever owns it could exchange it for a symlink.
    pub fn meta_below(&self, below: &Below) -> Result<Meta, Errno> {
        fs::statat(self, below.both, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Meta::of(&stat))
    }

    /// Whether a symlink leads to nothing that stat(2) can find. Where we may not look, it does not.
    pub fn dangles(&self, name: &Name) -> bool {
        !matches!(fs::statat(self, name.c_str(), AtFlags::empty()), Ok(_) | Err(Errno::ACCESS))
    }

    /// What this directory is.
    pub fn own_meta(&self) -> Result<Meta, Errno> {
        meta_of(self)
    }

    /// Calls `each` for the name of every entry but `.` and `..`, in the file system's order.
    pub fn each(&self, each: &mut dyn FnMut(Name, Kind) -> Go) -> Result<(), Errno> {
        fs::seek(self, fs::SeekFrom::Start(0))?;
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(self, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                // A directory that was removed meanwhile has no entries.
                Err(Errno::NOENT) => return Ok(()),
                entry => entry?,
            };
            if let Some(name) = Name::new(entry.file_name().to_bytes())
                && let Go::Stop = each(name, Kind::of(entry.file_type()))
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The names of all entries but `.` and `..`, in byte order.
    pub fn names(&self) -> Result<Vec<Name>, Errno> {
        let mut names = Vec::new();
        self.each(&mut |name, _| {
            names.push(name);
            Go::On
        })?;
        names.sort_unstable();
        Ok(names)
    }

    /// Makes a directory below. The mode is exact but for setgid, which the kernel takes from the parent.
    pub fn mkdir(&self, name: &Name, mode: u32) -> Result<(), Errno> {
        fs::mkdirat(self, name.c_str(), Mode::from_raw_mode(mode))
    }

    /// Makes a FIFO below.
    pub fn mkfifo(&self, name: &Name, mode: u32) -> Result<(), Errno> {
        fs::mknodat(self, name.c_str(), FileType::Fifo, Mode::from_raw_mode(mode), 0)
    }

    /// Sets this directory's mode.
    pub fn chmod(&self, mode: u32) -> Result<(), Errno> {
        fs::fchmod(self, Mode::from_raw_mode(mode))
    }

    /// Sets the mode of an entry, by name: only in a directory that nobody else can write.
    pub fn chmod_own(&self, name: &Name, mode: u32) -> Result<(), Errno> {
        fs::chmodat(self, name.c_str(), Mode::from_raw_mode(mode), AtFlags::empty())
    }

    /// Renames within the directory or into another one; what stood under the new name is replaced.
    pub fn rename(&self, from: &Name, into: &Dir, to: &Name) -> Result<(), Errno> {
        fs::renameat(self, from.c_str(), into, to.c_str())
    }

    /// Exchanges two entries of the directory in one step. EINVAL, ENOSYS or EPERM where that cannot be had.
    pub fn exchange(&self, one: &Name, other: &Name) -> Result<(), Errno> {
        fs::renameat_with(self, one.c_str(), self, other.c_str(), RenameFlags::EXCHANGE)
    }

    /// Renames where nothing stands under the new name; EEXIST otherwise. Where the file system cannot promise that
    /// (EINVAL, ENOSYS, EPERM from a seccomp filter), a plain rename, which an empty directory does not stop.
    pub fn rename_new(&self, from: &Name, to: &Name) -> Result<(), Errno> {
        match fs::renameat_with(self, from.c_str(), self, to.c_str(), RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) if self.meta(to) == Err(Errno::NOENT) => {
                self.rename(from, self, to)
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => Err(Errno::EXIST),
            done => done,
        }
    }

    /// Removes an entry that is no directory.
    pub fn unlink(&self, name: &Name) -> Result<(), Errno> {
        fs::unlinkat(self, name.c_str(), AtFlags::empty())
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, name: &Name) -> Result<(), Errno> {
        fs::unlinkat(self, name.c_str(), AtFlags::REMOVEDIR)
    }

    /// Whether this process may make and remove entries here.
    pub fn may_write(&self) -> bool {
        let access = fs::Access::WRITE_OK | fs::Access::EXEC_OK;
        fs::accessat(self, c".", access, AtFlags::EACCESS).is_ok()
    }

    /// Whether nothing below can be executed (the file system is mounted noexec).
    pub fn is_noexec(&self) -> bool {
        // ST_NOEXEC of statvfs(3); rustix names the flags but not this one on every backend.
        fs::fstatvfs(self).is_ok_and(|vfs| vfs.f_flag.bits() & 8 != 0)
    }
}
