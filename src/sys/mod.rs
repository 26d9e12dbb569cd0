//! The only room that knows the kernel: directories by descriptor, names of one component, ownership, locks, users,
//! processes and local time. Nothing above it builds a path where a descriptor and a name will do.

pub mod dir;
pub mod file;
pub mod keep;
pub mod localtime;
pub mod lock;
pub mod name;
pub mod own;
pub mod process;
pub mod raw;
pub mod remove;
pub mod time;
pub mod users;

pub use dir::{Dir, Kind, Meta};
pub use name::{Below, Name};
pub use own::{Chowner, Ids};
pub use raw::error_text;
pub use rustix::io::Errno;
