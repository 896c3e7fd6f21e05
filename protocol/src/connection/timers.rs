//! In and out: time.

use alloc::format;

use super::Connection;
use super::state::State;
use crate::close::CloseReason;
use crate::config::millis;
use crate::heartbeat::Action;
use crate::time::Instant;

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) must be called; `None` when the connection is over. It changes with
    /// every call of another method, mostly to later: a driver may let an earlier timer run out and ask again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = match &self.state {
            State::Over => return None,
            State::Handshake { deadline, .. } => Some(*deadline),
            State::Closing { deadline, .. } => *deadline,
            State::Open | State::PeerClosing(_) => None,
        };
        [
            deadline,
            self.heartbeat.as_ref().map(crate::heartbeat::Heartbeat::deadline),
            self.write_timeout(),
            self.frame_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time has come to `now`. Calling it early is harmless.
    ///
    /// Deliver bytes that can be read before you call it: they may be the answer that a deadline waits for.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &self.state {
            State::Over => return,
            State::Handshake { deadline, .. } if now >= *deadline => {
                let waited = format!("{} ms", millis(self.config.timeouts.handshake));
                return self.fault(CloseReason::HANDSHAKE_TIMEOUT, waited, None);
            }
            State::Closing { deadline: Some(deadline), .. } if now >= *deadline => {
                let waited = format!("no CLOSE_ACK within {} ms", millis(self.config.timeouts.close));
                return self.fault(CloseReason::CLOSE_TIMEOUT, waited, None);
            }
            State::Handshake { .. } | State::Closing { .. } | State::Open | State::PeerClosing(_) => {}
        }
        self.handle_write_timeout(now);
        if self.frame_deadline().is_some_and(|deadline| now >= deadline) {
            let detail = format!("a packet was not complete {} ms after it began", millis(self.framer.age(now)));
            return self.fault(CloseReason::FRAME_STALL, detail, None);
        }
        let Some(heartbeat) = &mut self.heartbeat else { return };
        match heartbeat.timeout(now) {
            Action::Nothing => {}
            Action::Ping => self.outgoing.ping(),
            Action::GiveUp(verdict) => self.fault(CloseReason::PEER_TIMEOUT, verdict, None),
        }
    }

    /// When what the driver was given has waited too long (`timeouts.write_stall`). What was not fetched yet is no fault of
    /// the transport. [`poll_timeout`](Self::poll_timeout) covers it.
    #[must_use]
    pub fn write_timeout(&self) -> Option<Instant> {
        Some(self.outgoing.waiting_since()? + self.config.timeouts.write_stall)
    }

    /// As [`handle_timeout`](Self::handle_timeout), but looks at [`write_timeout`](Self::write_timeout) alone: for a driver
    /// that waits to write, and has not delivered the bytes that can be read.
    pub fn handle_write_timeout(&mut self, now: Instant) {
        if self.write_timeout().is_some_and(|deadline| now >= deadline) {
            let detail = format!(
                "the transport took none of {} bytes for {} ms",
                self.outgoing.untaken(),
                millis(self.config.timeouts.write_stall)
            );
            self.fault(CloseReason::WRITE_STALL, detail, None);
        }
    }

    /// When the packet under way must be complete (PW-FRM-015).
    /// The first packet has the handshake's own limit.
    fn frame_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Handshake { .. } => None,
            State::Open | State::Closing { .. } | State::PeerClosing(_) | State::Over => {
                self.framer.deadline(&self.config.timeouts)
            }
        }
    }
}
