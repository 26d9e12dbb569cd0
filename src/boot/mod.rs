//! The steps of cont-init.d, which root runs once at boot: the boot pass, and the permissions of static services.

pub mod fix_perms;
pub mod reconcile;

/// What a boot step does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// It changes what differs.
    #[default]
    Apply,
    /// It changes nothing, and reports what would be done.
    DryRun,
    /// It changes nothing, and explains why.
    Explain,
}

/// The form in which results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
