//! The s6 side: what a slot (the service directory of a gateway) is made of, and how it is published, checked, updated and removed.

pub mod backoff;
pub mod build;
pub mod check;
pub mod env;
pub mod foreign;
pub mod layout;
pub mod name;
pub mod probe;
pub mod publish;
pub mod scandir;
pub mod skeleton;
pub mod staging;
pub mod tally;
pub mod update;

pub use layout::{Policy, Spec, Want};
pub use name::ProfileName;
