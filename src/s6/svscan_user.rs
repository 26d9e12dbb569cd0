//! Who runs the gateways: as whom s6-svscan runs. Where it is not root, no service changes its user, and gateways run as s6-svscan does.
//! Owners of files decide nothing about it.

use std::path::{Path, PathBuf};

use super::scandir::is_live;
use super::supervision::SVSCAN_NAME;
use crate::output::{Context, Result};
use crate::sys::proc::{self, Credentials, WorksThere};
use crate::sys::{Dir, Errno, Reason, as_user, present, process};

/// Returns as whom s6-svscan runs: process 1, if it is that, else the one whose working directory is the scan directory. `None` where
/// none is found.
pub fn find(scandir: &Path) -> Result<Option<Credentials>> {
    if proc::first_name().as_deref() == Some(SVSCAN_NAME) {
        return credentials(1);
    }
    let Some(directory) = used(scandir).context("open", scandir)? else {
        return Ok(None);
    };
    let pids = proc::with_name(SVSCAN_NAME).context("look for an s6-svscan in", Path::new("/proc"))?;
    let mut candidates = Vec::new();
    for pid in pids {
        if let Some(found) = credentials(pid)? {
            let place = works_in(pid, &found, &directory);
            candidates.push((found, place));
        }
    }
    Ok(choose(candidates, process::is_root()))
}

/// Returns the path of the scan directory as the kernel has it; `None` if no s6-svscan has ever run on it, or there is no /proc to tell.
fn used(scandir: &Path) -> std::result::Result<Option<PathBuf>, Reason> {
    match present(Dir::at(scandir))? {
        Some(dir) if is_live(&dir)? => Ok(present(dir.path())?),
        _ => Ok(None),
    }
}

/// Returns as whom a process runs; `None` if it has ended or is not shown to this user.
fn credentials(pid: u64) -> Result<Option<Credentials>> {
    match proc::credentials(pid) {
        Err(Reason::Errno(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM)) => Ok(None),
        found => found.map(Some).context("read", Path::new(&format!("/proc/{pid}/status"))),
    }
}

/// Returns whether a process works in the scan directory. Root that may not look asks as the process's user.
fn works_in(pid: u64, found: &Credentials, directory: &Path) -> WorksThere {
    match proc::works_in(pid, directory) {
        WorksThere::Unknown if process::is_root() && found.ids.uid != 0 => {
            as_user(found.ids, &[], || proc::works_in(pid, directory)).unwrap_or(WorksThere::Unknown)
        }
        looked => looked,
    }
}

/// Chooses among the processes with the name of s6-svscan, which anybody can give to one: root's comes first. To root, one of root's that
/// may not be looked at may be the one; to anybody else each of root's is such, and only his own can be seen.
fn choose(candidates: Vec<(Credentials, WorksThere)>, is_root: bool) -> Option<Credentials> {
    let may_be = |place| place == WorksThere::Yes || is_root && place == WorksThere::Unknown;
    let is_roots = |(found, place): &(Credentials, WorksThere)| found.ids.uid == 0 && may_be(*place);
    let index = candidates
        .iter()
        .position(is_roots)
        .or_else(|| candidates.iter().position(|(_, place)| *place == WorksThere::Yes))?;
    candidates.into_iter().nth(index).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::WorksThere::{No, Unknown, Yes};
    use super::*;
    use crate::sys::Ids;

    #[test]
    fn roots_s6_svscan_comes_first_and_nobody_elses_overrules_one_that_root_may_not_look_at() {
        for (candidates, to_root, to_others) in [
            (&[][..], None, None),
            (&[(1000, Yes)], Some(1000), Some(1000)),
            (&[(1000, No)], None, None),
            (&[(1000, Unknown)], None, None),
            (&[(1000, Yes), (0, Yes)], Some(0), Some(0)),
            (&[(1000, Yes), (0, No)], Some(1000), Some(1000)),
            (&[(1000, Yes), (0, Unknown)], Some(0), Some(1000)),
            (&[(1000, No), (0, Unknown)], Some(0), None),
            (&[(1000, Yes), (2000, Yes)], Some(1000), Some(1000)),
            (&[(1000, Unknown), (2000, Yes)], Some(2000), Some(2000)),
        ] {
            let found = |is_root| {
                let candidates = candidates.iter().map(|(uid, place)| {
                    (Credentials { ids: Ids { uid: *uid, gid: 7 }, groups: Vec::new() }, *place)
                });
                choose(candidates.collect(), is_root).map(|found| found.ids.uid)
            };
            assert_eq!((found(true), found(false)), (to_root, to_others), "{candidates:?}");
        }
    }
}
