//! Compares a slot with what it should be. Reads only.

use std::ffi::CStr;

use super::layout::{DIRECTORY, DOWN, File, LOG, LOG_RUN, LOG_SKELETON, SCRIPT_CAP, SKELETON};
use super::{ProfileName, Spec, Want};
use crate::error::{Error, Result};
use crate::sys::{Dir, Errno, Ids, Kind, Meta, Reason, file};

/// What the scan directory has under a slot's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// Nothing.
    Absent,
    /// A slot that is up to date.
    AsDesired,
    /// Anything else: a slot that differs, or no slot.
    Different,
}

/// Compares the entry under the slot's name with what is wanted. Fails if it could not be looked at: what is there is then unknown.
pub fn inspect(scandir: &Dir, profile: &ProfileName, want: Want, spec: &Spec<'_>) -> Result<Present> {
    let check = Check { spec, scandir };
    let fits = match scandir.dir(profile.slot()) {
        Err(Errno::NOENT) => return Ok(Present::Absent),
        slot => slot.map_err(Reason::from).and_then(|slot| check.slot(&slot, want)),
    };
    match fits {
        Ok(true) => Ok(Present::AsDesired),
        // A part that is missing, or of another type, is a difference.
        Ok(false) | Err(Reason::Rule(_) | Reason::Errno(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
            Ok(Present::Different)
        }
        Err(reason) => Err(Error::new("look at", profile.slot(), reason)),
    }
}

type Answer = std::result::Result<bool, Reason>;

/// Each step returns whether it found what is wanted.
struct Check<'a> {
    spec: &'a Spec<'a>,
    scandir: &'a Dir,
}

impl Check<'_> {
    fn slot(&self, slot: &Dir, want: Want) -> Answer {
        let (body, scripts) = (self.spec.policy.body, self.spec.files());
        Ok(self.fits(slot.own_meta()?, DIRECTORY, body)
            && self.files(slot, &scripts)?
            && self.down(slot, want)?
            && self.log(slot)?
            && self.skeleton(slot, &SKELETON)?)
    }

    /// The logger's service directory, seen from the slot: to open it costs two calls more.
    fn log(&self, slot: &Dir) -> Answer {
        let log = slot.meta(&LOG)?;
        if log.kind != Kind::Directory || !self.fits(log, DIRECTORY, self.spec.policy.body) {
            return Ok(false);
        }
        let script = file::read_below(slot, &LOG_RUN, SCRIPT_CAP)?;
        Ok(self.has(&script, self.spec.log_file()) && self.skeleton(slot, &LOG_SKELETON)?)
    }

    fn files(&self, dir: &Dir, files: &[File<'_>]) -> Answer {
        for file in files {
            if !self.is(dir, *file)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is(&self, dir: &Dir, what: File<'_>) -> Answer {
        Ok(self.has(&file::read_meta(dir, what.name, SCRIPT_CAP)?, what))
    }

    fn has(&self, (content, meta): &(Vec<u8>, Meta), what: File<'_>) -> bool {
        content == what.content && self.fits(*meta, what.mode, self.spec.policy.body)
    }

    /// s6-supervise only asks whether `down` exists.
    fn down(&self, slot: &Dir, want: Want) -> Answer {
        match slot.meta(&DOWN) {
            Err(Errno::NOENT) => Ok(!want.down),
            Ok(meta) => {
                Ok(want.down && meta.kind == Kind::Regular && self.owned(meta.ids, self.spec.policy.body))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn skeleton(&self, slot: &Dir, paths: &[&'static CStr; 4]) -> Answer {
        let policy = &self.spec.policy;
        let [event, supervise, control, inner] = paths;
        let is_event =
            |meta: Meta| meta.kind == Kind::Directory && self.fits(meta, policy.event, policy.body);
        if !is_event(slot.meta_at(event)?) {
            return Ok(false);
        }
        let supervise = slot.meta_at(supervise)?;
        if supervise.kind != Kind::Directory || !self.fits(supervise, policy.supervise, policy.skeleton) {
            return Ok(false);
        }
        let control = slot.meta_at(control)?;
        Ok(is_event(slot.meta_at(inner)?)
            && control.kind == Kind::Fifo
            && self.fits(control, policy.control, policy.skeleton))
    }

    fn fits(&self, meta: Meta, mode: u32, want: Ids) -> bool {
        meta.mode == mode && self.owned(meta.ids, want)
    }

    fn owned(&self, found: Ids, want: Ids) -> bool {
        self.spec.ownership.accepts(found, want, self.scandir)
    }
}
