//! The heap of a process that is over in a moment: memory is handed out from one end and, but for the newest piece, not taken
//! back; large pieces (file contents) are the kernel's, and go back to it. An allocator that keeps books is a twentieth of the
//! executable.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr::{copy_nonoverlapping, null_mut};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Pieces of this size, in bytes, and above are mapped for themselves.
const LARGE: usize = 16 << 10;
/// What is mapped at once for small pieces, in bytes.
const CHUNK: usize = 64 << 10;

/// The allocator. For programs of one thread only.
#[derive(Debug, Default)]
pub struct Heap {
    /// The address from which on the chunk is free, and its end.
    next: Cell<usize>,
    end: Cell<usize>,
}

// SAFETY: the program that has it as its allocator starts no thread.
unsafe impl Sync for Heap {}

impl Heap {
    /// An empty heap.
    pub const fn new() -> Heap {
        Heap { next: Cell::new(0), end: Cell::new(0) }
    }

    #[inline(never)]
    fn take(&self, size: usize, align: usize) -> usize {
        if size >= LARGE {
            return map(size);
        }
        let mut start = self.next.get().next_multiple_of(align);
        if start == 0 || start + size > self.end.get() {
            start = map(CHUNK);
            if start == 0 {
                return 0;
            }
            self.end.set(start + CHUNK);
        }
        self.next.set(start + size);
        start
    }

    #[inline(never)]
    fn give_back(&self, at: usize, size: usize) {
        if size >= LARGE {
            // SAFETY: it was mapped with this size, for this piece alone.
            let _ = unsafe { munmap(at as *mut _, size) };
        } else if at + size == self.next.get() {
            self.next.set(at);
        }
    }
}

/// Fresh pages, zeroed; 0 where there are none.
fn map(size: usize) -> usize {
    let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: the kernel chooses a place where nothing is.
    unsafe { mmap_anonymous(null_mut(), size, rights, flags) }.map_or(0, |at| at as usize)
}

// SAFETY: a piece is handed out once, aligned (pages are, and small ones are rounded up), and is not handed out again before it
// was given back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout.size(), layout.align()) as *mut u8
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        self.give_back(at as usize, layout.size());
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let old = layout.size();
        let start = at as usize;
        // The newest piece grows where it is.
        if old < LARGE && size < LARGE && start + old == self.next.get() && start + size <= self.end.get() {
            self.next.set(start + size);
            return at;
        }
        let new = self.take(size, layout.align()) as *mut u8;
        if !new.is_null() {
            // SAFETY: both are at least this long, and different pieces.
            unsafe { copy_nonoverlapping(at, new, old.min(size)) };
            self.give_back(start, old);
        }
        new
    }
}
