//! Mending a slot in place, while it is supervised: each file is replaced by a rename, what s6-supervise works in stays.

use super::layout::{self, DIRECTORY, DOWN, DOWN_FILE, File, LOG, SUPERVISE};
use super::skeleton::{self, Existing};
use super::{ProfileName, Spec, Want, staging};
use crate::error::{Context, Error, Result};
use crate::sys::{Dir, Errno, Kind, Name, file, remove};

/// Makes a supervised slot what is wanted, file by file; `down` counts when its supervisor starts again.
pub fn in_place(scandir: &Dir, slot: &Dir, profile: &ProfileName, want: Want, spec: &Spec<'_>) -> Result<()> {
    let work = Update { scandir, profile, spec };
    work.take(slot, &[])?;
    match slot.mkdir(&LOG, DIRECTORY) {
        Ok(()) | Err(Errno::EXIST) => (),
        Err(errno) => return Err(Error::new("make", work.label(&[&LOG]), errno)),
    }
    let log = slot.dir(&LOG).context("open", work.label(&[&LOG]))?;
    work.take(&log, &[&LOG])?;
    for file in spec.files() {
        work.file(slot, &[], file)?;
    }
    work.file(&log, &[&LOG], spec.log_file())?;
    if want.down {
        work.file(slot, &[], DOWN_FILE)?;
    } else {
        remove::tree(slot, &DOWN).context("remove", work.label(&[&DOWN]))?;
    }
    work.environment(slot)?;
    work.skeleton(slot, &[])?;
    work.skeleton(&log, &[&LOG])
}

struct Update<'a> {
    scandir: &'a Dir,
    profile: &'a ProfileName,
    spec: &'a Spec<'a>,
}

/// What a sealed slot may have in it; anything else was put there while it was the hermes user's, and s6-supervise reads
/// several such files.
static OURS: [&Name; 8] =
    [&layout::TYPE, &layout::RUN, &layout::FINISH, &DOWN, &LOG, &layout::EVENT, &SUPERVISE, &layout::ENV];

impl Update<'_> {
    /// The path of something in the slot, as messages name it.
    fn label(&self, below: &[&Name]) -> Vec<u8> {
        let mut label = self.profile.slot().bytes().to_vec();
        for name in below {
            label.push(b'/');
            label.extend_from_slice(name.bytes());
        }
        label
    }

    /// Gives a service directory its mode and owner. Taking it from the hermes user comes before all else: what is checked
    /// after that stays as checked.
    fn take(&self, dir: &Dir, below: &[&Name]) -> Result<()> {
        let (policy, chowner) = (&self.spec.policy, self.spec.chowner);
        let label = self.label(below);
        let taken = policy.sealed && dir.own_meta().context("look at", &label)?.ids != policy.body;
        skeleton::mend(dir, DIRECTORY, policy.body, chowner).context("set mode and owner of", &label)?;
        if taken && chowner.refused().is_none() {
            for name in dir.names().context("list", &label)? {
                if !OURS.contains(&&name) {
                    remove::tree(dir, &name)
                        .context("remove", [&label, b"/".as_slice(), name.bytes()].concat())?;
                }
            }
        }
        Ok(())
    }

    /// Replaces a file that is not as it should be.
    fn file(&self, dir: &Dir, below: &[&Name], what: File<'_>) -> Result<()> {
        let (policy, chowner) = (&self.spec.policy, self.spec.chowner);
        let cap = what.content.len() as u64;
        if let Ok((content, meta)) = file::read_meta(dir, what.name, cap)
            && content == what.content
            && meta.mode == what.mode
            && chowner.is_settled(meta.ids, policy.body, self.scandir)
        {
            return Ok(());
        }
        let label = [below, &[what.name]].concat();
        // A directory in a file's place would stop the rename.
        if dir.meta(what.name).is_ok_and(|meta| meta.kind == Kind::Directory) {
            remove::tree(dir, what.name).context("remove", self.label(&label))?;
        }
        let make = file::Make { mode: what.mode, ids: policy.body, chowner, durable: false };
        file::replace(self.scandir, &staging::file(self.profile), dir, what.name, what.content, make)
            .context("replace", self.label(&label))
    }

    /// Gives `env`, where there is one, to who may read it. What is in it stays.
    fn environment(&self, slot: &Dir) -> Result<()> {
        let (policy, chowner) = (&self.spec.policy, self.spec.chowner);
        let (mode, file_mode) = policy.env;
        let label = self.label(&[&layout::ENV]);
        let dir = match slot.dir(&layout::ENV) {
            Err(Errno::NOENT) => return Ok(()),
            dir => dir.context("open", &label)?,
        };
        skeleton::mend(&dir, mode, policy.skeleton, chowner).context("set mode and owner of", &label)?;
        for name in dir.names().context("list", &label)? {
            let path = [label.as_slice(), b"/", name.bytes()].concat();
            let (file, meta) =
                file::open_checked(&dir, &name).map_err(|reason| Error::new("open", &path, reason))?;
            if meta.mode != file_mode {
                file::chmod(&file, file_mode).context("set the mode of", &path)?;
            }
            if !chowner.is_settled(meta.ids, policy.skeleton, &dir) {
                chowner.give(&file, policy.skeleton).context("set the owner of", &path)?;
            }
        }
        Ok(())
    }

    fn skeleton(&self, service: &Dir, below: &[&Name]) -> Result<()> {
        let (policy, chowner) = (&self.spec.policy, self.spec.chowner);
        if policy.sealed {
            seal_supervise(service, &self.label(&[below, &[&SUPERVISE]].concat()), self.spec)?;
        }
        skeleton::complete(service, &self.label(below), Existing::Mend, policy, chowner).map(|_| ())
    }
}

/// Takes `supervise` from the hermes user, and out of it what would let root be led astray: s6-supervise opens `death_tally`
/// and `lock` by name, symlink or not.
fn seal_supervise(service: &Dir, label: &[u8], spec: &Spec<'_>) -> Result<()> {
    let supervise = match service.dir(&SUPERVISE) {
        Err(Errno::NOENT) => return Ok(()),
        supervise => supervise.context("open", label)?,
    };
    let (policy, chowner) = (&spec.policy, spec.chowner);
    skeleton::mend(&supervise, policy.supervise, policy.skeleton, chowner)
        .context("set mode and owner of", label)?;
    for name in supervise.names().context("list", label)? {
        let path = [label, b"/", name.bytes()].concat();
        let meta = match supervise.meta(&name) {
            Err(Errno::NOENT) => continue,
            meta => meta.context("look at", &path)?,
        };
        match meta.kind {
            Kind::Directory | Kind::Fifo => (),
            Kind::Regular if meta.links == 1 => {
                if !chowner.is_settled(meta.ids, chowner.me(), &supervise)
                    && let Ok((file, _)) = file::open_checked(&supervise, &name)
                {
                    chowner.give(&file, chowner.me()).context("take back", &path)?;
                }
            }
            // s6-supervise makes neither symlinks nor hard links.
            _ => supervise.unlink(&name).context("remove", &path)?,
        }
    }
    Ok(())
}
