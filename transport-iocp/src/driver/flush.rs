//! The end of a turn: each connection that something happened to posts what follows from it.

use pulsewire_protocol::{ConnectionId, Transmit};

use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::calls::{deliver, submit};
use super::peer::{Receiving, Stage};
use super::receive::deliver_held;
use super::send::post_send;

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(super) fn flush_touched(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            self.flush(id);
            self.advance_farewell(id);
        }
        // Nothing was touched meanwhile: a handler can reach no connection but its own.
        self.touched = touched;
    }

    fn flush(&mut self, id: ConnectionId) {
        let (now, handler, io) = (self.now, &mut self.handler, &mut self.io);
        let Some(mut entry) = self.table.get_mut(id) else { return };
        let (connection, peer) = entry.parts();
        peer.touched = false;
        if let Some(ending) = peer.ending {
            // There is nobody left to pause for, and what came before the end is reported before it.
            while let Receiving::Held(_) = peer.receiving {
                connection.resume(now);
                deliver_held(handler, connection, peer, id, now);
            }
            connection.disconnected(now, ending.disconnect());
        }
        // What waits for a connection that is over comes back with `Closed`.
        if !connection.is_over() {
            submit(handler, connection, peer, id, now);
            deliver_held(handler, connection, peer, id, now);
        }
        while let Some(event) = connection.poll_event() {
            deliver(handler, connection, peer, id, now, event);
        }
        if let Some(closed) = peer.closed.take() {
            drop(entry);
            return self.end(id, closed);
        }
        post_send(io, connection, peer, id, now);
        if let (Stage::Open(_), Receiving::Idle(_), false) = (&peer.stage, &peer.receiving, connection.is_paused()) {
            match connection.direct_buffer() {
                Some(lent) => peer.post_receive_direct(io, id, lent),
                None => peer.post_receive(io, id),
            }
        }
    }
}
