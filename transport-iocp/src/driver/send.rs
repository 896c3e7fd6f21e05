//! What the connection gives becomes sends, one at a time.

use pulsewire_protocol::{Connection, ConnectionId, Instant, Transmit};

use crate::error::SystemError;
use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::peer::{Ending, Io, Peer, Sending, Stage};

/// How much is sent at once, in bytes. PING and PONG overtake what is not in the batch.
const BATCH: usize = 128 << 10;

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(super) fn sent(&mut self, id: ConnectionId, mut batch: Transmit, outcome: Result<usize, SystemError>) {
        let Some(mut entry) = self.table.get_mut(id) else {
            return self.sent_in_farewell(id, batch, outcome);
        };
        let (connection, peer) = entry.parts();
        peer.outstanding -= 1;
        match outcome {
            Ok(count) => {
                let taken = connection.transmitted(self.now, &mut batch, count);
                peer.finish_send(&mut self.io.buffers, batch, taken);
            }
            Err(error) => {
                peer.sending = Sending::Idle;
                // What a receive says is nearer to the cause.
                peer.ending.get_or_insert(Ending::Failure(error));
            }
        }
        drop(entry);
        self.touch(id);
    }
}

/// Posts what the system left of the last batch, or the next one, unless a send is pending.
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
        Stage::Connecting(_) | Stage::Closed => return,
    }
    match std::mem::replace(&mut peer.sending, Sending::Pending) {
        Sending::Pending => {}
        Sending::Rest(batch) => peer.post_send(io, id, batch),
        Sending::Idle => {
            let mut batch = io.buffers.take_batch();
            if connection.poll_transmit(now, BATCH, &mut batch) {
                peer.post_send(io, id, batch);
            } else {
                io.buffers.give_batch(batch);
                peer.sending = Sending::Idle;
            }
        }
    }
}
