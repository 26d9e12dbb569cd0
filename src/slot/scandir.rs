//! The scan directory as a whole: its entries and its owner.

use std::ops::ControlFlow;

use super::layout::{CONTROL, LOG, Policy};
use super::name::PREFIX;
use super::staging;
use crate::error::{Context, Error, Result};
use crate::sys::{self, Dir, Errno, Kind, Name, Ownership};

/// s6-svscan's own directory in the scan directory.
static SVSCAN: Name = Name::fixed(c".s6-svscan");
/// The file that s6-svscan locks, beside its control FIFO.
static LOCK: Name = Name::fixed(c"lock");

/// The entries of a scan directory.
#[derive(Debug, Default)]
pub struct Survey {
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
pub fn survey(scandir: &Dir) -> std::result::Result<Survey, Errno> {
    let mut survey = Survey::default();
    scandir.each(&mut |name, kind| {
        let kind =
            if kind == Kind::Other { scandir.meta(&name).map_or(kind, |meta| meta.kind) } else { kind };
        if staging::is_leftover(name.bytes()) {
            survey.leftovers.push(name);
        } else if name.bytes().starts_with(b".") {
            // s6-svscan passes over it.
        } else if kind == Kind::Symlink && scandir.dangles(&name) {
            survey.dangling.push(name);
        } else if name.bytes().starts_with(PREFIX.as_bytes()) {
            survey.slots.push(name);
        } else {
            survey.others.push(name);
        }
        ControlFlow::Continue(())
    })?;
    for list in [&mut survey.leftovers, &mut survey.dangling, &mut survey.slots, &mut survey.others] {
        list.sort_unstable();
    }
    Ok(survey)
}

impl Survey {
    /// Returns the number of services that s6-svscan has or will have; a service with a logger is two.
    pub fn services(&self, scandir: &Dir) -> usize {
        let count = |name: &Name| match scandir.passage_through_link(name).and_then(|dir| dir.meta(&LOG)) {
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

/// Delegated mode, as root: makes the owner the owner of the scan directory and of the files that s6-svscanctl needs. Writes only
/// what differs.
pub fn hand_over(scandir: &Dir, policy: &Policy, ownership: &Ownership) -> Result<()> {
    let found = scandir.own_meta().context("look at", "the scan directory")?;
    if found.ids != policy.owner {
        ownership.change(scandir, policy.owner).context("hand over", "the scan directory")?;
    }
    let Some(svscan) = open_svscan(scandir)? else { return Ok(()) };
    let meta = svscan.own_meta().context("look at", &SVSCAN)?;
    if meta.ids.uid != ownership.process().uid {
        // Not s6-svscan's own: its files must not be handed over.
        return Ok(());
    }
    if meta.mode & 0o011 != 0o011 {
        svscan.chmod(meta.mode | 0o011).context("open for passage", &SVSCAN)?;
    }
    for (name, kind) in [(&CONTROL, Kind::Fifo), (&LOCK, Kind::Regular)] {
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

/// Sealed mode: makes root the owner of the scan directory and of s6-svscan's own files, and removes the write permission of all
/// others.
pub fn seal(scandir: &Dir, policy: &Policy, ownership: &Ownership) -> Result<()> {
    let found = scandir.own_meta().context("look at", "the scan directory")?;
    if found.ids.uid != policy.body.uid && !ownership.accepts(found.ids, policy.body, scandir) {
        ownership.change(scandir, policy.body).context("take back", "the scan directory")?;
    }
    if found.mode & 0o022 != 0 {
        scandir.chmod(found.mode & !0o022).context("close", "the scan directory")?;
    }
    let Some(svscan) = open_svscan(scandir)? else { return Ok(()) };
    let meta = svscan.own_meta().context("look at", &SVSCAN)?;
    if meta.ids.uid != policy.body.uid {
        let reason = "it is another user's, so s6-svscan's commands may be: restart the container";
        return Err(Error::new("seal", &SVSCAN, reason));
    }
    for name in [&CONTROL, &LOCK] {
        match svscan.meta(name) {
            Ok(meta) if meta.ids.uid != policy.body.uid => {
                ownership.change_at(&svscan, name, policy.body).context("take back", path_of(name))?;
            }
            Ok(_) | Err(Errno::NOENT) => (),
            Err(errno) => return Err(Error::new("look at", path_of(name), errno)),
        }
    }
    Ok(())
}

fn open_svscan(scandir: &Dir) -> Result<Option<Dir>> {
    match scandir.dir(&SVSCAN) {
        Err(Errno::NOENT) => Ok(None),
        svscan => svscan.map(Some).context("open", &SVSCAN),
    }
}

fn path_of(name: &Name) -> Vec<u8> {
    sys::label(&[SVSCAN.bytes(), name.bytes()])
}
