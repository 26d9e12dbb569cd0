//! Regular files below a `Dir`: read up to a limit, created, appended to.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::buffer::spare_capacity;
use rustix::fs::{self, Mode, OFlags};
use rustix::io;
use rustix::process::{Resource, getrlimit};

use super::meta::meta_of;
use super::name::c_path;
use super::number::decimal;
use super::{Dir, Errno, Ids, Kind, Meta, Name, Ownership, Reason, SubPath};

/// Why a symlink is not opened.
const SYMLINK: &str = "is a symlink, and symlinks are not followed";
/// Why a FIFO, a directory, a socket or a device is not used.
const NOT_REGULAR: &str = "not a regular file";

/// Largest list of limits in /proc that is read, in bytes.
const LIMITS_CAP: u64 = 16 << 10;

/// How the reason begins for which a large file is not read.
const LARGER: &str = "larger than";

/// Returns whether nothing of a file was read because of its type or its size.
pub fn is_unread(reason: &Reason) -> bool {
    matches!(reason, Reason::Rule(text) if text == SYMLINK || text == NOT_REGULAR || text.starts_with(LARGER))
}

fn refusal(errno: Errno) -> Reason {
    match errno {
        Errno::LOOP => SYMLINK.into(),
        // What open(2) says to a socket, to a device without a driver, and to a FIFO for writing that nobody reads.
        Errno::NXIO | Errno::NODEV => NOT_REGULAR.into(),
        errno => errno.into(),
    }
}

/// How large a file may be that is read, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The largest file that is of any use. A larger one is refused by a rule.
    pub file: u64,
    /// What is left for it of a limit for many files. A larger one is [`Reason::Unread`].
    pub left: u64,
    /// Why it is unread, for people.
    pub why: &'static str,
}

impl From<u64> for Limit {
    fn from(file: u64) -> Limit {
        Limit { file, left: u64::MAX, why: "" }
    }
}

impl Limit {
    /// Fails if a file of this size is not read.
    pub fn check(self, size: u64) -> Result<(), Reason> {
        let Limit { file, left, why } = self;
        if size > file {
            Err(format!("{LARGER} {file} bytes").into())
        } else if size > left {
            Err(Reason::Unread(why.into()))
        } else {
            Ok(())
        }
    }
}

/// Reads a regular file. Never blocks, follows no symlink, and reads nothing of a file that is larger than the limit. Absence is
/// `Reason::Errno(NOENT)`.
pub fn read(dir: &Dir, name: &Name, limit: impl Into<Limit>) -> Result<Vec<u8>, Reason> {
    read_meta(dir, name, limit).map(|(bytes, _)| bytes)
}

/// [`read`]; absence is `None`.
pub fn find(dir: &Dir, name: &Name, limit: impl Into<Limit>) -> Result<Option<Vec<u8>>, Reason> {
    match read(dir, name, limit) {
        Err(Reason::Errno(Errno::NOENT)) => Ok(None),
        found => found.map(Some),
    }
}

/// [`read`], with the file's attributes.
pub fn read_meta(dir: &Dir, name: &Name, limit: impl Into<Limit>) -> Result<(Vec<u8>, Meta), Reason> {
    let file = open(dir, name, OFlags::RDONLY)?;
    read_open(&file, limit.into())
}

/// Opens a file without blocking and without following a symlink.
pub(super) fn open(dir: &Dir, name: &Name, access: OFlags) -> Result<OwnedFd, Reason> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    fs::openat(dir, name.c_str(), flags, Mode::empty()).map_err(refusal)
}

fn read_open(file: &OwnedFd, limit: Limit) -> Result<(Vec<u8>, Meta), Reason> {
    let meta = meta_of(file)?;
    if meta.kind != Kind::Regular {
        return Err(NOT_REGULAR.into());
    }
    limit.check(meta.size)?;
    // One byte more than the file's size: a short read is its end, and saves the second call. A file that grew, or that has no
    // size (as in /proc), is read on.
    let room = usize::try_from(meta.size).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let most = usize::try_from(limit.file.min(limit.left)).unwrap_or(usize::MAX).saturating_add(1);
    read_some(file, &mut bytes, room)?;
    if bytes.len() >= room {
        read_on(file, &mut bytes, most)?;
    }
    limit.check(bytes.len() as u64)?;
    Ok((bytes, meta))
}

/// Reads once, into space for at least `room` bytes more. Returns how many bytes came. Fails with ENOMEM if there is no such space.
fn read_some(file: &OwnedFd, bytes: &mut Vec<u8>, room: usize) -> Result<usize, Errno> {
    bytes.try_reserve(room).map_err(|_| Errno::NOMEM)?;
    loop {
        match io::read(file, spare_capacity(bytes)) {
            Err(Errno::INTR) => (),
            count => return count,
        }
    }
}

/// Reads to the end, or until there are at least `most` bytes.
fn read_on(file: &OwnedFd, bytes: &mut Vec<u8>, most: usize) -> Result<(), Errno> {
    while bytes.len() < most {
        let room = most - bytes.len();
        if read_some(file, bytes, room.min(4096))? == 0 {
            break;
        }
    }
    Ok(())
}

/// Writes all bytes, in one write(2) if the kernel takes them so. Fails with EFBIG at the limit of the size of files, `RLIMIT_FSIZE`.
pub fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    let limit = *LIMIT.get_or_init(size_limit);
    while !bytes.is_empty() {
        if let Some(limit) = limit
            && end(file)?.is_some_and(|end| end >= limit)
        {
            return Err(Errno::FBIG);
        }
        match io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => (),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Returns the limit of the size of files, if there is one. A seccomp filter that refuses getrlimit(2) would make one of what is no answer, so
/// /proc has the last word.
fn size_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Fsize).current?;
    let listed = read_system(Path::new("/proc/self/limits"), LIMITS_CAP).ok();
    let limit = listed.and_then(|limits| size_limit_in(&limits)).unwrap_or(limit);
    (limit != u64::MAX).then_some(limit)
}

/// Returns the limit of the size of files in a list of /proc, the largest number if there is none; `None` if the list does not have it.
fn size_limit_in(limits: &[u8]) -> Option<u64> {
    let line = limits.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Max file size "))?;
    let soft = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    if soft == b"unlimited" { Some(u64::MAX) } else { decimal(soft) }
}

/// Returns the size of a regular file, where this program's writes begin; `None` for another kind of file, which has no limit. A write that begins at the limit
/// of the size of files is answered with SIGXFSZ, which ends the process: to ignore a signal takes unsafe code, and executed programs
/// would inherit that.
fn end(file: BorrowedFd<'_>) -> Result<Option<u64>, Errno> {
    meta_of(file).map(|meta| (meta.kind == Kind::Regular).then_some(meta.size))
}

/// Reads a regular file of the image by its path; symlinks are followed, because root's own system files may be symlinks.
pub fn read_system(path: &Path, limit: impl Into<Limit>) -> Result<Vec<u8>, Reason> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::openat(fs::CWD, c_path(path)?, flags, Mode::empty())?;
    read_open(&file, limit.into()).map(|(bytes, _)| bytes)
}

/// Reads the first `most` bytes of a regular file by its path, with one read(2). Symlinks are followed. Never blocks.
pub fn read_system_start(path: &Path, most: usize) -> Result<Vec<u8>, Reason> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::openat(fs::CWD, c_path(path)?, flags, Mode::empty())?;
    if meta_of(&file)?.kind != Kind::Regular {
        return Err(NOT_REGULAR.into());
    }
    let mut bytes = Vec::new();
    read_some(&file, &mut bytes, most)?;
    bytes.truncate(most);
    Ok(bytes)
}

/// Reads a regular file two steps below `dir`, neither of which may be a symlink.
pub fn read_below(dir: &Dir, below: &SubPath, limit: impl Into<Limit>) -> Result<(Vec<u8>, Meta), Reason> {
    let limit = limit.into();
    match dir.open_beneath(below.path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
        Ok(file) => read_open(&file, limit),
        // Two steps.
        Err(Errno::NOSYS | Errno::PERM) => {
            read_meta(&dir.open_path(&below.directory()?)?, &below.name, limit)
        }
        Err(errno) => Err(refusal(errno)),
    }
}

/// Reads a regular file of a directory below `dir`, with one call where there is none: absence is `None`. Neither may be a symlink. Fails
/// also where the kernel or a seccomp filter does not know openat2.
pub fn find_below(
    dir: &Dir,
    directory: &Name,
    name: &Name,
    limit: impl Into<Limit>,
) -> Result<Option<Vec<u8>>, Reason> {
    match dir.open_below(directory, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        file => read_open(&file.map_err(refusal)?, limit.into()).map(|(bytes, _)| Some(bytes)),
    }
}

/// Opens an existing FIFO or regular file, for a change of mode and owner through the descriptor. Returns the descriptor and its
/// attributes. Never blocks. A FIFO is opened for reading, which s6 does not notice.
pub fn open_checked(dir: &Dir, name: &Name) -> Result<(OwnedFd, Meta), Reason> {
    let file = open(dir, name, OFlags::RDONLY)?;
    let meta = meta_of(&file)?;
    match meta.kind {
        Kind::Regular | Kind::Fifo if meta.links > 1 => Err("has more than one hard link".into()),
        Kind::Regular | Kind::Fifo => Ok((file, meta)),
        kind => Err(format!("is {}", kind.text()).into()),
    }
}

/// Fails if a file of this name exists and is not regular, or this process may not append to it or set its mode.
pub fn try_append(dir: &Dir, name: &Name) -> Result<(), Reason> {
    let file = match open(dir, name, OFlags::WRONLY | OFlags::APPEND) {
        Err(Reason::Errno(Errno::NOENT)) => return Ok(()),
        file => file?,
    };
    let meta = meta_of(&file)?;
    if meta.kind != Kind::Regular {
        return Err(NOT_REGULAR.into());
    }
    Ok(chmod(&file, meta.mode)?)
}

/// Sets the mode of an open file.
pub fn chmod(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    fs::fchmod(file, Mode::from_raw_mode(mode))
}

/// Creates a new file with this mode (exactly: the process clears its umask) and content. Fails with EEXIST if there is one; if
/// the content cannot be written, no file remains.
pub fn create(dir: &Dir, name: &Name, mode: u32, content: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(dir, name.c_str(), flags, Mode::from_raw_mode(mode))?;
    match write_all(file.as_fd(), content) {
        Ok(()) => Ok(file),
        Err(errno) => {
            // The first error is the one to report.
            let _ = dir.unlink(name);
            Err(errno)
        }
    }
}

/// A regular file that is read piece by piece.
pub struct Reader {
    file: OwnedFd,
    /// Its attributes when it was opened.
    pub meta: Meta,
}

impl Reader {
    /// Opens a regular file. Follows no symlink and never blocks.
    pub fn open(dir: &Dir, name: &Name) -> Result<Reader, Reason> {
        let file = open(dir, name, OFlags::RDONLY)?;
        let meta = meta_of(&file)?;
        if meta.kind == Kind::Regular { Ok(Reader { file, meta }) } else { Err(NOT_REGULAR.into()) }
    }

    /// Returns the size of the file now, in bytes.
    pub fn size(&self) -> Result<u64, Errno> {
        meta_of(&self.file).map(|meta| meta.size)
    }

    /// Fills a buffer with what is at an offset. Returns the number of bytes, which is smaller than the buffer only at the end of the file.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut count = 0;
        while let Some(rest @ [_, ..]) = buffer.get_mut(count..) {
            match io::pread(&self.file, rest, offset + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(Errno::INTR) => (),
                Err(errno) => return Err(errno),
            }
        }
        Ok(count)
    }
}

/// A file that is open for appending.
pub struct Appender {
    file: OwnedFd,
    /// Its attributes.
    pub meta: Meta,
    /// Whether it has been made.
    pub fresh: bool,
}

/// Number of attempts to open a file that others make and rename meanwhile.
const TRIES: u32 = 100;

impl Appender {
    /// Opens a regular file for appending; makes it with mode 0644 if it is missing. Follows no symlink and never blocks.
    pub fn open(dir: &Dir, name: &Name) -> Result<Appender, Reason> {
        let append = OFlags::RDWR | OFlags::APPEND;
        let make = append | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut tries = 0;
        let (file, fresh) = loop {
            match open(dir, name, append) {
                Err(Reason::Errno(Errno::NOENT)) => (),
                file => break (file?, false),
            }
            match fs::openat(dir, name.c_str(), make, Mode::from_raw_mode(0o644)) {
                // Another process has made it meanwhile; it may have renamed it before that.
                Err(Errno::EXIST) if tries < TRIES => tries += 1,
                file => break (file.map_err(refusal)?, true),
            }
        };
        let meta = meta_of(&file)?;
        if meta.kind != Kind::Regular {
            return Err(NOT_REGULAR.into());
        }
        Ok(Appender { file, meta, fresh })
    }

    /// Returns the last byte of a file that is not empty.
    pub fn last(&self) -> Result<u8, Errno> {
        let mut last = [0];
        io::pread(&self.file, &mut last, self.meta.size.saturating_sub(1))?;
        Ok(last[0])
    }

    /// Changes the file's owner.
    pub fn change_owner(&self, ownership: &Ownership, ids: Ids) -> Result<(), Errno> {
        ownership.change(&self.file, ids)
    }

    /// Appends in one write(2) if the kernel takes it so.
    pub fn append(&self, text: &[u8]) -> Result<(), Errno> {
        write_all(self.file.as_fd(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_the_size_of_files_is_listed_as_a_number_or_as_unlimited() {
        let list = |soft: &str| {
            format!(
                "Limit  Soft Limit  Hard Limit  Units\nMax cpu time  1  2  seconds\nMax file size             {soft}   unlimited   bytes\n"
            )
        };
        for (list, expected) in [
            (list("unlimited"), Some(u64::MAX)),
            (list("0"), Some(0)),
            (list("4096"), Some(4096)),
            (list("x"), None),
            (String::new(), None),
        ] {
            assert_eq!(size_limit_in(list.as_bytes()), expected, "{list}");
        }
    }
}
