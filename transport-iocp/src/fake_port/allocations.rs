//! Counts allocations of the thread, for tests of what the driver takes. What the fake port takes does not count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[cfg_attr(not(miri), global_allocator)]
#[cfg_attr(miri, expect(dead_code, reason = "Miri's own allocator sees more"))]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static PAUSED: Cell<bool> = const { Cell::new(false) };
}

/// Allocations of this thread so far, those that made memory larger among them.
pub(crate) fn allocations() -> u64 {
    COUNT.get()
}

/// While it lives, allocations of this thread don't count.
pub(super) struct Uncounted {
    before: bool,
}

impl Uncounted {
    pub(super) fn begin() -> Self {
        Self { before: PAUSED.replace(true) }
    }
}

impl Drop for Uncounted {
    fn drop(&mut self) {
        PAUSED.set(self.before);
    }
}

fn note() {
    // A thread that ends allocates too, when its counters are gone.
    let paused = PAUSED.try_with(Cell::get).unwrap_or(true);
    if !paused {
        let _gone = COUNT.try_with(|count| count.set(count.get() + 1));
    }
}

#[expect(unsafe_code, reason = "an allocator")]
// SAFETY: the allocator of the system, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the contract is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the contract is the same.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the contract is the same.
        unsafe { System.dealloc(memory, layout) }
    }
}
