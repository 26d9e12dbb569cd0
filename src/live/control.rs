//! `start`, `stop`, `restart`: the operator's request goes to s6 and, as desired state on the volume, to the next boot.

use std::ffi::OsString;
use std::time::Duration;

use super::progress::Down;
use super::record::{DesiredState, Write};
use super::register::{self, Registration};
use super::supervised::{DRAINING, ENDING, Ending, SupervisedGateway};
use super::{Live, names, record, refusal, served};
use crate::output::{Console, Error, Result, exit};
use crate::s6::{DefaultState, ProfileName, supervision};
use crate::settings::Overrides;
use crate::sys::{Dir, Ownership};

/// The arguments of `start`, `stop` and `restart`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// The command.
    pub verb: Verb,
    /// The profiles' names.
    pub profiles: Vec<OsString>,
    /// How long to wait for the state that is asked for; `None` for the default.
    pub wait: Option<Duration>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Orders a gateway to be up.
    Start,
    /// Orders a gateway to be down.
    Stop,
    /// Orders a gateway to be down, and then to be up.
    Restart,
}

impl Verb {
    /// Returns the command's name.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
        }
    }

    /// Returns the state that is wanted at the next boot.
    fn desired(self) -> DesiredState {
        match self {
            Verb::Start | Verb::Restart => DesiredState::Running,
            Verb::Stop => DesiredState::Stopped,
        }
    }
}

/// Runs one of the three commands for every name. Returns the exit code of the first that failed, else 0.
pub fn run(args: &Args, console: &Console) -> u8 {
    control(args, console).unwrap_or_else(|error| console.fatal(&error))
}

fn control(args: &Args, console: &Console) -> Result<u8> {
    let (verb, profiles) = (args.verb, names::profiles(&args.profiles, &args.overrides, console)?);
    let ownership = Ownership::new();
    let live = Live::open(&args.overrides, &ownership, console)?;
    if verb != Verb::Stop {
        live.require_gateway_container(&args.overrides)?;
        // Nothing can be started without the volume; what runs can be stopped all the same.
        record::home(&live.settings)?;
    }
    let forecasts = served::forecasts(&live, verb, &profiles)?;
    let mut first_failure = None;
    for profile in &profiles {
        let done = served::refuse(&live, verb, profile, &forecasts)
            .and_then(|()| carry_out(&live, verb, profile, args.wait));
        if let Err(error) = done {
            console.failed(&error);
            first_failure.get_or_insert(error.code());
        }
    }
    live.note_refusal();
    Ok(first_failure.unwrap_or(0))
}

/// Carries out a request for one profile: its desired state is recorded first, so that it is not lost if this process is killed, and
/// so that a new gateway finds it. A gateway that goes down may write its own view of the state file over it, so it is recorded again
/// when that gateway is gone.
fn carry_out(live: &Live<'_>, verb: Verb, profile: &ProfileName, wait: Option<Duration>) -> Result<()> {
    let found = find(live, verb, profile)?;
    let mut request = Request::record(live, profile, verb.desired());
    let Some(slot) = found else {
        request.conclude(Ok(()))?;
        live.console.note(format_args!("{} has no slot: the next boot keeps it down", profile.text()));
        return Ok(());
    };
    let gateway = SupervisedGateway { live, profile, slot };
    let done = match verb {
        Verb::Start => start(&gateway, wait, &mut request),
        Verb::Stop => stop(&gateway, wait, &mut request),
        Verb::Restart => restart(&gateway, wait, &mut request),
    };
    request.conclude(done)
}

/// A request for a gateway, as the next boot will find it.
struct Request<'a> {
    live: &'a Live<'a>,
    profile: &'a ProfileName,
    /// What was asked for.
    desired: DesiredState,
    /// Whether the last attempt to record a desired state has succeeded.
    recorded: Result<()>,
}

impl<'a> Request<'a> {
    /// Records a desired state for the first time.
    fn record(live: &'a Live<'a>, profile: &'a ProfileName, desired: DesiredState) -> Request<'a> {
        let recorded = record::set_desired(live, profile, desired, Write::Always);
        Request { live, profile, desired, recorded }
    }

    /// Records a desired state again, if another one is recorded.
    fn record_again(&mut self, desired: DesiredState) {
        self.recorded = record::set_desired(self.live, self.profile, desired, Write::IfDifferent);
    }

    /// Returns the result of the request, given what has come of the orders to s6.
    fn conclude(self, done: Result<()>) -> Result<()> {
        let Err(error) = self.recorded else { return done };
        self.live.console.failed(&error);
        done?;
        let reason = format!("the next boot may not know that it should be {}", self.desired.text());
        Err(Error::new("record the desired state of", self.profile.text(), reason)
            .with_code(exit::INCOMPLETE))
    }
}

/// Brings the gateway down.
fn stop(gateway: &SupervisedGateway<'_>, wait: Option<Duration>, request: &mut Request<'_>) -> Result<()> {
    let limit = wait.unwrap_or(DRAINING);
    match gateway.bring_down(limit)? {
        Down::Ended => request.record_again(DesiredState::Stopped),
        Down::Newer | Down::Started => (),
        Down::Still => return Err(gateway.still_up(limit)),
    }
    if gateway.is_wanted()? {
        // Another command has started it meanwhile, and may have recorded its request before this one did.
        request.record_again(DesiredState::Running);
    }
    Ok(())
}

/// Brings the gateway down, and up again. `s6-svc -r` would leave it down: it ends with 0, after which its `finish` returns 125.
fn restart(gateway: &SupervisedGateway<'_>, wait: Option<Duration>, request: &mut Request<'_>) -> Result<()> {
    let limit = wait.unwrap_or(DRAINING);
    match gateway.bring_down(limit)? {
        Down::Ended => request.record_again(DesiredState::Running),
        Down::Newer | Down::Started => (),
        Down::Still => {
            // A gateway that does not stop is left up, and comes up again if it is killed.
            gateway.live.tell_supervisor("u", &gateway.slot)?;
            return Err(gateway.still_up(limit));
        }
    }
    start(gateway, wait, request)
}

/// Brings the gateway up. With `wait`, waits until it has been up for a second.
fn start(gateway: &SupervisedGateway<'_>, wait: Option<Duration>, request: &mut Request<'_>) -> Result<()> {
    let ending = gateway.await_end(wait.unwrap_or(ENDING))?;
    if ending == Ending::Over {
        request.record_again(DesiredState::Running);
    }
    if ending == Ending::Absent && gateway.is_pausing() {
        gateway.end_pause()?;
    }
    let deaths = gateway.order_up()?;
    request.record_again(DesiredState::Running);
    match (ending, wait) {
        (Ending::Continues, Some(_)) => Err(gateway.still_ending()),
        (Ending::Continues, None) => {
            gateway.live.console.failed(&gateway.still_ending());
            Ok(())
        }
        (Ending::Absent | Ending::Over, Some(limit)) => gateway.stay_up(limit, &deaths),
        (Ending::Absent | Ending::Over, None) => Ok(()),
    }
}

/// What there is of a gateway that is to be controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A slot that is supervised, or of which this user cannot see whether it is.
    Supervised,
    /// A slot that nobody supervises: a pass has made it, and s6-svscan has not scanned since, or has not taken it.
    Unsupervised,
    /// A profile without a slot, for example one that was made from the host.
    Profile,
    /// A log, of which profile and slot are gone.
    Log,
    /// Nothing.
    Nothing,
}

/// What has to be done before a gateway can be ordered up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preparation {
    /// Nothing.
    Ready,
    /// s6-svscan has to take the slot.
    Announce,
    /// The slot has to be made.
    Register,
    /// There is nothing to order: without a slot, nothing runs.
    NothingRuns,
    /// The request is refused: the profile has no slot.
    NoSlot,
    /// The request is refused: there is no such gateway.
    NoGateway,
}

/// Decides what has to be done before an order.
fn prepare(verb: Verb, found: Found) -> Preparation {
    match (found, verb) {
        (Found::Supervised, _) => Preparation::Ready,
        (Found::Unsupervised, _) => Preparation::Announce,
        (Found::Profile, Verb::Start) => Preparation::Register,
        (Found::Profile | Found::Log, Verb::Stop) => Preparation::NothingRuns,
        (Found::Profile, Verb::Restart) => Preparation::NoSlot,
        (Found::Log, Verb::Start | Verb::Restart) | (Found::Nothing, _) => Preparation::NoGateway,
    }
}

/// Opens the profile's slot, and has it supervised. `None`: it has no slot, and needs none.
fn find(live: &Live<'_>, verb: Verb, profile: &ProfileName) -> Result<Option<Dir>> {
    let slot = live.slot(profile)?;
    let found = match &slot {
        Some(slot) => match supervision::is_held(slot) {
            Ok(false) => Found::Unsupervised,
            Ok(true) => Found::Supervised,
            Err(errno) => refusal(errno, slot, "command", profile.slot(), live.console)
                .map_or(Ok(Found::Supervised), Err)?,
        },
        None if record::has_profile(&live.settings, profile)? => Found::Profile,
        None if names::has_log(&live.settings, profile)? => Found::Log,
        None => Found::Nothing,
    };
    match prepare(verb, found) {
        Preparation::Ready | Preparation::NothingRuns => Ok(slot),
        Preparation::Announce => register::announce(live, profile).map(Some),
        Preparation::Register => {
            // Another process may be faster.
            let (Registration::Made | Registration::Present) =
                register::make(live, profile, DefaultState::Down, &[])?;
            register::wait_for_supervision(live, profile).map(Some)
        }
        Preparation::NoSlot => {
            live.require_svscan()?;
            let reason = format!("it has no slot: {} start {}", live.console.program(), profile.text());
            Err(Error::new(verb.name(), profile.text(), reason).with_code(exit::INCOMPLETE))
        }
        Preparation::NoGateway => Err(names::unknown_profile(&live.settings, profile)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_order_needs_first() {
        use Preparation::{Announce, NoGateway, NoSlot, NothingRuns, Ready, Register};
        let rows = [
            (Found::Supervised, [Ready, Ready, Ready]),
            (Found::Unsupervised, [Announce, Announce, Announce]),
            (Found::Profile, [Register, NothingRuns, NoSlot]),
            (Found::Log, [NoGateway, NothingRuns, NoGateway]),
            (Found::Nothing, [NoGateway, NoGateway, NoGateway]),
        ];
        for (found, wanted) in rows {
            let prepared = [Verb::Start, Verb::Stop, Verb::Restart].map(|verb| prepare(verb, found));
            assert_eq!(prepared, wanted, "{found:?}");
        }
    }
}
