//! Which gateway serves a profile: its own, or that of `default`. What decides it, for a pass, for the commands, and for a gateway that is
//! about to start.

pub mod as_gateway;
pub mod host;
pub mod multiplexing;
pub mod own_gateway;
pub mod signs;
pub mod traces;
