//! What the program says: results, messages, suggestions, errors, exit codes, and how values are escaped in them.

pub mod console;
pub mod error;
pub mod escape;
pub mod exit;
pub mod format;
pub mod json;
pub mod line;
pub mod localtime;
pub mod nearest;

pub use console::Console;
pub use error::{Context, Error, Object, Result};
pub use format::Format;
