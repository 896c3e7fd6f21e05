//! How much memory is in use.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Bytes that are allocated now, by whomever.
pub(crate) fn in_use() -> usize {
    ALLOCATOR.allocated()
}
