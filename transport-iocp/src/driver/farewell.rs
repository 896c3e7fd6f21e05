//! After the end of a connection: the id dies, and its machine says what becomes of the socket, and when: the last bytes go out,
//! half-close, read to the end, close (PW-CLS-012, PW-CLS-015).
//!
//! The slot is kept until every operation has come back (PW-CK-005).

use std::collections::HashMap;

use bytes::BytesMut;
use pulsewire_protocol::{Closed, ConnectionId, ConnectionTable, Event, Instant, Shutdown, TimingWheel, Transmit};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::calls::report;
use super::peer::{Ending, Peer, Receiving, Sending, Stage};
use super::send::post_send;

/// The connections that are over and whose sockets are not closed, and their deadlines: the table forgets those.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    /// By slot, which is kept meanwhile.
    ids: HashMap<u32, ConnectionId>,
    wheel: TimingWheel,
}

impl Farewells {
    /// When time matters to one of them.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wheel.earliest()
    }

    /// Notes until when this one may be left alone, and that it is one of them.
    fn note(&mut self, id: ConnectionId, deadline: Option<Instant>) {
        self.ids.insert(id.slot(), id);
        if let Some(deadline) = deadline {
            self.wheel.note(id.slot(), deadline);
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        if self.ids.remove(&id.slot()).is_some() {
            self.wheel.cancel(id.slot());
        }
    }

    /// One whose deadline has passed.
    fn expire<Socket>(&mut self, now: Instant, table: &mut ConnectionTable<Peer<Socket>>) -> Option<ConnectionId> {
        let Self { ids, wheel } = self;
        let slot = wheel.expire(now, |slot| table.retired_parts_mut(*ids.get(&slot)?)?.0.poll_timeout())?;
        ids.get(&slot).copied()
    }
}

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
        report(&mut self.handler, connection, peer, id, self.now, Event::Closed(closed));
        drop(entry);
        self.table.retire(id);
        if let Some(peer) = self.table.retired_mut(id) {
            peer.stage = match std::mem::replace(&mut peer.stage, Stage::Closed) {
                Stage::Open(socket) => Stage::Farewell { socket, half_closed: false },
                // One that never was connected has nobody to take leave of.
                Stage::Connecting(_) | Stage::Closed | Stage::Farewell { .. } => Stage::Closed,
            };
        }
    }

    /// For a connection that is over: does what can be done without waiting for an operation, and frees the slot when
    /// nothing is left to do.
    pub(super) fn advance_farewell(&mut self, id: ConnectionId) {
        let Some((connection, peer)) = self.table.retired_parts_mut(id) else { return };
        if let Stage::Farewell { socket, half_closed } = &mut peer.stage {
            let shutdown = connection.shutdown();
            if shutdown == Shutdown::HalfClose && !*half_closed {
                *half_closed = true;
                // If it fails the connection is gone, and the receive says so, too.
                let _already_gone = self.io.port.shut_down_send(socket);
            }
            if shutdown == Shutdown::Close {
                peer.stage = Stage::Closed;
            } else {
                post_send(&mut self.io, connection, peer, id, self.now);
                // Closing a socket with unread bytes resets the connection, and a reset destroys what is on its way.
                peer.post_receive(&mut self.io, id);
                self.farewells.note(id, connection.poll_timeout());
            }
        }
        if matches!(peer.stage, Stage::Closed) {
            self.farewells.forget(id);
            if peer.outstanding == 0 {
                self.table.release(id);
            }
        }
    }

    /// What comes behind the end is read, and nobody acts on it (PW-FRM-016).
    pub(super) fn received_in_farewell(
        &mut self,
        id: ConnectionId,
        mut buffer: BytesMut,
        outcome: Result<usize, SystemError>,
    ) {
        let Some((connection, peer)) = self.table.retired_parts_mut(id) else { return };
        peer.outstanding -= 1;
        peer.receiving = Receiving::Ended;
        match outcome {
            Ok(0) => connection.disconnected(self.now, Ending::Stream.disconnect()),
            Ok(_) => {
                buffer.clear();
                peer.receiving = Receiving::Idle(buffer);
            }
            Err(error) => connection.disconnected(self.now, Ending::Failure(error).disconnect()),
        }
        self.touch(id);
    }

    pub(super) fn sent_in_farewell(
        &mut self,
        id: ConnectionId,
        mut batch: Transmit,
        outcome: Result<usize, SystemError>,
    ) {
        let Some((connection, peer)) = self.table.retired_parts_mut(id) else { return };
        peer.outstanding -= 1;
        match outcome {
            Ok(count) => {
                let taken = connection.transmitted(self.now, &mut batch, count);
                peer.finish_send(&mut self.io.buffers, batch, taken);
            }
            Err(error) => {
                peer.sending = Sending::Idle;
                connection.disconnected(self.now, Ending::Failure(error).disconnect());
            }
        }
        self.touch(id);
    }

    /// Lets time pass for the farewells.
    pub(super) fn pass_farewell_time(&mut self, now: Instant) {
        while let Some(id) = self.farewells.expire(now, &mut self.table) {
            if let Some((connection, _)) = self.table.retired_parts_mut(id) {
                connection.handle_timeout(now);
                // Noted again when it is flushed, but not asked for again before.
                self.touch(id);
            }
        }
    }

    pub(super) fn cut_farewells(&mut self) {
        for id in self.farewells.ids.values().copied().collect::<Vec<_>>() {
            if let Some((connection, _)) = self.table.retired_parts_mut(id) {
                connection.abort(self.now);
                self.touch(id);
            }
        }
    }
}
