//! `register`: makes a slot on a live container as the boot pass makes it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use super::control::Verb;
use super::served::Outlook;
use super::{INTERVAL, Live, SUPERVISION, is_fully_supervised, names, record, unregister};
use crate::output::escape::FromVolume;
use crate::output::{Console, Context, Error, Result, exit};
use crate::s6::envdir::{self, Variable};
use crate::s6::slot::{SlotState, check, publish, staging};
use crate::s6::{DefaultState, ProfileName, commands, room, scandir, servicedir, supervision};
use crate::settings::Overrides;
use crate::sys::{Dir, Name, Ownership, present, time};

/// Time after which a slot that s6-svscan has not taken gets a new inode: s6-svscan has scanned by then, unless the machine is very
/// busy.
const MISSED: Duration = Duration::from_secs(2);
/// Longest time for which a slot is absent while another process replaces it.
const REPLACEMENT: Duration = Duration::from_millis(200);

/// The arguments of `register`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Settings of the command line.
    pub overrides: Overrides,
    /// The profile's name.
    pub profile: OsString,
    /// Whether its gateway starts.
    pub default_state: DefaultState,
    /// Variables for the gateway, `KEY=VALUE` each.
    pub variables: Vec<OsString>,
}

/// Runs the command. Returns its exit code.
pub fn run(args: &Args, console: &Console) -> u8 {
    register(args, console).unwrap_or_else(|error| console.fatal(&error))
}

fn register(args: &Args, console: &Console) -> Result<u8> {
    let profile = names::profile(&args.profile, &args.overrides, console)?;
    let variables = variables(&args.variables)?;
    let ownership = Ownership::new();
    let live = Live::open(&args.overrides, &ownership, console)?;
    live.require_gateway_container(&args.overrides)?;
    if live.slot(&profile)?.is_none() && !record::has_profile(&live.settings, &profile)? {
        return Err(names::unknown_profile(&live.settings, &profile));
    }
    let outlook = Outlook::new(&live, Verb::Start, [&profile])?;
    let is_of_default = outlook.is_of_default(&profile);
    let want = if is_of_default { DefaultState::Down } else { args.default_state };
    if want == DefaultState::Up {
        outlook.refuse_second(Verb::Start, &profile)?;
    }
    if make(&live, &profile, want, &variables)? == Registration::Present {
        let reason = "it already exists: unregister it first, or start it";
        return Err(Error::new("register", profile.slot(), reason).with_code(exit::INCOMPLETE));
    }
    wait_for_supervision(&live, &profile)?;
    if is_of_default {
        live.console.note(format_args!(
            "{}: its slot stays down, because the gateway of default serves it",
            profile.text()
        ));
    }
    live.note_refusal();
    Ok(0)
}

/// What has come of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registration {
    /// The slot has been made.
    Made,
    /// There is a slot already, which stays as it is.
    Present,
}

/// Makes the slot, and makes s6-svscan scan. Without variables, the slot gets those that an earlier registration has kept.
pub(super) fn make(
    live: &Live<'_>,
    profile: &ProfileName,
    want: DefaultState,
    given: &[Variable],
) -> Result<Registration> {
    live.require_svscan()?;
    live.require_writable()?;
    let held = live.hold()?;
    if live.slot(profile)?.is_some() {
        return Ok(Registration::Present);
    }
    // An interrupted unregistration may have left supervisors of the same name, and interrupted registrations their staging.
    unregister::finish_earlier(live, profile, &held)?;
    staging::sweep_own(&held, profile);
    if let Some(lack) = room::lack(&held, live.path(), 1) {
        return Err(Error::new("create", profile.slot(), lack).with_code(exit::INCOMPLETE));
    }
    // Before the slot: a boot after an interruption has them, too.
    let kept = record::keep_variables(live, profile, given);
    let variables = match given {
        [] => Cow::Owned(record::kept_variables(live, profile)),
        given => Cow::Borrowed(given),
    };
    publish::add(&held, profile, want, &variables, &live.template)?;
    if let Err(error) = live.tell_svscan("a") {
        unregister::take_away(live, profile, &held)?;
        if !given.is_empty() {
            record::forget_variables(live, profile)?;
        }
        return Err(error.with_code(exit::INCOMPLETE));
    }
    kept.map(|()| Registration::Made)
}

/// Makes s6-svscan take a slot that nobody supervises. Returns the slot. `want` is what its supervisor is to do then.
pub(super) fn announce(live: &Live<'_>, profile: &ProfileName, want: DefaultState) -> Result<Dir> {
    live.tell_svscan("a")?;
    if live.scandir.try_to_write().is_ok()
        && matches!(await_supervision(live, profile, MISSED), Taken::NotYet)
    {
        if room::lack(&live.scandir, live.path(), 0).is_some() {
            return Err(not_supervised(live, profile, MISSED));
        }
        if let Some(slot) = live.slot(profile)? {
            ask_for_state(live, &slot, want)?;
        }
        renew(live, profile)?;
        // A supervisor that was only slow works in the old inode.
        live.tell_svscan("an")?;
    }
    wait_for_supervision(live, profile)
}

/// Gives supervisors that had no room for their state when they started an order, with which they write it.
fn ask_for_state(live: &Live<'_>, slot: &Dir, want: DefaultState) -> Result<()> {
    if supervision::is_starting(slot) {
        let order = match want {
            DefaultState::Up => "u",
            DefaultState::Down => "d",
        };
        live.tell_supervisor(order, slot)?;
    }
    if let Some(log) = present(slot.open_path(&servicedir::LOG)).context("open", &servicedir::LOG)?
        && supervision::is_starting(&log)
    {
        live.tell_supervisor("u", &log)?;
    }
    Ok(())
}

/// Publishes a slot anew that is as it should be: s6-svscan does not take up a service under an inode for which a scan has failed.
fn renew(live: &Live<'_>, profile: &ProfileName) -> Result<()> {
    let held = live.hold()?;
    let Some(old) = live.slot(profile)? else { return Ok(()) };
    let want = DefaultState::of(&old).context("inspect", profile.slot())?;
    let is_up_to_date = check::inspect(&live.scandir, profile, want, &live.template)? == SlotState::UpToDate;
    if is_up_to_date && !supervision::is_supervised(&old) {
        publish::publish(&held, profile, want, SlotState::Differs, &[], &live.template)?;
    }
    Ok(())
}

/// What has come of a slot that s6-svscan was to take.
enum Taken {
    /// Slot and logger are supervised.
    Supervised(Dir),
    /// The slot is gone.
    Gone,
    /// Neither.
    NotYet,
}

/// Waits until slot and logger are supervised, or the slot is gone, for `limit` at most.
fn await_supervision(live: &Live<'_>, profile: &ProfileName, limit: Duration) -> Taken {
    let mut absent_since = None;
    let taken = time::poll(limit, INTERVAL, || match live.slot(profile) {
        Ok(Some(slot)) => {
            absent_since = None;
            is_fully_supervised(&slot).then_some(Taken::Supervised(slot))
        }
        // Another process may be about to replace it.
        Ok(None) => {
            let since = *absent_since.get_or_insert_with(Instant::now);
            (since.elapsed() >= REPLACEMENT).then_some(Taken::Gone)
        }
        Err(_) => None,
    });
    taken.unwrap_or(Taken::NotYet)
}

/// Waits until slot and logger are supervised. Returns the slot.
pub(super) fn wait_for_supervision(live: &Live<'_>, profile: &ProfileName) -> Result<Dir> {
    match await_supervision(live, profile, SUPERVISION) {
        Taken::Supervised(slot) => Ok(slot),
        Taken::Gone => Err(unregister::done_meanwhile(profile)),
        Taken::NotYet => Err(not_supervised(live, profile, SUPERVISION)),
    }
}

/// Returns the error of a slot that s6-svscan was to take within this time.
fn not_supervised(live: &Live<'_>, profile: &ProfileName, limit: Duration) -> Error {
    let reason = if commands::has_unread(&live.scandir) {
        format!("s6-svscan {}", commands::unread(limit))
    } else {
        let seen = seen(live).map_or_else(|error| error.to_string(), |seen| hindrance(&seen));
        format!("s6-svscan has not started one within {} seconds; {seen}", limit.as_secs())
    };
    Error::new("start a supervisor for", profile.slot(), reason).with_code(exit::INCOMPLETE)
}

/// What of a scan directory can keep s6-svscan from starting a service.
struct Seen {
    /// That there is no room for supervisors, if so.
    lack: Option<String>,
    /// The name of a dangling symlink.
    dangling: Option<Name>,
    /// Number of services.
    services: usize,
    /// Number of services that s6-svscan handles, as far as the settings say.
    most: usize,
}

fn seen(live: &Live<'_>) -> Result<Seen> {
    let entries = scandir::list(&live.scandir).context("list", live.path())?;
    let services = entries.services(&live.scandir);
    let lack = room::lack(&live.scandir, live.path(), 0);
    Ok(Seen {
        lack,
        dangling: entries.dangling.into_iter().next(),
        services,
        most: live.settings.max_services,
    })
}

/// Returns what is said of that; where to look, if nothing of it is the cause.
fn hindrance(seen: &Seen) -> String {
    let Seen { lack, dangling, services, most } = seen;
    if let Some(lack) = lack {
        return lack.clone();
    }
    match dangling {
        Some(name) => {
            let name = FromVolume(name.bytes());
            format!(
                "{name} in the scan directory is a dangling symlink, on which s6-svscan 2.12 and later starts no new service"
            )
        }
        None if services > most => {
            format!(
                "the scan directory has {services} services, and s6-svscan handles {most} (--max-services)"
            )
        }
        None => "what s6-svscan says of it is in the container's log".to_owned(),
    }
}

/// Parses the variables of `--env KEY=VALUE`.
fn variables(arguments: &[OsString]) -> Result<Vec<Variable>> {
    let mut variables = Vec::new();
    for argument in arguments {
        envdir::add(&mut variables, argument.as_bytes())
            .map_err(|why| Error::usage("use the variable", argument, why))?;
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_seen_is_named() {
        let log = "what s6-svscan says of it is in the container's log";
        for (lack, dangling, services, expected) in [
            (None, None, 4, log),
            (None, None, 5, log),
            (Some("no room"), Some("x"), 6, "no room"),
            (None, None, 6, "the scan directory has 6 services, and s6-svscan handles 5 (--max-services)"),
            (
                None,
                Some("x"),
                6,
                "x in the scan directory is a dangling symlink, on which s6-svscan 2.12 and later starts no new service",
            ),
        ] {
            let lack = lack.map(str::to_owned);
            let seen = Seen { lack, dangling: dangling.and_then(Name::new), services, most: 5 };
            assert_eq!(hindrance(&seen), expected);
        }
    }
}
