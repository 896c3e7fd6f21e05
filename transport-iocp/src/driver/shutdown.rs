//! Stopping: accept nothing more, close every connection, wait for every operation.

use std::time::Duration;

use pulsewire_policy::ShutdownReport;
use pulsewire_protocol::{CloseReason, Instant, Transmit};

use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::peer::CANCEL_PATIENCE;

/// How long an endpoint that ends waits for operations that were cancelled. Whoever shuts it down waits for a second beyond the patience
/// that they gave, and is to have the report by then.
const CUT_PATIENCE: Duration = Duration::from_millis(500);

/// How far the driver's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes new connections.
    Running,
    /// Peers finish what they had begun, and close; at the deadline every connection is closed.
    Draining { deadline: Instant, patience: Duration },
    /// Every connection is being closed; at the deadline what is left is cut.
    Stopping { deadline: Instant },
    /// Everything was cut; at the deadline what did not come back is abandoned.
    Cutting { deadline: Instant },
}

impl Phase {
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Running => None,
            Self::Draining { deadline, .. } | Self::Stopping { deadline } | Self::Cutting { deadline } => {
                Some(deadline)
            }
        }
    }
}

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    /// Begins to stop. What is left after both times is cut.
    pub(super) fn shut_down(&mut self, drain: Duration, patience: Duration) {
        match self.phase {
            Phase::Running => {}
            Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Cutting { .. } => return,
        }
        self.end_clients();
        self.ended_before = self.service.statistics.ended;
        for acceptor in &mut self.acceptors {
            acceptor.stop(&mut self.io.port, self.now + CANCEL_PATIENCE);
        }
        if drain.is_zero() {
            return self.close_all(patience);
        }
        self.phase = Phase::Draining { deadline: self.now + drain, patience };
        self.service.draining = true;
        for id in self.table.ids().collect::<Vec<_>>() {
            if let Some(mut connection) = self.table.get_mut(id) {
                connection.drain(self.now);
            }
            self.touch(id);
        }
    }

    fn close_all(&mut self, patience: Duration) {
        self.phase = Phase::Stopping { deadline: self.now + patience };
        for id in self.table.ids().collect::<Vec<_>>() {
            if let Some(mut connection) = self.table.get_mut(id) {
                // As by a sender, so that it comes behind what other threads have queued.
                connection.data().mailbox.close(CloseReason::GOING_AWAY);
            }
            self.touch(id);
        }
    }

    /// The time of a phase is over.
    pub(super) fn end_phase(&mut self) {
        match self.phase {
            Phase::Draining { patience, .. } => self.close_all(patience),
            Phase::Running | Phase::Stopping { .. } | Phase::Cutting { .. } => self.cut(),
        }
    }

    /// Cuts every connection and every farewell.
    pub(super) fn cut(&mut self) {
        match self.phase {
            Phase::Running | Phase::Draining { .. } | Phase::Stopping { .. } => {}
            Phase::Cutting { .. } => return,
        }
        self.phase = Phase::Cutting { deadline: self.now + CUT_PATIENCE };
        for acceptor in &mut self.acceptors {
            acceptor.stop(&mut self.io.port, self.now + CANCEL_PATIENCE);
        }
        for id in self.table.ids().collect::<Vec<_>>() {
            if let Some(mut connection) = self.table.get_mut(id) {
                connection.abort(self.now);
            }
            self.touch(id);
        }
        self.cut_farewells();
    }

    /// How the connections ended, when all is over.
    pub(crate) fn outcome(&self) -> Option<ShutdownReport> {
        // A good-bye that this host lacks memory for has no operation out, and is not over.
        let all_back = self.table.is_empty() && self.farewells.is_empty() && self.io.outstanding == 0;
        let over = match self.phase {
            Phase::Running => false,
            Phase::Draining { .. } | Phase::Stopping { .. } => all_back,
            Phase::Cutting { deadline } => all_back || deadline <= self.now,
        };
        over.then(|| self.report())
    }

    /// How the connections ended since it began to stop.
    pub(super) fn report(&self) -> ShutdownReport {
        self.service.statistics.ended - self.ended_before
    }
}
