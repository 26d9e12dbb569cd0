//! The form of a command's results.

/// The form of a command's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text for a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
