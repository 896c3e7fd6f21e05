//! Pausing (section 8.4 of the specification): this side does not read for a while.

use core::time::Duration;

use super::Connection;
use super::state::State;
use crate::time::Instant;

/// A pause of this side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    /// What each BUSY asks for.
    announced: Duration,
    /// When the next BUSY goes out.
    renewed_at: Instant,
}

impl Pause {
    pub(super) fn renewed_at(self) -> Instant {
        self.renewed_at
    }
}

impl Connection {
    /// This side stops reading, though bytes may come, because its application is slow: tells the peer, which does not judge
    /// this side meanwhile, and does not judge the peer (PW-HB-019, PW-HB-023). The driver reads nothing until
    /// [`resume`](Self::resume), but goes on writing and handling timeouts: BUSY is sent again in time.
    ///
    /// Before the handshake is complete, and while this side closes, no pause begins (PW-HB-024); while one lasts, nothing
    /// changes. Ask [`is_paused`](Self::is_paused): a pause ends by itself when this side closes or the connection is over.
    pub fn pause(&mut self, now: Instant) {
        let now = self.tick(now);
        if !self.may_pause() {
            return;
        }
        let Some(heartbeat) = &mut self.heartbeat else { return };
        heartbeat.rest();
        self.outgoing.cancel_ping();
        let announced = heartbeat.pause_to_announce(&self.config.heartbeat);
        self.rare().pauses += 1;
        self.announce_pause(now, announced);
    }

    /// This side reads again: tells the peer, and watches it as if it had just been heard of (PW-HB-023).
    pub fn resume(&mut self, now: Instant) {
        let now = self.tick(now);
        if !self.end_pause() {
            return;
        }
        self.outgoing.busy(Duration::ZERO);
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.restart(now);
        }
        self.framer.restart(now);
        self.fragments.restart(now);
    }

    /// Tells the peer that this side lives, though it reads on without coming to the end of what there is to read (PW-HB-027): an
    /// application that is slow with each of many messages, and answers none, leaves PINGs unread for long. Nothing else changes.
    ///
    /// Nothing is said before the handshake is complete, while this side closes or pauses, nor when the connection is over.
    pub fn reassure(&mut self, now: Instant) {
        self.tick(now);
        if self.may_pause() {
            self.outgoing.busy(Duration::ZERO);
        }
    }

    /// Whether it may begin to (PW-HB-024), and does not yet.
    fn may_pause(&self) -> bool {
        match &self.state {
            State::Open | State::PeerClosing { .. } => !self.is_paused(),
            State::Handshake { .. }
            | State::Judging { .. }
            | State::Closing { .. }
            | State::BothClosing { .. }
            | State::Over => false,
        }
    }

    /// Whether this side pauses.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.pausing().is_some()
    }

    /// The pause of this side that goes on.
    pub(super) fn pausing(&self) -> Option<Pause> {
        self.rare.as_ref()?.pause
    }

    /// Returns whether there was one.
    pub(super) fn end_pause(&mut self) -> bool {
        self.rare.as_mut().is_some_and(|rare| rare.pause.take().is_some())
    }

    fn announce_pause(&mut self, now: Instant, announced: Duration) {
        self.rare().pause = Some(Pause { announced, renewed_at: now + announced / 2 });
        self.outgoing.busy(announced);
    }

    pub(super) fn handle_pause_timeout(&mut self, now: Instant) {
        if let Some(Pause { announced, renewed_at }) = self.pausing()
            && now >= renewed_at
        {
            self.announce_pause(now, announced);
        }
    }
}
