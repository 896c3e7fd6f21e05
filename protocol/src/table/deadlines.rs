//! The deadlines of all connections of a table.

use alloc::collections::BTreeSet;

use super::ConnectionId;
use crate::time::Instant;

/// At most one deadline per connection, so that memory is bounded by the number of connections, however often deadlines
/// move and connections come and go.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    ordered: BTreeSet<(Instant, ConnectionId)>,
}

impl Deadlines {
    /// Notes `deadline` in place of `armed`; `Instant::MAX` is none.
    pub(super) fn rearm(&mut self, armed: Instant, deadline: Instant, id: ConnectionId) {
        self.ordered.remove(&(armed, id));
        if deadline < Instant::MAX {
            self.ordered.insert((deadline, id));
        }
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.ordered.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the earliest one out, if it has come.
    pub(super) fn pop_until(&mut self, now: Instant) -> Option<ConnectionId> {
        if self.earliest()? > now {
            return None;
        }
        self.ordered.pop_first().map(|(_, id)| id)
    }
}
