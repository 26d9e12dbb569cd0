//! The kernel's interface, and nothing else: directories by descriptor, names of one component, owners, locks, users and processes.
//! No other room calls the kernel.

pub mod acl;
pub mod backwards;
pub mod capability;
pub mod dir;
mod errno;
pub mod fifo;
pub mod file;
pub mod handle;
pub mod inheritance;
pub mod lock;
pub mod meta;
mod name;
pub mod number;
mod ownership;
mod patience;
mod permission;
pub mod proc;
pub mod process;
pub mod remove;
pub mod space;
pub mod staged;
pub mod switch;
pub mod threads;
pub mod time;
pub mod tracer;
pub mod user_namespace;
pub mod users;
pub mod walk;

pub use dir::{Dir, Entry, present};
pub use errno::{Errno, Reason};
pub use meta::{Kind, Meta};
pub use name::{Name, SubPath};
pub use ownership::{Ids, Ownership};
pub use patience::Patience;
pub use switch::as_user;
