//! What is asked of a gateway, as the next boot will find it: its desired state and, where the gateway of `default` serves the profile,
//! whether it is parked.

use super::Live;
use super::control::Verb;
use super::record::{self, DesiredState, Locked, Write};
use super::supervised::SupervisedGateway;
use crate::output::{Error, Result, exit};
use crate::s6::{DefaultState, ProfileName, slot};
use crate::sys::Dir;

/// A request for a gateway, as the next boot will find it.
pub struct Request<'a> {
    pub live: &'a Live<'a>,
    pub profile: &'a ProfileName,
    /// What was asked for.
    pub desired: DesiredState,
    /// What becomes of the profile's `gateway.parked`, if anything.
    parking: Option<Parking>,
    /// Whether the last attempt to record a desired state has succeeded.
    pub recorded: Result<()>,
    /// Whether `gateway.parked` has been made or removed.
    marked: Result<()>,
}

/// What becomes of the `gateway.parked` of a profile that the gateway of `default` serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parking {
    /// It is made.
    Park,
    /// It is removed.
    Unpark,
}

impl<'a> Request<'a> {
    /// Makes a request for a gateway.
    pub fn new(live: &'a Live<'a>, profile: &'a ProfileName, verb: Verb) -> Request<'a> {
        // What is started is to be served, too, should it be the gateway of `default` that serves it one day.
        let parking = (verb != Verb::Stop && !profile.is_root()).then_some(Parking::Unpark);
        Request { live, profile, desired: verb.desired(), parking, recorded: Ok(()), marked: Ok(()) }
    }

    /// Makes the request that the gateway of `default` does not serve a profile.
    pub fn to_park(live: &'a Live<'a>, profile: &'a ProfileName) -> Request<'a> {
        Request { parking: Some(Parking::Park), ..Request::new(live, profile, Verb::Stop) }
    }

    /// Records the request, which is no order to s6.
    pub fn record_alone(mut self) -> Result<()> {
        self.record();
        self.conclude(Ok(()))
    }

    /// Records the desired state, in the state file and in the slot, and calls `order`, which gives it to s6, as one step: no other
    /// command's request comes between. It is recorded first, so that it is not lost if this process is killed, and so that a new gateway
    /// finds it.
    pub fn carry_out<T>(
        &mut self,
        slot: &Dir,
        order: impl FnOnce(Option<&Locked<'_>>) -> Result<T>,
    ) -> Result<T> {
        // The lock of the slots comes before that of a profile, as in a pass.
        let slots = self.live.hold_slot(slot);
        let dir = record::lock(self.live, self.profile);
        self.set(&dir, self.desired, Write::Always);
        if let Some(slots) = slots {
            let want = match self.desired {
                DesiredState::Running => DefaultState::Up,
                DesiredState::Stopped => DefaultState::Down,
            };
            if let Err(error) = slot::set_default_state(&slots, slot, self.profile, want, &self.live.template)
            {
                self.live.console.failed(&error);
            }
        }
        order(dir.as_ref().ok().and_then(Option::as_ref))
    }

    /// Records the desired state of a gateway that has no slot.
    pub fn record(&mut self) {
        let dir = record::lock(self.live, self.profile);
        self.set(&dir, self.desired, Write::Always);
    }

    /// Records what the gateway's supervisor has the order for, if another desired state is recorded: the gateway may have written its own
    /// view of the state file over it while it went down. Whoever is last looks again.
    pub fn settle(&mut self, gateway: &SupervisedGateway<'_>) -> Result<()> {
        let dir = record::lock(self.live, self.profile);
        // Whoever has it served again meanwhile has given its supervisor no order.
        if self.parking == Some(Parking::Park)
            && let Ok(Some(dir)) = &dir
            && !dir.is_parked()?
        {
            return Ok(());
        }
        // One that was not stopped by a command may be down because it failed.
        match gateway.is_wanted()? {
            Some(true) => self.set(&dir, DesiredState::Running, Write::IfDifferent),
            Some(false) if self.desired == DesiredState::Stopped => {
                self.set(&dir, DesiredState::Stopped, Write::IfDifferent);
            }
            Some(false) | None => (),
        }
        Ok(())
    }

    /// Sets the desired state. That a profile is to be stopped needs no record if it is not on the volume: the next boot starts none that is
    /// not there.
    fn set(&mut self, dir: &Result<Option<Locked<'_>>>, desired: DesiredState, write: Write) {
        self.recorded = match dir {
            Err(error) => Err(error.clone()),
            Ok(Some(dir)) => {
                if let Some(parking) = self.parking.filter(|_| write == Write::Always) {
                    self.marked = dir.set_parked(parking == Parking::Park);
                }
                dir.set_desired(desired, write)
            }
            Ok(None) if desired == DesiredState::Stopped => Ok(()),
            Ok(None) => {
                let reason = "it is not on the volume, so the next boot starts nothing";
                Err(Error::new("find the profile", self.profile.text(), reason))
            }
        };
    }

    /// Returns the result of the request, given what has come of the orders to s6.
    pub fn conclude(self, done: Result<()>) -> Result<()> {
        let done = done.and_then(|()| self.marked.map_err(|error| error.with_code(exit::INCOMPLETE)));
        let Err(error) = self.recorded else { return done };
        self.live.console.failed(&error);
        done?;
        let reason = format!("the next boot may not know that it should be {}", self.desired.text());
        Err(Error::new("record the desired state of", self.profile.text(), reason)
            .with_code(exit::INCOMPLETE))
    }
}
