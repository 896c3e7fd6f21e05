//! Received bytes become events.

use std::time::Duration;

use bytes::BytesMut;
use pulsewire_protocol::{Connection, ConnectionId, Instant, ProtocolError, Transmit};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::orders::Pauser;
use crate::port::CompletionPort;

use super::Driver;
use super::calls::{Application, deliver, submit};
use super::peer::{Ending, Held, Io, Peer, Receiving};
use super::shortage::Shortage;

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(super) fn received(&mut self, id: ConnectionId, buffer: BytesMut, outcome: Result<usize, SystemError>) {
        let now = self.now;
        let Some(mut entry) = self.table.get_mut(id) else {
            return self.received_in_farewell(id, buffer, outcome);
        };
        let (connection, peer) = entry.parts();
        let application = &mut Application { handler: &mut self.handler, service: &mut self.service };
        peer.outstanding -= 1;
        // What is answered goes out at once, and all that waits goes with it.
        peer.joins_until = None;
        // A CLOSE among the bytes ends what may be sent: what was accepted before goes out (PW-CLS-001).
        submit(application, connection, peer, id, now);
        let direct = matches!(std::mem::replace(&mut peer.receiving, Receiving::Ended), Receiving::PendingDirect);
        match outcome {
            // Told at the end of the turn: a send that came back with it may have carried the answer to CLOSE.
            Ok(0) => {
                peer.ending = Some(Ending::Stream);
                self.io.take_back(buffer, direct);
            }
            Ok(count) => {
                peer.note_heard(now);
                if peer.receive_shortage.take().is_some() {
                    peer.shortage_is_over(connection, now);
                }
                let held = if direct {
                    Held::Direct(buffer)
                } else {
                    peer.note_size(count, buffer.len() == buffer.capacity());
                    Held::Bytes(buffer)
                };
                peer.receiving = Receiving::Held(held);
                deliver_held(application, connection, peer, id, now);
            }
            Err(error) if error.can_retry() => {
                // What was lent is lent again.
                peer.receiving = Receiving::Idle(if direct { BytesMut::new() } else { buffer });
                self.io.receive_later(connection, peer, id, now, error, self.config.heartbeat.interval);
            }
            Err(error) => {
                peer.ending = Some(Ending::Failure(error));
                self.io.take_back(buffer, direct);
            }
        }
        drop(entry);
        self.touch(id);
    }

    /// A quiet connection has something to receive, or came to an end.
    pub(super) fn readable(&mut self, id: ConnectionId, outcome: Result<(), SystemError>) {
        let now = self.now;
        let Some(mut entry) = self.table.get_mut(id) else {
            return self.readable_in_farewell(id, outcome);
        };
        let (connection, peer) = entry.parts();
        peer.outstanding -= 1;
        match outcome {
            Ok(()) => {
                peer.receiving = Receiving::Readable;
                // At once, so that it is heard before its peer is judged (PW-TCP-001). A side that pauses does not judge.
                if !peer.mailbox.holds_back(connection) {
                    peer.post_receive(&mut self.io, id, now);
                }
            }
            Err(error) if error.can_retry() => {
                peer.receiving = Receiving::unread();
                self.io.receive_later(connection, peer, id, now, error, self.config.heartbeat.interval);
            }
            Err(error) => {
                peer.receiving = Receiving::Ended;
                peer.ending = Some(Ending::Failure(error));
            }
        }
        drop(entry);
        self.touch(id);
    }
}

impl<Port> Io<Port> {
    /// Takes the buffer of a receive back, unless it is the memory of a large packet.
    fn take_back(&mut self, buffer: BytesMut, direct: bool) {
        if !direct {
            self.buffers.give(buffer);
        }
    }

    /// A receive could not be started for lack of something, and is tried again.
    fn receive_later<Socket>(
        &mut self,
        connection: &mut Connection,
        peer: &mut Peer<Socket>,
        id: ConnectionId,
        now: Instant,
        error: SystemError,
        longest: Duration,
    ) {
        match Shortage::note(&mut peer.receive_shortage, now, error, longest) {
            Ok(retry) => {
                // Who reads nothing must not judge the peer, nor be judged (PW-HB-019, PW-HB-023).
                peer.mailbox.pause_for(Pauser::Driver, connection, now);
                self.alarms.set(retry, id);
            }
            Err(error) => peer.ending = Some(Ending::Failure(error)),
        }
    }
}

/// Hands on what was received and not handled yet, unless this side holds it back.
pub(super) fn deliver_held<Socket>(
    application: &mut Application<'_, impl Handler>,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) {
    if peer.mailbox.holds_back(connection) {
        return;
    }
    match std::mem::replace(&mut peer.receiving, Receiving::Idle(BytesMut::new())) {
        Receiving::Held(Held::Direct(buffer)) => match connection.received_direct(now, buffer) {
            Ok(Some(event)) => deliver(application, connection, peer, id, now, event),
            Ok(None) => {}
            Err(error) => note(id, &error),
        },
        Receiving::Held(Held::Bytes(buffer)) => {
            let left = deliver_all(application, connection, peer, id, now, &buffer);
            let tail = keep_tail(buffer, left);
            peer.receiving = match peer.mailbox.holds_back(connection) {
                true => Receiving::Held(Held::Bytes(tail)),
                false => Receiving::Idle(tail),
            };
        }
        other @ (Receiving::Idle(_)
        | Receiving::Awaited
        | Receiving::Readable
        | Receiving::Pending
        | Receiving::PendingDirect
        | Receiving::Ended) => {
            peer.receiving = other;
        }
    }
}

/// Hands on every event that the bytes give, until this side holds the rest back. Says how many bytes at the end are not handled.
fn deliver_all<Socket>(
    application: &mut Application<'_, impl Handler>,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
    bytes: &[u8],
) -> usize {
    let mut input = bytes;
    loop {
        match connection.receive(now, &mut input) {
            Ok(Some(event)) => deliver(application, connection, peer, id, now, event),
            Ok(None) => return input.len(),
            Err(error) => {
                // Fatal, and the rest is not acted on. `Closed` follows at the end of the turn.
                note(id, &error);
                return 0;
            }
        }
        if peer.mailbox.holds_back(connection) {
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
