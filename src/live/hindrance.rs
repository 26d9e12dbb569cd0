//! What another process does to a service, so that it does not end or its supervisor does not obey.

use crate::output::escape::FromVolume;
use crate::s6::commands::{self, Backlog};
use crate::s6::status;
use crate::sys::Dir;
use crate::sys::tracer::{self, Tracer};

/// Returns what hinders a service or its supervisor, and what helps, if that can be seen. `what` is the service in the sentence.
pub fn of(service: &Dir, what: &str) -> Option<String> {
    let pid = status::svstat(service).ok().flatten().and_then(|stat| stat.pid());
    if let Some(tracer) = pid.and_then(tracer::of) {
        return Some(traced(&tracer, what));
    }
    flood(service)
}

/// Returns what helps if another process keeps the supervisor of a service from everything else, the end of the service included.
pub fn flood(service: &Dir) -> Option<String> {
    let is_flooded = commands::backlog_of(service) == Backlog::Changing;
    is_flooded.then(|| {
        "another process keeps writing to supervise/control, and the supervisor has no time for anything else: end that process first"
            .to_owned()
    })
}

/// A process that has ended stays a zombie for as long as it is traced, of which its parent is not told.
fn traced(Tracer { pid, name }: &Tracer, what: &str) -> String {
    let name = if name.is_empty() { String::new() } else { format!(" ({})", FromVolume(name)) };
    format!("process {pid}{name} traces {what}, and keeps it from ending: end that process first")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracer_is_named_and_cannot_forge_a_line() {
        let said = |name: &str| traced(&Tracer { pid: 7, name: name.into() }, "it");
        assert_eq!(
            said("strace"),
            "process 7 (strace) traces it, and keeps it from ending: end that process first"
        );
        assert_eq!(said(""), "process 7 traces it, and keeps it from ending: end that process first");
        assert!(said("a\n\x1b[2J").starts_with(r#"process 7 ("a\n\u001b[2J") traces it"#));
    }
}
