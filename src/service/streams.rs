//! The standard streams of a gateway that has a logger. s6-supervise gives it those of s6-svscan, the container's, but for stdout, which
//! is the pipe to the logger.

use std::path::Path;

use super::{Args, Effect};
use crate::output::{Context, Object, Result};
use crate::s6::servicedir::LOG;
use crate::sys::{Errno, Kind, Meta, process};

/// Joins stderr to stdout if a logger reads that, and makes stdin empty, so that nothing of the container's is the gateway's. Must be
/// called before anything is said. Where there is no logger, all stay as they are.
pub fn confine(args: &Args) -> Result<()> {
    // What is only printed is for a person.
    if args.effect == Effect::Print {
        return Ok(());
    }
    let stdout = process::stdout_kind().context("inspect", Object::Term("stdout"))?;
    // s6-supervise starts the program in the service directory.
    if is_logged(stdout, Meta::at(Path::new(&LOG)).map(|meta| meta.kind)) {
        process::join_stderr().context("join stderr to", Object::Term("stdout"))?;
        process::empty_stdin().context("open", Path::new(process::EMPTY))?;
    }
    Ok(())
}

/// Returns whether a logger reads stdout, which is of a type: s6-svscan starts one for a service with a directory `log`, and makes a pipe
/// between the two. If it is not known what `log` is, there may be one.
fn is_logged(stdout: Kind, log: std::result::Result<Kind, Errno>) -> bool {
    let may_have_logger = match log {
        Ok(kind) => kind == Kind::Directory,
        Err(errno) => errno != Errno::NOENT,
    };
    stdout == Kind::Fifo && may_have_logger
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_reads_a_pipe_of_a_service_with_a_directory_log() {
        for (stdout, log, expected) in [
            (Kind::Fifo, Ok(Kind::Directory), true),
            (Kind::Fifo, Err(Errno::ACCESS), true),
            (Kind::Fifo, Err(Errno::NOENT), false),
            (Kind::Fifo, Ok(Kind::Regular), false),
            (Kind::Other, Ok(Kind::Directory), false),
            (Kind::Regular, Ok(Kind::Directory), false),
            (Kind::Other, Err(Errno::NOENT), false),
        ] {
            assert_eq!(is_logged(stdout, log), expected, "{stdout:?} {log:?}");
        }
    }
}
