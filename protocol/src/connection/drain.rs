//! Draining (section 9.1 of the specification).

use super::Connection;
use super::state::State;
use crate::error::ProtocolError;
use crate::event::Event;
use crate::time::Instant;
use crate::wire::{Kind, count};

impl Connection {
    /// Tells the peer that this side is going to close: both go on to send and receive, but its application should begin
    /// nothing new here, and close when what it had begun is finished (PW-CLS-016).
    ///
    /// Before the handshake is complete, while the connection is closing, and a second time, this does nothing.
    pub fn drain(&mut self, now: Instant) {
        self.tick(now);
        match &self.state {
            State::Open => self.outgoing.drain(),
            State::Handshake { .. }
            | State::Judging { .. }
            | State::Closing { .. }
            | State::PeerClosing { .. }
            | State::BothClosing { .. }
            | State::Over => {}
        }
    }

    /// DRAIN came (PW-CLS-017).
    pub(super) fn peer_drains(&mut self, payload: &[u8]) -> Result<Option<Event<'static>>, ProtocolError> {
        let received = count(payload);
        self.outgoing.judge_count(Kind::DRAIN, received)?;
        self.peer_drained = true;
        Ok(Some(Event::Draining { received }))
    }
}
