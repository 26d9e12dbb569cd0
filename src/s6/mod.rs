//! s6: the scan directory, service directories and their supervisors, and the slots, which are the service directories of gateways.

pub mod commands;
pub mod deaths;
pub mod envdir;
mod policy;
pub mod profile_name;
pub mod programs;
pub mod room;
pub mod scandir;
pub mod scandir_lock;
pub mod sealing;
pub mod servicedir;
pub mod skeleton;
pub mod slot;
pub mod status;
pub mod supervision;
pub mod svscan_user;
pub mod tai64n;

pub use policy::{Mode, Policy};
pub use profile_name::ProfileName;
pub use slot::{DefaultState, Template};
