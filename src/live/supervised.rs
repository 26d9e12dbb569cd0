//! A gateway under its supervisor: orders to be down and to be up, and bounded waits for what comes of them. That is read from
//! `supervise/status`, because an order is lost if another process reads it from the supervisor's FIFO.

use std::path::Path;
use std::time::{Duration, Instant};

use super::progress::{Down, STEADY, Start, Streak, has_taken, is_ending, is_settled};
use super::record::{self, DesiredState, Locked};
use super::status::is_loop;
use super::{INTERVAL, Live, hindrance, logs, refusal};
use crate::output::{Error, Result, exit};
use crate::s6::deaths::{self, Death, Tally};
use crate::s6::status::{self, Stat};
use crate::s6::tai64n::Label;
use crate::s6::{ProfileName, supervision};
use crate::service::count::{Beginning, Program};
use crate::sys::{Dir, Errno, Reason, time};
use crate::topology::host::Slotted;
use crate::volume::marker;

/// Time that a start without `--wait` gives a gateway that is on its way down. It is short: the gateway starts again when it has ended,
/// also after the command.
pub const ENDING: Duration = Duration::from_secs(5);
/// Time in which an order to be down shows in the state of a service, while the directory of the profile is locked.
const SEEN: Duration = Duration::from_secs(1);
/// Time that a gateway has to come to its end, or to be started again after it: s6-supervise starts a service once a second.
const SETTLING: Duration = Duration::from_secs(2);
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

/// What has come of a process that was to follow another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It has been started.
    Started,
    /// The other one has not ended.
    Awaited,
    /// Another command has stopped the gateway meanwhile.
    Revoked,
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

    /// Orders the gateway to be down, after it has been told that its end is wanted. `dir` is the directory of its profile. Returns its
    /// process; `None` if it has none.
    pub fn order_down(&self, dir: Option<&Locked<'_>>) -> Result<Option<u64>> {
        let Some(before) = self.stat()? else { return Ok(None) };
        if let Some(dir) = dir {
            self.report(dir.unmark(&marker::RESTART, None));
            if let Some(pid) = before.pid() {
                self.report(dir.mark(&marker::PLANNED_STOP, pid));
            }
        }
        self.live.tell_supervisor("d", &self.slot)?;
        // Whoever looks at the supervisor next has to see the order.
        let is_taken = |stat: Option<&Stat>| stat.is_none_or(|stat| !stat.is_wanted);
        if !self.wait_until(SEEN, is_taken)?
            && let Some(how) = self.hindrance()
            && !self.wait_until(TAKING.saturating_sub(SEEN), is_taken)?
        {
            return Err(self.not_obeyed("stop", &how));
        }
        // Of one that is dead now, or dies once more before the order comes, no other death follows.
        if let Some(dir) = dir {
            self.count_anew(dir, &before);
        }
        Ok(before.pid())
    }

    /// Returns whether it is up.
    pub fn is_up(&self) -> Result<bool> {
        Ok(self.stat()?.is_some_and(|stat| stat.is_up()))
    }

    /// Returns what s6 says of it, as the gateway that may serve others.
    pub fn slotted(&self) -> Result<Slotted> {
        let Some(stat) = self.stat()? else { return Ok(Slotted::Down) };
        if stat.is_wanted && self.keeps_dying(&stat) {
            return Ok(Slotted::Restarting);
        }
        Ok(stat.pid().map_or(Slotted::Down, Slotted::Up))
    }

    /// Returns whether it keeps dying, as far as this process can tell.
    fn keeps_dying(&self, stat: &Stat) -> bool {
        let tally = self.tally(|| Ok(self.count_since()));
        tally.is_ok_and(|tally| is_loop(&self.counted(&tally, stat), time::now()))
    }

    /// Waits until the gateway, whose process was `old`, is down, or another process has followed it.
    pub fn await_down(&self, old: Option<u64>, limit: Duration) -> Result<Down> {
        let watch =
            |limit| self.watch(limit, |stat| Some(Down::of(stat, old)).filter(|down| *down != Down::Still));
        let down = match watch(limit.min(TAKING))? {
            Some(down) => down,
            None if limit <= TAKING => Down::Still,
            // Whoever may write to the FIFO is not to hold the command up for longer.
            None => match hindrance::flood(&self.slot) {
                Some(how) => return Err(self.not_obeyed("stop", &how)),
                None => watch(limit.saturating_sub(TAKING))?.unwrap_or(Down::Still),
            },
        };
        match down {
            Down::Ended => self.unmark(None),
            Down::Newer => self.unmark(old),
            // It has yet to read its marker, or none has been written.
            Down::Still | Down::Started => (),
        }
        Ok(down)
    }

    /// Tells the gateway that its end is wanted, orders it to be down, and waits until it is.
    pub fn bring_down(&self, limit: Duration) -> Result<Down> {
        let order = || -> Result<Down> {
            let dir = self.lock();
            let old = self.order_down(dir.as_ref())?;
            drop(dir);
            self.await_down(old, limit)
        };
        let down = order()?;
        // Whether the gateway was just being started or the order was lost looks the same, so the order is given once more.
        if down == Down::Started { order() } else { Ok(down) }
    }

    /// Orders the gateway to be up, with a new process. Returns the process that ends first; `None` if it has none. `dir` is the directory
    /// of its profile.
    pub fn order_restart(&self, dir: Option<&Locked<'_>>) -> Result<Option<u64>> {
        let stat = self.settled()?;
        if let (Some(dir), Some(stat)) = (dir, &stat) {
            self.count_anew(dir, stat);
        }
        let Some(pid) = stat.and_then(|stat| stat.pid()) else {
            self.tell_up("u")?;
            return Ok(None);
        };
        // This marker comes first: with the other one alone, the gateway may end before it is ordered to, and stay down.
        self.follow(dir, pid);
        if let Some(dir) = dir {
            self.report(dir.mark(&marker::PLANNED_STOP, pid));
        }
        // s6-svc(8): up, SIGTERM or what `down-signal` has, SIGCONT. It stays ordered to be up, so that its supervisor starts it again.
        self.tell_up("urc")?;
        Ok(Some(pid))
    }

    /// Orders the gateway to be up. Returns its process if that has to end first: it is on its way down, or is being restarted. `dir` is
    /// the directory of its profile.
    pub fn order_start(&self, dir: Option<&Locked<'_>>) -> Result<Option<u64>> {
        let stat = self.settled()?;
        if let (Some(dir), Some(stat)) = (dir, &stat) {
            self.count_anew(dir, stat);
        }
        let Some(pid) = stat.and_then(|stat| stat.pid()) else {
            self.tell_up("u")?;
            return Ok(None);
        };
        let is_restarting = dir.map(|dir| dir.has_marked(&marker::RESTART, pid)).transpose();
        let is_restarting = is_restarting.unwrap_or_else(|error| {
            self.live.console.failed(&error);
            None
        });
        if is_ending(stat.as_ref()) || is_restarting == Some(true) {
            self.follow(dir, pid);
            self.tell_up("u")?;
            return Ok(Some(pid));
        }
        if self.is_pausing(stat.as_ref()) {
            self.end_pause(pid)?;
        }
        self.tell_up("u")?;
        Ok(None)
    }

    /// Has the deaths of the gateway count from now on, if some count: somebody gives it an order.
    fn count_anew(&self, dir: &Locked<'_>, stat: &Stat) {
        let count = || -> Result<()> {
            let tally = self.tally(|| dir.count_since())?;
            if self.counted(&tally, stat).is_empty() { Ok(()) } else { dir.count_anew() }
        };
        self.report(count());
    }

    /// Has `gateway-finish` start the gateway again when this process has ended.
    fn follow(&self, dir: Option<&Locked<'_>>, pid: u64) {
        if let Some(dir) = dir {
            self.report(dir.mark(&marker::RESTART, pid));
        }
    }

    /// Waits until another process has followed the process `old`, which ends, for `limit` at most.
    pub fn await_next(&self, old: u64, limit: Duration) -> Result<Next> {
        match self.await_down(Some(old), limit)? {
            Down::Newer | Down::Started => Ok(Next::Started),
            Down::Still => Ok(Next::Awaited),
            Down::Ended => self.resume(),
        }
    }

    /// Orders a gateway to be up that has ended and is down: `gateway-finish` has not seen the marker, for example because the slot is
    /// another program's, or there is none for a process that was just being started. Does nothing if another command has stopped the gateway.
    fn resume(&self) -> Result<Next> {
        let dir = self.lock();
        if let Some(dir) = &dir {
            if dir.is_desired(DesiredState::Stopped) {
                return Ok(Next::Revoked);
            }
            self.report(dir.unmark(&marker::RESTART, None));
        }
        self.tell_up("u").map(|()| Next::Started)
    }

    /// Kills the gateway, and waits until it is down.
    pub fn kill(&self, limit: Duration) -> Result<Down> {
        self.live.tell_supervisor("dk", &self.slot)?;
        self.await_down(None, limit)
    }

    /// Locks the directory of its profile; `None` if there is none, or if it cannot be used, which is reported where the desired state is
    /// written.
    fn lock(&self) -> Option<Locked<'_>> {
        record::lock(self.live, self.profile).ok().flatten()
    }

    /// Removes the marker of a gateway that is gone and has not read it; with `of`, only one for the gateway with this process ID.
    fn unmark(&self, of: Option<u64>) {
        if let Some(dir) = self.lock() {
            self.report(dir.unmark(&marker::PLANNED_STOP, of));
        }
    }

    /// Reports a marker that could not be written or removed, which is no reason not to order the gateway.
    fn report(&self, done: Result<()>) {
        if let Err(error) = done {
            self.live.console.failed(&error);
        }
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

    /// Returns what is said of a gateway that is up again only when it has ended.
    pub fn still_ending(&self) -> String {
        let how = self.hindrance().map_or_else(String::new, |how| format!(": {how}"));
        format!("it is still stopping, and starts again when it has ended{how}")
    }

    /// Returns the error of a gateway whose process was to be followed by another one within `limit`.
    pub fn not_restarted(&self, verb: &'static str, limit: Duration) -> Error {
        let how = self.hindrance().map_or_else(String::new, |how| format!(": {how}"));
        let limit = limit.as_secs();
        self.fail(
            verb,
            format!("it is not down yet after {limit} seconds, and starts again when it has ended{how}"),
        )
    }

    /// Returns what keeps it from ending or its supervisor from obeying, if another process does.
    pub fn hindrance(&self) -> Option<String> {
        hindrance::of(&self.slot, "it")
    }

    /// Returns whether its supervisor has the order to keep it up; `None` if nobody supervises it.
    pub fn is_wanted(&self) -> Result<Option<bool>> {
        Ok(self.stat()?.map(|stat| stat.is_wanted))
    }

    /// Returns its state once it is neither between its end and the end of its `finish`, which decides whether it stays down, nor between
    /// that and the start that follows within a second: only a process can be told something that its supervisor notes.
    fn settled(&self) -> Result<Option<Stat>> {
        match self.watch(SETTLING, |stat| is_settled(stat).then(|| stat.copied()))? {
            Some(stat) => Ok(stat),
            None => self.stat(),
        }
    }

    /// Commands its supervisor, with s6-svc(8)'s letters, of which the first is `u`, and waits until it has taken the order to be up.
    fn tell_up(&self, commands: &str) -> Result<()> {
        let before = self.stat()?.map(|stat| stat.since);
        self.live.tell_supervisor(commands, &self.slot)?;
        let taken = self.watch(TAKING, |stat| {
            let has_taken = has_taken(stat, before);
            (has_taken || stat.is_none() && self.is_gone()).then_some(has_taken)
        });
        if taken? == Some(true) {
            return Ok(());
        }
        let how =
            self.hindrance().unwrap_or_else(|| "does another process read its control FIFO?".to_owned());
        Err(self.not_obeyed("start", &how))
    }

    /// Returns the error of a supervisor that does not take an order.
    fn not_obeyed(&self, verb: &'static str, how: &str) -> Error {
        let limit = TAKING.as_secs();
        self.fail(verb, format!("its supervisor has not obeyed for {limit} seconds: {how}"))
    }

    /// Returns whether the slot has been removed, or is another one now.
    pub fn is_gone(&self) -> bool {
        match (self.live.scandir.meta(self.profile.slot()), self.slot.own_meta()) {
            (Err(Errno::NOENT), _) => true,
            (Ok(now), Ok(opened)) => now.inode != opened.inode,
            _ => false,
        }
    }

    /// Returns its deaths.
    pub fn deaths(&self) -> Deaths {
        deaths::read(&self.slot)
    }

    /// Returns its deaths up to the first one after those `before`.
    pub fn deaths_to(&self, before: &Deaths) -> Deaths {
        let (before, mut now) = (before.clone()?, self.deaths()?);
        // A tally that is full loses the oldest one for each new one.
        if before.len() < deaths::KEPT {
            now.truncate(before.len() + 1);
        }
        Ok(now)
    }

    /// Waits until a gateway that was ordered to be up has been up for [`STEADY`]. `deaths` are those before the order.
    pub fn stay_up(&self, limit: Duration, deaths: &Deaths) -> Result<()> {
        let mut streak = Streak::new();
        // Its process is up while it only waits to be started.
        let look = |stat: Option<&Stat>| match Start::of(stat) {
            Start::Up(_) if self.is_pausing(stat) => Start::NotYet,
            seen => seen,
        };
        let steady = self.watch(limit + STEADY, |stat| match stat {
            None if self.is_gone() => Some(Start::Over),
            stat => streak.add(look(stat), Instant::now()),
        })?;
        let last = match steady {
            Some(Start::Up(_)) => return Ok(()),
            Some(seen) => seen,
            None => Start::of(self.stat()?.as_ref()),
        };
        Err(self.not_up(last, self.stat()?.as_ref(), deaths))
    }

    /// Returns the error of a gateway that was to be up, by what the last look has shown.
    fn not_up(&self, last: Start, stat: Option<&Stat>, deaths: &Deaths) -> Error {
        let what = match last {
            Start::Over => "it has exited, and stays down",
            Start::Up(_) | Start::NotYet if self.is_pausing(stat) => {
                "it keeps dying, and waits before it starts again"
            }
            Start::Up(_) | Start::NotYet => "it is not up yet, or has been up for less than a second",
        };
        self.fail("start", format!("{what}{}{}", self.cause(deaths), self.end_of_log()))
    }

    /// Returns whether it keeps dying and only waits to be started again, as far as this process can tell.
    fn is_pausing(&self, stat: Option<&Stat>) -> bool {
        let Some((stat, begun)) = stat.and_then(|stat| Some((stat, Beginning::of(stat)?))) else {
            return false;
        };
        let now = time::now();
        let is_making = |tally: Tally| {
            // What somebody has ordered since its process waits does not shorten that.
            let pause = Program::Gateway.pause(&tally.as_of(&stat.since), begun, now);
            pause.is_some_and(|pause| pause.until > now)
        };
        self.tally(|| Ok(self.count_since())).is_ok_and(is_making) && self.makes_pauses()
    }

    /// Returns its deaths. `since` returns since when they count, which matters if there are some.
    fn tally(&self, since: impl FnOnce() -> Result<Option<Label>>) -> Result<Tally> {
        let label = || Path::new(self.profile.slot()).join(deaths::LABEL);
        let tally = deaths::tally(&self.slot).map_err(|reason| Error::new("read", label(), reason))?;
        if tally.deaths.is_empty() { Ok(tally) } else { Ok(tally.since(since()?)) }
    }

    /// Returns those of its deaths that count.
    fn counted(&self, tally: &Tally, stat: &Stat) -> Vec<Death> {
        Program::Gateway.counted(tally, Beginning::of(stat), self.makes_pauses(), time::now())
    }

    /// Returns since when its deaths count, as far as this process can tell.
    fn count_since(&self) -> Option<Label> {
        let settings = &self.live.settings;
        let since =
            record::home(settings).and_then(|home| record::count_since(&home, settings, self.profile));
        since.ok().flatten()
    }

    fn makes_pauses(&self) -> bool {
        self.live.settings.lookup.makes_pauses(&self.live.console.silent()).unwrap_or(true)
    }

    /// Ends the pause of a gateway that waits to be started again: the process that waits is ended, after which its supervisor starts the
    /// gateway at once.
    fn end_pause(&self, old: u64) -> Result<()> {
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
