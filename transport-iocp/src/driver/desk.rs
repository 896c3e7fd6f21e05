//! What a handler does beyond the connection that it is called for: groups, timers, events that others post.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pulsewire_policy::Deliver;
use pulsewire_protocol::{
    CloseFrame, CloseReason, ConnectionId, ConnectionTable, Instant, PreparedMessage, SendRefused, Transmit,
};

use crate::handler::{Handler, Turn};
use crate::mailbox::Submitted;
use crate::port::CompletionPort;

use super::Driver;
use super::calls::{Application, tell};
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

    /// Whether the handler takes another connection. One that panics takes none.
    pub(super) fn has_room(&mut self) -> bool {
        let Self { handler, service, .. } = self;
        catch_unwind(AssertUnwindSafe(|| handler.has_room())).unwrap_or_else(|_| {
            tracing::error!("the handler panicked; a connection is refused");
            service.statistics.panics += 1;
            false
        })
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
        let mut transport = AtOnce::new(&mut self.table, &mut self.touched, self.now);
        let count = ids.into_iter().filter(|id| transport.send(id, message).is_ok()).count();
        let submitted = transport.submitted;
        self.tell_all(submitted);
        count
    }

    /// Sends what is to go out to groups.
    pub(super) fn deliver_to_groups(&mut self) {
        if !self.service.desk.groups.is_busy() {
            return;
        }
        let mut transport = AtOnce::new(&mut self.table, &mut self.touched, self.now);
        let deliveries = self.service.desk.groups.deliver(self.now, &mut transport);
        let submitted = transport.submitted;
        self.tell_all(submitted);
        for (group, delivery) in deliveries {
            self.call(|handler, turn| handler.delivered(turn, group, delivery));
        }
    }

    /// Tells what came of what was submitted ahead.
    fn tell_all(&mut self, submitted: Vec<(ConnectionId, Submitted)>) {
        for (id, submitted) in submitted {
            let application = &mut Application { handler: &mut self.handler, service: &mut self.service };
            if let Some(mut entry) = self.table.get_mut(id) {
                let (connection, peer) = entry.parts();
                tell(application, connection, peer, id, self.now, submitted);
            }
        }
    }
}

/// Sends to each member without a queue in between, but behind what waits in that of the member, and has it flushed at the end of the
/// turn.
struct AtOnce<'d, Socket> {
    table: &'d mut ConnectionTable<Peer<Socket>>,
    touched: &'d mut Vec<ConnectionId>,
    now: Instant,
    /// What came of handing that over, which the handler is to be told.
    submitted: Vec<(ConnectionId, Submitted)>,
}

impl<'d, Socket> AtOnce<'d, Socket> {
    fn new(table: &'d mut ConnectionTable<Peer<Socket>>, touched: &'d mut Vec<ConnectionId>, now: Instant) -> Self {
        Self { table, touched, now, submitted: Vec::new() }
    }

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
        if peer.mailbox.has_requests() {
            self.submitted.push((*member, peer.mailbox.submit(connection, self.now)));
        }
        let sent = peer.mailbox.send_prepared_at_once(connection, self.now, message);
        // Also where it was refused: whoever waits for room is looked after from then on.
        Self::touch(self.touched, peer, *member);
        sent.map(drop)
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
