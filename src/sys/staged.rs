//! Regular files below a `Dir` that are replaced in one step.

use rustix::fs;

use super::file::create;
use super::{Dir, Errno, Ids, Name, Ownership};

/// The attributes of a new file.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    /// Permission bits.
    pub mode: u32,
    /// The owner, as far as the kernel permits.
    pub ids: Ids,
    /// What changes the owner.
    pub ownership: &'a Ownership,
    /// Whether the file is written through to the disk before it is renamed, so that a power failure leaves the old file or the
    /// new one.
    pub durable: bool,
}

/// A new file under a staging name, which takes the place of another file when it is published. Dropped before that, it is removed.
#[derive(Debug)]
pub struct Staged<'a> {
    dir: &'a Dir,
    name: &'a Name,
    is_published: bool,
}

impl<'a> Staged<'a> {
    /// Writes a new file with this content as `name` in `dir`. A file that an interrupted run has left under this name is replaced.
    pub fn write(
        dir: &'a Dir,
        name: &'a Name,
        content: &[u8],
        attributes: Attributes<'_>,
    ) -> Result<Staged<'a>, Errno> {
        let file = match create(dir, name, attributes.mode, content) {
            Err(Errno::EXIST) => {
                dir.unlink(name)?;
                create(dir, name, attributes.mode, content)?
            }
            file => file?,
        };
        let staged = Staged { dir, name, is_published: false };
        if attributes.ids != attributes.ownership.process() {
            attributes.ownership.change(&file, attributes.ids)?;
        }
        if attributes.durable {
            fs::fsync(&file)?;
        }
        Ok(staged)
    }

    /// Renames the file to `name` in `dir`, a directory of the same file system. What has that name is replaced in one step.
    pub fn publish(mut self, dir: &Dir, name: &Name) -> Result<(), Errno> {
        self.dir.rename(self.name, dir, name)?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.is_published {
            // The error that led here is the one to report.
            let _ = self.dir.unlink(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::sys::Kind;

    static FILE: Name = Name::fixed(c"file");
    static STAGING: Name = Name::fixed(c".file.tmp");

    /// A directory that is removed when this is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("hermes-init-{}-{name}", std::process::id()));
            // A failure shows in the test.
            let _ = std::fs::create_dir(&path);
            Scratch(path)
        }

        /// Returns the names and contents of the files.
        fn content(&self) -> Vec<(String, String)> {
            let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
            let mut content: Vec<_> = entries
                .map(|entry| {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    (name, std::fs::read_to_string(entry.path()).unwrap_or_default())
                })
                .collect();
            content.sort();
            content
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_staged_file_takes_the_place_of_another_one_or_is_removed() -> Result<(), Errno> {
        let scratch = Scratch::new("staged");
        let dir = Dir::fixed(&scratch.0)?;
        let ownership = Ownership::new();
        let attributes = |durable| {
            let ids = ownership.process();
            Attributes { mode: 0o600, ids, ownership: &ownership, durable }
        };
        let file = |name: &str, content: &str| (name.to_owned(), content.to_owned());

        drop(create(&dir, &FILE, 0o644, b"old")?);
        let staged = Staged::write(&dir, &STAGING, b"new", attributes(true))?;
        assert_eq!(scratch.content(), [file(".file.tmp", "new"), file("file", "old")]);
        drop(staged);
        assert_eq!(scratch.content(), [file("file", "old")]);

        // An interrupted run has left it.
        drop(create(&dir, &STAGING, 0o644, b"left over")?);
        Staged::write(&dir, &STAGING, b"new", attributes(false))?.publish(&dir, &FILE)?;
        assert_eq!(scratch.content(), [file("file", "new")]);
        assert_eq!(dir.meta(&FILE)?.mode, 0o600);

        // What cannot be published is removed.
        dir.unlink(&FILE)?;
        dir.mkdir(&FILE, 0o755)?;
        let staged = Staged::write(&dir, &STAGING, b"new", attributes(false))?;
        assert_eq!(staged.publish(&dir, &FILE), Err(Errno::ISDIR));
        assert_eq!(dir.names()?, std::slice::from_ref(&FILE));
        Ok(())
    }

    #[test]
    fn all_entries_of_a_large_directory_are_returned_once() -> Result<(), Errno> {
        let scratch = Scratch::new("large");
        let dir = Dir::fixed(&scratch.0)?;
        let mut expected: Vec<Name> =
            (0..1000).filter_map(|number| Name::new(format!("entry-{number}"))).collect();
        expected.sort_unstable();
        for name in &expected {
            drop(create(&dir, name, 0o600, b"")?);
        }
        assert_eq!(dir.names()?, expected);
        // Again, from the beginning.
        let kinds: Vec<Kind> = dir.entries()?.map(|entry| Ok(entry?.kind)).collect::<Result<_, Errno>>()?;
        assert!(kinds.len() == 1000 && kinds.iter().all(|kind| *kind == Kind::Regular));
        Ok(())
    }
}
