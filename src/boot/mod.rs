//! The steps of cont-init.d, which root runs once at boot: the boot pass, and the permissions of static services.

pub mod fix_perms;
pub mod reconcile;
