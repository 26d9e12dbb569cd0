//! What another program has made: slots whose scripts are not this program's, for example those of the Python's service manager, and
//! entries that are no directories.

use super::template;
use crate::output::{Context, Error, Result};
use crate::s6::{ProfileName, servicedir, supervision};
use crate::sys::{Dir, Kind, Name, file, present};

/// Returns the error of an entry that has the name of a slot and is something else. This program makes only directories.
pub fn not_a_slot(name: &Name, kind: Kind) -> Error {
    let reason = format!("it is {}, not a slot: leave it to the program that created it", kind.text());
    Error::new("use", name, reason)
}

/// Fails if a profile's slot is a symlink that leads somewhere, as s6-rc has them in the scan directory, whether s6-svscan supervises
/// what it leads to already or not. One that leads nowhere can be replaced.
pub fn refuse_link(scandir: &Dir, profile: &ProfileName) -> Result<()> {
    let slot = profile.slot();
    match present(scandir.meta(slot)).context("inspect", slot)?.map(|meta| meta.kind) {
        Some(kind @ Kind::Symlink) if !scandir.dangles(slot) => Err(not_a_slot(slot, kind)),
        _ => Ok(()),
    }
}

/// Returns whether a profile's slot is supervised and has a `run` that this program has not written. The scripts of such a slot may
/// hold variables that are nowhere else.
pub fn is_in_use(scandir: &Dir, profile: &ProfileName) -> Result<bool> {
    let slot = profile.slot();
    match present(scandir.dir(slot)).context("inspect", slot)? {
        Some(dir) => Ok(has_foreign_run(&dir) && supervision::is_slot_held(&dir).context("inspect", slot)?),
        None => Ok(false),
    }
}

/// Returns whether a `run` must be left alone: it is another program's, or cannot be read. A missing or empty one, and one that is not a
/// regular file, can be replaced.
fn has_foreign_run(slot: &Dir) -> bool {
    if slot.meta(&servicedir::RUN).is_ok_and(|meta| meta.kind != Kind::Regular) {
        return false;
    }
    match file::find(slot, &servicedir::RUN, template::SCRIPT_CAP) {
        Ok(text) => text.is_some_and(|text| !text.is_empty() && !is_own(&text)),
        Err(_) => true,
    }
}

/// Returns whether a `run` is this program's, whatever its path.
fn is_own(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|byte| *byte == b'\n') else { return false };
    let (first, rest) = text.split_at(end);
    let is_own = first.starts_with(b"#!") && first.ends_with(b" gateway-run");
    is_own && (rest == b"\n" || template::home_in(text).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_this_program_is_one_line_under_any_path_and_a_home() {
        assert!(is_own(b"#!/usr/bin/hermes-init gateway-run\n"));
        assert!(is_own(b"#!/opt/other/init gateway-run\n"));
        assert!(is_own(b"#!/usr/bin/hermes-init gateway-run\nHERMES_HOME=/opt/data\n"));
        for text in [
            &b"#!/bin/sh\n"[..],
            b"#!/usr/bin/hermes-init gateway-run\nexec hermes\n",
            b"#!/usr/bin/hermes-init gateway-run\nHERMES_HOME=/opt/data",
            b"#!/bin/sh\nHERMES_HOME=/opt/data\n",
            b"#!/bin/sh\nexec hermes-init gateway-run\n",
            b"#!/command/with-contenv sh\nexport A=1\nexec hermes gateway run --replace\n",
            b"#!/usr/bin/hermes-init gateway-run",
            b"#!/usr/bin/hermes-init gateway-log\n",
        ] {
            assert!(!is_own(text), "{text:?}");
        }
    }
}
