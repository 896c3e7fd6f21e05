//! What is allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Memory that is held, as it was asked for: what the allocator adds to each block is not counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) bytes: usize,
    pub(crate) blocks: usize,
}

impl Held {
    /// What is held beyond `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { bytes: self.bytes.saturating_sub(before.bytes), blocks: self.blocks.saturating_sub(before.blocks) }
    }
}

/// What this thread holds now.
pub(crate) fn held() -> Held {
    Held { bytes: BYTES.get(), blocks: BLOCKS.get() }
}

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
    static BLOCKS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn taken(bytes: usize) {
    BYTES.set(BYTES.get().wrapping_add(bytes));
    BLOCKS.set(BLOCKS.get().wrapping_add(1));
}

// SAFETY: passes every call on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.set(BYTES.get().wrapping_sub(layout.size()).wrapping_add(size));
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get().wrapping_sub(layout.size()));
        BLOCKS.set(BLOCKS.get().wrapping_sub(1));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
