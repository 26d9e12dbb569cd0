//! A gateway under its supervisor: it is asked for, brought down and brought up. What came of a command is seen from
//! `supervise/status`, because a command is lost if another process reads it from the supervisor's FIFO.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::{INTERVAL, Live, logs, record};
use crate::output::{Context, Error, Result, exit};
use crate::s6::control;
use crate::s6::deaths::{self, Death};
use crate::s6::status::{self, Stat};
use crate::s6::{ProfileName, supervision};
use crate::sys::{Dir, Reason, time};
use crate::volume::{planned_stop, profiles};

/// The deaths of a gateway, or why they cannot be read.
type Tally = std::result::Result<Vec<Death>, Reason>;

/// Time that a gateway has to be down, unless `--wait` says otherwise: the time that it takes to drain.
pub const DOWN: Duration = Duration::from_secs(30);
/// Time that a supervisor has to take a command.
const TAKEN: Duration = Duration::from_secs(5);
/// Time that a gateway has been up without a break if it is called up.
const STEADY: Duration = Duration::from_secs(1);

/// A gateway's slot, open.
pub struct Gateway<'a> {
    /// What the command works with.
    pub live: &'a Live<'a>,
    /// The gateway's profile.
    pub profile: &'a ProfileName,
    /// Its slot, open for passage.
    pub slot: Dir,
}

/// What has become of a gateway that was to be down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// It is down.
    Ended,
    /// It is gone, and somebody has started a new one.
    Newer,
    /// It is still up.
    Still,
}

impl Gateway<'_> {
    fn fail(&self, verb: &'static str, reason: impl Into<Reason>) -> Error {
        Error::new(verb, self.profile.slot(), reason).with_code(exit::INCOMPLETE)
    }

    /// Returns its state; `None` if nobody supervises it.
    fn ask(&self) -> Result<Option<Stat>> {
        if !supervision::is_held(&self.slot).context("look at the supervisor of", self.profile.slot())? {
            return Ok(None);
        }
        status::svstat(&self.slot)
    }

    /// Asks until `seen` returns true, at most `limit`. Returns whether it did.
    fn watch(&self, limit: Duration, seen: &mut dyn FnMut(Option<&Stat>) -> bool) -> Result<bool> {
        let mut failed = Ok(());
        let done = time::wait_until(limit, INTERVAL, &mut || match self.ask() {
            Ok(stat) => seen(stat.as_ref()),
            Err(error) => {
                failed = Err(error);
                true
            }
        });
        failed.map(|()| done)
    }

    /// Waits until the gateway, whose process was `old`, is down.
    fn wait_down(&self, old: Option<u64>, limit: Duration) -> Result<Down> {
        let mut down = Down::Still;
        self.watch(limit, &mut |stat| {
            down = match stat {
                None => Down::Ended,
                Some(stat) if stat.settled && !stat.wanted => Down::Ended,
                Some(stat) if stat.up && stat.wanted && stat.pid != old => Down::Newer,
                Some(_) => Down::Still,
            };
            down != Down::Still
        })?;
        Ok(down)
    }

    /// Commands the gateway to be down, having told it so, and waits until it is.
    pub fn bring_down(&self, limit: Duration) -> Result<Down> {
        let mut down = Down::Ended;
        // Once more for a gateway that was dead and about to be started again: whether it has been, or the command was lost, looks
        // the same.
        for _ in 0..2 {
            let Some(before) = self.ask()? else { return Ok(Down::Ended) };
            if let Some(pid) = before.pid {
                self.mark(&|dir, live| {
                    planned_stop::write(dir, pid, live.settings.owner.value, live.template.ownership)
                        .context("write", profiles::label(self.profile, &planned_stop::MARKER))
                });
            }
            control::svc("d", &self.slot)?;
            down = self.wait_down(before.pid, limit)?;
            if before.pid.is_some() || down != Down::Newer {
                match down {
                    Down::Ended => self.unmark(None),
                    Down::Newer => self.unmark(before.pid),
                    Down::Still => (),
                }
                break;
            }
        }
        Ok(down)
    }

    /// Kills the gateway, and waits until it is down.
    pub fn kill(&self, limit: Duration) -> Result<Down> {
        control::svc("dk", &self.slot)?;
        let down = self.wait_down(None, limit)?;
        self.unmark(None);
        Ok(down)
    }

    /// Removes the marker of a gateway that is gone and has not read it. `of`: only if it is for the gateway with this process ID.
    fn unmark(&self, of: Option<u64>) {
        self.mark(&|dir, _| {
            planned_stop::remove(dir, of)
                .context("remove", profiles::label(self.profile, &planned_stop::MARKER))
        });
    }

    /// Does something about the marker in the profile's directory. A failure is no reason not to stop the gateway.
    fn mark(&self, change: &dyn Fn(&Dir, &Live<'_>) -> Result<()>) {
        let changed = record::in_directory(self.live.settings, self.profile, |dir| {
            // A slot may have no profile.
            Ok(dir.map_or(Ok(()), |dir| change(dir, self.live)))
        });
        // What is wrong with a profile is reported where its desired state is written.
        if let Ok(Err(error)) = changed {
            self.live.console.failed(&error);
        }
    }

    /// Returns the error of a gateway that was to be down.
    pub fn still_up(&self, limit: Duration) -> Error {
        let (program, name) = (self.live.console.program(), self.profile.text());
        self.fail(
            "stop",
            format!(
                "it is not down yet after {} seconds, and may still write over what the next boot is to know: \
                 {program} stop --wait=SECONDS {name}",
                limit.as_secs()
            ),
        )
    }

    /// Returns whether its supervisor has the order to keep it up.
    pub fn is_wanted(&self) -> Result<bool> {
        Ok(self.ask()?.is_some_and(|stat| stat.wanted))
    }

    /// Commands the gateway to be up. With `wait`, waits until it has been up for a second. `keep` keeps the request again: when a
    /// gateway that first had to come to its end is down, and when the supervisor has the order.
    pub fn bring_up(&self, wait: Option<Duration>, keep: &mut dyn FnMut()) -> Result<()> {
        let mut before = self.ask()?;
        let mut is_ending = false;
        // The end of a gateway undoes the order: its `finish` keeps it down if it ends with 0.
        if before.as_ref().is_some_and(|stat| !(stat.settled || stat.up && stat.wanted)) {
            let old = before.and_then(|stat| stat.pid);
            is_ending = !self.watch(wait.unwrap_or(TAKEN), &mut |stat| {
                stat.is_none_or(|stat| stat.settled || stat.up && stat.pid != old)
            })?;
            if !is_ending {
                keep();
            }
            before = self.ask()?;
        }
        let deaths = deaths::read(&self.slot);
        control::svc("u", &self.slot)?;
        let old = before.map(|stat| stat.since);
        if !self.watch(TAKEN, &mut |stat| {
            stat.is_some_and(|stat| stat.wanted || old.as_ref() != Some(&stat.since))
        })? {
            let reason = "its supervisor has not followed for 5 seconds: does another process read its FIFO?";
            return Err(self.fail("start", reason));
        }
        keep();
        if is_ending {
            let error = self.fail("start", "it is still going down: start it again when it is down");
            if wait.is_some() {
                return Err(error);
            }
            self.live.console.failed(&error);
        }
        wait.map_or(Ok(()), |limit| self.stay_up(limit, &deaths))
    }

    /// Waits until the gateway has been up for a second. It had died `before` it was started.
    fn stay_up(&self, limit: Duration, before: &Tally) -> Result<()> {
        let (mut last, mut begin, mut is_over) = (None, Instant::now(), false);
        let done = self.watch(limit + STEADY, &mut |stat| {
            let pid = stat.and_then(|stat| stat.pid.filter(|_| stat.wanted));
            // Another command may have brought it down, to bring it up again.
            is_over = stat.is_some_and(|stat| stat.settled && !stat.wanted);
            let now = Some((pid, is_over));
            if now != last {
                (last, begin) = (now, Instant::now());
            }
            (pid.is_some() || is_over) && begin.elapsed() >= STEADY
        })?;
        if is_over {
            return Err(self.fail("keep up", format!("it has ended, and stays down{}", self.cause(before))));
        }
        if done {
            return Ok(());
        }
        Err(self.fail("see in time", format!("it is not up yet, or not for a second{}", self.cause(before))))
    }

    /// Returns how the gateway has ended, unless that was `before`, and the last lines of its log.
    fn cause(&self, before: &Tally) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = match (before, &deaths::read(&self.slot)) {
            (Err(reason), _) | (_, Err(reason)) => write!(text, " ({}: {reason})", deaths::LABEL),
            (Ok(before), Ok(now)) if before == now => Ok(()),
            (_, Ok(now)) => now.last().map_or(Ok(()), |death| write!(text, " ({death})")),
        };
        let _ = match logs::last_lines(self.live.settings, self.profile) {
            Ok(lines) if lines.is_empty() => write!(text, "; it has printed nothing"),
            Ok(lines) => write!(text, "; the end of its log:{lines}"),
            Err(error) => write!(text, "; {error}"),
        };
        text
    }
}
