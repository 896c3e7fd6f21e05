//! Whether the message that wakes the owner thread is under way.

use crate::sync::atomic::{AtomicBool, Ordering};

/// Keeps the messages to one at a time: more would only fill the queue.
#[derive(Debug)]
pub(crate) struct WakeFlag(AtomicBool);

impl WakeFlag {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// On any thread: has the message posted, unless one is under way.
    pub(crate) fn wake<Error>(&self, post: impl FnOnce() -> Result<(), Error>) {
        if !self.0.swap(true, Ordering::AcqRel) && post().is_err() {
            // Out of memory for the message. The next wake tries again.
            self.0.store(false, Ordering::Release);
        }
    }

    /// On the owner thread: the message has been taken out of the queue. What a thread wrote before a wake that posted nothing is
    /// visible after this: both sides swap, and so meet on the flag.
    pub(crate) fn message_taken(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Whether the message is under way.
    #[cfg(test)]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
