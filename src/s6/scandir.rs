//! The scan directory as a whole: its entries and its owner.

use std::ops::ControlFlow;

use super::Policy;
use super::profile_name::PREFIX;
use super::servicedir::{CONTROL, LOG, SEALED_SUPERVISE, SUPERVISE};
use super::skeleton::stays_open;
use super::slot::staging;
use crate::output::{Context, Error, Result};
use crate::sys::{self, Dir, Errno, Ids, Kind, Name, Ownership, Reason, lock, present};

/// s6-svscan's own directory in the scan directory.
pub static SVSCAN: Name = Name::fixed(c".s6-svscan");
/// The file that s6-svscan locks, beside its control FIFO.
static LOCK: Name = Name::fixed(c"lock");

/// The entries of a scan directory.
#[derive(Debug, Default)]
pub struct Entries {
    /// Leftovers of interrupted passes.
    pub leftovers: Vec<Name>,
    /// Dangling symlinks: s6-svscan 2.12 and later abort their scan on one.
    pub dangling: Vec<Name>,
    /// Entries with the name of a slot.
    pub slots: Vec<Name>,
    /// All other entries that s6-svscan takes for services.
    pub others: Vec<Name>,
}

/// Lists a scan directory, each kind in byte order.
pub fn list(scandir: &Dir) -> std::result::Result<Entries, Errno> {
    let mut entries = Entries::default();
    scandir.each(&mut |name, kind| {
        let kind =
            if kind == Kind::Other { scandir.meta(&name).map_or(kind, |meta| meta.kind) } else { kind };
        if staging::is_leftover(name.bytes()) {
            entries.leftovers.push(name);
        } else if name.bytes().starts_with(b".") {
            // s6-svscan passes over it.
        } else if kind == Kind::Symlink && scandir.dangles(&name) {
            entries.dangling.push(name);
        } else if name.bytes().starts_with(PREFIX.as_bytes()) {
            entries.slots.push(name);
        } else {
            entries.others.push(name);
        }
        ControlFlow::Continue(())
    })?;
    for list in [&mut entries.leftovers, &mut entries.dangling, &mut entries.slots, &mut entries.others] {
        list.sort_unstable();
    }
    Ok(entries)
}

impl Entries {
    /// Returns the number of services that s6-svscan has or will have; a service with a logger is two.
    pub fn services(&self, scandir: &Dir) -> usize {
        let count = |name: &Name| match scandir.open_path_following(name).and_then(|dir| dir.meta(&LOG)) {
            // No directory: s6-svscan passes over it.
            Err(Errno::NOTDIR) => 0,
            Err(Errno::NOENT) => 1,
            _ => 2,
        };
        2 * self.slots.len() + self.others.iter().map(count).sum::<usize>()
    }
}

/// Returns whether an entry has the name of a slot.
pub fn is_slot_name(name: &Name) -> bool {
    name.bytes().starts_with(PREFIX.as_bytes())
}

/// Delegated mode, as root: makes the owner the owner of the scan directory and of the files that s6-svscanctl needs, and takes the
/// write permission of all others away. Writes only what differs. What s6-svscan has never used, /tmp for
/// example, stays what it is.
pub fn hand_over(scandir: &Dir, policy: &Policy, ownership: &Ownership) -> Result<()> {
    let found = scandir.own_meta().context("look at the scan", "directory")?;
    lock::abolish(scandir).context("remove the lock of the scan", "directory")?;
    let Some(svscan) = open_svscan(scandir)? else {
        return Err(Error::new(
            "hand over the scan",
            "directory",
            "there is no .s6-svscan in it: s6-svscan does not run there",
        ));
    };
    if found.mode & 0o022 != 0 {
        scandir.chmod(found.mode & !0o022).context("close to other users the scan", "directory")?;
    }
    if found.ids != policy.owner {
        ownership.change(scandir, policy.owner).context("hand over the scan", "directory")?;
    }
    let meta = svscan.own_meta().context("look at", &SVSCAN)?;
    if meta.ids.uid != ownership.process().uid {
        // Not s6-svscan's own: its files must not be handed over.
        return Ok(());
    }
    if meta.mode & 0o011 != 0o011 {
        svscan.chmod(meta.mode | 0o011).context("open for passage", &SVSCAN)?;
    }
    for &(name, kind) in &[(&CONTROL, Kind::Fifo), (&LOCK, Kind::Regular)] {
        let path = path_of(name);
        match svscan.meta(name) {
            Err(Errno::NOENT) => (),
            Ok(meta) if meta.ids == policy.owner => (),
            // Nobody but root can write this directory, so the name still is what was looked at.
            Ok(meta) if meta.kind == kind && (kind == Kind::Fifo || meta.links == 1) => {
                ownership.change_at(&svscan, name, policy.owner).context("hand over", path)?;
            }
            Ok(meta) => return Err(Error::new("hand over", path, format!("is {}", meta.kind.text()))),
            Err(errno) => return Err(Error::new("look at", path, errno)),
        }
    }
    Ok(())
}

/// Sealed mode, as root: makes root the owner of the scan directory and of s6-svscan's own files, and removes the write permission
/// of all others. Calls `report` for each that stays open.
pub fn seal(scandir: &Dir, policy: &Policy, ownership: &Ownership, report: &mut dyn FnMut(Error)) {
    if let Err(reason) = seal_top(scandir, policy, ownership) {
        report(Error::new("seal the scan", "directory", reason));
    }
    if let Err(reason) = seal_svscan(scandir, policy, ownership) {
        report(Error::new("seal", &SVSCAN, reason));
    }
}

type Sealed = std::result::Result<(), Reason>;

fn seal_top(scandir: &Dir, policy: &Policy, ownership: &Ownership) -> Sealed {
    let mut found = scandir.own_meta()?;
    if found.ids.uid != policy.slot_owner.uid {
        ownership.change(scandir, policy.slot_owner)?;
        // Its owner could change the mode until now.
        found = scandir.own_meta()?;
    }
    if found.mode & 0o022 != 0 {
        scandir.chmod(found.mode & !0o022)?;
    }
    if found.ids.uid == policy.slot_owner.uid { Ok(()) } else { Err(stays_open(found.ids)) }
}

fn seal_svscan(scandir: &Dir, policy: &Policy, ownership: &Ownership) -> Sealed {
    let Some(svscan) = absent_or(scandir.dir(&SVSCAN))? else { return Ok(()) };
    if svscan.own_meta()?.ids.uid != policy.slot_owner.uid {
        return Err("it is another user's, so s6-svscan's commands may be: restart the container".into());
    }
    for &(name, path) in &[(&CONTROL, c"control"), (&LOCK, c"lock")] {
        let Some(mut found) = present(svscan.meta(name))? else { continue };
        if found.ids.uid != policy.slot_owner.uid {
            ownership.change_at(&svscan, name, policy.slot_owner)?;
            found = svscan.meta(name)?;
        }
        if found.ids.uid != policy.slot_owner.uid {
            return Err(stays_open(found.ids));
        }
        // Its owner may have opened it to others. Nobody but root can write this directory, so the name still is what was looked at.
        if found.mode & 0o077 != 0 && found.kind != Kind::Symlink {
            svscan.chmod_at(path, 0o600)?;
        }
    }
    Ok(())
}

/// Returns whether a live scan directory is sealed: s6-svscan has its control FIFO there, it is root's, and so is a slot with the
/// modes of sealed mode.
pub fn is_sealed(scandir: &Dir) -> std::result::Result<bool, Errno> {
    if scandir.own_meta()?.ids.uid != 0 {
        return Ok(false);
    }
    let is_live = match present(scandir.open_path(&SVSCAN))? {
        // Other users may not be allowed to look into s6-svscan's directory. It makes the FIFO in every one.
        Some(svscan) => svscan
            .has(&CONTROL)
            .or_else(|errno| if errno == Errno::ACCESS { Ok(true) } else { Err(errno) })?,
        None => false,
    };
    let mut found = Ok(false);
    if is_live {
        scandir.each(&mut |name, _| {
            if is_slot_name(&name) {
                found = is_sealed_slot(scandir, &name);
            }
            if found == Ok(false) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
    }
    found
}

fn is_sealed_slot(scandir: &Dir, name: &Name) -> std::result::Result<bool, Errno> {
    let Some(slot) = present(scandir.open_path(name))? else { return Ok(false) };
    let supervise = present(slot.meta(&SUPERVISE))?;
    Ok(supervise.is_some_and(|meta| meta.ids.uid == 0 && meta.mode == SEALED_SUPERVISE))
}

/// Returns the user to whom a service belongs; through a symlink, that of the directory behind it.
pub fn owner_of(scandir: &Dir, name: &Name) -> std::result::Result<Ids, Errno> {
    let found = scandir.meta(name)?;
    if found.kind != Kind::Symlink || found.ids.uid != 0 {
        return Ok(found.ids);
    }
    let target = present(scandir.open_path_following(name))?;
    target.map_or(Ok(found.ids), |target| Ok(target.own_meta()?.ids))
}

fn open_svscan(scandir: &Dir) -> Result<Option<Dir>> {
    absent_or(scandir.dir(&SVSCAN)).context("open", &SVSCAN)
}

/// Sorts the answer of a look-up for s6-svscan's directory: anything else of that name is an error.
fn absent_or(found: std::result::Result<Dir, Errno>) -> std::result::Result<Option<Dir>, Errno> {
    if found.as_ref().err() == Some(&Errno::NOENT) { Ok(None) } else { found.map(Some) }
}

fn path_of(name: &Name) -> Vec<u8> {
    sys::label(&[SVSCAN.bytes(), name.bytes()])
}
