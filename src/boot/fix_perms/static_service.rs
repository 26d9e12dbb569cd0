//! One static service: owner and mode of its event and supervise directories are set through descriptors that were checked, and no
//! symlink is followed.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::Effect;
use super::finding::{Finding, Outcome};
use crate::s6::servicedir::{CONTROL, EVENT, LOG, SEALED_SUPERVISE, SUPERVISE, is_internal};
use crate::s6::{Policy, sealing, skeleton};
use crate::sys::{Dir, Errno, Ids, Kind, Meta, Name, Ownership, Reason, acl, file};

/// Number of levels of directories below `supervise` that are entered. s6-supervise makes one.
const DEPTH_MAX: u32 = 32;

/// What all services have in common. Where a method has a `path`, that is the path of its object below the service directory, for
/// messages. A single object has no finding if it has vanished.
pub struct Fix<'a> {
    policy: &'a Policy,
    effect: Effect,
    ownership: &'a Ownership,
}

/// An open file of a service.
struct Target<'a> {
    fd: BorrowedFd<'a>,
    /// Its attributes when it was opened.
    found: &'a Meta,
    path: &'a Path,
    /// A directory of the same file system.
    near: &'a Dir,
}

impl<'a> Fix<'a> {
    /// Makes the fix for a policy.
    pub fn new(policy: &'a Policy, effect: Effect, ownership: &'a Ownership) -> Fix<'a> {
        Fix { policy, effect, ownership }
    }

    /// Fixes an entry of the directory of services; `None` if it is not a service.
    pub fn service(&self, services: &Dir, name: &Name) -> Option<Outcome> {
        let findings = if is_internal(name) {
            vec![Finding::Left("it belongs to s6-overlay")]
        } else {
            self.entry_of_services(services, name)?
        };
        Some(Outcome::new(name.clone(), &findings))
    }

    fn entry_of_services(&self, services: &Dir, name: &Name) -> Option<Vec<Finding>> {
        let found = match services.meta(name).map(|meta| meta.kind) {
            Ok(Kind::Symlink) => return Some(vec![Finding::Refused(name.into(), "is a symlink".into())]),
            Ok(Kind::Directory) => services.dir(name),
            // Not a service, or it has vanished.
            Ok(_) | Err(Errno::NOENT) => return None,
            Err(errno) => Err(errno),
        };
        Some(match found {
            Ok(service) => self.service_directory(&service),
            Err(errno) => Vec::from_iter(self.unseen(name.as_ref(), errno)),
        })
    }

    fn service_directory(&self, service: &Dir) -> Vec<Finding> {
        let mut findings = self.parts(service, Path::new(""));
        if findings.is_empty() {
            findings.push(Finding::Left("it is not supervised"));
        }
        findings.extend(self.logger(service));
        findings
    }

    /// Returns the finding of a failed system call. A missing permission is tolerated, except in sealed mode, where it leaves
    /// something open.
    fn failed(&self, path: &Path, errno: Errno) -> Option<Finding> {
        match errno {
            Errno::NOENT => None,
            Errno::PERM | Errno::ACCESS if !self.policy.mode.is_sealed() => {
                Some(Finding::Denied(path.to_owned(), errno))
            }
            _ => Some(Finding::Failed(path.to_owned(), errno.into())),
        }
    }

    /// As [`Fix::failed`], of a call that only looks: EPERM is then no missing permission but the answer of a seccomp filter or a security
    /// module.
    fn unseen(&self, path: &Path, errno: Errno) -> Option<Finding> {
        match errno {
            Errno::PERM => Some(Finding::Failed(path.to_owned(), errno.into())),
            _ => self.failed(path, errno),
        }
    }

    /// Fixes the parts of a service directory. There are no findings if it has none.
    fn parts(&self, service: &Dir, path: &Path) -> Vec<Finding> {
        let event = self.event(service, path);
        event.into_iter().chain(self.supervise(service, &path.join(&SUPERVISE))).collect()
    }

    /// Fixes the `event` directory in a directory.
    fn event(&self, parent: &Dir, path: &Path) -> Option<Finding> {
        let path = &path.join(&EVENT);
        let dir = match self.open(parent, &EVENT, path) {
            Ok(dir) => dir,
            Err(finding) => return finding,
        };
        if !self.policy.mode.is_sealed() || self.effect == Effect::DryRun {
            return self.directory(&dir, path, Some(self.policy.event), self.policy.slot_owner);
        }
        Some(match sealing::event(&dir, path, self.policy.slot_owner, self.ownership) {
            Ok(true) => Finding::Changed,
            Ok(false) => Finding::Right,
            Err(error) => Finding::Unsealed(error),
        })
    }

    fn logger(&self, service: &Dir) -> Vec<Finding> {
        let path: &Path = LOG.as_ref();
        let found = match service.meta(&LOG).map(|meta| meta.kind) {
            Ok(Kind::Symlink) => return vec![Finding::Refused(path.into(), "is a symlink".into())],
            Ok(Kind::Directory) => service.dir(&LOG),
            // A service may have no logger.
            Ok(_) => return Vec::new(),
            Err(errno) => Err(errno),
        };
        match found {
            Ok(log) => self.parts(&log, path),
            Err(errno) => Vec::from_iter(self.unseen(path, errno)),
        }
    }

    /// Opens a directory. The error is the finding of one that cannot be opened.
    fn open(&self, parent: &Dir, name: &Name, path: &Path) -> Result<Dir, Option<Finding>> {
        match parent.dir(name) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let kind = parent.meta(name).map_or(Kind::Other, |meta| meta.kind);
                Err(Some(Finding::Refused(
                    path.to_owned(),
                    format!("is {}, not a directory", kind.text()).into(),
                )))
            }
            opened => opened.map_err(|errno| self.unseen(path, errno)),
        }
    }

    /// Fixes the `supervise` directory of a service directory: everything in it becomes the owner's. In sealed mode, if it is root's
    /// already, only `control` and `event` are looked at.
    fn supervise(&self, service: &Dir, path: &Path) -> Vec<Finding> {
        let supervise = match self.open(service, &SUPERVISE, path) {
            Ok(supervise) => supervise,
            Err(finding) => return Vec::from_iter(finding),
        };
        let (sealed, ids) = (self.policy.mode.is_sealed(), self.policy.supervise_owner);
        let is_ours = |meta: Meta| meta.ids.uid == ids.uid && meta.mode & sealing::UNFINISHED == 0;
        let is_ours = sealed && supervise.own_meta().is_ok_and(is_ours);
        let mut findings = Vec::new();
        if sealed && !is_ours {
            // Before its entries: what is checked in it after that stays as it was checked.
            let mode = SEALED_SUPERVISE | sealing::UNFINISHED;
            findings.extend(self.directory(&supervise, path, Some(mode), ids));
        }
        if is_ours {
            findings.extend(self.event(&supervise, path));
            findings.extend(self.entry(&supervise, &CONTROL, path));
        } else {
            findings.extend(self.tree(&supervise, path, 0));
        }
        // After its entries: root with CAP_CHOWN alone cannot enter a directory of another user.
        findings.extend(self.directory(&supervise, path, Some(SEALED_SUPERVISE), ids));
        findings
    }

    /// Fixes what is in `supervise`, or in a directory below it.
    fn tree(&self, dir: &Dir, path: &Path, depth: u32) -> Vec<Finding> {
        match dir.names() {
            Ok(names) => names.iter().flat_map(|name| self.below(dir, name, path, depth)).collect(),
            Err(errno) => Vec::from_iter(self.unseen(path, errno)),
        }
    }

    fn below(&self, dir: &Dir, name: &Name, path: &Path, depth: u32) -> Vec<Finding> {
        if !dir.meta(name).is_ok_and(|meta| meta.kind == Kind::Directory) {
            return Vec::from_iter(self.entry(dir, name, path));
        }
        let below = path.join(name);
        if depth == DEPTH_MAX {
            let reason = format!("is more than {DEPTH_MAX} directories deep");
            return vec![Finding::Refused(below, reason.into())];
        }
        if depth == 0 && name == &EVENT {
            return Vec::from_iter(self.event(dir, path));
        }
        match self.open(dir, name, &below) {
            Ok(subdirectory) => {
                let mut findings = self.tree(&subdirectory, &below, depth + 1);
                let ids = self.policy.supervise_owner;
                findings.extend(self.directory(&subdirectory, &below, None, ids));
                findings
            }
            Err(finding) => Vec::from_iter(finding),
        }
    }

    /// Fixes an entry of `supervise` that is not a directory.
    fn entry(&self, dir: &Dir, name: &Name, path: &Path) -> Option<Finding> {
        let path = &path.join(name);
        let meta = match dir.meta(name) {
            Ok(meta) => meta,
            Err(errno) => return self.unseen(path, errno),
        };
        let is_control = name == &CONTROL;
        if let Some(reason) = refusal(is_control, meta.kind) {
            return Some(Finding::Refused(path.to_owned(), reason));
        }
        let (mode, ids) = (is_control.then_some(self.policy.control), self.policy.supervise_owner);
        if meta.links == 1 && self.is_right(&meta, mode, ids, dir) && !self.removes_lists() {
            return Some(Finding::Right);
        }
        match file::open_checked(dir, name) {
            Ok((_, opened)) if is_control && opened.kind != Kind::Fifo => {
                Some(Finding::Refused(path.to_owned(), "was replaced meanwhile".into()))
            }
            Ok((file, found)) => {
                self.set(&Target { fd: file.as_fd(), found: &found, path, near: dir }, mode, ids)
            }
            Err(Reason::Errno(errno)) => self.unseen(path, errno),
            Err(reason) => Some(Finding::Refused(path.to_owned(), reason)),
        }
    }

    /// Sets the mode (`None` leaves it) and the owner of a directory.
    fn directory(&self, dir: &Dir, path: &Path, mode: Option<u32>, ids: Ids) -> Option<Finding> {
        match dir.own_meta() {
            Ok(found) if self.is_right(&found, mode, ids, dir) && !self.removes_lists() => {
                Some(Finding::Right)
            }
            Ok(found) => self.set(&Target { fd: dir.as_fd(), found: &found, path, near: dir }, mode, ids),
            Err(errno) => self.unseen(path, errno),
        }
    }

    fn is_right(&self, meta: &Meta, mode: Option<u32>, ids: Ids, near: &Dir) -> bool {
        mode.is_none_or(|mode| mode == meta.mode) && self.ownership.accepts(meta.ids, ids, near)
    }

    /// Returns whether access control lists are removed, too: the hermes user may have made some before root took the service.
    fn removes_lists(&self) -> bool {
        self.policy.mode.is_sealed() && self.ownership.is_root()
    }

    /// Sets the mode and the owner of an open file.
    fn set(&self, target: &Target<'_>, mode: Option<u32>, ids: Ids) -> Option<Finding> {
        let &Target { fd, found, path, near } = target;
        if self.effect == Effect::DryRun {
            if !self.is_right(found, mode, ids, near) {
                return Some(Finding::Changed);
            }
            return match acl::is_there(fd) {
                Ok(has_list) => Some(if has_list { Finding::Changed } else { Finding::Right }),
                Err(errno) => self.unseen(path, errno),
            };
        }
        let changed = match self.change(target, mode, ids) {
            Ok(changed) => changed,
            Err(errno) => return self.failed(path, errno),
        };
        let is_another_users = found.ids.uid != ids.uid && self.ownership.refused().is_some();
        Some(if self.policy.mode.is_sealed() && is_another_users {
            Finding::Failed(path.to_owned(), sealing::stays_open(found.ids))
        } else if changed {
            Finding::Changed
        } else {
            Finding::Right
        })
    }

    /// Changes the mode and the owner of an open file. Returns whether that changed anything.
    fn change(&self, target: &Target<'_>, mode: Option<u32>, ids: Ids) -> Result<bool, Errno> {
        let &Target { fd, found, near, .. } = target;
        let changed = skeleton::set(fd, *found, mode, ids, near, self.ownership)?;
        // That a file stays another user's is reported.
        let is_taken = found.ids.uid == ids.uid || !self.ownership.is_refused_on(near);
        Ok(self.removes_lists() && is_taken && acl::remove(fd)? || changed)
    }
}

/// Returns why an entry of `supervise` that is not a directory is left as it is, if it is of a type that s6-supervise does not make.
fn refusal(is_control: bool, kind: Kind) -> Option<Reason> {
    match kind {
        Kind::Fifo => None,
        Kind::Regular if !is_control => None,
        kind if is_control => Some(format!("is {}, not a FIFO", kind.text()).into()),
        kind => Some(format!("is {}", kind.text()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_and_fifos_of_supervise_are_changed() {
        for (is_control, kind, expected) in [
            (true, Kind::Fifo, None),
            (true, Kind::Regular, Some("is a regular file, not a FIFO")),
            (true, Kind::Directory, Some("is a directory, not a FIFO")),
            (true, Kind::Symlink, Some("is a symlink, not a FIFO")),
            (true, Kind::Other, Some("is a socket or a device, not a FIFO")),
            (false, Kind::Fifo, None),
            (false, Kind::Regular, None),
            (false, Kind::Symlink, Some("is a symlink")),
            (false, Kind::Other, Some("is a socket or a device")),
        ] {
            let reason = refusal(is_control, kind).map(|reason| reason.to_string());
            assert_eq!(reason.as_deref(), expected, "{is_control} {kind:?}");
        }
    }
}
