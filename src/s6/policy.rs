//! Who owns the parts of a slot, and with which modes: delegated mode and sealed mode.

use super::servicedir::{SEALED_EVENT, SEALED_SUPERVISE};
use crate::sys::Ids;

/// Who is to command the gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The hermes user owns the slots and the scan directory, as Hermes Agent has it.
    Delegated,
    /// Root keeps ownership of the slots. The hermes user can command and query them, as `s6-svperms` permits it.
    Sealed,
}

impl Mode {
    /// Returns whether this is sealed mode.
    pub fn is_sealed(self) -> bool {
        self == Mode::Sealed
    }

    /// Returns the name that messages and `--explain` print.
    pub fn text(self) -> &'static str {
        match self {
            Mode::Delegated => "delegated",
            Mode::Sealed => "sealed",
        }
    }
}

/// The owners and modes of a slot.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The mode that these owners and modes follow from.
    pub mode: Mode,
    /// The hermes user.
    pub owner: Ids,
    /// Owner of the slot, its files, `log` and the `event` directories.
    pub slot_owner: Ids,
    /// Owner of `supervise`, of `control` and of `env`.
    pub supervise_owner: Ids,
    /// Mode of `supervise`.
    pub supervise: u32,
    /// Mode of `event` directories. s6-supervise opens every entry named `ftrig1:*` in them as root and follows symlinks: whoever
    /// can make entries there can have root write to any file.
    pub event: u32,
    /// Mode of `control`. Whoever can write to it commands the service; whoever can read it can take commands of others away.
    pub control: u32,
    /// Mode of `env`, which the gateway reads as the hermes user.
    pub env: u32,
    /// Mode of the files in `env`.
    pub variable: u32,
}

impl Policy {
    /// Returns the policy of a mode for the hermes user `owner`. In sealed mode the slots are `sealed_owner`'s; the group of `owner`
    /// can search `supervise` and write to `control`, as with s6-svperms(8), and nobody else can use `event`.
    pub fn new(mode: Mode, owner: Ids, sealed_owner: Ids) -> Policy {
        match mode {
            Mode::Delegated => Policy {
                mode,
                owner,
                slot_owner: owner,
                supervise_owner: owner,
                supervise: 0o755,
                event: 0o3730,
                control: 0o660,
                env: 0o700,
                variable: 0o600,
            },
            Mode::Sealed => Policy {
                mode,
                owner,
                slot_owner: sealed_owner,
                supervise_owner: Ids { uid: sealed_owner.uid, gid: owner.gid },
                supervise: SEALED_SUPERVISE,
                event: SEALED_EVENT,
                control: 0o620,
                env: 0o750,
                variable: 0o640,
            },
        }
    }
}
