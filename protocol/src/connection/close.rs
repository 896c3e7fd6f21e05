//! The ways a connection ends (section 9 of the specification).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Connection;
use super::state::{Both, Role, State};
use crate::close::{Closed, Disconnect, Ended, Origin};
use crate::error::ProtocolError;
use crate::event::Event;
use crate::framer::Fragments;
use crate::time::{Instant, MaybeInstant};
use crate::verdict::Verdict;
use crate::wire::{CloseFrame, ClosePayload, CloseReason, Kind};

impl Connection {
    /// Asks the peer to close: what was accepted goes out, then CLOSE; messages go on to arrive until the peer answered.
    /// `Closed` follows when it did, or after `timeouts.close`. A [`CloseReason`] will do; a [`CloseFrame`] gives advice and a
    /// sentence with it.
    ///
    /// A fault as the reason (16 to 255) closes at once, without waiting for the peer, also while the connection is closing
    /// already; what waited comes back unsent. A reason that [must not be on the wire](CloseReason::is_on_wire) is taken for
    /// `NORMAL`. Before the handshake is complete the connection just ends; a server tells the client why. While it is
    /// closing already, any other reason changes nothing.
    ///
    /// A pause of this side ends when it closes (PW-HB-024), so that the answer can be read.
    pub fn close(&mut self, now: Instant, close: impl Into<CloseFrame>) {
        self.tick(now);
        let said = close.into().on_wire_or(CloseReason::NORMAL);
        match &self.state {
            State::Handshake { .. } | State::Judging { .. } => self.fault(said, None, None),
            State::Open | State::Closing { .. } | State::PeerClosing { .. } | State::BothClosing { .. }
                if said.reason.is_fault() =>
            {
                self.fault(said, None, None);
            }
            State::Open => {
                self.reason = Some(said.reason);
                self.outgoing.close(close_payload(said.clone(), None));
                self.since = MaybeInstant::NONE;
                self.state = State::Closing { said: Box::new(said) };
            }
            State::Closing { .. } | State::PeerClosing { .. } | State::BothClosing { .. } | State::Over => {}
        }
    }

    /// Ends the connection at once, without a word to the peer. `Closed` follows, with what was not sent.
    pub fn abort(&mut self, now: Instant) {
        self.disconnected(now, Disconnect::Aborted);
    }

    /// The transport below ended. `Closed` follows, unless it was given before.
    pub fn disconnected(&mut self, now: Instant, how: Disconnect) {
        self.tick(now);
        match how {
            Disconnect::EndOfStream => self.ending.peer_ended = true,
            Disconnect::Reset | Disconnect::NetworkLost | Disconnect::Aborted => self.ending.gone = true,
        }
        if how == Disconnect::EndOfStream && self.end_behind_close() {
            return;
        }
        let origin = match how {
            Disconnect::EndOfStream | Disconnect::Reset | Disconnect::NetworkLost => Origin::Transport,
            Disconnect::Aborted => Origin::Local,
        };
        self.end(Closed { origin, ..ending(how.reason()) });
    }

    /// The stream ended with CLOSE, though CLOSE_ACK did not get through: the reason that CLOSE gave stands (PW-CLS-011),
    /// the own one where both sides sent one. Returns whether it was so.
    fn end_behind_close(&mut self) -> bool {
        if let Some(CloseFrame { reason, text, .. }) = self.state.said().filter(|_| self.since.is_some()).cloned() {
            self.end(Closed { detail: text, ..ending(reason) });
        } else if let Some(heard) = self.state.heard().cloned() {
            self.end_by_peer(heard, false);
        } else {
            return false;
        }
        true
    }

    /// The peer broke the protocol.
    pub(super) fn fail(&mut self, error: &ProtocolError) {
        self.fault(CloseFrame::from(error.close_reason()).with_text(error.to_string()), error.limit(), None);
    }

    /// Closes at once with OVERLOADED, because all connections together hold more than `limit` bytes, and this one holds most
    /// (PW-CLS-020): CLOSE overtakes what waits, and `Closed` follows, with what was not sent.
    /// [`ConnectionTable`](crate::ConnectionTable) does it itself; this is for who counts what connections hold without it.
    pub fn overload(&mut self, now: Instant, limit: usize) {
        self.tick(now);
        let text = format!("all connections together hold more than {limit} bytes");
        self.fault(CloseFrame::from(CloseReason::OVERLOADED).with_text(text), None, None);
    }

    /// Closes at once: CLOSE goes out where this side may speak, ahead of messages that wait (PW-CLS-003), and nothing is waited
    /// for (PW-CLS-009).
    pub(super) fn fault(&mut self, said: CloseFrame, limit: Option<(u64, u64)>, verdict: Option<Box<Verdict>>) {
        if self.state.is_over() {
            return;
        }
        let greeted = match self.state {
            State::Handshake { .. } | State::Judging { .. } => self.outgoing.encoding.key != 0,
            State::Open
            | State::Closing { .. }
            | State::PeerClosing { .. }
            | State::BothClosing { .. }
            | State::Over => true,
        };
        self.end(Closed { detail: said.text.clone(), verdict, ..ending(said.reason) });
        // A client that never got HELLO_ACK says nothing (PW-HS-018); a server refuses with key 0 (PW-HS-019).
        if greeted || self.role == Role::Server {
            self.outgoing.close(close_payload(said, limit));
        } else {
            self.ending.gone = true;
        }
    }

    /// A CLOSE that is no fault must not count more than was sent (PW-CLS-019).
    pub(super) fn judge_close(&mut self, close: &ClosePayload) -> Result<(), ProtocolError> {
        if close.said.reason.is_fault() { Ok(()) } else { self.outgoing.judge_count(Kind::CLOSE, close.received) }
    }

    /// CLOSE came. Gives the event where the application has to know now.
    pub(super) fn peer_asks_to_close<'b>(&mut self, close: ClosePayload) -> Result<Option<Event<'b>>, ProtocolError> {
        self.judge_close(&close)?;
        if close.said.reason.is_fault() {
            self.end_by_peer(close, false);
            return Ok(None);
        }
        self.outgoing.close_ack();
        // What the peer did not complete before it never comes (PW-DAT-013).
        self.fragments = Fragments::default();
        match core::mem::replace(&mut self.state, State::Over) {
            State::Closing { said } => {
                // The two CLOSE crossed; the answer to ours is still to come (PW-CLS-006).
                self.state = State::BothClosing { both: Box::new(Both { said: *said, heard: close }) };
                Ok(None)
            }
            State::Open => {
                self.reason = Some(close.said.reason);
                let said = Box::new(close.said.clone());
                self.state = State::PeerClosing { heard: Box::new(close) };
                Ok(Some(Event::Closing(said)))
            }
            state @ (State::Handshake { .. }
            | State::Judging { .. }
            | State::PeerClosing { .. }
            | State::BothClosing { .. }
            | State::Over) => {
                self.state = state;
                Ok(None)
            }
        }
    }

    /// CLOSE_ACK came.
    pub(super) fn finish_close(&mut self, received: u64) -> Result<(), ProtocolError> {
        self.outgoing.judge_count(Kind::CLOSE_ACK, received)?;
        if let Some(CloseFrame { reason, text, .. }) = self.state.said().cloned() {
            self.end(Closed { acknowledged: Some(received), orderly: true, detail: text, ..ending(reason) });
        }
        Ok(())
    }

    /// CLOSE_ACK of this side was taken by the transport.
    pub(super) fn finish_peer_close(&mut self) {
        if let State::PeerClosing { heard } = &self.state {
            let heard = (**heard).clone();
            self.end_by_peer(heard, true);
        }
    }

    /// The end that the peer's CLOSE asked for.
    pub(super) fn end_by_peer(&mut self, close: ClosePayload, orderly: bool) {
        let ClosePayload { said: CloseFrame { reason, retry, .. }, received, .. } = close;
        let (origin, detail) = (Origin::Peer, close.into_detail());
        self.end(Closed { origin, retry, detail, acknowledged: Some(received), orderly, ..ending(reason) });
    }

    /// The end of every connection passes here, once. What the connection itself knows is filled in.
    fn end(&mut self, mut closed: Closed) {
        if self.state.is_over() {
            return;
        }
        if let Some(heard) = self.state.heard() {
            closed.acknowledged.get_or_insert(heard.received);
        }
        if !closed.orderly {
            self.outgoing.drop_farewell();
        }
        self.outgoing.drop_control();
        self.state = State::Over;
        self.since = MaybeInstant::some(self.now);
        self.looks = 0;
        // The last words have their whole time.
        self.write_clock.restart(self.now, self.outgoing.unacknowledged(), &self.config.timeouts);
        self.reason = Some(closed.reason);
        self.end_pause();
        // Whoever keeps the connection must not keep what was under way.
        self.framer.drop_partial();
        self.fragments = Fragments::default();
        (closed.received, closed.heard) = (self.received, self.last_byte_in.is_some());
        closed.unsent = self.outgoing.take_unsent();
        self.rare().ended = Some(ended(&closed, self.heartbeat.is_some()));
        self.waiting.get_or_insert_default().closed = Some(Box::new(closed));
    }
}

/// An end by this side that was not orderly, without particulars.
fn ending(reason: CloseReason) -> Closed {
    Closed {
        reason,
        origin: Origin::Local,
        retry: reason.retry(),
        detail: String::new(),
        verdict: None,
        orderly: false,
        heard: false,
        received: 0,
        acknowledged: None,
        unsent: Vec::new(),
    }
}

fn ended(closed: &Closed, established: bool) -> Ended {
    let Closed { reason, origin, orderly, acknowledged, ref unsent, .. } = *closed;
    let unsent_bytes = unsent.iter().map(|message| message.payload.len() as u64).sum();
    Ended { reason, origin, orderly, established, acknowledged, unsent_messages: unsent.len() as u64, unsent_bytes }
}

/// `received` is filled in when it is encoded.
fn close_payload(said: CloseFrame, limit: Option<(u64, u64)>) -> ClosePayload {
    ClosePayload { said, received: 0, limit }
}
