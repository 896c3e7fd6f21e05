//! The ways a connection ends (section 9 of the specification).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Connection;
use super::state::{Role, State};
use crate::close::{CloseReason, Closed, Disconnect, Origin};
use crate::error::ProtocolError;
use crate::event::Event;
use crate::framer::Fragments;
use crate::wire::CloseFrame;

impl Connection {
    /// Asks the peer to close: what was accepted goes out, then CLOSE; messages go on to arrive until the peer answered.
    /// `Closed` follows when it did, or after `timeouts.close`.
    ///
    /// A fault as the reason (16 to 255) closes at once, without waiting for the peer; what waited comes back unsent. A
    /// reason that must not be on the wire (0, 256 to 32,767) is taken for `NORMAL`. Before the handshake is complete the
    /// connection just ends. While it is closing already, nothing changes.
    pub fn close(&mut self, reason: CloseReason) {
        let reason = if reason.is_on_wire() { reason } else { CloseReason::NORMAL };
        match &self.state {
            State::Handshake { .. } => self.fault(reason, String::new(), None),
            State::Open if reason.is_fault() => self.fault(reason, String::new(), None),
            State::Open => {
                self.reason = Some(reason);
                self.state = State::Closing { reason, deadline: None, peer_asked: false };
                self.outgoing.close(close_frame(reason, String::new(), None));
            }
            State::Closing { .. } | State::PeerClosing(_) | State::Over => {}
        }
    }

    /// Ends the connection at once, without a word to the peer. `Closed` follows, with what was not sent.
    pub fn abort(&mut self) {
        self.disconnected(Disconnect::Aborted);
    }

    /// The transport below ended. `Closed` follows, unless it was given before.
    pub fn disconnected(&mut self, how: Disconnect) {
        if how == Disconnect::EndOfStream
            && let State::PeerClosing(close) = &self.state
        {
            // The stream ended with CLOSE, though CLOSE_ACK did not get through: the peer's reason stands (PW-CLS-011).
            let close = (**close).clone();
            return self.end_by_peer(close, false);
        }
        let origin = match how {
            Disconnect::EndOfStream | Disconnect::Reset | Disconnect::NetworkLost => Origin::Transport,
            Disconnect::Aborted => Origin::Local,
        };
        self.end(Closed { origin, ..ending(how.reason()) });
    }

    /// The peer broke the protocol.
    pub(super) fn fail(&mut self, error: &ProtocolError) {
        self.fault(error.close_reason(), error.to_string(), error.limit());
    }

    /// The connections of a table hold more than they may, and this one asked for more (PW-CLS-016).
    pub(crate) fn overload(&mut self, limit: usize) {
        self.fault(CloseReason::OVERLOADED, format!("all connections together hold more than {limit} bytes"), None);
    }

    /// Closes at once: CLOSE goes out where this side may speak, and nothing is waited for (PW-CLS-009).
    pub(super) fn fault(&mut self, reason: CloseReason, text: String, limit: Option<(u64, u64)>) {
        if self.state.is_over() {
            return;
        }
        let greeted = !matches!(self.state, State::Handshake { .. }) || self.outgoing.key != 0;
        self.end(Closed { detail: text.clone(), ..ending(reason) });
        // A client that never got HELLO_ACK says nothing (PW-HS-018); a server refuses with key 0 (PW-HS-019).
        if greeted || self.role == Role::Server {
            self.outgoing.close(close_frame(reason, text, limit));
        }
    }

    /// CLOSE came. Gives the event where the application has to know now.
    pub(super) fn peer_asks_to_close<'b>(&mut self, close: CloseFrame) -> Option<Event<'b>> {
        let reason = close.reason;
        if reason.is_fault() {
            self.end_by_peer(close, false);
            return None;
        }
        self.outgoing.close_ack();
        if let State::Closing { peer_asked, .. } = &mut self.state {
            // The two CLOSE crossed; the answer to ours is still to come (PW-CLS-006).
            *peer_asked = true;
            return None;
        }
        self.reason = Some(reason);
        self.state = State::PeerClosing(Box::new(close));
        Some(Event::Closing(reason))
    }

    /// CLOSE_ACK came.
    pub(super) fn finish_close(&mut self, received: u64) {
        if let State::Closing { reason, .. } = self.state {
            self.end(Closed { acknowledged: Some(received), orderly: true, ..ending(reason) });
        }
    }

    /// CLOSE_ACK of this side was taken by the transport.
    pub(super) fn finish_peer_close(&mut self) {
        if let State::PeerClosing(close) = &self.state {
            let close = (**close).clone();
            self.end_by_peer(close, true);
        }
    }

    /// The end that the peer's CLOSE asked for.
    pub(super) fn end_by_peer(&mut self, close: CloseFrame, orderly: bool) {
        let CloseFrame { reason, retry, received, .. } = close;
        let (origin, detail) = (Origin::Peer, close.into_detail());
        self.end(Closed { origin, retry, detail, acknowledged: Some(received), orderly, ..ending(reason) });
    }

    /// The end of every connection passes here, once. What the connection itself knows is filled in.
    fn end(&mut self, mut closed: Closed) {
        if self.state.is_over() {
            return;
        }
        if let State::PeerClosing(close) = &self.state {
            closed.acknowledged = Some(close.received);
        }
        if !closed.orderly {
            self.outgoing.drop_farewell();
        }
        self.state = State::Over;
        self.reason = Some(closed.reason);
        self.heartbeat = None;
        // Whoever keeps the connection must not keep what was under way.
        self.framer.drop_partial();
        self.fragments = Fragments::default();
        closed.received = self.received;
        closed.unsent = self.outgoing.take_unsent();
        self.closed = Some(Box::new(closed));
    }
}

/// An end by this side that was not orderly, without particulars.
fn ending(reason: CloseReason) -> Closed {
    Closed {
        reason,
        origin: Origin::Local,
        retry: reason.retry(),
        detail: String::new(),
        orderly: false,
        received: 0,
        acknowledged: None,
        unsent: Vec::new(),
    }
}

/// `received` is filled in when it is encoded.
fn close_frame(reason: CloseReason, text: String, limit: Option<(u64, u64)>) -> CloseFrame {
    CloseFrame { reason, received: 0, retry: reason.retry(), text, limit }
}
