//! What becomes of the transport connection when this one is over (PW-CLS-012).

use super::{Connection, Limit};
use crate::time::{Instant, MaybeInstant};

/// What the driver has to do with the transport connection. It only ever goes on to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shutdown {
    /// Nothing: bytes go both ways.
    None,
    /// End the sending direction, and read on: the peer's end, or time, is waited for.
    HalfClose,
    /// Close it. Nothing more is to be read, written or waited for.
    Close,
}

/// What is known of the transport connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ending {
    /// The peer has ended its direction.
    pub(super) peer_ended: bool,
    /// The transport connection has failed, or is given up.
    pub(super) gone: bool,
}

impl Connection {
    /// What is to become of the transport connection (PW-CLS-012). When the connection is over its last words go out; then the
    /// sending direction ends, and the driver reads on, so that a reset can't destroy what is on its way; it closes when the
    /// peer has ended its side, or after `timeouts.linger` without progress. [`poll_timeout`](Self::poll_timeout) tells until
    /// then when time matters.
    ///
    /// Ask after each call of the other methods, as for what to transmit.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        let last_words = self.outgoing.has_more() || self.outgoing.untaken() > 0;
        match self.ending {
            _ if !self.state.is_over() => Shutdown::None,
            Ending { gone: true, .. } => Shutdown::Close,
            Ending { .. } if last_words => Shutdown::None,
            Ending { peer_ended: true, .. } => Shutdown::Close,
            Ending { peer_ended: false, .. } => Shutdown::HalfClose,
        }
    }

    /// When the end is waited for no longer.
    pub(super) fn linger_deadline(&self) -> Instant {
        self.since.get().unwrap_or(self.now) + self.config.timeouts.linger
    }

    /// Time has come to `now`, and the connection is over.
    pub(super) fn handle_linger(&mut self, now: Instant) {
        let (linger, write) = (self.linger_deadline(), self.write_timeout());
        if now >= linger {
            if !self.is_late(now, linger) || self.graced.note(Limit::Linger) {
                self.ending.gone = true;
            }
            self.since = MaybeInstant::some(now);
        }
        // A late look may find both limits up: then both begin anew.
        if write.is_some_and(|deadline| now >= deadline) && !self.forgives_write(now) {
            self.ending.gone = true;
        }
    }
}
