//! The ways a connection ends (section 9 of the specification).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use super::Connection;
use super::state::{PeerClose, Role, State};
use crate::close::{CloseReason, Closed, Disconnect, Origin, Retry};
use crate::error::ProtocolError;
use crate::event::Event;
use crate::time::Instant;
use crate::wire::CloseFrame;

impl Connection {
    /// Asks the peer to close: what was accepted goes out, then CLOSE; messages go on to arrive until the peer answered.
    /// `Closed` follows when it did, or after `timeouts.close`.
    ///
    /// A fault as the reason (16 to 255) closes at once, without waiting for the peer; what waited comes back unsent. A
    /// reason that must not be on the wire (0, 256 to 32,767) is taken for `NORMAL`. Before the handshake is complete the
    /// connection just ends. While it is closing already, nothing changes.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        let reason = if reason.is_on_wire() { reason } else { CloseReason::NORMAL };
        match &self.state {
            State::Handshake { .. } => self.fault(now, reason, String::new(), None),
            State::Open if reason.is_fault() => self.fault(now, reason, String::new(), None),
            State::Open => {
                self.reason = Some(reason);
                self.state = State::Closing { reason, deadline: None, peer_asked: false };
                self.outgoing.close(now, close_frame(reason, String::new(), None));
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
        let (reason, origin) = match how {
            Disconnect::EndOfStream => (CloseReason::PEER_ENDED, Origin::Transport),
            Disconnect::Reset => (CloseReason::RESET, Origin::Transport),
            Disconnect::NetworkLost => (CloseReason::NETWORK_LOST, Origin::Transport),
            Disconnect::Aborted => (CloseReason::ABORTED, Origin::Local),
        };
        self.end(reason, origin, reason.retry(), String::new(), None);
    }

    /// The peer broke the protocol.
    pub(super) fn fail(&mut self, now: Instant, error: &ProtocolError) {
        self.fault(now, error.close_reason(), error.to_string(), error.limit());
    }

    /// Closes at once: CLOSE goes out where this side may speak, and nothing is waited for (PW-CLS-009).
    pub(super) fn fault(&mut self, now: Instant, reason: CloseReason, text: String, limit: Option<(u64, u64)>) {
        if self.state.is_over() {
            return;
        }
        let greeted = !matches!(self.state, State::Handshake { .. }) || self.outgoing.key != 0;
        self.end(reason, Origin::Local, reason.retry(), text.clone(), None);
        // A client that never got HELLO_ACK says nothing (PW-HS-018); a server refuses with key 0 (PW-HS-019).
        if greeted || self.role == Role::Server {
            self.outgoing.close(now, close_frame(reason, text, limit));
        }
    }

    /// CLOSE came. Gives the event where the application has to know now.
    pub(super) fn peer_asks_to_close<'b>(&mut self, now: Instant, close: CloseFrame) -> Option<Event<'b>> {
        let CloseFrame { reason, received, retry, mut text, limit } = close;
        if let Some((limit, size)) = limit {
            text = format!("{text} (limit {limit}, size {size})");
        }
        if reason.is_fault() {
            self.end(reason, Origin::Peer, retry, text, Some(received));
            return None;
        }
        self.outgoing.close_ack(now);
        if let State::Closing { peer_asked, .. } = &mut self.state {
            // The two CLOSE crossed; the answer to ours is still to come (PW-CLS-006).
            *peer_asked = true;
            return None;
        }
        self.reason = Some(reason);
        self.state = State::PeerClosing(Box::new(PeerClose { reason, retry, text, received }));
        Some(Event::Closing(reason))
    }

    /// CLOSE_ACK came.
    pub(super) fn finish_close(&mut self, received: u64) {
        if let State::Closing { reason, .. } = self.state {
            self.end(reason, Origin::Local, reason.retry(), String::new(), Some(received));
            self.set_orderly();
        }
    }

    /// CLOSE_ACK of this side was taken by the transport.
    pub(super) fn finish_peer_close(&mut self) {
        if let State::PeerClosing(peer) = &self.state {
            let PeerClose { reason, retry, text, received } = (**peer).clone();
            self.end(reason, Origin::Peer, retry, text, Some(received));
            self.set_orderly();
        }
    }

    fn set_orderly(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.orderly = true;
        }
    }

    /// The end of every connection passes here, once.
    pub(super) fn end(
        &mut self,
        reason: CloseReason,
        origin: Origin,
        retry: Retry,
        detail: String,
        acknowledged: Option<u64>,
    ) {
        if self.state.is_over() {
            return;
        }
        self.state = State::Over;
        self.reason = Some(reason);
        self.heartbeat = None;
        let unsent = self.outgoing.take_unsent();
        let received = self.received;
        let orderly = false;
        self.closed = Some(Box::new(Closed { reason, origin, retry, detail, orderly, received, acknowledged, unsent }));
    }
}

/// `received` is filled in when it is encoded.
fn close_frame(reason: CloseReason, text: String, limit: Option<(u64, u64)>) -> CloseFrame {
    CloseFrame { reason, received: 0, retry: reason.retry(), text, limit }
}
