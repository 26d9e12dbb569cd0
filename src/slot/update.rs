//! Updates a slot in place while it is supervised: each file is replaced by a rename, and the directories in which s6-supervise
//! works stay.

use super::layout::{self, DIRECTORY, DOWN, DOWN_FILE, File, LOG, SUPERVISE};
use super::skeleton::{self, Existing};
use super::{ProfileName, Spec, Want, staging};
use crate::error::{Context, Error, Result};
use crate::sys::{self, Dir, Errno, Kind, Name, file, remove};

/// Makes a supervised slot what is wanted, file by file. `down` takes effect when its supervisor starts again.
pub fn in_place(scandir: &Dir, slot: &Dir, profile: &ProfileName, want: Want, spec: &Spec<'_>) -> Result<()> {
    let work = Update { scandir, profile, spec };
    let label = profile.slot().bytes();
    let log_label = &sys::label(&[label, LOG.bytes()]);
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
        remove::tree(slot, &DOWN).context("remove", sys::label(&[label, DOWN.bytes()]))?;
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

/// The entries of a sealed slot. The hermes user may have made others in a delegated one, and s6-supervise reads several.
static ENTRIES: [&Name; 8] =
    [&layout::TYPE, &layout::RUN, &layout::FINISH, &DOWN, &LOG, &layout::EVENT, &SUPERVISE, &layout::ENV];

impl Update<'_> {
    /// Sets mode and owner of a service directory. In sealed mode this comes first: what is checked after it stays as it was checked.
    fn take(&self, dir: &Dir, label: &[u8]) -> Result<()> {
        let (policy, ownership) = (&self.spec.policy, self.spec.ownership);
        let taken = policy.sealed && dir.own_meta().context("look at", label)?.ids != policy.body;
        skeleton::set_attributes(dir, DIRECTORY, policy.body, ownership)
            .context("set mode and owner of", label)?;
        if taken && !ownership.is_refused_on(dir) {
            for name in dir.names().context("list", label)? {
                if !ENTRIES.contains(&&name) {
                    remove::tree(dir, &name).context("remove", sys::label(&[label, name.bytes()]))?;
                }
            }
        }
        Ok(())
    }

    /// Replaces a file that differs.
    fn file(&self, dir: &Dir, label: &[u8], what: File<'_>) -> Result<()> {
        let (policy, ownership) = (&self.spec.policy, self.spec.ownership);
        let cap = what.content.len() as u64;
        if let Ok((content, meta)) = file::read_meta(dir, what.name, cap)
            && content == what.content
            && meta.mode == what.mode
            && ownership.accepts(meta.ids, policy.body, self.scandir)
        {
            return Ok(());
        }
        let label = &sys::label(&[label, what.name.bytes()]);
        // A directory cannot be replaced by the rename of a file.
        if dir.meta(what.name).is_ok_and(|meta| meta.kind == Kind::Directory) {
            remove::tree(dir, what.name).context("remove", label)?;
        }
        let attributes = file::Attributes { mode: what.mode, ids: policy.body, ownership, durable: false };
        file::replace(self.scandir, &staging::file(self.profile), dir, what.name, what.content, attributes)
            .context("replace", label)
    }

    /// Sets mode and owner of `env`, if there is one, and of its files. Their content stays.
    fn environment(&self, slot: &Dir) -> Result<()> {
        let (policy, ownership) = (&self.spec.policy, self.spec.ownership);
        let (mode, file_mode) = policy.env;
        let label = &sys::label(&[self.profile.slot().bytes(), layout::ENV.bytes()]);
        let dir = match slot.dir(&layout::ENV) {
            // Anything but a directory is no environment.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            dir => dir.context("open", label)?,
        };
        skeleton::set_attributes(&dir, mode, policy.skeleton, ownership)
            .context("set mode and owner of", label)?;
        for name in dir.names().context("list", label)? {
            let path = sys::label(&[label, name.bytes()]);
            // Other entries stay as they are: `gateway-run` reads only regular files, as the hermes user.
            let Ok((file, meta)) = file::open_checked(&dir, &name) else { continue };
            if meta.mode != file_mode {
                file::chmod(&file, file_mode).context("set the mode of", &path)?;
            }
            if !ownership.accepts(meta.ids, policy.skeleton, &dir) {
                ownership.change(&file, policy.skeleton).context("set the owner of", &path)?;
            }
        }
        Ok(())
    }

    fn skeleton(&self, service: &Dir, label: &[u8]) -> Result<()> {
        let (policy, ownership) = (&self.spec.policy, self.spec.ownership);
        if policy.sealed {
            seal_supervise(service, &sys::label(&[label, SUPERVISE.bytes()]), self.spec)?;
        }
        skeleton::complete(service, label, Existing::Update, policy, ownership).map(|_| ())
    }
}

/// Makes root the owner of `supervise`, and removes the links in it: s6-supervise, as root, opens `death_tally` and `lock` by name
/// and follows symlinks.
fn seal_supervise(service: &Dir, label: &[u8], spec: &Spec<'_>) -> Result<()> {
    let supervise = match service.dir(&SUPERVISE) {
        Err(Errno::NOENT) => return Ok(()),
        supervise => supervise.context("open", label)?,
    };
    let (policy, ownership) = (&spec.policy, spec.ownership);
    skeleton::set_attributes(&supervise, policy.supervise, policy.skeleton, ownership)
        .context("set mode and owner of", label)?;
    for name in supervise.names().context("list", label)? {
        let path = sys::label(&[label, name.bytes()]);
        let meta = match supervise.meta(&name) {
            Err(Errno::NOENT) => continue,
            meta => meta.context("look at", &path)?,
        };
        match meta.kind {
            Kind::Directory | Kind::Fifo => (),
            Kind::Regular if meta.links == 1 => {
                if !ownership.accepts(meta.ids, ownership.process(), &supervise)
                    && let Ok((file, _)) = file::open_checked(&supervise, &name)
                {
                    ownership.change(&file, ownership.process()).context("take back", &path)?;
                }
            }
            // s6-supervise makes neither symlinks nor hard links.
            _ => supervise.unlink(&name).context("remove", &path)?,
        }
    }
    Ok(())
}
