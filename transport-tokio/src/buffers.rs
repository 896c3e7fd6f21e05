//! Buffers that connections share: one is held only while bytes are being handled.
//!
//! So an idle connection costs no buffer, and a busy thread reads into memory that is warm.

use std::cell::RefCell;

use bytes::BytesMut;
use pulsewire_protocol::Transmit;

/// What one read takes at most.
pub(crate) const READ: usize = 64 << 10;

/// How many of each a thread keeps. One is in use at a time, unless a handler waits while it holds a message.
const KEPT: usize = 8;

#[derive(Default)]
struct Pool {
    reads: Vec<BytesMut>,
    batches: Vec<Transmit>,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// `None` while the thread ends: its pool may be gone before its connections are.
fn with_pool<T>(action: impl FnOnce(&mut Pool) -> T) -> Option<T> {
    POOL.try_with(|pool| action(&mut pool.borrow_mut())).ok()
}

pub(crate) fn take_read() -> BytesMut {
    with_pool(|pool| pool.reads.pop()).flatten().unwrap_or_else(|| BytesMut::with_capacity(READ))
}

/// Gives a buffer back. One that grew or was split is let go.
pub(crate) fn give_read(mut buffer: BytesMut) {
    buffer.clear();
    with_pool(|pool| {
        if pool.reads.len() < KEPT && buffer.capacity() == READ {
            pool.reads.push(buffer);
        }
    });
}

pub(crate) fn take_batch() -> Transmit {
    with_pool(|pool| pool.batches.pop()).flatten().unwrap_or_default()
}

/// Gives a batch back that is written.
pub(crate) fn give_batch(batch: Transmit) {
    with_pool(|pool| {
        if pool.batches.len() < KEPT {
            pool.batches.push(batch);
        }
    });
}
