//! argv in, exit code out. The C library calls `main` itself: what std does before its own `main` is done in
//! [`hermes_init::run`] as far as it is needed.

#![no_main]

use std::ffi::{c_char, c_int};

use hermes_init::sys::raw::{Heap, arguments};

#[global_allocator]
static HEAP: Heap = Heap::new();

// SAFETY: the name is the one that the C library calls, with what `arguments` wants.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    c_int::from(hermes_init::run(&unsafe { arguments(count, words) }))
}
