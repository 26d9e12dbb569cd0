//! Mending a slot in place, while it is supervised: each file is replaced by a rename, what s6-supervise works in stays.

use super::layout::{self, DIRECTORY, DOWN, DOWN_FILE, File, LOG, SUPERVISE};
use super::skeleton::{self, Existing};
use super::{ProfileName, Spec, Want, staging};
use crate::error::{Context, Error, Result};
use crate::sys::keep::{self, Bytes};
use crate::sys::{Dir, Errno, Kind, Name, file, remove};

/// Makes a supervised slot what is wanted, file by file; `down` counts when its supervisor starts again.
pub fn in_place(scandir: &Dir, slot: &Dir, profile: &ProfileName, want: Want, spec: &Spec<'_>) -> Result<()> {
    let work = Update { scandir, profile, spec };
    let label = profile.slot().bytes();
    let log_label = keep::path(&[label, LOG.bytes()]);
    work.take(slot, label)?;
    if slot.meta(&LOG).is_ok_and(|meta| meta.kind != Kind::Directory) {
        remove::tree(slot, &LOG).context("remove", log_label)?;
    }
    match slot.mkdir(&LOG, DIRECTORY) {
        Ok(()) | Err(Errno::EXIST) => (),
        Err(errno) => return Err(Error::new("make", log_label, errno)),
    }
    let log = slot.dir(&LOG).context("open", log_label)?;
    work.take(&log, log_label)?;
    for file in spec.files() {
        work.file(slot, label, file)?;
    }
    work.file(&log, log_label, spec.log_file())?;
    if want.down {
        work.file(slot, label, DOWN_FILE)?;
    } else {
        remove::tree(slot, &DOWN).context("remove", keep::path(&[label, DOWN.bytes()]))?;
    }
    work.skeleton(slot, label)?;
    work.skeleton(&log, log_label)?;
    work.environment(slot)
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
    /// Gives a service directory its mode and owner. Taking it from the hermes user comes before all else: what is checked
    /// after that stays as checked.
    fn take(&self, dir: &Dir, label: Bytes) -> Result<()> {
        let (policy, chowner) = (&self.spec.policy, self.spec.chowner);
        let taken = policy.sealed && dir.own_meta().context("look at", label)?.ids != policy.body;
        skeleton::mend(dir, DIRECTORY, policy.body, chowner).context("set mode and owner of", label)?;
        if taken && chowner.refused().is_none() {
            for name in dir.names().context("list", label)? {
                if !OURS.contains(&&name) {
                    remove::tree(dir, &name).context("remove", keep::path(&[label, name.bytes()]))?;
                }
            }
        }
        Ok(())
    }

    /// Replaces a file that is not as it should be.
    fn file(&self, dir: &Dir, label: Bytes, what: File) -> Result<()> {
        let (policy, chowner) = (&self.spec.policy, self.spec.chowner);
        let cap = what.content.len() as u64;
        if let Ok((content, meta)) = file::read_meta(dir, what.name, cap)
            && content == what.content
            && meta.mode == what.mode
            && chowner.is_settled(meta.ids, policy.body, self.scandir)
        {
            return Ok(());
        }
        let label = keep::path(&[label, what.name.bytes()]);
        // A directory in a file's place would stop the rename.
        if dir.meta(what.name).is_ok_and(|meta| meta.kind == Kind::Directory) {
            remove::tree(dir, what.name).context("remove", label)?;
        }
        let make = file::Make { mode: what.mode, ids: policy.body, chowner, durable: false };
        file::replace(self.scandir, &staging::file(self.profile), dir, what.name, what.content, make)
            .context("replace", label)
    }

    /// Gives `env`, where there is one, to who may read it. What is in it stays.
    fn environment(&self, slot: &Dir) -> Result<()> {
        let (policy, chowner) = (&self.spec.policy, self.spec.chowner);
        let (mode, file_mode) = policy.env;
        let label = keep::path(&[self.profile.slot().bytes(), layout::ENV.bytes()]);
        let dir = match slot.dir(&layout::ENV) {
            // What is no directory is nobody's environment.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            dir => dir.context("open", label)?,
        };
        skeleton::mend(&dir, mode, policy.skeleton, chowner).context("set mode and owner of", label)?;
        for name in dir.names().context("list", label)? {
            let path = keep::path(&[label, name.bytes()]);
            // What no registration made stays as it is: `gateway-run` reads nothing but regular files, as the owner.
            let Ok((file, meta)) = file::open_checked(&dir, &name) else { continue };
            if meta.mode != file_mode {
                file::chmod(&file, file_mode).context("set the mode of", path)?;
            }
            if !chowner.is_settled(meta.ids, policy.skeleton, &dir) {
                chowner.give(&file, policy.skeleton).context("set the owner of", path)?;
            }
        }
        Ok(())
    }

    fn skeleton(&self, service: &Dir, label: Bytes) -> Result<()> {
        let (policy, chowner) = (&self.spec.policy, self.spec.chowner);
        if policy.sealed {
            seal_supervise(service, keep::path(&[label, SUPERVISE.bytes()]), self.spec)?;
        }
        skeleton::complete(service, label, Existing::Mend, policy, chowner).map(|_| ())
    }
}

/// Takes `supervise` from the hermes user, and out of it what would let root be led astray: s6-supervise opens `death_tally`
/// and `lock` by name, symlink or not.
fn seal_supervise(service: &Dir, label: Bytes, spec: &Spec<'_>) -> Result<()> {
    let supervise = match service.dir(&SUPERVISE) {
        Err(Errno::NOENT) => return Ok(()),
        supervise => supervise.context("open", label)?,
    };
    let (policy, chowner) = (&spec.policy, spec.chowner);
    skeleton::mend(&supervise, policy.supervise, policy.skeleton, chowner)
        .context("set mode and owner of", label)?;
    for name in supervise.names().context("list", label)? {
        let path = keep::path(&[label, name.bytes()]);
        let meta = match supervise.meta(&name) {
            Err(Errno::NOENT) => continue,
            meta => meta.context("look at", path)?,
        };
        match meta.kind {
            Kind::Directory | Kind::Fifo => (),
            Kind::Regular if meta.links == 1 => {
                if !chowner.is_settled(meta.ids, chowner.me(), &supervise)
                    && let Ok((file, _)) = file::open_checked(&supervise, &name)
                {
                    chowner.give(&file, chowner.me()).context("take back", path)?;
                }
            }
            // s6-supervise makes neither symlinks nor hard links.
            _ => supervise.unlink(&name).context("remove", path)?,
        }
    }
    Ok(())
}
