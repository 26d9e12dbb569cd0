//! The s6 side: what a gateway's slot is made of, and how one comes into the scan directory and out of it again.

pub mod build;
pub mod check;
pub mod env;
pub mod layout;
pub mod name;
pub mod probe;
pub mod publish;
pub mod scandir;
pub mod skeleton;
pub mod staging;
pub mod update;

pub use layout::{Policy, Spec, Want};
pub use name::ProfileName;
