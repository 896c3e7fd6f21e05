//! What all mailboxes of an endpoint may hold together, beside what the connections hold.

use crate::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that wait to be sent or are partly received, of all connections.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    /// In the mailboxes.
    waiting: AtomicUsize,
    /// In the connections, when the owner thread last looked.
    in_connections: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, waiting: AtomicUsize::new(0), in_connections: AtomicUsize::new(0) }
    }

    /// What all may hold together.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes room for a message in a mailbox, if there is any.
    pub(crate) fn take(&self, size: usize) -> bool {
        let room = self.limit.saturating_sub(self.in_connections.load(Ordering::Relaxed));
        let more = |waiting: usize| waiting.checked_add(size).filter(|sum| *sum <= room);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives it back.
    pub(crate) fn give(&self, size: usize) {
        self.waiting.fetch_sub(size, Ordering::Relaxed);
    }

    /// Says what the connections hold.
    pub(crate) fn note(&self, in_connections: usize) {
        self.in_connections.store(in_connections, Ordering::Relaxed);
    }

    /// Whether there is any room.
    pub(crate) fn has_room(&self) -> bool {
        self.used() < self.limit
    }

    pub(crate) fn used(&self) -> usize {
        self.waiting.load(Ordering::Relaxed).saturating_add(self.in_connections.load(Ordering::Relaxed))
    }
}
