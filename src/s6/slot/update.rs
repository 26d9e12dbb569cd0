//! Updates a slot in place while it is supervised: each file is replaced by a rename, and the directories in which s6-supervise
//! works stay.

use std::os::fd::AsFd;
use std::path::Path;

use super::template::{DOWN_FILE, File};
use super::{DefaultState, Template, staging};
use crate::output::{Context, Error, Result};
use crate::s6::ProfileName;
use crate::s6::scandir_lock::Held;
use crate::s6::sealing::{self, Sealing};
use crate::s6::servicedir::{self, DIRECTORY, DOWN, EVENT, LOG, SUPERVISE};
use crate::s6::skeleton::{self, Existing};
use crate::sys::staged::{Attributes, Staged};
use crate::sys::{Dir, Errno, Kind, Name, Reason, acl, file, present, remove};

/// Makes a supervised slot what is wanted, file by file. `down` takes effect when its supervisor starts again.
pub fn in_place(
    scandir: &Held<'_>,
    slot: &Dir,
    profile: &ProfileName,
    want: DefaultState,
    template: &Template<'_>,
) -> Result<()> {
    let update = Update { scandir, profile, template };
    let path: &Path = profile.slot().as_ref();
    let log_path = &path.join(&LOG);
    update.take(slot, path)?;
    let log = present(slot.meta(&LOG)).context("inspect", log_path)?;
    if log.is_some_and(|meta| meta.kind != Kind::Directory) {
        remove::tree(slot, &LOG).context("remove", log_path)?;
    }
    match slot.mkdir(&LOG, DIRECTORY) {
        Ok(()) | Err(Errno::EXIST) => (),
        Err(errno) => return Err(Error::new("create", log_path, errno)),
    }
    let log = slot.dir(&LOG).context("open", log_path)?;
    update.take(&log, log_path)?;
    for file in template.files() {
        update.file(slot, path, file)?;
    }
    update.file(&log, log_path, template.log_file())?;
    update.default_state(slot, path, want)?;
    // Before the skeletons: if this is interrupted, these show that the slot differs.
    update.environment(slot, &path.join(&servicedir::ENV))?;
    update.skeleton(slot, path)?;
    update.skeleton(&log, log_path)
}

/// Sets whether the gateway of a slot starts when its supervisor does. The scan directory is locked, so that no pass that has read another
/// state is at work on the slot.
pub fn set_default_state(
    scandir: &Held<'_>,
    slot: &Dir,
    profile: &ProfileName,
    want: DefaultState,
    template: &Template<'_>,
) -> Result<()> {
    let update = Update { scandir, profile, template };
    update.default_state(slot, profile.slot().as_ref(), want)
}

/// An update. `path`, in each step, is that of the directory, for messages.
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

/// Returns what is done with an entry of a slot that is being sealed.
fn sealing_of_slot(name: &Name) -> Sealing {
    if ENTRIES.contains(&name) { Sealing::Keep } else { Sealing::Remove }
}

impl Update<'_> {
    /// Sets mode and owner of a service directory. In sealed mode this comes first: what is checked after it stays as it was checked.
    fn take(&self, dir: &Dir, path: &Path) -> Result<()> {
        let (owner, ownership) = (self.template.policy.slot_owner, self.template.ownership);
        if self.template.policy.mode.is_sealed() {
            let rule = |name: &Name, _: &_| sealing_of_slot(name);
            return sealing::directory(dir, path, DIRECTORY, owner, ownership, rule).map(|_| ());
        }
        skeleton::set_attributes(dir, DIRECTORY, owner, ownership).context("set mode and owner of", path)
    }

    fn default_state(&self, slot: &Dir, path: &Path, want: DefaultState) -> Result<()> {
        match want {
            DefaultState::Down => self.file(slot, path, DOWN_FILE),
            DefaultState::Up => remove::tree(slot, &DOWN).context("remove", path.join(&DOWN)),
        }
    }

    /// Replaces a file that differs.
    fn file(&self, dir: &Dir, path: &Path, what: File<'_>) -> Result<()> {
        let (ids, ownership) = (self.template.policy.slot_owner, self.template.ownership);
        let path = &path.join(what.name);
        match file::read_meta(dir, what.name, what.content.len() as u64) {
            Ok((content, meta))
                if content == what.content
                    && meta.mode == what.mode
                    && ownership.accepts(meta.ids, ids, self.scandir) =>
            {
                return Ok(());
            }
            Ok(_) | Err(Reason::Rule(_) | Reason::Errno(Errno::NOENT)) => (),
            Err(reason) => return Err(Error::new("read", path, reason)),
        }
        // A directory cannot be replaced by the rename of a file.
        let found = present(dir.meta(what.name)).context("inspect", path)?;
        if found.is_some_and(|meta| meta.kind == Kind::Directory) {
            remove::tree(dir, what.name).context("remove", path)?;
        }
        let attributes = Attributes { mode: what.mode, ids, ownership, durable: false };
        // In the scan directory, because the slot may be another user's.
        let staging = staging::file(self.profile);
        let staged = Staged::write(self.scandir, &staging, what.content, attributes);
        staged.and_then(|staged| staged.publish(dir, what.name)).context("replace", path)
    }

    /// Sets mode and owner of `env`, if there is one, and of its files. Their content stays.
    fn environment(&self, slot: &Dir, path: &Path) -> Result<()> {
        let (policy, ownership) = (&self.template.policy, self.template.ownership);
        let verb = "set mode and owner of";
        // Anything but a directory is no environment.
        let Some(dir) = present(slot.dir(&servicedir::ENV)).context("open", path)? else { return Ok(()) };
        skeleton::set_attributes(&dir, policy.env, policy.supervise_owner, ownership).context(verb, path)?;
        self.remove_lists(&dir).context(verb, path)?;
        for name in &dir.names().context("list", path)? {
            let (mode, ids) = (Some(policy.variable), policy.supervise_owner);
            let set = file::open_checked(&dir, name).and_then(|(file, found)| {
                skeleton::set(file.as_fd(), found, mode, ids, &dir, ownership)?;
                Ok(self.remove_lists(&file)?)
            });
            match set {
                // Other entries stay as they are: `gateway-run` reads only regular files, as the hermes user.
                Ok(()) | Err(Reason::Rule(_) | Reason::Errno(Errno::NOENT)) => (),
                Err(reason) => return Err(Error::new(verb, path.join(name), reason)),
            }
        }
        Ok(())
    }

    /// Sealed mode: removes the access control lists of a file, which is root's now.
    fn remove_lists(&self, file: impl AsFd) -> std::result::Result<(), Errno> {
        if self.template.policy.mode.is_sealed() {
            acl::remove(file)?;
        }
        Ok(())
    }

    fn skeleton(&self, service: &Dir, path: &Path) -> Result<()> {
        if self.template.policy.mode.is_sealed() {
            self.seal_event(service, path)?;
            self.seal_supervise(service, &path.join(&SUPERVISE))?;
        }
        let (policy, ownership) = (&self.template.policy, self.template.ownership);
        skeleton::complete(service, path, Existing::Update, policy, ownership)
    }

    /// Seals the `event` directory in a directory that is sealed. Anything else of that name is removed.
    fn seal_event(&self, parent: &Dir, path: &Path) -> Result<()> {
        let path = &path.join(&EVENT);
        match present(parent.dir(&EVENT)).context("open", path)? {
            Some(event) => {
                let (owner, ownership) = (self.template.policy.slot_owner, self.template.ownership);
                sealing::event(&event, path, owner, ownership).map(|_| ())
            }
            None => remove::tree(parent, &EVENT).context("remove", path),
        }
    }

    /// Seals `supervise`, if there is one.
    fn seal_supervise(&self, service: &Dir, path: &Path) -> Result<()> {
        let supervise = match service.dir(&SUPERVISE) {
            Err(Errno::NOENT) => return Ok(()),
            supervise => supervise.context("open", path)?,
        };
        let (policy, ownership) = (&self.template.policy, self.template.ownership);
        let (mode, owner) = (policy.supervise, policy.supervise_owner);
        sealing::directory(&supervise, path, mode, owner, ownership, sealing::of_supervise)?;
        self.seal_event(&supervise, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_slot_keeps_only_what_a_slot_has() {
        for (name, expected) in [
            ("run", Sealing::Keep),
            ("finish", Sealing::Keep),
            ("type", Sealing::Keep),
            ("down", Sealing::Keep),
            ("log", Sealing::Keep),
            ("env", Sealing::Keep),
            ("event", Sealing::Keep),
            ("supervise", Sealing::Keep),
            ("notification-fd", Sealing::Remove),
            ("timeout-kill", Sealing::Remove),
            ("down-signal", Sealing::Remove),
            ("data", Sealing::Remove),
            ("run.old", Sealing::Remove),
        ] {
            assert_eq!(Name::new(name).map(|name| sealing_of_slot(&name)), Some(expected), "{name}");
        }
    }
}
