//! Received bytes become events.

use bytes::BytesMut;
use pulsewire_protocol::{Connection, ConnectionId, Instant, ProtocolError, Transmit};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::buffers::QUIET;
use super::calls::{deliver, submit};
use super::peer::{Ending, Held, Peer, Receiving};

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(super) fn received(&mut self, id: ConnectionId, buffer: BytesMut, outcome: Result<usize, SystemError>) {
        let now = self.now;
        let Some(mut entry) = self.table.get_mut(id) else {
            return self.received_in_farewell(id, buffer, outcome);
        };
        let (connection, peer) = entry.parts();
        peer.outstanding -= 1;
        // A CLOSE among the bytes ends what may be sent: what was accepted before goes out (PW-CLS-001).
        submit(&mut self.handler, connection, peer, id, now);
        let direct = matches!(std::mem::replace(&mut peer.receiving, Receiving::Ended), Receiving::PendingDirect);
        match outcome {
            // Told at the end of the turn: a send that came back with it may have carried the answer to CLOSE.
            Ok(0) => peer.ending = Some(Ending::Stream),
            Err(error) => peer.ending = Some(Ending::Failure(error)),
            Ok(count) => {
                let held = if direct {
                    Held::Direct(buffer)
                } else {
                    peer.busy = if peer.busy { count >= QUIET } else { buffer.len() == buffer.capacity() };
                    Held::Bytes(buffer)
                };
                peer.receiving = Receiving::Held(held);
                deliver_held(&mut self.handler, connection, peer, id, now);
            }
        }
        drop(entry);
        self.touch(id);
    }
}

/// Hands on what was received and not handled yet, unless this side pauses.
pub(super) fn deliver_held<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) {
    if connection.is_paused() {
        return;
    }
    match std::mem::replace(&mut peer.receiving, Receiving::Idle(BytesMut::new())) {
        Receiving::Held(Held::Direct(buffer)) => match connection.received_direct(now, buffer) {
            Ok(Some(event)) => deliver(handler, connection, peer, id, now, event),
            Ok(None) => {}
            Err(error) => note(id, &error),
        },
        Receiving::Held(Held::Bytes(buffer)) => {
            let left = deliver_all(handler, connection, peer, id, now, &buffer);
            let tail = keep_tail(buffer, left);
            peer.receiving = match connection.is_paused() {
                true => Receiving::Held(Held::Bytes(tail)),
                false => Receiving::Idle(tail),
            };
        }
        other @ (Receiving::Idle(_) | Receiving::Pending | Receiving::PendingDirect | Receiving::Ended) => {
            peer.receiving = other;
        }
    }
}

/// Hands on every event that the bytes give, until this side pauses. Says how many bytes at the end are not handled.
fn deliver_all<Socket>(
    handler: &mut impl Handler,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
    bytes: &[u8],
) -> usize {
    let mut input = bytes;
    loop {
        match connection.receive(now, &mut input) {
            Ok(Some(event)) => deliver(handler, connection, peer, id, now, event),
            Ok(None) => return input.len(),
            Err(error) => {
                // Fatal, and the rest is not acted on. `Closed` follows at the end of the turn.
                note(id, &error);
                return 0;
            }
        }
        if connection.is_paused() {
            return input.len();
        }
    }
}

/// Moves the last `left` bytes to the front.
fn keep_tail(mut buffer: BytesMut, left: usize) -> BytesMut {
    let start = buffer.len() - left;
    buffer.copy_within(start.., 0);
    buffer.truncate(left);
    buffer
}

fn note(id: ConnectionId, error: &ProtocolError) {
    tracing::debug!(connection = ?id, %error, "the peer broke the protocol");
}
