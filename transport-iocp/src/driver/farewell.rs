//! After the end of a connection: the id dies, and its machine says what becomes of the socket, and when: the last bytes go out,
//! half-close, read to the end, close (PW-CLS-012, PW-CLS-015).
//!
//! The slot is kept until every operation has come back (PW-CK-005).

use std::collections::HashMap;

use bytes::BytesMut;
use pulsewire_policy::{Failure, ShutdownReport};
use pulsewire_protocol::{
    Closed, Connection, ConnectionId, ConnectionTable, Event, Instant, Shutdown, TimingWheel, Transmit,
};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::calls::{Application, report};
use super::peer::{Ending, Held, Peer, Receiving, Stage, cancelled};
use super::send::post_send;
use super::shortage::{Shortage, back_off};

/// The connections that are over and whose sockets are not closed, and their deadlines: the table forgets those.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    /// By slot, which is kept meanwhile: until the socket is closed and every operation back.
    ids: HashMap<u32, ConnectionId>,
    wheel: TimingWheel,
}

impl Farewells {
    /// When time matters to one of them.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wheel.earliest()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.ids.values().copied()
    }

    fn add(&mut self, id: ConnectionId) {
        self.ids.insert(id.slot(), id);
    }

    /// Notes until when this one may be left alone.
    fn note(&mut self, id: ConnectionId, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            self.wheel.note(id.slot(), deadline);
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        if self.ids.remove(&id.slot()).is_some() {
            self.let_alone(id);
        }
    }

    /// Time does not matter to it any more.
    fn let_alone(&mut self, id: ConnectionId) {
        self.wheel.cancel(id.slot());
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
        let left = peer.mailbox.shut();
        let unsent = (left.len() as u64, left.iter().map(|message| message.payload.len() as u64).sum());
        closed.unsent.extend(left);
        self.service.clients.keep(id, &mut closed.unsent);
        if let Some(Ending::Failure(error)) = peer.ending
            && closed.detail.is_empty()
        {
            closed.detail = error.to_string();
        }
        tracing::debug!(connection = ?id, %closed, "closed");
        if let Receiving::Held(_) = peer.receiving {
            // Nobody acts on it any more.
            if let Receiving::Held(Held::Bytes(buffer)) = std::mem::replace(&mut peer.receiving, Receiving::unread()) {
                self.io.buffers.give(buffer);
            }
        }
        if let Some(until) = peer.judge_until.take() {
            self.service.end_check();
            self.io.alarms.cancel(until, id);
        }
        if let Some(aging) = peer.aging.take() {
            self.io.alarms.cancel(aging.at(), id);
        }
        self.service.statistics.ended += ended(connection, unsent);
        self.service.desk.groups.forget(id);
        let application = &mut Application { handler: &mut self.handler, service: &mut self.service };
        let failure = Failure::from(&*closed);
        report(application, connection, peer, id, self.now, Event::Closed(closed));
        drop(entry);
        if let Some(client) = self.service.clients.of(id) {
            self.client_ended(client, failure);
        }
        self.table.retire(id);
        let limits = self.service.config.limits;
        let most = limits.connections.saturating_add(limits.refusals);
        let crowded = self.farewells.ids.len() >= most as usize;
        self.farewells.add(id);
        if crowded && let Some((connection, _)) = self.table.retired_parts_mut(id) {
            // There are so many good-byes under way that this one has to be short.
            connection.abort(self.now);
        }
        if let Some(peer) = self.table.retired_mut(id) {
            peer.stage = match std::mem::replace(&mut peer.stage, Stage::Closed) {
                Stage::Open(socket) => Stage::Farewell { socket, half_closed: false },
                // One that never was connected has nobody to take leave of.
                Stage::Connecting(socket) => cancelled(socket, &mut self.io, id, self.now),
                other @ (Stage::Closed | Stage::Farewell { .. } | Stage::Cancelled { .. }) => other,
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
                // If it fails the connection is gone, and the receive says so, too; or there was no memory for it.
                *half_closed = self.io.port.shut_down_send(socket).err().is_none_or(|error| !error.is_shortage());
                if !*half_closed {
                    self.io.alarms.set(self.now + back_off(0), id);
                }
            }
            if shutdown == Shutdown::Close {
                peer.cancel(&mut self.io, id, self.now);
            } else {
                post_send(&mut self.io, connection, peer, id, self.now);
                // Closing a socket with unread bytes resets the connection, and a reset destroys what is on its way.
                if Shortage::allows(peer.receive_shortage, self.now) {
                    peer.post_receive(&mut self.io, id, self.now);
                }
                self.farewells.note(id, connection.poll_timeout());
            }
        }
        if let Stage::Cancelled { until, .. } = peer.stage {
            self.farewells.let_alone(id);
            if peer.outstanding == 0 {
                peer.stage = Stage::Closed;
            } else if until <= self.now {
                if let Some(count) = self.warnings.note(self.now) {
                    let operations = peer.outstanding;
                    tracing::warn!(connection = ?id, operations, count, "cancelled operations do not come back");
                }
                peer.close(&mut self.io.port);
            }
        }
        if matches!(peer.stage, Stage::Closed) {
            self.farewells.let_alone(id);
            if peer.outstanding == 0
                && let Some((connection, peer)) = self.table.release(id)
            {
                self.farewells.forget(id);
                self.service.gone(&connection, &peer, self.now);
                if let Receiving::Idle(buffer) = peer.receiving {
                    self.io.buffers.give(buffer);
                }
                if let Some(pass) = peer.pass {
                    self.service.gate.leave(pass);
                }
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
        let direct = matches!(std::mem::replace(&mut peer.receiving, Receiving::Ended), Receiving::PendingDirect);
        let kept = match direct {
            // Memory of a packet that nobody wants any more.
            true => BytesMut::new(),
            false => {
                buffer.clear();
                buffer
            }
        };
        match outcome {
            Ok(0) => {
                self.io.buffers.give(kept);
                connection.disconnected(self.now, Ending::Stream.disconnect());
            }
            Ok(_) => {
                peer.note_heard(self.now);
                peer.receiving = Receiving::Idle(kept);
            }
            Err(error) => {
                self.io.buffers.give(kept);
                self.receive_failed_in_farewell(id, error);
            }
        }
        self.touch(id);
    }

    pub(super) fn readable_in_farewell(&mut self, id: ConnectionId, outcome: Result<(), SystemError>) {
        let Some((_, peer)) = self.table.retired_parts_mut(id) else { return };
        peer.outstanding -= 1;
        match outcome {
            Ok(()) => peer.receiving = Receiving::Readable,
            Err(error) => self.receive_failed_in_farewell(id, error),
        }
        self.touch(id);
    }

    fn receive_failed_in_farewell(&mut self, id: ConnectionId, error: SystemError) {
        let Some((connection, peer)) = self.table.retired_parts_mut(id) else { return };
        if !error.can_retry() {
            peer.receiving = Receiving::Ended;
            return connection.disconnected(self.now, Ending::Failure(error).disconnect());
        }
        peer.receiving = Receiving::unread();
        match Shortage::note(&mut peer.receive_shortage, self.now, error, self.config.heartbeat.interval) {
            Ok(retry) => self.io.alarms.set(retry, id),
            Err(_) => connection.abort(self.now),
        }
    }

    pub(super) fn sent_in_farewell(&mut self, id: ConnectionId, batch: Transmit, outcome: Result<usize, SystemError>) {
        let Some((connection, peer)) = self.table.retired_parts_mut(id) else { return };
        peer.note_send_back(&batch);
        match outcome {
            Ok(count) => {
                if !peer.finish_send(connection, &mut self.io.buffers, self.now, batch, count) {
                    connection.abort(self.now);
                }
            }
            Err(error) if error.can_retry() => {
                peer.retry_send(batch);
                match Shortage::note(&mut peer.send_shortage, self.now, error, self.config.heartbeat.interval) {
                    Ok(retry) => self.io.alarms.set(retry, id),
                    Err(_) => connection.abort(self.now),
                }
            }
            Err(error) => {
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
        for id in self.farewells.ids().collect::<Vec<_>>() {
            if let Some((connection, peer)) = self.table.retired_parts_mut(id)
                && let Stage::Farewell { .. } = peer.stage
            {
                let counted = ShutdownReport::of(connection);
                let ended = &mut self.service.statistics.ended;
                *ended = *ended - counted;
                *ended += counted.but_cut();
                peer.was_cut = true;
                connection.abort(self.now);
                self.touch(id);
            }
        }
    }
}

/// What is reported of a connection that is over. `unsent`: the messages, and their bytes, that other threads had queued and that it
/// never got.
fn ended(connection: &Connection, unsent: (u64, u64)) -> ShutdownReport {
    let mut report = ShutdownReport::of(connection);
    report.unsent_messages += unsent.0;
    report.unsent_bytes += unsent.1;
    report
}
