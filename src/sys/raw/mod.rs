//! The one place with unsafe code: what only the C library gives (the arguments, the environment, errno's texts, fork and
//! execve) and the heap. std has all of it too; with its runtime, its locks and its buffers that is an eighth of the whole
//! executable.

#![allow(unsafe_code)]

mod exec;
mod heap;

pub use exec::{exec, run};
pub use heap::Heap;

use std::ffi::{CStr, c_char, c_int};

use super::Errno;

// Of the C library that std is linked with anyway.
unsafe extern "C" {
    static environ: *const *const c_char;
    fn time(also: *mut i64) -> i64;
    fn strerror(number: c_int) -> *const c_char;
    fn signal(number: c_int, handler: usize) -> usize;
}

const SIGPIPE: c_int = 13;
const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;

/// What main is given: the arguments. They stand in memory as long as the process.
///
/// # Safety
/// `words` are `count` pointers to NUL-terminated strings, as the C library hands them to main.
pub unsafe fn arguments(count: c_int, words: *const *const c_char) -> Vec<&'static CStr> {
    // SAFETY: the caller's promise.
    (0..usize::try_from(count).unwrap_or(0)).map(|at| unsafe { CStr::from_ptr(*words.add(at)) }).collect()
}

/// The environment, each variable as `KEY=VALUE`.
pub fn environment() -> Vec<&'static CStr> {
    let mut variables = Vec::new();
    // SAFETY: the C library set it up from the kernel's, ended by null; nothing here changes it, and there is one thread.
    unsafe {
        let mut next = environ;
        while !next.is_null() && !(*next).is_null() {
            variables.push(CStr::from_ptr(*next));
            next = next.add(1);
        }
    }
    variables
}

/// Seconds since 1970, UTC.
pub fn now() -> i64 {
    // SAFETY: a null pointer is one that is not written to.
    unsafe { time(std::ptr::null_mut()) }
}

/// The text of an errno.
pub fn error_text(errno: Errno) -> &'static str {
    // SAFETY: the C library's texts are constants; the call takes every number.
    let text = unsafe { CStr::from_ptr(strerror(errno.raw_os_error())) };
    text.to_str().unwrap_or_default()
}

/// A write to a pipe that nobody reads is an error, not the end: `hermes-init … | head` must not cost a boot.
pub fn ignore_sigpipe() {
    // SAFETY: no handler is set that could run.
    unsafe { signal(SIGPIPE, SIG_IGN) };
}
