//! When the driver looks at a connection for reasons of its own. The deadlines of the protocol are the table's.

use std::collections::BTreeSet;

use pulsewire_protocol::{ConnectionId, Instant};

use super::peer::token;
use crate::port::Token;

/// The times, the earliest first. One that has become needless costs a look at a connection.
#[derive(Debug, Default)]
pub(super) struct Alarms(BTreeSet<(Instant, Token)>);

impl Alarms {
    /// Has `id` touched at `when`.
    pub(super) fn set(&mut self, when: Instant, id: ConnectionId) {
        self.0.insert((when, token(id)));
    }

    /// What was set for `id` at `when` is not needed any more: it may lie hours ahead, and the connection is over.
    pub(super) fn cancel(&mut self, when: Instant, id: ConnectionId) {
        self.0.remove(&(when, token(id)));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.first().map(|(when, _)| *when)
    }

    /// Whose time has come, one after the other.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Token> {
        self.deadline().filter(|when| *when <= now)?;
        self.0.pop_first().map(|(_, token)| token)
    }
}
