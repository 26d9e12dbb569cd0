//! Compares a slot with what is wanted. Reads only.

use std::ffi::CStr;

use super::template::{File, SCRIPT_CAP};
use super::{DefaultState, Template};
use crate::output::{Error, Result};
use crate::s6::ProfileName;
use crate::s6::servicedir::{DIRECTORY, DOWN, LOG, LOG_RUN, LOG_SKELETON, SKELETON};
use crate::sys::{Dir, Errno, Ids, Kind, Meta, Reason, file};

/// The state of a slot, compared with what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// The scan directory has no entry of its name.
    Absent,
    /// The slot is as wanted.
    UpToDate,
    /// The slot differs, or the entry is not a slot.
    Differs,
}

/// Compares the slot of a profile with what is wanted. Fails if it cannot be looked at: its state is unknown then.
pub fn inspect(
    scandir: &Dir,
    profile: &ProfileName,
    want: DefaultState,
    template: &Template<'_>,
) -> Result<SlotState> {
    let check = Check { template, scandir };
    let fits = match scandir.dir(profile.slot()) {
        Err(Errno::NOENT) => return Ok(SlotState::Absent),
        slot => slot.map_err(Reason::from).and_then(|slot| check.slot(&slot, want)),
    };
    match fits {
        Ok(true) => Ok(SlotState::UpToDate),
        // A part that is missing, or of another type, is a difference.
        Ok(false) | Err(Reason::Rule(_) | Reason::Errno(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
            Ok(SlotState::Differs)
        }
        Err(reason) => Err(Error::new("inspect", profile.slot(), reason)),
    }
}

type Answer = std::result::Result<bool, Reason>;

/// The comparison of one slot. Each step returns whether it has found what is wanted.
struct Check<'a> {
    template: &'a Template<'a>,
    scandir: &'a Dir,
}

impl Check<'_> {
    fn slot(&self, slot: &Dir, want: DefaultState) -> Answer {
        Ok(self.fits(slot.own_meta()?, DIRECTORY, self.template.policy.slot_owner)
            && self.files(slot, &self.template.files())?
            && self.down(slot, want)?
            && self.log(slot)?
            && self.skeleton(slot, &SKELETON)?)
    }

    /// The logger's service directory, seen from the slot: to open it costs two calls more.
    fn log(&self, slot: &Dir) -> Answer {
        let log = slot.meta(&LOG)?;
        if log.kind != Kind::Directory || !self.fits(log, DIRECTORY, self.template.policy.slot_owner) {
            return Ok(false);
        }
        let script = file::read_below(slot, &LOG_RUN, SCRIPT_CAP)?;
        Ok(self.has(&script, self.template.log_file()) && self.skeleton(slot, &LOG_SKELETON)?)
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
        content == what.content && self.fits(*meta, what.mode, self.template.policy.slot_owner)
    }

    /// s6-supervise only asks whether `down` exists.
    fn down(&self, slot: &Dir, want: DefaultState) -> Answer {
        match slot.meta(&DOWN) {
            Err(Errno::NOENT) => Ok(want == DefaultState::Up),
            Ok(meta) => Ok(want == DefaultState::Down
                && meta.kind == Kind::Regular
                && self.owned(meta.ids, self.template.policy.slot_owner)),
            Err(errno) => Err(errno.into()),
        }
    }

    fn skeleton(&self, slot: &Dir, paths: &[&'static CStr; 4]) -> Answer {
        let policy = &self.template.policy;
        let [event, supervise, control, inner] = paths;
        let is_event =
            |meta: Meta| meta.kind == Kind::Directory && self.fits(meta, policy.event, policy.slot_owner);
        if !is_event(slot.meta_at(event)?) {
            return Ok(false);
        }
        let supervise = slot.meta_at(supervise)?;
        if supervise.kind != Kind::Directory
            || !self.fits(supervise, policy.supervise, policy.supervise_owner)
        {
            return Ok(false);
        }
        let control = slot.meta_at(control)?;
        Ok(is_event(slot.meta_at(inner)?)
            && control.kind == Kind::Fifo
            && self.fits(control, policy.control, policy.supervise_owner))
    }

    fn fits(&self, meta: Meta, mode: u32, want: Ids) -> bool {
        meta.mode == mode && self.owned(meta.ids, want)
    }

    fn owned(&self, found: Ids, want: Ids) -> bool {
        self.template.ownership.accepts(found, want, self.scandir)
    }
}
