//! Slots, the service directories of gateways: how they are built, compared, published, updated and removed.

mod build;
pub mod check;
pub mod foreign;
pub mod publish;
pub mod staging;
pub mod template;
mod update;

pub use check::SlotState;
pub use template::{DefaultState, Template};
pub use update::set_default_state;
