//! With which exit code a program of a service ends that has failed: one after which s6 starts it again, or one after which it stays
//! down.

use crate::output::{Console, Error, exit};
use crate::sys::Errno;

/// Exit code after a failure that may pass: s6 starts the program again, with pauses.
pub const TRY_AGAIN: u8 = exit::INCOMPLETE;

/// Returns whether a failure with this errno may pass by itself: a limit of processes, descriptors or memory is met, or the file is
/// being written.
fn may_pass(errno: Errno) -> bool {
    matches!(errno, Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::TXTBSY | Errno::INTR)
}

/// Returns the exit code after execve(2) has failed with this errno.
pub fn of_exec(errno: Errno) -> u8 {
    match errno {
        Errno::NOENT => exit::NOT_FOUND,
        errno if may_pass(errno) => TRY_AGAIN,
        _ => exit::NOT_EXECUTABLE,
    }
}

/// Returns the exit code of a program of a service that ends with this error.
fn code(error: &Error) -> u8 {
    if error.errno().is_some_and(may_pass) { TRY_AGAIN } else { error.code() }
}

/// Reports the error that ends a program of a service. Returns its exit code.
pub fn end(error: &Error, console: &Console) -> u8 {
    console.die(code(error), format_args!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::super::permanent;
    use super::*;

    const PASSING: [Errno; 6] =
        [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY, Errno::INTR];

    #[test]
    fn execve_has_a_code_for_each_errno() {
        for (errno, expected) in [
            (Errno::NOENT, 127),
            (Errno::ACCESS, 126),
            (Errno::PERM, 126),
            (Errno::NOEXEC, 126),
            (Errno::LOOP, 126),
            (Errno::NOTDIR, 126),
            (Errno::ISDIR, 126),
            (Errno::TOOBIG, 126),
            (Errno::NAMETOOLONG, 126),
            (Errno::INVAL, 126),
            (Errno::LIBBAD, 126),
            (Errno::IO, 126),
        ] {
            assert_eq!(of_exec(errno), expected, "{errno}");
            assert!(permanent(of_exec(errno).into()).is_some());
        }
        for errno in PASSING {
            assert_eq!(of_exec(errno), 1, "{errno}");
            assert!(permanent(of_exec(errno).into()).is_none());
        }
    }

    #[test]
    fn whatever_was_tried_a_failure_that_may_pass_is_tried_again() {
        for errno in PASSING {
            for earlier in [exit::SYSTEM, exit::NOT_EXECUTABLE, exit::NOT_FOUND] {
                assert_eq!(code(&Error::new("do", "it", errno).with_code(earlier)), TRY_AGAIN);
            }
        }
        for errno in [Errno::PERM, Errno::NOENT, Errno::INVAL] {
            for earlier in [exit::INCOMPLETE, exit::SYSTEM, exit::NOT_EXECUTABLE] {
                assert_eq!(code(&Error::new("do", "it", errno).with_code(earlier)), earlier);
            }
        }
        assert_eq!(code(&Error::new("do", "it", "a rule")), exit::SYSTEM);
    }
}
