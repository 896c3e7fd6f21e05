//! What the connection gives becomes sends: one at a time, or several in their order.

use std::collections::VecDeque;
use std::time::Duration;

use pulsewire_protocol::{Connection, ConnectionId, Instant, Transmit};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::orders::Pauser;
use crate::port::{CompletionPort, MAX_SLICES_PER_SEND};

use super::Driver;
use super::buffers::Buffers;
use super::peer::{Broken, Ending, Io, Peer, Stage, token};
use super::shortage::Shortage;

/// How long a receive has to tell what the peer said last, when a send has failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The sending direction.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Sends that are pending.
    sends: u32,
    /// What they hold.
    bytes: usize,
    /// The last of them takes its batch whole, so that another one may follow.
    whole: bool,
    /// What the system did not take of sends that came back, in order. It goes out before anything else.
    rests: VecDeque<Transmit>,
}

impl Sending {
    /// Whether another send may be started.
    fn has_room(&self, send_ahead: usize) -> bool {
        self.sends == 0 || (self.whole && self.bytes < send_ahead)
    }

    /// Whether something is pending, and nothing waits to be tried again.
    pub(super) fn is_all_pending(&self) -> bool {
        self.sends > 0 && self.rests.is_empty()
    }
}

impl<Socket> Peer<Socket> {
    /// Posts a send, behind those that are pending.
    fn post_send<Port>(&mut self, io: &mut Io<Port>, id: ConnectionId, batch: Transmit)
    where
        Port: CompletionPort<Socket = Socket, Batch = Transmit>,
    {
        let Some(socket) = self.stage.socket() else { return };
        self.sending.sends += 1;
        self.sending.bytes += batch.len();
        self.sending.whole = io.send_ahead > 0 && batch.slices().nth(MAX_SLICES_PER_SEND).is_none();
        io.port.send(socket, batch, token(id));
        io.outstanding += 1;
        self.outstanding += 1;
    }

    /// A send came back.
    pub(super) fn note_send_back(&mut self, batch: &Transmit) {
        self.outstanding -= 1;
        self.sending.sends -= 1;
        self.sending.bytes -= batch.len();
    }

    /// The system took nothing of a send that came back, and it is tried again. What is behind it was not started.
    pub(super) fn retry_send(&mut self, batch: Transmit) {
        self.sending.rests.push_front(batch);
    }

    /// The system took so many bytes of a send that came back. Returns whether the rest, if there is one, can still be sent: what
    /// is behind it must not have been started.
    pub(super) fn finish_send(
        &mut self,
        connection: &mut Connection,
        buffers: &mut Buffers,
        now: Instant,
        mut batch: Transmit,
        count: usize,
    ) -> bool {
        if connection.transmitted(now, &mut batch, count) {
            buffers.give_batch(batch);
            return true;
        }
        self.sending.rests.push_front(batch);
        self.sending.sends == 0
    }
}

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(super) fn sent(&mut self, id: ConnectionId, batch: Transmit, outcome: Result<usize, SystemError>) {
        let Some(mut entry) = self.table.get_mut(id) else {
            return self.sent_in_farewell(id, batch, outcome);
        };
        let now = self.now;
        let (connection, peer) = entry.parts();
        peer.note_send_back(&batch);
        match outcome {
            Ok(count) => {
                if peer.send_shortage.take().is_some() {
                    peer.shortage_is_over(connection, now);
                }
                if !peer.finish_send(connection, &mut self.io.buffers, now, batch, count) {
                    // The system breaks its word that a send behind another one begins where that ends.
                    peer.broken.get_or_insert(Broken { error: SystemError::INVALID, until: now });
                    self.io.alarms.set(now, id);
                }
            }
            Err(error) if error.can_retry() => {
                peer.retry_send(batch);
                match Shortage::note(&mut peer.send_shortage, now, error, self.config.heartbeat.interval) {
                    Ok(retry) => {
                        // Whose PING does not get out must not judge the peer (PW-HB-023).
                        peer.mailbox.pause_for(Pauser::Driver, connection, now);
                        self.io.alarms.set(retry, id);
                    }
                    Err(error) => peer.ending = Some(Ending::Failure(error)),
                }
            }
            Err(error) => {
                // What a receive says is nearer to the cause, and there is nobody left to pause for.
                let until = now + LAST_WORDS;
                peer.broken.get_or_insert(Broken { error, until });
                self.io.alarms.set(until, id);
                connection.resume(now);
            }
        }
        drop(entry);
        self.touch(id);
    }
}

/// Posts what the system left of the last batch, or the next one, unless as many sends are pending as may.
pub(super) fn post_send<Port: CompletionPort<Batch = Transmit>>(
    io: &mut Io<Port>,
    connection: &mut Connection,
    peer: &mut Peer<Port::Socket>,
    id: ConnectionId,
    now: Instant,
) {
    match peer.stage {
        Stage::Open(_) | Stage::Farewell { .. } => {}
        // Before it is connected, HELLO has to wait.
        Stage::Connecting(_) | Stage::Cancelled { .. } | Stage::Closed => return,
    }
    if peer.broken.is_some() || !Shortage::allows(peer.send_shortage, now) {
        return;
    }
    if !peer.sending.has_room(io.send_ahead) {
        return;
    }
    match peer.sending.rests.pop_front() {
        Some(rest) => peer.post_send(io, id, rest),
        None => {
            let mut batch = io.buffers.take_batch();
            if !connection.poll_transmit(now, io.largest_send, &mut batch) {
                return io.buffers.give_batch(batch);
            }
            peer.post_send(io, id, batch);
        }
    }
    let has_more = !peer.sending.rests.is_empty() || connection.has_transmit();
    if has_more && peer.sending.has_room(io.send_ahead) {
        // Another one in the next turn: by then it is known whether this one could be started.
        io.alarms.set(now, id);
    }
}
