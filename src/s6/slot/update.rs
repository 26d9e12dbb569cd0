//! Updates a slot in place while it is supervised: each file is replaced by a rename, and the directories in which s6-supervise
//! works stay.

use std::os::fd::AsFd;

use super::template::{DOWN_FILE, File};
use super::{DefaultState, Template, staging};
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::s6::servicedir::{self, CONTROL, DIRECTORY, DOWN, EVENT, LOG, SUPERVISE};
use crate::s6::skeleton::{self, Existing};
use crate::sys::{self, Dir, Errno, Kind, Name, Reason, file, present, remove};

/// Makes a supervised slot what is wanted, file by file. `down` takes effect when its supervisor starts again.
pub fn in_place(
    scandir: &Dir,
    slot: &Dir,
    profile: &ProfileName,
    want: DefaultState,
    template: &Template<'_>,
) -> Result<()> {
    let work = Update { scandir, profile, template };
    let label = profile.slot().bytes();
    let log_label = &sys::label(&[label, LOG.bytes()]);
    work.take(slot, label)?;
    let log = present(slot.meta(&LOG)).context("look at", log_label)?;
    if log.is_some_and(|meta| meta.kind != Kind::Directory) {
        remove::tree(slot, &LOG).context("remove", log_label)?;
    }
    match slot.mkdir(&LOG, DIRECTORY) {
        Ok(()) | Err(Errno::EXIST) => (),
        Err(errno) => return Err(Error::new("make", log_label, errno)),
    }
    let log = slot.dir(&LOG).context("open", log_label)?;
    work.take(&log, log_label)?;
    for file in &template.files() {
        work.file(slot, label, *file)?;
    }
    work.file(&log, log_label, template.log_file())?;
    if want == DefaultState::Down {
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
    template: &'a Template<'a>,
}

/// The entries of a sealed slot. The hermes user may have made others in a delegated one, and s6-supervise reads several.
static ENTRIES: [&Name; 8] = [
    &servicedir::TYPE,
    &servicedir::RUN,
    &servicedir::FINISH,
    &DOWN,
    &LOG,
    &EVENT,
    &SUPERVISE,
    &servicedir::ENV,
];

impl Update<'_> {
    /// Sets mode and owner of a service directory. In sealed mode this comes first: what is checked after it stays as it was checked.
    fn take(&self, dir: &Dir, label: &[u8]) -> Result<()> {
        let (policy, ownership) = (&self.template.policy, self.template.ownership);
        if !policy.mode.is_sealed() {
            let set = skeleton::set_attributes(dir, DIRECTORY, policy.slot_owner, ownership);
            return set.context("set mode and owner of", label).map(|_| ());
        }
        let clean = |name: &Name, _| {
            if ENTRIES.contains(&name) { Ok(()) } else { Ok(remove::tree(dir, name)?) }
        };
        skeleton::seal(dir, label, DIRECTORY, policy.slot_owner, ownership, &clean).map(|_| ())
    }

    /// Replaces a file that differs.
    fn file(&self, dir: &Dir, label: &[u8], what: File<'_>) -> Result<()> {
        let (policy, ownership) = (&self.template.policy, self.template.ownership);
        let cap = what.content.len() as u64;
        let label = &sys::label(&[label, what.name.bytes()]);
        match file::read_meta(dir, what.name, cap) {
            Ok((content, meta))
                if content == what.content
                    && meta.mode == what.mode
                    && ownership.accepts(meta.ids, policy.slot_owner, self.scandir) =>
            {
                return Ok(());
            }
            Ok(_) | Err(Reason::Rule(_) | Reason::Errno(Errno::NOENT)) => (),
            Err(reason) => return Err(Error::new("read", label, reason)),
        }
        // A directory cannot be replaced by the rename of a file.
        let there = present(dir.meta(what.name)).context("look at", label)?;
        if there.is_some_and(|meta| meta.kind == Kind::Directory) {
            remove::tree(dir, what.name).context("remove", label)?;
        }
        let attributes =
            file::Attributes { mode: what.mode, ids: policy.slot_owner, ownership, durable: false };
        file::replace(self.scandir, &staging::file(self.profile), dir, what.name, what.content, attributes)
            .context("replace", label)
    }

    /// Sets mode and owner of `env`, if there is one, and of its files. Their content stays.
    fn environment(&self, slot: &Dir) -> Result<()> {
        let (policy, ownership) = (&self.template.policy, self.template.ownership);
        let (mode, file_mode) = (policy.env, policy.variable);
        let label = &sys::label(&[self.profile.slot().bytes(), servicedir::ENV.bytes()]);
        // Anything but a directory is no environment.
        let Some(dir) = present(slot.dir(&servicedir::ENV)).context("open", label)? else { return Ok(()) };
        skeleton::set_attributes(&dir, mode, policy.supervise_owner, ownership)
            .context("set mode and owner of", label)?;
        for name in &dir.names().context("list", label)? {
            let path = sys::label(&[label, name.bytes()]);
            // Other entries stay as they are: `gateway-run` reads only regular files, as the hermes user.
            let set = file::open_checked(&dir, name).and_then(|(file, found)| {
                Ok(skeleton::set(
                    file.as_fd(),
                    found,
                    Some(file_mode),
                    policy.supervise_owner,
                    &dir,
                    ownership,
                )?)
            });
            match set {
                Ok(_) | Err(Reason::Rule(_) | Reason::Errno(Errno::NOENT)) => (),
                Err(reason) => return Err(Error::new("set mode and owner of", path, reason)),
            }
        }
        Ok(())
    }

    fn skeleton(&self, service: &Dir, label: &[u8]) -> Result<()> {
        let (policy, ownership) = (&self.template.policy, self.template.ownership);
        if policy.mode.is_sealed() {
            seal_event(service, label, self.template)?;
            seal_supervise(service, &sys::label(&[label, SUPERVISE.bytes()]), self.template)?;
        }
        skeleton::complete(service, label, Existing::Update, policy, ownership).map(|_| ())
    }
}

/// Seals the `event` directory in a directory that is sealed. Anything else of that name is removed.
fn seal_event(parent: &Dir, label: &[u8], template: &Template<'_>) -> Result<()> {
    let label = &sys::label(&[label, EVENT.bytes()]);
    match present(parent.dir(&EVENT)).context("open", label)? {
        Some(event) => {
            skeleton::seal_event(&event, label, template.policy.slot_owner, template.ownership).map(|_| ())
        }
        None => remove::tree(parent, &EVENT).context("remove", label),
    }
}

/// Makes root the owner of `supervise`, and removes what s6-supervise has not made: it opens `death_tally` and `lock`, as root, by
/// name and follows symlinks.
fn seal_supervise(service: &Dir, label: &[u8], template: &Template<'_>) -> Result<()> {
    let supervise = match service.dir(&SUPERVISE) {
        Err(Errno::NOENT) => return Ok(()),
        supervise => supervise.context("open", label)?,
    };
    let (policy, ownership) = (&template.policy, template.ownership);
    let root = ownership.process();
    let clean = |name: &Name, meta: sys::Meta| match meta.kind {
        Kind::Directory if *name == EVENT => Ok(()),
        Kind::Fifo if *name == CONTROL => Ok(()),
        Kind::Regular if meta.links == 1 => match file::open_checked(&supervise, name) {
            // s6-supervise has renamed it.
            Err(Reason::Errno(Errno::NOENT)) => Ok(()),
            opened => {
                let (file, found) = opened?;
                let mode = Some(found.mode & !0o022);
                skeleton::set(file.as_fd(), found, mode, root, &supervise, ownership)?;
                Ok(())
            }
        },
        _ => Ok(remove::tree(&supervise, name)?),
    };
    skeleton::seal(&supervise, label, policy.supervise, policy.supervise_owner, ownership, &clean)?;
    seal_event(&supervise, label, template)
}
