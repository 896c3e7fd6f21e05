//! Waking the thread that waits on the port.

use super::port_handle::PortHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

/// Posts a message to the port, at most one at a time: more would only fill the queue.
#[derive(Debug)]
pub(super) struct PortWaker {
    port: Arc<PortHandle>,
    posted: AtomicBool,
}

impl PortWaker {
    pub(super) fn new(port: Arc<PortHandle>) -> Self {
        Self { port, posted: AtomicBool::new(false) }
    }

    /// Says that the message has been taken out of the queue. What a thread wrote before a wake that posted nothing is
    /// visible after this: both sides swap, and so meet on the flag.
    pub(super) fn message_taken(&self) {
        self.posted.swap(false, Ordering::AcqRel);
    }
}

impl Wake for PortWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.posted.swap(true, Ordering::AcqRel) && self.port.post_wake().is_err() {
            // Out of memory for the message. The next wake tries again.
            self.posted.store(false, Ordering::Release);
        }
    }
}
