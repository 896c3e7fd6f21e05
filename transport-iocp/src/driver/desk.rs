//! What a handler does beyond the connection that it is called for: groups, timers, events that others post.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pulsewire_policy::Deliver;
use pulsewire_protocol::{
    CloseFrame, CloseReason, ConnectionId, ConnectionTable, Instant, PreparedMessage, SendRefused, Transmit,
};

use crate::handler::{Handler, Turn};
use crate::port::CompletionPort;

use super::Driver;
use super::peer::Peer;

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    /// Calls the handler for no connection. A panic costs nothing but the call.
    pub(super) fn call(&mut self, act: impl FnOnce(&mut H, &mut Turn<'_>)) {
        let Self { handler, service, directories, now, .. } = self;
        let mut turn = Turn { now: *now, desk: &mut service.desk, directories };
        // What the handler left half done is its own.
        if catch_unwind(AssertUnwindSafe(|| act(handler, &mut turn))).is_err() {
            tracing::error!("the handler panicked");
            service.statistics.panics += 1;
        }
    }

    /// Calls the handler for the timers whose time has come. What it sets meanwhile waits for the next turn.
    pub(super) fn pass_timers(&mut self) {
        let latest = self.service.desk.timers.latest();
        while let Some(key) = self.service.desk.timers.expire(self.now, latest) {
            self.call(|handler, turn| handler.timer(turn, key));
        }
    }

    /// Sends a message to every connection. Returns how many took it.
    pub(super) fn broadcast(&mut self, message: &PreparedMessage) -> usize {
        let ids: Vec<_> = self.table.ids().collect();
        let Self { table, touched, now, .. } = self;
        let mut transport = AtOnce { table, touched, now: *now };
        ids.into_iter().filter(|id| transport.send(id, message).is_ok()).count()
    }

    /// Sends what is to go out to groups.
    pub(super) fn deliver_to_groups(&mut self) {
        if !self.service.desk.groups.is_busy() {
            return;
        }
        let Self { service, table, touched, now, .. } = self;
        let deliveries = service.desk.groups.deliver(*now, &mut AtOnce { table, touched, now: *now });
        for (group, delivery) in deliveries {
            self.call(|handler, turn| handler.delivered(turn, group, delivery));
        }
    }
}

/// Sends to each member without a queue in between, and has it flushed at the end of the turn.
struct AtOnce<'d, Socket> {
    table: &'d mut ConnectionTable<Peer<Socket>>,
    touched: &'d mut Vec<ConnectionId>,
    now: Instant,
}

impl<Socket> AtOnce<'_, Socket> {
    fn touch(touched: &mut Vec<ConnectionId>, peer: &mut Peer<Socket>, id: ConnectionId) {
        if !std::mem::replace(&mut peer.touched, true) {
            touched.push(id);
        }
    }
}

impl<Socket> Deliver<ConnectionId> for AtOnce<'_, Socket> {
    fn send(&mut self, member: &ConnectionId, message: &PreparedMessage) -> Result<(), SendRefused> {
        let Some(mut entry) = self.table.get_mut(*member) else { return Err(SendRefused::Stale) };
        let (connection, peer) = entry.parts();
        peer.mailbox.send_prepared_at_once(connection, self.now, message)?;
        Self::touch(self.touched, peer, *member);
        Ok(())
    }

    fn close(&mut self, member: &ConnectionId) {
        let Some(mut entry) = self.table.get_mut(*member) else { return };
        let (connection, peer) = entry.parts();
        peer.mailbox.closing(CloseReason::OVERLOADED);
        connection.close(self.now, CloseFrame::from(CloseReason::OVERLOADED).with_text("too slow"));
        // Behind its CLOSE a side must read (PW-HB-024).
        connection.resume(self.now);
        Self::touch(self.touched, peer, *member);
    }
}
