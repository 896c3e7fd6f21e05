//! The deadlines of all connections of a table.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use super::ConnectionId;
use crate::time::Instant;

/// A heap with lazy deletion: what is no longer true is passed over when its time comes.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, ConnectionId)>>,
}

impl Deadlines {
    pub(super) fn arm(&mut self, deadline: Instant, id: ConnectionId) {
        self.heap.push(Reverse((deadline, id)));
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    pub(super) fn pop_until(&mut self, now: Instant) -> Option<(Instant, ConnectionId)> {
        if self.earliest()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
