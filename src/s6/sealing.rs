//! Sealing: root takes the directories of a service from the hermes user, and removes or takes what that user may have put there.

use std::os::fd::AsFd;
use std::path::Path;

use super::servicedir::{CONTROL, EVENT, SEALED_EVENT};
use super::skeleton;
use crate::output::{Context, Result};
use crate::sys::{Dir, Errno, Ids, Kind, Meta, Name, Ownership, Reason, acl, file, present, remove};

/// Mode bit of a directory that is being sealed: if the process is killed, the next one sees that it has not finished.
pub const UNFINISHED: u32 = 0o1000;

/// What is done with an entry of a directory that is being sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// It stays as it is.
    Keep,
    /// The owner of the directory becomes its owner, and its access control list is removed. Its mode stays. It is a regular file or a
    /// FIFO.
    Own,
    /// This process's user becomes its owner, its access control list is removed, and others lose the permission to write. It is a
    /// regular file or a FIFO.
    Take,
    /// It is removed.
    Remove,
}

/// Seals a directory of a service, if its owner or mode is not what is wanted: takes it from its owner, removes its access control lists,
/// does with each entry what `rule` returns, and then sets the mode. One that is sealed has no list: only its owner can give it one.
/// `path` is the directory in messages. Fails if the kernel leaves it to another user.
/// Returns whether anything changed.
pub fn directory(
    dir: &Dir,
    path: &Path,
    mode: u32,
    ids: Ids,
    ownership: &Ownership,
    rule: impl Fn(&Name, &Meta) -> Sealing,
) -> Result<bool> {
    seal_entries(dir, mode, ids, ownership, rule).context("restrict access to", path)
}

fn seal_entries(
    dir: &Dir,
    mode: u32,
    ids: Ids,
    ownership: &Ownership,
    rule: impl Fn(&Name, &Meta) -> Sealing,
) -> std::result::Result<bool, Reason> {
    let found = dir.own_meta()?;
    if found.mode == mode && ownership.accepts(found.ids, ids, dir) {
        return Ok(false);
    }
    skeleton::set(dir.as_fd(), found, Some(mode | UNFINISHED), ids, dir, ownership)?;
    if dir.own_meta()?.ids.uid != ids.uid {
        return Err(stays_open(found.ids));
    }
    acl::remove(dir)?;
    for name in &dir.names()? {
        let Some(meta) = present(dir.meta(name))? else { continue };
        match rule(name, &meta) {
            Sealing::Keep => (),
            Sealing::Own => take(dir, name, ids, 0, ownership)?,
            Sealing::Take => take(dir, name, ownership.process(), 0o022, ownership)?,
            Sealing::Remove => remove::tree(dir, name)?,
        }
    }
    dir.chmod(mode)?;
    Ok(true)
}

/// Changes the owner of a file, and removes permissions and its access control list.
fn take(
    dir: &Dir,
    name: &Name,
    ids: Ids,
    permissions: u32,
    ownership: &Ownership,
) -> std::result::Result<(), Reason> {
    let (file, found) = match file::open_checked(dir, name) {
        // s6-supervise has renamed it.
        Err(Reason::Errno(Errno::NOENT)) => return Ok(()),
        opened => opened?,
    };
    skeleton::set(file.as_fd(), found, Some(found.mode & !permissions), ids, dir, ownership)?;
    acl::remove(&file)?;
    Ok(())
}

/// Seals an `event` directory.
pub fn event(dir: &Dir, path: &Path, ids: Ids, ownership: &Ownership) -> Result<bool> {
    directory(dir, path, SEALED_EVENT, ids, ownership, |_, meta| of_event(meta, ids.uid))
}

/// Returns what is done with an entry of an `event` directory that becomes `uid`'s. FIFOs of that user, root, stay: one of its programs
/// may be waiting on them. Anything else may lead s6-supervise to a file of root's.
fn of_event(meta: &Meta, uid: u32) -> Sealing {
    let is_own = meta.kind == Kind::Fifo && meta.ids.uid == uid && meta.links == 1;
    if is_own { Sealing::Keep } else { Sealing::Remove }
}

/// Returns what is done with an entry of `supervise`: what s6-supervise has not made is removed, because it opens `death_tally` and
/// `lock`, as root, by name and follows symlinks.
pub fn of_supervise(name: &Name, meta: &Meta) -> Sealing {
    match meta.kind {
        Kind::Directory if *name == EVENT => Sealing::Keep,
        Kind::Fifo if *name == CONTROL => Sealing::Own,
        Kind::Regular if meta.links == 1 => Sealing::Take,
        _ => Sealing::Remove,
    }
}

/// Returns why a part that the kernel leaves to another user is not sealed.
pub fn stays_open(ids: Ids) -> Reason {
    format!("it still belongs to uid {}: this process may not change owners", ids.uid).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(kind: Kind, uid: u32, links: u64) -> Meta {
        Meta { kind, mode: 0o600, ids: Ids { uid, gid: 7 }, links, size: 0, inode: 1, modified: 0 }
    }

    #[test]
    fn a_sealed_event_directory_keeps_only_fifos_of_root() {
        let kinds = [Kind::Regular, Kind::Directory, Kind::Symlink, Kind::Fifo, Kind::Other];
        for (kind, uid, links) in
            kinds.into_iter().flat_map(|kind| [(kind, 0, 1), (kind, 0, 2), (kind, 1000, 1), (kind, 1000, 2)])
        {
            let expected =
                if (kind, uid, links) == (Kind::Fifo, 0, 1) { Sealing::Keep } else { Sealing::Remove };
            assert_eq!(of_event(&meta(kind, uid, links), 0), expected, "{kind:?} {uid} {links}");
        }
    }

    #[test]
    fn a_sealed_supervise_directory_keeps_what_s6_supervise_makes() {
        for (text, kind, links, expected) in [
            ("event", Kind::Directory, 2, Sealing::Keep),
            ("event", Kind::Symlink, 1, Sealing::Remove),
            ("event", Kind::Fifo, 1, Sealing::Remove),
            ("control", Kind::Fifo, 1, Sealing::Own),
            ("control", Kind::Directory, 2, Sealing::Remove),
            ("control", Kind::Symlink, 1, Sealing::Remove),
            ("status", Kind::Regular, 1, Sealing::Take),
            ("death_tally", Kind::Regular, 1, Sealing::Take),
            ("death_tally", Kind::Regular, 2, Sealing::Remove),
            ("death_tally", Kind::Symlink, 1, Sealing::Remove),
            ("lock", Kind::Regular, 1, Sealing::Take),
            ("lock", Kind::Fifo, 1, Sealing::Remove),
            ("x", Kind::Directory, 2, Sealing::Remove),
            ("x", Kind::Other, 1, Sealing::Remove),
        ] {
            // The owner does not matter: s6-supervise runs as root in a directory that the hermes user can write.
            for uid in [0, 1000] {
                let found = Name::new(text).map(|name| of_supervise(&name, &meta(kind, uid, links)));
                assert_eq!(found, Some(expected), "{text} {kind:?}");
            }
        }
    }
}
