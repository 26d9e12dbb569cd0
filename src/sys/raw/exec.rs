//! fork(2) and execve(2). std's `Command` would do the same; with its environment map, its pipes and its error passing it is a
//! tenth of the whole executable.

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::{SIG_DFL, SIGPIPE, signal};

unsafe extern "C" {
    fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
    fn fork() -> c_int;
    fn dup2(old: c_int, new: c_int) -> c_int;
    fn _exit(code: c_int) -> !;
    fn __errno_location() -> *const c_int;
}

const STDOUT: c_int = 1;
/// What a child says that could not become the program, as in every shell.
const NOT_EXECUTED: c_int = 127;

fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn last_error() -> Errno {
    // SAFETY: the C library's own, of this thread.
    Errno::from_raw_os_error(unsafe { *__errno_location() })
}

/// Replaces this process; returns only where that fails.
pub fn exec(path: &CStr, argv: &[&CStr], environment: &[&CStr]) -> Errno {
    let (argv, environment) = (pointers(argv), pointers(environment));
    // SAFETY: all pointers are to NUL-terminated strings that live until the call, the arrays end with null, and there is one
    // thread. SIGPIPE is ignored here, which a program must not inherit.
    unsafe {
        signal(SIGPIPE, SIG_DFL);
        execve(path.as_ptr(), argv.as_ptr(), environment.as_ptr());
    }
    last_error()
}

/// Runs a program to its end. Returns its exit code, 128 + signal where one killed it, and, if `capture`, what it wrote to
/// stdout (which is not shown then).
pub fn run(
    path: &CStr,
    argv: &[&CStr],
    environment: &[&CStr],
    capture: bool,
) -> Result<(i32, Vec<u8>), Errno> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: there is one thread, so the child is whole; it calls nothing but dup2, signal, execve and _exit.
    let child = unsafe { fork() };
    if child < 0 {
        return Err(last_error());
    }
    if child == 0 {
        if capture {
            // SAFETY: both are descriptors of this process; stdout is nobody else's here.
            unsafe { dup2(writer.as_fd().as_raw_fd(), STDOUT) };
        }
        exec(path, argv, environment);
        // SAFETY: ends the child at once, without what the parent would do at its end.
        unsafe { _exit(NOT_EXECUTED) };
    }
    drop(writer);
    let mut output = Vec::new();
    // Where nothing is captured, this ends when the child has become its program.
    super::super::file::read_on(&reader, &mut output, usize::MAX)?;
    loop {
        match waitpid(Pid::from_raw(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                let killed = || 128 + status.terminating_signal().unwrap_or(0);
                return Ok((status.exit_status().unwrap_or_else(killed), output));
            }
            Ok(None) | Err(Errno::INTR) => (),
            Err(errno) => return Err(errno),
        }
    }
}
