//! What `status` and `health` know of one service.

use crate::output::Error;
use crate::s6::deaths::Death;

/// The states, as both print them.
pub const UP: &str = "up";
/// It is down.
pub const DOWN: &str = "down";
/// It dies again and again.
pub const RESTARTING: &str = "restarting";
/// There is a slot, and no supervisor.
pub const UNSUPERVISED: &str = "unsupervised";
/// It has a profile, and no slot.
pub const NO_SLOT: &str = "no slot";
/// It could not be found out.
pub const UNKNOWN: &str = "unknown";

/// All states, in the order of the totals.
pub const STATES: [&str; 6] = [UP, RESTARTING, DOWN, UNSUPERVISED, NO_SLOT, UNKNOWN];

/// A row of the table. A field that is not known is empty.
#[derive(Default)]
pub struct Row {
    /// The profile, or the name of a static service.
    pub name: Vec<u8>,
    /// Whether it is a static service.
    pub is_static: bool,
    /// The path of the service directory.
    pub slot: Vec<u8>,
    /// One of [`STATES`].
    pub state: &'static str,
    /// The process.
    pub pid: String,
    /// Seconds since it last went up or down.
    pub age: u64,
    /// That moment.
    pub since: String,
    /// Whether it has reported that it is ready: `true` or `false`. A gateway reports nothing.
    pub ready: &'static str,
    /// Whether s6 has the order to keep it up.
    pub is_ordered: bool,
    /// How it ended last.
    pub death: Option<Death>,
    /// How often it has died in the last minutes, without having been stopped.
    pub deaths: usize,
    /// What the next boot does with it.
    pub wanted: &'static str,
    /// What the last boot did, and when.
    pub last_boot: String,
    /// What is to be known about it, with what helps.
    pub note: String,
    /// Whether it could not be asked; the note says why.
    pub failed: bool,
    /// Whether something is not as it should be; the note says what.
    pub fault: bool,
}

impl Row {
    /// Returns whether it runs, if perhaps not for long.
    pub fn runs(&self) -> bool {
        self.state == UP || self.state == RESTARTING
    }

    /// Notes that it could not be asked.
    pub fn fail(&mut self, error: &Error) {
        self.note = error.to_string();
        self.failed = true;
    }

    /// Makes it a fault. A note that it has is the better one.
    pub fn blame(&mut self, why: &str) {
        self.fault = true;
        if self.note.is_empty() {
            why.clone_into(&mut self.note);
        }
    }
}
