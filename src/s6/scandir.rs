//! The scan directory as a whole: its entries and its owner.

use std::cell::Cell;
use std::path::Path;

use super::profile_name::PREFIX;
use super::sealing::stays_open;
use super::servicedir::{CONTROL, LOG, SEALED_SUPERVISE, SUPERVISE, TYPE};
use super::slot::staging;
use super::{Policy, scandir_lock};
use crate::output::{Context, Error, Result};
use crate::sys::{Dir, Entry, Errno, Ids, Kind, Meta, Name, Ownership, Reason, acl, present};

/// s6-overlay's scan directory, on which its process 1, s6-svscan, runs.
pub const OVERLAYS: &str = "/run/service";
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

/// What an entry of a scan directory is, to this program and to s6-svscan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// A leftover of an interrupted pass.
    Leftover,
    /// An entry that s6-svscan skips.
    Hidden,
    /// A symlink whose target does not exist.
    Dangling,
    /// An entry with the name of a slot.
    Slot,
    /// Any other service.
    Other,
}

/// Returns what an entry is. `dangles` is asked about symlinks only.
fn classify(name: &Name, kind: Kind, dangles: impl FnOnce() -> bool) -> Class {
    if staging::is_leftover(name.bytes()) {
        Class::Leftover
    } else if name.bytes().starts_with(b".") {
        Class::Hidden
    } else if kind == Kind::Symlink && dangles() {
        Class::Dangling
    } else if is_slot_name(name) {
        Class::Slot
    } else {
        Class::Other
    }
}

/// Lists a scan directory, each class in byte order.
pub fn list(scandir: &Dir) -> std::result::Result<Entries, Errno> {
    let mut entries = Entries::default();
    for entry in scandir.entries()? {
        let Entry { name, kind } = entry?;
        // Some file systems do not report the type of an entry.
        let kind =
            if kind == Kind::Other { scandir.meta(&name).map_or(kind, |meta| meta.kind) } else { kind };
        match classify(&name, kind, || scandir.dangles(&name)) {
            Class::Leftover => entries.leftovers.push(name),
            Class::Hidden => (),
            Class::Dangling => entries.dangling.push(name),
            Class::Slot => entries.slots.push(name),
            Class::Other => entries.others.push(name),
        }
    }
    for list in [&mut entries.leftovers, &mut entries.dangling, &mut entries.slots, &mut entries.others] {
        list.sort_unstable();
    }
    Ok(entries)
}

/// When slots were made: the `type` of each is written once. As many of them are looked at as a question needs.
pub struct Ages<'a> {
    scandir: Option<&'a Dir>,
    /// The slots that have not been looked at.
    left: Cell<&'a [Name]>,
    /// When the oldest of the others was made, in seconds since 1970.
    oldest: Cell<Option<i64>>,
}

impl<'a> Ages<'a> {
    /// Returns the ages of the slots of a scan directory, of which none is looked at yet.
    pub fn of(scandir: Option<&'a Dir>, slots: &'a [Name]) -> Ages<'a> {
        Ages { scandir, left: Cell::new(slots), oldest: Cell::new(None) }
    }

    /// Returns whether one of the slots was made at a moment, in seconds since 1970, or before; also if there is none, or that cannot be
    /// found out of any.
    pub fn reach_back_to(&self, moment: i64) -> bool {
        while self.oldest.get().is_none_or(|oldest| oldest > moment)
            && let (Some(scandir), Some((slot, left))) = (self.scandir, self.left.get().split_first())
        {
            self.left.set(left);
            let made =
                scandir.open_path(slot).and_then(|slot| slot.meta(&TYPE)).ok().map(|meta| meta.modified);
            self.oldest.set(self.oldest.get().into_iter().chain(made).min());
        }
        self.oldest.get().is_none_or(|oldest| oldest <= moment)
    }
}

impl Entries {
    /// Returns the number of services that s6-svscan has or will have; a service with a logger is two.
    pub fn services(&self, scandir: &Dir) -> usize {
        let log = |name: &Name| Ok::<_, Reason>(scandir.follow(name)?.meta(&LOG)?);
        let count = |name: &Name| match log(name) {
            // Not a directory: s6-svscan skips it.
            Err(Reason::Errno(Errno::NOTDIR)) => 0,
            Err(Reason::Errno(Errno::NOENT)) => 1,
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
/// write permission of all others away. Writes only what differs. A directory that s6-svscan has never used, /tmp for example, is not
/// changed. `path` is the path of the scan directory, for messages.
pub fn hand_over(scandir: &Dir, path: &Path, policy: &Policy, ownership: &Ownership) -> Result<()> {
    let found = scandir.own_meta().context("inspect", path)?;
    scandir_lock::remove_file(scandir).context("remove the lock file of", path)?;
    let Some(svscan) = open_svscan(scandir)? else {
        return Err(Error::new("change the owner of", path, "it contains no .s6-svscan"));
    };
    if found.mode & 0o022 != 0 {
        scandir.chmod(found.mode & !0o022).context("change the mode of", path)?;
    }
    if found.ids != policy.owner {
        ownership.change(scandir, policy.owner).context("change the owner of", path)?;
    }
    let meta = svscan.own_meta().context("inspect", &SVSCAN)?;
    if meta.ids.uid != ownership.process().uid {
        // Not s6-svscan's own: its files must not be handed over.
        return Ok(());
    }
    if meta.mode & 0o011 != 0o011 {
        svscan.chmod(meta.mode | 0o011).context("change the mode of", &SVSCAN)?;
    }
    for &(name, kind) in &[(&CONTROL, Kind::Fifo), (&LOCK, Kind::Regular)] {
        let entry = Path::new(&SVSCAN).join(name);
        match svscan.meta(name) {
            Err(Errno::NOENT) => (),
            Ok(meta) if meta.ids == policy.owner => (),
            // Nobody but root can write this directory, so the name still stands for the same file.
            Ok(meta) if meta.kind == kind && (kind == Kind::Fifo || meta.links == 1) => {
                ownership.change_at(&svscan, name, policy.owner).context("change the owner of", entry)?;
            }
            Ok(meta) => {
                return Err(Error::new("change the owner of", entry, format!("is {}", meta.kind.text())));
            }
            Err(errno) => return Err(Error::new("inspect", entry, errno)),
        }
    }
    Ok(())
}

/// Sealed mode, as root: makes root the owner of the scan directory and of s6-svscan's own files, and removes access control lists and
/// the write permission of all others. Returns an error for each of the two that stays open. `path` is the path of the scan directory, for messages.
pub fn seal(scandir: &Dir, path: &Path, policy: &Policy, ownership: &Ownership) -> Vec<Error> {
    let top = seal_top(scandir, policy, ownership).context("restrict access to", path);
    let svscan = seal_svscan(scandir, policy, ownership).context("restrict access to", &SVSCAN);
    [top, svscan].into_iter().filter_map(Result::err).collect()
}

type Sealed = std::result::Result<(), Reason>;

fn seal_top(scandir: &Dir, policy: &Policy, ownership: &Ownership) -> Sealed {
    let mut found = scandir.own_meta()?;
    if found.ids.uid != policy.slot_owner.uid {
        ownership.change(scandir, policy.slot_owner)?;
        // Its owner could change the mode until now.
        found = scandir.own_meta()?;
    }
    let is_roots = found.ids.uid == policy.slot_owner.uid;
    if is_roots {
        // Whatever is made here would inherit its default list.
        acl::remove(scandir)?;
    }
    if found.mode & 0o022 != 0 {
        scandir.chmod(found.mode & !0o022)?;
    }
    if is_roots { Ok(()) } else { Err(stays_open(found.ids)) }
}

fn seal_svscan(scandir: &Dir, policy: &Policy, ownership: &Ownership) -> Sealed {
    let Some(svscan) = absent_or(scandir.dir(&SVSCAN))? else { return Ok(()) };
    if svscan.own_meta()?.ids.uid != policy.slot_owner.uid {
        return Err("it belongs to another user, who can command s6-svscan: restart the container".into());
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
        // Its owner may have opened it to others. Nobody but root can write this directory, so the name still stands for the same file.
        if found.mode & 0o077 != 0 && found.kind != Kind::Symlink {
            svscan.chmod_at(path, 0o600)?;
        }
    }
    Ok(())
}

/// Returns whether a live scan directory is sealed: s6-svscan has its control FIFO there, it is root's, and so is a slot with the
/// modes of sealed mode.
pub fn is_sealed(scandir: &Dir) -> std::result::Result<bool, Errno> {
    if scandir.own_meta()?.ids.uid != 0 || !is_live(scandir)? {
        return Ok(false);
    }
    for entry in scandir.entries()? {
        let name = entry?.name;
        if is_slot_name(&name) && supervise_of(scandir, &name)?.is_some_and(is_sealed_supervise) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether s6-svscan uses or has used a scan directory.
pub(super) fn is_live(scandir: &Dir) -> std::result::Result<bool, Errno> {
    match present(scandir.open_path(&SVSCAN))?.map(|svscan| svscan.has(&CONTROL)) {
        None => Ok(false),
        // Other users may not be allowed to look into s6-svscan's directory. It makes the FIFO in every one.
        Some(Err(Errno::ACCESS)) => Ok(true),
        Some(has_control) => has_control,
    }
}

/// Returns the attributes of a slot's `supervise`; `None` if there is none.
fn supervise_of(scandir: &Dir, slot: &Name) -> std::result::Result<Option<Meta>, Errno> {
    match present(scandir.open_path(slot))? {
        Some(slot) => present(slot.meta(&SUPERVISE)),
        None => Ok(None),
    }
}

/// Returns whether a `supervise` has the owner and mode of sealed mode.
fn is_sealed_supervise(meta: Meta) -> bool {
    meta.ids.uid == 0 && meta.mode == SEALED_SUPERVISE
}

/// Returns the owner of a service; of a symlink of root's, that of its target.
pub fn owner_of(scandir: &Dir, name: &Name) -> std::result::Result<Ids, Reason> {
    let found = scandir.meta(name)?;
    if found.kind != Kind::Symlink || found.ids.uid != 0 {
        return Ok(found.ids);
    }
    let target = present(scandir.follow(name))?;
    target.map_or(Ok(found.ids), |target| Ok(target.own_meta()?.ids))
}

/// Returns whether an entry with these attributes is root's or of the user as whom s6-svscan runs, who has made `.s6-svscan`. Nobody
/// else has put a service of s6-rc's there.
pub fn is_of_supervision(scandir: &Dir, meta: &Meta) -> std::result::Result<bool, Errno> {
    if meta.ids.uid == 0 {
        return Ok(true);
    }
    let svscan = present(scandir.meta(&SVSCAN))?;
    Ok(svscan.is_some_and(|svscan| svscan.kind == Kind::Directory && svscan.ids.uid == meta.ids.uid))
}

fn open_svscan(scandir: &Dir) -> Result<Option<Dir>> {
    absent_or(scandir.dir(&SVSCAN)).context("open", &SVSCAN)
}

/// Turns ENOENT into `None`. Anything of that name that is not a directory is an error.
fn absent_or(found: std::result::Result<Dir, Errno>) -> std::result::Result<Option<Dir>, Errno> {
    if found.as_ref().err() == Some(&Errno::NOENT) { Ok(None) } else { found.map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_classified_by_its_name_and_type() {
        use Class::{Dangling, Hidden, Leftover, Other, Slot};
        const KINDS: [Kind; 5] = [Kind::Regular, Kind::Directory, Kind::Symlink, Kind::Fifo, Kind::Other];
        for (name, expected, of_dangling) in [
            ("gateway-coder", Slot, Dangling),
            ("gateway-", Slot, Dangling),
            ("gateway-A.b", Slot, Dangling),
            ("dashboard", Other, Dangling),
            ("gateway", Other, Dangling),
            ("s6rc-oneshot-runner", Other, Dangling),
            ("x.tmp", Other, Dangling),
            (".gateway-coder.tmp", Leftover, Leftover),
            (".gateway-coder.2.tmp", Leftover, Leftover),
            (".gateway-coder.gone.tmp", Leftover, Leftover),
            ("gateway-coder.tmp", Leftover, Leftover),
            (".s6-svscan", Hidden, Hidden),
            (".gateway-coder", Hidden, Hidden),
            (".hermes-init.lock", Hidden, Hidden),
        ] {
            for kind in KINDS {
                for dangles in [false, true] {
                    let is_dangling = dangles && kind == Kind::Symlink;
                    let expected = if is_dangling { of_dangling } else { expected };
                    let class = Name::new(name).map(|name| classify(&name, kind, || dangles));
                    assert_eq!(class, Some(expected), "{name} {kind:?} {dangles}");
                }
            }
        }
    }

    #[test]
    fn only_the_target_of_a_visible_symlink_is_looked_for() {
        for (name, kind) in [
            ("gateway-coder", Kind::Directory),
            (".gateway-coder.tmp", Kind::Symlink),
            (".s6-svscan", Kind::Symlink),
            ("dashboard", Kind::Other),
        ] {
            let name = Name::new(name);
            assert!(name.is_some_and(|name| classify(&name, kind, || panic!()) != Class::Dangling));
        }
    }

    #[test]
    fn a_supervise_of_roots_with_mode_0710_is_sealed() {
        for (uid, mode, expected) in [
            (0, 0o710, true),
            (0, 0o755, false),
            (0, 0o700, false),
            // It is being sealed.
            (0, 0o1710, false),
            (10_000, 0o710, false),
            (10_000, 0o755, false),
        ] {
            let ids = Ids { uid, gid: 10_000 };
            let meta = Meta { kind: Kind::Directory, mode, ids, links: 2, size: 0, inode: 1, modified: 0 };
            assert_eq!(is_sealed_supervise(meta), expected, "{uid} {mode:o}");
        }
    }
}
