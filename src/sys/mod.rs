//! The only room that knows the kernel's interface: directories by descriptor, names of one component, ownership, locks, users,
//! processes and local time. Nothing above it builds a path where a descriptor and a name will do.

mod acting;
pub mod capability;
pub mod dir;
pub mod errno;
pub mod file;
pub mod inheritance;
pub mod localtime;
pub mod lock;
pub mod name;
pub mod ownership;
pub mod process;
pub mod remove;
pub mod time;
pub mod users;
pub mod walk;

pub use acting::Acting;
pub use dir::{Dir, Kind, Meta, present};
pub use errno::{Errno, Reason};
pub use name::{Below, Name};
pub use ownership::{Ids, Ownership};

/// Joins the parts of a path for a message, with slashes between; empty parts do not count.
pub fn label(parts: &[&[u8]]) -> Vec<u8> {
    let mut label = Vec::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if !label.is_empty() {
            label.push(b'/');
        }
        label.extend_from_slice(part);
    }
    label
}
