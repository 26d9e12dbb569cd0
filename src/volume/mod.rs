//! The persistent side: `HERMES_HOME` and its files. The hermes user writes there and is not trusted.

pub mod bootlog;
pub mod config;
pub mod desire;
pub mod exit_ledger;
pub mod gateway_log;
pub mod home;
pub mod json;
pub mod kept_env;
pub mod planned;
pub mod profiles;
pub mod state;

pub use home::Home;
