//! In and out: time.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use super::Connection;
use super::state::State;
use crate::close::{CloseFrame, CloseReason};
use crate::heartbeat::{Action, Heartbeat};
use crate::time::{Instant, millis};
use crate::verdict::Verdict;

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) must be called; `None` when the connection is over. It changes with
    /// every call of another method, mostly to later: a driver may let an earlier timer run out and ask again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = match &self.state {
            State::Over => return None,
            State::Handshake { deadline, .. } | State::Judging { deadline, .. } => Some(*deadline),
            State::Closing { deadline, .. } | State::BothClosing { deadline, .. } => *deadline,
            State::Open | State::PeerClosing { .. } => None,
        };
        // Either this side pauses, or it judges its peer (PW-HB-023).
        let watch = match self.pause {
            Some(pause) => [Some(pause.renewed_at()), None],
            None => [self.heartbeat_deadline(), self.frame_deadline()],
        };
        watch.into_iter().chain([deadline, self.write_timeout()]).flatten().min()
    }

    /// Time has come to `now`. Calling it early is harmless. What may run out: the time of the handshake (PW-HS-012), of CLOSE
    /// (PW-CLS-007), of a write (PW-CLS-015) or of a packet (PW-FRM-015), and the peer's silence (PW-HB-012).
    ///
    /// Deliver bytes that can be read before you call it: they may be the answer that a deadline waits for.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &self.state {
            State::Over => return,
            State::Handshake { deadline, .. } | State::Judging { deadline, .. } if now >= *deadline => {
                let waited = format!("{} ms", millis(self.config.timeouts.handshake));
                return self.time_out(CloseReason::HANDSHAKE_TIMEOUT, waited);
            }
            State::Closing { deadline: Some(deadline), .. } | State::BothClosing { deadline: Some(deadline), .. }
                if now >= *deadline =>
            {
                let waited = format!("no CLOSE_ACK within {} ms", millis(self.config.timeouts.close));
                return self.time_out(CloseReason::CLOSE_TIMEOUT, waited);
            }
            State::Handshake { .. }
            | State::Judging { .. }
            | State::Closing { .. }
            | State::BothClosing { .. }
            | State::Open
            | State::PeerClosing { .. } => {}
        }
        self.handle_write_timeout(now);
        if self.state.is_over() {
            return;
        }
        if self.is_paused() {
            return self.handle_pause_timeout(now);
        }
        if self.frame_deadline().is_some_and(|deadline| now >= deadline) {
            let detail = format!("a packet was not complete {} ms after it began", millis(self.framer.age(now)));
            return self.time_out(CloseReason::FRAME_STALL, detail);
        }
        if self.only_waits() {
            return;
        }
        let Some(heartbeat) = &mut self.heartbeat else { return };
        match heartbeat.timeout(now) {
            Action::Nothing => {}
            Action::Ping => self.outgoing.ping(),
            Action::GiveUp(verdict) => self.give_up(now, verdict),
        }
    }

    fn heartbeat_deadline(&self) -> Option<Instant> {
        self.heartbeat.as_ref().filter(|_| !self.only_waits()).map(Heartbeat::deadline)
    }

    /// Whether CLOSE and CLOSE_ACK are said: behind them this side can't probe, and `timeouts.close` bounds the wait for the
    /// peer's CLOSE_ACK (PW-CLS-006).
    fn only_waits(&self) -> bool {
        matches!(self.state, State::BothClosing { .. }) && self.outgoing.said_everything()
    }

    fn time_out(&mut self, reason: CloseReason, detail: String) {
        self.fault(CloseFrame::from(reason).with_text(detail), None, None);
    }

    /// The peer is gone. What the heartbeat can't know is filled in.
    fn give_up(&mut self, now: Instant, mut verdict: Box<Verdict>) {
        verdict.last_byte_in = verdict.last_byte_in.min(now - self.last_byte_in);
        verdict.last_byte_out = self.outgoing.last_taken().map(|taken| now - taken);
        verdict.unsent = self.outgoing.untaken() + self.outgoing.queued() as u64;
        let said = CloseFrame::from(CloseReason::PEER_TIMEOUT).with_text(verdict.to_string());
        self.fault(said, None, Some(verdict));
    }

    /// When what the driver was given has waited too long (PW-CLS-015): none of it was taken for `timeouts.write_stall`, or
    /// not all of it in the time that `timeouts.assembly_rate` gives it on top. What was not fetched yet is no fault of
    /// the transport. [`poll_timeout`](Self::poll_timeout) covers it.
    #[must_use]
    pub fn write_timeout(&self) -> Option<Instant> {
        let stalled = self.outgoing.waiting_since().map(|since| since + self.config.timeouts.write_stall);
        stalled.into_iter().chain(self.write_deadlines.earliest()).min()
    }

    /// As [`handle_timeout`](Self::handle_timeout), but looks at [`write_timeout`](Self::write_timeout) alone: for a driver
    /// that waits to write, and has not delivered the bytes that can be read.
    pub fn handle_write_timeout(&mut self, now: Instant) {
        if self.write_timeout().is_some_and(|deadline| now >= deadline) {
            let waiting = self.outgoing.untaken() + self.outgoing.queued() as u64;
            let last = self.outgoing.waiting_since().map_or(0, |since| millis(now - since));
            let detail = format!("the transport is too slow: {waiting} bytes wait, and it took none for {last} ms");
            self.time_out(CloseReason::WRITE_STALL, detail);
        }
    }

    /// When the packet under way must be complete (PW-FRM-015).
    /// The first packet has the handshake's own limit.
    fn frame_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Handshake { .. } | State::Judging { .. } => None,
            State::Open
            | State::Closing { .. }
            | State::PeerClosing { .. }
            | State::BothClosing { .. }
            | State::Over => self.framer.deadline(&self.config.timeouts),
        }
    }
}
