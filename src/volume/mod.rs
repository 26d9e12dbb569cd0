//! The persistent side: HERMES_HOME and what is in it. The hermes user writes there and is not trusted.

pub mod bootlog;
pub mod config;
pub mod desire;
pub mod home;
pub mod json;
pub mod lifecycle;
pub mod profiles;
pub mod state;

pub use home::Home;
