//! In and out: time.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::state::State;
use super::{Connection, Limit, Shutdown};
use crate::heartbeat::Action;
use crate::time::{Instant, MaybeInstant, millis, transfer};
use crate::verdict::Verdict;
use crate::wire::{CloseFrame, CloseReason};

/// How often it is asked what was acknowledged while a limit waits for that.
const LOOKS_IN_LIMIT: u32 = 8;

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) must be called; `None` when nothing is waited for any more: then
    /// [`shutdown`](Self::shutdown) says to close. It changes with every call of another method, mostly to later: a driver may
    /// let an earlier timer run out and ask again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.next_deadline()?;
        Some(self.progress_look().map_or(deadline, |look| look.min(deadline)))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let write = self.write_timeout();
        let deadline = match &self.state {
            State::Over => {
                let waits = self.shutdown() != Shutdown::Close;
                return waits.then(|| write.map_or(self.linger_deadline(), |write| write.min(self.linger_deadline())));
            }
            State::Handshake { .. }
            | State::Judging { .. }
            | State::Open
            | State::Closing { .. }
            | State::PeerClosing { .. }
            | State::BothClosing { .. } => self.state_deadline(),
        };
        // Either this side pauses, or it judges its peer (PW-HB-023).
        let watch = match self.pausing() {
            Some(pause) => [Some(pause.renewed_at()), None, None],
            None => [self.heartbeat_deadline(), self.frame_deadline(), self.fragments.deadline()],
        };
        watch.into_iter().chain([deadline, write]).flatten().min()
    }

    /// When to ask the transport next what was acknowledged, where it tells: some times in each limit that begins anew with that.
    /// Asked only at the end of the limit, it would tell of old progress then, and the limit would be twice as long.
    fn progress_look(&self) -> Option<Instant> {
        let (since, step) = self.progress_steps()?;
        // A limit that rests for so long that the count ends is asked about at its end.
        let looks = self.looks.checked_add(1)?;
        Some(since + step * u32::from(looks))
    }

    /// Since when progress is waited for, and after how long each to ask for it.
    fn progress_steps(&self) -> Option<(Instant, Duration)> {
        if !self.outgoing.is_told() || self.outgoing.unacknowledged() == 0 {
            return None;
        }
        let timeouts = &self.config.timeouts;
        let (since, limit) = match &self.state {
            State::Over => (self.since.get()?, timeouts.linger),
            State::Closing { .. } | State::BothClosing { .. } => (self.since.get()?, timeouts.close),
            State::Handshake { .. } | State::Judging { .. } | State::Open | State::PeerClosing { .. } => {
                (self.write_clock.since()?, timeouts.write_stall)
            }
        };
        Some((since, (limit / LOOKS_IN_LIMIT).max(Duration::from_millis(1))))
    }

    /// The transport has told by now what was acknowledged.
    fn note_look(&mut self, now: Instant) {
        let looks = self.progress_steps().map_or(0, |(since, step)| (now - since).as_nanos() / step.as_nanos());
        self.looks = u8::try_from(looks).unwrap_or(u8::MAX);
    }

    /// Time has come to `now`. Calling it early is harmless. What may run out: the time of the handshake (PW-HS-012), of CLOSE
    /// (PW-CLS-007), of a write (PW-CLS-015), of a packet (PW-FRM-015), of an open message (PW-DAT-013), of the end
    /// (PW-CLS-012), and the peer's silence (PW-HB-012). A limit that this side notices late begins anew, once (PW-TIM-001).
    ///
    /// Deliver bytes that can be read, and try to write, before you call it (PW-TCP-001): they may be the answer that a deadline
    /// waits for, and the peer may have made room.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.tick(now);
        self.note_look(now);
        if self.state.is_over() {
            return self.handle_linger(now);
        }
        if self.handle_state_timeout(now) {
            return;
        }
        self.handle_write_timeout(now);
        if self.state.is_over() {
            return;
        }
        if self.is_paused() {
            return self.handle_pause_timeout(now);
        }
        if self.handle_receive_timeout(now) || self.only_waits() {
            return;
        }
        let slow = transfer(self.outgoing.unacknowledged(), self.config.timeouts.assembly_rate);
        let Some(heartbeat) = &mut self.heartbeat else { return };
        match heartbeat.timeout(now, slow, &self.config.heartbeat) {
            Action::Nothing => {}
            Action::Ping => self.outgoing.ping(),
            Action::GiveUp(verdict) => self.give_up(now, verdict),
        }
    }

    /// The limits of the handshake and of CLOSE. Returns whether one of them ended the connection.
    fn handle_state_timeout(&mut self, now: Instant) -> bool {
        let Some(deadline) = self.state_deadline().filter(|deadline| now >= *deadline) else { return false };
        let shaking = self.state.is_handshaking();
        let late = self.is_late(now, deadline);
        if late && !self.graced.note(if shaking { Limit::Handshake } else { Limit::Close }) {
            self.since = MaybeInstant::some(now);
            return false;
        }
        if shaking {
            let waited = format!("{} ms", millis(self.config.timeouts.handshake));
            self.time_out(CloseReason::HANDSHAKE_TIMEOUT, waited);
        } else {
            let waited = format!("no CLOSE_ACK within {} ms", millis(self.config.timeouts.close));
            self.time_out(CloseReason::CLOSE_TIMEOUT, waited);
        }
        true
    }

    /// When the handshake must be complete (PW-HS-012), or CLOSE_ACK must have come (PW-CLS-007).
    fn state_deadline(&self) -> Option<Instant> {
        let time = match &self.state {
            State::Handshake { .. } | State::Judging { .. } => self.config.timeouts.handshake,
            State::Closing { .. } | State::BothClosing { .. } => self.config.timeouts.close,
            State::Open | State::PeerClosing { .. } | State::Over => return None,
        };
        Some(self.since.get()? + time)
    }

    /// Whether a deadline was noticed so late that it is this side's fault (PW-TIM-001).
    pub(super) fn is_late(&self, now: Instant, deadline: Instant) -> bool {
        let interval = self
            .heartbeat
            .as_ref()
            .map_or(self.config.heartbeat.interval, |heartbeat| heartbeat.interval(&self.config.heartbeat));
        now - deadline > interval
    }

    /// The limits of the packet under way and of the open message. Returns whether one of them ended the connection.
    fn handle_receive_timeout(&mut self, now: Instant) -> bool {
        if let Some(deadline) = self.frame_deadline().filter(|deadline| now >= *deadline)
            && !(self.is_late(now, deadline) && self.framer.begin_anew(now))
        {
            let detail = format!("a packet was not complete {} ms after it began", millis(self.framer.age(now)));
            self.time_out(CloseReason::FRAME_STALL, detail);
            return true;
        }
        if let Some(deadline) = self.fragments.deadline().filter(|deadline| now >= *deadline)
            && !(self.is_late(now, deadline) && self.fragments.begin_anew(now))
        {
            let (age, came) = self.fragments.open_since().map_or((0, 0), |(since, came)| (millis(now - since), came));
            let detail = format!("{came} bytes of a message came in {age} ms, and it is not complete");
            self.time_out(CloseReason::MESSAGE_STALL, detail);
            return true;
        }
        false
    }

    fn heartbeat_deadline(&self) -> Option<Instant> {
        let heartbeat = self.heartbeat.as_ref().filter(|_| !self.only_waits())?;
        Some(heartbeat.deadline(&self.config.heartbeat))
    }

    /// Whether CLOSE_ACK is said: behind it this side can't probe (PW-CLS-001). `timeouts.write_stall` bounds how long it may take to
    /// go away, and `timeouts.close` the wait for the peer's, where this side closes too.
    fn only_waits(&self) -> bool {
        self.outgoing.said_everything()
    }

    fn time_out(&mut self, reason: CloseReason, detail: String) {
        self.fault(CloseFrame::from(reason).with_text(detail), None, None);
    }

    /// The peer is gone. What the heartbeat can't know is filled in.
    fn give_up(&mut self, now: Instant, mut verdict: Box<Verdict>) {
        verdict.last_byte_in =
            self.last_byte_in.get().map_or(verdict.last_byte_in, |last| verdict.last_byte_in.min(now - last));
        verdict.last_byte_out = self.outgoing.last_taken().map(|taken| now - taken);
        verdict.unsent = self.outgoing.unacknowledged() + self.outgoing.queued() as u64;
        let said = CloseFrame::from(CloseReason::PEER_TIMEOUT).with_text(verdict.to_string());
        self.fault(said, None, Some(verdict));
    }

    /// When what was handed out has waited too long (PW-CLS-015): none of it was acknowledged for `timeouts.write_stall`, or not
    /// all of it in the time that `timeouts.assembly_rate` gives it on top. What was not fetched yet is no fault of the
    /// transport. [`poll_timeout`](Self::poll_timeout) covers it.
    #[must_use]
    pub fn write_timeout(&self) -> Option<Instant> {
        self.write_clock.deadline(&self.config.timeouts)
    }

    /// As [`handle_timeout`](Self::handle_timeout), but looks at [`write_timeout`](Self::write_timeout) alone: for a driver
    /// that waits to write, and has not delivered the bytes that can be read.
    pub fn handle_write_timeout(&mut self, now: Instant) {
        let now = self.tick(now);
        if self.state.is_over()
            || self.write_timeout().is_none_or(|deadline| now < deadline)
            || self.forgives_write(now)
        {
            return;
        }
        let waiting = self.outgoing.unacknowledged() + self.outgoing.queued() as u64;
        let last = self.write_clock.since().map_or(0, |since| millis(now - since));
        let detail = format!("the peer takes bytes too slowly: {waiting} wait, and none went for {last} ms");
        self.time_out(CloseReason::WRITE_STALL, detail);
    }

    /// Whether this side noticed late that a write is, and lets that begin anew.
    pub(super) fn forgives_write(&mut self, now: Instant) -> bool {
        let late = self.write_timeout().is_some_and(|deadline| self.is_late(now, deadline));
        late && self.write_clock.begin_anew(now, self.outgoing.unacknowledged(), &self.config)
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
