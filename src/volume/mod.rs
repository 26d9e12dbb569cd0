//! The persistent side: `HERMES_HOME` and its files. The hermes user writes there and is not trusted.

pub mod advice;
pub mod ahead;
pub mod bootlog;
pub mod budget;
pub mod config;
pub mod contents;
pub mod death_count;
pub mod desired_state;
pub mod directory_lock;
pub mod dotenv;
pub mod exit_ledger;
pub mod gateway_log;
pub mod home;
pub mod kept_env;
pub mod marker;
pub mod parking;
pub mod profiles;
pub mod state;
pub mod transfer;

pub use home::Home;
