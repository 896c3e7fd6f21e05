//! The end of a turn: each connection that something happened to posts what follows from it.

use pulsewire_protocol::{Connection, ConnectionId, Instant, Transmit};

use crate::handler::Handler;
use crate::port::CompletionPort;

use super::Driver;
use super::alarms::Alarms;
use super::calls::{Application, deliver, submit};
use super::peer::{Broken, Ending, Peer, Receiving, Stage};
use super::receive::deliver_held;
use super::send::post_send;
use super::service::Service;
use super::shortage::Shortage;

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
        let (now, io) = (self.now, &mut self.io);
        let application = &mut Application { handler: &mut self.handler, service: &mut self.service };
        let Some(mut entry) = self.table.get_mut(id) else { return };
        let (connection, peer) = entry.parts();
        peer.touched = false;
        if let Some(Broken { error, until }) = peer.broken
            && until <= now
        {
            peer.ending.get_or_insert(Ending::Failure(error));
        }
        if let Some(ending) = peer.ending {
            // There is nobody left to pause for, and what came before the end is reported before it.
            while let Receiving::Held(_) = peer.receiving {
                peer.mailbox.hold_back_no_more(connection, now);
                deliver_held(application, connection, peer, id, now);
            }
            connection.disconnected(now, ending.disconnect());
        }
        if peer.has_recovered(io.waits) {
            peer.shortage_is_over(connection, now);
        }
        let was_idle = !connection.has_transmit();
        // What waits for a connection that is over comes back with `Closed`.
        if !connection.is_over() {
            submit(application, connection, peer, id, now);
            deliver_held(application, connection, peer, id, now);
        }
        loop {
            // This may make events, and needs to be done after each.
            look_after(application.service, &mut io.alarms, connection, peer, id, now);
            let Some(event) = connection.poll_event() else { break };
            deliver(application, connection, peer, id, now, event);
        }
        if let Some(closed) = peer.closed.take() {
            drop(entry);
            return self.end(id, closed);
        }
        peer.joins_until = match self.options.joining.delay(connection.queued()) {
            Some(within) if connection.is_open() && was_idle && connection.has_transmit() => Some(now + within),
            Some(_) if connection.is_open() => peer.joins_until.filter(|until| *until > now),
            Some(_) | None => None,
        };
        let looks = [peer.joins_until, peer.short_until, peer.judge_until];
        looks.into_iter().flatten().for_each(|when| io.alarms.set(when, id));
        if peer.joins_until.is_none() {
            post_send(io, connection, peer, id, now);
        }
        let reads = !peer.mailbox.holds_back(connection) || peer.mailbox.only_driver_pauses();
        let may_read = reads && Shortage::allows(peer.receive_shortage, now);
        if let (Stage::Open(_), true) = (&peer.stage, may_read) {
            match &peer.receiving {
                Receiving::Idle(_) => match connection.direct_buffer() {
                    Some(lent) => peer.post_receive_direct(io, id, lent),
                    None => peer.post_receive(io, id, now),
                },
                Receiving::Readable => peer.post_receive(io, id, now),
                Receiving::Awaited
                | Receiving::Pending
                | Receiving::PendingDirect
                | Receiving::Held(_)
                | Receiving::Ended => {}
            }
        }
        peer.note_tried(io, id, now);
    }
}

/// What the policies of a server bring for a connection: it is counted, judged in time, and not older than it may be.
fn look_after<Socket>(
    service: &mut Service,
    alarms: &mut Alarms,
    connection: &mut Connection,
    peer: &mut Peer<Socket>,
    id: ConnectionId,
    now: Instant,
) {
    if let Some(until) = peer.judge_until
        && !service.goes_on_to_wait(connection, until, now)
    {
        peer.judge_until = None;
    }
    if std::mem::take(&mut peer.is_new) {
        service.clients.join(id, &peer.mailbox);
        peer.aging = service.established(connection, id, peer.pass.as_mut(), now);
        peer.aging.into_iter().for_each(|aging| alarms.set(aging.at(), id));
    }
    if let Some(aging) = peer.aging.take_if(|aging| aging.at() <= now) {
        peer.aging = service.age(connection, aging, now);
        peer.aging.into_iter().for_each(|aging| alarms.set(aging.at(), id));
    }
}
