//! After the end of a connection: the id dies, the last bytes go out, half-close, read to the end, close (PW-CLS-012).
//!
//! The slot is kept until every operation has come back (PW-CK-005).

use std::time::Duration;

use bytes::BytesMut;
use pulsewire_protocol::{CloseReason, Closed, ConnectionId, Event, Origin, Transmit};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::calls::deliver;
use super::peer::{Ending, Receiving, Sending, Stage};
use super::send::BATCH;

/// How long the peer gets to take the last bytes and to end its side.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    /// The connection is over: kills its id, reports it, and prepares the farewell.
    pub(super) fn end(&mut self, id: ConnectionId, mut closed: Box<Closed>) {
        let Some(mut entry) = self.table.get_mut(id) else { return };
        let (connection, peer) = entry.parts();
        // From here on nobody finds the id; the table follows below, and only then may the socket go (PW-CK-005).
        self.directory.remove(id);
        closed.unsent.extend(peer.mailbox.shut());
        if let Some(Ending::Failure(error)) = peer.ending
            && closed.detail.is_empty()
        {
            closed.detail = error.to_string();
        }
        tracing::debug!(connection = ?id, %closed, "closed");
        if let Receiving::Held(_) = peer.receiving {
            peer.receiving = Receiving::Idle(BytesMut::new());
        }
        let stage = std::mem::replace(&mut peer.stage, Stage::Closed);
        let socket = match stage {
            Stage::Open(socket) if !is_dead(&closed) => {
                let mut last = self.io.buffers.take_batch();
                let last = connection.poll_transmit(self.now, BATCH, &mut last).then_some(last);
                peer.stage = Stage::Farewell { socket, last, half_closed: false };
                self.farewells.push_back((self.now + PATIENCE, id));
                None
            }
            Stage::Open(socket) | Stage::Connecting(socket) => Some(socket),
            Stage::Closed | Stage::Farewell { .. } => None,
        };
        deliver(&mut self.handler, connection, peer, id, self.now, Event::Closed(closed));
        drop(entry);
        self.table.retire(id);
        drop(socket);
    }

    /// For a connection that is over: does what can be done without waiting for an operation, and frees the slot when
    /// nothing is left to do.
    pub(super) fn advance_farewell(&mut self, id: ConnectionId) {
        let Some(peer) = self.table.retired_mut(id) else { return };
        if let Stage::Farewell { socket, last, half_closed } = &mut peer.stage {
            let next = match std::mem::replace(&mut peer.sending, Sending::Idle) {
                Sending::Rest(batch) => Some(batch),
                Sending::Idle => last.take(),
                Sending::Pending => {
                    peer.sending = Sending::Pending;
                    None
                }
            };
            if next.is_none() && matches!(peer.sending, Sending::Idle) && !*half_closed {
                *half_closed = true;
                // If it fails the connection is gone, and the receive says so, too.
                let _already_gone = self.io.port.shut_down_send(socket);
            }
            let done = *half_closed && matches!(peer.receiving, Receiving::Ended);
            if let Some(batch) = next {
                peer.post_send(&mut self.io, id, batch);
            }
            if done {
                peer.stage = Stage::Closed;
            } else {
                // Closing a socket with unread bytes resets the connection, and a reset destroys what is on its way.
                peer.post_receive(&mut self.io, id);
            }
        }
        if matches!(peer.stage, Stage::Closed) && peer.outstanding == 0 {
            self.table.release(id);
        }
    }

    pub(super) fn received_in_farewell(
        &mut self,
        id: ConnectionId,
        mut buffer: BytesMut,
        outcome: Result<usize, SystemError>,
    ) {
        let Some(peer) = self.table.retired_mut(id) else { return };
        peer.outstanding -= 1;
        match outcome {
            Ok(0) => peer.receiving = Receiving::Ended,
            Ok(_) => {
                buffer.clear();
                peer.receiving = Receiving::Idle(buffer);
            }
            Err(_) => {
                peer.receiving = Receiving::Ended;
                peer.stage = Stage::Closed;
            }
        }
        self.touch(id);
    }

    pub(super) fn sent_in_farewell(&mut self, id: ConnectionId, batch: Transmit, outcome: Result<usize, SystemError>) {
        let Some(peer) = self.table.retired_mut(id) else { return };
        peer.outstanding -= 1;
        match outcome {
            Ok(count) => peer.finish_send(&mut self.io.buffers, batch, count),
            Err(_) => {
                peer.sending = Sending::Idle;
                peer.stage = Stage::Closed;
            }
        }
        self.touch(id);
    }

    /// Cuts the farewells whose time is up.
    pub(super) fn end_overdue_farewells(&mut self) {
        while let Some((_, id)) = self.farewells.pop_front_if(|(deadline, _)| *deadline <= self.now) {
            self.cut_farewell(id);
        }
    }

    pub(super) fn cut_farewell(&mut self, id: ConnectionId) {
        if let Some(peer) = self.table.retired_mut(id) {
            peer.stage = Stage::Closed;
            self.touch(id);
        }
    }
}

/// Whether nothing can be said any more: the connection was reset, lost or cut.
fn is_dead(closed: &Closed) -> bool {
    match closed.origin {
        Origin::Transport => closed.reason != CloseReason::PEER_ENDED,
        Origin::Local => closed.reason == CloseReason::ABORTED,
        Origin::Peer => false,
    }
}
