//! `start`, `stop` and `restart` of a profile that has no gateway of its own: that of `default` serves it, unless the profile is parked.
//! A profile whose gateway runs in the foreground has none to start either.

use std::time::{Duration, Instant};

use super::control::{self, Verb, WAIT};
use super::progress::Down;
use super::request::Request;
use super::supervised::SupervisedGateway;
use super::{Live, record, status};
use crate::boot::reconcile::decide::{Decision, DownReason};
use crate::boot::reconcile::plan::{self, FOREGROUND};
use crate::boot::reconcile::{self, Asked, Item, Plan};
use crate::output::{Error, Result, exit};
use crate::s6::{ProfileName, supervision};
use crate::settings::topology::TopologyChoice;
use crate::sys::{Dir, process, time};
use crate::topology::host::{Serving, Slotted};

/// Time between two looks at what the gateway of `default` has written.
const INTERVAL: Duration = Duration::from_millis(200);

/// What a boot would do with the profiles of a command.
pub struct Outlook(Option<Plan>);

impl Outlook {
    /// Plans a boot for these profiles, unless each profile has a gateway of its own and none can run in the foreground. For a stop of `default`
    /// it reads the whole volume: whom the next boot starts it for is said.
    pub fn new<'a>(
        live: &Live<'_>,
        verb: Verb,
        profiles: impl IntoIterator<Item = &'a ProfileName>,
    ) -> Result<Outlook> {
        let is_own = live.settings.topology.value == TopologyChoice::PerProfile;
        if is_own && live.settings.command.run_command().is_ok_and(|command| command.is_none()) {
            return Ok(Outlook(None));
        }
        let profiles: Vec<_> = profiles.into_iter().collect();
        let asked = match verb {
            Verb::Stop if profiles.iter().any(|profile| profile.is_root()) => Asked::All,
            _ => Asked::named(profiles.into_iter().map(|profile| profile.text().as_bytes())),
        };
        // What is wrong with other profiles is not the answer to this command.
        let plan = reconcile::forecast(&live.settings, &live.console.silent(), &|| false, asked);
        plan.map(|plan| Outlook(Some(plan)))
    }

    /// Returns that of a command for which it does not matter.
    pub fn none() -> Outlook {
        Outlook(None)
    }

    fn item(&self, profile: &ProfileName) -> Option<&Item> {
        self.0.as_ref()?.items.iter().find(|item| item.name == profile.text().as_bytes())
    }

    /// Returns whether a profile has no gateway of its own.
    pub fn is_of_default(&self, profile: &ProfileName) -> bool {
        self.item(profile).is_some_and(Item::is_of_default)
    }

    /// Returns whether a profile is parked.
    fn is_parked(&self, profile: &ProfileName) -> bool {
        self.item(profile).is_some_and(|item| item.decision == Decision::Down(DownReason::Parked))
    }

    /// Fails if the gateway of a profile runs in the foreground and is to be started.
    pub fn refuse_second(&self, verb: Verb, profile: &ProfileName) -> Result<()> {
        let is_foreground = |item: &Item| item.decision == Decision::Down(DownReason::Foreground);
        if verb == Verb::Stop || !self.item(profile).is_some_and(is_foreground) {
            return Ok(());
        }
        Err(Error::new(verb.name(), profile.text(), FOREGROUND).with_code(exit::INCOMPLETE))
    }

    /// Returns the profiles for which the next boot starts `default`, if it does. `parked` have been parked since.
    pub fn charges(&self, parked: &[&ProfileName]) -> Option<String> {
        let plan = self.0.as_ref().filter(|plan| !plan.is_default_in_foreground())?;
        let charges = plan.charges().filter(|name| !parked.contains(name)).map(ProfileName::text);
        Some(plan::names(charges)).filter(|names| !names.is_empty())
    }

    /// Returns whether the gateway of `default` is the container's command.
    pub fn is_default_in_foreground(&self) -> bool {
        self.0.as_ref().is_some_and(Plan::is_default_in_foreground)
    }

    /// Returns whether it is not known which gateway serves the named profiles.
    fn is_unknown(&self) -> bool {
        self.0.as_ref().is_some_and(|plan| plan.topology.is_unknown)
    }

    /// Has the next boot know that the gateway of `default` serves other profiles, where a marker that is about to be removed may be all that
    /// shows it. What cannot be written is reported.
    fn remember(&self, live: &Live<'_>) {
        if live.settings.topology.value != TopologyChoice::Auto || self.is_unknown() {
            return;
        }
        let root = ProfileName::root();
        let write = || record::lock(live, &root)?.map_or(Ok(()), |home| home.remember_multiplex());
        if let Err(error) = write() {
            live.console.failed(&error);
        }
    }
}

/// Fails if the gateway would be refused the volume or its profile's directory, with the sentence of a boot pass. What runs can be
/// stopped all the same.
pub fn require_access(live: &Live<'_>, verb: Verb, profile: &ProfileName) -> Result<()> {
    if verb == Verb::Stop || record::has_profile(&live.settings, profile) == Ok(false) {
        return Ok(());
    }
    reconcile::require_access(&live.settings, profile).map_err(|error| error.with_code(exit::INCOMPLETE))
}

/// Returns whether the gateway of `default` serves a profile now.
fn look(live: &Live<'_>, outlook: &Outlook, profile: &ProfileName) -> Result<Serving> {
    let root = ProfileName::root();
    let slotted = match live.slot(&root)? {
        Some(slot) => SupervisedGateway { live, profile: &root, slot }.slotted()?,
        None => Slotted::Down,
    };
    let host = record::host(&record::home(&live.settings)?, slotted);
    let host = if outlook.is_default_in_foreground() { host.in_foreground() } else { host };
    Ok(host.serving(profile.text().as_bytes()))
}

/// What is left of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// What the gateway of `default` makes of it.
    Answer,
}

/// Makes the request: parks or unparks a profile, records its desired state, and stops its own gateway, if it has one that is not to be.
/// `restart` is refused. `slot` is the profile's own slot, if it is supervised.
pub fn request(
    live: &Live<'_>,
    outlook: &Outlook,
    verb: Verb,
    profile: &ProfileName,
    slot: Option<Dir>,
    wait: Option<Duration>,
) -> Result<Left> {
    match verb {
        Verb::Restart => Err(refusal(live, outlook, profile)?),
        // Nobody knows whether the gateway of `default` serves it: its own may be stopped, and a marker would be a sign.
        Verb::Stop if outlook.is_unknown() => {
            Request::new(live, profile, Verb::Stop).record_alone().map(|()| Left::Nothing)
        }
        Verb::Stop => {
            let request = Request::to_park(live, profile);
            match slot {
                Some(slot) => control::bring_down(request, slot, wait)?,
                None => request.record_alone()?,
            }
            Ok(Left::Answer)
        }
        Verb::Start => {
            outlook.remember(live);
            Request::new(live, profile, Verb::Start).record_alone()?;
            let own = slot.map(|slot| SupervisedGateway { live, profile, slot });
            let is_up = own.as_ref().map(SupervisedGateway::is_up).transpose()? == Some(true);
            match own.filter(|_| is_up) {
                Some(own) => keep_one(&own, &look(live, outlook, profile)?, wait.unwrap_or(WAIT)),
                None => Ok(Left::Answer),
            }
        }
    }
}

/// Stops the profile's own gateway if that of `default` serves it, too, or is going to.
fn keep_one(own: &SupervisedGateway<'_>, serving: &Serving, limit: Duration) -> Result<Left> {
    let name = own.profile.text();
    if let Serving::Unknown(error) = serving {
        return Err(unknown(own.profile, error));
    }
    // That of `default` takes none up that has its own.
    if matches!(serving, Serving::Down | Serving::Alone(_) | Serving::Restarting) {
        let what =
            "its own gateway is up; the next boot does not start it, because that of default is to serve it";
        own.live.console.note(format_args!("{name}: {what}"));
        return Ok(Left::Nothing);
    }
    if own.bring_down(limit)? == Down::Still {
        return Err(own.still_up(limit));
    }
    own.live.console.note(format_args!("{name}: its own gateway is stopped"));
    Ok(Left::Answer)
}

/// Says what the gateway of `default` makes of a request, after having waited for it, if the command does.
pub fn answer(
    live: &Live<'_>,
    outlook: &Outlook,
    verb: Verb,
    profile: &ProfileName,
    wait: Option<&Wait>,
) -> Result<()> {
    let look = || look(live, outlook, profile);
    match verb {
        Verb::Stop => dropped(live, profile, wait, look),
        Verb::Start | Verb::Restart => taken_up(live, outlook, profile, wait, look),
    }
}

/// How long a command waits for all its profiles together.
pub struct Wait {
    limit: Duration,
    since: Instant,
}

impl Wait {
    /// Begins to wait.
    pub fn new(limit: Duration) -> Wait {
        Wait { limit, since: Instant::now() }
    }
}

/// Returns whether a profile is served, as it was seen last: with `wait`, once `is_there` is true of it, or the time is over.
fn seen(
    wait: Option<&Wait>,
    look: impl Fn() -> Result<Serving>,
    is_there: impl Fn(&Serving) -> bool,
) -> Result<Serving> {
    let Some(Wait { limit, since }) = wait else { return look() };
    let left = limit.saturating_sub(since.elapsed());
    let found =
        time::poll(left, INTERVAL, || look().map(|serving| Some(serving).filter(&is_there)).transpose());
    found.unwrap_or_else(look)
}

fn dropped(
    live: &Live<'_>,
    profile: &ProfileName,
    wait: Option<&Wait>,
    look: impl Fn() -> Result<Serving>,
) -> Result<()> {
    let name = profile.text();
    let serving = seen(wait, look, |serving| *serving != Serving::Served)?;
    match (serving, wait) {
        (Serving::Unknown(error), _) => Err(unknown(profile, &error)),
        (Serving::Served, None) => {
            live.console
                .note(format_args!("{name} is parked: the gateway of default drops it within 30 seconds"));
            Ok(())
        }
        (Serving::Served, Some(wait)) => {
            let reason = format!(
                "it is parked, and the gateway of default still serves it after {} seconds: it looks for gateway.parked every \
                 30 seconds, and releases of Hermes Agent before 0.21.5 do not know that file",
                wait.limit.as_secs()
            );
            Err(Error::new("stop", name, reason).with_code(exit::INCOMPLETE))
        }
        _ => Ok(()),
    }
}

fn taken_up(
    live: &Live<'_>,
    outlook: &Outlook,
    profile: &ProfileName,
    wait: Option<&Wait>,
    look: impl Fn() -> Result<Serving>,
) -> Result<()> {
    let name = profile.text();
    let serving = seen(wait, look, |serving| !comes_by_itself(serving))?;
    if serving == Serving::Served || (wait.is_none() && comes_by_itself(&serving)) {
        let note = if serving == Serving::Served { SERVED } else { COMES };
        live.console.note(format_args!("{name}: {note}"));
        return Ok(());
    }
    let why = why_not(live, outlook, &serving)?;
    let reason = match wait.filter(|_| comes_by_itself(&serving)) {
        Some(wait) => format!("not served after {} seconds: {why}", wait.limit.as_secs()),
        None => why,
    };
    Err(Error::new("start", name, reason).with_code(exit::INCOMPLETE))
}

/// Returns whether a start of `default` makes its slot, or has s6-svscan scan, which only root may, and this process is not root.
fn is_default_roots(live: &Live<'_>) -> Result<bool> {
    if process::is_root() || live.scandir.try_to_write().is_ok() {
        return Ok(false);
    }
    let slot = live.slot(&ProfileName::root())?;
    Ok(slot.is_none_or(|slot| supervision::is_held(&slot) == Ok(false)))
}

/// What is said of a profile that is served.
const SERVED: &str = "the gateway of default serves it";
/// What is said of one that is going to be.
const COMES: &str = "the gateway of default takes it up within 30 seconds";

/// Returns whether a profile is going to be served without anything being done.
fn comes_by_itself(serving: &Serving) -> bool {
    matches!(serving, Serving::NotYet | Serving::Silent | Serving::Foreground)
}

/// Returns the error of a restart: there is no process that would be a profile's own.
fn refusal(live: &Live<'_>, outlook: &Outlook, profile: &ProfileName) -> Result<Error> {
    let (program, name) = (live.console.program(), profile.text());
    let reason = match look(live, outlook, profile)? {
        Serving::Served => format!(
            "{SERVED}, together with others: {program} restart default restarts it for all; to have {name} alone dropped and \
             taken up again: {program} stop --wait {name}, then: {program} start --wait {name}"
        ),
        _ if outlook.is_parked(profile) => format!("it is parked: {program} start {name}"),
        serving => why_not(live, outlook, &serving)?,
    };
    Ok(Error::new("restart", name, reason).with_code(exit::INCOMPLETE))
}

/// Returns why a profile is not served, with what helps.
fn why_not(live: &Live<'_>, outlook: &Outlook, serving: &Serving) -> Result<String> {
    let (is_roots, is_foreground) = (is_default_roots(live)?, outlook.is_default_in_foreground());
    Ok(status::why_not_served(serving, &live.console.program(), is_roots, is_foreground))
}

/// Returns the error of a request of which it is not known what has come.
fn unknown(profile: &ProfileName, error: &str) -> Error {
    Error::new("determine who serves", profile.text(), error.to_owned()).with_code(exit::INCOMPLETE)
}
