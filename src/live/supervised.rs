//! A gateway under its supervisor: orders to be down and to be up, and bounded waits for what comes of them. That is read from
//! `supervise/status`, because an order is lost if another process reads it from the supervisor's FIFO.

use std::time::{Duration, Instant};

use super::progress::{Down, STEADY, Start, Streak, has_ended, has_taken, is_ending};
use super::{INTERVAL, Live, hindrance, logs, record, refusal};
use crate::output::{Context, Error, Result, exit};
use crate::s6::deaths::{self, Death};
use crate::s6::status::{self, Stat};
use crate::s6::{ProfileName, supervision};
use crate::service::gateway;
use crate::sys::{Dir, Errno, Reason, time};
use crate::volume::directory_lock::Held;
use crate::volume::{planned_stop, profiles};

/// Time that a gateway has to be down, unless `--wait` says otherwise: it drains first, which means that it finishes the requests in
/// flight.
pub const DRAINING: Duration = Duration::from_secs(30);
/// Time that a start without `--wait` gives a gateway that is on its way down. It is short: the order is given
/// after it all the same, with a warning.
pub const ENDING: Duration = Duration::from_secs(5);
/// Time that a supervisor has to take an order. It reads its FIFO within milliseconds, unless it is only starting.
const TAKING: Duration = Duration::from_secs(5);

/// The deaths of a gateway, or why they cannot be read.
pub type Deaths = std::result::Result<Vec<Death>, Reason>;

/// The gateway of a slot that is supervised.
pub struct SupervisedGateway<'a> {
    /// What the command works with.
    pub live: &'a Live<'a>,
    /// The gateway's profile.
    pub profile: &'a ProfileName,
    /// Its slot, opened with `O_PATH`.
    pub slot: Dir,
}

/// What has become of the end of a gateway that has to be over before it can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was not on its way down.
    Absent,
    /// It was, and is down now.
    Over,
    /// It still is.
    Continues,
}

impl SupervisedGateway<'_> {
    fn fail(&self, verb: &'static str, reason: impl Into<Reason>) -> Error {
        Error::new(verb, self.profile.slot(), reason).with_code(exit::INCOMPLETE)
    }

    /// Returns its state; `None` if nobody supervises it.
    fn stat(&self) -> Result<Option<Stat>> {
        let is_held = supervision::is_held(&self.slot).map_err(|errno| {
            let verb = "check for a supervisor of";
            refusal(errno, &self.slot, "command", self.profile.slot(), self.live.console)
                .unwrap_or_else(|| Error::new(verb, self.profile.slot(), errno))
        });
        if is_held? { status::svstat(&self.slot) } else { Ok(None) }
    }

    /// Reads its state until `judge` returns something for it, which is returned; `None` after `limit`.
    fn watch<T>(
        &self,
        limit: Duration,
        mut judge: impl FnMut(Option<&Stat>) -> Option<T>,
    ) -> Result<Option<T>> {
        let look = || self.stat().map(|stat| judge(stat.as_ref())).transpose();
        time::poll(limit, INTERVAL, look).transpose()
    }

    /// Waits until `holds` is true of its state. Returns whether it has become true.
    fn wait_until(&self, limit: Duration, holds: impl Fn(Option<&Stat>) -> bool) -> Result<bool> {
        let held = self.watch(limit, |stat| holds(stat).then_some(()))?;
        Ok(held.is_some())
    }

    /// Waits until the gateway, whose process was `old`, is down.
    fn wait_down(&self, old: Option<u64>, limit: Duration) -> Result<Down> {
        let down = self.watch(limit, |stat| Some(Down::of(stat, old)).filter(|down| *down != Down::Still))?;
        Ok(down.unwrap_or(Down::Still))
    }

    /// Tells the gateway that its end is wanted, orders it to be down, and waits until it is.
    pub fn bring_down(&self, limit: Duration) -> Result<Down> {
        let down = self.order_down(limit)?;
        // Whether the gateway was just being started or the order was lost looks the same, so the order is given once more.
        if down == Down::Started { self.order_down(limit) } else { Ok(down) }
    }

    fn order_down(&self, limit: Duration) -> Result<Down> {
        let Some(before) = self.stat()? else { return Ok(Down::Ended) };
        if let Some(pid) = before.pid() {
            self.mark(pid);
        }
        self.live.tell_supervisor("d", &self.slot)?;
        let down = self.wait_down(before.pid(), limit)?;
        match down {
            Down::Ended => self.unmark(None),
            Down::Newer => self.unmark(before.pid()),
            // It has yet to read its marker, or none has been written.
            Down::Still | Down::Started => (),
        }
        Ok(down)
    }

    /// Kills the gateway, and waits until it is down.
    pub fn kill(&self, limit: Duration) -> Result<Down> {
        self.live.tell_supervisor("dk", &self.slot)?;
        let down = self.wait_down(None, limit)?;
        self.unmark(None);
        Ok(down)
    }

    /// Writes the planned-stop marker for the gateway's process.
    fn mark(&self, pid: u64) {
        let (owner, ownership) = (self.live.settings.owner.value, self.live.template.ownership);
        self.change_marker("write", |dir| planned_stop::write(dir, pid, owner, ownership));
    }

    /// Removes the marker of a gateway that is gone and has not read it; with `of`, only one for the gateway with this process ID.
    fn unmark(&self, of: Option<u64>) {
        self.change_marker("remove", |dir| planned_stop::remove(dir, of));
    }

    /// Changes the marker in the profile's directory; a slot may have no profile. A failure is reported, and is no reason not to stop
    /// the gateway.
    fn change_marker(
        &self,
        verb: &'static str,
        change: impl FnOnce(&Held<'_>) -> std::result::Result<(), Errno>,
    ) {
        let marker = profiles::label(self.profile, &planned_stop::MARKER);
        let found = record::in_directory(&self.live.settings, self.profile, |dir| {
            let change = |dir| change(&record::hold(self.live, self.profile, dir)).context(verb, marker);
            if let Some(Err(error)) = dir.map(change) {
                self.live.console.failed(&error);
            }
            Ok(())
        });
        // What is wrong with the directory itself is reported where the desired state is written.
        let _ = found;
    }

    /// Returns the error of a gateway that was to be down.
    pub fn still_up(&self, limit: Duration) -> Error {
        let (program, name) = (self.live.console.program(), self.profile.text());
        let how = match self.hindrance() {
            Some(how) => format!(": {how}"),
            None => {
                format!(", and may still overwrite its desired state: {program} stop --wait=SECONDS {name}")
            }
        };
        self.fail("stop", format!("it is not down yet after {} seconds{how}", limit.as_secs()))
    }

    /// Returns what keeps it from ending or its supervisor from obeying, if another process does.
    pub fn hindrance(&self) -> Option<String> {
        hindrance::of(&self.slot, "it")
    }

    /// Returns whether its supervisor has the order to keep it up.
    pub fn is_wanted(&self) -> Result<bool> {
        Ok(self.stat()?.is_some_and(|stat| stat.is_wanted))
    }

    /// Waits for the end of a gateway that is on its way down.
    pub fn await_end(&self, limit: Duration) -> Result<Ending> {
        let before = self.stat()?;
        if !is_ending(before.as_ref()) {
            return Ok(Ending::Absent);
        }
        let old = before.and_then(|stat| stat.pid());
        let is_over = self.wait_until(limit, |stat| has_ended(stat, old))?;
        Ok(if is_over { Ending::Over } else { Ending::Continues })
    }

    /// Returns the error of a gateway that was to be up and is still on its way down.
    pub fn still_ending(&self) -> Error {
        let how = self.hindrance().unwrap_or_else(|| "start it again when it is down".to_owned());
        self.fail("start", format!("it is still stopping: {how}"))
    }

    /// Orders the gateway to be up, and waits until its supervisor has taken the order. Returns its deaths up to then.
    pub fn order_up(&self) -> Result<Deaths> {
        let before = self.stat()?.map(|stat| stat.since);
        let deaths = deaths::read(&self.slot);
        self.live.tell_supervisor("u", &self.slot)?;
        if self.wait_until(TAKING, |stat| has_taken(stat, before))? {
            return Ok(deaths);
        }
        let limit = TAKING.as_secs();
        let how =
            self.hindrance().unwrap_or_else(|| "does another process read its control FIFO?".to_owned());
        Err(self.fail("start", format!("its supervisor has not obeyed for {limit} seconds: {how}")))
    }

    /// Waits until a gateway that was ordered to be up has been up for [`STEADY`]. `deaths` are those before the order.
    pub fn stay_up(&self, limit: Duration, deaths: &Deaths) -> Result<()> {
        let mut streak = Streak::new();
        // Its process is up while it only waits to be started.
        let look = |stat: Option<&Stat>| match Start::of(stat) {
            Start::Up(_) if self.is_pausing() => Start::NotYet,
            seen => seen,
        };
        let steady = self.watch(limit + STEADY, |stat| streak.add(look(stat), Instant::now()))?;
        let last = match steady {
            Some(Start::Up(_)) => return Ok(()),
            Some(seen) => seen,
            None => Start::of(self.stat()?.as_ref()),
        };
        let what = match last {
            Start::Over => "it has exited, and stays down",
            Start::Up(_) | Start::NotYet if self.is_pausing() => {
                "it keeps dying, and waits before it starts again"
            }
            Start::Up(_) | Start::NotYet => "it is not up yet, or has been up for less than a second",
        };
        Err(self.fail("start", format!("{what}{}{}", self.cause(deaths), self.end_of_log())))
    }

    /// Returns whether it keeps dying and only waits to be started again, as far as this process can tell.
    pub fn is_pausing(&self) -> bool {
        let now = time::now();
        let is_making =
            |deaths: Vec<Death>| gateway::pause(&deaths, now).is_some_and(|pause| pause.until > now);
        let makes_pauses = || self.live.settings.lookup.makes_pauses(&self.live.console.silent());
        deaths::read(&self.slot).is_ok_and(is_making) && makes_pauses().unwrap_or(true)
    }

    /// Ends the pause of a gateway that waits to be started again: what waits is ended, after which its supervisor starts it at once.
    pub fn end_pause(&self) -> Result<()> {
        let before = self.stat()?;
        let Some(old) = before.filter(Stat::is_up).and_then(|stat| stat.pid()) else { return Ok(()) };
        self.live.tell_supervisor("t", &self.slot)?;
        // What has become of it is found out by whoever waits for the gateway.
        self.wait_until(TAKING, |stat| stat.is_none_or(|stat| stat.pid() != Some(old)))?;
        Ok(())
    }

    /// Returns how the gateway has died since its `deaths` were read.
    fn cause(&self, deaths: &Deaths) -> String {
        cause(deaths, &deaths::read(&self.slot))
    }

    /// Returns the last lines of its log, for a message.
    fn end_of_log(&self) -> String {
        match logs::last_lines(&self.live.settings, self.profile) {
            Ok(lines) if lines.is_empty() => "; it has printed nothing".to_owned(),
            Ok(lines) => format!("; the end of its log:{lines}"),
            Err(error) => format!("; {error}"),
        }
    }
}

/// Returns the last death if there has been one since `before`; why that is not known; nothing if there has been none.
fn cause(before: &Deaths, now: &Deaths) -> String {
    match (before, now) {
        (Err(reason), _) | (_, Err(reason)) => format!(" ({}: {reason})", deaths::LABEL),
        (Ok(before), Ok(now)) if before == now => String::new(),
        (_, Ok(now)) => now.last().map_or_else(String::new, |death| format!(" ({death})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_a_death_since_the_order() {
        let first = Death { time: 1, code: 1, signal: 0 };
        let second = Death { time: 2, code: 78, signal: 0 };
        let unread = || Err(Reason::Errno(Errno::ACCESS));
        let why = " (supervise/death_tally: Permission denied)";
        let rows: [(Deaths, Deaths, &str); 6] = [
            (Ok(vec![]), Ok(vec![]), ""),
            (Ok(vec![first]), Ok(vec![first]), ""),
            (Ok(vec![]), Ok(vec![first]), " (exit code 1)"),
            (Ok(vec![first]), Ok(vec![first, second]), " (exit code 78)"),
            (unread(), Ok(vec![first]), why),
            (Ok(vec![first]), unread(), why),
        ];
        for (before, now, text) in rows {
            assert_eq!(cause(&before, &now), text, "{before:?} {now:?}");
        }
    }
}
