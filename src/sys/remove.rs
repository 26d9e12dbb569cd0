//! Removes a tree of any depth with three descriptors: directories below the first level are moved to the top first. No symlink
//! is followed. A tree that somebody refills faster than it is emptied is given up.

use super::{Dir, Errno, Name};

/// Number of steps after which the removal is given up.
const STEPS: u32 = 4_000_000;

/// Removes a file, or a directory with its content. Absence is no error. Fails with EBUSY if somebody keeps filling the
/// directory.
pub fn tree(parent: &Dir, name: &Name) -> Result<(), Errno> {
    if remove_flat(parent, name)? {
        return Ok(());
    }
    let top = match parent.dir(name) {
        Err(Errno::NOENT) => return Ok(()),
        top => top?,
    };
    let mut lift = Lift { top: &top, serial: 0, steps: STEPS };
    loop {
        let names = top.names()?;
        if names.is_empty() {
            break;
        }
        for name in &names {
            lift.empty_out(name)?;
        }
    }
    match parent.rmdir(name) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Removes a file or an empty directory. Returns false for a directory that is not empty.
fn remove_flat(dir: &Dir, name: &Name) -> Result<bool, Errno> {
    match dir.unlink(name) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // Linux says EISDIR, POSIX EPERM.
        Err(Errno::ISDIR | Errno::PERM) => (),
        Err(errno) => return Err(errno),
    }
    match dir.rmdir(name) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        // A file that may not be removed: EPERM is the answer to unlink.
        Err(Errno::NOTDIR) => Err(Errno::PERM),
        Err(errno) => Err(errno),
    }
}

struct Lift<'a> {
    top: &'a Dir,
    serial: u32,
    steps: u32,
}

impl Lift<'_> {
    fn step(&mut self) -> Result<(), Errno> {
        self.steps = self.steps.checked_sub(1).ok_or(Errno::BUSY)?;
        Ok(())
    }

    /// Removes an entry of the top; moves the directories in it to the top.
    fn empty_out(&mut self, name: &Name) -> Result<(), Errno> {
        self.step()?;
        if remove_flat(self.top, name)? {
            return Ok(());
        }
        let below = match self.top.dir(name) {
            Err(Errno::NOENT) => return Ok(()),
            below => below?,
        };
        for child in &below.names()? {
            self.step()?;
            if !remove_flat(&below, child)? {
                self.lift(&below, child)?;
            }
        }
        remove_flat(self.top, name).map(|_| ())
    }

    fn lift(&mut self, below: &Dir, child: &Name) -> Result<(), Errno> {
        loop {
            self.step()?;
            self.serial = self.serial.wrapping_add(1);
            let Some(free) = Name::new(format!(".lifted-{}", self.serial)) else { return Err(Errno::INVAL) };
            match below.rename(child, self.top, &free) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => (),
                Err(errno) => return Err(errno),
            }
        }
    }
}
