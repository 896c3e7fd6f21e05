//! What connections share to read and to write with: one holds it only while bytes are being handled.
//!
//! So an idle connection costs no buffer, and a busy thread reads into memory that is warm.

use std::cell::RefCell;

use pulsewire_protocol::Transmit;

use crate::input::Batch;

/// How many of each a thread keeps. One is in use at a time, unless a handler waits while it holds a message.
const KEPT: usize = 8;

#[derive(Default)]
struct Pool {
    #[expect(clippy::vec_box, reason = "a connection has them in boxes")]
    received: Vec<Box<Batch>>,
    #[expect(clippy::vec_box, reason = "a connection has them in boxes")]
    to_send: Vec<Box<Transmit>>,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// `None` while the thread ends: its pool may be gone before its connections are.
fn with_pool<T>(action: impl FnOnce(&mut Pool) -> T) -> Option<T> {
    POOL.try_with(|pool| action(&mut pool.borrow_mut())).ok()
}

/// A batch to read into.
pub(crate) fn take_received() -> Box<Batch> {
    with_pool(|pool| pool.received.pop()).flatten().unwrap_or_else(|| Box::new(Batch::new()))
}

/// Gives a batch back that is handled. One whose buffer was split is let go.
pub(crate) fn give_received(mut batch: Box<Batch>) {
    batch.clear();
    with_pool(|pool| {
        if pool.received.len() < KEPT && batch.is_roomy() {
            pool.received.push(batch);
        }
    });
}

/// An empty batch to send.
pub(crate) fn take_to_send() -> Box<Transmit> {
    with_pool(|pool| pool.to_send.pop()).flatten().unwrap_or_default()
}

/// Gives a batch back that is written.
pub(crate) fn give_to_send(batch: Box<Transmit>) {
    with_pool(|pool| {
        if pool.to_send.len() < KEPT {
            pool.to_send.push(batch);
        }
    });
}
