//! FIFOs below a `Dir`, which are opened without blocking.

use std::os::fd::OwnedFd;

use rustix::fs::{self, Mode, OFlags};
use rustix::io;

use super::meta::meta_of;
use super::{Dir, Errno, Kind, Meta, Name, Reason, file};

/// Why something else is not used as a FIFO.
const NOT_A_FIFO: &str = "not a FIFO";

/// Returns whether a process has the reading end of a FIFO open, as s6-svok(8) finds a supervisor; false if it is not a FIFO.
pub fn is_held(dir: &Dir, name: &Name) -> Result<bool, Errno> {
    match open(dir, name) {
        Ok((_, meta)) => Ok(meta.kind == Kind::Fifo),
        Err(Errno::NXIO | Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Opens an entry that should be a FIFO for writing. Fails with ENXIO if it is a FIFO that nobody reads.
fn open(dir: &Dir, name: &Name) -> Result<(OwnedFd, Meta), Errno> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::openat(dir, name.c_str(), flags, Mode::empty())?;
    let meta = meta_of(&file)?;
    Ok((file, meta))
}

/// Writes at most `PIPE_BUF` bytes, all or none, into a FIFO. Fails with ENXIO if nobody reads it, with EAGAIN if it is full.
pub fn write(dir: &Dir, name: &Name, bytes: &[u8]) -> Result<(), Reason> {
    let (file, meta) = open(dir, name)?;
    if meta.kind != Kind::Fifo {
        return Err(NOT_A_FIFO.into());
    }
    loop {
        match io::write(&file, bytes) {
            Err(Errno::INTR) => (),
            written => return Ok(written.map(|_| ())?),
        }
    }
}

/// Returns the number of bytes in a FIFO that nobody has read yet.
pub fn pending(dir: &Dir, name: &Name) -> Result<u64, Reason> {
    let file = file::open(dir, name, OFlags::WRONLY)?;
    if meta_of(&file)?.kind == Kind::Fifo { Ok(io::ioctl_fionread(&file)?) } else { Err(NOT_A_FIFO.into()) }
}
