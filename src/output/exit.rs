//! The exit codes of the program.

/// Something was refused, left undone, or is not as it should be.
pub const INCOMPLETE: u8 = 1;
/// What is configured cannot be run: `EX_CONFIG` of sysexits.h.
pub const CONFIGURATION: u8 = 78;
/// Wrong usage, as in s6.
pub const USAGE: u8 = 100;
/// A system call failed and left nothing to do, as in s6.
pub const SYSTEM: u8 = crate::sys::switch::LOST;
/// Of a `finish`: s6-supervise does not start the service again, as after `s6-svc -O`.
pub const PERMANENT_FAILURE: u8 = 125;
/// A program was found and cannot be executed, as in a shell.
pub const NOT_EXECUTABLE: u8 = 126;
/// A program was not found, as in a shell.
pub const NOT_FOUND: u8 = 127;
