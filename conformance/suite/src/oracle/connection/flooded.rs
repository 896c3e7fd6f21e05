//! What bugs do while bytes come all the time. A correct side does the same as ever then, so only bugs look at anything here.

use std::time::{Duration, Instant};

use super::super::Bug;
use super::Connection;
use crate::clock;

/// Without a byte for so long, it is quiet again.
const QUIET: Duration = Duration::from_millis(5);

impl Connection {
    pub(super) fn bytes_came(&mut self, now: Instant) {
        self.quiet_from = now + QUIET;
        self.table.bytes_came(self.id, now, self.quiet_from);
    }

    /// Whether this bug puts something off, because bytes come on this connection.
    pub(super) fn waits_for_quiet(&self, bug: Bug) -> bool {
        self.behaviour.has(bug) && clock::now() < self.quiet_from
    }

    /// Whether this bug puts something off, because bytes come on another connection.
    pub(super) fn waits_for_others(&self, bug: Bug) -> bool {
        self.behaviour.has(bug) && self.table.is_another_flooded(self.id, clock::now())
    }
}
