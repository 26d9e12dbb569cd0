//! `start`, `stop`, `restart`: the operator's request goes to s6 and, as desired state on the volume, to the next boot.

use std::ffi::OsString;
use std::time::Duration;

use super::progress::Down;
use super::record::{DesiredState, Locked};
use super::register::{self, Registration};
use super::request::Request;
use super::served::{Left, Outlook, Wait};
use super::supervised::{ENDING, Next, SupervisedGateway};
use super::{Live, lapse, names, record, refusal, served, unregister};
use crate::output::{Console, Context, Error, Result, exit};
use crate::s6::{DefaultState, ProfileName, servicedir, status, supervision};
use crate::settings::Overrides;
use crate::sys::{Dir, Ownership};

/// Time that a gateway has to be down, unless `--wait` says otherwise: it drains first, which means that it finishes the requests in
/// flight. The limits of Hermes Agent for that add up to 70 seconds.
pub const WAIT: Duration = Duration::from_secs(75);

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
    pub fn desired(self) -> DesiredState {
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
    live.require_gateway_container(&args.overrides)?;
    if verb != Verb::Stop {
        // Nothing can be started without the volume; what runs can be stopped all the same.
        record::home(&live.settings)?;
    }
    let (outlook, unknown) = match Outlook::new(&live, verb, &profiles) {
        // What runs is stopped whatever the volume is.
        Err(error) if verb == Verb::Stop => (Outlook::none(), Some(error)),
        outlook => (outlook?, None),
    };
    let mut first_failure = None;
    // The gateway of `default` comes before those whom it serves.
    let (of_default, own): (Vec<_>, Vec<_>) =
        profiles.iter().partition(|profile| outlook.is_of_default(profile));
    let mut failed = |error: Error| {
        console.failed(&error);
        first_failure.get_or_insert(error.code());
    };
    let mut unanswered = Vec::new();
    for profile in own.into_iter().chain(of_default) {
        let done = outlook
            .refuse_second(verb, profile)
            .and_then(|()| served::require_access(&live, verb, profile))
            .and_then(|()| carry_out(&live, verb, profile, &outlook, args.wait));
        match done {
            Ok(Left::Nothing) => (),
            Ok(Left::Answer) => unanswered.push(profile),
            Err(error) => failed(error),
        }
    }
    // The gateway of `default` has all requests before one of them is waited for.
    let wait = args.wait.map(Wait::new);
    for profile in &unanswered {
        if let Err(error) = served::answer(&live, &outlook, verb, profile, wait.as_ref()) {
            failed(error);
        }
    }
    if let Some(error) = unknown
        && first_failure.is_none()
    {
        // Whether one of them is served all the same is not known.
        console.failed(&error);
        first_failure = Some(error.code());
    }
    if verb == Verb::Stop && profiles.iter().any(ProfileName::is_root) {
        if outlook.is_default_in_foreground() {
            let what = "the container's command, gateway run, is this gateway, and runs on: stop the container to stop it";
            console.note(format_args!("default: {what}"));
        } else if let Some(names) = outlook.charges(&unanswered) {
            console.note(format_args!("the next boot starts default again, because it serves {names}"));
        }
    }
    live.note_refusal();
    Ok(first_failure.unwrap_or(0))
}

/// Carries out a request for one profile.
fn carry_out(
    live: &Live<'_>,
    verb: Verb,
    profile: &ProfileName,
    outlook: &Outlook,
    wait: Option<Duration>,
) -> Result<Left> {
    let (found, slot) = look(live, profile)?;
    if outlook.is_of_default(profile) {
        let own = slot.filter(|_| found == Found::Supervised);
        return served::request(live, outlook, verb, profile, own, wait);
    }
    let mut request = Request::new(live, profile, verb);
    let done = match prepare(verb, found) {
        Preparation::Ready => slot.map_or(Ok(()), |slot| order(live, verb, slot, wait, &mut request)),
        Preparation::Announce => register::announce(live, profile, DefaultState::Up)
            .and_then(|slot| order(live, verb, slot, wait, &mut request)),
        Preparation::KeepDown => {
            slot.map_or(Ok(()), |slot| stop_unsupervised(live, slot, wait, &mut request))
        }
        Preparation::Register => {
            // Another process may be faster.
            let (Registration::Made | Registration::Present) =
                register::make(live, profile, DefaultState::Down, &[])?;
            let slot = register::wait_for_supervision(live, profile)?;
            order(live, verb, slot, wait, &mut request)
        }
        Preparation::NothingRuns => {
            request.record();
            if request.recorded.is_ok() {
                live.console
                    .note(format_args!("{} has no slot: the next boot keeps it down", profile.text()));
            }
            Ok(())
        }
        Preparation::NoSlot => {
            live.require_svscan()?;
            let reason = format!("it has no slot: {} start {}", live.console.program(), profile.text());
            Err(Error::new(verb.name(), profile.text(), reason).with_code(exit::INCOMPLETE))
        }
        Preparation::NoGateway => Err(names::unknown_profile(&live.settings, profile)),
    };
    request.conclude(done).map(|()| Left::Nothing)
}

fn order(
    live: &Live<'_>,
    verb: Verb,
    slot: Dir,
    wait: Option<Duration>,
    request: &mut Request<'_>,
) -> Result<()> {
    let gateway = SupervisedGateway { live, profile: request.profile, slot };
    let done = match verb {
        Verb::Start => start(&gateway, wait, request),
        Verb::Stop => stop(&gateway, wait, request),
        Verb::Restart => restart(&gateway, wait, request),
    };
    done.map_err(|error| if gateway.is_gone() { unregister::done_meanwhile(gateway.profile) } else { error })
}

/// Carries out a request to be down for a gateway whose slot this is.
pub(super) fn bring_down(mut request: Request<'_>, slot: Dir, wait: Option<Duration>) -> Result<()> {
    let done = order(request.live, Verb::Stop, slot, wait, &mut request);
    request.conclude(done)
}

/// Brings the gateway down.
fn stop(gateway: &SupervisedGateway<'_>, wait: Option<Duration>, request: &mut Request<'_>) -> Result<()> {
    let limit = wait.unwrap_or(WAIT);
    let mut bring_down = || {
        let old = request.carry_out(&gateway.slot, |dir| gateway.order_down(dir))?;
        gateway.await_down(old, limit)
    };
    let down = match bring_down()? {
        // Whether it was just being started or the order was lost looks the same, so the order is given once more.
        Down::Started => bring_down()?,
        down => down,
    };
    if down == Down::Still {
        return Err(gateway.still_up(limit));
    }
    request.settle(gateway)
}

/// Keeps a gateway down that nobody supervises: once s6-svscan takes its slot, it would start it.
fn stop_unsupervised(
    live: &Live<'_>,
    slot: Dir,
    wait: Option<Duration>,
    request: &mut Request<'_>,
) -> Result<()> {
    let profile = request.profile;
    // Without one, it may be another scan directory that is meant.
    live.require_svscan()?;
    request.carry_out(&slot, |_| Ok(()))?;
    let taken = match supervision::is_held(&slot) {
        // s6-svscan has taken it meanwhile.
        Ok(true) if status::has_come(&slot) != Ok(false) => Ok(slot),
        _ => register::announce(live, profile, DefaultState::Down).map_err(|error| (error, slot)),
    };
    match taken {
        Ok(slot) => order(live, Verb::Stop, slot, wait, request),
        Err((error, slot)) => {
            live.require_svscan()?;
            if slot.has(&servicedir::DOWN) == Ok(true) {
                let name = profile.text();
                live.console.note(format_args!("nothing supervises {name} yet, and it stays down"));
                return Ok(());
            }
            if error.errno().is_some() {
                return Err(error);
            }
            let program = live.console.program();
            let reason = format!(
                "nothing supervises it yet, and s6-svscan starts it when it scans: stop it again then, or as root: {program} reconcile"
            );
            Err(Error::new("stop", profile.slot(), reason).with_code(exit::INCOMPLETE))
        }
    }
}

/// Brings the gateway up. With `wait`, waits until it has been up for a second.
fn start(gateway: &SupervisedGateway<'_>, wait: Option<Duration>, request: &mut Request<'_>) -> Result<()> {
    let limit = wait.unwrap_or(ENDING);
    match bring_up(gateway, limit, wait, request, SupervisedGateway::order_start)? {
        Next::Started | Next::Revoked => Ok(()),
        Next::Awaited if wait.is_none() => {
            let name = gateway.profile.text();
            gateway.live.console.note(format_args!("{name}: {}", gateway.still_ending()));
            Ok(())
        }
        Next::Awaited => Err(gateway.not_restarted("start", limit)),
    }
}

/// Brings the gateway down, and up again. With `wait`, waits until it has been up for a second.
fn restart(gateway: &SupervisedGateway<'_>, wait: Option<Duration>, request: &mut Request<'_>) -> Result<()> {
    let limit = wait.unwrap_or(WAIT);
    match bring_up(gateway, limit, wait, request, SupervisedGateway::order_restart)? {
        Next::Started | Next::Revoked => Ok(()),
        Next::Awaited => Err(gateway.not_restarted("restart", limit)),
    }
}

/// Gives an order to be up, which returns the process that has to end first, and waits for that end for `limit` at most. With `wait`, waits
/// until the gateway has been up for a second, and fails if it has not.
fn bring_up<'a>(
    gateway: &SupervisedGateway<'a>,
    limit: Duration,
    wait: Option<Duration>,
    request: &mut Request<'_>,
    order: impl FnOnce(&SupervisedGateway<'a>, Option<&Locked<'_>>) -> Result<Option<u64>>,
) -> Result<Next> {
    lapse::renew(gateway.live, gateway.profile, &gateway.slot);
    let mut before = gateway.deaths();
    let mut next = Next::Started;
    if let Some(old) = request.carry_out(&gateway.slot, |dir| order(gateway, dir))? {
        next = gateway.await_next(old, limit)?;
        if next == Next::Awaited {
            return Ok(next);
        }
        request.settle(gateway)?;
        before = gateway.deaths_to(&before);
    }
    wait.map_or(Ok(()), |limit| gateway.stay_up(limit, &before))?;
    Ok(next)
}

/// What there is of a gateway that is to be controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A slot that is supervised, or of which this user cannot see whether it is.
    Supervised,
    /// A slot that nobody supervises: a pass has made it, and s6-svscan has not scanned since, or has not taken it, or its supervisors end
    /// as soon as they start.
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
    /// The slot is told to stay down; then s6-svscan has to take it.
    KeepDown,
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
        (Found::Unsupervised, Verb::Start | Verb::Restart) => Preparation::Announce,
        (Found::Unsupervised, Verb::Stop) => Preparation::KeepDown,
        (Found::Profile, Verb::Start) => Preparation::Register,
        (Found::Profile | Found::Log, Verb::Stop) => Preparation::NothingRuns,
        (Found::Profile, Verb::Restart) => Preparation::NoSlot,
        (Found::Log, Verb::Start | Verb::Restart) | (Found::Nothing, _) => Preparation::NoGateway,
    }
}

/// Looks what there is of a gateway. Returns also its slot, if it has one.
fn look(live: &Live<'_>, profile: &ProfileName) -> Result<(Found, Option<Dir>)> {
    let slot = live.slot(profile)?;
    let found = match &slot {
        Some(slot) => match supervision::is_held(slot) {
            Ok(false) => Found::Unsupervised,
            Ok(true) => {
                let has_come = status::has_come(slot).context("check for a supervisor of", profile.slot())?;
                if has_come { Found::Supervised } else { Found::Unsupervised }
            }
            Err(errno) => refusal(errno, slot, "command", profile.slot(), live.console)
                .map_or(Ok(Found::Supervised), Err)?,
        },
        None if record::has_profile(&live.settings, profile)? => Found::Profile,
        None if names::has_log(&live.settings, profile)? => Found::Log,
        None => Found::Nothing,
    };
    Ok((found, slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_order_needs_first() {
        use Preparation::{Announce, KeepDown, NoGateway, NoSlot, NothingRuns, Ready, Register};
        let rows = [
            (Found::Supervised, [Ready, Ready, Ready]),
            (Found::Unsupervised, [Announce, KeepDown, Announce]),
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
