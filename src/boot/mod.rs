//! The steps of cont-init.d, which root runs once at boot: the boot pass, and the permissions of static services.

pub mod fix_perms;
pub mod reconcile;

use crate::output::{Console, Result};
use crate::settings::Settings;
use crate::sys::Ownership;

/// Reports that gateways can change everything that s6 runs, or are root. Returns whether that is so in sealed mode.
fn is_unprotected(settings: &Settings, ownership: &Ownership, console: &Console) -> Result<bool> {
    let mode = settings.mode.value;
    let why = settings.unprotected(ownership)?.and_then(|unprotected| unprotected.text(mode));
    if let Some(why) = &why {
        console.warn(format_args!("{why}"));
    }
    Ok(why.is_some() && mode.is_sealed())
}
