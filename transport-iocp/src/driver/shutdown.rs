//! Stopping: accept nothing more, close every connection, wait for every operation.

use std::time::Duration;

use pulsewire_protocol::{CloseReason, Instant, Transmit};

use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;

/// How long operations that were cancelled get to come back.
const CUT_PATIENCE: Duration = Duration::from_secs(2);

/// How far the driver's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes new connections.
    Running,
    /// Every connection is being closed; at the deadline what is left is cut.
    Stopping { deadline: Instant },
    /// Everything was cut; at the deadline what did not come back is abandoned.
    Cutting { deadline: Instant },
}

impl Phase {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Running => None,
            Self::Stopping { deadline } | Self::Cutting { deadline } => Some(deadline),
        }
    }
}

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    /// Begins to stop. What is left after `patience` is cut.
    pub(super) fn shut_down(&mut self, patience: Duration) {
        match self.phase {
            Phase::Running => {}
            Phase::Stopping { .. } | Phase::Cutting { .. } => return,
        }
        self.phase = Phase::Stopping { deadline: self.now + patience };
        for acceptor in &mut self.acceptors {
            acceptor.stop();
        }
        for id in self.table.ids().collect::<Vec<_>>() {
            if let Some(mut connection) = self.table.get_mut(id) {
                // As by a sender, so that it comes behind what other threads have queued.
                connection.data().mailbox.close(CloseReason::GOING_AWAY);
            }
            self.touch(id);
        }
    }

    /// Cuts every connection and every farewell.
    pub(super) fn cut(&mut self) {
        match self.phase {
            Phase::Running | Phase::Stopping { .. } => {}
            Phase::Cutting { .. } => return,
        }
        self.phase = Phase::Cutting { deadline: self.now + CUT_PATIENCE };
        for acceptor in &mut self.acceptors {
            acceptor.stop();
        }
        for id in self.table.ids().collect::<Vec<_>>() {
            if let Some(mut connection) = self.table.get_mut(id) {
                connection.abort(self.now);
            }
            self.touch(id);
        }
        self.cut_farewells();
    }

    /// Whether it is over, and if so whether it ended in order.
    pub(crate) fn outcome(&self) -> Option<bool> {
        let all_back = self.table.is_empty() && self.io.outstanding == 0;
        match self.phase {
            Phase::Running => None,
            Phase::Stopping { .. } => all_back.then_some(true),
            Phase::Cutting { deadline } => (all_back || deadline <= self.now).then_some(false),
        }
    }
}
